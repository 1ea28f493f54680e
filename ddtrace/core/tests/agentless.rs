//! A tracer without an agent: what arrives at the intake.
#![allow(unsafe_code, reason = "a site names its link section")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use ddtrace_core::trace::{Site, enter};
use ddtrace_core::worker::{Builder, counts};
use serde_json::Value;

ddtrace_core::site! { static ROOT: Site = Site::new("root", "root", module_path!(), file!(), line!()); }
ddtrace_core::site! { static CHILD: Site = Site::new("child", "child", module_path!(), file!(), line!()); }

/// Takes one request and answers 202.
fn take_one(listener: &TcpListener) -> (Vec<String>, Value) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length: ") {
            length = text.parse().unwrap();
        }
        head.push(line.to_owned());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream
        .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

#[test]
fn traces_arrive_at_the_intake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let intake = std::thread::spawn(move || take_one(&listener));
    let guard = Builder::new()
        .service("shop")
        .env("prod")
        .set("DD_AGENTLESS_ENABLED", "true")
        .set("DD_API_KEY", "0123456789abcdef")
        .set("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
        .set("_DD_TRACE_INTAKE_URL", url)
        .init();
    let root = enter(&ROOT);
    drop(enter(&CHILD));
    drop(root);
    drop(guard);
    let (head, body) = intake.join().unwrap();
    assert_eq!(head[0], "POST /v1/input HTTP/1.1");
    for line in [
        "content-type: application/json",
        "dd-api-key: 0123456789abcdef",
        "datadog-meta-lang: rust",
        "x-datadog-trace-count: 1",
    ] {
        assert!(head.iter().any(|found| found == line), "{line}: {head:#?}");
    }
    let trace = &body["traces"][0];
    assert_eq!(
        (&trace["env"], &trace["languageName"]),
        (&"prod".into(), &"rust".into())
    );
    let (root, child) = (&trace["spans"][0], &trace["spans"][1]);
    assert_eq!(
        (&root["name"], &root["service"]),
        (&"root".into(), &"shop".into())
    );
    assert_eq!(root["metrics"]["_trace_root"], 1.0);
    assert_eq!(root["meta"]["_dd.compute_stats"], "1");
    assert_eq!(
        (&child["parent_id"], &child["trace_id"]),
        (&root["span_id"], &root["trace_id"])
    );
    assert_eq!(child["metrics"].get("_trace_root"), None);
    let counts = counts();
    assert_eq!(
        (counts.sent_traces, counts.sent_spans, counts.dropped_spans),
        (1, 2, 0)
    );
}
