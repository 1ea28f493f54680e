//! LLM Observability: both transports, evaluations, the back end for datasets, experiments and prompts.

use cargo_ddtrace::agent::Options;
use cargo_ddtrace::store::Limits;
use serde_json::{Value, json};

use crate::client::{Answer, TestAgent, eventually};
use crate::payload::HEADERS;

/// spec/llmobs.md §22.1: what dd-trace-py sends to the intake, with ids in the place of their names.
const EVENTS: &str = include_str!("llm_events.jsonl");

fn envelopes() -> Vec<Value> {
    let events: Vec<Value> = EVENTS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.len(), 11);
    events
}

fn post(agent: &TestAgent, subdomain: &str, path: &str, body: &str) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("x-datadog-evp-subdomain", subdomain),
    ];
    agent.send(
        "POST",
        &format!("/evp_proxy/v2{path}"),
        &headers,
        body.as_bytes(),
    )
}

fn send(agent: &TestAgent, envelopes: &Value) -> Answer {
    post(
        agent,
        "llmobs-intake",
        "/api/v2/llmobs",
        &envelopes.to_string(),
    )
}

/// JSON as msgpack.
fn encode(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => rmp::encode::write_nil(out).unwrap(),
        Value::Bool(value) => rmp::encode::write_bool(out, *value).unwrap(),
        Value::Number(number) => match number.as_u64() {
            Some(number) => drop(rmp::encode::write_uint(out, number).unwrap()),
            None => rmp::encode::write_f64(out, number.as_f64().unwrap()).unwrap(),
        },
        Value::String(value) => rmp::encode::write_str(out, value).unwrap(),
        Value::Array(values) => {
            rmp::encode::write_array_len(out, values.len() as u32).unwrap();
            values.iter().for_each(|value| encode(out, value));
        }
        Value::Object(map) => {
            rmp::encode::write_map_len(out, map.len() as u32).unwrap();
            for (key, value) in map {
                rmp::encode::write_str(out, key).unwrap();
                encode(out, value);
            }
        }
    }
}

/// An APM span, in a chunk of its own, that carries an LLM event.
fn carrying(event: &Value, carried: &Value) -> Vec<u8> {
    let mut out = vec![0x91, 0x91];
    let start = crate::payload::now() - 1_000_000_000;
    let fields = json!({"service": "svc", "name": "llm", "resource": "llm", "type": "llm", "trace_id": 7,
        "span_id": event["span_id"].as_str().unwrap().parse::<u64>().unwrap(), "parent_id": 0, "start": start, "duration": 1000,
        "error": u64::from(event["status"] == "error"),
        "meta": {"language": "rust", "runtime-id": "6f0c2b5e-0000-4000-8000-000000000001", "_dd.p.tid": format!("{:08x}00000000", start / 1_000_000_000), "_dd.p.dm": "-0"},
        "metrics": {"_dd.top_level": 1.0, "_sampling_priority_v1": 1.0, "process_id": 4711.0}});
    let fields = fields.as_object().unwrap();
    rmp::encode::write_map_len(&mut out, fields.len() as u32 + 1).unwrap();
    for (key, value) in fields {
        rmp::encode::write_str(&mut out, key).unwrap();
        encode(&mut out, value);
    }
    rmp::encode::write_str(&mut out, "meta_struct").unwrap();
    rmp::encode::write_map_len(&mut out, 1).unwrap();
    rmp::encode::write_str(&mut out, "_llmobs").unwrap();
    let mut bytes = Vec::new();
    encode(&mut bytes, carried);
    rmp::encode::write_bin(&mut out, &bytes).unwrap();
    out
}

/// The part of an event that rides in `meta_struct` (spec/llmobs.md §3).
fn carried(event: &Value) -> Value {
    let tags: serde_json::Map<String, Value> = event["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap().split_once(':').unwrap())
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect();
    json!({"name": event["name"], "parent_id": event["parent_id"], "trace_id": event["trace_id"], "ml_app": "svc",
        "session_id": event["session_id"], "tags": tags, "metrics": event["metrics"], "meta": event["meta"],
        "_dd": {"sample_rate": "1", "sampling_decision": "1"}})
}

fn put_traces(agent: &TestAgent, body: &[u8]) -> Answer {
    let mut headers = HEADERS.to_vec();
    headers.push(("x-datadog-trace-count", "1"));
    agent.send("PUT", "/v0.4/traces", &headers, body)
}

#[test]
fn the_golden_events_break_no_rule_and_make_traces() {
    let agent = TestAgent::new();
    assert_eq!(send(&agent, &json!(envelopes())).status, 202);
    assert_eq!(agent.problems(), [""; 0]);
    let list = agent.json("/api/llm/traces");
    assert_eq!(
        (&list["total"], &list["ml_apps"]),
        (&json!(4), &json!(["svc"]))
    );
    let trace = agent.json("/api/llm/traces/a720a1b2000000000000000000000001");
    assert_eq!(
        (
            &trace["name"],
            &trace["kind"],
            &trace["session"],
            &trace["root_missing"]
        ),
        (
            &json!("wf"),
            &json!("workflow"),
            &json!("sess-1"),
            &json!(false)
        )
    );
    let sums = &trace["sums"];
    for (figure, expected) in [
        ("spans", 8.0),
        ("errors", 1.0),
        ("calls", 2.0),
        ("tools", 1.0),
        ("input_tokens", 5.0),
        ("output_tokens", 2.0),
        ("total_tokens", 7.0),
    ] {
        assert_eq!(sums[figure].as_f64(), Some(expected), "{figure}");
    }
    let spans = trace["spans"].as_array().unwrap();
    let call = spans
        .iter()
        .find(|span| span["name"] == "call_llm")
        .unwrap();
    assert_eq!(
        call["event"]["meta"]["output"]["messages"][0]["tool_calls"][0]["name"],
        "search"
    );
    assert_eq!(trace["prompts"], json!([{"id": "greet", "version": "1"}]));
    assert_eq!(trace["first_token"], 120_000_000.0);
    let failed = spans.iter().find(|span| span["name"] == "boom").unwrap();
    assert_eq!(
        (&failed["error"], &failed["error_text"]),
        (&json!(true), &json!("builtins.ValueError: bad é"))
    );
    // gpt-4o by list prices: 5 tokens in, 2 out.
    let cost = &call["cost"];
    assert_eq!(cost["estimated"], true);
    assert!(
        (cost["usd"].as_f64().unwrap() - (5.0 * 2.5 + 2.0 * 10.0) / 1e6).abs() < 1e-12,
        "{cost}"
    );
    let sessions = agent.json("/api/llm/sessions");
    assert_eq!(
        (&sessions["total"], &sessions["sessions"][0]["turns"]),
        (&json!(1), &json!(1))
    );
    for (query, matched) in [
        ("q=PLANNER", 1),
        ("q=nowhere", 0),
        ("error=true", 1),
        ("session=sess-1", 1),
        ("model=big", 1),
        ("prompt=p", 1),
        ("ml_app=x", 0),
    ] {
        assert_eq!(
            agent.json(&format!("/api/llm/traces?{query}"))["matched"],
            matched,
            "{query}"
        );
    }
    let whole =
        agent.json("/api/llm/traces/a720a1b2000000000000000000000001/spans/9000000000000000002");
    assert_eq!(whole["event"], envelopes()[1]["spans"][0]);
    assert_eq!(agent.get("/api/llm/traces/none").status, 404);
    assert_eq!(agent.json("/api/requests/1")["kind"], "llm");
    agent.change("POST", "/api/clear", &json!({}));
    assert_eq!(agent.json("/api/llm/traces")["total"], 0);
}

#[test]
fn what_rides_in_an_apm_trace_is_the_same_event() {
    for envelope in envelopes() {
        let sent = &envelope["spans"][0];
        let agent = TestAgent::start(Options {
            limits: Limits {
                orphan_after_ms: 1 << 40,
                ..Limits::default()
            },
            ..Options::default()
        });
        let body = carrying(sent, &carried(sent));
        assert_eq!(put_traces(&agent, &body).status, 200);
        let list = agent.json("/api/llm/traces");
        let id = list["traces"][0]["id"].as_str().unwrap().to_owned();
        let span = agent.json(&format!(
            "/api/llm/traces/{id}/spans/{}",
            sent["span_id"].as_str().unwrap()
        ));
        assert_eq!(span["transport"], "apm");
        let kept = &span["event"];
        for field in [
            "trace_id",
            "span_id",
            "parent_id",
            "name",
            "status",
            "meta",
            "metrics",
        ] {
            assert_eq!(kept[field], sent[field], "{field}");
        }
        let tags = |event: &Value| -> Vec<String> {
            let list = event["tags"].as_array().unwrap();
            // The type of an error comes from the tag of the APM span, which this one has not.
            list.iter()
                .map(|tag| tag.as_str().unwrap().to_owned())
                .filter(|tag| !tag.starts_with("error_type"))
                .collect()
        };
        assert_eq!(tags(kept), tags(sent));
        // Nothing is wrong with the LLM half of it.
        assert!(
            agent
                .problems()
                .iter()
                .all(|rule| !rule.starts_with("llm.")),
            "{:?}",
            agent.problems()
        );
        // Through the intake as well it would be counted twice.
        assert_eq!(send(&agent, &envelope).status, 202);
        assert!(agent.problems().contains(&"llm.twice".to_owned()));
    }
}

#[test]
fn what_is_no_map_in_meta_struct_is_said() {
    let agent = TestAgent::new();
    let event = &envelopes()[0]["spans"][0];
    assert_eq!(
        put_traces(&agent, &carrying(event, &json!("text"))).status,
        200
    );
    assert!(agent.problems().contains(&"llm.field".to_owned()));
    assert_eq!(agent.json("/api/llm/traces")["total"], 0);
    assert_eq!(agent.json("/api/traces")["total"], 1);
}

#[test]
fn rules_are_said_with_their_place_and_refuse_where_strict() {
    let strict = TestAgent::start(Options {
        strict: true,
        ..Options::default()
    });
    let agent = TestAgent::new();
    let mut envelope = envelopes()[0].clone();
    envelope["spans"][0]["meta"]["span"]["kind"] = json!("chain");
    assert_eq!(send(&agent, &envelope).status, 202);
    let example = &agent.json("/api/problems")["groups"][0]["examples"][0];
    assert_eq!(
        (&example["rule"], &example["at"]),
        (&json!("llm.kind"), &json!("[0].spans[0].meta.span.kind"))
    );
    let answer = send(&strict, &envelope);
    assert_eq!(
        (answer.status, &answer.json()["rule"]),
        (400, &json!("llm.kind"))
    );
    // A bare NaN is no JSON, but what is around it can be read.
    let body = envelopes()[0]
        .to_string()
        .replace("\"duration\":0", "\"duration\":NaN");
    assert_eq!(
        post(&agent, "llmobs-intake", "/api/v2/llmobs", &body).status,
        202
    );
    assert!(agent.problems().contains(&"llm.nan".to_owned()));
    // Spans that are sent to the intake of evaluations.
    let other = TestAgent::new();
    post(
        &other,
        "api",
        "/api/v2/llmobs",
        &json!(envelopes()).to_string(),
    );
    assert_eq!(other.problems(), ["llm.header"]);
}

#[test]
fn a_secret_in_a_conversation_is_nowhere_to_be_read() {
    let agent = TestAgent::new();
    let mut event = envelopes()[0]["spans"][0].clone();
    event["meta"]["input"]["value"] = json!("connect to postgres://a:hunter2@db/x");
    send(&agent, &json!({"spans": [event]}));
    event["span_id"] = json!("77");
    event["_dd"]["span_id"] = json!("77");
    put_traces(&agent, &carrying(&event, &carried(&event)));
    let id = event["trace_id"].as_str().unwrap();
    let apm = agent.json("/api/traces")["traces"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for path in [
        "/api/llm/traces".to_owned(),
        format!("/api/llm/traces/{id}"),
        format!("/api/llm/traces/{id}/spans/77"),
        format!("/api/traces/{apm}/spans/77"),
        format!("/api/traces/{apm}/export"),
        "/api/problems".to_owned(),
        "/api/requests/1".to_owned(),
        "/api/requests/2".to_owned(),
    ] {
        let answer = agent.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("hunter2"),
            "{path}"
        );
    }
    assert!(agent.problems().contains(&"values.secret".to_owned()));
    for request in 1..=2 {
        assert_eq!(
            agent.get(&format!("/api/requests/{request}/raw")).status,
            410
        );
    }
}

#[test]
fn evaluations_stand_beside_their_spans() {
    let agent = TestAgent::new();
    send(&agent, &json!(envelopes()));
    let metric = json!({"event_kind": "evaluation", "join_on": {"span": {"span_id": "9000000000000000002", "trace_id": "a720a1b2000000000000000000000001"}},
        "label": "quality", "metric_type": "score", "timestamp_ms": 1_700_000_000_000_i64, "score_value": 0.9, "ml_app": "svc",
        "tags": ["k:v"], "eval_scope": "span", "assessment": "pass", "reasoning": "r", "metadata": {"m": 1}});
    let tagged = json!({"event_kind": "evaluation", "join_on": {"tag": {"key": "session_id", "value": "sess-1"}}, "label": "tone", "metric_type": "categorical",
        "timestamp_ms": 1, "categorical_value": "kind", "ml_app": "svc", "tags": []});
    let body =
        json!({"data": {"type": "evaluation_metric", "attributes": {"metrics": [metric, tagged]}}});
    assert_eq!(
        post(
            &agent,
            "api",
            "/api/intake/llm-obs/v2/eval-metric",
            &body.to_string()
        )
        .status,
        202
    );
    assert_eq!(agent.problems(), [""; 0]);
    let trace = agent.json("/api/llm/traces/a720a1b2000000000000000000000001");
    let call = trace["spans"]
        .as_array()
        .unwrap()
        .iter()
        .find(|span| span["name"] == "call_llm")
        .unwrap();
    let mut labels: Vec<&str> = call["evaluations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["label"].as_str().unwrap())
        .collect();
    labels.sort_unstable();
    assert_eq!(labels, ["quality", "tone"]);
    let all = agent.json("/api/llm/evaluations");
    assert_eq!(
        (
            &all["total"],
            &all["labels"][0]["mean"],
            &all["labels"][1]["values"]
        ),
        (&json!(2), &json!(0.9), &json!({"kind": 1}))
    );
    let prompts = agent.json("/api/llm/prompts");
    let greet = prompts["prompts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|prompt| prompt["id"] == "greet")
        .unwrap();
    assert_eq!(
        (
            &greet["version"],
            &greet["prompt"]["template"],
            &greet["calls"]
        ),
        (&json!("1"), &json!("say {{x}}"), &json!(1))
    );
    let wrong = json!({"data": {"attributes": {"metrics": [{"label": "a.b"}]}}});
    assert_eq!(
        post(
            &agent,
            "api",
            "/api/intake/llm-obs/v2/eval-metric",
            &wrong.to_string()
        )
        .status,
        202
    );
    assert_eq!(agent.problems(), ["llm.evaluation"]);
}

#[test]
fn an_experiment_needs_no_account() {
    let agent = TestAgent::new();
    let ask = |method: &str, path: &str, body: Value| {
        let headers = [
            ("content-type", "application/json"),
            ("x-datadog-evp-subdomain", "api"),
            ("x-datadog-needsappkey", "true"),
        ];
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let answer = agent.send(method, &format!("/evp_proxy/v2{path}"), &headers, &body);
        assert!(
            answer.status < 300,
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()
    };
    let unstable = "/api/unstable/llm-obs/v1";
    let project = ask(
        "POST",
        &format!("{unstable}/projects"),
        json!({"data": {"type": "projects", "attributes": {"name": "p", "description": ""}}}),
    );
    let project = project["data"]["id"].as_str().unwrap().to_owned();
    let dataset = ask(
        "POST",
        &format!("{unstable}/{project}/datasets"),
        json!({"data": {"type": "datasets", "attributes": {"name": "capitals", "description": ""}}}),
    );
    let dataset = dataset["data"]["id"].as_str().unwrap().to_owned();
    let v2 = format!("/api/v2/llm-obs/v1/{project}/datasets");
    ask(
        "POST",
        &format!("{v2}/{dataset}/batch_update"),
        json!({"data": {"type": "datasets", "id": dataset, "attributes": {"insert_records": [
        {"id": "r1", "input": {"q": "France"}, "expected_output": "Paris", "metadata": {}}], "update_records": [], "delete_records": [], "deduplicate": true, "create_new_version": true}}}),
    );
    let found = ask("GET", &format!("{v2}?filter[name]=capitals"), Value::Null);
    assert_eq!(found["data"][0]["attributes"]["current_version"], 1);
    let records = ask(
        "GET",
        &format!("{v2}/{dataset}/records?filter%5Bversion%5D=1"),
        Value::Null,
    );
    assert_eq!(records["data"][0]["attributes"]["expected_output"], "Paris");
    let experiment = ask(
        "POST",
        &format!("{unstable}/experiments"),
        json!({"data": {"type": "experiments", "attributes": {"name": "e", "dataset_id": dataset,
        "project_id": project, "dataset_version": 1, "config": {}, "metadata": {"tags": []}, "ensure_unique": true, "run_count": 1}}}),
    );
    let id = experiment["data"]["id"].as_str().unwrap().to_owned();
    let mut event = envelopes()[0]["spans"][0].clone();
    event["meta"] = json!({"span": {"kind": "experiment"}, "input": {"q": "France"}, "output": "Lyon", "expected_output": "Paris", "metadata": {}});
    event["tags"] = json!([
        format!("dataset_record_id:r1"),
        format!("experiment_id:{id}"),
        "ml_app:svc"
    ]);
    assert_eq!(send(&agent, &json!([{"_dd.stage": "raw", "_dd.scope": "experiments", "event_type": "span", "spans": [event]}])).status, 202);
    ask(
        "POST",
        &format!("{unstable}/experiments/{id}/events"),
        json!({"data": {"type": "experiments", "attributes": {"scope": "experiments", "tags": [], "metrics": [
        {"metric_source": "custom", "span_id": event["span_id"], "trace_id": event["trace_id"], "timestamp_ms": 5, "metric_type": "boolean", "label": "exact", "boolean_value": false, "tags": []},
        {"metric_source": "summary", "span_id": "", "trace_id": "", "timestamp_ms": 5, "metric_type": "score", "label": "accuracy", "score_value": 0.0, "tags": []}]}}}),
    );
    ask(
        "PATCH",
        &format!("{unstable}/experiments/{id}"),
        json!({"data": {"type": "experiments", "attributes": {"status": "completed"}}}),
    );
    let list = agent.json("/api/llm/experiments");
    let listed = &list["experiments"][0];
    assert_eq!(
        (
            &listed["status"],
            &listed["dataset"],
            &listed["project"],
            &listed["rows"]
        ),
        (
            &json!("completed"),
            &json!("capitals"),
            &json!("p"),
            &json!(1)
        )
    );
    assert_eq!(
        (
            &listed["labels"][0]["values"],
            &listed["summary"][0]["mean"]
        ),
        (&json!({"false": 1}), &json!(0.0))
    );
    assert_eq!(list["datasets"][0]["records"], 1);
    let one = agent.json(&format!("/api/llm/experiments/{id}"));
    let row = &one["list"][0];
    assert_eq!(
        (
            &row["record"],
            &row["output"],
            &row["expected"],
            &row["evaluations"][0]["value"]
        ),
        (&json!("r1"), &json!("Lyon"), &json!("Paris"), &json!(false))
    );
    assert_eq!(agent.problems(), [""; 0]);
}

#[test]
fn hostile_bodies_are_refused() {
    let agent = TestAgent::new();
    for (path, body) in [
        ("/api/v2/llmobs", "{"),
        ("/api/v2/llmobs", "{}"),
        ("/api/v2/llmobs", "[1]"),
        ("/api/intake/llm-obs/v2/eval-metric", "[]"),
        ("/api/unstable/llm-obs/v1/projects", "{\"data\": NoSuch}"),
        ("/api/v2/llmobs", &"[".repeat(100_000)),
    ] {
        let answer = agent.send(
            "POST",
            path,
            &[("content-type", "application/json")],
            body.as_bytes(),
        );
        assert_eq!(answer.status, 400, "{path} {}", &body[..body.len().min(20)]);
    }
    let headers = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    assert_eq!(
        agent
            .send("POST", "/evp_proxy/v2/api/v2/llmobs", &headers, b"")
            .status,
        400
    );
    assert_eq!(agent.get("/api/v2/llmobs").status, 405);
    assert_eq!(agent.get("/api/v2/llm-obs/v1/no/such/route").status, 404);
    assert_eq!(agent.json("/api/llm/traces")["total"], 0);
}

#[test]
fn it_is_passed_on_as_it_came() {
    let real = TestAgent::new();
    let agent = TestAgent::start(Options {
        forward: Some(format!("http://{}", real.address())),
        ..Options::default()
    });
    send(&agent, &json!(envelopes()));
    let body = json!({"data": {"type": "projects", "attributes": {"name": "p"}}}).to_string();
    assert_eq!(
        post(&agent, "api", "/api/unstable/llm-obs/v1/projects", &body).status,
        200
    );
    eventually("passing on", || {
        agent.json("/api/status")["forward"]["sent"] == 2
            && real.json("/api/llm/traces")["total"] == 4
    });
    assert_eq!(real.problems(), [""; 0]);
}

#[test]
fn the_store_keeps_its_bounds() {
    let agent = TestAgent::start(Options {
        limits: Limits {
            memory: 24 << 20,
            ..Limits::default()
        },
        ..Options::default()
    });
    let mut event = envelopes()[0]["spans"][0].clone();
    event["meta"]["input"]["value"] = json!("x".repeat(300_000));
    for number in 1..40 {
        event["span_id"] = json!(number.to_string());
        event["_dd"]["span_id"] = json!(number.to_string());
        assert_eq!(send(&agent, &json!([{"spans": [event]}])).status, 202);
    }
    let status = agent.json("/api/status");
    assert!(
        status["memory"]["llm"].as_u64().unwrap() <= 24 * (1 << 20) / 10,
        "{status}"
    );
    let list = agent.json("/api/llm/traces");
    assert!(
        list["evicted"].as_u64().unwrap() > 20,
        "{}",
        list["evicted"]
    );
    assert_eq!(list["total"], 1);
}
