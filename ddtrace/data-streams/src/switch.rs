//! Whether the product is on, and where observations go.
//!
//! A checkpoint asks twice: [`is_on`] is one relaxed load, and [`with`] gives what the thread needs, which it remembers until
//! something of it changes. So a thread takes no lock and counts no reference to pass a checkpoint.
//!
//! Observations wait in the slots of a `sync_channel`, all of which exist beforehand: handing one over is an exchange and a store
//! and touches no fresh memory. The slots are a megabyte, so they are made when the product is switched on for the first time; the
//! worker takes its end of them by [`take_waiting`]. Nobody ever waits on either end.
//!
//! What a parent had is of no use to the child of a fork: whoever comes first there, worker or checkpoint, makes a queue of its own.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use ddtrace_core::worker;

use crate::bucket::Observation;
use crate::hash::Node;
use crate::tags::Cache;

/// Observations that wait for the worker; beyond it they are dropped and counted.
pub(crate) const QUEUE: usize = 16_384;

static IS_ON: AtomicBool = AtomicBool::new(false);
/// Whether requests are checkpoints.
static COUNTS_REQUESTS: AtomicBool = AtomicBool::new(false);
static RUNNING: ArcSwapOption<Running> = ArcSwapOption::const_empty();

/// Moved on after every change of [`RUNNING`].
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// What checkpoints need while the product is on.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) node: Node,
    /// Which fork of the process it belongs to.
    forks: u32,
    /// Nothing until the product is on for the first time.
    queue: Option<Queue>,
}

#[derive(Clone, Debug)]
struct Queue {
    sender: SyncSender<Observation>,
    dropped: Arc<AtomicU64>,
    /// The worker's end, until the worker takes it.
    waiting: Arc<Mutex<Option<Waiting>>>,
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: Receiver<Observation>,
    dropped: Arc<AtomicU64>,
}

impl Running {
    fn new(node: Node, has_queue: bool) -> Self {
        Self {
            node,
            forks: worker::forks(),
            queue: has_queue.then(Queue::new),
        }
    }

    /// Hands an observation over. Never waits, and does not wake anybody: the worker comes by.
    #[inline]
    pub(crate) fn observe(&self, observation: Observation) {
        let Some(queue) = &self.queue else {
            return;
        };
        if queue.sender.try_send(observation).is_err() {
            queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take_waiting(&self) -> Option<Waiting> {
        let waiting = &self.queue.as_ref()?.waiting;
        waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Queue {
    fn new() -> Self {
        let (sender, queue) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let waiting = Waiting {
            queue,
            dropped: Arc::clone(&dropped),
        };
        Self {
            sender,
            dropped,
            waiting: Arc::new(Mutex::new(Some(waiting))),
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
    #[inline]
    fn work<R>(&mut self, work: impl FnOnce(&Running, &mut Cache) -> R) -> Option<R> {
        let is_current = |running: &Arc<Running>| running.forks == worker::forks();
        if self.generation != GENERATION.load(Ordering::Acquire)
            || !self.running.as_ref().is_some_and(is_current)
        {
            self.renew();
        }
        let running = self.running.as_ref()?;
        Some(work(running, &mut self.cache))
    }

    #[cold]
    #[inline(never)]
    fn renew(&mut self) {
        if own() {
            // The first checkpoint in the child of a fork: there is a worker again that looks after the queue.
            worker::revive();
        }
        // Before the look: what is put there in between is noticed the next time.
        self.generation = GENERATION.load(Ordering::Acquire);
        leave(std::mem::replace(&mut self.running, RUNNING.load_full()));
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

/// Makes what checkpoints need for the product, which is off until [`set_on`]; that makes the queue, too.
pub(crate) fn make_ready(node: Node) {
    let before = RUNNING.swap(Some(Arc::new(Running::new(node, false))));
    GENERATION.fetch_add(1, Ordering::Release);
    leave(before);
}

/// Takes the end of the queue that the worker looks after: once for each queue. Nothing before there is one.
pub(crate) fn take_waiting() -> Option<Waiting> {
    own();
    RUNNING.load_full()?.take_waiting()
}

/// Replaces what a parent has left behind; says whether there was any. Whoever comes first does it: worker and checkpoints get
/// the same queue.
fn own() -> bool {
    let before = RUNNING.load_full();
    let left = (before.as_ref()).filter(|running| running.forks != worker::forks());
    let Some(left) = left else {
        return false;
    };
    let own = Running::new(left.node, left.queue.is_some());
    replace(before, own);
    true
}

/// Puts something in place of what was found, unless somebody else was faster.
fn replace(found: Option<Arc<Running>>, running: Running) {
    let there = RUNNING.compare_and_swap(&found, Some(Arc::new(running)));
    drop(arc_swap::Guard::into_inner(there));
    GENERATION.fetch_add(1, Ordering::Release);
    leave(found);
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
                ..Running::clone(running)
            })
        })
    });
    GENERATION.fetch_add(1, Ordering::Release);
}

/// Switches it on or off. Off, checkpoints do nothing, and what waits is still sent.
pub(crate) fn set_on(on: bool) {
    if on {
        own();
        let found = RUNNING.load_full();
        if let Some(running) = found.clone().filter(|running| running.queue.is_none()) {
            replace(found, Running::new(running.node, true));
        }
    }
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

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
