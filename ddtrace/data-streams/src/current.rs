//! The pathway that this flow of work is on.
//!
//! It is handed down like baggage, by [`Inherited`]: to children of the active span, to tasks and threads that the span's context
//! is carried to. So two tasks on one thread do not see each other's, whichever is polled when. Consuming begins a pathway of
//! its own for the active span (or for the thread, if there is none), producing goes on with the one in force.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use ddtrace_core::trace::Inherited;

use crate::pathway::Pathway;

/// Shared by whoever works because of the same message, so that producing here and there has the same parent.
pub(crate) type Shared = Mutex<Pathway>;

static CURRENT: Inherited<Shared> = Inherited::new("data streams");

thread_local! {
    /// A pathway that nobody shares any more, for the next one: most handlers end on the thread on which they began.
    static SPARE: Cell<Option<Arc<Shared>>> = const { Cell::new(None) };
}

/// The pathway in force.
pub(crate) fn get() -> Option<Pathway> {
    CURRENT.read(|shared| *lock(shared))
}

/// Puts another pathway in force.
pub(crate) fn set(pathway: Pathway) {
    let before = CURRENT.replace(Some(share(pathway)));
    recycle(before);
}

/// Puts none in force.
pub(crate) fn clear() {
    recycle(CURRENT.replace(None));
}

/// The pathway in force, to be put in force again by [`replace`].
pub(crate) fn shared() -> Option<Arc<Shared>> {
    CURRENT.get()
}

/// Puts what [`shared`] gave in force; nothing, if that was nothing. Gives what was in force before.
pub(crate) fn replace(shared: Option<Arc<Shared>>) -> Option<Arc<Shared>> {
    CURRENT.replace(shared)
}

/// Changes the pathway in force, or one that `begin` gives, which is in force then.
pub(crate) fn change<R>(
    begin: impl FnOnce() -> Pathway,
    change: impl FnOnce(&mut Pathway) -> R,
) -> R {
    let shared = CURRENT.get().unwrap_or_else(|| {
        let shared = share(begin());
        CURRENT.set(Arc::clone(&shared));
        shared
    });
    change(&mut lock(&shared))
}

fn share(pathway: Pathway) -> Arc<Shared> {
    let mut spare = SPARE.try_with(Cell::take).ok().flatten();
    match spare.as_mut().and_then(Arc::get_mut) {
        Some(place) => *place.get_mut().unwrap_or_else(PoisonError::into_inner) = pathway,
        None => spare = None,
    }
    spare.unwrap_or_else(|| Arc::new(Mutex::new(pathway)))
}

/// Keeps a pathway that is not in force any more for the next one, if nobody else has it.
pub(crate) fn recycle(shared: Option<Arc<Shared>>) {
    let Some(shared) = shared else {
        return;
    };
    if Arc::strong_count(&shared) == 1 {
        let _ = SPARE.try_with(|spare| spare.set(Some(shared)));
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Pathway> {
    // Held for the length of a checkpoint; nothing in there can panic half way and leave a pathway that is none.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
