//! The crate `tracing`, both ways: its spans become spans of ddtrace, and its log records carry the ids of traces.
//!
//! # Spans
//!
//! ```
//! use tracing_subscriber::prelude::*;
//!
//! tracing_subscriber::registry().with(ddtrace_tracing::layer()).init();
//!
//! #[tracing::instrument(fields(otel.kind = "client"))]
//! fn price(items: usize) -> f64 {
//!     items as f64 * 9.99 // a span `price` with the tags `items` and `span.kind`
//! }
//! # price(3);
//! ```
//!
//! Code that is annotated with `#[instrument]` already, in the program or in a library, shows up without a change. Contexts go both ways:
//! a span of ddtrace is the parent of the tracing spans that are created under it, and the other way round; an integration's span
//! under a tracing span is its child. Across `.await`, threads, and enters and exits in any order.
//!
//! | of tracing | becomes |
//! |---|---|
//! | the span's name, or the field `otel.name` | operation name |
//! | fields | tags; numbers become metrics, `service.name`, `resource.name`, `span.type` do what they say |
//! | target, level | tags `target`, `level` |
//! | field `otel.kind` | tag `span.kind` |
//! | field `otel.status_code` | `ERROR` marks the span as failed, `OK` as not, whatever else says so; `otel.status_description` is `error.message` |
//! | fields `error`, `err` | an error marks the span with type, message and causes, a text with the message, a boolean alone |
//! | fields `exception.type`, `exception.message`, `exception.stacktrace` | `error.type`, `error.message`, `error.stack` |
//! | an event inside the span | a span event with the event's message as its name, at most 128 per span |
//! | an event at level `ERROR` with one of the error fields, as `#[instrument(err)]` writes it | the same, and the span is marked as failed |
//! | `follows_from` | a span link |
//! | the last exit | the span's end |
//!
//! A tracing span is closed when its last handle is gone, which may be long after its work is done: handles are captured
//! by tasks, and children keep their parents. So the end is the moment at which it was left the last time; what has finished below
//! it is sent early if it is much.
//!
//! Spans and events of `h2`, `hyper`, `tokio` and `mio` are left out, as are events below `INFO`; [`Bridge`] has the switches, and
//! `tracing_subscriber`'s filters work as for any layer. `DD_TRACE_TRACING_ENABLED=false` switches the spans off.
//!
//! Products may follow spans whose fields they know: with LLM Observability, spans of libraries that speak OpenTelemetry's conventions for
//! generative AI (`gen_ai.*`) are spans of that product as well.
//!
//! # Log records
//!
//! ```
//! # fn of_a_program() {
//! tracing_subscriber::fmt().json().map_event_format(ddtrace_tracing::correlated).init();
//! # }
//! # fn with_text() {
//! tracing_subscriber::fmt().map_event_format(ddtrace_tracing::correlated).init();
//! # }
//! ```
//!
//! Every record then has `dd.trace_id`, `dd.span_id`, `dd.service`, `dd.env` and `dd.version`: see [`Correlated`]. `DD_LOGS_INJECTION`
//! switches that off, at run time too.
//!
//! # The tracer's own lines
//!
//! With this crate linked, what the tracer has to say about itself goes to the program's subscriber, target `ddtrace`, if it wants it;
//! else to standard error.

mod active;
mod bridge;
mod bridged;
mod correlated;
mod fields;
mod sink;
mod site;

pub use bridge::{Bridge, layer};
pub use correlated::{Correlated, correlated};

/// The target of the tracer's own lines. Nothing of it ever becomes a span or an event of one.
const OWN_TARGET: &str = "ddtrace";

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("tracing", "tracing", "0.1").starting_with(sink::install)
}
