//! What becomes of payloads.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::fake::{FakeAgent, Reply, run};
use super::*;
use crate::config::{AgentUrl, ApiVersion};

/// Pauses that don't hold a test up.
const QUICK: RetryPolicy = RetryPolicy {
    tries: 3,
    pause: Duration::from_millis(1),
    max_pause: Duration::from_millis(2),
};
const AMPLE: Duration = Duration::from_secs(30);

fn sender(url: &AgentUrl, deadline: Deadline) -> TraceSender {
    let client = AgentClient::new(url.clone(), AMPLE, HeaderMap::new());
    TraceSender::new(Arc::new(client), QUICK, deadline)
}

fn payload(version: ApiVersion) -> TracePayload {
    TracePayload {
        version,
        chunks: 2,
        body: b"\x92\x90\x90"[..].into(),
        stats: None,
    }
}

/// Sends one payload to an agent with this script; the outcome in words and the number of requests.
fn outcome(version: ApiVersion, script: Vec<Reply>) -> (String, usize) {
    run(async {
        let agent = FakeAgent::tcp(script).await;
        let outcome = sender(&agent.url, Deadline::never())
            .send(&payload(version))
            .await;
        (words(&outcome), agent.requests().len())
    })
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted(_) => "accepted".to_owned(),
        Outcome::UnsupportedVersion => "unsupported".to_owned(),
        Outcome::Rejected { status } => format!("rejected {}", status.as_u16()),
        Outcome::Failed {
            error: SendFailure::Status(status),
            tries,
        } => {
            format!("failed {} after {tries}", status.as_u16())
        }
        Outcome::Failed {
            error: SendFailure::NoAnswer(error),
            tries,
        } => {
            let kind = match error {
                SendError::Connect { .. } => "connect",
                SendError::Closed => "closed",
                SendError::Timeout { .. } => "timeout",
                SendError::Protocol { .. } => "protocol",
                SendError::Interrupted => "interrupted",
                SendError::Unsupported { .. } => "unsupported",
            };
            format!("failed {kind} after {tries}")
        }
    }
}

#[test]
fn answers_decide_between_done_again_and_dropped() {
    use ApiVersion::{V04, V05};
    let status = |status| Reply::status(status, &[], "");
    let cases = [
        (V04, vec![status(200)], "accepted", 1),
        (V04, vec![status(202)], "accepted", 1),
        (
            V04,
            vec![status(503), status(500), status(200)],
            "accepted",
            3,
        ),
        (V04, vec![status(429), status(200)], "accepted", 2),
        (V04, vec![status(408), status(200)], "accepted", 2),
        (V04, vec![Reply::Close, status(200)], "accepted", 2),
        (
            V04,
            vec![
                Reply::BytesThenClose(b"garbage\r\n\r\n".to_vec()),
                status(200),
            ],
            "accepted",
            2,
        ),
        (V04, vec![status(503)], "failed 503 after 3", 3),
        (V04, vec![status(429)], "failed 429 after 3", 3),
        (V04, vec![Reply::Close], "failed closed after 3", 3),
        (V04, vec![status(400)], "rejected 400", 1),
        (V04, vec![status(413)], "rejected 413", 1),
        (V04, vec![status(301)], "rejected 301", 1),
        (V04, vec![status(404)], "rejected 404", 1),
        (V05, vec![status(404)], "unsupported", 1),
        (V05, vec![status(415)], "unsupported", 1),
        (V05, vec![status(400)], "rejected 400", 1),
        (V05, vec![status(200)], "accepted", 1),
    ];
    for (version, script, expected, requests) in cases {
        let name = format!("{version:?} {script:?}");
        assert_eq!(
            outcome(version, script),
            (expected.to_owned(), requests),
            "{name}"
        );
    }
}

#[test]
fn an_agent_that_refuses_gets_all_tries() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = AgentUrl::http("127.0.0.1", listener.local_addr().unwrap().port());
        drop(listener);
        let outcome = sender(&url, Deadline::never())
            .send(&payload(ApiVersion::V04))
            .await;
        assert_eq!(words(&outcome), "failed connect after 3");
    });
}

#[test]
fn the_body_is_not_waited_for_twice_when_only_its_answer_breaks_off() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"rate".to_vec();
    let (words, requests) = outcome(ApiVersion::V04, vec![Reply::BytesThenClose(half)]);
    assert_eq!((words.as_str(), requests), ("accepted", 1));
}

#[test]
fn a_deadline_interrupts_a_request_to_a_silent_agent() {
    run(async {
        let agent = FakeAgent::tcp([Reply::Hang]).await;
        let (setter, deadline) = deadline();
        let mut sender = sender(&agent.url, deadline);
        let sending = tokio::spawn(async move { sender.send(&payload(ApiVersion::V04)).await });
        while agent.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        setter.set(Instant::now() + Duration::from_millis(10));
        assert_eq!(words(&sending.await.unwrap()), "failed interrupted after 1");
    });
}

#[test]
fn a_deadline_interrupts_a_pause_between_tries() {
    run(async {
        let agent = FakeAgent::tcp([Reply::status(503, &[], "")]).await;
        let (setter, deadline) = deadline();
        let client = AgentClient::new(agent.url.clone(), AMPLE, HeaderMap::new());
        let hour = Duration::from_secs(3600);
        let patient = RetryPolicy {
            tries: 9,
            pause: hour,
            max_pause: hour,
        };
        let mut sender = TraceSender::new(Arc::new(client), patient, deadline);
        let sending = tokio::spawn(async move { sender.send(&payload(ApiVersion::V04)).await });
        while agent.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        setter.set(Instant::now());
        // Once set, a deadline holds though nobody could set it any more.
        drop(setter);
        assert_eq!(words(&sending.await.unwrap()), "failed interrupted after 1");
    });
}

#[test]
fn a_deadline_can_be_set_earlier_than_it_was() {
    run(async {
        let (setter, mut deadline) = deadline();
        setter.set(Instant::now() + Duration::from_secs(3600));
        let waiting =
            tokio::spawn(async move { deadline.limit(std::future::pending::<()>()).await });
        tokio::task::yield_now().await;
        setter.set(Instant::now());
        assert_eq!(waiting.await.unwrap(), None);
    });
}

#[test]
fn a_payload_has_the_headers_of_the_protocol() {
    run(async {
        let agent = FakeAgent::tcp([Reply::ok("OK")]).await;
        let mut sender = sender(&agent.url, Deadline::never());
        sender.send(&payload(ApiVersion::V04)).await;
        let stats = Some(DroppedUnsampled {
            traces: 3,
            spans: 7,
        });
        sender
            .send(&TracePayload {
                stats,
                ..payload(ApiVersion::V05)
            })
            .await;
        let requests = agent.requests();
        let common = [
            ("content-type", Some("application/msgpack")),
            ("content-length", Some("3")),
            ("x-datadog-trace-count", Some("2")),
            ("datadog-client-computed-top-level", Some("yes")),
            ("datadog-send-real-http-status", Some("1")),
            ("datadog-rates-payload-version", None),
        ];
        for (name, value) in common {
            assert_eq!(requests[0].header(name), value, "{name}");
            assert_eq!(requests[1].header(name), value, "{name}");
        }
        let of_stats = [
            ("datadog-client-computed-stats", "yes"),
            ("datadog-client-dropped-p0-traces", "3"),
            ("datadog-client-dropped-p0-spans", "7"),
        ];
        for (name, value) in of_stats {
            assert_eq!(requests[0].header(name), None, "{name}");
            assert_eq!(requests[1].header(name), Some(value), "{name}");
        }
        assert_eq!(requests[0].line(), "POST /v0.4/traces HTTP/1.1");
        assert_eq!(requests[1].line(), "POST /v0.5/traces HTTP/1.1");
    });
}

#[test]
fn rates_are_learnt_once_per_version() {
    run(async {
        let rates = |version: &str, body: &str| {
            Reply::status(200, &[("Datadog-Rates-Payload-Version", version)], body)
        };
        let half = r#"{"rate_by_service":{"service:,env:":0.5}}"#;
        let agent = FakeAgent::tcp([
            Reply::ok("OK"),
            rates("v1", half),
            rates("v1", "{}"),
            rates("v1", half),
            rates("v2", "nonsense"),
            rates("v3", r#"{"rate_by_service":{"service:,env:":0.25}}"#),
            Reply::ok(half),
        ])
        .await;
        let mut sender = sender(&agent.url, Deadline::never());
        let half = Some(0.5);
        for expected in [None, half, None, None, None, Some(0.25), half] {
            let Outcome::Accepted(accepted) = sender.send(&payload(ApiVersion::V04)).await else {
                panic!("expected an accepted payload");
            };
            assert_eq!(accepted.rates.map(|rates| rates[0].1), expected);
        }
        let echoed: Vec<Option<String>> = agent
            .requests()
            .iter()
            .map(|request| {
                request
                    .header("datadog-rates-payload-version")
                    .map(str::to_owned)
            })
            .collect();
        let v1 = Some("v1".to_owned());
        assert_eq!(
            echoed,
            [
                None,
                None,
                v1.clone(),
                v1.clone(),
                v1.clone(),
                v1,
                Some("v3".to_owned())
            ]
        );
    });
}

#[test]
fn a_changed_agent_is_noticed() {
    run(async {
        let state = |state: &str| Reply::status(200, &[("Datadog-Agent-State", state)], "{}");
        let script = [
            Reply::ok("{}"),
            state("a"),
            state("a"),
            Reply::ok("{}"),
            state("b"),
        ];
        let agent = FakeAgent::tcp(script).await;
        let mut sender = sender(&agent.url, Deadline::never());
        for expected in [false, true, false, false, true] {
            let Outcome::Accepted(accepted) = sender.send(&payload(ApiVersion::V04)).await else {
                panic!("expected an accepted payload");
            };
            assert_eq!(accepted.info_changed, expected);
        }
    });
}
