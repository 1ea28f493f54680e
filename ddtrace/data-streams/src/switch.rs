//! Whether the product is on, and where observations go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::bucket::Observation;
use crate::hash::Node;

/// Observations that wait for the worker; beyond it they are dropped and counted.
pub(crate) const QUEUE: usize = 16_384;

static IS_ON: AtomicBool = AtomicBool::new(false);
static RUNNING: ArcSwapOption<Running> = ArcSwapOption::const_empty();

/// What checkpoints need while the product is on.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) node: Node,
    queue: Sender<Observation>,
    dropped: Arc<AtomicU64>,
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) queue: Receiver<Observation>,
    dropped: Arc<AtomicU64>,
}

impl Running {
    /// Hands an observation over. Never waits, and does not wake anybody: the worker comes by.
    pub(crate) fn observe(&self, observation: Observation) {
        if self.queue.try_send(observation).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Waiting {
    /// What found the queue full since the last call.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// Whether the product is on: one relaxed load.
#[inline]
pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// What checkpoints need; nothing while the product is off.
pub(crate) fn running() -> Option<arc_swap::Guard<Option<Arc<Running>>>> {
    if !is_on() {
        return None;
    }
    Some(RUNNING.load()).filter(|running| running.is_some())
}

/// Makes a queue for the product, which is off until [`set_on`].
pub(crate) fn make_ready(node: Node) -> Waiting {
    let (sender, receiver) = channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    RUNNING.store(Some(Arc::new(Running {
        node,
        queue: sender,
        dropped: Arc::clone(&dropped),
    })));
    Waiting {
        queue: receiver,
        dropped,
    }
}

/// Changes what all nodes have in common: the agent has told something about the container.
pub(crate) fn set_node(node: Node) {
    RUNNING.rcu(|running| {
        running.as_ref().map(|running| {
            Arc::new(Running {
                node,
                queue: running.queue.clone(),
                dropped: Arc::clone(&running.dropped),
            })
        })
    });
}

/// Switches it on or off. Off, checkpoints do nothing, and what waits is still sent.
pub(crate) fn set_on(on: bool) {
    IS_ON.store(on, Ordering::Relaxed);
}
