//! Whether the product is on, and where observations go.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use ddtrace_core::worker;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::bucket::Observation;
use crate::hash::Node;

/// Observations that wait for the worker; beyond it they are dropped and counted.
pub(crate) const QUEUE: usize = 16_384;

static IS_ON: AtomicBool = AtomicBool::new(false);
/// Whether requests are checkpoints.
static COUNTS_REQUESTS: AtomicBool = AtomicBool::new(false);
static RUNNING: ArcSwapOption<Running> = ArcSwapOption::const_empty();

/// What checkpoints need while the product is on.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) node: Node,
    queue: Sender<Observation>,
    dropped: Arc<AtomicU64>,
    /// Which fork of the process it belongs to.
    forks: u32,
    /// The worker's end of the queue, until the worker takes it.
    waiting: Arc<Mutex<Option<Waiting>>>,
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) queue: Receiver<Observation>,
    dropped: Arc<AtomicU64>,
}

impl Running {
    fn new(node: Node) -> Self {
        let (sender, receiver) = channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let waiting = Waiting {
            queue: receiver,
            dropped: Arc::clone(&dropped),
        };
        Self {
            node,
            queue: sender,
            dropped,
            forks: worker::forks(),
            waiting: Arc::new(Mutex::new(Some(waiting))),
        }
    }

    /// Hands an observation over. Never waits, and does not wake anybody: the worker comes by.
    pub(crate) fn observe(&self, observation: Observation) {
        if self.queue.try_send(observation).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take_waiting(&self) -> Option<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.take()
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
    let running = RUNNING.load();
    match running.as_ref() {
        Some(known) if known.forks == worker::forks() => Some(running),
        Some(_) => in_child(),
        None => None,
    }
}

/// The first checkpoint in the child of a fork: with a queue of its own, and a worker that looks after it.
#[cold]
fn in_child() -> Option<arc_swap::Guard<Option<Arc<Running>>>> {
    own();
    worker::revive();
    Some(RUNNING.load()).filter(|running| running.is_some())
}

/// Makes a queue for the product, which is off until [`set_on`].
pub(crate) fn make_ready(node: Node) {
    let before = RUNNING.swap(Some(Arc::new(Running::new(node))));
    leave(before);
}

/// Takes the end of the queue that the worker looks after: once for each process. Nothing before [`make_ready`].
pub(crate) fn take_waiting() -> Option<Waiting> {
    own();
    RUNNING.load_full()?.take_waiting()
}

/// Replaces what a parent has left behind. Whoever comes first does it: worker and checkpoints get the same queue.
fn own() {
    let before = RUNNING.load_full();
    let Some(left) = before
        .as_ref()
        .filter(|running| running.forks != worker::forks())
    else {
        return;
    };
    let own = Some(Arc::new(Running::new(left.node)));
    let found = RUNNING.compare_and_swap(&before, own);
    drop(arc_swap::Guard::into_inner(found));
    leave(before);
}

/// Forgets what is not used any more: for good, if its other end is in the hands of the parent's worker, which may have been in
/// the middle of anything.
fn leave(before: Option<Arc<Running>>) {
    if before
        .as_ref()
        .is_some_and(|before| before.forks != worker::forks())
    {
        std::mem::forget(before);
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
                forks: running.forks,
                waiting: Arc::clone(&running.waiting),
            })
        })
    });
}

/// Switches it on or off. Off, checkpoints do nothing, and what waits is still sent.
pub(crate) fn set_on(on: bool) {
    IS_ON.store(on, Ordering::Relaxed);
}

/// Whether requests of HTTP and gRPC are checkpoints while the product is on.
pub(crate) fn counts_requests() -> bool {
    COUNTS_REQUESTS.load(Ordering::Relaxed)
}

/// Makes requests checkpoints, or not.
pub(crate) fn count_requests(on: bool) {
    COUNTS_REQUESTS.store(on, Ordering::Relaxed);
}
