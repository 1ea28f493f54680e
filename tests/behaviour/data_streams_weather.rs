//! What Data Streams Monitoring does when something is wrong: section 16 of its specification, row by row, as far as it takes a
//! whole process.

use crate::data_streams::payloads;
use crate::program::{command, number};
use crate::telemetry;
use ddtrace_tests::process::{self, Process};
use ddtrace_tests::test_agent::TestAgent;
use ddtrace_tests::weather::{self, Agent, Weather};

const ENDPOINT: &str = "/v0.1/pipeline_stats";

/// How long a program may take to end, in ms: the documented five seconds, and what a busy machine adds.
const PATIENCE: u64 = 30_000;

/// The program that does as it is told; nothing is sent unless it is told to flush.
fn steady(agent_url: &str) -> Process {
    let mut command = command(&["data-streams-steady"], agent_url);
    command
        .env("DD_DATA_STREAMS_ENABLED", "true")
        .env("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
        .env("_DD_TRACE_STATS_WRITER_INTERVAL", "3600");
    Process::start(&mut command)
}

/// Has one message passed and everything sent, so many times; gives standard error without the other products' lines.
#[track_caller]
fn flush(mut process: Process, times: usize) -> Vec<String> {
    for _ in 0..times {
        process.say("pass 1 topic");
        process.say("flush");
        process.line("flushed ");
    }
    let ended = process.end();
    assert!(number(&ended.report()["more"], "ms") < PATIENCE);
    let about_streams = ended
        .errors
        .lines()
        .filter(|line| line.contains("data streams"));
    about_streams.map(str::to_owned).collect()
}

#[test]
fn an_agent_that_is_away_gives_one_warning_and_holds_nobody_up() {
    let url = format!("http://{}", weather::nobody());
    let lines = flush(steady(&url), 3);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("warning") && lines[0].contains("were dropped"));
}

#[test]
fn an_agent_that_refuses_is_asked_once_and_the_log_says_why() {
    let version = "this needs Agent 7.34 or later";
    for (weather, level, reason) in [
        (Weather::Status(404), "error", version),
        (Weather::Status(400), "error", "answered 400"),
        (Weather::Status(413), "error", "answered 413"),
        (Weather::Status(500), "error", "answered 500"),
        (Weather::Status(503), "error", "answered 503"),
        (Weather::ClosesMidBody, "warning", "were dropped"),
    ] {
        let agent = Agent::start_for(ENDPOINT, weather);
        let lines = flush(steady(&agent.url()), 2);
        assert_eq!(lines.len(), 1, "{weather:?}: {lines:#?}");
        assert!(
            lines[0].contains(level) && lines[0].contains(reason),
            "{lines:?}"
        );
        if let Weather::Status(_) = weather {
            assert_eq!(agent.received().len(), 2, "no retry: {weather:?}");
        }
    }
}

#[test]
fn requests_have_the_headers_that_the_agent_asks_for() {
    let agent = Agent::start_for(ENDPOINT, Weather::Fair);
    assert_eq!(flush(steady(&agent.url()), 1), Vec::<String>::new());
    let received = agent.received();
    assert_eq!(received.len(), 1);
    let request = &received[0];
    assert!(request.line.starts_with("POST /v0.1/pipeline_stats "));
    for (name, expected) in [
        ("datadog-meta-lang", "rust"),
        ("content-type", "application/msgpack"),
        ("content-encoding", "gzip"),
    ] {
        assert_eq!(request.header(name), Some(expected), "{name}");
    }
    assert!(request.header("datadog-meta-tracer-version").is_some());
}

#[test]
fn nothing_to_report_is_no_request() {
    let agent = Agent::start_for(ENDPOINT, Weather::Fair);
    let mut process = steady(&agent.url());
    process.say("flush");
    process.line("flushed true");
    process.end().report();
    assert_eq!(agent.received().len(), 0);
}

/// The bucket is as wide as the setting says, holds 10,000 groups, and telemetry is told what found no room.
#[test]
fn topics_beyond_what_a_bucket_holds_are_dropped_and_counted() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["data-streams-steady"], &agent.url());
    command
        .env("DD_DATA_STREAMS_ENABLED", "true")
        .env("_DD_TRACE_STATS_WRITER_INTERVAL", "86400");
    let mut process = Process::start(&mut command);
    process.say("pass 10003 topic");
    process.say("flush");
    process.line("flushed true");
    let ended = process.end();
    ended.report();
    let payloads = payloads(&agent);
    let buckets: Vec<_> = payloads.iter().flat_map(|payload| &payload.stats).collect();
    let [bucket] = buckets[..] else {
        // Midnight has passed on the way.
        return;
    };
    assert_eq!(bucket.duration, 86_400_000_000_000);
    assert_eq!(bucket.stats.len(), 10_000);
    let said = "3 checkpoints, offsets or transactions were dropped";
    assert!(ended.errors.contains(said), "{}", ended.errors);
    let dropped: f64 = telemetry::requests(&agent)
        .values()
        .flat_map(|session| telemetry::messages(session))
        .filter(|(kind, _)| kind == "generate-metrics")
        .flat_map(|(_, metrics)| metrics["series"].as_array().cloned().unwrap_or_default())
        .filter(|series| series["metric"] == "dropped_points")
        .flat_map(|series| series["points"].as_array().cloned().unwrap_or_default())
        .filter_map(|point| point[1].as_f64())
        .sum();
    assert_eq!(dropped, 3.0);
}

#[test]
fn a_forked_child_begins_with_empty_buckets_and_sends_its_own() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["data-streams-forked"], &agent.url());
    command
        .env("DD_DATA_STREAMS_ENABLED", "true")
        .env("_DD_TRACE_STATS_WRITER_INTERVAL", "86400");
    process::run(&mut command).report();
    let topics: Vec<Vec<String>> = payloads(&agent)
        .iter()
        .map(|payload| {
            let groups = payload.stats.iter().flat_map(|bucket| &bucket.stats);
            let mut tags: Vec<_> = groups.map(|group| group.edge_tags.join(" ")).collect();
            tags.sort();
            tags
        })
        .collect();
    let of = |topic: &str| format!("direction:out manual_checkpoint:true topic:{topic} type:kafka");
    // Both sent once, the child first: its parent waits for it.
    let expected = [vec![of("in-child")], vec![of("before"), of("in-parent")]];
    assert_eq!(topics, expected);
}
