//! The OpenTelemetry interface (crate `opentelemetry` 0.33) on top of our spans.
//!
//! ```
//! use opentelemetry::trace::{Tracer, TracerProvider as _};
//!
//! let provider = ddtrace_opentelemetry::TracerProvider::new();
//! let tracer = provider.tracer("checkout");
//! tracer.in_span("GET /cart", |_| {
//!     // a span of ours: `#[trace]`, integrations and log correlation see it as the active one
//! });
//! ```
//!
//! With `DD_TRACE_OTEL_ENABLED=true` (or `OTEL_SDK_DISABLED=false`) `init()` calls [`install`]: provider and propagator become the global
//! ones, and libraries that speak OpenTelemetry are traced without another line.
//!
//! # What becomes of a span
//!
//! The name is the **resource**. The **operation name** follows from kind and attributes ([below](#operation-names)). Attributes
//! become tags: texts and booleans `meta`, numbers `metrics`, arrays one tag an element (`key.0`, `key.1`). These have a meaning of
//! their own:
//!
//! | attribute | what it does |
//! |---|---|
//! | `operation.name`, `service.name`, `resource.name`, `span.type` | set the field |
//! | `analytics.event` | a boolean, sets the metric `_dd1.sr.eausr` |
//! | `http.response.status_code` | becomes `http.status_code` |
//!
//! The kind is the tag `span.kind`. Status *error* marks the span as failed and its description is `error.message`; *ok* takes that
//! back and is final. An event named `exception` also describes the failure (`error.type`, `error.message`, `error.stack`) if
//! the status says that there is one. Links and events are kept.
//!
//! Products may follow spans whose attributes they know: with LLM Observability, spans with the conventions for generative AI
//! (`gen_ai.*`) are spans of that product as well. Attributes that say what a span does belong into its builder: what began
//! before they came is not below it.
//!
//! ## Operation names
//!
//! | kind | attributes | name |
//! |---|---|---|
//! | server, client | `http.request.method` | `http.server.request`, `http.client.request` |
//! | client | `db.system` | `<db.system>.query` |
//! | any but internal | `messaging.system`, `messaging.operation` | `<system>.<operation>` |
//! | client | `rpc.system` = `aws-api` | `aws.<rpc.service>.request`, `aws.client.request` |
//! | client, server | `rpc.system` | `<system>.client.request`, `<system>.server.request` |
//! | client | `faas.invoked_provider`, `faas.invoked_name` | `<provider>.<name>.invoke` |
//! | server | `faas.trigger` | `<trigger>.invoke` |
//! | any | `graphql.operation.type` | `graphql.server.request` |
//! | server, client | `network.protocol.name` | `<protocol>.server.request`, `<protocol>.client.request` |
//! | server, client | | `server.request`, `client.request` |
//! | others | | `internal`, `producer`, `consumer` |
//!
//! # One active span
//!
//! A context of OpenTelemetry that is attached makes its span the active one here as well. The other way round, a span that
//! OpenTelemetry starts in the current context is a child of our active span. OpenTelemetry's own `Context::current().span()` knows only
//! what was attached to it; [`current`] is that context with our active span in it, and [`ContextExt`] goes between the two.
//!
//! Baggage goes along both ways: that of an attached context is in force here, and ours is in the contexts that are made from it.
//!
//! A context whose span came from another process, once attached, is continued by spans of OpenTelemetry; `#[trace]` below it does not
//! see it. Sampling is decided when somebody reads a span's context, and attaching a span reads it: what
//! rules are to look at has to be given when the span is built.

mod attributes;
mod baggage;
mod context;
mod observer;
mod operation;
mod propagator;
mod provider;
mod span;
mod w3c;

pub use context::{ContextExt, current};
pub use propagator::Propagator;
pub use provider::{Tracer, TracerProvider, install};
pub use span::Span;

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("opentelemetry", "opentelemetry", "0.33")
        .starting_with(provider::install_if_enabled)
}
