//! A chat answer in pieces.
//!
//! Pieces belong to a choice, pieces of tools' calls to a call of that choice; both by their index, in whatever order they
//! come. Indices are the provider's, so they are keys here and never sizes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::exchange::{Exchange, Failure, Io, message};
use super::super::json::{list, text, truthy};
use super::super::streams::sse_frames;
use super::{DONE, chat, tools, usage};

#[derive(Default)]
struct Choice {
    role: String,
    content: String,
    reasoning: String,
    finish_reason: String,
    calls: BTreeMap<u64, Call>,
}

#[derive(Default)]
struct Call {
    id: String,
    kind: String,
    name: String,
    arguments: String,
}

/// Reads the stream.
pub(super) fn decode(exchange: &mut Exchange, body: &[u8]) {
    let mut choices: BTreeMap<u64, Choice> = BTreeMap::new();
    let mut last_usage = Value::Null;
    let mut model = String::new();
    for frame in sse_frames(body) {
        if frame.data == DONE {
            exchange.is_complete = true;
            break;
        }
        let Ok(chunk) = serde_json::from_str::<Value>(&frame.data) else {
            continue;
        };
        if let Some(failure) = Failure::in_json(&chunk) {
            exchange.failure = Some(failure);
        }
        if model.is_empty() {
            model.push_str(text(&chunk, "model"));
        }
        if let Some(usage) = truthy(&chunk, "usage") {
            last_usage = usage.clone();
        }
        for piece in list(&chunk, "choices") {
            let choice = choices.entry(index(piece)).or_default();
            if choice.add(piece) {
                exchange.content_at(frame.end);
            }
        }
    }
    if !model.is_empty() {
        exchange.model_name = model;
    }
    usage::read(exchange, &last_usage);
    if choices.is_empty() {
        return;
    }
    exchange.finish_reasons(choices.values().map(|choice| choice.finish_reason.as_str()));
    let mut output = Vec::new();
    for choice in choices.into_values() {
        choice.tell(&mut output);
    }
    exchange.output = Some(Io::Messages(output));
}

fn index(piece: &Value) -> u64 {
    piece.get("index").and_then(Value::as_u64).unwrap_or(0)
}

impl Choice {
    /// Adds a piece; says whether there was content in it.
    fn add(&mut self, piece: &Value) -> bool {
        if self.finish_reason.is_empty() {
            self.finish_reason.push_str(text(piece, "finish_reason"));
        }
        let delta = piece.get("delta").unwrap_or(&Value::Null);
        if self.role.is_empty() {
            self.role.push_str(text(delta, "role"));
        }
        let before = self.content.len() + self.reasoning.len();
        self.content.push_str(text(delta, "content"));
        self.content.push_str(text(delta, "refusal"));
        if let Some(thought) = chat::reasoning(delta) {
            self.reasoning.push_str(text(&thought, "content"));
        }
        let mut has_content = self.content.len() + self.reasoning.len() > before;
        for piece in list(delta, "tool_calls") {
            self.calls.entry(index(piece)).or_default().add(piece);
            has_content = true;
        }
        if let Some(function) = truthy(delta, "function_call") {
            let call = self.calls.entry(0).or_default();
            call.name.push_str(text(function, "name"));
            call.arguments.push_str(text(function, "arguments"));
            has_content = true;
        }
        has_content
    }

    fn tell(self, output: &mut Vec<Value>) {
        if !self.reasoning.is_empty() {
            output.push(message("reasoning", self.reasoning));
        }
        let mut answered = message(&self.role, self.content.trim());
        let calls: Vec<Value> = self.calls.into_values().map(Call::into_json).collect();
        tools::add(&mut answered, &json!({"tool_calls": calls}));
        output.push(answered);
    }
}

impl Call {
    fn add(&mut self, piece: &Value) {
        if self.id.is_empty() {
            self.id.push_str(text(piece, "id"));
        }
        if self.kind.is_empty() {
            self.kind.push_str(text(piece, "type"));
        }
        for (key, arguments) in [("function", "arguments"), ("custom", "input")] {
            let Some(of) = piece.get(key) else { continue };
            if self.name.is_empty() {
                self.name.push_str(text(of, "name"));
            }
            self.arguments.push_str(text(of, arguments));
        }
    }

    /// The call as an answer in one piece would have it.
    fn into_json(self) -> Value {
        let kind = if self.kind.is_empty() {
            "function"
        } else {
            &self.kind
        };
        json!({
            "id": self.id,
            "type": kind,
            "function": {"name": self.name, "arguments": self.arguments},
        })
    }
}
