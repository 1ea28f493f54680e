//! Ids, clock, spans, and what is active where.
//!
//! The life of a span:
//!
//! 1. An attribute, `span!` or an integration starts it at a static [`Site`]. If the site is off, that was all.
//! 2. It is an *open span*: a value of 48 bytes with one owner. [`enter`] puts it on the thread's stack, whose top is
//!    the active span; a [`Span`] holds it itself while it is not entered.
//! 3. What is written on it belongs to it ([`SpanGuard::set_tag`] and its like).
//! 4. When it ends it becomes a record in the buffer that the thread has in hand.
//! 5. When the last open span of the *segment* (the spans of one trace in this process under one local root) ends, the
//!    segment's buffers go to the worker. Very long segments go in parts.
//!
//! Nothing of that allocates in the steady state, takes a contended lock, or waits. What needs a decision or a conversion
//! is done by the worker, except at the border to other processes: extracting and injecting contexts.
//!
//! Layers, lowest first: `id`, `clock`, `service`, `site`, `attachment`, `tags` · `open` · `outbox`, `visits`, `segment`, `tracer` (one knot: a
//! segment belongs to a tracer, a tracer hands out queues for segments) · `local` · `write`, `baggage` · `context`, `inherited`, `guard`, `span` ·
//! `future`, `border`, `builder`, `shared`.

mod any;
mod attachment;
mod baggage;
mod border;
mod builder;
pub(crate) mod clock;
mod context;
mod failure;
mod future;
mod guard;
mod id;
mod inherited;
pub(crate) mod local;
pub(crate) mod open;
pub(crate) mod outbox;
pub(crate) mod panic;
mod pointer;
pub(crate) mod segment;
pub(crate) mod service;
mod shared;
mod site;
mod span;
mod tags;
pub(crate) mod tracer;
mod visits;
pub(crate) mod write;

pub use any::AnySpan;
pub(crate) use attachment::settle;
pub use attachment::{Attachment, Settled};
pub use baggage::baggage;
pub use border::{
    active_ids, current_config, extract, extract_for, inject, inject_context, inject_context_with,
    inject_extracted, inject_span, on_injection,
};
pub(crate) use border::{current_config_number, traceparent};
pub use builder::SpanBuilder;
pub use context::{Attached, Context};
#[doc(hidden)]
pub use failure::Failure;
pub(crate) use failure::Reach;
pub use future::{
    EnterOnPoll, InContext, Instrumented, InstrumentedIter, InstrumentedLater, InstrumentedStream,
    Observe, PollWithin, Unobserved, carry, carry_fn, enter_on_poll, instrument, instrument_iter,
    instrument_iter_in, instrument_site, instrument_site_with, instrument_start,
    instrument_start_with, instrument_stream, instrument_stream_in, instrument_with, poll_within,
};
pub use guard::{
    CurrentSpan, SpanGuard, SpanRef, active_at, current_root_span, current_span, enter,
    enter_child_of, enter_if, enter_off, enter_root,
};
pub use id::{SpanContextId, SpanId, TraceId};
pub use inherited::Inherited;
pub use pointer::PointerDirection;
pub(crate) use service::ServiceId;
pub use shared::{SharedEntry, SharedSpan};
pub use site::{Site, SpanKind};
pub use span::{Entered, Span, Start};
pub use tags::{EventValue, SpanEvent, SpanLink, Tag, TagValue, Value};
pub(crate) use tags::{StoredValue, Tags};
pub(crate) use write::ErrorText;

#[cfg(test)]
mod tests;
