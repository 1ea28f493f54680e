//! The search language against the store.

use serde_json::{Value, json};

use crate::client::TestAgent;
use crate::payload::{Span, child, root};

fn encoded(query: &str) -> String {
    query.bytes().map(|b| format!("%{b:02x}")).collect()
}

fn filled() -> TestAgent {
    let agent = TestAgent::new();
    for n in 1..=3u64 {
        let mut root = root(n, n * 10);
        root.resource = format!("GET /item/{n}");
        root.set_meta("http.status_code", format!("{}00", n + 1).as_bytes());
        root.set_meta("env", if n == 1 { b"prod" } else { b"dev" });
        root.duration = n as i64 * 100_000_000;
        root.error = i32::from(n == 3);
        let call = Span {
            service: "payments".into(),
            ..child(&root, n * 10 + 1)
        }
        .meta("note", "Äpfel und Birnen")
        .metric("retries", n as f64)
        .metric("_dd.top_level", 1.0);
        agent.put_traces(&[vec![root, call]]);
    }
    agent
}

#[test]
fn queries_find_traces() {
    let agent = filled();
    let found = |query: &str| -> Vec<u64> {
        let body = agent.json(&format!("/api/traces?q={}", encoded(query)));
        let mut ids: Vec<u64> = body["traces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|trace| u64::from_str_radix(&trace["id"].as_str().unwrap()[16..], 16).unwrap())
            .collect();
        ids.sort_unstable();
        assert_eq!(body["matched"], ids.len());
        ids
    };
    for (query, traces) in [
        ("", &[1, 2, 3][..]),
        ("service:payments", &[1, 2, 3]),
        ("service:pay*", &[1, 2, 3]),
        ("service:nobody", &[]),
        ("resource_name:\"GET /item/2\"", &[2]),
        ("resource_name:*item/?", &[1, 2, 3]),
        ("operation_name:cart.price @retries:2", &[2]),
        ("status:error", &[3]),
        ("-status:error service:shop", &[1, 2]),
        ("@http.status_code:4*", &[3]),
        ("@http.status_code:[200 TO 300]", &[1, 2]),
        ("@http.status_code:[200 TO 300}", &[1]),
        ("@http.status_code:>=300", &[2, 3]),
        ("@http.status_code:(200 OR 400)", &[1, 3]),
        ("@retries:>1", &[2, 3]),
        ("@retries:2.0", &[2]),
        ("-@retries:* status:ok", &[1, 2]),
        ("@duration:>250ms", &[3]),
        ("@duration:[100ms TO 0.2s]", &[1, 2]),
        ("env:prod", &[1]),
        ("kind:server env:dev", &[2, 3]),
        ("type:web @http.method:GET", &[1, 2, 3]),
        ("äpfel", &[1, 2, 3]),
        ("\"und birnen\"", &[1, 2, 3]),
        ("\"und  birnen\"", &[]),
        ("item/1 OR item/3", &[1, 3]),
        ("(item/1 OR item/3) -status:error", &[1]),
        // One span must satisfy it all: the child does not say so of itself.
        ("service:payments env:prod", &[]),
        ("service:payments root(env:prod)", &[1]),
        ("@retries:* -root(status:error)", &[1, 2]),
        ("span_id:21", &[2]),
        ("trace_id:3", &[3]),
    ] {
        assert_eq!(found(query), traces, "{query}");
    }
}

#[test]
fn matching_spans_are_counted_and_named() {
    let agent = filled();
    let list = agent.json(&format!(
        "/api/traces?q={}",
        encoded("service:payments OR status:error")
    ));
    let counts: Vec<&Value> = list["traces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| &trace["matched"])
        .collect();
    assert_eq!(counts, [2, 1, 1]);
    let id = list["traces"][0]["id"].as_str().unwrap();
    let found = agent.json(&format!("/api/traces/{id}/find?q=birnen"));
    assert_eq!(found, json!({"rows": [1], "spans": ["31"], "matched": 1}));
}

#[test]
fn a_bad_query_says_where() {
    let agent = filled();
    for path in ["/api/traces", "/api/traces/1/find", "/api/wait"] {
        let answer = agent.get(&format!("{path}?q={}", encoded("ä (b")));
        assert_eq!(answer.status, 400, "{path}");
        let body = answer.json();
        assert_eq!(
            (&body["code"], &body["at"]),
            (&json!("bad_query"), &json!(2)),
            "{path}"
        );
        assert_eq!(body["error"], "this parenthesis is never closed");
    }
}
