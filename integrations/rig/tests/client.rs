//! rig against a server that answers as providers do.

use std::time::Duration;

use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_llmobs::{self as llmobs, Options};
use ddtrace_models::{Ask, Fault, Models, Reply};
use ddtrace_rig::Traced;
use futures_util::StreamExt as _;
use rig_core::completion::CompletionRequest;
use rig_core::providers::openai::OpenAIConfig;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};
use tracing_subscriber::prelude::*;

/// The product is one for the whole process.
static TURN: Mutex<()> = Mutex::const_new(());

async fn recorder(variables: &[(&str, &str)]) -> (Recorder, MutexGuard<'static, ()>) {
    let turn = TURN.lock().await;
    let on = [("DD_LLMOBS_ENABLED", "true")];
    let recorder = Recorder::with_variables(&[&on, variables].concat());
    llmobs::enable(Options::default()).expect("a tracer");
    (recorder, turn)
}

fn openai(models: &Models) -> rig_core::providers::openai::OpenAI {
    let config = OpenAIConfig::new("sk-secret").with_base_url(models.url("openai/v1"));
    let client = config.client();
    client.with_http(Traced::new(rig_reqwest::shared()))
}

fn said(span: &SpanData) -> Option<Value> {
    let (_, bytes) = span.meta_struct.iter().find(|(key, _)| key == "_llmobs")?;
    Some(rmp_serde::from_slice(bytes).expect("msgpack"))
}

/// Spans until there are so many: a body may be read by a task of the client's.
async fn spans(recorder: &Recorder, count: usize) -> Vec<SpanData> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let mut spans = Vec::new();
    while spans.len() < count && tokio::time::Instant::now() < deadline {
        spans.extend(recorder.take());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(spans.len(), count, "{spans:#?}");
    spans
}

fn of_call(spans: &[SpanData]) -> (&SpanData, Value) {
    let found = spans.iter().find_map(|span| Some((span, said(span)?)));
    found.expect("a call of a model")
}

#[tokio::test]
async fn calls_and_streams_are_spans_with_what_was_said() {
    let (recorder, _turn) = recorder(&[]).await;
    let models = Models::start(|_: &Ask| Reply::text("Good morning."))
        .await
        .expect("a port");
    let openai = openai(&models);
    let answer = openai
        .chat("m")
        .call(CompletionRequest::new("hi"))
        .await
        .expect("an answer");
    assert!(format!("{:?}", answer.choice).contains("Good morning."));
    let all = spans(&recorder, 2).await;
    let (call, told) = of_call(&all);
    assert_eq!(told["name"], "OpenAI.createChatCompletion");
    assert_eq!(
        told["meta"]["output"]["messages"][0]["content"],
        "Good morning."
    );
    let client = all
        .iter()
        .find(|span| span.name == "rig.request")
        .expect("the client's span");
    assert_eq!(client.parent_id, call.span_id);
    assert_eq!(client.resource, "POST /openai/v1/chat/completions");
    assert_eq!(client.meta("http.status_code"), Some("200"));
    assert_eq!(client.meta("component"), Some("rig"));

    let mut stream = openai
        .responses("m")
        .stream(CompletionRequest::new("hi"))
        .expect("a stream");
    while let Some(piece) = stream.next().await {
        piece.expect("a piece");
    }
    drop(stream);
    let all = spans(&recorder, 2).await;
    let (_, told) = of_call(&all);
    assert_eq!(told["name"], "OpenAI.createResponse");
    assert!(
        told["metrics"]["time_to_first_token"].as_f64().is_some(),
        "{told}"
    );
    let received = models.received();
    assert!(
        received
            .iter()
            .all(|received| received.headers.contains_key("x-datadog-trace-id"))
    );
    assert!(!format!("{all:?}").contains("sk-secret"));
}

/// rig describes its calls on spans of `tracing` as well, without what was said unless it is asked to.
#[tokio::test]
async fn with_the_layer_for_tracing_a_call_is_one_span_of_the_product() {
    let (recorder, _turn) = recorder(&[]).await;
    let subscriber = tracing_subscriber::registry().with(ddtrace_tracing::layer());
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let models = Models::start(|_: &Ask| Reply::text("Good morning."))
        .await
        .expect("a port");
    openai(&models)
        .chat("m")
        .call(CompletionRequest::new("hi"))
        .await
        .expect("an answer");
    let all = spans(&recorder, 3).await;
    let told: Vec<Value> = all.iter().filter_map(said).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    let named = |name: &str| all.iter().find(|span| span.name == name).expect("a span");
    let (chat, covering) = (named("chat"), named("openai.request"));
    assert_eq!(said(chat).as_ref(), told.first());
    assert_eq!(covering.parent_id, chat.span_id);
    assert_eq!(named("rig.request").parent_id, covering.span_id);
    assert_eq!(told[0]["tags"]["integration"], "tracing");
    let meta = &told[0]["meta"];
    assert_eq!(meta["span"]["kind"], "llm");
    assert_eq!(meta["input"]["messages"][0]["content"], "hi");
    assert_eq!(meta["output"]["messages"][0]["content"], "Good morning.");
}

#[tokio::test]
async fn failures_are_told_and_reach_the_program() {
    let (recorder, _turn) = recorder(&[]).await;
    let models = Models::start(|_: &Ask| Reply::fault(Fault::Status(400)))
        .await
        .expect("a port");
    let failed = openai(&models)
        .chat("m")
        .call(CompletionRequest::new("hi"))
        .await;
    assert!(failed.is_err());
    let all = spans(&recorder, 2).await;
    let (call, told) = of_call(&all);
    assert!(call.error);
    assert_eq!(told["meta"]["error"]["message"], "something broke");
    let client = all
        .iter()
        .find(|span| span.name == "rig.request")
        .expect("the client's span");
    assert_eq!(client.meta("http.status_code"), Some("400"));
}

#[tokio::test]
async fn switched_off_it_sends_the_request_as_it_is() {
    let (recorder, _turn) = recorder(&[("DD_TRACE_RIG_ENABLED", "false")]).await;
    let models = Models::start(|_: &Ask| Reply::text("Good morning."))
        .await
        .expect("a port");
    openai(&models)
        .chat("m")
        .call(CompletionRequest::new("hi"))
        .await
        .expect("an answer");
    assert!(recorder.take().is_empty());
    let received = models.received();
    assert!(!received[0].headers.contains_key("x-datadog-trace-id"));
}
