//! What baggage is in force where.
//!
//! Baggage belongs to spans and is inherited: a span has what its parent had when the span began, and changes are seen by
//! the span itself and by children that begin later. Almost no span changes it, so almost none holds any:
//!
//! * what came with the trace is held once, by the segment;
//! * a span whose baggage was changed holds its own, among its [rare](super::tags) fields;
//! * a span on the stack that holds none has that of the span under it, as far down as the span that the visit began with;
//! * what can outlive its parent on the stack (a task's span, a carried context) takes along what the parent had, but only
//!   in a segment in which some span changed it: one load otherwise;
//! * a thread without an active span may have baggage as well, by an attached [`Context`](super::Context) that points nowhere.
//!   Roots that begin on the thread take it over.
//!
//! So spans that are entered and left pay nothing for it.

use super::local::{self, Local};
use super::open::{Open, flags};
use super::segment::Segment;
use crate::propagation::Baggage;

/// The baggage that is in force on this thread: that of the active span, or of the attached context.
///
/// ```
/// assert!(ddtrace_core::trace::baggage().is_empty());
/// ```
pub fn baggage() -> Baggage {
    local::with(|local| local.active_baggage()).unwrap_or_default()
}

/// What an open span holds itself.
pub(crate) fn own(open: &Open) -> Option<&Baggage> {
    open.tags.as_ref()?.rare.as_ref()?.baggage.as_ref()
}

/// The same, to be changed: whoever gave it to the span has [noted](Segment::note_own_baggage) that.
fn own_mut(open: &mut Open) -> Option<&mut Baggage> {
    open.tags.as_mut()?.rare.as_mut()?.baggage.as_mut()
}

/// Gives an open span baggage of its own.
pub(crate) fn set_own(open: &mut Open, segment: &Segment, baggage: Baggage) {
    segment.note_own_baggage();
    open.tags.get_or_insert_default().rare().baggage = Some(baggage);
}

/// The baggage of a span that is not on a stack.
pub(crate) fn detached(open: &Open, segment: &Segment) -> Baggage {
    own(open).unwrap_or_else(|| segment.baggage()).clone()
}

impl Local {
    /// The baggage in force.
    pub(crate) fn active_baggage(&self) -> Baggage {
        self.active_baggage_ref().clone()
    }

    /// The same for a look at it.
    pub(super) fn active_baggage_ref(&self) -> &Baggage {
        match self.stack.open().len().checked_sub(1) {
            Some(top) => self.baggage_at(top),
            None => &self.ambient,
        }
    }

    /// The baggage of the span at an index of the stack.
    fn baggage_at(&self, index: usize) -> &Baggage {
        const NONE: &Baggage = &Baggage::new();
        let open = self.stack.open();
        for at in (0..=index).rev() {
            if let Some(baggage) = own(&open[at]) {
                return baggage;
            }
            if open[at].flags & flags::COUNTED != 0 {
                return self.segment_at(at).map_or(NONE, Segment::baggage);
            }
        }
        NONE
    }

    /// What a span or context that begins under the active one takes along; nothing if its segment knows all.
    #[inline]
    pub(crate) fn baggage_to_carry(&self) -> Option<Baggage> {
        let segment = self.segment()?;
        if segment.has_own_baggage() {
            Some(self.active_baggage())
        } else {
            None
        }
    }

    /// Changes the baggage of the span at an index of the stack. Nothing comes back if there is no such span.
    fn change_baggage_at<R>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut Baggage) -> R,
    ) -> Option<R> {
        if let Some(baggage) = own_mut(&mut self.stack.open_mut()[index]) {
            return Some(change(baggage));
        }
        let mut baggage = self.baggage_at(index).clone();
        let result = change(&mut baggage);
        self.segment_at(index)?.note_own_baggage();
        let open = &mut self.stack.open_mut()[index];
        open.tags.get_or_insert_default().rare().baggage = Some(baggage);
        Some(result)
    }

    /// Changes what is in force: of the active span, or of the thread.
    pub(super) fn change_active_baggage<R>(
        &mut self,
        change: impl FnOnce(&mut Baggage) -> R,
    ) -> Option<R> {
        match self.stack.open().len().checked_sub(1) {
            Some(top) => self.change_baggage_at(top, change),
            None => Some(change(&mut self.ambient)),
        }
    }

    /// The index of a span that is open on this thread.
    fn index_of(&self, id: u64) -> Option<usize> {
        let is_span = |open: &Open| open.id == id && open.flags & flags::CONTEXT == 0;
        self.stack.open().iter().rposition(is_span)
    }
}

/// The baggage of a span of this thread's stack.
pub(super) fn of_span(id: u64) -> Baggage {
    on_this_thread(id).unwrap_or_default()
}

/// The same, if the span is on this thread's stack.
pub(super) fn on_this_thread(id: u64) -> Option<Baggage> {
    local::with(|local| Some(local.baggage_at(local.index_of(id)?).clone())).flatten()
}

/// The baggage of whatever is at an index of this thread's stack.
pub(super) fn of_index(index: usize) -> Baggage {
    local::with(|local| local.baggage_at(index).clone()).unwrap_or_default()
}

/// Changes the baggage of a span of this thread's stack.
pub(super) fn change_span(id: u64, change: impl FnOnce(&mut Baggage)) {
    local::with(|local| {
        if let Some(index) = local.index_of(id) {
            local.change_baggage_at(index, change);
        }
    });
}

/// Changes the baggage of whatever is at an index of this thread's stack.
pub(super) fn change_index(index: usize, change: impl FnOnce(&mut Baggage)) {
    local::with(|local| local.change_baggage_at(index, change));
}

/// The public methods by which a handle changes baggage. The handle has `fn change_baggage(self, FnOnce(&mut Baggage))`.
macro_rules! baggage_methods {
    ($self:ident: $receiver:ty) => {
        /// Sends `value` along under `key` with every request that is made under this span, to services further on.
        ///
        /// Children that begin later inherit it; the parent does not see it. Nothing secret belongs here: it leaves the
        /// process as a header. What exceeds the bounds of [`Baggage`](crate::propagation::Baggage) is left out.
        pub fn set_baggage($self: $receiver, key: &str, value: &str) {
            $self.change_baggage(|baggage| {
                baggage.set(key, value);
            });
        }

        /// Takes one item out of the span's baggage.
        pub fn remove_baggage($self: $receiver, key: &str) {
            $self.change_baggage(|baggage| baggage.remove(key));
        }

        /// Takes everything out of the span's baggage.
        pub fn clear_baggage($self: $receiver) {
            $self.change_baggage(crate::propagation::Baggage::clear);
        }
    };
}
pub(super) use baggage_methods;
