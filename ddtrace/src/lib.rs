//! Observability for Rust with one attribute.

// The attributes expand to paths that begin with `::ddtrace`, here as well.
extern crate self as ddtrace;

pub use ddtrace_core::export::{SpanData, TraceFilter};
pub use ddtrace_core::test_support;
pub use ddtrace_core::trace::{
    Attached, Context, CurrentSpan, Entered, EventValue, InContext, Instrumented,
    InstrumentedStream, Span, SpanContextId, SpanEvent, SpanGuard, SpanId, SpanKind, SpanLink,
    SpanRef, Tag, TagValue, TraceId, Value, active_ids, carry, carry_fn, current_root_span,
    current_span, extract, inject, inject_context, instrument,
};
pub use ddtrace_core::{config, diagnostics, events, propagation, sampling, trace};

/// What the attributes expand to. Not for use by hand: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use ddtrace_core::instrument::{SITES, linkme};
    pub use ddtrace_core::trace::*;

    /// The span that is active inside an instrumented future.
    #[inline]
    pub fn active() -> CurrentSpan {
        current_span()
    }

    /// A future within a span that starts here.
    #[inline]
    pub fn instrument_site<F: Future>(site: &'static Site, future: F) -> Instrumented<F> {
        instrument(Span::start(site), future)
    }

    /// The same with a look at the output before the span ends.
    #[inline]
    pub fn instrument_site_with<F, O>(
        site: &'static Site,
        future: F,
        observe: O,
    ) -> Instrumented<F, O>
    where
        F: Future,
        O: Fn(&F::Output, &mut Span),
    {
        instrument_with(Span::start(site), future, observe)
    }
}
