//! A span that has several owners: entered on several threads at once, left in any order, written from anywhere.
//!
//! For bridges to libraries whose spans are like that (`tracing`). The first thread that enters it takes the [`Span`] onto
//! its stack, where it is the active span like any other; a thread that enters it meanwhile attaches its [`Context`].
//! Leaving does not have to go in reverse: a span that is left while others are open above it goes back to its owner, and a mark
//! stays in its place until those are gone.
//!
//! Cost over a [`Span`]: an uncontended lock per call. Nothing here is on the way of spans that are not shared.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::clock;
use super::context::{Attached, Context};
use super::guard::SpanRef;
use super::id::SpanContextId;
use super::span::Span;
use super::write::{Pen, writing_methods};
use crate::propagation::Baggage;

/// A span that may be shared.
///
/// ```
/// use ddtrace_core::trace::{SharedSpan, Site, Span};
///
/// ddtrace_core::site! { static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!()); }
///
/// let span = SharedSpan::new(Span::start(&WORK));
/// let entry = span.enter();
/// // spans made here are its children
/// span.leave(entry);
/// ```
#[derive(Debug)]
pub struct SharedSpan {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    span: Span,
    /// It is on the stack of a thread: whoever writes on it meanwhile goes by this.
    placed: Option<SpanRef>,
    /// Ticks at which it was left the last time.
    left: Option<u64>,
}

/// That a span was entered; given back to [`SharedSpan::leave`].
///
/// Dropped without that, the span stays active until what is below it on the thread ends.
#[must_use = "the span is active until it is left"]
#[derive(Debug)]
pub struct SharedEntry(Entry);

#[derive(Debug)]
enum Entry {
    /// The span is off, or the thread can't take it.
    Off,
    /// The span itself is on the stack.
    Placed,
    /// It is on another thread's, or on this one's already.
    Attached(Attached),
}

impl SharedSpan {
    /// Shares a span.
    pub fn new(span: Span) -> Self {
        Self {
            state: Mutex::new(State {
                span,
                placed: None,
                left: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it active on this thread.
    pub fn enter(&self) -> SharedEntry {
        let mut state = self.state();
        if state.placed.is_none() {
            let reference = state.span.reference();
            if state.span.swap_in() == 0 {
                return SharedEntry(Entry::Off);
            }
            state.placed = Some(reference);
            return SharedEntry(Entry::Placed);
        }
        let context = state.context();
        drop(state);
        SharedEntry(Entry::Attached(context.attach()))
    }

    /// Undoes an [`enter`](Self::enter) on the same thread, whatever was entered since.
    pub fn leave(&self, entry: SharedEntry) {
        match entry.0 {
            Entry::Off => return,
            Entry::Attached(attached) => attached.detach_anywhere(),
            Entry::Placed => {
                let mut state = self.state();
                state.placed = None;
                state.span.swap_out_anywhere();
            }
        }
        self.state().left = Some(clock::now());
    }

    /// The span's place, to be carried elsewhere.
    pub fn context(&self) -> Context {
        self.state().context()
    }

    /// Which span of which trace it is; zeros when tracing is off.
    pub fn id(&self) -> SpanContextId {
        self.state().span.id()
    }

    /// Ends the span now.
    pub fn finish(self) {}

    /// Ends the span at the moment at which it was left the last time; now, if it was never entered.
    pub fn finish_when_left(self) {
        let mut state = self.state();
        state.settle();
        if let Some(ticks) = state.left {
            state.span.end_at(ticks);
        }
    }

    /// Ends the span at a moment of the caller's.
    pub fn finish_at(self, time: SystemTime) {
        let mut state = self.state();
        state.settle();
        std::mem::replace(&mut state.span, Span::off()).finish_at(time);
    }

    fn recording(&self) -> bool {
        self.state().span.recording()
    }

    /// Changes its baggage. While it is on the stack of another thread, nobody but that thread can.
    pub(super) fn change_baggage(&self, change: impl FnOnce(&mut Baggage)) {
        let mut state = self.state();
        if state.placed.is_some() {
            super::baggage::change_span(state.span.id().span_id.get(), change);
        } else {
            state.span.change_baggage(change);
        }
    }

    fn pen<R>(&self, write: impl FnOnce(&mut Pen<'_>) -> R) -> Option<R> {
        let mut state = self.state();
        match &state.placed {
            Some(reference) => reference.pen(write),
            None => state.span.pen(write),
        }
    }

    writing_methods!(self: &Self);
}

impl State {
    /// What the span hands down is on the stack while the span is, which another thread does not see.
    fn context(&self) -> Context {
        let mut context = self.span.context();
        let segment = self.span.segment();
        if self.placed.is_some() && segment.is_some_and(|segment| segment.has_own_baggage()) {
            if let Some(own) = super::baggage::on_this_thread(self.span.id().span_id.get()) {
                context.change_baggage(|baggage| *baggage = own);
            }
        }
        context
    }

    /// Takes the span back if it is still on the stack. On that of another thread it stays, and ends with what is below it.
    fn settle(&mut self) {
        if self.placed.take().is_some() {
            self.span.swap_out_anywhere();
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.settle();
    }
}

impl Span {
    /// A reference to it, by which others can write on it while it is on a stack.
    fn reference(&self) -> SpanRef {
        match self.segment() {
            Some(segment) => SpanRef::of(segment, self.span_id().get()),
            None => SpanRef::default(),
        }
    }
}
