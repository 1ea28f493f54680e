//! async-openai against a server that answers as OpenAI does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest,
    CreateChatCompletionRequestArgs,
};
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use async_openai::types::responses::CreateResponseArgs;
use ddtrace_async_openai::ClientExt as _;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_llmobs::{self as llmobs, Options};
use ddtrace_models::{Ask, Fault, Models, Reply};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// The product is one for the whole process.
static TURN: Mutex<()> = Mutex::const_new(());

fn client(models: &Models) -> Client<OpenAIConfig> {
    let config = OpenAIConfig::new()
        .with_api_base(models.url("openai/v1"))
        .with_api_key("sk-secret");
    Client::with_config(config).traced()
}

async fn recorder() -> (Recorder, MutexGuard<'static, ()>) {
    let turn = TURN.lock().await;
    let recorder = Recorder::with_variables(&[("DD_LLMOBS_ENABLED", "true")]);
    llmobs::enable(Options::default()).expect("a tracer");
    (recorder, turn)
}

fn chat() -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessageArgs::default()
        .content("hi")
        .build()
        .expect("a message");
    let mut request = CreateChatCompletionRequestArgs::default();
    request.model("m").messages([message.into()]);
    request.build().expect("a request")
}

fn said(span: &SpanData) -> Value {
    let (_, bytes) = span
        .meta_struct
        .iter()
        .find(|(key, _)| key == "_llmobs")
        .expect("a span of the product");
    rmp_serde::from_slice(bytes).expect("msgpack")
}

/// The calls, once there are so many: a stream is read by a task of the client's.
async fn calls(recorder: &Recorder, count: usize) -> Vec<SpanData> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let mut calls = Vec::new();
    while calls.len() < count && tokio::time::Instant::now() < deadline {
        let spans = recorder.take();
        calls.extend(spans.into_iter().filter(|span| span.span_type == "llm"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(calls.len(), count);
    calls
}

#[tokio::test]
async fn every_api_group_makes_spans() {
    let (recorder, _turn) = recorder().await;
    let models = Models::start(|_: &Ask| Reply::text("Good morning."))
        .await
        .expect("a port");
    let client = client(&models);
    let answer = client.chat().create(chat()).await.expect("an answer");
    assert_eq!(
        answer.choices[0].message.content.as_deref(),
        Some("Good morning.")
    );
    let mut stream = client.chat().create_stream(chat()).await.expect("a stream");
    let mut told = String::new();
    while let Some(chunk) = stream.next().await {
        for choice in chunk.expect("a chunk").choices {
            told.push_str(&choice.delta.content.unwrap_or_default());
        }
    }
    assert_eq!(told, "Good morning.");
    let mut request = CreateResponseArgs::default();
    let request = request.model("m").input("hi").build().expect("a request");
    let response = client
        .responses()
        .create(request)
        .await
        .expect("a response");
    assert_eq!(response.output_text().as_deref(), Some("Good morning."));
    let mut request = CreateEmbeddingRequestArgs::default();
    let request = request.model("m").input("hi").build().expect("a request");
    client
        .embeddings()
        .create(request)
        .await
        .expect("embeddings");
    let names: Vec<Value> = calls(&recorder, 4)
        .await
        .iter()
        .map(|span| said(span)["name"].clone())
        .collect();
    let expected = ["ChatCompletion", "ChatCompletion", "Response", "Embedding"];
    let mut expected = expected.map(|operation| json!(format!("OpenAI.create{operation}")));
    let mut found = names;
    found.sort_by_key(Value::to_string);
    expected.sort_by_key(Value::to_string);
    assert_eq!(found, expected);
    for received in models.received() {
        assert!(
            received.headers.contains_key("x-datadog-trace-id"),
            "{}",
            received.target
        );
        let body = String::from_utf8_lossy(&received.body);
        assert!(!body.contains("stream_options"), "nothing is added: {body}");
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_ends_its_span() {
    let (recorder, _turn) = recorder().await;
    let models =
        Models::start(|_: &Ask| Reply::text(&"word ".repeat(500)).pace(Duration::from_millis(2)))
            .await
            .expect("a port");
    let mut stream = client(&models)
        .chat()
        .create_stream(chat())
        .await
        .expect("a stream");
    // The first chunk says who speaks, the second what.
    assert!(stream.next().await.is_some() && stream.next().await.is_some());
    drop(stream);
    let calls = calls(&recorder, 1).await;
    let said = said(&calls[0]);
    assert_eq!(
        said["meta"]["metadata"]["finish_reason"], "cancelled",
        "{said}"
    );
    assert!(said["metrics"]["time_to_first_token"].as_f64().is_some());
}

#[tokio::test]
async fn attempts_are_spans_of_their_own_and_retries_are_async_openais() {
    let (recorder, _turn) = recorder().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let models = Models::start(
        move |_: &Ask| match counted.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::fault(Fault::Status(503)),
            _ => Reply::text("Good morning."),
        },
    )
    .await
    .expect("a port");
    client(&models)
        .chat()
        .create(chat())
        .await
        .expect("an answer at last");
    assert_eq!(tries.load(Ordering::Relaxed), 2);
    let calls = calls(&recorder, 2).await;
    let errors = calls.iter().filter(|span| span.error).count();
    assert_eq!(errors, 1, "{calls:#?}");
    assert!(!format!("{calls:?}").contains("sk-secret"));
}
