//! Each rule has a payload that breaks it and nothing else; a clean payload breaks none.

use std::collections::BTreeSet;

use cargo_ddtrace::agent::Options;
use cargo_ddtrace::store::Limits;
use cargo_ddtrace::validate::{Level, rules};
use serde_json::{Value, json};

use crate::client::{TestAgent, eventually};
use crate::payload::{HEADERS, Span, child, now, root, trace, v04};

const SECOND: i64 = 1_000_000_000;

/// What is sent, in one request per entry.
struct Case {
    requests: Vec<Vec<Vec<Span>>>,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    /// States of a client that asks for remote configuration, in place of traces; made for a version of the targets.
    polls: Option<fn(u64) -> [Value; 2]>,
    /// Telemetry, in place of traces.
    telemetry: Vec<Value>,
}

impl Case {
    fn polls(states: fn(u64) -> [Value; 2]) -> Case {
        Case {
            polls: Some(states),
            ..Case::of(Vec::new())
        }
    }

    /// Two requests of one runtime, the second one changed: the start, and a sign of life.
    fn telemetry(change: impl FnOnce(&mut Value)) -> Case {
        let [start, mut second] = telemetry();
        change(&mut second);
        Case {
            telemetry: vec![start, second],
            ..Case::of(Vec::new())
        }
    }

    fn of(requests: Vec<Vec<Vec<Span>>>) -> Case {
        Case {
            polls: None,
            telemetry: Vec::new(),
            requests,
            headers: Vec::new(),
            body: None,
        }
    }

    /// A trace whose spans were changed.
    fn spans(change: impl FnOnce(&mut Vec<Span>)) -> Case {
        let mut spans = trace(7);
        change(&mut spans);
        Case::of(vec![vec![spans]])
    }

    fn root(change: impl FnOnce(&mut Span)) -> Case {
        Case::spans(|spans| change(&mut spans[0]))
    }

    fn header(name: &'static str, value: impl Into<String>) -> Case {
        Case {
            headers: vec![(name, value.into())],
            ..Case::of(vec![vec![trace(7)]])
        }
    }

    fn body(body: Vec<u8>) -> Case {
        Case {
            body: Some(body),
            ..Case::of(vec![vec![trace(7)]])
        }
    }

    fn send(&self, agent: &TestAgent) -> Vec<u16> {
        let mut statuses = Vec::new();
        if let Some(states) = self.polls {
            let push = json!({"product": "KETTLE", "config_id": "a", "content": {}});
            assert_eq!(
                agent.change("POST", "/api/remote-config", &push).status,
                200
            );
            let version = agent.json("/api/remote-config")["version"]
                .as_u64()
                .unwrap();
            for state in states(version) {
                let client = json!({"id": "c", "products": ["KETTLE"], "state": state});
                let body = json!({"client": client}).to_string();
                let answer = agent.send("POST", "/v0.7/config", &[], body.as_bytes());
                statuses.push(answer.status);
            }
        }
        for request in &self.telemetry {
            let kind = request["header"]
                .as_str()
                .or(request["request_type"].as_str());
            let headers = [
                ("content-type", "application/json"),
                ("dd-telemetry-api-version", "v2"),
                ("dd-telemetry-request-type", kind.unwrap_or_default()),
                ("dd-session-id", "r-1"),
            ];
            let path = "/telemetry/proxy/api/v2/apmtelemetry";
            let answer = agent.send("POST", path, &headers, request.to_string().as_bytes());
            // Taken is 202 here, and 200 elsewhere.
            statuses.push(if answer.status == 202 {
                200
            } else {
                answer.status
            });
        }
        for chunks in &self.requests {
            let body = self.body.clone().unwrap_or_else(|| v04(chunks));
            let count = chunks.len().to_string();
            let mut headers: Vec<(&str, &str)> = HEADERS.to_vec();
            headers.push(("x-datadog-trace-count", &count));
            for (name, value) in &self.headers {
                headers.retain(|(n, _)| n != name);
                headers.push((name, value));
            }
            let body = if self
                .headers
                .iter()
                .any(|(name, _)| *name == "transfer-encoding")
            {
                let mut chunked = format!("{:x}\r\n", body.len()).into_bytes();
                chunked.extend(&body);
                chunked.extend(b"\r\n0\r\n\r\n");
                headers.push(("content-length", ""));
                chunked
            } else {
                body
            };
            statuses.push(agent.send("PUT", "/v0.4/traces", &headers, &body).status);
        }
        statuses
    }
}

fn agent() -> TestAgent {
    // Parents are not waited for: what is missing after the request is missing.
    TestAgent::start(Options {
        limits: Limits {
            orphan_after_ms: 0,
            ..Limits::default()
        },
        ..Options::default()
    })
}

fn partial(trace_id: u64, change: impl Fn(&mut Span)) -> Vec<Vec<Vec<Span>>> {
    let root = root(trace_id, 701);
    let mut late = child(&root, 703)
        .meta("language", "rust")
        .metric("_sampling_priority_v1", 1.0);
    for key in ["_dd.p.tid", "_dd.p.dm"] {
        let value = root.meta.iter().find(|(k, _)| k == key).unwrap().1.clone();
        late.set_meta(key, &value);
    }
    change(&mut late);
    vec![
        vec![vec![root.clone(), child(&root, 702)]],
        vec![vec![late]],
    ]
}

#[allow(clippy::too_many_lines)]
fn cases() -> Vec<(&'static str, Case)> {
    let big = 26_214_401;
    let stack = |n: usize| -> Vec<Span> {
        let root = root(7, 1);
        let children: Vec<Span> = (0..n).map(|i| child(&root, i as u64 + 2)).collect();
        std::iter::once(root).chain(children).collect()
    };
    vec![
        ("request.too_large", Case::body(vec![0xc0; big])),
        (
            "request.truncated",
            Case::body({
                let body = v04(&[trace(7)]);
                body[..body.len() - 1].to_vec()
            }),
        ),
        (
            "request.trailing",
            Case::body({
                let mut body = v04(&[trace(7)]);
                body.push(0xc0);
                body
            }),
        ),
        ("request.undecodable", Case::body(vec![0x91, 0x91, 0xc3])),
        (
            "request.content_type",
            Case::header("content-type", "text/plain"),
        ),
        (
            "request.encoding",
            Case {
                body: Some(b"no such thing".to_vec()),
                ..Case::header("content-encoding", "gzip")
            },
        ),
        (
            "request.no_content_length",
            Case::header("transfer-encoding", "chunked"),
        ),
        (
            "request.trace_count",
            Case::header("x-datadog-trace-count", "2"),
        ),
        (
            "request.meta",
            Case::header("datadog-meta-lang-version", ""),
        ),
        (
            "request.large",
            Case::of(vec![
                (1..=450)
                    .map(|n| {
                        let mut spans = trace(n);
                        spans[1].set_meta("k", "é".repeat(12_000).as_bytes());
                        spans
                    })
                    .collect(),
            ]),
        ),
        (
            "request.often",
            Case::of((1..=17).map(|n| vec![trace(n)]).collect()),
        ),
        ("ids.zero", Case::spans(|spans| spans[1].span_id = 0)),
        ("ids.mixed", Case::spans(|spans| spans[1].trace_id = 8)),
        (
            "ids.twice",
            Case::spans(|spans| {
                let again = Span {
                    name: "again".into(),
                    ..spans[1].clone()
                };
                spans.push(again);
            }),
        ),
        (
            "ids.high_malformed",
            Case::root(|root| root.set_meta("_dd.p.tid", b"ABC")),
        ),
        (
            "ids.high_missing",
            Case::of(partial(7, |late| late.unset("_dd.p.tid"))),
        ),
        (
            "ids.differs",
            Case::of({
                let mut requests = partial(7, |_| ());
                requests[1][0][0].span_id = 702;
                requests[1][0][0].duration += 1;
                requests
            }),
        ),
        (
            "ids.high_foreign",
            Case::root(|root| root.set_meta("_dd.p.tid", b"0123456789abcdef")),
        ),
        (
            "structure.empty_chunk",
            Case::of(vec![vec![trace(7), vec![]]]),
        ),
        (
            "structure.root_not_first",
            Case::spans(|spans| {
                // Chunk tags move to the span that is first.
                spans.swap(0, 1);
                let (first, second) = spans.split_at_mut(1);
                for key in ["_dd.p.tid", "_dd.p.dm", "language"] {
                    let at = second[0].meta.iter().position(|(k, _)| k == key).unwrap();
                    first[0].meta.push(second[0].meta.remove(at));
                }
                for key in ["_sampling_priority_v1", "_dd.agent_psr"] {
                    let at = second[0]
                        .metrics
                        .iter()
                        .position(|(k, _)| k == key)
                        .unwrap();
                    first[0].metrics.push(second[0].metrics.remove(at));
                }
            }),
        ),
        (
            "structure.no_root",
            Case::of(vec![vec![{
                // Two spans that are each other's parents would be a cycle, too; here the parent is in a chunk that was empty
                // but for it, and has no parent anywhere.
                let mut spans = trace(7);
                spans[0].parent_id = 999;
                spans[0].unset("span.kind");
                spans
            }]]),
        ),
        (
            "structure.cycle",
            Case::spans(|spans| {
                let other = Span {
                    span_id: 704,
                    parent_id: 703,
                    ..spans[1].clone()
                };
                spans[1].span_id = 703;
                spans[1].parent_id = 704;
                spans.push(other);
            }),
        ),
        (
            "structure.orphan",
            Case::spans(|spans| spans[1].parent_id = 999),
        ),
        (
            "structure.top_level_missing",
            Case::spans(|spans| spans[1].service = "db".into()),
        ),
        (
            "structure.top_level_wrong",
            Case::spans(|spans| spans[1].metrics.push(("_dd.top_level".into(), 1.0))),
        ),
        ("structure.large", Case::of(vec![vec![stack(10_000)]])),
        (
            "time.impossible",
            Case::spans(|spans| spans[1].duration = 3600 * SECOND),
        ),
        ("time.negative", Case::spans(|spans| spans[1].duration = -1)),
        (
            "time.old",
            Case::spans(|spans| {
                for span in spans {
                    span.start = now() - 1200 * SECOND;
                }
            }),
        ),
        (
            "time.before_parent",
            Case::spans(|spans| spans[1].start = spans[0].start - 2_000_000),
        ),
        (
            "chunk.priority",
            Case::root(|root| root.unset("_sampling_priority_v1")),
        ),
        (
            "chunk.priority_differs",
            Case::of(partial(7, |late| {
                late.unset("_sampling_priority_v1");
                late.metrics.push(("_sampling_priority_v1".into(), 2.0));
            })),
        ),
        (
            "chunk.decision_maker",
            Case::root(|root| root.unset("_dd.p.dm")),
        ),
        (
            "chunk.decision_maker_changed",
            Case::of(partial(7, |late| late.set_meta("_dd.p.dm", b"-4"))),
        ),
        (
            "chunk.rates",
            Case::root(|root| *root = root.clone().metric("_dd.agent_psr", 1.5)),
        ),
        (
            "chunk.keep_rate",
            Case::root(|root| *root = root.clone().metric("_dd.tracer_kr", -0.5)),
        ),
        ("chunk.process", Case::root(|root| root.unset("runtime-id"))),
        (
            "chunk.repeated",
            Case::spans(|spans| spans[1].set_meta("_dd.p.dm", b"-1")),
        ),
        (
            "values.empty",
            Case::spans(|spans| spans[1].name = String::new()),
        ),
        (
            "values.too_long",
            Case::spans(|spans| spans[1].name = "n".repeat(101)),
        ),
        (
            "values.broken_text",
            Case::spans(|spans| spans[1].set_meta("k", b"cut \xc3")),
        ),
        (
            "values.not_finite",
            Case::spans(|spans| spans[1].metrics.push(("n".into(), f64::NAN))),
        ),
        (
            "values.status_code",
            Case::root(|root| root.set_meta("http.status_code", b"999")),
        ),
        (
            "values.error_details",
            Case::spans(|spans| spans[1].error = 1),
        ),
        ("values.error_flag", Case::spans(|spans| spans[1].error = 2)),
        (
            "values.kind",
            Case::spans(|spans| spans[1].set_meta("span.kind", b"SERVER")),
        ),
        (
            "values.events_links",
            Case::spans(|spans| spans[1].set_meta("events", br#"[{"name":"e"}]"#)),
        ),
        (
            "values.both",
            Case::spans(|spans| {
                spans[1].meta.push(("k".into(), b"v".to_vec()));
                spans[1].metrics.push(("k".into(), 1.0));
            }),
        ),
        (
            "values.base_service",
            Case::spans(|spans| spans[1].set_meta("_dd.base_service", b"Shop")),
        ),
        (
            "values.peer_source",
            Case::spans(|spans| spans[1].set_meta("_dd.peer.service.source", b"out.host")),
        ),
        (
            "values.resource",
            Case::spans(|spans| {
                spans[1].span_type = "sql".into();
                spans[1].resource = "select * from users where name = 'ann'".into();
            }),
        ),
        (
            "values.secret",
            Case::spans(|spans| spans[1].set_meta("db.url", b"postgres://a:hunter2@db/x")),
        ),
        (
            "remote_config.unknown_file",
            Case::polls(|_| {
                let strange =
                    json!({"id": "b", "version": 1, "product": "KETTLE", "apply_state": 2});
                [json!({}), json!({"config_states": [strange]})]
            }),
        ),
        (
            "remote_config.version_back",
            Case::polls(|_| [json!({"targets_version": 2}), json!({"targets_version": 1})]),
        ),
        (
            "remote_config.backend_state",
            Case::polls(|version| {
                let other = json!({"targets_version": version, "backend_client_state": "b3RoZXI="});
                [json!({}), other]
            }),
        ),
        (
            "telemetry.envelope",
            Case::telemetry(|second| second["host"]["hostname"] = json!(7)),
        ),
        (
            "telemetry.header",
            Case::telemetry(|second| second["header"] = json!("app-closing")),
        ),
        (
            "telemetry.type",
            Case::telemetry(|second| second["request_type"] = json!("app-sneezed")),
        ),
        (
            "telemetry.payload",
            Case::telemetry(|second| {
                second["request_type"] = json!("logs");
                second["payload"] = json!({"logs": [{"message": "m", "level": "LOUD"}]});
            }),
        ),
        (
            "telemetry.sequence",
            Case::telemetry(|second| second["seq_id"] = json!(4)),
        ),
        (
            "telemetry.start",
            Case::telemetry(|second| {
                second["request_type"] = json!("app-started");
                second["payload"] = json!({"configuration": []});
            }),
        ),
    ]
}

/// What a library says first, and then every minute.
fn telemetry() -> [Value; 2] {
    let request = |number: u64, kind: &str, payload: Value| {
        json!({
            "api_version": "v2", "request_type": kind, "tracer_time": 1_700_000_000, "runtime_id": "r-1", "seq_id": number,
            "application": {"service_name": "shop", "language_name": "rust", "language_version": "1.85.0", "tracer_version": "0.1.0"},
            "host": {"hostname": "h"}, "payload": payload,
        })
    };
    let entry = json!({"name": "DD_ENV", "value": null, "origin": "default", "seq_id": 1});
    [
        request(1, "app-started", json!({"configuration": [entry]})),
        request(2, "app-heartbeat", json!({})),
    ]
}

#[test]
fn clean_telemetry_breaks_no_rule() {
    let agent = agent();
    let batch = |second: &mut Value| {
        second["request_type"] = json!("message-batch");
        let metric = json!({"metric": "m", "points": [[1, 2.5]], "type": "count"});
        let values = json!({"metric": "m", "points": [1, 2.5]});
        second["payload"] = json!([
            {"request_type": "app-heartbeat", "payload": {}},
            {"request_type": "app-dependencies-loaded", "payload": {"dependencies": [{"name": "serde", "version": "1"}]}},
            {"request_type": "app-integrations-change", "payload": {"integrations": [{"name": "axum", "enabled": true}]}},
            {"request_type": "app-product-change", "payload": {"products": {"appsec": {"enabled": true}}}},
            {"request_type": "generate-metrics", "payload": {"namespace": "tracers", "series": [metric]}},
            {"request_type": "distributions", "payload": {"namespace": "tracers", "series": [values]}},
            {"request_type": "logs", "payload": {"logs": [{"message": "m", "level": "ERROR"}]}},
            {"request_type": "app-closing", "payload": {}},
        ]);
    };
    let mut case = Case::telemetry(batch);
    // What did not arrive, as its sender thinks, comes again.
    let again = case.telemetry[1].clone();
    case.telemetry.push(again);
    assert_eq!(case.send(&agent), [200, 200, 200]);
    assert_eq!(agent.problems(), [""; 0]);
}

#[test]
fn a_clean_payload_breaks_no_rule() {
    let agent = agent();
    let requests = [vec![vec![trace(1), trace(2)]], partial(7, |_| ())].concat();
    assert_eq!(Case::of(requests).send(&agent), [200, 200, 200]);
    agent.agent.shared().store().judge_all(now());
    assert_eq!(agent.problems(), [""; 0]);
}

#[test]
fn each_rule_is_broken_by_a_payload_that_breaks_nothing_else() {
    for (id, case) in cases() {
        let rule = rules()
            .find(|rule| rule.id == id)
            .unwrap_or_else(|| panic!("there is no rule {id}"));
        let agent = agent();
        let statuses = case.send(&agent);
        agent.agent.shared().store().judge_all(now());
        assert_eq!(
            agent.problems(),
            expected(id),
            "{id}: {}",
            agent.json("/api/problems")
        );
        let refused = statuses.iter().any(|status| *status != 200);
        assert_eq!(refused, rule.level == Level::Rejected, "{id}: {statuses:?}");
        let counts = &agent.json("/api/status")["counts"];
        assert_eq!(
            counts["rejected_payloads"],
            u64::from(rule.level == Level::Rejected),
            "{id}"
        );
        assert_eq!(
            counts["dropped_chunks"],
            u64::from(rule.level == Level::Dropped),
            "{id}"
        );
    }
}

/// A span without any root above it is an orphan at the same time.
fn expected(id: &'static str) -> Vec<&'static str> {
    match id {
        "structure.no_root" => vec!["structure.no_root", "structure.orphan"],
        id => vec![id],
    }
}

#[test]
fn every_rule_has_such_a_payload_and_words_of_its_own() {
    let tested: BTreeSet<&str> = cases().into_iter().map(|(id, _)| id).collect();
    let all: BTreeSet<&str> = rules().map(|rule| rule.id).collect();
    // Those of products are broken one by one where their payloads are: streams.rs, and the tests beside the rules.
    let own = rules().filter(|rule| !matches!(rule.area(), "streams" | "llm"));
    assert_eq!(tested, own.map(|rule| rule.id).collect());
    let sentences: BTreeSet<&str> = rules().map(|rule| rule.sentence).collect();
    assert_eq!(sentences.len(), all.len());
    assert!(rules().all(|rule| !rule.advice.is_empty() && rule.id.contains('.')));
}

#[test]
fn strict_refuses_what_an_agent_would_drop_or_change() {
    for (id, case) in cases() {
        let rule = rules().find(|rule| rule.id == id).unwrap();
        // What is found over several payloads, or later, cannot refuse the first of them.
        if case.requests.len() > 1
            || case.polls.is_some()
            || !case.telemetry.is_empty()
            || matches!(
                id,
                "structure.orphan" | "structure.no_root" | "request.too_large"
            )
        {
            continue;
        }
        let agent = TestAgent::start(Options {
            strict: true,
            ..Options::default()
        });
        let refused = case.send(&agent)[0] != 200;
        assert_eq!(refused, rule.level <= Level::Violation, "{id}");
    }
}

#[test]
fn strict_refuses_telemetry_that_an_intake_would_reject() {
    for (id, case) in cases() {
        if case.telemetry.is_empty() {
            continue;
        }
        let agent = TestAgent::start(Options {
            strict: true,
            ..Options::default()
        });
        assert_eq!(case.send(&agent), [200, 400], "{id}");
    }
}

#[test]
fn a_finding_points_at_the_place() {
    let agent = agent();
    let mut spans = trace(7);
    spans[1].set_meta("span.kind", b"SERVER");
    agent.put_traces(&[trace(6), spans]);
    let body = agent.json("/api/problems");
    let example = &body["groups"][0]["examples"][0];
    assert_eq!(example["at"], "chunk 1, span 1, meta[\"span.kind\"]");
    assert_eq!(example["detail"], "found \"SERVER\"");
    assert_eq!(example["span"], "702");
    assert_eq!(example["request"], 1);
    let trace = example["trace"].as_str().unwrap();
    assert!(trace.ends_with("0000000000000007"), "{trace}");
    let of_trace = agent.json(&format!("/api/problems?trace={trace}"));
    assert_eq!(of_trace["groups"][0]["count"], 1);
    let span = agent.json(&format!("/api/traces/{trace}/spans/702"));
    assert_eq!(span["problems"][0]["rule"], "values.kind");
}

#[test]
fn other_tracers_are_held_only_to_what_holds_for_all() {
    let agent = agent();
    let mut spans = trace(7);
    spans[0].unset("runtime-id");
    spans[0].unset("process_id");
    spans[1].set_meta("_dd.p.dm", b"-1");
    let mut headers = HEADERS.to_vec();
    headers[1].1 = "python";
    headers.push(("x-datadog-trace-count", "1"));
    agent.send("POST", "/v0.4/traces", &headers, &v04(&[spans]));
    assert_eq!(agent.problems(), [""; 0]);
}

#[test]
fn a_secret_is_nowhere_to_be_read() {
    let agent = agent();
    let mut spans = trace(7);
    spans[1].set_meta("db.url", b"postgres://a:hunter2@db/x");
    spans[1].resource = "Bearer hunter2hunter2hunter2".into();
    agent.put_traces(&[spans]);
    let id = agent.json("/api/traces")["traces"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for path in [
        format!("/api/traces/{id}"),
        format!("/api/traces/{id}/spans/702"),
        format!("/api/traces/{id}/export"),
        "/api/problems".to_owned(),
        "/api/requests".to_owned(),
        "/api/requests/1".to_owned(),
        "/api/suggest?key=db.url&value=".to_owned(),
    ] {
        let body = agent.get(&path).body;
        assert!(
            !String::from_utf8_lossy(&body).contains("hunter2"),
            "{path}"
        );
    }
    assert_eq!(agent.get("/api/requests/1/raw").status, 410);
    assert_eq!(agent.json("/api/requests/1")["raw"], "secret");
    let span = agent.json(&format!("/api/traces/{id}/spans/702"));
    assert_eq!(span["meta"]["db.url"], "postgres://a:<masked>@db/x");
}

#[test]
fn an_orphan_is_judged_in_time_and_not_before() {
    let patient = TestAgent::new();
    let mut spans = trace(7);
    spans[1].parent_id = 999;
    patient.put_traces(&[spans.clone()]);
    patient.agent.shared().store().judge(now() + 29 * SECOND);
    assert_eq!(patient.problems(), [""; 0]);
    patient.agent.shared().store().judge(now() + 31 * SECOND);
    assert_eq!(patient.problems(), ["structure.orphan"]);
    // Without help from a test, the agent looks by itself.
    let agent = agent();
    agent.put_traces(&[spans]);
    eventually("the judgement", || agent.problems() == ["structure.orphan"]);
}
