//! The tracers: how each is installed, what its process needs, and how it begins a trace.

use ddtrace_peers::Flush;
use fastrace::future::FutureExt as _;
use fastrace::prelude::SpanContext;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_0_32::trace::TracerProvider as _;
use std::env;
use std::future::Future;
use std::time::Duration;
use tracing::Instrument as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Identity, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt};

/// A way to trace, or not to; the documentation of the crate says more of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracer {
    /// None.
    Bare,
    /// Ours, installed and switched off.
    Off,
    /// Ours.
    Ddtrace,
    /// OpenTelemetry's SDK under `tracing`, by OTLP.
    Otel,
    /// The one before.
    Otel32,
    /// The official tracer under `tracing`.
    Datadog,
    /// fastrace with its Datadog reporter.
    Fastrace,
}

/// Whether the program writes a log record per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {
    /// Without a subscriber of its own.
    None,
    /// As JSON, which is then thrown away; with the ids of the trace where the tracer brings them.
    Json,
}

impl Tracer {
    /// All, the baseline first.
    pub const ALL: [Tracer; 7] = [
        Tracer::Bare,
        Tracer::Off,
        Tracer::Ddtrace,
        Tracer::Otel,
        Tracer::Otel32,
        Tracer::Datadog,
        Tracer::Fastrace,
    ];

    /// How it is called in the tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tracer::Bare => "bare",
            Tracer::Off => "off",
            Tracer::Ddtrace => "ddtrace",
            Tracer::Otel => "otel",
            Tracer::Otel32 => "otel-0.32",
            Tracer::Datadog => "datadog-otel",
            Tracer::Fastrace => "fastrace",
        }
    }

    /// The one of that name.
    pub fn of(name: &str) -> Option<Tracer> {
        Tracer::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether spans have to arrive; if not, none may.
    pub fn traces(self) -> bool {
        !matches!(self, Tracer::Bare | Tracer::Off)
    }

    /// The environment of its process, with a sink at `url`.
    pub fn variables(self, url: &str) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("DD_TRACE_AGENT_URL", url.to_owned()),
            ("DD_SERVICE", "bench".to_owned()),
            ("DD_ENV", "bench".to_owned()),
            ("DD_VERSION", "1".to_owned()),
        ];
        if self == Tracer::Off {
            variables.push(("DD_TRACE_ENABLED", "false".to_owned()));
        }
        variables
    }

    /// Installs it in this process. What comes back waits until everything finished so far has been sent.
    ///
    /// # Panics
    ///
    /// If it can't be installed.
    pub fn start(self, logs: Logs) -> Flush {
        match self {
            Tracer::Bare => {
                log(logs, None::<Identity>);
                Box::new(|| {})
            }
            Tracer::Off | Tracer::Ddtrace => ours(logs),
            Tracer::Otel => otel(logs),
            Tracer::Otel32 => otel_0_32(logs),
            Tracer::Datadog => under_tracing(logs, datadog_opentelemetry::tracing().init()),
            Tracer::Fastrace => fastrace_datadog(logs),
        }
    }

    /// Runs what a request would do, as a trace of its own.
    pub async fn root<F: Future>(self, work: F) -> F::Output {
        match self {
            Tracer::Bare => work.await,
            Tracer::Off | Tracer::Ddtrace => of_ours(work).await,
            Tracer::Otel | Tracer::Otel32 | Tracer::Datadog => {
                work.instrument(tracing::info_span!("request")).await
            }
            Tracer::Fastrace => {
                let root = fastrace::Span::root("request", SpanContext::random());
                work.in_span(root).await
            }
        }
    }
}

#[ddtrace::trace(name = "request")]
async fn of_ours<F: Future>(work: F) -> F::Output {
    work.await
}

fn sink() -> String {
    env::var("DD_TRACE_AGENT_URL").expect("the parent says where the sink is")
}

fn ours(logs: Logs) -> Flush {
    let guard = ddtrace::init();
    if logs == Logs::Json {
        let records = fmt::layer()
            .json()
            .map_event_format(ddtrace::tracing::correlated)
            .with_writer(std::io::sink)
            .with_filter(LevelFilter::INFO);
        tracing_subscriber::registry().with(records).init();
    }
    Box::new(move || {
        let _running = &guard;
        ddtrace::flush_within(Duration::from_secs(60));
    })
}

fn otel(logs: Logs) -> Flush {
    use opentelemetry_otlp::WithExportConfig as _;
    opentelemetry::global::set_text_map_propagator(
        opentelemetry_sdk::propagation::TraceContextPropagator::new(),
    );
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", sink()))
        .build()
        .expect("an exporter");
    let resource = opentelemetry_sdk::Resource::builder().with_service_name("bench");
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    opentelemetry::global::set_tracer_provider(provider.clone());
    under_tracing(logs, provider)
}

/// The same with the types of the older version.
fn otel_0_32(logs: Logs) -> Flush {
    use opentelemetry_otlp_0_32::WithExportConfig as _;
    opentelemetry_0_32::global::set_text_map_propagator(
        opentelemetry_sdk_0_32::propagation::TraceContextPropagator::new(),
    );
    let exporter = opentelemetry_otlp_0_32::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", sink()))
        .build()
        .expect("an exporter");
    let resource = opentelemetry_sdk_0_32::Resource::builder().with_service_name("bench");
    let provider = opentelemetry_sdk_0_32::trace::SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    opentelemetry_0_32::global::set_tracer_provider(provider.clone());
    let layer = tracing_opentelemetry_0_33::layer().with_tracer(provider.tracer("bench"));
    log(logs, Some(layer.with_filter(filter())));
    Box::new(move || provider.force_flush().expect("the exporter flushes"))
}

fn fastrace_datadog(logs: Logs) -> Flush {
    log(logs, None::<Identity>);
    let address = sink().trim_start_matches("http://").parse();
    let address = address.expect("a loopback address");
    let reporter = fastrace_datadog::DatadogReporter::new(address, "bench", "resource", "web");
    fastrace::set_reporter(reporter, fastrace::collector::Config::default());
    Box::new(fastrace::flush)
}

fn under_tracing(logs: Logs, provider: opentelemetry_sdk::trace::SdkTracerProvider) -> Flush {
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    log(logs, Some(layer.with_filter(filter())));
    Box::new(move || provider.force_flush().expect("the exporter flushes"))
}

/// `axum-tracing-opentelemetry` and `tonic-tracing-opentelemetry` make their spans at the level TRACE of this target.
fn filter() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("otel::tracing", LevelFilter::TRACE)
}

/// Installs the layer that makes spans, if there is one, and the one that writes records, if that is asked for.
fn log(logs: Logs, spans: Option<impl Layer<Registry> + Send + Sync>) {
    if logs == Logs::None && spans.is_none() {
        return;
    }
    let records = (logs == Logs::Json).then(|| {
        fmt::layer()
            .json()
            .with_writer(std::io::sink)
            .with_filter(LevelFilter::INFO)
    });
    tracing_subscriber::registry()
        .with(spans)
        .with(records)
        .init();
}
