//! Spans of calls, with exchanges that are told instead of made.

use ddtrace_core::events::{self, End, HttpClientExchange, Taps};
use ddtrace_core::export::SpanData;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::listen;
use crate::testing::{Fixture, struct_of};
use crate::{Kind, span};

const CHAT: &str = "https://api.openai.com/v1/chat/completions";

fn send(method: &Method, url: &str, body: Option<&[u8]>) -> Taps {
    let headers = HeaderMap::new();
    events::dispatch::<HttpClientExchange<'_>>(|| {
        HttpClientExchange::new(method, url, &headers, body)
    })
    .map(HttpClientExchange::into_taps)
    .unwrap_or_default()
}

fn post(url: &str, body: &Value) -> Taps {
    send(&Method::POST, url, Some(body.to_string().as_bytes()))
}

fn head(media_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers
}

fn chat() -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "stream": true})
}

fn piece(delta: &Value, reason: Option<&str>) -> String {
    let chunk = json!({"model": "gpt-4o-1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    format!("data: {chunk}\n\n")
}

fn only(fixture: &Fixture) -> (SpanData, Value) {
    let mut spans = fixture.spans();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    let data = spans.remove(0);
    let said = struct_of(&data).expect("a span of this product");
    (data, said)
}

#[test]
fn a_streamed_call_is_a_span_under_the_current_one() {
    let fixture = Fixture::new();
    listen();
    let mut workflow = span(Kind::Workflow).name("answer").start();
    let parent = workflow.export().unwrap().span_id;
    let mut taps = workflow.in_scope(|| post(CHAT, &chat()));
    assert!(taps.context().is_some());
    taps.head(StatusCode::OK, &head("text/event-stream; charset=utf-8"));
    // Chunks need not end where events do.
    let body = [
        piece(&json!({"role": "assistant", "content": ""}), None),
        piece(&json!({"content": "Good "}), None),
        piece(&json!({"content": "morning."}), Some("stop")),
        format!(
            "data: {}\n\n",
            json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}})
        ),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    for chunk in body.as_bytes().chunks(7) {
        taps.chunk(chunk);
    }
    taps.end(End::Complete);
    workflow.finish();
    let spans = fixture.spans();
    let data = spans
        .iter()
        .find(|span| span.name == "openai.request")
        .unwrap();
    assert!(!data.error);
    let said = struct_of(data).unwrap();
    assert_eq!(said["name"], "OpenAI.createChatCompletion");
    assert_eq!(said["parent_id"], *parent);
    assert_eq!(said["tags"]["integration"], "openai");
    let meta = &said["meta"];
    assert_eq!(meta["span"]["kind"], "llm");
    assert_eq!(meta["model_name"], "gpt-4o-1");
    assert_eq!(meta["model_provider"], "openai");
    assert_eq!(
        meta["input"]["messages"],
        json!([{"role": "user", "content": "hi"}])
    );
    assert_eq!(
        meta["output"]["messages"],
        json!([{"role": "assistant", "content": "Good morning."}])
    );
    assert_eq!(meta["metadata"]["finish_reason"], "stop");
    let metrics = &said["metrics"];
    assert_eq!(metrics["total_tokens"].as_f64(), Some(8.0));
    for key in ["time_to_first_token", "time_per_output_token"] {
        assert!(
            metrics[key].as_f64().is_some_and(|seconds| seconds >= 0.0),
            "{metrics}"
        );
    }
}

#[test]
fn how_an_exchange_ends_is_in_its_span() {
    let listening = Fixture::new();
    listen();
    drop(listening);
    let hello = piece(&json!({"role": "assistant", "content": "Hel"}), None);
    let done = format!(
        "{}data: [DONE]\n\n",
        piece(&json!({"content": "lo"}), Some("stop"))
    );
    let broken =
        "data: {\"error\": {\"type\": \"server_error\", \"message\": \"oops\"}}\n\n".to_owned();
    let failed = End::Failed {
        kind: "timeout",
        message: "too slow",
    };
    // Chunks, end, and: the answer so far, why it ended, the error's kind.
    type Case<'a> = (
        &'a [&'a str],
        End<'a>,
        &'a str,
        Option<&'a str>,
        Option<&'a str>,
    );
    let cases: [Case<'_>; 8] = [
        (&[&hello, &done], End::Complete, "Hello", Some("stop"), None),
        (&[&hello], End::Abandoned, "Hel", Some("cancelled"), None),
        // A client that stops reading at the last word has read everything.
        (
            &[&hello, &done],
            End::Abandoned,
            "Hello",
            Some("stop"),
            None,
        ),
        (&[&hello, &done], failed, "Hello", Some("stop"), None),
        (&[&hello], failed, "Hel", None, Some("timeout")),
        (
            &[&hello, &broken],
            End::Complete,
            "Hel",
            None,
            Some("server_error"),
        ),
        (&["<html>\u{0}"], End::Complete, "", None, None),
        (&[], End::Abandoned, "", Some("cancelled"), None),
    ];
    for (chunks, end, answer, reason, error) in cases {
        let fixture = Fixture::new();
        let mut taps = post(CHAT, &chat());
        taps.head(StatusCode::OK, &head("text/event-stream"));
        for chunk in chunks {
            taps.chunk(chunk.as_bytes());
        }
        taps.end(end);
        let (data, said) = only(&fixture);
        let output = said["meta"]["output"]["messages"][0]["content"].as_str();
        assert_eq!(output, Some(answer), "{chunks:?} {end:?}");
        let metadata = &said["meta"]["metadata"];
        assert_eq!(
            metadata["finish_reason"].as_str(),
            reason,
            "{chunks:?} {end:?}"
        );
        assert_eq!(
            said["meta"]["error"]["type"].as_str(),
            error,
            "{chunks:?} {end:?}"
        );
        assert_eq!(data.error, error.is_some(), "{chunks:?} {end:?}");
    }
}

#[test]
fn calls_that_nobody_answers_are_spans_with_their_error() {
    let fixture = Fixture::new();
    listen();
    let mut taps = post(CHAT, &chat());
    taps.end(End::Failed {
        kind: "connect",
        message: "nobody is there",
    });
    let (data, said) = only(&fixture);
    assert!(data.error);
    assert_eq!(said["meta"]["error"]["message"], "nobody is there");
    let mut taps = post(CHAT, &json!({"model": "gpt-9", "messages": []}));
    taps.head(StatusCode::NOT_FOUND, &head("application/json"));
    taps.chunk(br#"{"error":{"type":"invalid_request_error","message":"no such model"}}"#);
    taps.end(End::Complete);
    let (data, said) = only(&fixture);
    assert!(data.error);
    assert_eq!(said["meta"]["error"]["type"], "invalid_request_error");
    assert_eq!(said["meta"]["model_name"], "gpt-9");
}

#[test]
fn what_is_no_call_of_a_model_is_left_alone() {
    let fixture = Fixture::new();
    listen();
    let body = chat().to_string();
    for (method, url, body) in [
        (Method::GET, CHAT, None),
        (
            Method::POST,
            "https://api.openai.com/v1/files",
            Some(body.as_bytes()),
        ),
        (
            Method::POST,
            "http://forum/api/chat",
            Some(b"{\"text\":\"hi\"}".as_slice()),
        ),
        (Method::POST, "http://survey/responses", None),
    ] {
        assert!(send(&method, url, body).is_empty(), "{url}");
    }
    drop(fixture);
    // Nobody has called init(), or the user does not want it.
    assert!(post(CHAT, &chat()).is_empty());
    let environment =
        ddtrace_core::config::MapEnvironment::new().variable("DD_TRACE_OPENAI_ENABLED", "false");
    let environment = Box::leak(Box::new(environment));
    let _fixture = Fixture::with(|config| config.environment(environment));
    assert!(post(CHAT, &chat()).is_empty());
    assert!(!post("https://api.anthropic.com/v1/messages", &chat()).is_empty());
}

#[test]
fn a_proxy_that_makes_spans_of_its_own_is_a_workflow() {
    let environment = ddtrace_core::config::MapEnvironment::new().variable(
        "DD_LLMOBS_INSTRUMENTED_PROXY_URLS",
        "http://gateway:4000/,http://other",
    );
    let environment = Box::leak(Box::new(environment));
    let fixture = Fixture::with(|config| config.environment(environment));
    listen();
    for (url, kind) in [
        ("http://gateway:4000/v1/chat/completions", "workflow"),
        ("http://gateway:40001/v1/chat/completions", "llm"),
    ] {
        let mut taps = post(url, &chat());
        taps.head(StatusCode::OK, &head("application/json"));
        taps.chunk(br#"{"choices":[{"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#);
        taps.end(End::Complete);
        let (_, said) = only(&fixture);
        assert_eq!(said["meta"]["span"]["kind"], kind, "{url}");
        assert_eq!(
            said["metrics"].get("input_tokens").is_some(),
            kind == "llm",
            "{said}"
        );
    }
}

#[test]
fn what_is_kept_is_bounded_and_compressed_answers_are_not_read() {
    let fixture = Fixture::new();
    listen();
    let mut taps = post(CHAT, &chat());
    taps.head(StatusCode::OK, &head("text/event-stream"));
    taps.chunk(piece(&json!({"role": "assistant", "content": "Start"}), None).as_bytes());
    let long = piece(&json!({"content": "x".repeat(1 << 20)}), None);
    for _ in 0..10 {
        taps.chunk(long.as_bytes());
    }
    taps.end(End::Complete);
    let (_, said) = only(&fixture);
    let output = said["meta"]["output"]["messages"][0]["content"]
        .as_str()
        .unwrap();
    assert!(
        output.starts_with("Startx") && output.len() <= 4 << 20,
        "{}",
        output.len()
    );

    let mut taps = post(CHAT, &chat());
    let mut headers = head("text/event-stream");
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    taps.head(StatusCode::OK, &headers);
    taps.chunk(b"\x1f\x8b\x08");
    taps.end(End::Complete);
    let (_, said) = only(&fixture);
    assert_eq!(said["meta"]["input"]["messages"][0]["content"], "hi");
    assert_eq!(
        said["meta"]["output"]["messages"],
        json!([{"role": "", "content": ""}])
    );

    // A question that is too large is left out, its answer is not.
    let question =
        json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "x".repeat(5 << 20)}]});
    let mut taps = post(CHAT, &question);
    taps.head(StatusCode::OK, &head("application/json"));
    taps.chunk(br#"{"model":"gpt-4o-1","choices":[{"message":{"role":"assistant","content":"long!"},"finish_reason":"stop"}]}"#);
    taps.end(End::Complete);
    let (_, said) = only(&fixture);
    assert_eq!(said["meta"]["output"]["messages"][0]["content"], "long!");
    assert_eq!(said["meta"]["model_name"], "gpt-4o-1");
}

#[test]
fn a_prompt_that_the_provider_keeps_is_tagged_as_found() {
    let fixture = Fixture::new();
    listen();
    let request = json!({"model": "m", "prompt": {"id": "pmpt_1", "version": "2", "variables": {"name": "Ann"}}});
    let mut taps = post("https://api.openai.com/v1/responses", &request);
    taps.head(StatusCode::OK, &head("application/json"));
    let answer = json!({"model": "m", "output": [], "instructions": [{"role": "user", "content": [{"type": "input_text", "text": "Greet Ann"}]}]});
    taps.chunk(answer.to_string().as_bytes());
    taps.end(End::Complete);
    let (_, said) = only(&fixture);
    let prompt = &said["meta"]["input"]["prompt"];
    assert_eq!(prompt["id"], "pmpt_1");
    assert_eq!(
        prompt["chat_template"],
        json!([{"role": "user", "content": "Greet {{name}}"}])
    );
    assert_eq!(
        said["tags"]["prompt_tracking_instrumentation_method"],
        "auto"
    );
}

#[test]
fn a_message_that_is_nothing_but_a_call_has_no_content() {
    let fixture = Fixture::new();
    listen();
    let mut taps = post(
        "https://api.openai.com/v1/responses",
        &json!({"model": "m", "input": "hi"}),
    );
    taps.head(StatusCode::OK, &head("application/json"));
    let call =
        json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}"});
    taps.chunk(json!({"output": [call]}).to_string().as_bytes());
    taps.end(End::Complete);
    let (_, said) = only(&fixture);
    let call =
        json!({"name": "f", "arguments": {"a": 1}, "tool_id": "c1", "type": "function_call"});
    let expected = json!([{"role": "assistant", "tool_calls": [call]}]);
    assert_eq!(said["meta"]["output"]["messages"], expected);
}
