//! Programs that have to be processes of their own, one subcommand each.
//!
//! They take their settings from the environment as a user's program does, and end with a line of JSON: what they made,
//! and what the tracer says became of it.

mod annotated;
mod data_streams;
mod failing;
mod fork;
mod kafka;
mod llmobs;
mod logging;
mod metrics;
mod opentelemetry;
mod rabbitmq;
mod requests;
mod runtimes;
mod sending;
mod snapshot;
mod statistics;
mod threads;

use serde_json::json;

ddtrace::git_metadata!();

ddtrace::dependencies!();

/// Writes the last line: how many spans were finished, and what became of them.
fn report(made: u64) {
    report_with(made, json!({}));
}

/// The same with more to say.
fn report_with(made: u64, more: serde_json::Value) {
    let counts = ddtrace::counts();
    let line = json!({
        "made": made,
        "sent": counts.sent_spans,
        "sent_traces": counts.sent_traces,
        "dropped": counts.dropped_spans,
        "unsampled": counts.unsampled_spans,
        "more": more,
    });
    println!("{line}");
}

/// The number that an argument gives.
fn number(arguments: &[String], at: usize) -> u64 {
    let text = arguments
        .get(at)
        .unwrap_or_else(|| panic!("argument {at} is missing: {arguments:?}"));
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map_or("", String::as_str) {
        "snapshot" => snapshot::run(),
        "statistics" => statistics::run(),
        "steady" => sending::steady(),
        "flood" => sending::flood(number(&arguments, 1), number(&arguments, 2)),
        "large" => sending::large(number(&arguments, 1)),
        "million" => sending::million(),
        "soak" => sending::soak(number(&arguments, 1)),
        "exit" => sending::exit(),
        "threads" => threads::run(number(&arguments, 1)),
        "fork" => fork::run(),
        "logging-tracing" => logging::with_tracing(),
        "logging-log" => logging::with_log(),
        "opentelemetry" => opentelemetry::run(),
        "metrics" => metrics::each_kind(),
        "metrics-forked" => metrics::forked(),
        "metrics-waiting" => metrics::waits(),
        "annotated" => annotated::run(),
        "data-streams" => data_streams::run(),
        "data-streams-forked" => data_streams::forked(),
        "data-streams-steady" => data_streams::steady(),
        "data-streams-requests" => requests::run(),
        "data-streams-requests-in-code" => requests::in_code(),
        "kafka" => kafka::run(&arguments[1..]),
        "rabbitmq" => rabbitmq::run(&arguments[1..]),
        "llmobs" => llmobs::run(&arguments[1]),
        "registry" => annotated::registry(),
        "failing" => failing::run(),
        "dropped-futures" => failing::dropped_futures(),
        "runtime" => runtimes::run(&arguments[1]),
        other => panic!("there is no program {other:?}"),
    }
}
