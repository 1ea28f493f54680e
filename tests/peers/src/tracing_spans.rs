//! `tracing`, with a registry that records nothing, with OpenTelemetry's SDK, and with the official Datadog tracer.

use crate::work::{YieldOnce, block_on, cart, step, user};
use crate::{Flush, Peer};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub(crate) const REGISTRY: Peer = Peer {
    name: "tracing",
    start: || {
        tracing_subscriber::registry().init();
        Box::new(|| {})
    },
    start_off: || Box::new(|| {}),
    flat,
    shared: None,
    tagged,
    asynchronous,
    layer,
    taken: || Some(0),
};

pub(crate) const OPENTELEMETRY: Peer = Peer {
    name: "tracing-otel",
    start: || {
        opentelemetry::global::set_text_map_propagator(
            opentelemetry_sdk::propagation::TraceContextPropagator::new(),
        );
        subscribe(
            SdkTracerProvider::builder()
                .with_batch_exporter(Discard)
                .build(),
        )
    },
    start_off: || {
        let unsampled = opentelemetry_sdk::trace::Sampler::AlwaysOff;
        subscribe(
            SdkTracerProvider::builder()
                .with_sampler(unsampled)
                .with_batch_exporter(Discard)
                .build(),
        )
    },
    flat,
    shared: None,
    tagged,
    asynchronous,
    layer,
    taken: || Some(TAKEN.load(Ordering::Relaxed)),
};

pub(crate) const DATADOG: Peer = Peer {
    name: "datadog-otel",
    start: || subscribe(datadog_opentelemetry::tracing().init()),
    // The bench sets `DD_TRACE_ENABLED=false`.
    start_off: || subscribe(datadog_opentelemetry::tracing().init()),
    flat,
    shared: None,
    tagged,
    asynchronous,
    layer,
    taken: || None,
};

static TAKEN: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        TAKEN.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

fn subscribe(provider: SdkTracerProvider) -> Flush {
    let tracer = provider.tracer("bench");
    tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(tracer))
        .init();
    Box::new(move || provider.force_flush().expect("the exporter flushes"))
}

#[inline(never)]
#[tracing::instrument(skip_all)]
fn child(i: u64) -> u64 {
    step(i)
}

#[inline(never)]
#[tracing::instrument(name = "root", skip_all)]
fn flat(children: u64) {
    for i in 0..children {
        black_box(child(i));
    }
}

#[inline(never)]
#[tracing::instrument(skip_all, fields(
    region = "eu-west-3",
    tier = "gold",
    currency = "EUR",
    user.id = user,
    cart.id = cart,
    cart.items = i as f64,
))]
fn tagged_child(i: u64, user: &str, cart: &str) -> u64 {
    step(i)
}

#[inline(never)]
#[tracing::instrument(name = "root", skip_all)]
fn tagged(children: u64) {
    for i in 0..children {
        black_box(tagged_child(i, user(), cart()));
    }
}

#[inline(never)]
#[tracing::instrument(skip_all)]
async fn async_child(i: u64) -> u64 {
    YieldOnce::default().await;
    step(i)
}

#[inline(never)]
#[tracing::instrument(name = "root", skip_all)]
async fn async_root(children: u64) -> u64 {
    let mut sum = 0;
    for i in 0..children {
        sum += async_child(i).await;
    }
    sum
}

fn asynchronous(children: u64) {
    black_box(block_on(async_root(children)));
}

/// Where a propagator finds the headers of a request.
pub(crate) struct Headers<'a>(pub(crate) &'a axum::http::HeaderMap);

impl opentelemetry::propagation::Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

fn layer(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| -> Response {
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .map_or("", MatchedPath::as_str);
        let span = tracing::info_span!(
            "http.server",
            otel.kind = "server",
            http.method = request.method().as_str(),
            http.route = route,
            http.url = %request.uri(),
            http.status_code = tracing::field::Empty,
        );
        let parent = opentelemetry::global::get_text_map_propagator(|it| {
            it.extract(&Headers(request.headers()))
        });
        let _ = span.set_parent(parent);
        let response = next.run(request).instrument(span.clone()).await;
        span.record("http.status_code", response.status().as_u16());
        response
    }))
}
