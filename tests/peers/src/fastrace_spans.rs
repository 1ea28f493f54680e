//! fastrace, with a reporter that throws away and with its Datadog reporter.

use crate::work::{YieldOnce, block_on, cart, step, user};
use crate::{Flush, Peer, sink};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use fastrace::collector::{Config, Reporter, SpanRecord};
use fastrace::prelude::*;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const FASTRACE: Peer = Peer {
    name: "fastrace",
    start: || {
        fastrace::set_reporter(Discard, config());
        Box::new(fastrace::flush)
    },
    start_off: off,
    flat,
    shared: None,
    tagged,
    asynchronous,
    layer,
    taken: || Some(TAKEN.load(Ordering::Relaxed)),
};

pub(crate) const FASTRACE_DATADOG: Peer = Peer {
    name: "fastrace-datadog",
    start: || {
        let reporter =
            fastrace_datadog::DatadogReporter::new(sink::address(), "bench", "resource", "web");
        fastrace::set_reporter(reporter, config());
        Box::new(fastrace::flush)
    },
    start_off: off,
    flat,
    shared: None,
    tagged,
    asynchronous,
    layer,
    taken: || None,
};

static TAKEN: AtomicU64 = AtomicU64::new(0);

struct Discard;

impl Reporter for Discard {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        TAKEN.fetch_add(spans.len() as u64, Ordering::Relaxed);
    }
}

fn config() -> Config {
    let config = Config::default();
    match std::env::var_os("PEERS_REPORT_ON_FLUSH") {
        Some(_) => config.report_interval(Duration::from_secs(3600)),
        None => config,
    }
}

static OFF: AtomicBool = AtomicBool::new(false);

/// fastrace has no switch: it is off where no span above is recorded.
fn off() -> Flush {
    OFF.store(true, Ordering::Relaxed);
    Box::new(|| {})
}

fn root() -> Span {
    if OFF.load(Ordering::Relaxed) {
        return Span::noop();
    }
    Span::root("root", SpanContext::random())
}

#[inline(never)]
#[fastrace::trace(short_name = true)]
fn child(i: u64) -> u64 {
    step(i)
}

#[inline(never)]
fn flat(children: u64) {
    let root = root();
    let _active = root.set_local_parent();
    for i in 0..children {
        black_box(child(i));
    }
}

#[inline(never)]
fn tagged_child(i: u64, user: &str, cart: &str) -> u64 {
    let _span = LocalSpan::enter_with_local_parent("tagged_child").with_properties(|| {
        [
            ("region", "eu-west-3".into()),
            ("tier", "gold".into()),
            ("currency", "EUR".into()),
            ("user.id", std::borrow::Cow::Owned(user.to_owned())),
            ("cart.id", std::borrow::Cow::Owned(cart.to_owned())),
            ("cart.items", std::borrow::Cow::Owned(i.to_string())),
        ]
    });
    step(i)
}

#[inline(never)]
fn tagged(children: u64) {
    let root = root();
    let _active = root.set_local_parent();
    for i in 0..children {
        black_box(tagged_child(i, user(), cart()));
    }
}

#[inline(never)]
#[fastrace::trace(short_name = true)]
async fn async_child(i: u64) -> u64 {
    YieldOnce::default().await;
    step(i)
}

#[inline(never)]
fn asynchronous(children: u64) {
    let root = root();
    black_box(block_on(
        async move {
            let mut sum = 0;
            for i in 0..children {
                sum += async_child(i).await;
            }
            sum
        }
        .in_span(root),
    ));
}

fn layer(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| -> Response {
        let parent = request
            .headers()
            .get("traceparent")
            .and_then(|value| SpanContext::decode_w3c_traceparent(value.to_str().ok()?))
            .unwrap_or_else(SpanContext::random);
        let root = Span::root("http.server", parent);
        root.add_properties(|| {
            let route = request
                .extensions()
                .get::<MatchedPath>()
                .map_or("", MatchedPath::as_str);
            [
                ("http.method", request.method().to_string()),
                ("http.route", route.to_owned()),
                ("http.url", request.uri().to_string()),
            ]
        });
        async {
            let response = next.run(request).await;
            LocalSpan::add_property(|| ("http.status_code", response.status().as_str().to_owned()));
            response
        }
        .in_span(root)
        .await
    }))
}
