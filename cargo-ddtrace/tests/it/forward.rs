//! Passing on to a second agent, which stands for a real one.

use cargo_ddtrace::agent::Options;
use serde_json::json;

use crate::client::{TestAgent, eventually};
use crate::payload::trace;

#[test]
fn everything_is_passed_on_as_it_came() {
    let real = TestAgent::new();
    let url = format!("http://{}", real.address());
    let agent = TestAgent::start(Options {
        forward: Some(url.clone()),
        ..Options::default()
    });
    for n in 1..=3 {
        agent.put_traces(&[trace(n)]);
    }
    agent.send("POST", "/no/such/thing", &[("dd-api-key", "k")], b"x");
    eventually("passing on", || {
        agent.json("/api/status")["forward"]["sent"] == 4
    });
    assert_eq!(real.json("/api/traces")["total"], 3);
    assert_eq!(real.problems(), [""; 0]);
    let status = &agent.json("/api/status")["forward"];
    assert_eq!(
        (&status["url"], &status["failed"], &status["last_status"]),
        (&json!(url), &json!(0), &json!(404))
    );
    assert_eq!(agent.json("/api/requests/1")["forwarded"], 200);
    assert_eq!(agent.json("/api/requests/4")["forwarded"], 404);
}

#[test]
fn a_real_agent_that_is_not_there_is_counted_and_not_waited_for() {
    let gone = TestAgent::new().address();
    let agent = TestAgent::start(Options {
        forward: Some(format!("http://{gone}")),
        ..Options::default()
    });
    assert_eq!(agent.put_traces(&[trace(1)]).status, 200);
    eventually("the failure", || {
        agent.json("/api/status")["forward"]["failed"] == 1
    });
    assert_eq!(agent.json("/api/traces")["total"], 1);
}

#[test]
fn a_url_that_means_nothing_is_an_error_at_the_start() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let options = Options {
        port: Some(0),
        forward: Some("https://agent".into()),
        ..Options::default()
    };
    let error = runtime
        .block_on(cargo_ddtrace::agent::Agent::start(options))
        .unwrap_err();
    assert!(error.to_string().starts_with("--forward: "), "{error}");
}
