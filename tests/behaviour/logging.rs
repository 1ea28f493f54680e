//! Programs with logging of their own: spans of `tracing` at the agent, ids in records, and the tracer's lines among them.

use crate::program::{command, number};
use ddtrace_tests::process;
use ddtrace_tests::test_agent::TestAgent;
use serde_json::Value;

/// A setting that the tracer has something to say about.
const BAD: (&str, &str) = ("DD_TRACE_RATE_LIMIT", "nonsense");

#[test]
fn spans_of_tracing_arrive_at_the_agent_and_records_say_where_they_belong() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["logging-tracing"], &agent.url());
    command.env(BAD.0, BAD.1).env("DD_ENV", "prod");
    let ended = process::run(&mut command);
    let report = ended.report();
    assert_eq!(
        (number(&report, "sent"), number(&report, "dropped")),
        (3, 0)
    );
    agent.assert_checks_passed();
    let traces = agent.traces();
    assert_eq!(traces.len(), 1, "{traces:#?}");
    let span = |name: &str| {
        let found = traces[0].iter().find(|span| span["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {traces:#?}"))
    };
    let (request, fetch, price) = (span("web.request"), span("fetch"), span("cart.price"));
    assert_eq!(fetch["parent_id"], request["span_id"]);
    assert_eq!(price["parent_id"], fetch["span_id"]);
    assert_eq!(fetch["error"], 1);
    for (key, value) in [
        ("error.message", "out of stock"),
        ("span.kind", "client"),
        ("item", "kettle"),
        ("component", "tracing"),
    ] {
        assert_eq!(fetch["meta"][key], value, "{key}");
    }

    let records: Vec<Value> = ended
        .lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let record = |message: &str| {
        let found = records.iter().find(|record| {
            record["message"]
                .as_str()
                .is_some_and(|text| text.contains(message))
        });
        found.unwrap_or_else(|| panic!("no {message} in {ended:#?}"))
    };
    let priced = record("priced");
    let id = |span: &Value| span["span_id"].as_u64().expect("it has an id").to_string();
    assert_eq!(priced["dd.span_id"], id(price));
    assert_eq!(priced["dd.env"], "prod");
    let trace_id = priced["dd.trace_id"].as_str().expect("it has an id");
    let low = price["trace_id"].as_u64().expect("it has an id");
    assert_eq!(trace_id.len(), 32);
    assert!(
        trace_id.ends_with(&format!("{low:016x}")),
        "{trace_id} {low:x}"
    );

    // The tracer's own line is among the program's, and nowhere else.
    let own = record(BAD.0);
    assert_eq!(
        (&own["target"], &own["level"]),
        (&"ddtrace".into(), &"WARN".into())
    );
    assert!(!ended.errors.contains(BAD.0), "{ended:#?}");
}

#[test]
fn records_of_log_have_the_ids_and_the_tracers_lines_are_among_them() {
    let mut command = command(&["logging-log"], "http://127.0.0.1:9");
    command.env(BAD.0, BAD.1);
    let ended = process::run(&mut command);
    ended.report();
    let lines: Vec<_> = ended.errors.lines().collect();
    let find = |text: &str| {
        let found = lines.iter().find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no {text} in {ended:#?}"))
    };
    let placed = find("placed");
    for field in ["dd.service=tests", "dd.trace_id=0", "dd.span_id=0"] {
        assert!(placed.contains(field), "{placed}");
    }
    assert!(find(BAD.0).starts_with("[WARN  ddtrace]"), "{lines:#?}");
}

#[test]
fn without_a_logger_the_tracers_lines_go_to_standard_error() {
    let mut command = command(&["metrics"], "http://127.0.0.1:9");
    command.env(BAD.0, BAD.1);
    let ended = process::run(&mut command);
    ended.report();
    let line = ended.errors.lines().find(|line| line.contains(BAD.0));
    assert!(
        line.is_some_and(|line| line.starts_with("ddtrace: ")),
        "{ended:#?}"
    );
}
