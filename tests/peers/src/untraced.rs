//! The same functions without a tracer: what everything else is compared with.

use crate::work::{YieldOnce, block_on, cart, step, user};
use crate::{Flush, Peer};
use std::hint::black_box;

pub(crate) const UNTRACED: Peer = Peer {
    name: "untraced",
    start: no_tracer,
    start_off: no_tracer,
    flat,
    shared: None,
    tagged,
    asynchronous: |children| {
        black_box(block_on(async_root(children)));
    },
    layer: |router| router,
    taken: || None,
};

fn no_tracer() -> Flush {
    Box::new(|| {})
}

#[inline(never)]
fn child(i: u64) -> u64 {
    step(i)
}

#[inline(never)]
fn flat(children: u64) {
    for i in 0..children {
        black_box(child(i));
    }
}

#[inline(never)]
fn tagged_child(i: u64, user: &str, cart: &str) -> u64 {
    black_box((user, cart));
    step(i)
}

#[inline(never)]
fn tagged(children: u64) {
    for i in 0..children {
        black_box(tagged_child(i, user(), cart()));
    }
}

#[inline(never)]
async fn async_child(i: u64) -> u64 {
    YieldOnce::default().await;
    step(i)
}

#[inline(never)]
async fn async_root(children: u64) -> u64 {
    let mut sum = 0;
    for i in 0..children {
        sum += async_child(i).await;
    }
    sum
}
