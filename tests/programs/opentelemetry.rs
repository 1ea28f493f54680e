//! A program that speaks OpenTelemetry and has annotated functions, on threads and in tasks. It never names our bridge: the
//! settings decide whether OpenTelemetry's spans become ours.

use std::collections::HashMap;

use opentelemetry::trace::{FutureExt, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};

use crate::report_with;

#[ddtrace::trace(name = "price")]
async fn price() {
    tokio::task::yield_now().await;
    // Below the annotated function, though OpenTelemetry was told nothing of it.
    global::tracer("shop").in_span("look up", |_| leaf());
}

#[ddtrace::trace(name = "leaf")]
fn leaf() {}

#[ddtrace::trace(name = "elsewhere")]
fn elsewhere() {}

pub(crate) fn run() {
    let guard = ddtrace::init();
    let tracer = global::tracer("shop");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let request = tracer
        .span_builder("GET /cart")
        .with_kind(SpanKind::Server)
        .with_attributes([KeyValue::new("http.request.method", "GET")])
        .start(&tracer);
    let context = Context::new().with_span(request);
    let mut headers = HashMap::<String, String>::new();
    runtime.block_on(async {
        let first = tokio::spawn(price().with_context(context.clone()));
        let second = tokio::spawn(price().with_context(context.clone()));
        let (first, second) = (first.await, second.await);
        first.and(second).expect("no panic");
    });
    let there = context.clone();
    let thread = std::thread::spawn(move || {
        let _attached = there.attach();
        elsewhere();
        elsewhere();
    });
    thread.join().expect("no panic");
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut headers);
    });
    let parent = headers.get("x-datadog-parent-id").cloned();
    let is_recording = context.span().is_recording();
    drop(context);
    drop(guard);
    // Two annotated functions in each of two tasks, two on a thread; beside them a request, and a look-up in each task.
    let theirs = if is_recording { 3 } else { 0 };
    report_with(6 + theirs, serde_json::json!({ "injected": parent }));
}
