//! Calls of every provider through reqwest, as the product sees them; and as the server and the program see them, which is as
//! if nobody looked.

use std::time::Duration;

use ddtrace_core::config::MapEnvironment;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_llmobs::{self as llmobs, Annotation, Kind, Options};
use ddtrace_models::{Ask, Fault, Models, Reply};
use ddtrace_reqwest::RequestBuilderExt as _;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// The product is one for the whole process.
static TURN: Mutex<()> = Mutex::const_new(());

struct Fixture {
    recorder: Recorder,
    client: Client,
    _turn: MutexGuard<'static, ()>,
}

impl Fixture {
    async fn new() -> Self {
        let turn = TURN.lock().await;
        let environment = MapEnvironment::new().variable("DD_LLMOBS_ENABLED", "true");
        // A configuration outlives whoever makes it.
        let environment = Box::leak(Box::new(environment));
        let recorder = Recorder::with(|config| config.environment(environment));
        llmobs::enable(Options::default().ml_app("shop")).expect("a tracer");
        Self {
            recorder,
            client: Client::new(),
            _turn: turn,
        }
    }

    async fn post(&self, url: &str, body: &Value) -> reqwest::Result<Response> {
        self.client.post(url).json(body).send_traced().await
    }

    /// Spans until there are so many: a span may end on a thread of the client's.
    async fn spans(&self, count: usize) -> Vec<SpanData> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let mut spans = Vec::new();
        loop {
            spans.extend(self.recorder.take());
            if spans.len() >= count || tokio::time::Instant::now() > deadline {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The one call of a model, and what rides on its span.
    async fn call(&self) -> (SpanData, Value) {
        let mut spans = self.spans(2).await;
        let at = spans.iter().position(|span| span.span_type == "llm");
        let span = spans.remove(at.unwrap_or_else(|| panic!("no call in {spans:#?}")));
        let said = said(&span).expect("a span of the product");
        (span, said)
    }
}

fn said(span: &SpanData) -> Option<Value> {
    let (_, bytes) = span.meta_struct.iter().find(|(key, _)| key == "_llmobs")?;
    Some(rmp_serde::from_slice(bytes).expect("msgpack"))
}

fn answer(ask: &Ask) -> Reply {
    match ask.tool_result() {
        None if !ask.tools.is_empty() => Reply::call(&ask.tools[0], r#"{"order":17}"#),
        _ => Reply::text("Good morning to you.").thinking("Be polite."),
    }
}

/// Path, request, name, provider, whether it is a stream.
fn calls() -> Vec<(&'static str, Value, &'static str, &'static str, bool)> {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    let mut calls = vec![
        (
            "google/v1beta/models/gemini-2.0-flash:generateContent",
            json!({"contents": contents}),
            "google_genai.request",
            "google",
            false,
        ),
        (
            "google/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse",
            json!({"contents": contents}),
            "google_genai.request",
            "google",
            true,
        ),
    ];
    for stream in [false, true] {
        let chat = json!({"model": "m", "messages": messages, "stream": stream, "stream_options": {"include_usage": true}});
        calls.extend([
            (
                "openai/v1/chat/completions",
                chat.clone(),
                "OpenAI.createChatCompletion",
                "openai",
                stream,
            ),
            (
                "azure/openai/deployments/d/chat/completions",
                chat.clone(),
                "AzureOpenAI.createChatCompletion",
                "azure_openai",
                stream,
            ),
            (
                "gateway/v1/chat/completions",
                chat,
                "OpenAI.createChatCompletion",
                "unknown",
                stream,
            ),
            (
                "openai/v1/completions",
                json!({"model": "m", "prompt": "hi", "stream": stream}),
                "OpenAI.createCompletion",
                "openai",
                stream,
            ),
            (
                "openai/v1/responses",
                json!({"model": "m", "input": "hi", "stream": stream}),
                "OpenAI.createResponse",
                "openai",
                stream,
            ),
            (
                "anthropic/v1/messages",
                json!({"model": "m", "messages": messages, "max_tokens": 5, "stream": stream}),
                "anthropic.request",
                "anthropic",
                stream,
            ),
            (
                "ollama/api/chat",
                json!({"model": "m", "messages": messages, "stream": stream}),
                "ollama.chat",
                "ollama",
                stream,
            ),
            (
                "ollama/api/generate",
                json!({"model": "m", "prompt": "hi", "stream": stream}),
                "ollama.generate",
                "ollama",
                stream,
            ),
        ]);
    }
    calls
}

#[tokio::test]
async fn every_call_is_a_span_and_the_program_sees_what_it_would_have_seen() {
    let fixture = Fixture::new().await;
    let models = Models::start(answer).await.expect("a port");
    for (path, body, name, provider, is_stream) in calls() {
        let url = models.url(path);
        let plain = fixture
            .client
            .post(&url)
            .json(&body)
            .send()
            .await
            .expect("an answer");
        let plain = plain.bytes().await.expect("a body");
        let traced = fixture.post(&url, &body).await.expect("an answer");
        assert_eq!(traced.url().as_str(), url);
        assert_eq!(traced.bytes().await.expect("a body"), plain, "{path}");

        // What the server received is what was sent, with trace context and nothing else.
        let received = models.received();
        let [.., untraced, traced] = &received[..] else {
            panic!("two requests");
        };
        assert_eq!(traced.body, untraced.body, "{path}");
        for name in traced.headers.keys() {
            let name = name.as_str();
            let is_context =
                name.starts_with("x-datadog-") || name.starts_with("trace") || name == "baggage";
            assert!(
                is_context || untraced.headers.contains_key(name),
                "{path}: {name}"
            );
        }

        let (span, said) = fixture.call().await;
        let meta = &said["meta"];
        assert_eq!(said["name"], name, "{path}");
        assert_eq!(meta["model_provider"], provider, "{path}");
        assert!(!span.error, "{path}: {said}");
        let asked = &meta["input"]["messages"][0];
        assert_eq!(asked["content"], "hi", "{path}: {said}");
        let told = meta["output"]["messages"].as_array().expect("messages");
        let told = told.last().expect("a message");
        assert_eq!(told["content"], "Good morning to you.", "{path}: {said}");
        let first_token = said["metrics"]["time_to_first_token"].as_f64();
        assert_eq!(first_token.is_some(), is_stream, "{path}: {said}");
        let counts = body.get("prompt").is_none() || !is_stream || provider == "ollama";
        assert_eq!(
            said["metrics"]["input_tokens"].as_f64().is_some(),
            counts,
            "{path}: {said}"
        );
    }
}

#[tokio::test]
async fn embeddings_are_spans_of_their_kind() {
    let fixture = Fixture::new().await;
    let models = Models::start(answer).await.expect("a port");
    for (path, body) in [
        (
            "openai/v1/embeddings",
            json!({"model": "m", "input": ["tea", "cup"]}),
        ),
        (
            "ollama/api/embed",
            json!({"model": "m", "input": ["tea", "cup"]}),
        ),
        (
            "google/v1beta/models/text-embedding-004:batchEmbedContents",
            json!({"requests": [{"content": {"parts": [{"text": "tea"}]}}, {"content": {"parts": [{"text": "cup"}]}}]}),
        ),
    ] {
        let response = fixture
            .post(&models.url(path), &body)
            .await
            .expect("an answer");
        response.bytes().await.expect("a body");
        let (_, said) = fixture.call().await;
        assert_eq!(said["meta"]["span"]["kind"], "embedding", "{path}");
        assert_eq!(
            said["meta"]["input"]["documents"],
            json!([{"text": "tea"}, {"text": "cup"}]),
            "{path}"
        );
        assert_eq!(
            said["meta"]["output"]["value"], "[2 embedding(s) returned with size 8]",
            "{path}"
        );
    }
}

#[tokio::test]
async fn bad_days_of_providers_reach_the_program_and_are_told() {
    let fixture = Fixture::new().await;
    // What goes wrong, and: whether the body can be read, the error's kind, whether part of the answer is kept.
    let cases = [
        (Fault::Status(503), true, Some("server_error"), false),
        (Fault::Garbage, true, None, false),
        (Fault::ErrorAfter(4), true, Some("server_error"), true),
        (Fault::CutAfter(4), false, Some("body"), true),
    ];
    for (fault, is_readable, error, is_part_kept) in cases {
        let scripted = fault.clone();
        let models = Models::start(move |_: &Ask| Reply::fault(scripted.clone()))
            .await
            .expect("a port");
        let body =
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true});
        let response = fixture
            .post(&models.url("openai/v1/chat/completions"), &body)
            .await
            .expect("a head");
        assert_eq!(response.bytes().await.is_ok(), is_readable, "{fault:?}");
        let (span, said) = fixture.call().await;
        assert_eq!(said["meta"]["error"]["type"].as_str(), error, "{fault:?}");
        assert_eq!(span.error, error.is_some(), "{fault:?}");
        let told = said["meta"]["output"]["messages"][0]["content"]
            .as_str()
            .expect("a text");
        assert_eq!(
            told.starts_with("This is"),
            is_part_kept,
            "{fault:?}: {told}"
        );
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_half_way_keeps_what_was_read() {
    let fixture = Fixture::new().await;
    let models = Models::start(|_: &Ask| Reply::fault(Fault::HangAfter(4)))
        .await
        .expect("a port");
    let body = json!({"model": "m", "messages": [], "stream": true});
    let mut response = fixture
        .post(&models.url("openai/v1/chat/completions"), &body)
        .await
        .expect("a head");
    let mut read = String::new();
    while !read.contains("This") {
        let chunk = response.chunk().await.expect("a chunk").expect("more");
        read.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
    drop(response);
    let (span, said) = fixture.call().await;
    assert!(!span.error);
    assert_eq!(said["meta"]["metadata"]["finish_reason"], "cancelled");
    assert!(
        said["meta"]["output"]["messages"][0]["content"]
            .as_str()
            .expect("a text")
            .starts_with("This")
    );
}

#[tokio::test]
async fn a_conversation_with_a_tool_hangs_together() {
    let fixture = Fixture::new().await;
    let models = Models::start(answer).await.expect("a port");
    let url = models.url("openai/v1/chat/completions");
    let mut workflow = llmobs::span(Kind::Workflow)
        .name("support")
        .session_id("s-1")
        .start();
    let context = workflow.context();
    let conversation = async {
        let tools = json!([{"type": "function", "function": {"name": "order_status", "parameters": {"type": "object"}}}]);
        let mut messages = vec![json!({"role": "user", "content": "Where is my order?"})];
        let ask = json!({"model": "m", "messages": messages, "tools": tools});
        let answer: Value = fixture.post(&url, &ask).await?.json().await?;
        let message = answer["choices"][0]["message"].clone();
        let id = message["tool_calls"][0]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let tool = llmobs::span(Kind::Tool).name("order_status").start();
        let _ = tool.annotate(
            Annotation::new()
                .input(json!({"order": 17}))
                .output("on its way")
                .answers_tool_call(&id, "order_status"),
        );
        tool.finish();
        messages.extend([
            message,
            json!({"role": "tool", "tool_call_id": id, "content": "on its way"}),
        ]);
        let ask = json!({"model": "m", "messages": messages, "tools": tools});
        fixture.post(&url, &ask).await?.bytes().await
    };
    context.wrap(conversation).await.expect("two answers");
    workflow.apm().set_tag("done", true);
    workflow.finish();
    let spans = fixture.spans(6).await;
    let all: Vec<Value> = spans.iter().filter_map(said).collect();
    let workflow = all
        .iter()
        .find(|said| said["name"] == "support")
        .expect("the workflow");
    let calls: Vec<&Value> = all
        .iter()
        .filter(|said| said["meta"]["span"]["kind"] == "llm")
        .collect();
    assert_eq!(calls.len(), 2, "{all:#?}");
    for said in &all {
        assert_eq!(said["trace_id"], workflow["trace_id"]);
        assert_eq!(said["session_id"], "s-1");
    }
    // The client's own spans are inside of the calls.
    let ids: Vec<u64> = spans
        .iter()
        .filter(|span| span.span_type == "llm")
        .map(|span| span.span_id)
        .collect();
    let clients: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "reqwest.request")
        .collect();
    assert_eq!(clients.len(), 2);
    assert!(clients.iter().all(|span| ids.contains(&span.parent_id)));
}

#[tokio::test]
async fn with_the_product_off_requests_are_what_they_were() {
    let fixture = Fixture::new().await;
    llmobs::disable();
    let models = Models::start(answer).await.expect("a port");
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let response = fixture
        .post(&models.url("openai/v1/chat/completions"), &body)
        .await
        .expect("an answer");
    assert!(
        response
            .text()
            .await
            .expect("a body")
            .contains("Good morning")
    );
    let spans = fixture.spans(2).await;
    // A span of tracing with the tokens, and nothing that anybody said.
    let call = spans
        .iter()
        .find(|span| span.name == "openai.request")
        .expect("a call");
    assert!(said(call).is_none());
    assert!(!format!("{spans:?}").contains("Good morning"));
}
