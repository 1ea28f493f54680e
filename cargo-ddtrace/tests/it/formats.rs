//! One trace, whatever it is sent as.

use serde_json::{Value, json};
use std::io::Write as _;

use crate::client::TestAgent;
use crate::payload::{HEADERS, Span, trace, v04, v05};

fn stored(agent: &TestAgent) -> Value {
    let id = agent.json("/api/traces")["traces"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut document = agent.json(&format!("/api/traces/{id}/export"));
    for span in document["spans"].as_array_mut().unwrap() {
        // When it came is the one thing that differs.
        span["received"] = Value::Null;
    }
    document
}

fn as_json(chunks: &[Vec<Span>]) -> Vec<u8> {
    let span = |span: &Span| {
        let meta: serde_json::Map<_, _> = span
            .meta
            .iter()
            .map(|(k, v)| (k.clone(), String::from_utf8(v.clone()).unwrap().into()))
            .collect();
        let metrics: serde_json::Map<_, _> = span
            .metrics
            .iter()
            .map(|(k, v)| (k.clone(), (*v).into()))
            .collect();
        json!({
            "service": span.service, "name": span.name, "resource": span.resource, "type": span.span_type,
            "trace_id": span.trace_id, "span_id": span.span_id, "parent_id": span.parent_id,
            "start": span.start, "duration": span.duration, "error": span.error, "meta": meta, "metrics": metrics,
        })
    };
    let chunks: Vec<Vec<Value>> = chunks
        .iter()
        .map(|chunk| chunk.iter().map(span).collect())
        .collect();
    serde_json::to_vec(&chunks).unwrap()
}

fn v07(chunks: &[Vec<Span>]) -> Vec<u8> {
    let mut body = Vec::new();
    rmp::encode::write_map_len(&mut body, 2).unwrap();
    rmp::encode::write_str(&mut body, "language_name").unwrap();
    rmp::encode::write_str(&mut body, "rust").unwrap();
    rmp::encode::write_str(&mut body, "chunks").unwrap();
    rmp::encode::write_array_len(&mut body, chunks.len() as u32).unwrap();
    for chunk in chunks {
        rmp::encode::write_map_len(&mut body, 1).unwrap();
        rmp::encode::write_str(&mut body, "spans").unwrap();
        // The spans of a chunk are written as v0.4 writes them, whose first byte says that there is one chunk.
        body.extend(&v04(std::slice::from_ref(chunk))[1..]);
    }
    body
}

#[test]
fn every_format_says_the_same() {
    let spans = trace(7);
    let chunks = [spans];
    let reference = TestAgent::new();
    reference.put_traces(&chunks);
    let reference = stored(&reference);
    assert_eq!(reference["spans"].as_array().unwrap().len(), 2);
    for (path, content_type, body) in [
        ("/v0.3/traces", "application/msgpack", v04(&chunks)),
        ("/v0.5/traces", "application/msgpack", v05(&chunks)),
        ("/v0.7/traces", "application/msgpack", v07(&chunks)),
        ("/v0.3/traces", "application/json", as_json(&chunks)),
        (
            "/v0.4/traces",
            "application/json; charset=utf-8",
            as_json(&chunks),
        ),
    ] {
        let agent = TestAgent::new();
        let mut headers = HEADERS.to_vec();
        headers[0].1 = content_type;
        headers.push(("x-datadog-trace-count", "1"));
        let answer = agent.send("POST", path, &headers, &body);
        assert_eq!(
            answer.status,
            200,
            "{path} {content_type}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        let mut found = stored(&agent);
        if content_type != "application/msgpack" {
            // JSON objects have no order of their own.
            for span in found["spans"].as_array_mut().unwrap() {
                assert!(span["meta"].is_object());
            }
        }
        assert_eq!(found, reference, "{path} {content_type}");
        assert_eq!(agent.problems(), [""; 0], "{path} {content_type}");
    }
}

#[test]
fn compressed_bodies_are_taken() {
    let body = v04(&[trace(7)]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&body).unwrap();
    let agent = TestAgent::new();
    let mut headers = HEADERS.to_vec();
    headers.extend([("x-datadog-trace-count", "1"), ("content-encoding", "gzip")]);
    assert_eq!(
        agent
            .send("PUT", "/v0.4/traces", &headers, &encoder.finish().unwrap())
            .status,
        200
    );
    assert_eq!(agent.json("/api/status")["counts"]["spans"], 2);
    assert_eq!(agent.problems(), [""; 0]);
}

#[test]
fn answers_carry_rates_and_the_state_of_the_agent() {
    let agent = TestAgent::new();
    let info = agent.get("/info");
    let state = info.header("datadog-agent-state").unwrap().to_owned();
    assert_eq!(state.len(), 64);
    assert_eq!(info.json()["client_drop_p0s"], true);
    assert_eq!(
        info.json()["config"]["receiver_port"],
        agent.address().port()
    );
    assert_eq!(info.json()["ddtrace_local"]["pid"], std::process::id());

    let answer = agent.put_traces(&[trace(1)]);
    assert_eq!(answer.header("datadog-agent-state"), Some(state.as_str()));
    assert_eq!(
        answer.json(),
        json!({"rate_by_service": {"service:,env:": 1.0}})
    );
    let version = answer
        .header("datadog-rates-payload-version")
        .unwrap()
        .to_owned();

    let mut headers = HEADERS.to_vec();
    headers.extend([
        ("x-datadog-trace-count", "1"),
        ("datadog-rates-payload-version", &version),
    ]);
    let body = v04(&[trace(2)]);
    assert_eq!(
        agent.send("PUT", "/v0.4/traces", &headers, &body).json(),
        json!({})
    );

    agent.change(
        "PUT",
        "/api/rates",
        &json!({"rates": {"service:shop,env:": 0.25}}),
    );
    let answer = agent.send("PUT", "/v0.4/traces", &headers, &body).json();
    assert_eq!(answer["rate_by_service"]["service:shop,env:"], 0.25);
    assert_eq!(
        agent.send("PUT", "/v0.3/traces", &headers, &body).body,
        b"OK"
    );
}

#[test]
fn an_older_agent_can_be_played() {
    let options = cargo_ddtrace::agent::Options {
        hide: vec!["v0.5".into()],
        advertise: vec!["/v1.0/traces".into()],
        keep_all: true,
        ..Default::default()
    };
    let agent = TestAgent::start(options);
    let info = agent.get("/info").json();
    let endpoints: Vec<&str> = info["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e.as_str().unwrap())
        .collect();
    assert!(!endpoints.contains(&"/v0.5/traces") && endpoints.contains(&"/v1.0/traces"));
    assert_eq!(info["client_drop_p0s"], false);
    assert_eq!(
        agent.put_body("/v0.5/traces", &v05(&[trace(1)]), 1).status,
        404
    );
}

#[test]
fn other_endpoints_are_taken_and_kept() {
    let agent = TestAgent::new();
    let telemetry = json!({
        "api_version": "v2", "request_type": "generate-metrics", "runtime_id": "r-1", "seq_id": 1,
        "application": {"service_name": "shop", "language_name": "rust", "tracer_version": "0.1.0"},
        "payload": {"series": [{"metric": "trace_chunks_dropped", "points": [[1, 3]], "tags": []}]},
    });
    let json_type = [("content-type", "application/json")];
    let telemetry = agent.send(
        "POST",
        "/telemetry/proxy/api/v2/apmtelemetry",
        &json_type,
        telemetry.to_string().as_bytes(),
    );
    assert_eq!(
        (telemetry.status, telemetry.body.as_slice()),
        (202, &b"{}"[..])
    );
    assert_eq!(
        agent
            .send(
                "PUT",
                "/v0.6/stats",
                &[("content-type", "application/msgpack")],
                &[0x80]
            )
            .status,
        200
    );
    assert_eq!(
        agent
            .send(
                "PUT",
                "/v0.6/stats",
                &[("content-type", "application/msgpack")],
                &[0x81]
            )
            .status,
        400
    );
    assert_eq!(
        agent.send("PUT", "/v0.4/services", &json_type, b"{}").body,
        b"OK"
    );
    assert_eq!(
        agent
            .send("POST", "/no/such/thing", &json_type, b"{\"a\":1}")
            .status,
        404
    );
    assert_eq!(
        agent
            .send("POST", "/api/v2/no-such-intake", &json_type, b"{}")
            .status,
        404
    );

    let status = agent.json("/api/status");
    assert_eq!(status["counts"]["dropped"], 3);
    assert_eq!(status["clients"][0]["runtime_id"], "r-1");
    assert_eq!(status["clients"][0]["telemetry"], true);
    let requests = agent.json("/api/requests");
    let kinds: Vec<&str> = requests["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "unknown",
            "unknown",
            "services",
            "stats",
            "stats",
            "telemetry"
        ]
    );
    let unknown = agent.json("/api/requests/5");
    assert_eq!(unknown["decoded"], json!({"a": 1}));
    assert_eq!(agent.get("/api/requests/5/raw").body, b"{\"a\":1}");
    assert_eq!(
        agent.json("/api/requests?status=4xx")["requests"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn sampled_out_traces_are_counted_apart() {
    let agent = TestAgent::new();
    let mut headers = HEADERS.to_vec();
    headers.extend([
        ("x-datadog-trace-count", "1"),
        ("datadog-client-dropped-p0-traces", "5"),
        ("datadog-client-dropped-p0-spans", "60"),
    ]);
    agent.send("PUT", "/v0.4/traces", &headers, &v04(&[trace(1)]));
    let counts = &agent.json("/api/status")["counts"];
    assert_eq!(
        (&counts["sampled_out_traces"], &counts["sampled_out_spans"]),
        (&json!(5), &json!(60))
    );
    assert_eq!(counts["dropped"], 0);
}
