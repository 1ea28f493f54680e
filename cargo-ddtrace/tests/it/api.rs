//! The API as `API.md` describes it.

use serde_json::{Value, json};

use crate::client::TestAgent;
use crate::payload::{Span, child, now, root, trace};

fn id_of(agent: &TestAgent, low: u64) -> String {
    let list = agent.json("/api/traces?limit=1000");
    let suffix = format!("{low:016x}");
    list["traces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| trace["id"].as_str().unwrap().to_owned())
        .find(|id| id.ends_with(&suffix))
        .unwrap()
}

/// Storefront calls payments, which asks a database.
fn two_services(trace_id: u64) -> Vec<Vec<Span>> {
    let front = root(trace_id, 1);
    let front = Span {
        service: "storefront".into(),
        duration: 100_000_000,
        ..front
    };
    let call = Span {
        name: "http.request".into(),
        resource: "POST /charge".into(),
        span_type: "http".into(),
        start: front.start + 10_000_000,
        duration: 60_000_000,
        ..child(&front, 2)
    }
    .meta("span.kind", "client")
    .meta("out.host", "payments");
    let pay = Span {
        service: "payments".into(),
        name: "web.request".into(),
        resource: "POST /charge".into(),
        span_type: "web".into(),
        error: 1,
        parent_id: 2,
        span_id: 3,
        start: call.start + 5_000_000,
        duration: 50_000_000,
        ..root(trace_id, 3)
    }
    .meta("error.type", "Declined")
    .meta("error.message", "no money");
    let query = Span {
        name: "sqlite.query".into(),
        resource: "select ?".into(),
        span_type: "sql".into(),
        start: pay.start + 1_000_000,
        duration: 20_000_000,
        ..child(&pay, 4)
    }
    .meta("span.kind", "client")
    .meta("db.system", "sqlite");
    vec![vec![front, call], vec![pay, query]]
}

/// Every key of `API.md`'s example must be there, with a value of that kind; null stands for "may be null".
fn assert_shape(found: &Value, example: &Value, at: &str) {
    match (found, example) {
        (Value::Object(found), Value::Object(example)) => {
            for (key, value) in example {
                let Some(inner) = found.get(key) else {
                    panic!("{at}.{key} is missing")
                };
                assert_shape(inner, value, &format!("{at}.{key}"));
            }
        }
        (Value::Array(found), Value::Array(example)) => {
            if let Some(example) = example.first() {
                for (n, inner) in found.iter().enumerate() {
                    assert_shape(inner, example, &format!("{at}[{n}]"));
                }
            }
        }
        (_, Value::Null) => {}
        (Value::Null, _) => {}
        _ => assert_eq!(
            std::mem::discriminant(found),
            std::mem::discriminant(example),
            "{at}: {found} is not like {example}"
        ),
    }
}

/// The first JSON block after a heading of `API.md`.
fn example(heading: &str) -> Value {
    let text = include_str!("../../API.md");
    let section = text
        .split("\n## ")
        .find(|section| section.starts_with(heading))
        .unwrap();
    let block = section
        .split("```json\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    serde_json::from_str(block).unwrap_or_else(|error| panic!("{heading}: {error}"))
}

#[test]
fn answers_have_the_shape_of_the_document() {
    let agent = TestAgent::new();
    agent.put_traces(&two_services(7));
    let mut broken = trace(8);
    broken[1].set_meta("span.kind", b"SERVER");
    agent.put_traces(&[broken]);
    let id = id_of(&agent, 7);
    crate::remote_config::push_to_somebody(&agent);
    for (heading, path) in [
        ("`GET /api/status`", "/api/status".to_owned()),
        (
            "`GET /api/traces`",
            "/api/traces?q=service:storefront&buckets=3".to_owned(),
        ),
        ("`GET /api/traces/{id}`", format!("/api/traces/{id}")),
        (
            "`GET /api/traces/{id}/spans/{span}`",
            format!("/api/traces/{id}/spans/3"),
        ),
        (
            "`GET /api/traces/{id}/find?q=…`",
            format!("/api/traces/{id}/find?q=select"),
        ),
        ("`GET /api/services?window=5m`", "/api/services".to_owned()),
        ("`GET /api/map?window=5m`", "/api/map".to_owned()),
        (
            "`GET /api/suggest?key=PREFIX`",
            "/api/suggest?key=http".to_owned(),
        ),
        ("`GET /api/problems`", "/api/problems".to_owned()),
        ("`GET /api/requests`", "/api/requests".to_owned()),
        ("`GET /api/requests/{n}`", "/api/requests/1".to_owned()),
        ("`GET /api/remote-config`", "/api/remote-config".to_owned()),
    ] {
        let mut example = example(heading);
        for key in [
            "problems",
            "missing_parent",
            "meta",
            "metrics",
            "decoded",
            "summary",
            "headers",
        ] {
            // Maps by row or by tag: their keys in the example are examples.
            if example[key].is_object() && path.contains("/traces/") {
                example[key] = json!({});
            }
        }
        assert_shape(&agent.json(&path), &example, &path);
    }
}

#[test]
fn what_was_answered_can_be_read() {
    let agent = TestAgent::new();
    for n in 1..=20 {
        agent.put_traces(&[trace(n)]);
        assert_eq!(agent.json("/api/traces")["total"], n);
        assert_eq!(agent.json("/api/status")["counts"]["spans"], n * 2);
    }
}

#[test]
fn a_list_is_filtered_and_paged() {
    let agent = TestAgent::new();
    for n in 1..=25u64 {
        let mut spans = trace(n);
        let base = now() - 60_000_000_000;
        for span in &mut spans {
            span.start = base + n as i64 * 1_000_000 + i64::from(span.parent_id != 0);
        }
        spans[0].duration = n as i64 * 1_000_000;
        spans[1].duration = 1000;
        if n % 5 == 0 {
            spans[0].error = 1;
            spans[0].service = "other".into();
        }
        agent.put_traces(&[spans]);
    }
    let ids = |body: &Value| -> Vec<u64> {
        let low =
            |trace: &Value| u64::from_str_radix(&trace["id"].as_str().unwrap()[16..], 16).unwrap();
        body["traces"].as_array().unwrap().iter().map(low).collect()
    };
    let first = agent.json("/api/traces?limit=10");
    assert_eq!(ids(&first), (16..=25).rev().collect::<Vec<_>>());
    assert_eq!(first["matched"], 25);
    let cursor = first["cursor"].as_str().unwrap();
    // What comes in between does not shift the pages.
    agent.put_traces(&[trace(99)]);
    let second = agent.json(&format!("/api/traces?limit=10&cursor={cursor}"));
    assert_eq!(ids(&second), (6..=15).rev().collect::<Vec<_>>());
    let third = agent.json(&format!(
        "/api/traces?limit=10&cursor={}",
        second["cursor"].as_str().unwrap()
    ));
    assert_eq!(ids(&third), (1..=5).rev().collect::<Vec<_>>());
    assert_eq!(third["cursor"], Value::Null);

    assert_eq!(
        ids(&agent.json("/api/traces?error=true")),
        [25, 20, 15, 10, 5]
    );
    assert_eq!(
        ids(&agent.json("/api/traces?service=other&max_ms=12")),
        [10, 5]
    );
    assert_eq!(
        ids(&agent.json("/api/traces?min_ms=24&root=CART")),
        [25, 24]
    );
    assert_eq!(ids(&agent.json("/api/traces?root=nothing")), [0u64; 0]);
    assert_eq!(
        agent.json("/api/traces?service=other")["duration"]["p50"],
        15_000_000
    );
    let timeline = &agent.json("/api/traces?service=other&buckets=4")["timeline"];
    let sum = |key: &str| {
        timeline[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!((sum("requests"), sum("errors")), (5, 5));
    for bad in ["limit=0", "limit=x", "cursor=1", "min_ms=a", "error=maybe"] {
        let answer = agent.get(&format!("/api/traces?{bad}"));
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (400, &json!("bad_parameter")),
            "{bad}"
        );
    }
}

#[test]
fn a_trace_is_shown_in_order_of_display() {
    let agent = TestAgent::new();
    let chunks = two_services(7);
    // The callee comes first, as it does.
    agent.put_traces(&chunks[1..]);
    let id = id_of(&agent, 7);
    let early = &agent.json("/api/traces")["traces"][0];
    assert_eq!(
        (&early["root_missing"], &early["root"]["service"]),
        (&json!(true), &json!("payments"))
    );
    agent.put_traces(&chunks[..1]);
    let trace = agent.json(&format!("/api/traces/{id}"));
    assert_eq!(trace["span"], json!(["1", "2", "3", "4"]));
    assert_eq!(trace["parent"], json!([-1, 0, 1, 2]));
    assert_eq!(trace["depth"], json!([0, 1, 2, 3]));
    assert_eq!(trace["offset"][0], 0);
    assert_eq!(
        trace["duration_ns"],
        json!([100_000_000, 60_000_000, 50_000_000, 20_000_000])
    );
    assert_eq!(
        trace["self_ns"],
        json!([40_000_000, 10_000_000, 30_000_000, 20_000_000])
    );
    let text = |column: &str, row: usize| {
        trace["strings"][trace[column][row].as_u64().unwrap() as usize]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(text("service", 2), "payments");
    assert_eq!(text("kind", 1), "client");
    // The called service is in the trace; the database is not.
    assert_eq!(
        (text("peer", 1), text("peer", 3)),
        (String::new(), "sqlite".into())
    );
    assert_eq!(trace["flags"], json!([2, 0, 3, 0]));
    let summary = &trace["summary"];
    assert_eq!(summary["services"], json!(["payments", "storefront"]));
    assert_eq!(
        (&summary["spans"], &summary["errors"], &summary["priority"]),
        (&json!(4), &json!(1), &json!(1))
    );

    assert_eq!(
        agent.json(&format!("/api/traces/{id}/find?q=@db.system:*")),
        json!({"rows": [3], "spans": ["4"], "matched": 1})
    );
    // Ids may be shortened or decimal.
    assert_eq!(agent.json("/api/traces/7")["id"], id);
    assert_eq!(agent.get("/api/traces/999").status, 404);
    assert_eq!(agent.get("/api/traces/xyz").status, 404);
    assert_eq!(agent.get(&format!("/api/traces/{id}/spans/77")).status, 404);
}

#[test]
fn a_span_is_shown_whole() {
    let agent = TestAgent::new();
    let mut spans = trace(7);
    spans[0].service = "My Shop".into();
    spans[1].service = "My Shop".into();
    spans[1] = spans[1]
        .clone()
        .meta(
            "events",
            r#"[{"name":"exception","time_unix_nano":5,"attributes":{"a":1}}]"#,
        )
        .meta(
            "_dd.span_links",
            r#"[{"trace_id":"000000000000000000000000000000ff","span_id":"00000000000000ff"}]"#,
        )
        .meta("cart", r#"{"items":[1]}"#)
        .metric("n", f64::INFINITY)
        .metric("half", 0.5);
    agent.put_traces(&[spans]);
    let id = id_of(&agent, 7);
    let span = agent.json(&format!("/api/traces/{id}/spans/702"));
    assert_eq!(
        span["events"],
        json!([{"time": "5", "name": "exception", "attributes": {"a": 1}}])
    );
    assert_eq!(span["links"][0]["span"], "255");
    assert_eq!(span["decoded"]["cart"], json!({"items": [1]}));
    assert_eq!(span["metrics"], json!({"n": "Infinity", "half": 0.5}));
    assert_eq!(
        (&span["parent"], &span["parent_known"]),
        (&json!("701"), &json!(true))
    );
    assert_eq!(
        (&span["request"], &span["chunk"], &span["index"]),
        (&json!(1), &json!(0), &json!(1))
    );
    let change = &span["normalised"][0];
    assert_eq!(
        (&change["field"], &change["stored"]),
        (&json!("service"), &json!("my_shop"))
    );
    let flags = &agent.json(&format!("/api/traces/{id}"))["flags"];
    assert_eq!(flags[1], 8 + 16);
}

#[test]
fn services_and_their_map() {
    let agent = TestAgent::new();
    for n in 1..=4 {
        agent.put_traces(&two_services(n));
    }
    let services = agent.json("/api/services");
    let names: Vec<&str> = services["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["service"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["payments", "storefront"]);
    let payments = &services["services"][0];
    assert_eq!(
        (
            &payments["requests"],
            &payments["errors"],
            &payments["spans"]
        ),
        (&json!(4), &json!(4), &json!(8))
    );
    assert_eq!(payments["p95"], 50_000_000);
    assert_eq!(payments["resources"][0]["resource"], "POST /charge");

    let map = agent.json("/api/map");
    let nodes: Vec<(&str, &str, &str)> = map["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| {
            (
                n["id"].as_str().unwrap(),
                n["kind"].as_str().unwrap(),
                n["type"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        nodes,
        [
            ("payments", "service", "web"),
            ("peer:sqlite", "peer", "db"),
            ("storefront", "service", "web")
        ]
    );
    let edges: Vec<(&str, &str, u64, u64)> = map["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            let text = |key: &str| e[key].as_str().unwrap();
            (
                text("from"),
                text("to"),
                e["requests"].as_u64().unwrap(),
                e["errors"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        edges,
        [
            ("payments", "peer:sqlite", 4, 0),
            ("storefront", "payments", 4, 4)
        ]
    );
    let histogram = &map["edges"][1]["histogram"];
    let counts: u64 = histogram["counts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(counts, 4);
    assert_eq!(
        histogram["counts"].as_array().unwrap().len(),
        histogram["bounds_ns"].as_array().unwrap().len() + 1
    );
    // Nothing ended within the last millisecond: all is a second old.
    assert_eq!(
        agent.json("/api/services?window=1ms")["services"],
        json!([])
    );
    assert_eq!(agent.get("/api/map?window=soon").status, 400);
}

#[test]
fn a_cycle_and_a_long_chain_are_shown() {
    let agent = TestAgent::new();
    let root = root(7, 1);
    let mut spans = vec![root.clone()];
    for n in 2..=20_000 {
        let mut span = child(&root, n);
        span.parent_id = n - 1;
        spans.push(span);
    }
    agent.put_traces(&[spans]);
    let trace = agent.json(&format!("/api/traces/{}", id_of(&agent, 7)));
    assert_eq!(trace["depth"][19_999], 19_999);

    let (mut a, mut b) = (child(&root, 31), child(&root, 32));
    (a.trace_id, b.trace_id, a.parent_id, b.parent_id) = (8, 8, 32, 31);
    agent.put_traces(&[vec![a, b]]);
    let trace = agent.json("/api/traces/8");
    assert_eq!(
        (&trace["n"], &trace["parent"]),
        (&json!(2), &json!([-1, 0]))
    );
}

#[test]
fn suggestions_are_counted() {
    let agent = TestAgent::new();
    agent.put_traces(&[trace(1), trace(2)]);
    let keys = agent.json("/api/suggest?key=http");
    assert_eq!(
        keys["suggestions"],
        json!([{"text": "http.method", "count": 2}, {"text": "http.status_code", "count": 2}])
    );
    let values = agent.json("/api/suggest?key=service&value=");
    assert_eq!(values["suggestions"], json!([{"text": "shop", "count": 4}]));
    let values = agent.json("/api/suggest?key=@http.method&value=g");
    assert_eq!(values["suggestions"], json!([{"text": "GET", "count": 2}]));
}

#[test]
fn requests_are_paged_and_shown() {
    let agent = TestAgent::new();
    for n in 1..=5 {
        agent.put_traces(&[trace(n)]);
    }
    let first = agent.json("/api/requests?limit=2");
    assert_eq!(
        (&first["requests"][0]["n"], &first["cursor"]),
        (&json!(5), &json!("4"))
    );
    let last = agent.json("/api/requests?limit=10&cursor=2");
    assert_eq!(
        (&last["requests"][0]["n"], &last["cursor"]),
        (&json!(1), &Value::Null)
    );
    let request = agent.json("/api/requests/1");
    assert_eq!(
        (&request["chunks"], &request["spans"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(request["decoded"][0][0]["service"], "shop");
    assert_eq!(request["traces"][0], agent.json("/api/traces/1")["id"]);
    assert_eq!(agent.get("/api/requests/99").status, 404);
    assert_eq!(agent.get("/api/no-such-route").json()["code"], "not_found");
}

#[test]
fn clearing_leaves_nothing() {
    let agent = TestAgent::new();
    agent.put_traces(&two_services(7));
    let before = agent.json("/api/status")["rev"].as_u64().unwrap();
    let cleared = agent.change("POST", "/api/clear", &json!({}));
    assert!(cleared.json()["rev"].as_u64().unwrap() > before);
    let status = agent.json("/api/status");
    assert_eq!(
        (&status["counts"]["spans"], &status["services"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(agent.json("/api/traces")["traces"], json!([]));
    assert_eq!(agent.get("/api/traces/7").status, 404);
    agent.put_traces(&two_services(7));
    assert_eq!(agent.json("/api/traces/7")["n"], 4);
}

#[test]
fn order_of_arrival_changes_nothing() {
    let chunks = two_services(7);
    let shown = |order: &[usize]| {
        let agent = TestAgent::new();
        for at in order {
            agent.put_traces(&chunks[*at..=*at]);
        }
        let mut trace = agent.json("/api/traces/7");
        trace["rev"] = Value::Null;
        trace["summary"] = Value::Null;
        (
            trace,
            agent.json("/api/services?window=1h")["services"][0]["requests"].clone(),
        )
    };
    assert_eq!(shown(&[0, 1]), shown(&[1, 0]));
}
