//! Streams and iterators.

use std::pin::Pin;

use futures::stream::{self, BoxStream, Stream, StreamExt};

use super::harness::{Case, block_on, give_up, tick};
use super::trace;

#[trace]
fn step(n: u8) -> u8 {
    n + 1
}

#[trace]
fn opaque(n: u8) -> impl Stream<Item = u8> {
    stream::iter(0..n).then(async |n| {
        tick().await;
        step(n)
    })
}

#[trace]
fn boxed<'a>(list: &'a [u8]) -> BoxStream<'a, u8> {
    if list.is_empty() {
        return stream::empty().boxed();
    }
    stream::iter(list).map(|n| *n).boxed()
}

#[trace(tags(of = n), root)]
fn pinned(n: u8) -> Pin<Box<dyn Stream<Item = u8> + Send>> {
    Box::pin(stream::iter(0..n))
}

#[trace(iter)]
fn iterator(n: u8) -> impl Iterator<Item = u8> {
    (0..n).map(step)
}

#[trace(iter)]
fn boxed_iterator<'a>(list: &'a [u8]) -> Box<dyn Iterator<Item = &'a u8> + 'a> {
    Box::new(list.iter())
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "opaque stream",
            run: || format!("{:?}", block_on(opaque(2).collect::<Vec<_>>())),
            spans: &["opaque ddtrace.stream.items=2", "opaque/step", "opaque/step"],
        },
        Case {
            name: "boxed stream",
            run: || format!("{:?}{:?}", block_on(boxed(&[1]).collect::<Vec<_>>()), block_on(boxed(&[]).count())),
            spans: &["boxed ddtrace.stream.items=1", "boxed ddtrace.stream.items=0"],
        },
        Case {
            name: "pinned stream with tags",
            run: || block_on(pinned(3).count()).to_string(),
            spans: &["pinned ddtrace.stream.items=3 of=3"],
        },
        Case {
            name: "stream given up",
            run: || {
                let mut stream = std::pin::pin!(opaque(2));
                give_up(stream.next(), 1);
                String::new()
            },
            spans: &["opaque ddtrace.cancelled=true ddtrace.stream.items=0"],
        },
        Case {
            name: "iterator",
            run: || format!("{:?}{}", iterator(2).collect::<Vec<_>>(), boxed_iterator(&[1]).count()),
            spans: &[
                "iterator ddtrace.stream.items=2",
                "iterator/step",
                "iterator/step",
                "boxed_iterator ddtrace.stream.items=1",
            ],
        },
    ]
}
