//! What a checkpoint costs whose edge is known: `cargo bench -p ddtrace-data-streams --bench checkpoint`.
//!
//! Each case makes the calls that `#[dsm_checkpoint]` expands to, over and over on one thread, and prints the best of several
//! rounds, in nanoseconds a call. Between rounds the queue is emptied, so that no observation is dropped. With a case and a number as
//! arguments it makes that many calls and prints nothing, for callgrind: `… checkpoint consume 10000`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::Span;
use ddtrace_data_streams::instrument::{self as dsm, AsCarrier as _, AsCarrierMut as _};
use ddtrace_data_streams::test_support::Checkpoints;
use http::HeaderMap;

const ROUNDS: usize = 200;

/// Less than the queue holds.
const CALLS: usize = 10_000;

fn consume(headers: &HeaderMap) {
    let _scope = dsm::scope();
    if dsm::is_on() {
        dsm::consume(black_box("kafka"), black_box("orders"))
            .in_group(black_box("billing"))
            .from(headers.as_carrier());
    }
}

fn produce(headers: &mut HeaderMap) {
    let _scope = dsm::scope();
    if dsm::is_on() {
        let passed = dsm::produce(black_box("kafka"), black_box("invoices")).pass();
        if let Some(passed) = passed {
            passed.inject(headers.as_carrier_mut());
        }
    }
}

fn produce_without_carrier() {
    let _scope = dsm::scope();
    if dsm::is_on() {
        dsm::produce(black_box("kafka"), black_box("invoices")).pass();
    }
}

/// Headers as an HTTP-like library has them when a message arrives.
fn arrived() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        "content-type",
        http::HeaderValue::from_static("application/json"),
    );
    dsm::produce("kafka", "orders").into(&mut headers);
    headers
}

fn best(checkpoints: &Checkpoints, mut call: impl FnMut()) -> Duration {
    (0..ROUNDS)
        .map(|_| {
            checkpoints.take();
            let began = Instant::now();
            for _ in 0..CALLS {
                call();
            }
            began.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// A kind of checkpoint by its name.
type Case<'a> = (&'a str, Box<dyn FnMut() + 'a>);

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| it != "--bench")
        .collect();
    let checkpoints = Checkpoints::record("bench");
    let incoming = arrived();
    let mut outgoing = HeaderMap::new();
    let mut cases: Vec<Case<'_>> = vec![
        ("consume", Box::new(|| consume(&incoming))),
        ("produce", Box::new(|| produce(&mut outgoing))),
        ("produce-without-carrier", Box::new(produce_without_carrier)),
    ];
    if let [case, number] = arguments.as_slice() {
        let number: usize = number.parse().expect("a number of calls");
        for (name, call) in &mut cases {
            if name == case {
                for at in 0..number {
                    if at % CALLS == 0 {
                        checkpoints.take();
                    }
                    call();
                }
            }
        }
        return;
    }
    let print = |name: &str, took: Duration| {
        println!("{name:40} {:7.1} ns", took.as_nanos() as f64 / CALLS as f64);
    };
    checkpoints.switch(false);
    for (name, call) in &mut cases {
        print(&format!("{name}, off"), best(&checkpoints, call));
    }
    checkpoints.switch(true);
    for (name, call) in &mut cases {
        print(name, best(&checkpoints, call));
    }
    let _recorder = Recorder::new();
    let mut span = Span::builder("handler").start();
    let _active = span.enter();
    for (name, call) in &mut cases {
        print(&format!("{name}, in a span"), best(&checkpoints, call));
    }
}
