//! What the library says about itself, as the test agent takes it.

use crate::program::command;
use ddtrace_tests::test_agent::TestAgent;
use ddtrace_tests::{process, wait};
use serde_json::Value;
use std::collections::BTreeMap;

/// Requests for telemetry that the agent took, by runtime id: the headers and the body of each, in the order of numbers.
#[track_caller]
pub(crate) fn requests(agent: &TestAgent) -> BTreeMap<String, Vec<(Value, Value)>> {
    let mut sessions: BTreeMap<String, Vec<(Value, Value)>> = BTreeMap::new();
    for request in agent.requests() {
        let url = request["url"].as_str().expect("a URL");
        if !url.ends_with("/telemetry/proxy/api/v2/apmtelemetry") {
            continue;
        }
        let body = ddtrace_tests::test_agent::body(&request);
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let id = body["runtime_id"].as_str().expect("an id").to_owned();
        let session = sessions.entry(id).or_default();
        session.push((request["headers"].clone(), body));
    }
    for session in sessions.values_mut() {
        session.sort_by_key(|(_, body)| body["seq_id"].as_u64());
    }
    sessions
}

/// The messages of a session, batches taken apart.
pub(crate) fn messages(session: &[(Value, Value)]) -> Vec<(String, Value)> {
    let of = |body: &Value| match body["payload"].as_array() {
        Some(batch) => batch.clone(),
        None => vec![body.clone()],
    };
    let all = session.iter().flat_map(|(_, body)| of(body));
    all.map(|message| {
        let kind = message["request_type"].as_str().expect("a type").to_owned();
        (kind, message["payload"].clone())
    })
    .collect()
}

fn header<'a>(headers: &'a Value, name: &str) -> Option<&'a str> {
    let headers = headers.as_object().expect("a map");
    let found = headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.and_then(|(_, value)| value.as_str())
}

#[test]
fn a_program_reports_its_start_its_configuration_and_its_end() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["snapshot"], &agent.url());
    command
        .env("DD_ENV", "staging")
        .env("DD_API_KEY", "0123456789abcdef0123456789abcdef")
        .env("DD_TRACE_RATE_LIMIT", "10")
        .env("OTEL_SERVICE_NAME", "hidden");
    process::run(&mut command);
    let sessions = requests(&agent);
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    let (id, session) = sessions.first_key_value().expect("one");
    for (index, (headers, body)) in session.iter().enumerate() {
        assert_eq!(body["seq_id"], index + 1);
        assert_eq!(body["api_version"], "v2");
        for (name, value) in [
            ("dd-telemetry-api-version", "v2"),
            (
                "dd-telemetry-request-type",
                body["request_type"].as_str().expect("a type"),
            ),
            ("dd-client-library-language", "rust"),
            ("dd-telemetry-debug-enabled", "false"),
            ("dd-session-id", id),
            ("dd-root-session-id", id),
            ("content-type", "application/json"),
        ] {
            assert_eq!(header(headers, name), Some(value), "{name}: {headers:#}");
        }
        // G5 of the vectors.
        assert_eq!(header(headers, "dd-parent-session-id"), None);
        assert_eq!(body["application"]["service_name"], "tests");
        assert_eq!(body["application"]["env"], "staging");
        assert_eq!(body["application"]["language_name"], "rust");
    }
    let all = messages(session);
    let kinds: Vec<&str> = all.iter().map(|(kind, _)| &**kind).collect();
    assert_eq!(session[0].1["request_type"], "app-started");
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "app-started").count(),
        1
    );
    assert_eq!(kinds.last(), Some(&"app-closing"));
    assert!(kinds.contains(&"app-dependencies-loaded"), "{kinds:?}");

    // What the program was built from, and with it the version of each library that is instrumented.
    let of_kind = |wanted: &str, list: &str| -> Vec<Value> {
        let payloads = all.iter().filter(|(kind, _)| kind == wanted);
        let items = payloads.flat_map(|(_, payload)| payload[list].as_array().cloned());
        items.flatten().collect()
    };
    let dependencies = of_kind("app-dependencies-loaded", "dependencies");
    let version = |name: &str| {
        let found = dependencies.iter().find(|one| one["name"] == name);
        found
            .and_then(|one| one["version"].as_str())
            .unwrap_or_else(|| panic!("{name} is missing"))
    };
    assert_eq!(version("ddtrace-core"), version("ddtrace-axum"));
    assert!(version("serde_json").starts_with("1."));
    let integrations = of_kind("app-integrations-change", "integrations");
    let axum = integrations
        .iter()
        .find(|one| one["name"] == "axum")
        .expect("it is linked");
    assert_eq!(axum["version"], version("axum"));
    assert_eq!(axum["enabled"], true);

    let text = session.iter().map(|(_, body)| body.to_string());
    assert!(!text.collect::<String>().contains("0123456789abcdef"));
    let configuration = all[0].1["configuration"].as_array().expect("a list");
    let values = |name: &str| -> Vec<(&str, &str)> {
        let entries = configuration.iter().filter(|entry| entry["name"] == name);
        let text = |value: &'_ Value| value.as_str().unwrap_or("").to_owned().leak() as &str;
        entries
            .map(|entry| (text(&entry["origin"]), text(&entry["value"])))
            .collect()
    };
    // G6 to G8 of the vectors.
    assert_eq!(
        values("DD_SERVICE"),
        [
            ("default", "ddtrace-test-program"),
            ("otel_env_var", "hidden"),
            ("env_var", "tests")
        ]
    );
    assert_eq!(values("DD_ENV"), [("default", ""), ("env_var", "staging")]);
    assert_eq!(
        values("DD_TRACE_RATE_LIMIT"),
        [("default", "100"), ("env_var", "10")]
    );
    assert_eq!(values("DD_API_KEY"), []);
    let numbers: Vec<u64> = configuration
        .iter()
        .map(|entry| entry["seq_id"].as_u64().expect("a number"))
        .collect();
    assert!(numbers.is_sorted());

    // The agent reads them as well: one event each, batches taken apart by it or not.
    assert_eq!(agent.telemetry().len(), session.len());
}

#[test]
fn signs_of_life_come_as_often_as_they_should() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["steady"], &agent.url());
    command
        .env("DD_TELEMETRY_HEARTBEAT_INTERVAL", "0.1")
        .env("_DD_TELEMETRY_EXTENDED_HEARTBEAT_INTERVAL", "0.5");
    let program = process::Process::start(&mut command);
    wait::until("signs of life, a longer one, and metrics", || {
        let sessions = requests(&agent);
        let kinds: Vec<String> = sessions
            .values()
            .flat_map(|session| messages(session))
            .map(|(kind, _)| kind)
            .collect();
        let has = |kind: &str, count| kinds.iter().filter(|other| *other == kind).count() >= count;
        let all = has("app-heartbeat", 5) && has("app-extended-heartbeat", 2);
        (all && has("generate-metrics", 1)).then_some(())
    });
    drop(program);
}

#[test]
fn a_forked_child_has_a_session_below_that_of_its_parent() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    process::run(&mut command(&["fork"], &agent.url()));
    let sessions = requests(&agent);
    let started = |session: &&Vec<(Value, Value)>| {
        messages(session)
            .iter()
            .any(|(kind, _)| kind == "app-started")
    };
    let starts = sessions.values().filter(started).count();
    assert_eq!(starts, 1, "{sessions:#?}");
    let (root, _) = sessions
        .iter()
        .find(|(_, session)| started(session))
        .expect("one started");
    for (id, session) in sessions.iter().filter(|(id, _)| *id != root) {
        for (headers, _) in session {
            assert_eq!(header(headers, "dd-session-id"), Some(&**id));
            assert_eq!(header(headers, "dd-root-session-id"), Some(&**root));
            assert!(header(headers, "dd-parent-session-id").is_some());
        }
        assert!(
            messages(session)
                .iter()
                .all(|(kind, _)| kind != "app-closing")
        );
    }
}

#[test]
fn nothing_is_sent_when_it_is_switched_off() {
    // G4 of the vectors.
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["snapshot"], &agent.url());
    command.env("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false");
    process::run(&mut command);
    assert!(!agent.traces().is_empty());
    assert!(requests(&agent).is_empty());
}
