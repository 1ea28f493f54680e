//! Spans of a library that writes OpenTelemetry's attributes for generative AI, with LLM Observability on.

use ddtrace_core::export::SpanData;
use ddtrace_llmobs::test_support::LlmRecorder;
use ddtrace_llmobs::{self as llmobs, Kind};
use ddtrace_opentelemetry::TracerProvider;
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value as Written};
use serde_json::{Value, json};

/// The span of a name, and what the product says of it.
#[track_caller]
fn said<'a>(spans: &'a [SpanData], name: &str) -> (&'a SpanData, Value) {
    let found = spans.iter().find_map(|span| {
        let (_, bytes) = span.meta_struct.iter().find(|(key, _)| key == "_llmobs")?;
        let said: Value = rmp_serde::from_slice(bytes).expect("msgpack");
        (said["name"] == name).then_some((span, said))
    });
    found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

#[test]
fn a_library_with_gen_ai_attributes_needs_nothing_else() {
    let recorder = LlmRecorder::new();
    let tracer = TracerProvider::new().tracer("library");
    let mut workflow = llmobs::span(Kind::Workflow).name("answer").start();
    {
        let _workflow = workflow.enter();
        let agent = tracer
            .span_builder("invoke_agent moon")
            .with_attributes([
                KeyValue::new("gen_ai.operation.name", "invoke_agent"),
                KeyValue::new("gen_ai.conversation.id", "c-1"),
            ])
            .start(&tracer);
        let _agent = Context::current_with_span(agent).attach();
        let mut chat = tracer
            .span_builder("chat gpt-4o")
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("gen_ai.operation.name", "chat"),
                KeyValue::new("gen_ai.provider.name", "openai"),
                KeyValue::new("gen_ai.request.model", "gpt-4o"),
            ])
            .start(&tracer);
        let reasons: Vec<StringValue> = vec!["stop".into(), "length".into()];
        let input = json!([{"role": "user", "parts": [{"type": "text", "content": "How far?"}]}]);
        for attribute in [
            KeyValue::new("gen_ai.usage.input_tokens", 7),
            KeyValue::new("gen_ai.response.time_to_first_chunk", 0.25),
            KeyValue::new(
                "gen_ai.response.finish_reasons",
                Written::Array(Array::String(reasons)),
            ),
            KeyValue::new("gen_ai.input.messages", input.to_string()),
        ] {
            chat.set_attribute(attribute);
        }
        chat.set_status(Status::error("the line was bad"));
        let chat = Context::current_with_span(chat);
        {
            let _chat = chat.clone().attach();
            llmobs::span(Kind::Task).name("below").start().finish();
            tracer.start("plain").end();
        }
        chat.span().end();
    }
    workflow.finish();
    let spans = recorder.take();
    assert_eq!(spans.len(), 5, "{spans:#?}");
    let id_of = |name| said(&spans, name).0.span_id.to_string();
    let (_, agent) = said(&spans, "invoke_agent moon");
    assert_eq!(agent["meta"]["span"]["kind"], "agent");
    assert_eq!(agent["parent_id"], id_of("answer"));
    let (span, chat) = said(&spans, "chat gpt-4o");
    assert_eq!(chat["parent_id"], id_of("invoke_agent moon"));
    assert_eq!(said(&spans, "below").1["parent_id"], id_of("chat gpt-4o"));
    assert_eq!(chat["session_id"], "c-1");
    assert_eq!(chat["tags"]["integration"], "opentelemetry");
    assert_eq!((span.error, &*span.span_type), (true, "llm"));
    let meta = &chat["meta"];
    assert_eq!(
        (&meta["model_name"], &meta["model_provider"]),
        (&json!("gpt-4o"), &json!("openai"))
    );
    assert_eq!(
        meta["input"]["messages"],
        json!([{"role": "user", "content": "How far?"}])
    );
    assert_eq!(meta["metadata"]["finish_reason"], "stop,length");
    assert_eq!(meta["error"]["message"], "the line was bad");
    assert_eq!(chat["metrics"]["input_tokens"].as_f64(), Some(7.0));
    assert_eq!(chat["metrics"]["time_to_first_token"].as_f64(), Some(0.25));
}

#[test]
fn attributes_that_are_set_later_make_it_one_from_there_on() {
    let recorder = LlmRecorder::new();
    let tracer = TracerProvider::new().tracer("library");
    let mut span = tracer.start("work");
    span.set_attribute(KeyValue::new("shelf", 3));
    span.set_attribute(KeyValue::new("gen_ai.request.model", "m"));
    span.set_attribute(KeyValue::new("openinference.span.kind", "LLM"));
    span.update_name("chat m");
    {
        let _span = Context::current_with_span(span).attach();
        llmobs::span(Kind::Task).name("below").start().finish();
    }
    let spans = recorder.take();
    let (span, chat) = said(&spans, "chat m");
    assert_eq!(chat["meta"]["model_name"], "m");
    assert_eq!(
        said(&spans, "below").1["parent_id"],
        span.span_id.to_string()
    );
}
