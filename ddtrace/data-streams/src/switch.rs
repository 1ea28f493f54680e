//! Whether the product is on, and where observations go.
//!
//! A checkpoint asks twice: [`is_on`] is one relaxed load, and [`with`] gives what the thread needs, which it remembers until
//! something of it changes. So a thread takes no lock and counts no reference to pass a checkpoint.
//!
//! Observations wait in the slots of a `sync_channel`, all of which exist beforehand: handing one over is an exchange and a store
//! and touches no fresh memory. The slots are a megabyte, so they are made when the product is switched on for the first time, by
//! whoever does that; the worker finds its end of the queue by [`take_waiting`]. Nobody ever waits on either end, so nothing that a
//! fork may leave locked is in the way: the child's worker makes a queue of its own.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;

use crate::bucket::Observation;
use crate::hash::Node;
use crate::tags::Cache;

/// Observations that wait for the worker; beyond it they are dropped and counted.
pub(crate) const QUEUE: usize = 16_384;

static IS_ON: AtomicBool = AtomicBool::new(false);
static RUNNING: ArcSwapOption<Running> = ArcSwapOption::const_empty();

/// Counts what was put into [`RUNNING`]; moved on after the change.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The worker's end of a queue, until the worker takes it.
static HANDED: Mutex<Option<Waiting>> = Mutex::new(None);

/// What checkpoints need while the product is on.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) node: Node,
    /// Nothing until the product is on for the first time.
    queue: Option<SyncSender<Observation>>,
    dropped: Arc<AtomicU64>,
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: Receiver<Observation>,
    dropped: Arc<AtomicU64>,
    /// The process that it was made in.
    process: u32,
}

impl Running {
    fn new(node: Node) -> Self {
        Self {
            node,
            queue: None,
            dropped: Arc::default(),
        }
    }

    fn with_queue(node: Node) -> (Self, Waiting) {
        let (sender, queue) = sync_channel(QUEUE);
        let running = Self {
            queue: Some(sender),
            ..Self::new(node)
        };
        let waiting = Waiting {
            queue,
            dropped: Arc::clone(&running.dropped),
            process: std::process::id(),
        };
        (running, waiting)
    }

    /// Hands an observation over. Never waits, and does not wake anybody: the worker comes by.
    #[inline]
    pub(crate) fn observe(&self, observation: Observation) {
        let has_room =
            (self.queue.as_ref()).is_some_and(|queue| queue.try_send(observation).is_ok());
        if !has_room {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Waiting {
    /// The observation that has waited longest.
    pub(crate) fn next(&self) -> Option<Observation> {
        self.queue.try_recv().ok()
    }

    /// What found the queue full since the last call.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// What a thread remembers.
#[derive(Default)]
struct Thread {
    generation: u64,
    running: Option<Arc<Running>>,
    cache: Cache,
}

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::default();
}

impl Thread {
    fn work<R>(&mut self, work: impl FnOnce(&Running, &mut Cache) -> R) -> Option<R> {
        if self.generation != GENERATION.load(Ordering::Acquire) {
            self.renew();
        }
        let running = self.running.as_ref()?;
        Some(work(running, &mut self.cache))
    }

    #[cold]
    #[inline(never)]
    fn renew(&mut self) {
        // Before the look: what is put there in between is noticed the next time.
        self.generation = GENERATION.load(Ordering::Acquire);
        self.running = RUNNING.load_full();
        self.cache.forget_pathways();
    }
}

/// Whether the product is on: one relaxed load.
#[inline]
pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Works with what checkpoints need; nothing while the product is off. `work` must not come back here.
#[inline]
pub(crate) fn with<R>(work: impl FnOnce(&Running, &mut Cache) -> R) -> Option<R> {
    if !is_on() {
        return None;
    }
    let mut work = Some(work);
    let known = THREAD.try_with(|thread| {
        let mut thread = thread.try_borrow_mut().ok()?;
        Some(thread.work(work.take()?))
    });
    match known {
        Ok(Some(result)) => result,
        // The thread is ending, or an allocator passes checkpoints: without a memory.
        _ => Thread::default().work(work?),
    }
}

/// Makes what checkpoints need, with a queue, whose other end is given; the product is off until [`set_on`].
pub(crate) fn make_queue(node: Node) -> Waiting {
    let (running, waiting) = Running::with_queue(node);
    publish(running);
    waiting
}

/// The same without a queue, which is made when the product is switched on.
pub(crate) fn make_ready(node: Node) {
    publish(Running::new(node));
}

fn publish(running: Running) {
    RUNNING.store(Some(Arc::new(running)));
    GENERATION.fetch_add(1, Ordering::Release);
}

/// Changes what all nodes have in common: the agent has told something about the container.
pub(crate) fn set_node(node: Node) {
    RUNNING.rcu(|running| {
        running.as_ref().map(|running| {
            Arc::new(Running {
                node,
                ..Running::clone(running)
            })
        })
    });
    GENERATION.fetch_add(1, Ordering::Release);
}

/// Switches it on or off. Off, checkpoints do nothing, and what waits is still sent.
pub(crate) fn set_on(on: bool) {
    if on {
        make_queue_if_none();
    }
    IS_ON.store(on, Ordering::Relaxed);
}

fn make_queue_if_none() {
    // Held by nobody for longer than this takes, unless a fork came in between: then the worker makes one.
    let Ok(mut handed) = HANDED.try_lock() else {
        return;
    };
    let running = RUNNING.load_full();
    if let Some(running) = running.filter(|running| running.queue.is_none()) {
        *handed = Some(make_queue(running.node));
    }
}

/// The worker's end of a queue that [`set_on`] has made in this process.
pub(crate) fn take_waiting() -> Option<Waiting> {
    // In the child of a fork nobody waits for a lock that the parent may have held.
    let waiting = HANDED.try_lock().ok()?.take()?;
    (waiting.process == std::process::id()).then_some(waiting)
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
