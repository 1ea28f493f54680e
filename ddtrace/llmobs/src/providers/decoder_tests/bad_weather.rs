//! Bytes that nobody should have sent.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::call::recognise;
use super::super::exchange::{Recorded, Response};

const URLS: [&str; 12] = [
    "https://api.openai.com/v1/chat/completions",
    "https://api.openai.com/v1/completions",
    "https://api.openai.com/v1/responses",
    "https://api.openai.com/v1/embeddings",
    "https://api.anthropic.com/v1/messages",
    "https://g/v1beta/models/gemini:generateContent",
    "https://g/v1beta/models/gemini:embedContent",
    "http://ollama/api/chat",
    "http://ollama/api/generate",
    "http://ollama/api/embed",
    "https://b/model/m/converse",
    "https://b/model/m/invoke",
];

const MEDIA_TYPES: [&str; 4] = [
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
];

/// JSON of the keys that decoders look at, with values of any type.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z\"{é]{0,6}".prop_map(Value::from),
        Just(json!("data:image/png;base64,AA")),
    ];
    let key = prop::sample::select(vec![
        "messages",
        "content",
        "role",
        "tool_calls",
        "function",
        "arguments",
        "choices",
        "delta",
        "index",
        "usage",
        "type",
        "text",
        "message",
        "input",
        "output",
        "parts",
        "candidates",
        "error",
        "source",
        "model",
        "prompt",
        "data",
        "embedding",
        "response",
        "item",
        "tools",
        "image_url",
        "finish_reason",
        "contents",
        "content_block",
        "toolUse",
        "toolResult",
        "functionCall",
        "results",
        "requests",
        "system",
    ]);
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..5).prop_map(|map| {
                Value::Object(
                    map.into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

fn decode(url: &str, request: Value, status: u16, media_type: &str, body: &[u8]) {
    let call = recognise(url, || true).expect("a call of a model");
    let response = Response {
        status,
        body,
        media_type,
        header_tokens: (None, None),
    };
    let exchange = (call.decode)(&Recorded {
        request,
        response: Some(response),
        path_model: call.path_model.as_deref(),
        inline_limit: 100,
    });
    assert!(exchange.metrics.values().all(|metric| metric.is_finite()));
    assert!(exchange.first_content.is_none_or(|end| end <= body.len()));
}

proptest! {
    #[test]
    fn garbage_never_makes_a_decoder_fail(request in value(), body in prop::collection::vec(any::<u8>(), 0..200), status in 100_u16..600) {
        for url in URLS {
            for media_type in MEDIA_TYPES {
                decode(url, request.clone(), status, media_type, &body);
            }
        }
    }

    #[test]
    fn json_of_the_wrong_shape_never_makes_a_decoder_fail(request in value(), events in prop::collection::vec(value(), 1..4)) {
        let sse: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        for url in URLS {
            decode(url, request.clone(), 200, "application/json", events[0].to_string().as_bytes());
            decode(url, request.clone(), 200, "text/event-stream", sse.as_bytes());
            decode(url, request.clone(), 200, "application/x-ndjson", lines.as_bytes());
        }
    }
}
