//! Statistics that a program makes, as the agent that all Datadog tracers are tested with reads them.

use crate::program::{assert_balanced, command, number};
use ddtrace_tests::process;
use ddtrace_tests::test_agent::TestAgent;
use serde_json::{Value, json};

/// The headers of requests to a path, names in lower case.
fn headers(agent: &TestAgent, path: &str) -> Vec<serde_json::Map<String, Value>> {
    let requests = agent.requests();
    let of_path = requests.iter().filter(|request| {
        let url = request["url"].as_str().expect("a URL");
        url.ends_with(path)
    });
    let lower = |request: &Value| {
        let headers = request["headers"].as_object().expect("headers");
        let pairs = headers.iter();
        pairs
            .map(|(name, value)| (name.to_lowercase(), value.clone()))
            .collect()
    };
    of_path.map(lower).collect()
}

#[test]
fn all_spans_are_counted_and_rejected_ones_not_sent() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["statistics"], &agent.url());
    command.env("DD_ENV", "staging").env("DD_VERSION", "1.2.3");
    let report = process::run(&mut command).report();
    assert_balanced(&report);
    // Nine requests of three spans, and the span alone; the tenth request was rejected by hand.
    assert_eq!(number(&report, "sent"), 28, "{report}");
    assert_eq!(number(&report, "unsampled"), 3, "{report}");
    assert_eq!(agent.traces().len(), 10);
    agent.assert_checks_passed();

    let payloads = agent.statistics();
    let [payload] = &payloads[..] else {
        panic!("one payload, at the end: {payloads:#?}");
    };
    assert_eq!(
        (&payload["Env"], &payload["Version"]),
        (&json!("staging"), &json!("1.2.3"))
    );
    // The ten seconds may have turned meanwhile.
    let groups: Vec<&Value> = payload["Stats"]
        .as_array()
        .expect("buckets")
        .iter()
        .flat_map(|bucket| bucket["Stats"].as_array().expect("groups"))
        .collect();
    let sum = |name: &str, status: u64, key: &str| -> u64 {
        let of_it = groups
            .iter()
            .filter(|group| group["Name"] == name && group["HTTPStatusCode"] == status);
        of_it
            .map(|group| group[key].as_u64().expect("a number"))
            .sum()
    };
    for (name, status, hits, errors, top_level) in [
        ("web.request", 200, 8, 0, 8),
        ("web.request", 500, 2, 2, 2),
        ("db.query", 0, 10, 0, 10),
        // The root counts, the ten below requests do not.
        ("inside", 0, 1, 0, 1),
    ] {
        assert_eq!(
            sum(name, status, "Hits"),
            hits,
            "{name} {status}: {groups:#?}"
        );
        assert_eq!(sum(name, status, "Errors"), errors, "{name} {status}");
        assert_eq!(
            sum(name, status, "TopLevelHits"),
            top_level,
            "{name} {status}"
        );
    }

    let of_traces = headers(&agent, "/v0.4/traces");
    let dropped = |name: &str| -> u64 {
        let texts = of_traces
            .iter()
            .filter_map(|headers| headers[name].as_str());
        texts
            .map(|text| text.parse::<u64>().expect("a number"))
            .sum()
    };
    assert_eq!(dropped("datadog-client-dropped-p0-traces"), 1);
    assert_eq!(dropped("datadog-client-dropped-p0-spans"), 3);
    for headers in &of_traces {
        assert_eq!(headers["datadog-client-computed-stats"], "yes");
        assert_eq!(headers["datadog-client-computed-top-level"], "yes");
    }
    let of_stats = headers(&agent, "/v0.6/stats");
    assert_eq!(of_stats[0]["datadog-meta-lang"], "rust");
    assert_eq!(of_stats[0]["content-type"], "application/msgpack");
    // Its rules for obfuscation are none, so nothing was obfuscated.
    assert_eq!(of_stats[0].get("datadog-obfuscation-version"), None);
}

#[test]
fn switched_off_everything_is_sent_and_nothing_counted() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["statistics"], &agent.url());
    command.env("DD_TRACE_STATS_COMPUTATION_ENABLED", "false");
    let report = process::run(&mut command).report();
    assert_eq!(number(&report, "sent"), 31, "{report}");
    assert_eq!((agent.traces().len(), agent.statistics().len()), (11, 0));
    for headers in headers(&agent, "/v0.4/traces") {
        assert_eq!(headers.get("datadog-client-computed-stats"), None);
        assert_eq!(headers.get("datadog-client-dropped-p0-traces"), None);
    }
}
