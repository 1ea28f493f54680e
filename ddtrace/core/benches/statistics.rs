//! How many spans a second statistics count: `cargo bench -p ddtrace-core --bench statistics`.
//!
//! Each case counts the same spans over and over, as one thread does on the worker, and prints the best of several rounds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ddtrace_core::config::Config;
use ddtrace_core::export::agent::AgentInfo;
use ddtrace_core::export::{FinishedSpan, Statistics};

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(300);

const INFO: &str = r#"{"client_drop_p0s": true, "endpoints": ["/v0.6/stats"], "obfuscation_version": 1,
    "peer_tags": ["db.name", "peer.service", "out.host", "messaging.system", "rpc.service"]}"#;

/// What a span of the assembled chunk holds in any program.
fn span(resource: &'static str, number: i64) -> FinishedSpan<'static> {
    let mut span = FinishedSpan::default();
    span.service = "checkout";
    span.name = "http.server.request";
    span.resource = resource;
    span.duration = 1_000_000 + number * 7_919 % 900_000;
    for (key, value) in [
        ("component", "axum"),
        ("env", "prod"),
        ("version", "1.2.3"),
        ("runtime-id", "8f1c2f60-a3a5-4cb9-8f0f-3f0b5a2ce4f1"),
    ] {
        span.set_meta(key, value);
    }
    span
}

fn server(resource: &'static str, number: i64) -> FinishedSpan<'static> {
    let mut span = span(resource, number);
    span.span_type = "web";
    span.set_metric("_dd.top_level", 1.0);
    for (key, value) in [
        ("span.kind", "server"),
        ("http.method", "GET"),
        ("http.route", "/users/{id}"),
        ("http.status_code", "200"),
        ("http.url", "http://shop.example/users/17"),
    ] {
        span.set_meta(key, value);
    }
    span
}

fn query(number: i64) -> FinishedSpan<'static> {
    let mut span = span(
        "SELECT name, price FROM products WHERE id = 17 AND shop = 'x'",
        number,
    );
    span.name = "postgres.query";
    span.span_type = "sql";
    span.set_metric("_dd.measured", 1.0);
    for (key, value) in [
        ("span.kind", "client"),
        ("db.name", "orders"),
        ("out.host", "10.0.0.7"),
    ] {
        span.set_meta(key, value);
    }
    span
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn main() {
    let cases: [(&str, Vec<FinishedSpan<'static>>); 5] = [
        (
            "does not count (internal)",
            (0..64).map(|n| span("inside", n)).collect(),
        ),
        (
            "one group",
            (0..64).map(|n| server("GET /users/{id}", n)).collect(),
        ),
        (
            "a thousand groups",
            (0..1000)
                .map(|n| server(leak(format!("GET /r{n}")), n))
                .collect(),
        ),
        ("queries, obfuscated", (0..64).map(query).collect()),
        (
            "beyond every limit",
            (0..20_000)
                .map(|n| server(leak(format!("GET /r{n}")), n))
                .collect(),
        ),
    ];
    let info = AgentInfo::parse(INFO.as_bytes()).expect("it is JSON");
    println!("statistics, spans counted per second by one thread, best of {ROUNDS}");
    for (name, spans) in cases {
        let mut statistics = Statistics::new(Config::builder().build(), &info);
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            let (mut counted, begun) = (0u32, Instant::now());
            while begun.elapsed() < ROUND {
                spans
                    .iter()
                    .for_each(|span| statistics.count(black_box(span)));
                counted += spans.len() as u32;
            }
            best = best.min(begun.elapsed() / counted);
            black_box(statistics.take());
        }
        let per_second = 1e9 / best.as_nanos().max(1) as f64 / 1e6;
        println!(
            "{name:<28} {per_second:>7.2} million/s {:>6} ns each",
            best.as_nanos()
        );
    }
}
