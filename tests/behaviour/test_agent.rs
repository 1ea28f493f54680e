//! The agent that all Datadog tracers are tested with takes what we send, with every check on, and reads in it what was
//! written.

use crate::program::{number, run, start};
use ddtrace_tests::test_agent::TestAgent;
use ddtrace_tests::{process, wait};
use serde_json::{Value, json};

const FORMATS: [&str; 3] = ["v0.4", "v0.5", "v1"];

/// Runs the program that writes one of everything, and gives the spans by name as the agent decoded them.
#[track_caller]
fn snapshot(format: &str) -> Option<(TestAgent, Vec<Vec<Value>>)> {
    let agent = TestAgent::start()?;
    let mut command = crate::program::command(&["snapshot"], &agent.url());
    command
        .env("DD_TRACE_API_VERSION", format)
        .env("DD_ENV", "staging")
        .env("DD_VERSION", "1.2.3");
    command.env("DD_TAGS", "team:checkout");
    let ended = process::run(&mut command);
    let report = ended.report();
    assert_eq!(
        number(&report, "sent"),
        number(&report, "made"),
        "{ended:#?}"
    );
    agent.assert_checks_passed();
    let version = if format == "v1" { "v1.0" } else { format };
    let path = format!("/{version}/traces");
    let requests = agent.requests();
    assert!(
        requests.iter().any(|request| request["url"]
            .as_str()
            .is_some_and(|url| url.contains(&path))),
        "{requests:#?}"
    );
    let traces = agent.traces();
    Some((agent, traces))
}

#[track_caller]
fn span<'a>(traces: &'a [Vec<Value>], name: &str) -> &'a Value {
    let mut named = traces.iter().flatten().filter(|span| span["name"] == name);
    let span = named
        .next()
        .unwrap_or_else(|| panic!("{name} is missing: {traces:#?}"));
    assert!(named.next().is_none(), "{name} is there twice: {traces:#?}");
    span
}

#[test]
fn everything_that_a_span_holds_is_read_as_it_was_written() {
    for format in FORMATS {
        let Some((agent, traces)) = snapshot(format) else {
            return;
        };
        assert_eq!(traces.len(), 2, "{format}: {traces:#?}");
        assert!(agent.passed("trace_count_header") > 0 && agent.passed("trace_content_length") > 0);
        assert!(agent.passed("meta_tracer_version_header") > 0 || format == "v0.5");

        let request = span(&traces, "web.request");
        for (key, value) in [
            ("service", json!("tests")),
            ("resource", json!("GET /users")),
            ("type", json!("web")),
        ] {
            assert_eq!(request[key], value, "{format}: {key}");
        }
        assert_eq!(request["error"].as_u64().unwrap_or(0), 0, "{format}");
        assert!(request["parent_id"].as_u64().unwrap_or(0) == 0, "{format}");
        for (key, value) in [
            ("http.method", "GET"),
            ("http.status_code", "500"),
            ("unicode", "naïve 語 🦀 \"quoted\"\n"),
            ("span.kind", "server"),
            ("env", "staging"),
            ("version", "1.2.3"),
            ("team", "checkout"),
            ("language", "rust"),
        ] {
            assert_eq!(request["meta"][key], value, "{format}: {key}");
        }
        for (key, value) in [
            ("items", 3.0),
            ("ratio", 0.5),
            ("_dd.top_level", 1.0),
            ("_sampling_priority_v1", 2.0),
        ] {
            assert_eq!(
                request["metrics"][key].as_f64(),
                Some(value),
                "{format}: {key}"
            );
        }
        assert_eq!(request["meta"]["_dd.p.dm"], "-4", "{format}: kept by hand");
        let high = request["meta"]["_dd.p.tid"].as_str().expect("a 128-bit id");
        assert!(
            high.len() == 16 && high.ends_with("00000000"),
            "{format}: seconds and zeros: {high}"
        );
        assert!(
            request["metrics"]["process_id"].as_f64().is_some(),
            "{format}"
        );

        // What the program was built from is known only in a checkout.
        let in_checkout = commit().map(|_| "_dd.git.commit.sha");
        for key in std::iter::once("_dd.tags.process").chain(in_checkout) {
            let tagged = traces.iter().map(|trace| {
                let has = |span: &&Value| span["meta"].get(key).is_some();
                (has(&&trace[0]), trace.iter().filter(has).count())
            });
            assert!(
                tagged.clone().all(|found| found == (true, 1)),
                "{format}: {key}: {traces:#?}"
            );
        }
        if let Some(commit) = commit() {
            assert_eq!(request["meta"]["_dd.git.commit.sha"], commit, "{format}");
        }

        let query = span(&traces, "db.query");
        assert_eq!(
            (&query["service"], &query["error"]),
            (&json!("database"), &json!(1)),
            "{format}"
        );
        assert_eq!(query["parent_id"], request["span_id"], "{format}");
        assert_eq!(query["trace_id"], request["trace_id"], "{format}");
        for (key, value) in [
            ("error.message", "the card was refused"),
            ("span.kind", "client"),
            ("_dd.base_service", "tests"),
        ] {
            assert_eq!(query["meta"][key], value, "{format}: {key}");
        }
        let error_type = query["meta"]["error.type"]
            .as_str()
            .expect("an error has a type");
        assert!(error_type.ends_with("Refused"), "{format}: {error_type}");
        assert!(
            query["meta"].get("team").is_some(),
            "{format}: global tags are on every span"
        );

        let by_hand = span(&traces, "by.hand");
        assert_eq!(by_hand["resource"], "something", "{format}");
        let (start, duration) = (by_hand["start"].as_i64(), by_hand["duration"].as_i64());
        assert!(
            start >= request["start"].as_i64() && duration <= request["duration"].as_i64(),
            "{format}"
        );
    }
}

/// The commit of this checkout, by git's own account; nothing if there is no git to ask.
fn commit() -> Option<String> {
    let mut git = std::process::Command::new("git");
    let output = git
        .args(["rev-parse", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[test]
fn links_and_events_arrive() {
    for format in FORMATS {
        let Some((_agent, traces)) = snapshot(format) else {
            return;
        };
        let (request, earlier) = (span(&traces, "web.request"), span(&traces, "bare"));
        let link = match format {
            "v0.4" | "v1" => request["span_links"][0].clone(),
            _ => {
                let links: Value = serde_json::from_str(
                    request["meta"]["_dd.span_links"].as_str().expect("a text"),
                )
                .expect("JSON");
                links[0].clone()
            }
        };
        assert_eq!(link["attributes"]["reason"], "retry", "{format}: {link}");
        if format != "v0.5" {
            assert_eq!(
                (&link["span_id"], &link["trace_id"]),
                (&earlier["span_id"], &earlier["trace_id"])
            );
            assert_eq!(link["flags"].as_u64(), Some(1 | 1 << 31));
        } else {
            let id = format!("{:016x}", earlier["span_id"].as_u64().expect("an id"));
            assert_eq!(
                (&link["span_id"], link["trace_id"].as_str().map(str::len)),
                (&json!(id), Some(32))
            );
        }
        if format != "v0.5" {
            // The test agent says that it takes events as structures.
            let event = &request["span_events"][0];
            assert_eq!(event["name"], "cache.miss");
            assert_eq!(event["attributes"]["tries"]["int_value"], 2);
            assert_eq!(event["attributes"]["warm"]["bool_value"], false);
            assert_eq!(request["meta"].get("events"), None);
            continue;
        }
        let events: Value =
            serde_json::from_str(request["meta"]["events"].as_str().expect("a text"))
                .expect("JSON");
        assert_eq!(events[0]["name"], "cache.miss", "{format}");
        assert_eq!(
            events[0]["time_unix_nano"].as_u64(),
            Some(1_732_400_000_123_456_789),
            "{format}"
        );
        assert_eq!(
            events[0]["attributes"],
            json!({ "key": "users", "tries": 2, "warm": false }),
            "{format}"
        );
    }
}

#[test]
fn the_agents_rates_decide_about_the_next_traces() {
    for format in FORMATS {
        let Some(agent) = TestAgent::start() else {
            return;
        };
        agent.answer_rates(&[("service:,env:", 1.0), ("service:tests,env:staging", 0.0)]);
        let mut command = crate::program::command(&["steady"], &agent.url());
        command
            .env("DD_TRACE_API_VERSION", format)
            // Otherwise they are counted and not sent.
            .env("DD_TRACE_STATS_COMPUTATION_ENABLED", "false")
            .env("DD_ENV", "staging");
        let mut process = process::Process::start(&mut command);
        // The first answer brings the rates; from then on traces of this service are rejected, and sent all the same.
        process.say("make 1");
        process.say("flush");
        process.line("flushed ");
        let first = agent.traces();
        // It leaves mechanism 0 of a chunk of v1 out.
        let maker = if format == "v1" { "" } else { "-0" };
        assert_eq!(decision(&first[0][0]), (1.0, maker, None), "{format}");
        process.say("make 20");
        process.say("flush");
        process.line("flushed ");
        let all = wait::until("all traces are there", || {
            Some(agent.traces()).filter(|traces| traces.len() == 21)
        });
        let rejected: Vec<_> = all
            .iter()
            .map(|trace| decision(&trace[0]))
            .filter(|(priority, ..)| *priority == 0.0)
            .collect();
        assert_eq!(rejected.len(), 20, "{format}: {rejected:?}");
        assert!(
            rejected.iter().all(|(_, _, rate)| *rate == Some(0.0)),
            "{format}: {rejected:?}"
        );
        let report = process.end().report();
        assert_eq!(number(&report, "sent"), 42, "{format}: {report}");
        agent.assert_checks_passed();
    }
}

/// Priority, decision maker, and the agent's rate.
fn decision(span: &Value) -> (f64, &str, Option<f64>) {
    (
        span["metrics"]["_sampling_priority_v1"]
            .as_f64()
            .expect("a priority"),
        span["meta"]["_dd.p.dm"].as_str().unwrap_or(""),
        span["metrics"]["_dd.agent_psr"].as_f64(),
    )
}

#[test]
fn programs_of_every_kind_pass_all_checks() {
    let Some(mut agent) = TestAgent::start() else {
        return;
    };
    for arguments in [
        &["runtime", "multi-thread"][..],
        &["failing"],
        &["dropped-futures"],
        &["threads", "50"],
        &["fork"],
    ] {
        run(arguments, &agent.url());
    }
    let mut process = start(&["steady"], &agent.url());
    process.say("make 100");
    process.end().report();
    agent.assert_checks_passed();
    assert!(agent.traces().len() > 100 && agent.runs());
}

#[test]
fn a_unix_socket_is_as_good_as_a_port() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    for url in [
        agent.socket_url(),
        agent.socket_url().replace("unix://", "unix:"),
    ] {
        let before = agent.traces().len();
        let (report, ended) = run(&["runtime", "multi-thread"], &url);
        if url.starts_with("unix:///") {
            assert_eq!(
                number(&report, "sent"),
                number(&report, "made"),
                "{url}: {ended:#?}"
            );
            assert_eq!(agent.traces().len(), before + 20, "{url}");
        } else {
            // Not an address: said so, and nothing else happens.
            assert_eq!(
                number(&report, "sent") + number(&report, "dropped"),
                number(&report, "made"),
                "{url}: {ended:#?}"
            );
        }
    }
    agent.assert_checks_passed();
}
