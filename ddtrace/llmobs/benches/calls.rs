//! What following a call of a model costs: `cargo bench -p ddtrace-llmobs --bench calls`.
//!
//! On the thread that reads, per chunk and per call; and on the worker, per decoded answer. Prints the best of several rounds.

use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ddtrace_core::events::{self, End, HttpClientExchange, Tapped, Taps};
use ddtrace_core::test_support::Recorder;
use ddtrace_llmobs::{self as llmobs, Options};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(200);
/// How often work is done between two looks at the clock.
const BATCH: u32 = 8;
const URL: &str = "https://api.openai.com/v1/chat/completions";

/// The best time of one piece of work that consists of so many; what comes after the work is not measured.
fn best(name: &str, pieces: u32, mut work: impl FnMut(), mut after: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let (began, mut spent, mut times) = (Instant::now(), Duration::ZERO, 0_u32);
        while began.elapsed() < ROUND {
            let start = Instant::now();
            for _ in 0..BATCH {
                work();
            }
            spent += start.elapsed();
            times += BATCH;
            after();
        }
        best = best.min(spent.as_secs_f64() / f64::from(times) / f64::from(pieces));
    }
    println!("{name:<58} {:>9.3} µs", best * 1e6);
}

fn event(text: &str) -> String {
    let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-4o",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    format!("data: {chunk}\n\n")
}

fn request(size: usize) -> Vec<u8> {
    let content = "x".repeat(size);
    let request = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": content}], "stream": true});
    request.to_string().into_bytes()
}

/// An exchange that begins, and whoever follows it.
fn begin(body: &[u8]) -> Taps {
    let (method, headers) = (Method::POST, HeaderMap::new());
    let exchange = events::dispatch::<HttpClientExchange<'_>>(|| {
        HttpClientExchange::new(&method, URL, &headers, Some(body))
    });
    let mut taps = exchange
        .map(HttpClientExchange::into_taps)
        .unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    taps.head(StatusCode::OK, &headers);
    taps
}

/// A body of so many chunks, read to its end.
fn read(chunks: &[Bytes], taps: Option<Taps>) {
    let chunks: Vec<_> = chunks
        .iter()
        .cloned()
        .map(|chunk| Ok::<_, String>(http_body::Frame::data(chunk)))
        .collect();
    let body = http_body_util::StreamBody::new(Chunks(chunks.into_iter()));
    let drain = |mut body: Pin<&mut dyn http_body::Body<Data = Bytes, Error = String>>| {
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
            let _ = black_box(frame);
        }
    };
    match taps {
        Some(taps) => drain(std::pin::pin!(Tapped::new(body, taps, |error: &String| (
            "body",
            error.clone()
        )))),
        None => drain(std::pin::pin!(body)),
    }
}

struct Chunks(std::vec::IntoIter<Result<http_body::Frame<Bytes>, String>>);

impl futures_core::Stream for Chunks {
    type Item = Result<http_body::Frame<Bytes>, String>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next())
    }
}

fn main() {
    const CHUNKS: u32 = 500;
    let recorder = Recorder::with_variables(&[("DD_LLMOBS_ENABLED", "true")]);
    let asked = request(1024);

    let chunks: Vec<Bytes> = (0..CHUNKS).map(|_| Bytes::from(event(" word"))).collect();
    println!(
        "on the thread that reads, chunks of {} bytes:",
        chunks[0].len()
    );
    let nothing = || ();
    let drain = || drop(recorder.take());
    best(
        "a chunk of a body, nobody follows",
        CHUNKS,
        || read(&chunks, None),
        nothing,
    );
    best(
        "an exchange, nobody listens",
        1,
        || drop(black_box(begin(&asked))),
        nothing,
    );
    llmobs::enable(Options::default()).expect("a tracer");
    let follow = || read(&chunks, Some(begin(&asked)));
    best(
        "a chunk of a body, followed; 1/500 of the call included",
        CHUNKS,
        follow,
        drain,
    );
    let call = || {
        let mut taps = begin(&asked);
        taps.chunk(&asked);
        taps.end(End::Complete);
    };
    best(
        "a call of 1 KiB, answered by 1 KiB in one chunk",
        1,
        call,
        drain,
    );
    let other = || {
        let (method, headers) = (Method::GET, HeaderMap::new());
        let exchange = events::dispatch::<HttpClientExchange<'_>>(|| {
            HttpClientExchange::new(&method, "https://shop.example/stock/17", &headers, None)
        });
        let _ = black_box(exchange);
    };
    best("an exchange that is no call of a model", 1, other, nothing);

    println!("on the worker:");
    let decode = |media_type: &str, asked: &[u8], answer: &[u8]| {
        black_box(llmobs::decode(URL, media_type, 200, asked, answer));
    };
    let stream: String = (0..CHUNKS).map(|_| event(" word")).collect();
    let streamed = || decode("text/event-stream", &asked, stream.as_bytes());
    best(
        "a streamed answer decoded, per event",
        CHUNKS,
        streamed,
        nothing,
    );
    for size in [1 << 10, 100 << 10, 1 << 20] {
        let told = "x".repeat(size);
        let answer: Value = json!({"model": "gpt-4o", "choices": [{"message": {"role": "assistant", "content": told}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
        let (asked, answer) = (request(size), answer.to_string());
        let name = format!("a chat of {} KiB each way decoded", size >> 10);
        best(
            &name,
            1,
            || decode("application/json", &asked, answer.as_bytes()),
            nothing,
        );
    }
}
