//! `#[llm]` and its kin: what a function's span says, for every kind, option and shape.
//!
//! Expected values are those of the specification of LLM Observability: what is captured of which kind, and in which form.

mod blocks;
mod captured;
mod outcomes;
mod shapes;
mod streams;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ddtrace::SpanData;
use ddtrace::llmobs::test_support::LlmRecorder;
use serde::Serialize;
use serde_json::Value;

/// Polls to the end.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut task = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
            return output;
        }
    }
    panic!("the future does not end");
}

async fn tick() {
    let mut first = true;
    std::future::poll_fn(|_| match std::mem::replace(&mut first, false) {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
}

/// What the product says of a span.
fn said(span: &SpanData) -> Value {
    let (_, bytes) = span
        .meta_struct
        .iter()
        .find(|(key, _)| key == "_llmobs")
        .unwrap_or_else(|| panic!("{} is no span of the product", span.name));
    rmp_serde::from_slice(bytes).expect("MessagePack")
}

/// The only span since the last call, and what the product says of it.
fn only(recorder: &LlmRecorder) -> (SpanData, Value) {
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:?}");
    let span = spans.remove(0);
    let said = said(&span);
    (span, said)
}

/// A tag; they are a map as long as they ride on the trace.
fn tag<'a>(said: &'a Value, key: &str) -> Option<&'a str> {
    said["tags"][key].as_str()
}

fn has_failed(said: &Value) -> bool {
    said["meta"]["error"].is_object()
}

#[derive(Clone, Debug, Serialize)]
struct Answer {
    text: String,
    model: &'static str,
    tokens: Tokens,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Tokens {
    input: u32,
    output: Option<u64>,
}

impl Answer {
    fn new(text: &str) -> Self {
        Answer {
            text: text.to_owned(),
            model: "gpt-4o-2024-08-06",
            tokens: Tokens {
                input: 6,
                output: None,
            },
        }
    }
}

struct Opaque;

#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the model is away")
    }
}

impl std::error::Error for Failed {}
