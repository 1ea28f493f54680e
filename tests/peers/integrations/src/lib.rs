//! The integrations of `ddtrace` beside the other ways to trace the same libraries.
//!
//! Two programs: `benches/calls` measures one call of each library, `benches/end_to_end` a service that answers requests
//! with axum, sqlx and redis. Both start themselves once per tracer ([`process`]), since a tracer is global to its process,
//! take the tracers in turns, so that a busy moment of the machine hits all of them, and give each a [`sink`] of its own, which
//! counts the spans that arrive: for a tracer that delivers nothing no ratio is printed.
//!
//! # Who is compared
//!
//! [`Tracer`](tracers::Tracer) has one row per way to trace. Each is installed as its documentation says, with its batches and its real
//! exporter to loopback, and in its default configuration:
//!
//! | name | what it is |
//! | --- | --- |
//! | `bare` | the library alone |
//! | `off` | ours with `DD_TRACE_ENABLED=false` |
//! | `ddtrace` | ours: propagation, statistics, telemetry and remote configuration are on, as they are by default |
//! | `otel` | OpenTelemetry 0.33 by way of `tracing-opentelemetry`, batches by OTLP over HTTP |
//! | `otel-0.32` | the same at 0.32, for the crates that go with no newer one: `reqwest-tracing`, `sqlx-otel` |
//! | `datadog-otel` | the same spans as `otel`, exported by the official `datadog-opentelemetry` 0.6 to the Datadog Agent |
//! | `fastrace` | fastrace with its Datadog reporter |
//!
//! What traces the library is in the column `with` of the tables: the crate that exists for it, else `by hand`: a span around the
//! call with the attributes that the semantic conventions ask for, and the context put into headers, which is what their
//! documentation leaves to the user.
//!
//! The tracers do not do the same. Only ours and `datadog-otel` compute statistics and send what the Datadog Agent's protocol wants to
//! know; fastrace samples nothing, knows no errors and puts its queue no bound.
//!
//! # How it is built
//!
//! By the profile that `cargo build --release` has if nobody says otherwise, because that is what most programs are built by:
//! without link-time optimisation. `CARGO_PROFILE_BENCH_LTO=fat CARGO_PROFILE_BENCH_CODEGEN_UNITS=1` in the
//! environment builds it as the benches one folder up are built; it takes some ten times as long.

pub mod process;
pub mod sink;
pub mod spans;
pub mod tracers;
