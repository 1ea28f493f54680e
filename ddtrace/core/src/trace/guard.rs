//! Handles on spans of this thread's stack, and the reference to a span that may be elsewhere.

use std::marker::PhantomData;
use std::sync::Arc;

use super::baggage::{self, baggage_methods};
use super::context::Context;
use super::id::{SpanContextId, SpanId};
use super::local;
use super::open::{Open, flags};
use super::segment::{LateTag, Segment};
use super::site::Site;
use super::write::{Pen, writing_methods};
use crate::propagation::Baggage;

/// A span that is active on this thread until the guard is dropped.
///
/// Made by the attributes, by `span!` and by [`enter`]. It is one integer and cannot leave its thread: holding it over an
/// `.await` in a future that must be `Send` does not compile; use `#[trace]` on the async function, or
/// [`instrument`](super::instrument).
#[must_use = "the span ends when the guard is dropped"]
#[derive(Debug)]
pub struct SpanGuard {
    /// 0: off.
    id: u64,
    /// Not `Send`: the span is on this thread's stack.
    thread_bound: PhantomData<*const ()>,
}

/// Starts a span at a site and makes it active. One relaxed load when tracing is off.
///
/// It becomes a child of the active span, or the root of a new trace if there is none.
#[inline]
pub fn enter(site: &'static Site) -> SpanGuard {
    let word = site.word();
    SpanGuard::new(if word == 0 {
        0
    } else {
        local::enter_on(site, word)
    })
}

/// Like [`enter`] if `on`, otherwise a guard that does nothing.
#[inline]
pub fn enter_if(on: bool, site: &'static Site) -> SpanGuard {
    if on { enter(site) } else { enter_off() }
}

/// A guard that does nothing.
#[inline]
pub fn enter_off() -> SpanGuard {
    SpanGuard::new(0)
}

/// Starts the root of a new trace and makes it active, whatever is active now.
#[inline]
pub fn enter_root(site: &'static Site) -> SpanGuard {
    let word = site.word();
    if word == 0 {
        return enter_off();
    }
    SpanGuard::new(local::with_current(|local| local.push_root(site, word)).unwrap_or(0))
}

/// Starts a child of a span that may be elsewhere and makes it active. Without a span in the context it is a root.
pub fn enter_child_of(site: &'static Site, parent: &Context) -> SpanGuard {
    let word = site.word();
    if word == 0 {
        return enter_off();
    }
    SpanGuard::new(
        local::with_current(|local| local.push_child_of(site, word, parent)).unwrap_or(0),
    )
}

impl SpanGuard {
    #[inline]
    fn new(id: u64) -> Self {
        Self {
            id,
            thread_bound: PhantomData,
        }
    }

    #[inline]
    fn recording(&self) -> bool {
        self.id != 0
    }

    #[inline]
    fn pen<R>(&self, write: impl FnOnce(&mut Pen<'_>) -> R) -> Option<R> {
        if self.id == 0 {
            None
        } else {
            pen_on_stack(self.id, write)
        }
    }

    /// Ends the span now.
    pub fn finish(self) {}

    /// The span's id; zero when tracing is off.
    pub fn span_id(&self) -> SpanId {
        SpanId::new(self.id)
    }

    /// The baggage that is in force for the span. Empty if it is not open on this thread.
    pub fn baggage(&self) -> Baggage {
        if self.id == 0 {
            Baggage::new()
        } else {
            baggage::of_span(self.id)
        }
    }

    fn change_baggage(&self, change: impl FnOnce(&mut Baggage)) {
        if self.id != 0 {
            baggage::change_span(self.id, change);
        }
    }

    baggage_methods!(self: &Self);
    writing_methods!(self: &Self);
}

impl Drop for SpanGuard {
    #[inline]
    fn drop(&mut self) {
        if self.id != 0 {
            local::exit_on(self.id);
        }
    }
}

/// Writes on a span of this thread's stack.
#[inline]
fn pen_on_stack<R>(id: u64, write: impl FnOnce(&mut Pen<'_>) -> R) -> Option<R> {
    local::with(|local| {
        let (open, buffer) = local.find(id)?;
        Some(write(&mut Pen::with_buffer(open, buffer)))
    })
    .flatten()
}

/// The span that is active on this thread; does nothing if there is none.
///
/// ```
/// ddtrace_core::trace::current_span().set_tag("cart.items", 3);
/// ```
pub fn current_span() -> CurrentSpan {
    let id = local::with(|local| {
        local
            .stack
            .last()
            .filter(|top| top.flags & flags::CONTEXT == 0)
            .map_or(0, |top| top.id)
    });
    CurrentSpan {
        id: id.unwrap_or(0),
        thread_bound: PhantomData,
    }
}

/// The active span if it comes from this site, else one that does nothing: what an attribute writes on inside a future
/// whose span may be off while another one is active.
#[doc(hidden)]
pub fn active_at(site: &'static Site) -> CurrentSpan {
    let id = local::with(|local| {
        local
            .stack
            .last()
            .filter(|top| std::ptr::eq(top.site, site))
            .map_or(0, |top| top.id)
    });
    CurrentSpan {
        id: id.unwrap_or(0),
        thread_bound: PhantomData,
    }
}

/// The span that was active when [`current_span`] was called; to be used on the same thread, while it is open.
///
/// [`to_ref`](Self::to_ref) makes a reference that may go anywhere.
#[derive(Clone, Copy, Debug)]
pub struct CurrentSpan {
    id: u64,
    thread_bound: PhantomData<*const ()>,
}

impl CurrentSpan {
    #[inline]
    fn recording(&self) -> bool {
        self.id != 0
    }

    #[inline]
    fn pen<R>(&self, write: impl FnOnce(&mut Pen<'_>) -> R) -> Option<R> {
        if self.id == 0 {
            None
        } else {
            pen_on_stack(self.id, write)
        }
    }

    /// The span's id; zero if no span was active.
    pub fn span_id(&self) -> SpanId {
        SpanId::new(self.id)
    }

    /// A reference that may be kept and sent to other threads.
    pub fn to_ref(&self) -> SpanRef {
        let segment = local::with(|local| {
            local
                .find(self.id)
                .map(|(_, buffer)| Arc::clone(&buffer.segment))
        })
        .flatten();
        SpanRef {
            id: self.id,
            segment,
        }
    }

    /// The baggage that is in force for the span. Empty if it is not open on this thread.
    pub fn baggage(&self) -> Baggage {
        if self.id == 0 {
            Baggage::new()
        } else {
            baggage::of_span(self.id)
        }
    }

    fn change_baggage(&self, change: impl FnOnce(&mut Baggage)) {
        if self.id != 0 {
            baggage::change_span(self.id, change);
        }
    }

    baggage_methods!(self: &Self);
    writing_methods!(self: &Self);
}

/// The local root of the trace that is active on this thread: the span by which the trace entered this process.
///
/// Reaches it from any thread that works on the trace.
pub fn current_root_span() -> SpanRef {
    local::with(|local| local.segment().map(SpanRef::root_of))
        .flatten()
        .unwrap_or_default()
}

/// A reference to a span, possibly of another thread.
///
/// On the span's own thread it writes at once. Elsewhere what is written travels with the segment and is merged by the
/// worker, if it comes before the span is sent; at most 1024 writes per segment wait like that.
#[derive(Clone, Default)]
pub struct SpanRef {
    id: u64,
    segment: Option<Arc<Segment>>,
}

impl std::fmt::Debug for SpanRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanRef")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl SpanRef {
    /// The local root of a segment, if it has begun.
    pub(crate) fn root_of(segment: &Arc<Segment>) -> Self {
        Self {
            id: segment.root_id(),
            segment: Some(Arc::clone(segment)),
        }
    }

    /// A span of a segment.
    pub(crate) fn of(segment: &Arc<Segment>, id: u64) -> Self {
        Self {
            id,
            segment: Some(Arc::clone(segment)),
        }
    }

    fn recording(&self) -> bool {
        self.segment.is_some() && self.id != 0
    }

    pub(crate) fn pen<R>(&self, write: impl FnOnce(&mut Pen<'_>) -> R) -> Option<R> {
        let segment = self
            .segment
            .as_ref()
            .filter(|segment| segment.forks == super::tracer::forks())?;
        let is_here = local::with(|local| local.find(self.id).is_some()).unwrap_or(false);
        if is_here {
            return pen_on_stack(self.id, write);
        }
        let mut open = Open::EMPTY;
        let written = write(&mut Pen {
            open: &mut open,
            segment,
            spare: None,
        });
        let tags = open.tags.take().map(|tags| *tags).unwrap_or_default();
        segment.add_late(LateTag {
            span: self.id,
            tags,
            flags: open.flags,
            service: open.service,
        });
        Some(written)
    }

    /// The span's id.
    pub fn span_id(&self) -> SpanId {
        SpanId::new(self.id)
    }

    /// Whether a tag was set on it, by this thread, on which the span has to be open. False elsewhere.
    pub fn has_tag(&self, key: &str) -> bool {
        let found = local::with(|local| {
            let (open, _) = local.find(self.id)?;
            Some(open.tags.as_ref()?.get(key).is_some())
        });
        found.flatten().unwrap_or(false)
    }

    /// Which span of which trace it is.
    pub fn id(&self) -> SpanContextId {
        let trace_id = self
            .segment
            .as_ref()
            .map(|segment| segment.trace_id)
            .unwrap_or_default();
        SpanContextId {
            trace_id,
            span_id: self.span_id(),
        }
    }

    writing_methods!(self: &Self);
}
