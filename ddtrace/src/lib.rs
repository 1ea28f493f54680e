//! Observability for Rust with one attribute: traces for Datadog, at compile time.
//!
//! ```no_run
//! use ddtrace::trace;
//!
//! #[trace] // a span; an `Err` that is returned marks it as failed
//! fn checkout(items: usize) -> Result<f64, std::io::Error> {
//!     Ok(price(items))
//! }
//!
//! #[trace(name = "cart.price", tags(items = items), ret)]
//! fn price(items: usize) -> f64 {
//!     items as f64 * 9.99
//! }
//!
//! fn main() {
//!     let _ddtrace = ddtrace::init(); // reads DD_*, sends to the agent on localhost:8126
//!     let _ = checkout(3);
//! }
//! ```
//!
//! # Where spans come from
//!
//! * [`#[trace]`](trace) on functions, methods, `async fn`s, whole `impl` blocks and modules;
//! * [`span!`] for a piece of a function;
//! * integrations, one cargo feature each (below);
//! * [`Span`] by hand: [`Span::builder`].
//!
//! # Metrics and logs
//!
//! [`dogstatsd`] sends metrics, events and service checks of the program's own: `dogstatsd::increment("orders", 1, &["currency:eur"])`.
//! [`runtime_metrics`] says how the process and its tokio runtimes do, with `DD_RUNTIME_METRICS_ENABLED=true`.
//! Log records get the ids of their trace by the features `tracing` and `log`; for other loggers [`correlation`] gives the fields.
//!
//! # Features
//!
//! | feature | what it does | default |
//! |---|---|---|
//! | `enabled` | without it anywhere in the program, attributes expand to the plain item; libraries depend with `default-features = false` | yes |
//! | `ci-visibility` | the library half of `cargo ddtrace test`, for harnesses of your own: `ddtrace::ci_visibility` | no |
//! | `data-streams` | Data Streams Monitoring: `ddtrace::data_streams` | no |
//! | `llmobs` | LLM Observability: `ddtrace::llmobs` | no |
//! | `llmobs-evaluators` | evaluators that run inside the program: `ddtrace::llmobs::evaluators` | no |
//! | `agentless` | straight to Datadog, without an agent: `DD_AGENTLESS_ENABLED=true`, `DD_API_KEY` | no |
//! | `async-openai` | spans for async-openai 0.41: `Client::new().traced()` by `ddtrace::async_openai::ClientExt`; LLM spans with `llmobs` | no |
//! | `aws-sdk` | spans for the AWS SDK, of any service, and trace context in its messages: `aws_sdk_sqs::config::Builder::from(&sdk_config).interceptor(ddtrace::aws_sdk::interceptor())` | no |
//! | `axum` | server spans for axum 0.8: `Router::layer(ddtrace::axum::layer())` | no |
//! | `hyper` | server and client spans for hyper 1: `ddtrace::hyper::server::trace(service)`, `ddtrace::hyper::client::send` | no |
//! | `hyper-util` | the same for hyper-util's client: `client.request_traced(request)` by `ddtrace::hyper::client::ClientExt` | no |
//! | `kafka` | `rdkafka` on tokio, and `data-streams` | no |
//! | `lapin` | spans for messages of RabbitMQ with lapin 4, and their headers: `use ddtrace::lapin::Connection` in place of lapin's | no |
//! | `log` | ids of traces in the records of the crate `log`: `ddtrace::log::init(logger, level)` | no |
//! | `rdkafka` | producer and consumer spans for rdkafka 0.39, offsets for data streams: `use ddtrace::rdkafka::FutureProducer` in place of rdkafka's | no |
//! | `redis` | command spans for redis 1: `ddtrace::redis::Traced::new(connection, client.get_connection_info())` | no |
//! | `redis-cluster`, `redis-connection-manager` | with redis: pipelines and routed commands of clusters; subscriptions of these connections | no |
//! | `reqwest` | client spans for reqwest 0.13: `request.send_traced()` by `ddtrace::reqwest::RequestBuilderExt` | no |
//! | `reqwest-blocking` | the same for its blocking client: `ddtrace::reqwest::blocking::RequestBuilderExt` | no |
//! | `reqwest-middleware` | the same for `reqwest-middleware` 0.5: `ClientBuilder::with(ddtrace::reqwest::middleware::layer())` | no |
//! | `rig` | spans for rig 0.44: `client.with_http(ddtrace::rig::Traced::new(rig_reqwest::shared()))`; LLM spans with `llmobs` | no |
//! | `opentelemetry` | spans of the `opentelemetry` 0.33 interface become ours, and the other way round: `DD_TRACE_OTEL_ENABLED=true` or `ddtrace::opentelemetry::install()` | no |
//! | `sqlx-postgres`, `sqlx-mysql`, `sqlx-sqlite` | query spans for sqlx 0.9 on these databases: `ddtrace::sqlx::Traced::new(pool)` | no |
//! | `sqlx-0_8-postgres`, `sqlx-0_8-mysql`, `sqlx-0_8-sqlite` | the same for sqlx 0.8: `ddtrace::sqlx_0_8` | no |
//! | `tokio-postgres` | query spans for tokio-postgres 0.7: `ddtrace::tokio_postgres::connect(config, tls)` | no |
//! | `tonic` | server and client spans for gRPC calls of tonic 0.14: `Server::builder().layer(ddtrace::tonic::server::layer())`, `ddtrace::tonic::client::trace(channel)` | no |
//! | `tower` | server and client spans for any `Service<http::Request<B>>`: `ddtrace::tower::server::layer()`, `ddtrace::tower::client::layer()` | no |
//! | `tracing` | spans of the crate `tracing` as spans of this one, `registry().with(ddtrace::tracing::layer())`, and ids in its log records, `map_event_format(ddtrace::tracing::correlated)` | no |
//!
//! A library that is not in the list: [`write_an_integration`].
//!
//! # What it costs
//!
//! Off: one relaxed load per annotated function. On: two clock reads and about 170 instructions per span, no allocation in the
//! steady state, no lock, no system call. Everything else (sampling, encoding, sending) is done by one background
//! thread. The tracer never blocks or panics into the program; what does not fit into its bounded queues is dropped and counted.

// The attributes expand to paths that begin with `::ddtrace`, here as well.
#[allow(unused_extern_crates, reason = "expansions inside this crate need it")]
extern crate self as ddtrace;

pub mod error;
pub mod testing;
#[doc = include_str!("docs/write_an_integration.md")]
pub mod write_an_integration {}

pub use ddtrace_core::export::{SpanData, TraceFilter};
pub use ddtrace_core::propagation::Baggage;
pub use ddtrace_core::test_support;
pub use ddtrace_core::trace::{
    Attached, Context, CurrentSpan, Entered, EventValue, InContext, Instrumented,
    InstrumentedStream, PointerDirection, Span, SpanBuilder, SpanContextId, SpanEvent, SpanGuard,
    SpanId, SpanKind, SpanLink, SpanRef, Tag, TagValue, TraceId, Value, active_ids, baggage, carry,
    carry_fn, current_config, current_root_span, current_span, extract, inject, inject_context,
    inject_context_with, inject_extracted, instrument,
};
pub use ddtrace_core::worker::{
    Builder, Counts, Guard, agent_known_within, counts, flush, flush_within,
};
// A crate that is never named is not linked, and what it registers is missing.
#[cfg(feature = "ci-visibility")]
pub use ddtrace_ci_visibility as ci_visibility;
#[cfg(feature = "data-streams")]
pub use ddtrace_data_streams as data_streams;

#[cfg(feature = "llmobs")]
pub use ddtrace_llmobs as llmobs;

#[cfg(feature = "async-openai")]
pub use ddtrace_async_openai as async_openai;
#[cfg(feature = "aws-sdk")]
pub use ddtrace_aws_sdk as aws_sdk;
#[cfg(feature = "axum")]
pub use ddtrace_axum as axum;
#[cfg(feature = "hyper")]
pub use ddtrace_hyper as hyper;
#[cfg(feature = "lapin")]
pub use ddtrace_lapin as lapin;
#[cfg(feature = "log")]
pub use ddtrace_log as log;
#[cfg(feature = "opentelemetry")]
pub use ddtrace_opentelemetry as opentelemetry;
#[cfg(feature = "rdkafka")]
pub use ddtrace_rdkafka as rdkafka;
#[cfg(feature = "redis")]
pub use ddtrace_redis as redis;
#[cfg(feature = "reqwest")]
pub use ddtrace_reqwest as reqwest;
#[cfg(feature = "rig")]
pub use ddtrace_rig as rig;
#[cfg(feature = "sqlx")]
pub use ddtrace_sqlx as sqlx;
#[cfg(feature = "sqlx-0_8")]
pub use ddtrace_sqlx_0_8 as sqlx_0_8;
#[cfg(feature = "tokio-postgres")]
pub use ddtrace_tokio_postgres as tokio_postgres;
#[cfg(feature = "tonic")]
pub use ddtrace_tonic as tonic;
#[cfg(feature = "tower")]
pub use ddtrace_tower as tower;
#[cfg(feature = "tracing")]
pub use ddtrace_tracing as tracing;

pub use ddtrace_core::{
    config, correlation, dogstatsd, events, instrument as registry, propagation, remote_config,
    runtime_metrics, sampling,
};

/// Starts the tracer with what the environment and the stable configuration files say.
///
/// Keep the guard until the end of `main`: dropping it sends what is left, within 5 seconds. Without `init()` everything is
/// off. A second call while the first guard lives warns and changes nothing.
pub fn init() -> Guard {
    builder().init()
}

/// Configures the tracer in code: `ddtrace::builder().service("checkout").init()`.
pub fn builder() -> Builder {
    Builder::new()
}

/// The attributes and macros of a product: real with its feature, else such as say that it is missing.
macro_rules! attributes {
    ($($feature:literal: $($doc:literal $name:ident $plain:ident $missing:ident)*;)*) => {$(attributes!(@ $feature: $($doc $name $plain $missing)*);)*};
    (@ $feature:literal: $($doc:literal $name:ident $plain:ident $missing:ident)*) => {$(
        #[doc = include_str!($doc)]
        #[cfg(all(feature = $feature, not(target_arch = "wasm32")))]
        pub use ddtrace_macros::$name;
        #[cfg(all(feature = $feature, target_arch = "wasm32"))]
        pub use ddtrace_macros::$plain as $name;
        #[doc = include_str!($doc)]
        #[cfg(not(feature = $feature))]
        pub use ddtrace_macros::$missing as $name;
    )*};
}

attributes! {
    "data-streams":
        "docs/dsm_checkpoint.md" dsm_checkpoint plain_dsm_checkpoint missing_dsm_checkpoint
        "docs/dsm_transaction.md" dsm_transaction plain_dsm_transaction missing_dsm_transaction;
    "llmobs":
        "docs/llm.md" llm plain_llm missing_llm
        "docs/workflow.md" workflow plain_workflow missing_workflow
        "docs/agent.md" agent plain_agent missing_agent
        "docs/tool.md" tool plain_tool missing_tool
        "docs/task.md" task plain_task missing_task
        "docs/embedding.md" embedding plain_embedding missing_embedding
        "docs/llm_block.md" llm_block plain_llm_block missing_llm_block
        "docs/retrieval.md" retrieval plain_retrieval missing_retrieval;
}

#[doc = include_str!("docs/git_metadata.md")]
#[cfg(not(target_arch = "wasm32"))]
pub use ddtrace_macros::git_metadata;

#[doc = include_str!("docs/dependencies.md")]
#[cfg(not(target_arch = "wasm32"))]
pub use ddtrace_macros::dependencies;
#[doc = include_str!("docs/main.md")]
#[cfg(not(target_arch = "wasm32"))]
pub use ddtrace_macros::main;
#[doc = include_str!("docs/span.md")]
#[cfg(not(target_arch = "wasm32"))]
pub use ddtrace_macros::span;
#[doc = include_str!("docs/test.md")]
#[cfg(not(target_arch = "wasm32"))]
pub use ddtrace_macros::test;
#[doc = include_str!("docs/trace.md")]
#[cfg(not(target_arch = "wasm32"))]
pub use ddtrace_macros::trace;
#[doc = include_str!("docs/trace_block.md")]
#[cfg(not(target_arch = "wasm32"))]
pub use ddtrace_macros::trace_block;
#[cfg(target_arch = "wasm32")]
pub use ddtrace_macros::{
    plain_dependencies as dependencies, plain_git_metadata as git_metadata, plain_main as main,
    plain_span as span, plain_test as test, plain_trace as trace, plain_trace_block as trace_block,
};

/// What the attributes expand to. Not for use by hand: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::testing;
    pub use ddtrace_core::git_metadata::EmbeddedGit;
    pub use ddtrace_core::instrument::{DDTRACE_SITES, capture::*, inventory, linkme};
    pub use ddtrace_core::telemetry::EmbeddedDependencies;
    pub use ddtrace_core::trace::*;
    #[cfg(feature = "data-streams")]
    pub use ddtrace_data_streams::instrument as dsm;
    #[cfg(feature = "llmobs")]
    pub use ddtrace_llmobs::instrument as llm;
}
