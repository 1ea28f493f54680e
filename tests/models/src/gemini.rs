//! Gemini's shape: content that is generated, and embeddings.

use serde_json::{Value, json};

use crate::ask::{Ask, list, text, words};
use crate::openai::embedding;
use crate::reply::Reply;

/// What a request asks.
pub(crate) fn read(model: &str, stream: bool, body: &Value) -> Ask {
    let mut ask = Ask {
        model: model.to_owned(),
        stream,
        stream_usage: true,
        ..Ask::default()
    };
    let told = |content: &Value| -> String {
        list(content, "parts")
            .iter()
            .map(|part| text(part, "text"))
            .collect()
    };
    if let Some(system) = body.get("systemInstruction") {
        ask.say("system", told(system));
    }
    for content in list(body, "contents") {
        let result = list(content, "parts")
            .iter()
            .find_map(|part| part.get("functionResponse"));
        match result {
            Some(result) => ask.say("tool", result["response"].to_string()),
            None => ask.say(text(content, "role"), told(content)),
        }
    }
    let tools = list(body, "tools").iter();
    let functions = tools.flat_map(|tool| list(tool, "functionDeclarations"));
    ask.tools = functions
        .map(|function| text(function, "name").to_owned())
        .collect();
    ask
}

fn piece(ask: &Ask, parts: &Value, usage: Option<Value>) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if usage.is_some() {
        candidate["finishReason"] = Value::from("STOP");
    }
    let usage = usage.unwrap_or_else(
        || json!({"promptTokenCount": ask.tokens(), "totalTokenCount": ask.tokens()}),
    );
    json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": ask.model, "responseId": "r1"})
}

fn usage(ask: &Ask, reply: &Reply) -> Value {
    let (input, all, thought) = (ask.tokens(), reply.tokens(), words(&reply.thought));
    json!({"promptTokenCount": input, "candidatesTokenCount": all - thought, "thoughtsTokenCount": thought, "totalTokenCount": input + all})
}

fn parts(reply: &Reply) -> Vec<Value> {
    let mut parts = Vec::new();
    if !reply.thought.is_empty() {
        parts.push(json!({"text": reply.thought, "thought": true}));
    }
    if let Some((tool, _)) = &reply.call {
        parts.push(json!({"functionCall": {"name": tool, "args": reply.arguments()}}));
    }
    parts
}

/// An answer in one piece.
pub(crate) fn whole(ask: &Ask, reply: &Reply) -> Value {
    let mut parts = parts(reply);
    if !reply.text.is_empty() {
        parts.push(json!({"text": reply.text}));
    }
    piece(ask, &Value::from(parts), Some(usage(ask, reply)))
}

/// An answer in pieces.
pub(crate) fn events(ask: &Ask, reply: &Reply) -> Vec<String> {
    let mut all = parts(reply);
    all.extend(reply.pieces().into_iter().map(|text| json!({"text": text})));
    let last = all.len().saturating_sub(1);
    let pieces = all.into_iter().enumerate().map(|(at, part)| {
        let usage = (at == last).then(|| usage(ask, reply));
        format!("data: {}\r\n\r\n", piece(ask, &json!([part]), usage))
    });
    pieces.collect()
}

/// Embeddings, of one content or many.
pub(crate) fn embeddings(body: &Value) -> Value {
    let of = |request: &Value| {
        let parts = request.get("content").map(|content| list(content, "parts"));
        let told: String = parts
            .unwrap_or_default()
            .iter()
            .map(|part| text(part, "text"))
            .collect();
        json!({"values": embedding(&told)})
    };
    match body.get("requests") {
        Some(_) => json!({"embeddings": list(body, "requests").iter().map(of).collect::<Vec<_>>()}),
        None => json!({"embedding": of(body)}),
    }
}

/// An error in Google's words.
pub(crate) fn error(status: u16, message: &str) -> Value {
    json!({"error": {"code": status, "message": message, "status": "UNAVAILABLE"}})
}
