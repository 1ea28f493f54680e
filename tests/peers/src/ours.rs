//! Ours.

use crate::work::{YieldOnce, block_on, cart, step, user};
use crate::{Flush, Peer};
use axum::Router;
use ddtrace::Span;
use ddtrace_core::trace::Site;
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

#[inline(never)]
#[ddtrace::trace(name = "child")]
fn child(i: u64) -> u64 {
    step(i)
}

#[inline(never)]
#[ddtrace::trace(name = "root")]
fn flat(children: u64) {
    for i in 0..children {
        black_box(child(i));
    }
}

/// The root is held by hand, and only its context is active here.
#[inline(never)]
fn shared(children: u64) {
    ddtrace_core::site! { static ROOT: Site = Site::new("root", "shared", module_path!(), file!(), line!()); }
    let root = Span::start_root(&ROOT);
    let context = root.context();
    let _attached = context.attach();
    for i in 0..children {
        black_box(child(i));
    }
}

#[inline(never)]
#[ddtrace::trace(
    name = "tagged_child",
    tags(
        region = "eu-west-3",
        tier = "gold",
        currency = "EUR",
        "user.id" = user,
        "cart.id" = cart,
        "cart.items" = i as f64,
    )
)]
fn tagged_child(i: u64, user: &str, cart: &str) -> u64 {
    step(i)
}

#[inline(never)]
#[ddtrace::trace(name = "root")]
fn tagged(children: u64) {
    for i in 0..children {
        black_box(tagged_child(i, user(), cart()));
    }
}

#[inline(never)]
#[ddtrace::trace(name = "async_child")]
async fn async_child(i: u64) -> u64 {
    YieldOnce::default().await;
    step(i)
}

#[inline(never)]
#[ddtrace::trace(name = "root")]
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

fn layer(router: Router) -> Router {
    router.layer(ddtrace::axum::layer())
}
