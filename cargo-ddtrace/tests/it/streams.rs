//! Pipeline statistics: taken, judged, counted, shown; hostile ones are refused.

use std::io::Write as _;

use cargo_ddtrace::agent::Options;
use cargo_ddtrace::store::Limits;
use serde_json::json;

use crate::client::{Answer, TestAgent, eventually};

/// spec/data-streams.md §15.5, as dd-trace-py sends it.
const GOLDEN: &str = include_str!("pipeline_stats.hex");

fn golden() -> Vec<u8> {
    let digits: Vec<u8> = GOLDEN.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    digits
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn send(agent: &TestAgent, body: &[u8]) -> Answer {
    let headers = [
        ("content-type", "application/msgpack"),
        ("content-encoding", "gzip"),
        ("datadog-meta-lang", "python"),
        ("datadog-meta-tracer-version", "4.16.0"),
    ];
    agent.send("POST", "/v0.1/pipeline_stats", &headers, &gzip(body))
}

#[test]
fn the_payload_of_the_reference_is_taken_and_shown() {
    let agent = TestAgent::new();
    let answer = send(&agent, &golden());
    assert_eq!((answer.status, answer.json()), (202, json!({})));
    assert_eq!(agent.problems(), [""; 0]);
    let streams = agent.json("/api/streams?window=all");
    assert_eq!(
        streams["counts"],
        json!({"payloads": 1, "points": 2, "offsets": 2, "transactions": 0, "evicted": 0})
    );
    let consumed = &streams["edges"][0];
    assert_eq!(
        (&consumed["from"], &consumed["to"], &consumed["groups"]),
        (
            &json!("queue:kafka:orders"),
            &json!("service:checkout"),
            &json!(["g1"])
        )
    );
    let p99 = consumed["latency"]["p99"].as_f64().unwrap();
    assert!((p99 / 5e8 - 1.0).abs() < 0.008, "{consumed}");
    let size = consumed["size"]["p50"].as_f64().unwrap();
    assert!((size / 70.0 - 1.0).abs() < 0.02, "{consumed}");
    let lag = &streams["lag"][0];
    assert_eq!(
        (
            &lag["produced"],
            &lag["committed"],
            &lag["lag"],
            &lag["cluster"]
        ),
        (&json!(34), &json!(14), &json!(20), &json!("abc"))
    );
    let request = agent.json("/api/requests/1");
    assert_eq!(
        (&request["kind"], &request["language"], &request["encoding"]),
        (&json!("streams"), &json!("python"), &json!("gzip"))
    );
    // The buckets are of 2023: no window but everything holds them.
    assert_eq!(agent.json("/api/streams?window=2h")["edges"], json!([]));
    assert_eq!(agent.change("POST", "/api/clear", &json!({})).status, 200);
    assert_eq!(agent.json("/api/streams?window=all")["counts"]["points"], 0);
    let endpoints = agent.json("/info")["endpoints"].clone();
    assert!(
        endpoints
            .as_array()
            .unwrap()
            .contains(&json!("/v0.1/pipeline_stats"))
    );
}

#[test]
fn what_is_wrong_is_taken_and_said_and_refused_where_strict() {
    let mut body = golden();
    let hash = body
        .windows(8)
        .position(|bytes| bytes == 7_333_709_291_926_734_956_u64.to_be_bytes());
    body[hash.unwrap()] ^= 1;
    let agent = TestAgent::new();
    assert_eq!(send(&agent, &body).status, 202);
    assert_eq!(agent.problems(), ["streams.hash"]);
    let example = &agent.json("/api/problems")["groups"][0]["examples"][0];
    assert_eq!(
        (&example["at"], &example["request"]),
        (&json!("Stats[0].Stats[0].Hash"), &json!(1))
    );
    let strict = TestAgent::start(Options {
        strict: true,
        ..Options::default()
    });
    let answer = send(&strict, &body);
    assert_eq!(
        (answer.status, &answer.json()["rule"]),
        (400, &json!("streams.hash"))
    );
}

#[test]
fn a_parent_that_never_comes_is_reported_after_a_while() {
    let agent = TestAgent::start(Options {
        limits: Limits {
            orphan_after_ms: 50,
            ..Limits::default()
        },
        ..Options::default()
    });
    let mut body = golden();
    let producer = body
        .windows(8)
        .position(|bytes| bytes == b"EdgeTags")
        .unwrap()
        - 2;
    let consumer = body
        .windows(8)
        .rposition(|bytes| bytes == b"EdgeTags")
        .unwrap()
        - 2;
    body.drain(producer..consumer);
    // Of two points one is left.
    body[producer - 1] = 0x91;
    assert_eq!(send(&agent, &body).status, 202);
    eventually("the hint", || agent.problems() == ["streams.parent"]);
}

#[test]
fn hostile_bytes_are_refused_and_nothing_breaks() {
    let agent = TestAgent::new();
    for body in [
        &b"\xdf\xff\xff\xff\xff"[..],
        b"\x81\xa5Stats\xdd\xff\xff\xff\xff",
        b"\x81\xa5Stats\x91\x81\xa5Stats\xdd\xff\xff\xff\xff",
        b"\x81\xa5Stats\x91\xa1x",
        &golden()[..700],
        &[golden(), vec![0]].concat(),
    ] {
        let answer = send(&agent, body);
        assert_eq!(answer.status, 400);
        assert!(
            answer.json()["rule"]
                .as_str()
                .unwrap()
                .starts_with("request.")
        );
    }
    let plain = [("content-type", "application/msgpack")];
    assert_eq!(
        agent
            .send("POST", "/v0.1/pipeline_stats", &plain, b"")
            .status,
        400
    );
    assert_eq!(agent.json("/api/streams")["counts"]["payloads"], 0);
}

#[test]
fn they_are_passed_on_as_they_came() {
    let real = TestAgent::new();
    let agent = TestAgent::start(Options {
        forward: Some(format!("http://{}", real.address())),
        ..Options::default()
    });
    assert_eq!(send(&agent, &golden()).status, 202);
    eventually("passing on", || {
        real.json("/api/streams")["counts"]["points"] == 2
    });
    assert_eq!(real.problems(), [""; 0]);
}
