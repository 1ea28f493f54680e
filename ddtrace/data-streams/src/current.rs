//! The pathway that this flow of work is on.
//!
//! It is handed down like baggage, by [`Inherited`]: to children of the active span, to tasks and threads that the span's context
//! is carried to. So two tasks on one thread do not see each other's, whichever is polled when. Consuming begins a pathway of
//! its own for the active span (or for the thread, if there is none), producing goes on with the one in force.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use ddtrace_core::trace::Inherited;

use crate::hash::Node;
use crate::pathway::{Passage, Pathway, Point};
use crate::tags::{Cache, Tag};
use crate::time::Nanoseconds;

/// Shared by whoever works because of the same message, so that producing here and there has the same parent.
pub(crate) type Shared = Mutex<Pathway>;

static CURRENT: Inherited<Shared> = Inherited::new("data streams");

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// The pathway in force.
pub(crate) fn get() -> Option<Pathway> {
    CURRENT.read(|shared| *lock(shared))
}

/// Puts another pathway in force.
pub(crate) fn set(pathway: Pathway) {
    CURRENT.set(Arc::new(Mutex::new(pathway)));
}

/// Puts none in force.
pub(crate) fn clear() {
    CURRENT.clear();
}

/// The pathway in force, to be put in force again by [`replace`].
pub(crate) fn shared() -> Option<Arc<Shared>> {
    CURRENT.get()
}

/// Puts what [`shared`] gave in force; nothing, if that was nothing. Gives what was in force before.
pub(crate) fn replace(shared: Option<Arc<Shared>>) -> Option<Arc<Shared>> {
    CURRENT.replace(shared)
}

/// Passes a checkpoint on the pathway in force, or on one that begins here. Gives the pathway after it.
pub(crate) fn pass(
    node: Node,
    tags: &[Tag<'_>],
    passage: Passage,
    now: Nanoseconds,
) -> (Pathway, Point) {
    let shared = CURRENT.get().unwrap_or_else(|| {
        let shared = Arc::new(Mutex::new(Pathway::begin(now)));
        CURRENT.set(Arc::clone(&shared));
        shared
    });
    let mut pathway = lock(&shared);
    let point = pass_on(&mut pathway, node, tags, passage, now);
    (*pathway, point)
}

/// Passes a checkpoint on a pathway that the caller holds.
pub(crate) fn pass_on(
    pathway: &mut Pathway,
    node: Node,
    tags: &[Tag<'_>],
    passage: Passage,
    now: Nanoseconds,
) -> Point {
    let known = CACHE.try_with(|cache| {
        let mut cache = cache.try_borrow_mut().ok()?;
        Some(pathway.pass(node, &mut cache, tags, passage, now))
    });
    match known {
        Ok(Some(point)) => point,
        // The thread is ending: without a memory.
        _ => pathway.pass(node, &mut Cache::default(), tags, passage, now),
    }
}

/// The bytes that the header adds to what is produced next.
pub(crate) fn header_size(now: Nanoseconds) -> u64 {
    get().unwrap_or_else(|| Pathway::begin(now)).header_size()
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Pathway> {
    // Held for the length of a checkpoint; nothing in there can panic half way and leave a pathway that is none.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
