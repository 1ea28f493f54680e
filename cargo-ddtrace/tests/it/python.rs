//! The Python tracer against this agent: what it sends breaks no rule of ours, and what it asks for is answered.
//!
//! `PYTHON` names an interpreter with `ddtrace`; `tests/run` sets it, and says that it must be there.

use std::process::Command;

use serde_json::{Value, json};

use crate::client::{TestAgent, eventually};

/// Runs a program of `tests/python` against an agent; gives what it printed, or nothing if there is no Python.
fn run(agent: &TestAgent, program: &str, environment: &[(&str, &str)]) -> Option<String> {
    let Ok(python) = std::env::var("PYTHON") else {
        let required = std::env::var("DDTRACE_TESTS_SERVICES").as_deref() == Ok("required");
        assert!(
            !required,
            "PYTHON is not set, and every service should be there"
        );
        eprintln!("left out: PYTHON is not set; `bash tests/run` sets it");
        return None;
    };
    let output = Command::new(python)
        .arg(format!(
            "{}/tests/python/{program}",
            env!("CARGO_MANIFEST_DIR")
        ))
        .env("DD_TRACE_AGENT_URL", format!("http://{}", agent.address()))
        .env("DD_SERVICE", "assistant")
        .env("DD_ENV", "dev")
        .env("DD_REMOTE_CONFIGURATION_ENABLED", "false")
        .envs(environment.iter().copied())
        .output()
        .expect("Python starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Some(String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn its_llm_spans_and_experiments_break_no_rule() {
    let agent = TestAgent::new();
    let Some(printed) = run(&agent, "llmobs.py", &[]) else {
        return;
    };
    let last = printed.lines().last().expect("a line");
    let report: Value =
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {printed}"));
    assert_eq!(
        (&report["version"], &report["records"], &report["first"]),
        (
            &json!(2),
            &json!(["Paris", "Rome", "Madrid"]),
            &json!(["Paris", "Rome"])
        )
    );
    assert_eq!(report["status"], json!(["completed"]));
    // Spans are flushed when the program ends, at the latest.
    eventually("the trace", || agent.json("/api/llm/traces")["total"] == 1);
    let trace = &agent.json("/api/llm/traces")["traces"][0];
    assert_eq!(
        (
            &trace["name"],
            &trace["ml_app"],
            &trace["sums"]["total_tokens"]
        ),
        (&json!("handle"), &json!("assistant"), &json!(7.0))
    );
    assert_eq!(trace["prompts"], json!([{"id": "greet", "version": "1"}]));
    assert_eq!(trace["evaluations"][0]["label"], "quality");
    let id = report["experiment"].as_str().expect("an id");
    eventually("six rows", || {
        agent.json(&format!("/api/llm/experiments/{id}"))["rows"] == 6
    });
    let experiment = agent.json(&format!("/api/llm/experiments/{id}"));
    assert_eq!(
        experiment["labels"][0]["values"],
        json!({"true": 4, "false": 2})
    );
    assert_eq!(agent.problems(), [""; 0]);
}

#[test]
fn its_pipeline_statistics_break_no_rule() {
    let agent = TestAgent::new();
    let environment = [
        ("DD_DATA_STREAMS_ENABLED", "true"),
        ("DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED", "true"),
    ];
    if run(&agent, "data_streams.py", &environment).is_none() {
        return;
    }
    eventually("the statistics", || {
        agent.json("/api/streams")["counts"]["points"] == 2
    });
    let streams = agent.json("/api/streams");
    let pathways = streams["pathways"].as_array().expect("a list");
    let of = |direction: &str| {
        pathways
            .iter()
            .find(|one| one["direction"] == direction)
            .expect("it came")
    };
    assert_eq!(of("in")["parent"], of("out")["hash"]);
    assert!(
        of("in")["latency"]["p50"].as_f64() >= Some(19e6),
        "{streams}"
    );
    assert_eq!(streams["lag"][0]["lag"], 20);
    assert_eq!(agent.problems(), [""; 0]);
}
