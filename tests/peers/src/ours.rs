//! Ours.

use crate::work::{YieldOnce, block_on, cart, step, user};
use crate::{Flush, Peer};
use axum::Router;
use ddtrace::{Span, Tag, Value};
use ddtrace_core::trace::{Site, enter, instrument};
use std::hint::black_box;
use std::time::Duration;

pub(crate) const DDTRACE: Peer = Peer {
    name: "ddtrace",
    start,
    // The bench sets `DD_TRACE_ENABLED=false`.
    start_off: start,
    flat,
    shared: Some(shared),
    tagged,
    asynchronous,
    layer,
    taken: || None,
};

fn start() -> Flush {
    let guard = ddtrace::init();
    Box::new(move || {
        let _running = &guard;
        ddtrace::flush_within(Duration::from_secs(60));
    })
}

ddtrace_core::site! { static ROOT: Site = Site::new("root", "flat", module_path!(), file!(), line!()); }
ddtrace_core::site! { static CHILD: Site = Site::new("child", "child", module_path!(), file!(), line!()); }
ddtrace_core::site! { static TAGGED: Site = Site::new("tagged_child", "tagged_child", module_path!(), file!(), line!()); }
ddtrace_core::site! { static ASYNC: Site = Site::new("async_child", "async_child", module_path!(), file!(), line!()); }

#[inline(never)]
fn child(i: u64) -> u64 {
    let _span = enter(&CHILD);
    step(i)
}

#[inline(never)]
fn flat(children: u64) {
    let _span = enter(&ROOT);
    for i in 0..children {
        black_box(child(i));
    }
}

#[inline(never)]
fn shared(children: u64) {
    let root = Span::start_root(&ROOT);
    let context = root.context();
    let _attached = context.attach();
    for i in 0..children {
        black_box(child(i));
    }
}

#[inline(never)]
fn tagged_child(i: u64, user: &str, cart: &str) -> u64 {
    let span = enter(&TAGGED);
    span.set_tags(&[
        Tag {
            key: "region",
            value: Value::Static("eu-west-3"),
        },
        Tag {
            key: "tier",
            value: Value::Static("gold"),
        },
        Tag {
            key: "currency",
            value: Value::Static("EUR"),
        },
        Tag {
            key: "user.id",
            value: Value::Text(user),
        },
        Tag {
            key: "cart.id",
            value: Value::Text(cart),
        },
        Tag {
            key: "cart.items",
            value: Value::Number(i as f64),
        },
    ]);
    step(i)
}

#[inline(never)]
fn tagged(children: u64) {
    let _span = enter(&ROOT);
    for i in 0..children {
        black_box(tagged_child(i, user(), cart()));
    }
}

#[inline(never)]
async fn async_child(i: u64) -> u64 {
    let body = async move {
        YieldOnce::default().await;
        step(i)
    };
    instrument(Span::start(&ASYNC), body).await
}

fn asynchronous(children: u64) {
    let root = async move {
        let mut sum = 0;
        for i in 0..children {
            sum += async_child(i).await;
        }
        sum
    };
    black_box(block_on(async move {
        instrument(Span::start(&ROOT), root).await
    }));
}

fn layer(router: Router) -> Router {
    router.layer(ddtrace::axum::layer())
}
