//! Events, and waiting for data.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::TestAgent;
use crate::payload::trace;

/// A reader of events, over chunked transfer: the sizes stand on lines of their own, which no event looks like.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(agent: &TestAgent, path: &str, headers: &str) -> Events {
        let mut stream = TcpStream::connect(agent.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"
        )
        .unwrap();
        let mut events = Events(BufReader::new(stream));
        assert!(events.line().starts_with("HTTP/1.1 200"));
        while !events.line().is_empty() {}
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
        line.trim_end().to_owned()
    }

    /// The next event of a name.
    fn next(&mut self, name: &str) -> (u64, Value) {
        loop {
            if self.line() == format!("event: {name}") {
                let id = self.line().strip_prefix("id: ").unwrap().parse().unwrap();
                let data = self.line();
                return (
                    id,
                    serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap(),
                );
            }
        }
    }
}

#[test]
fn changes_are_told() {
    let agent = TestAgent::new();
    let mut events = Events::open(&agent, "/api/stream", "");
    events.next("status");
    let mut spans = trace(7);
    spans[1].set_meta("span.kind", b"SERVER");
    agent.put_traces(&[spans]);
    let (id, data) = events.next("traces");
    assert_eq!(data["traces"][0]["spans"], 2);
    assert_eq!((data["rev"].as_u64(), &data["more"]), (Some(id), &json!(0)));
    let (_, problems) = events.next("problems");
    assert_eq!(problems["groups"][0]["rule"], "values.kind");
    assert_eq!(problems["totals"]["violation"], 1);
    let (_, requests) = events.next("requests");
    assert_eq!(requests["requests"][0]["path"], "/v0.4/traces");
    let (_, status) = events.next("status");
    assert_eq!(status["counts"]["spans"], 2);
    agent.change("POST", "/api/clear", &json!({}));
    events.next("cleared");
}

#[test]
fn topics_are_chosen() {
    let agent = TestAgent::new();
    let mut events = Events::open(&agent, "/api/stream?topics=requests", "");
    agent.put_traces(&[trace(1)]);
    // The first event at all is the one that was asked for.
    assert_eq!(
        loop {
            let line = events.line();
            if line.starts_with("event: ") {
                break line;
            }
        },
        "event: requests"
    );
}

#[test]
fn a_reader_goes_on_where_it_stopped() {
    let agent = TestAgent::new();
    agent.put_traces(&[trace(1)]);
    let seen = agent.json("/api/status")["rev"].as_u64().unwrap();
    agent.put_traces(&[trace(2)]);
    let mut events = Events::open(
        &agent,
        "/api/stream?topics=traces",
        &format!("last-event-id: {seen}\r\n"),
    );
    let (_, data) = events.next("traces");
    assert_eq!(data["traces"].as_array().unwrap().len(), 1);
    // One that was never there, or is too old, has to load again.
    let mut events = Events::open(
        &agent,
        "/api/stream?topics=traces",
        "last-event-id: 999999\r\n",
    );
    events.next("reset");
}

#[test]
fn streams_are_bounded() {
    let agent = TestAgent::new();
    let open: Vec<Events> = (0..16)
        .map(|_| Events::open(&agent, "/api/stream", ""))
        .collect();
    let answer = agent.get("/api/stream");
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (429, &json!("busy"))
    );
    drop(open);
}

#[test]
fn waiting_ends_when_enough_has_come() {
    let agent = TestAgent::new();
    let late = agent.get("/api/wait?traces=1&timeout=20ms");
    assert_eq!(
        (late.status, &late.json()["code"]),
        (408, &json!("timeout"))
    );
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| agent.json("/api/wait?traces=2&q=service:shop&timeout=20s"));
        agent.put_traces(&[trace(1)]);
        agent.put_traces(&[trace(2)]);
        let answer = waiting.join().unwrap();
        assert_eq!(
            (&answer["traces"], &answer["spans"]),
            (&json!(2), &json!(4))
        );
    });
}
