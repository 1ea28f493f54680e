//! Wrong answers on purpose.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::client::{TestAgent, head, try_send};
use crate::payload::{HEADERS, trace, v04};

fn with(fault: serde_json::Value) -> TestAgent {
    let agent = TestAgent::new();
    let answer = agent.change("PUT", "/api/faults", &json!({"faults": [fault]}));
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    agent
}

fn put(agent: &TestAgent) -> std::io::Result<crate::client::Answer> {
    let mut headers = HEADERS.to_vec();
    headers.push(("x-datadog-trace-count", "1"));
    try_send(
        agent.address(),
        "PUT",
        "/v0.4/traces",
        &headers,
        &v04(&[trace(1)]),
    )
}

#[test]
fn a_status_for_so_many_times() {
    let agent = with(
        json!({"path": "/v0.4/traces", "do": "status", "status": 503, "body": "busy", "times": 2}),
    );
    for _ in 0..2 {
        let answer = put(&agent).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (503, &b"busy"[..]));
    }
    assert_eq!(agent.json("/api/traces")["total"], 0);
    assert_eq!(put(&agent).unwrap().status, 200);
    assert_eq!(agent.json("/api/traces")["total"], 1);
    let faults = agent.json("/api/faults");
    assert_eq!(
        (&faults["faults"][0]["times"], &faults["faults"][0]["hits"]),
        (&json!(0), &json!(2))
    );
    let requests = agent.json("/api/requests");
    assert_eq!(requests["requests"][2]["fault"], "status");
    assert_eq!(requests["requests"][0]["fault"], json!(null));
}

#[test]
fn bodies_that_break_off_or_mean_nothing() {
    let agent = with(json!({"path": "/v0.*", "do": "close"}));
    let error = put(&agent).unwrap_err().to_string();
    assert!(
        error.contains("break off") && error.contains("rate_by_ser"),
        "{error}"
    );
    let agent = with(json!({"path": "/v0.4/traces", "do": "wrong_length"}));
    assert!(put(&agent).unwrap_err().to_string().contains("breaks off"));
    let agent = with(json!({"path": "/v0.4/traces", "do": "garbage"}));
    let answer = put(&agent).unwrap();
    assert!(
        answer.status == 200 && serde_json::from_slice::<serde_json::Value>(&answer.body).is_err()
    );
}

#[test]
fn a_hanging_agent_hangs_and_lets_go() {
    let agent = with(json!({"path": "/v0.4/traces", "do": "hang", "times": 1}));
    let body = v04(&[trace(1)]);
    let mut stream = TcpStream::connect(agent.address()).unwrap();
    stream
        .write_all(&head("PUT", "/v0.4/traces", &HEADERS, body.len()))
        .unwrap();
    stream.write_all(&body).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    assert!(stream.read(&mut [0; 1]).is_err());
    drop(stream);
    crate::client::eventually("the end of the connection", || {
        agent.agent.connections() == 0
    });
    assert_eq!(put(&agent).unwrap().status, 200);
}

#[test]
fn a_delay_delays_and_stores() {
    let agent = with(json!({"path": "/info", "do": "delay", "delay_ms": 1}));
    assert_eq!(agent.get("/info").status, 200);
    let agent = with(json!({"path": "/v0.4/traces", "do": "delay", "delay_ms": 1}));
    assert_eq!(put(&agent).unwrap().status, 200);
    assert_eq!(agent.json("/api/traces")["total"], 1);
}

#[test]
fn the_api_cannot_be_faulted() {
    let agent = TestAgent::new();
    for path in ["/api/faults", "/api/*"] {
        let answer = agent.change(
            "PUT",
            "/api/faults",
            &json!({"faults": [{"path": path, "do": "hang"}]}),
        );
        assert_eq!(answer.status, 400, "{path}");
    }
    let everything = json!({"faults": [{"path": "*", "do": "status", "status": 500}]});
    assert_eq!(agent.change("PUT", "/api/faults", &everything).status, 200);
    assert_eq!(agent.get("/info").status, 500);
    assert_eq!(agent.get("/api/status").status, 200);
}
