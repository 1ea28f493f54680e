//! The store keeps its bounds, and counts what it lets go.

use cargo_ddtrace::agent::Options;
use cargo_ddtrace::store::Limits;
use serde_json::{Value, json};

use crate::client::TestAgent;
use crate::payload::{Span, child, root};

const MEMORY: usize = 24 << 20;

fn small() -> TestAgent {
    TestAgent::start(Options {
        limits: Limits {
            memory: MEMORY,
            ..Limits::default()
        },
        ..Options::default()
    })
}

fn wide_trace(id: u64) -> Vec<Span> {
    let root = root(id, id * 1000 + 1);
    let children = (2..=500).map(|n| {
        child(&root, id * 1000 + n).meta("note", &format!("a value of trace {id}, span {n}"))
    });
    std::iter::once(root.clone()).chain(children).collect()
}

#[test]
fn the_oldest_go_first_and_are_counted() {
    let agent = small();
    let mut id = 0;
    let status = loop {
        id += 1;
        assert_eq!(agent.put_traces(&[wide_trace(id)]).status, 200);
        let status = agent.json("/api/status");
        let memory = &status["memory"];
        assert!(
            memory["total"].as_u64().unwrap() <= MEMORY as u64 * 11 / 10,
            "{memory}"
        );
        if status["evicted"]["traces"].as_u64().unwrap() >= 40 {
            break status;
        }
        assert!(id < 2000, "nothing was ever evicted: {status}");
    };
    let evicted = status["evicted"]["spans"].as_u64().unwrap();
    assert!(evicted >= 40 * 500 && evicted < id * 500);
    assert!(status["kept_since"].is_string());
    // The summary of the first trace stays, marked; its spans are gone.
    let gone = agent.get("/api/traces/1");
    assert_eq!(
        (gone.status, &gone.json()["code"]),
        (410, &json!("evicted"))
    );
    let list = agent.json("/api/traces?limit=1000");
    assert_eq!(list["total"], id);
    let is_evicted = |at: usize| list["traces"][at]["evicted"].clone();
    assert_eq!(
        (is_evicted(id as usize - 1), is_evicted(0)),
        (json!(true), json!(false))
    );
    // What is there is whole.
    let newest = agent.json(&format!("/api/traces/{id}"));
    assert_eq!(newest["n"], 500);
    assert_eq!(
        agent.json("/api/traces?q=%22value%20of%20trace%201,%22")["matched"],
        0
    );
}

#[test]
fn bytes_of_requests_make_room_for_newer_ones() {
    let agent = small();
    let n = 60u32;
    for id in 1..=n {
        agent.put_traces(&[wide_trace(id.into())]);
    }
    assert_eq!(agent.json("/api/requests/1")["raw"], "evicted");
    assert_eq!(agent.get("/api/requests/1/raw").status, 410);
    assert_eq!(agent.json(&format!("/api/requests/{n}"))["raw"], "kept");
    assert_eq!(agent.get(&format!("/api/requests/{n}/raw")).status, 200);
}

#[test]
fn a_payload_that_is_wrong_everywhere_costs_no_more_than_a_right_one() {
    let agent = small();
    let spans: Vec<Span> = wide_trace(1)
        .into_iter()
        .map(|span| span.meta("span.kind", "WRONG").metric("n", f64::NAN))
        .collect();
    let chunks: Vec<Vec<Span>> = (1..=20)
        .map(|id| {
            spans
                .iter()
                .map(|span| Span {
                    trace_id: id,
                    ..span.clone()
                })
                .collect()
        })
        .collect();
    assert_eq!(agent.put_traces(&chunks).status, 200);
    let problems = agent.json("/api/problems");
    let count: u64 = problems["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["count"].as_u64().unwrap())
        .sum();
    assert!(count >= 20_000, "{count}");
    for group in problems["groups"].as_array().unwrap() {
        assert!(group["examples"].as_array().unwrap().len() <= 20);
    }
    assert_eq!(
        agent.json("/api/requests/1")["problems_list"]
            .as_array()
            .unwrap()
            .len(),
        200
    );
}

#[test]
fn hostile_bytes_are_refused_one_by_one() {
    let agent = small();
    for body in [
        &b"\xdd\xff\xff\xff\xff"[..],
        b"\x91\xdd\xff\xff\xff\xff",
        b"\x91\x91\xdf\xff\xff\xff\xff",
        b"\x91\x91\x81\xa4meta\xdf\xff\xff\xff\xff",
        b"\x91\x91\x81\xa4name\xdb\xff\xff\xff\xff",
        &[0x91; 100_000],
    ] {
        for path in [
            "/v0.3/traces",
            "/v0.4/traces",
            "/v0.5/traces",
            "/v0.7/traces",
            "/v1.0/traces",
            "/v0.6/stats",
        ] {
            let answer = agent.put_body(path, body, 1);
            assert_eq!(answer.status, 400, "{path}");
            let body: Value = answer.json();
            assert!(
                body["rule"].as_str().unwrap().starts_with("request."),
                "{path} {body}"
            );
        }
    }
}
