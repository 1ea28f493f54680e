//! Spans of a library that writes OpenTelemetry's attributes for generative AI, with LLM Observability on.

use ddtrace_core::export::SpanData;
use ddtrace_llmobs::test_support::LlmRecorder;
use ddtrace_llmobs::{self as llmobs, Kind};
use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::{error, info_span};
use tracing_subscriber::prelude::*;

/// What the product says of the span of a name.
#[track_caller]
fn said(spans: &[SpanData], name: &str) -> Value {
    let mut all = spans.iter().flat_map(|span| &span.meta_struct);
    let found = all.find_map(|(key, bytes)| {
        let said: Value = rmp_serde::from_slice(bytes).expect("msgpack");
        (key == "_llmobs" && said["name"] == name).then_some(said)
    });
    found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

fn spans_of(work: impl FnOnce()) -> Vec<SpanData> {
    let recorder = LlmRecorder::new();
    let subscriber = tracing_subscriber::registry().with(ddtrace_tracing::layer());
    tracing::subscriber::with_default(subscriber, work);
    recorder.take()
}

#[test]
fn a_library_with_gen_ai_attributes_needs_nothing_else() {
    // Longer than a tag may be, and whole all the same.
    let question = "How far? ".repeat(10_000);
    let spans = spans_of(|| {
        let mut workflow = llmobs::span(Kind::Workflow).name("answer").start();
        let _workflow = workflow.enter();
        let agent = info_span!(
            "run",
            otel.name = "invoke_agent moon",
            gen_ai.operation.name = "invoke_agent",
            gen_ai.conversation.id = "c-1"
        );
        let _agent = agent.enter();
        let chat = info_span!(
            "chat",
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = "openai",
            gen_ai.request.model = "gpt-4o",
            gen_ai.response.model = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            gen_ai.input.messages = Empty,
            gen_ai.output.messages = Empty,
        );
        chat.in_scope(|| {
            info_span!("plain", shelf = 3).in_scope(|| {
                llmobs::span(Kind::Task).name("below").start().finish();
            });
            error!(error = "the line was bad", "retrying");
        });
        let input = json!([{"role": "user", "parts": [{"type": "text", "content": question}]}]);
        let output = json!([{"role": "assistant", "content": "384,400 km."}]);
        chat.record("gen_ai.response.model", "gpt-4o-1");
        chat.record("gen_ai.usage.input_tokens", 7_u64);
        chat.record("gen_ai.usage.output_tokens", 4_i64);
        // Both ways in which libraries record texts.
        chat.record("gen_ai.input.messages", tracing::field::display(&input));
        chat.record("gen_ai.output.messages", &*output.to_string());
    });
    assert_eq!(spans.len(), 5, "{spans:#?}");
    let (workflow, agent) = (said(&spans, "answer"), said(&spans, "invoke_agent moon"));
    let (chat, below) = (said(&spans, "chat"), said(&spans, "below"));
    let id_of = |name: &str| {
        let span = spans.iter().find(|span| span.name == name).expect("a span");
        Value::from(span.span_id.to_string())
    };
    assert_eq!(agent["meta"]["span"]["kind"], "agent");
    assert_eq!(agent["parent_id"], id_of("answer"));
    assert_eq!(chat["parent_id"], id_of("invoke_agent moon"));
    assert_eq!(below["parent_id"], id_of("chat"));
    assert_eq!(below["trace_id"], workflow["trace_id"]);
    assert_eq!(chat["session_id"], "c-1");
    assert_eq!(chat["tags"]["integration"], "tracing");
    let meta = &chat["meta"];
    assert_eq!(meta["span"]["kind"], "llm");
    assert_eq!(
        (&meta["model_name"], &meta["model_provider"]),
        (&json!("gpt-4o-1"), &json!("openai"))
    );
    assert_eq!(
        meta["input"]["messages"],
        json!([{"role": "user", "content": question}])
    );
    assert_eq!(
        meta["output"]["messages"],
        json!([{"role": "assistant", "content": "384,400 km."}])
    );
    assert_eq!(meta["error"]["message"], "the line was bad");
    for (metric, expected) in [
        ("input_tokens", 7.0),
        ("output_tokens", 4.0),
        ("total_tokens", 11.0),
    ] {
        assert_eq!(chat["metrics"][metric].as_f64(), Some(expected), "{metric}");
    }
    let plain = spans
        .iter()
        .find(|span| span.name == "plain")
        .expect("a span");
    assert!(plain.meta_struct.is_empty());
    assert_ne!(plain.span_type, "llm");
}

#[test]
fn an_operation_that_is_recorded_later_is_one_from_there_on() {
    let spans = spans_of(|| {
        let mut workflow = llmobs::span(Kind::Workflow).name("answer").start();
        let _workflow = workflow.enter();
        let chat = info_span!(
            "chat",
            gen_ai.operation.name = Empty,
            gen_ai.request.model = "m"
        );
        chat.in_scope(|| {
            llmobs::span(Kind::Task).name("before").start().finish();
            chat.record("gen_ai.operation.name", "chat");
            llmobs::span(Kind::Task).name("after").start().finish();
        });
    });
    let answer = spans.iter().find(|span| span.name == "answer");
    let answer = answer.expect("a span").span_id.to_string();
    assert_eq!(said(&spans, "before")["parent_id"], *answer);
    assert_eq!(said(&spans, "chat")["parent_id"], *answer);
    let chat = spans
        .iter()
        .find(|span| span.name == "chat")
        .expect("a span");
    assert_eq!(said(&spans, "after")["parent_id"], chat.span_id.to_string());
    assert_eq!(said(&spans, "chat")["meta"]["model_name"], "m");
}
