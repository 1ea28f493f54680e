//! The official Datadog tracer through OpenTelemetry's own interface, without `tracing` in between.

use crate::tracing_spans::Headers;
use crate::work::{YieldOnce, block_on, cart, step, user};
use crate::{Flush, Peer};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{FutureExt as _, SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use std::hint::black_box;
use std::sync::OnceLock;

pub(crate) const DATADOG_API: Peer = Peer {
    name: "datadog-otel-api",
    start,
    // The bench sets `DD_TRACE_ENABLED=false`.
    start_off: start,
    flat,
    shared: None,
    tagged,
    asynchronous,
    layer,
    taken: || None,
};

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

fn tracer() -> &'static BoxedTracer {
    TRACER.get_or_init(|| global::tracer("bench"))
}

fn start() -> Flush {
    let provider = datadog_opentelemetry::tracing().init();
    tracer();
    Box::new(move || provider.force_flush().expect("the exporter flushes"))
}

#[inline(never)]
fn child(i: u64) -> u64 {
    tracer().in_span("child", |_| step(i))
}

#[inline(never)]
fn flat(children: u64) {
    tracer().in_span("root", |_| {
        for i in 0..children {
            black_box(child(i));
        }
    });
}

#[inline(never)]
fn tagged_child(i: u64, user: &str, cart: &str) -> u64 {
    let span = tracer()
        .span_builder("tagged_child")
        .with_attributes([
            KeyValue::new("region", "eu-west-3"),
            KeyValue::new("tier", "gold"),
            KeyValue::new("currency", "EUR"),
            KeyValue::new("user.id", user.to_owned()),
            KeyValue::new("cart.id", cart.to_owned()),
            KeyValue::new("cart.items", i as f64),
        ])
        .start(tracer());
    let _active = Context::current_with_span(span).attach();
    step(i)
}

#[inline(never)]
fn tagged(children: u64) {
    tracer().in_span("root", |_| {
        for i in 0..children {
            black_box(tagged_child(i, user(), cart()));
        }
    });
}

#[inline(never)]
async fn async_child(i: u64) -> u64 {
    let context = Context::current_with_span(tracer().start("async_child"));
    async move {
        YieldOnce::default().await;
        step(i)
    }
    .with_context(context)
    .await
}

fn asynchronous(children: u64) {
    let context = Context::current_with_span(tracer().start("root"));
    black_box(block_on(
        async move {
            let mut sum = 0;
            for i in 0..children {
                sum += async_child(i).await;
            }
            sum
        }
        .with_context(context),
    ));
}

fn layer(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| -> Response {
        let parent = global::get_text_map_propagator(|it| it.extract(&Headers(request.headers())));
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .map_or("", MatchedPath::as_str);
        let span = tracer()
            .span_builder("http.server")
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.method", request.method().to_string()),
                KeyValue::new("http.route", route.to_owned()),
                KeyValue::new("http.url", request.uri().to_string()),
            ])
            .start_with_context(tracer(), &parent);
        let context = parent.with_span(span);
        let response = next.run(request).with_context(context.clone()).await;
        context.span().set_attribute(KeyValue::new(
            "http.status_code",
            i64::from(response.status().as_u16()),
        ));
        response
    }))
}
