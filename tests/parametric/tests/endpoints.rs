//! A walk over the endpoints, with an agent that takes what comes.

use std::net::SocketAddr;
use std::process::Command;

use ddtrace_tests::http;
use ddtrace_tests::payload::Span;
use ddtrace_tests::process::Process;
use ddtrace_tests::test_agent::TestAgent;
use ddtrace_tests::wait;
use ddtrace_tests::weather::{Agent, Weather};
use serde_json::{Value, json};

struct App {
    address: SocketAddr,
    process: Process,
    agent: Agent,
}

impl App {
    #[track_caller]
    fn start(settings: &[(&str, &str)]) -> App {
        let agent = Agent::start(Weather::Fair);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ddtrace-parametric"));
        for (name, _) in std::env::vars() {
            if name.starts_with("DD_") || name.starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command
            .arg("-Dunknown=argument")
            .env("APM_TEST_CLIENT_SERVER_PORT", "0")
            .env("DD_TRACE_AGENT_URL", agent.url())
            .env("DD_SERVICE", "tests")
            .env("DD_TRACE_OTEL_ENABLED", "true")
            .envs(settings.iter().copied());
        let mut process = Process::start(&mut command);
        let address = process.line("listening ").parse().expect("an address");
        App {
            address,
            process,
            agent,
        }
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let body = body.to_string();
        let headers = [("content-type", "application/json")];
        let response = http::request(self.address, method, path, &headers, body.as_bytes())
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        response.json()
    }

    #[track_caller]
    fn post(&self, path: &str, body: Value) -> Value {
        self.call("POST", path, body)
    }

    #[track_caller]
    fn start_span(&self, path: &str, body: Value) -> Value {
        let started = self.post(path, body);
        assert!(
            started["span_id"].is_u64() && started["trace_id"].is_u64(),
            "{started}"
        );
        started
    }

    /// The same for what may take longer than the app waits: asks again as long as it is late.
    #[track_caller]
    fn await_answer(&self, method: &str, path: &str) -> Value {
        wait::until(path, || {
            let response = http::request(self.address, method, path, &[], b"{}").ok()?;
            (response.status == 200).then(|| response.json())
        })
    }

    /// Everything that was delivered when the flush answered.
    #[track_caller]
    fn flush(&self) -> Vec<Vec<Span>> {
        self.await_answer("POST", "/trace/span/flush");
        self.await_answer("POST", "/trace/stats/flush");
        self.agent.chunks()
    }
}

#[track_caller]
fn named<'a>(chunks: &'a [Vec<Span>], resource: &str) -> &'a Span {
    let mut spans = chunks
        .iter()
        .flatten()
        .filter(|span| span.resource == resource);
    spans
        .next()
        .unwrap_or_else(|| panic!("{resource}: {chunks:#?}"))
}

#[test]
fn both_interfaces_make_one_trace_and_a_flush_delivers_it() {
    let app = App::start(&[]);
    let unknown = http::get(app.address, "/not/there").expect("it answers");
    assert_eq!(unknown.status, 404);
    let nothing = app.call("GET", "/trace/span/current", json!({}));
    assert_eq!(nothing, json!({ "span_id": 0, "trace_id": 0 }));

    let root = app.start_span(
        "/trace/span/start",
        json!({
            "name": "root", "service": "shop", "resource": "r", "type": "web", "parent_id": 0,
            "span_tags": [["a", "1"]],
        }),
    );
    let root_id = &root["span_id"];
    app.post(
        "/trace/span/set_meta",
        json!({ "span_id": root_id, "key": "list", "value": ["x", ["y"]] }),
    );
    app.post(
        "/trace/span/set_meta",
        json!({ "span_id": root_id, "key": "a", "value": null }),
    );
    app.post(
        "/trace/span/set_metric",
        json!({ "span_id": root_id, "key": "m", "value": 1.5 }),
    );
    app.post(
        "/trace/span/error",
        json!({ "span_id": root_id, "type": "T", "message": "M", "stack": "S" }),
    );

    let child = app.start_span(
        "/trace/otel/start_span",
        json!({
            "name": "child", "parent_id": root_id, "span_kind": 2, "timestamp": 5_000_000,
            "attributes": { "db.system": "Redis", "list": [1, 2] },
        }),
    );
    assert_eq!(child["trace_id"], root["trace_id"]);
    let current = app.call("GET", "/trace/otel/current_span", json!({}));
    assert_eq!(current["span_id"], child["span_id"]);
    let context = app.post(
        "/trace/otel/span_context",
        json!({ "span_id": child["span_id"] }),
    );
    assert_eq!(
        (&context["span_id"], &context["trace_flags"]),
        (&child["span_id"], &json!("01"))
    );
    app.post(
        "/trace/otel/set_attributes",
        json!({ "span_id": root_id, "attributes": { "m": null } }),
    );
    app.post(
        "/trace/otel/end_span",
        json!({ "id": child["span_id"], "timestamp": 6_000_000 }),
    );
    let recording = app.post(
        "/trace/otel/is_recording",
        json!({ "span_id": child["span_id"] }),
    );
    assert_eq!(recording["is_recording"], false);

    // Ended spans are still parents, and their headers can be asked for.
    let headers = app.post(
        "/trace/span/inject_headers",
        json!({ "span_id": child["span_id"] }),
    );
    let remote = app.post(
        "/trace/span/extract_headers",
        json!({
            "http_headers": [["X-Datadog-Trace-Id", "77"], ["x-datadog-parent-id", "88"]],
        }),
    );
    assert_eq!(remote["span_id"], 88);
    let parent_id = headers["http_headers"].as_array().and_then(|headers| {
        headers
            .iter()
            .find(|header| header[0] == "x-datadog-parent-id")
            .map(|header| header[1].clone())
    });
    assert_eq!(
        parent_id,
        child["span_id"].as_u64().map(|id| json!(id.to_string()))
    );
    let continued = app.start_span(
        "/trace/span/start",
        json!({ "name": "continued", "parent_id": 88 }),
    );
    assert_eq!(continued["trace_id"], 77);
    for id in [&continued["span_id"], root_id, root_id] {
        app.post("/trace/span/finish", json!({ "span_id": id }));
    }
    let open = app.start_span("/trace/span/start", json!({ "name": "never finished" }));
    let chunks = app.flush();

    let sent = named(&chunks, "r");
    assert_eq!(
        (&*sent.name, &*sent.service, &*sent.r#type, sent.error),
        ("root", "shop", "web", 1)
    );
    for (key, value) in [
        ("list.0", "x"),
        ("list.1.0", "y"),
        ("error.type", "T"),
        ("error.stack", "S"),
    ] {
        assert_eq!(sent.meta.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(
        !sent.meta.contains_key("a") && !sent.metrics.contains_key("m"),
        "{sent:?}"
    );
    let child = named(&chunks, "child");
    assert_eq!(
        (&*child.name, child.parent_id),
        ("redis.query", sent.span_id)
    );
    assert_eq!(
        (child.start, child.duration),
        (5_000_000_000, 1_000_000_000)
    );
    assert_eq!(child.metrics["list.1"], 2.0);
    assert_eq!(named(&chunks, "continued").parent_id, 88);
    assert_eq!(chunks.len(), 2, "{chunks:#?}");
    assert!(
        chunks
            .iter()
            .flatten()
            .all(|span| span.resource != "never finished")
    );

    // A flush takes everything out of sight.
    let gone = app.call("GET", "/trace/span/current", json!({}));
    assert_eq!(gone["span_id"], 0);
    let body = json!({ "span_id": open["span_id"] }).to_string();
    let unknown = http::request(
        app.address,
        "POST",
        "/trace/span/finish",
        &[],
        body.as_bytes(),
    );
    assert_eq!(unknown.expect("it answers").status, 400);
    let flushed = app.post("/trace/otel/flush", json!({ "seconds": 30 }));
    assert_eq!(flushed["success"], true);
}

#[test]
fn baggage_is_that_of_both_interfaces() {
    let app = App::start(&[]);
    let remote = app.post(
        "/trace/span/extract_headers",
        json!({ "http_headers": [["baggage", "came=in"]] }),
    );
    let span = app.start_span(
        "/trace/span/start",
        json!({ "name": "carrier", "parent_id": remote["span_id"] }),
    );
    let on =
        |key: &str, value: &str| json!({ "span_id": span["span_id"], "key": key, "value": value });
    app.post("/trace/span/set_baggage", on("a", "1"));
    let theirs = app.post("/trace/otel/otel_set_baggage", on("b", "2"));
    assert_eq!(theirs["value"], "2");
    let one = app.call("GET", "/trace/span/get_baggage", on("b", ""));
    assert_eq!(one["baggage"], "2");
    app.post("/trace/span/remove_baggage", on("a", ""));
    let all = app.call(
        "GET",
        "/trace/span/get_all_baggage",
        json!({ "span_id": span["span_id"] }),
    );
    assert_eq!(all["baggage"], json!({ "b": "2", "came": "in" }));
    app.post("/trace/span/finish", on("", ""));
    let headers = app.post("/trace/span/inject_headers", on("", ""));
    assert!(headers.to_string().contains("b=2"), "{headers}");
    app.post("/trace/span/remove_all_baggage", on("", ""));
    assert_eq!(app.flush().concat().len(), 1);
}

#[test]
fn log_lines_name_the_span_that_they_are_written_in() {
    let mut app = App::start(&[]);
    let span = app.start_span("/trace/otel/start_span", json!({ "name": "work" }));
    let logger = json!({ "name": "l", "level": "INFO" });
    assert_eq!(app.post("/otel/logger/create", logger)["success"], true);
    let mut record = json!({ "logger_name": "l", "level": "INFO", "message": "hello" });
    app.post("/otel/logger/write", record.clone());
    record["span_id"] = span["span_id"].clone();
    app.post("/otel/logger/write", record);
    app.post("/log/otel/flush", json!({ "seconds": 1 }));
    let id = span["span_id"].to_string();
    for expected in ["0", &id] {
        let line = format!("{{{}", app.process.line("{"));
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            (&line["message"], &line["dd.service"]),
            (&json!("hello"), &json!("tests"))
        );
        assert_eq!(line["dd.span_id"], expected, "{line}");
    }
}

#[test]
fn what_the_agent_says_can_be_waited_for() {
    // The agent that system-tests use, if it is installed.
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let app = App::start(&[("DD_TRACE_AGENT_URL", &agent.url())]);
    wait::until("the agent is known", || {
        let answer = app.call("GET", "/trace/agent/ensure_agent_info", Value::Null);
        (answer == json!({ "ready": true })).then_some(())
    });
    let applied = app.await_answer("POST", "/trace/remote-config/apply");
    assert_eq!(applied, json!({ "applied_configs": [] }));
}

#[test]
fn the_configuration_is_the_librarys() {
    let app = App::start(&[
        ("DD_ENV", "prod"),
        ("DD_TAGS", "a:1 b:2"),
        ("DD_TRACE_SAMPLING_RULES", r#"[{"sample_rate":0.25}]"#),
    ]);
    let config = &app.call("GET", "/trace/config", Value::Null)["config"];
    for (key, value) in [
        ("dd_service", "tests"),
        ("dd_env", "prod"),
        ("dd_tags", "a:1,b:2"),
        ("dd_trace_sample_rate", "0.25"),
        ("dd_trace_enabled", "true"),
        ("dd_trace_otel_enabled", "true"),
        ("dd_trace_rate_limit", "100"),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
    assert_eq!(config["dd_trace_agent_url"], app.agent.url());
}

#[test]
#[cfg(unix)]
fn a_crash_is_a_segmentation_fault() {
    use std::os::unix::process::ExitStatusExt;

    let app = App::start(&[]);
    let _ = http::get(app.address, "/trace/crash");
    let App { process, .. } = app;
    assert_eq!(process.end().status.signal(), Some(11));
}
