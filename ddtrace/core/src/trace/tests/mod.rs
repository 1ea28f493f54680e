//! The life of spans, as the worker sees it in the end.
//!
//! `unsafe` in this file: the link section that `site!` uses.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, Waker};

mod baggage;
mod border;
mod detached;
mod sampling;
mod shared;
mod sync;

use super::*;
use crate::export::SpanData;
use crate::test_support::Recorder;

crate::site! { static ROOT: Site = Site::new("root", "root", module_path!(), file!(), line!()); }
crate::site! { static CHILD: Site = Site::new("child", "child", module_path!(), file!(), line!()); }
crate::site! { static LEAF: Site = Site::new("leaf", "leaf", module_path!(), file!(), line!()); }
crate::site! { static OTHER: Site = Site::new("other", "other", module_path!(), file!(), line!()).with_service("other-service"); }

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found
        .next()
        .unwrap_or_else(|| panic!("no {name} in {spans:?}"));
    assert!(found.next().is_none(), "{name} twice");
    span
}

/// Asserts that `child` is under `parent`.
#[track_caller]
fn assert_under(spans: &[SpanData], child: &str, parent: &str) {
    let (child, parent) = (named(spans, child), named(spans, parent));
    assert_eq!(
        (child.parent_id, child.trace_id),
        (parent.span_id, parent.trace_id)
    );
}

/// A future that is pending once.
struct Yield(Cell<bool>);

impl Future for Yield {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<()> {
        if self.0.replace(true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

fn once() -> Yield {
    Yield(Cell::new(false))
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut TaskContext::from_waker(Waker::noop()))
}

crate::site! { static ATTACHED: Site = Site::new("attached", "attached", module_path!(), file!(), line!()); }
