//! Ollama's shape: chat, generate, embed; a line of JSON for every piece.

use serde_json::{Value, json};

use crate::ask::{Ask, list, text};
use crate::openai::embedding;
use crate::reply::Reply;

/// What a request asks.
pub(crate) fn read(body: &Value) -> Ask {
    let mut ask = Ask {
        model: text(body, "model").to_owned(),
        // It streams unless told otherwise.
        stream: body.get("stream") != Some(&Value::Bool(false)),
        stream_usage: true,
        ..Ask::default()
    };
    if let Some(prompt) = body.get("prompt").and_then(Value::as_str) {
        ask.say("user", prompt.to_owned());
    }
    for said in list(body, "messages") {
        ask.say(text(said, "role"), text(said, "content").to_owned());
    }
    let tools = list(body, "tools").iter();
    ask.tools = tools
        .filter_map(|tool| Some(tool.pointer("/function/name")?.as_str()?.to_owned()))
        .collect();
    ask
}

/// What a piece says: a message of a chat, or a text that was generated.
fn piece(ask: &Ask, is_chat: bool, told: &str, rest: &Value) -> Value {
    let mut piece =
        json!({"model": ask.model, "created_at": "2025-01-01T00:00:00Z", "done": false});
    if is_chat {
        let mut message = json!({"role": "assistant", "content": told});
        for (key, value) in rest.as_object().into_iter().flatten() {
            message[key] = value.clone();
        }
        piece["message"] = message;
    } else {
        piece["response"] = Value::from(told);
    }
    piece
}

fn finish(piece: &mut Value, ask: &Ask, reply: &Reply) {
    let last = json!({
        "done": true, "done_reason": "stop", "total_duration": 5_000_000, "load_duration": 1_000_000,
        "prompt_eval_count": ask.tokens(), "prompt_eval_duration": 1_000_000, "eval_count": reply.tokens(), "eval_duration": 3_000_000,
    });
    for (key, value) in last.as_object().into_iter().flatten() {
        piece[key] = value.clone();
    }
}

fn calls(reply: &Reply) -> Value {
    match &reply.call {
        Some((tool, _)) => {
            json!({"tool_calls": [{"function": {"name": tool, "arguments": reply.arguments()}}]})
        }
        None => json!({}),
    }
}

/// An answer in one piece.
pub(crate) fn whole(ask: &Ask, reply: &Reply, is_chat: bool) -> Value {
    let mut rest = calls(reply);
    if !reply.thought.is_empty() {
        rest["thinking"] = Value::from(reply.thought.as_str());
    }
    let mut piece = piece(ask, is_chat, &reply.text, &rest);
    finish(&mut piece, ask, reply);
    piece
}

/// An answer in pieces.
pub(crate) fn lines(ask: &Ask, reply: &Reply, is_chat: bool) -> Vec<String> {
    let mut pieces = Vec::new();
    if !reply.thought.is_empty() {
        pieces.push(piece(ask, is_chat, "", &json!({"thinking": reply.thought})));
    }
    pieces.extend(
        reply
            .pieces()
            .into_iter()
            .map(|text| piece(ask, is_chat, text, &Value::Null)),
    );
    if reply.call.is_some() {
        pieces.push(piece(ask, is_chat, "", &calls(reply)));
    }
    let mut last = piece(ask, is_chat, "", &Value::Null);
    finish(&mut last, ask, reply);
    pieces.push(last);
    pieces.iter().map(|piece| format!("{piece}\n")).collect()
}

/// Embeddings.
pub(crate) fn embeddings(body: &Value) -> Value {
    let texts: Vec<&str> = match body.get("input") {
        Some(Value::String(text)) => vec![text],
        _ => list(body, "input")
            .iter()
            .filter_map(Value::as_str)
            .collect(),
    };
    let embeddings: Vec<_> = texts.into_iter().map(embedding).collect();
    json!({"model": text(body, "model"), "embeddings": embeddings, "prompt_eval_count": 2})
}

/// An error in Ollama's words.
pub(crate) fn error(message: &str) -> Value {
    json!({"error": message})
}
