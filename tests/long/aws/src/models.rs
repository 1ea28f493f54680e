//! Models that are called by Bedrock: to LLM Observability they are calls of a model.

use aws_sdk_bedrockruntime::types::{ContentBlock, ConversationRole, Message};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as Frame};
use ddtrace_llmobs::test_support::LlmRecorder;

use super::*;

const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";

/// The span of the call of a model, with what LLM Observability makes of it, and that of the operation.
fn taken(recorder: &LlmRecorder) -> (SpanData, Value, SpanData) {
    let spans = recorder.take();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let (of_model, operation): (Vec<_>, Vec<_>) = spans
        .into_iter()
        .partition(|span| span.meta_struct.iter().any(|(key, _)| key == "_llmobs"));
    let [of_model] = <[_; 1]>::try_from(of_model).unwrap();
    let [operation] = <[_; 1]>::try_from(operation).unwrap();
    let record = of_model
        .meta_struct
        .iter()
        .find(|(key, _)| key == "_llmobs");
    let record = rmp_serde::from_slice(&record.unwrap().1).unwrap();
    (of_model, record, operation)
}

fn question() -> Message {
    Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text("Which tea?".into()))
        .build()
        .unwrap()
}

fn frame(kind: &str, payload: &Value) -> Vec<u8> {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let frame = Frame::new(payload.to_string().into_bytes())
        .add_header(Header::new(":message-type", text("event")))
        .add_header(Header::new(":event-type", text(kind)))
        .add_header(Header::new(":content-type", text("application/json")));
    let mut bytes = Vec::new();
    write_message_to(&frame, &mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn converse_is_a_call_of_a_model() {
    let usage = json!({ "inputTokens": 10, "outputTokens": 5, "totalTokens": 15 });
    let message = json!({ "role": "assistant", "content": [{ "text": "Green." }] });
    let whole = json!({
        "output": { "message": message },
        "stopReason": "end_turn",
        "usage": usage,
        "metrics": { "latencyMs": 1 },
    });
    let frames = [
        frame("messageStart", &json!({ "role": "assistant" })),
        frame(
            "contentBlockDelta",
            &json!({ "contentBlockIndex": 0, "delta": { "text": "Gre" } }),
        ),
        frame(
            "contentBlockDelta",
            &json!({ "contentBlockIndex": 0, "delta": { "text": "en." } }),
        ),
        frame("messageStop", &json!({ "stopReason": "end_turn" })),
        frame(
            "metadata",
            &json!({ "usage": usage, "metrics": { "latencyMs": 1 } }),
        ),
    ];
    for is_stream in [false, true] {
        let recorder = LlmRecorder::new();
        let mut http = Recorded::new(if is_stream {
            frames.concat()
        } else {
            whole.to_string().into_bytes()
        });
        http.content_type = Some(if is_stream {
            "application/vnd.amazon.eventstream"
        } else {
            "application/json"
        });
        let config = config!(aws_sdk_bedrockruntime, http).build();
        let bedrock = aws_sdk_bedrockruntime::Client::from_conf(config);
        if is_stream {
            let converse = bedrock.converse_stream().model_id(MODEL);
            let mut answer = converse.messages(question()).send().await.unwrap();
            let mut events = 0;
            while answer.stream.recv().await.unwrap().is_some() {
                events += 1;
            }
            assert_eq!(events, frames.len());
        } else {
            let converse = bedrock.converse().model_id(MODEL);
            let answer = converse.messages(question()).send().await.unwrap();
            assert_eq!(answer.usage().unwrap().output_tokens(), 5);
        }
        let (of_model, record, operation) = taken(&recorder);
        assert_eq!(of_model.name, "bedrock-runtime.command");
        assert_eq!(operation.name, "bedrock-runtime.command");
        assert_eq!(of_model.parent_id, operation.span_id);
        let meta = &record["meta"];
        assert_eq!(meta["model_name"], MODEL);
        assert_eq!(meta["model_provider"], "amazon");
        assert_eq!(meta["input"]["messages"][0]["content"], "Which tea?");
        assert_eq!(meta["output"]["messages"][0]["content"], "Green.");
        assert_eq!(record["metrics"]["output_tokens"], 5);
        assert!(!of_model.error);
    }
}

#[tokio::test]
async fn invoking_a_model_is_a_call_of_it() {
    let recorder = LlmRecorder::new();
    let answer = json!({ "content": [{ "type": "text", "text": "Green." }], "role": "assistant",
        "stop_reason": "end_turn", "usage": { "input_tokens": 1, "output_tokens": 2 } });
    let mut http = Recorded::new(answer.to_string());
    http.content_type = Some("application/json");
    let config = config!(aws_sdk_bedrockruntime, http).build();
    let bedrock = aws_sdk_bedrockruntime::Client::from_conf(config);
    let request = json!({ "anthropic_version": "bedrock-2023-05-31", "max_tokens": 5,
        "messages": [{ "role": "user", "content": "Which tea?" }] });
    let invoke = bedrock.invoke_model().model_id(MODEL);
    let invoke = invoke
        .content_type("application/json")
        .body(Blob::new(request.to_string()));
    let given = invoke.send().await.unwrap();
    assert_eq!(given.body().as_ref(), answer.to_string().as_bytes());
    let (_, record, _) = taken(&recorder);
    assert_eq!(
        record["meta"]["input"]["messages"][0]["content"],
        "Which tea?"
    );
    assert_eq!(record["meta"]["output"]["messages"][0]["content"], "Green.");
    assert_eq!(record["metrics"]["input_tokens"], 1);
}
