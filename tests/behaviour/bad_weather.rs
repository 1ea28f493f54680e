//! Agents that are away, slow, or answer nonsense: the program goes on, what can't be sent is counted, and once the agent is
//! well again everything is sent.

use crate::program::{assert_balanced, command, number, run, start};
use ddtrace_tests::process::Process;
use ddtrace_tests::weather::{self, Agent, Weather};
use serde_json::Value;

/// How long a flush or shutdown may take at the most, in ms: the documented five seconds, and what a busy machine adds.
const PATIENCE: u64 = 8_000;

/// Makes traces and flushes; gives what the program says then.
#[track_caller]
fn make(process: &mut Process, traces: u64) -> Value {
    process.say(&format!("make {traces}"));
    process.say("flush");
    serde_json::from_str(&process.line("flushed ")).expect("JSON")
}

/// Ends the program; all that it made was sent or counted, and it did not take too long.
#[track_caller]
fn end(process: Process) -> (Value, String) {
    let ended = process.end();
    let report = ended.report();
    assert_balanced(&report);
    assert!(number(&report["more"], "ms") < PATIENCE, "{report}");
    (report, ended.errors)
}

/// One program in a weather that turns fair in the end.
#[track_caller]
fn weather_turns_fair(weather: Weather) {
    let agent = Agent::start(weather);
    let mut process = start(&["steady"], &agent.url());
    let first = make(&mut process, 10);
    assert!(number(&first, "ms") < PATIENCE, "{weather:?}: {first}");
    agent.becomes(Weather::Fair);
    // What was lost is lost; what was kept for another try and what comes now arrives.
    let second = make(&mut process, 7);
    assert!(number(&second, "ms") < PATIENCE, "{weather:?}: {second}");
    let (report, errors) = end(process);
    let arrived = agent.chunks().iter().flatten().count() as u64;
    assert!(
        arrived >= 14,
        "{weather:?}: what was made in fair weather arrived: {report} {errors}"
    );
    assert_eq!(
        arrived,
        number(&report, "sent"),
        "{weather:?}: {report} {errors}"
    );
    assert!(
        errors.lines().count() <= 8,
        "{weather:?}: it does not chatter: {errors}"
    );
    assert!(!errors.contains("panicked"), "{errors}");
}

macro_rules! weathers {
    ($($name:ident: $weather:expr;)*) => {$(
        #[test]
        fn $name() {
            weather_turns_fair($weather);
        }
    )*};
}

weathers! {
    an_agent_that_refuses_with_400: Weather::Status(400);
    an_agent_that_asks_for_a_login: Weather::Status(401);
    an_agent_without_the_endpoint: Weather::Status(404);
    an_agent_that_finds_payloads_too_large: Weather::Status(413);
    an_agent_that_is_asked_too_often: Weather::Status(429);
    an_agent_that_fails: Weather::Status(500);
    an_agent_that_is_unavailable: Weather::Status(503);
    an_agent_that_redirects: Weather::Status(302);
    an_agent_that_speaks_another_protocol: Weather::Garbage;
    an_agent_that_closes_at_once: Weather::Closes;
    an_agent_that_closes_in_the_middle_of_the_body: Weather::ClosesMidBody;
    an_agent_that_hangs: Weather::Hangs;
    an_agent_that_answers_without_end: Weather::Endless;
}

/// The payload was taken, whatever is wrong with the answer: it must not be sent twice.
#[test]
fn answers_that_make_no_sense_are_no_reason_to_send_again() {
    for text in [
        "",
        "OK",
        "null",
        "[]",
        "{\"rate_by_service\": 7}",
        "{\"rate_by_service\": {\"service:,env:\": \"many\"}}",
        "{\"rate_by_service\": {\"service:,env:\": -1e308, \"\": 1e308}}",
        "{\"rate_by_service\":",
        "\u{feff}{}",
    ] {
        let agent = Agent::start(Weather::Says(text));
        let mut process = start(&["steady"], &agent.url());
        make(&mut process, 3);
        make(&mut process, 3);
        let (report, errors) = end(process);
        assert_eq!(number(&report, "sent"), 12, "{text:?}: {errors}");
        assert_eq!(agent.received().len(), 2, "{text:?}: {errors}");
    }
}

#[test]
fn an_agent_without_v05_gets_v04_from_then_on() {
    let agent = Agent::start(Weather::WithoutV05);
    let mut command = command(&["steady"], &agent.url());
    command.env("DD_TRACE_API_VERSION", "v0.5");
    let mut process = Process::start(&mut command);
    make(&mut process, 3);
    make(&mut process, 4);
    make(&mut process, 5);
    let (report, errors) = end(process);
    let lines: Vec<_> = agent
        .received()
        .into_iter()
        .map(|request| request.line)
        .collect();
    let v05 = lines.iter().filter(|line| line.contains("/v0.5/")).count();
    assert_eq!(v05, 1, "it is asked once: {lines:?}");
    // The payload of the first try can't be written anew, its spans are gone.
    assert_eq!(agent.chunks().len(), 9, "{report} {errors}");
    assert_eq!(number(&report, "sent"), 18, "{report} {errors}");
}

#[test]
fn an_agent_that_is_away_and_comes() {
    let address = weather::nobody();
    let mut process = start(&["steady"], &format!("http://{address}"));
    let first = make(&mut process, 10);
    assert!(number(&first, "ms") < PATIENCE, "{first}");
    let agent = Agent::start_at(address, Weather::Fair);
    make(&mut process, 7);
    let (report, errors) = end(process);
    assert_eq!(
        agent.chunks().iter().flatten().count() as u64,
        number(&report, "sent"),
        "{report} {errors}"
    );
    assert!(number(&report, "sent") >= 14, "{report} {errors}");
}

/// Programs whose agent never gets better: they end in time, with everything counted.
#[test]
fn a_shutdown_ends_in_time_whatever_the_agent_does() {
    for weather in [
        Weather::Hangs,
        Weather::Deaf,
        Weather::Drips,
        Weather::Endless,
        Weather::ClosesMidAnswer,
    ] {
        let agent = Agent::start(weather);
        let mut process = start(&["steady"], &agent.url());
        process.say("make 10");
        let (report, errors) = end(process);
        assert!(!errors.contains("panicked"), "{weather:?}: {errors}");
        assert_eq!(number(&report, "made"), 20);
    }
}

#[test]
fn addresses_that_lead_nowhere_are_survived() {
    for url in [
        "http://127.0.0.1:1",
        "unix:///nonexistent/socket",
        "http://[::1]:9",
        "http://name.invalid:8126",
        "gopher://127.0.0.1:9",
        "http://",
        "not an address",
    ] {
        let mut command = command(&["runtime", "none"], url);
        let ended = ddtrace_tests::process::run(&mut command);
        let report = ended.report();
        assert_eq!(number(&report, "sent"), 0, "{url}: {ended:#?}");
        assert_balanced(&report);
        assert!(!ended.errors.contains("panicked"), "{url}: {ended:#?}");
    }
}

#[test]
fn a_full_queue_drops_and_counts_and_holds_nobody_up() {
    for weather in [Weather::Fair, Weather::Hangs, Weather::Status(503)] {
        let agent = Agent::start(weather);
        let (report, ended) = run(&["flood", "40000", "10"], &agent.url());
        assert_balanced(&report);
        assert_eq!(number(&report, "made"), 2 * 40_000 * 11);
        let arrived = agent.chunks().iter().flatten().count() as u64;
        assert_eq!(arrived, number(&report, "sent"), "{weather:?}: {ended:#?}");
        let peak = number(&report["more"], "peak");
        assert!(peak < 128 << 20, "{weather:?}: it held {peak} bytes");
    }
}

#[test]
fn a_trace_larger_than_a_payload_may_be_is_dropped_alone() {
    let agent = Agent::start(Weather::Fair);
    // Partial flush would cut it into parts that fit.
    let mut command = command(&["large", "60000000"], &agent.url());
    command.env("DD_TRACE_PARTIAL_FLUSH_ENABLED", "false");
    let ended = ddtrace_tests::process::run(&mut command);
    let report = ended.report();
    assert_balanced(&report);
    assert_eq!(number(&report, "sent"), 4, "{ended:#?}");
    assert_eq!(agent.chunks().len(), 2);
}
