//! Which spans this thread has entered, so that each exit finds its entry, in whatever order they come.

use std::cell::RefCell;
use std::sync::Arc;

use ddtrace_core::trace::SharedEntry;

use crate::bridged::Bridged;

struct Active {
    /// The layer that the id belongs to: several subscribers give the same ids.
    layer: usize,
    id: u64,
    bridged: Arc<Bridged>,
    entry: SharedEntry,
}

thread_local! {
    static ACTIVE: RefCell<Vec<Active>> = const { RefCell::new(Vec::new()) };
}

/// Makes a span active on this thread.
pub(crate) fn enter(layer: usize, id: u64, bridged: Arc<Bridged>) {
    let entry = bridged.span.enter();
    let active = Active {
        layer,
        id,
        bridged,
        entry,
    };
    // Late in the life of a thread there is nothing to remember it by, and nobody to look.
    let _ = ACTIVE.try_with(|all| {
        if let Ok(mut all) = all.try_borrow_mut() {
            all.push(active);
        }
    });
}

/// Undoes the last [`enter`] of that span on this thread, if there was one.
pub(crate) fn exit(layer: usize, id: u64) {
    let active = ACTIVE.try_with(|all| {
        let mut all = all.try_borrow_mut().ok()?;
        let is_it = |active: &Active| active.layer == layer && active.id == id;
        let at = all.iter().rposition(is_it)?;
        Some(all.remove(at))
    });
    if let Ok(Some(Active { bridged, entry, .. })) = active {
        bridged.span.leave(entry);
    }
}
