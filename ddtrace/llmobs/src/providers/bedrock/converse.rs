//! `/model/{id}/converse` and `/converse-stream`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::exchange::{Exchange, Failure, Io, Recorded, message, tool_call, tool_result};
use super::super::json::{arguments, arguments_text, list, number, text, truthy};
use super::super::streams::aws_frames;
use crate::json_text::json_text;

const PARAMETERS: [(&str, &str); 4] = [
    ("temperature", "temperature"),
    ("maxTokens", "max_tokens"),
    ("topP", "top_p"),
    ("stopSequences", "stop_sequences"),
];

/// Reads an exchange.
pub(crate) fn decode(recorded: &Recorded<'_>) -> Exchange {
    let mut exchange = asked(recorded);
    let Some(response) = &recorded.response else {
        return exchange;
    };
    if response.is_failure() {
        exchange.failure = Some(Failure::of_response(response));
    } else if response.media_type == "application/vnd.amazon.eventstream" {
        streamed(&mut exchange, response.body);
    } else {
        answered(&mut exchange, &response.json());
    }
    exchange
}

/// Reads a request, which InvokeModel shares for Amazon's newer models.
pub(super) fn asked(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let mut exchange = Exchange {
        model_name: recorded.path_model.unwrap_or_default().to_owned(),
        ..Exchange::default()
    };
    let parameters = request.get("inferenceConfig").unwrap_or(&Value::Null);
    for (from, to) in PARAMETERS {
        if let Some(value) = truthy(parameters, from) {
            exchange.metadata.insert(to.to_owned(), value.clone());
        }
    }
    let mut input = messages("system", list(request, "system"));
    for asked in list(request, "messages") {
        input.extend(messages(text(asked, "role"), list(asked, "content")));
    }
    exchange.input = Some(Io::Messages(input));
    let tools = request.get("toolConfig").unwrap_or(&Value::Null);
    exchange.tool_definitions = list(tools, "tools").iter().filter_map(definition).collect();
    exchange.no_answer();
    exchange
}

fn definition(tool: &Value) -> Option<Value> {
    let tool = tool.get("toolSpec")?;
    Some(json!({
        "name": text(tool, "name"),
        "description": text(tool, "description"),
        "schema": tool.get("inputSchema").cloned().unwrap_or_else(|| json!({})),
    }))
}

/// The messages that a list of blocks comes to: texts and calls together, then what is not shown, then results.
fn messages(role: &str, blocks: &[Value]) -> Vec<Value> {
    let mut texts = Vec::new();
    let (mut calls, mut others, mut results) = (Vec::new(), Vec::new(), Vec::new());
    let mut thoughts = Vec::new();
    for block in blocks {
        let guarded = block
            .pointer("/guardContent/text/text")
            .and_then(Value::as_str);
        let thought = block
            .pointer("/reasoningContent/reasoningText/text")
            .and_then(Value::as_str);
        if let Some(told) = truthy(block, "text").and_then(Value::as_str).or(guarded) {
            texts.push(told);
        } else if let Some(used) = truthy(block, "toolUse") {
            let sent = arguments(used.get("input"));
            calls.push(tool_call(
                text(used, "name"),
                sent,
                text(used, "toolUseId"),
                "toolUse",
            ));
        } else if let Some(result) = truthy(block, "toolResult") {
            let id = text(result, "toolUseId");
            results.extend(list(result, "content").iter().map(|part| {
                let result = tool_result(None, result_text(part), id, "toolResult");
                json!({"role": "user", "tool_results": [result]})
            }));
        } else if let Some(thought) = thought {
            thoughts.push(message("reasoning", thought));
        } else {
            let kinds = block
                .as_object()
                .map(|block| block.keys().cloned().collect::<Vec<_>>());
            let kinds = kinds.unwrap_or_default().join(",");
            others.push(message(
                role,
                format!("[Unsupported content type: {kinds}]"),
            ));
        }
    }
    let mut found = thoughts;
    if !texts.is_empty() || !calls.is_empty() {
        let mut told = message(role, texts.join(" "));
        if !calls.is_empty() {
            told["tool_calls"] = Value::from(calls);
        }
        found.push(told);
    }
    found.extend(others);
    found.extend(results);
    found
}

fn result_text(part: &Value) -> String {
    if let Some(told) = truthy(part, "text").and_then(Value::as_str) {
        return told.to_owned();
    }
    if let Some(json) = truthy(part, "json") {
        return json_text(json);
    }
    let kinds = part
        .as_object()
        .map(|part| part.keys().cloned().collect::<Vec<_>>());
    format!(
        "[Unsupported content type(s): {}]",
        kinds.unwrap_or_default().join(",")
    )
}

/// Reads an answer in one piece.
pub(super) fn answered(exchange: &mut Exchange, answer: &Value) {
    usage(exchange, answer.get("usage").unwrap_or(&Value::Null));
    exchange.finish_reasons(std::iter::once(text(answer, "stopReason")));
    let Some(told) = answer.pointer("/output/message") else {
        return;
    };
    exchange.is_complete = true;
    let role = told.get("role").and_then(Value::as_str);
    let told = messages(role.unwrap_or("assistant"), list(told, "content"));
    if !told.is_empty() {
        exchange.output = Some(Io::Messages(told));
    }
}

/// Tokens. What was read from and written to the cache is not in the provider's figure of input, and is in ours.
fn usage(exchange: &mut Exchange, usage: &Value) {
    let read = number(usage, &["cacheReadInputTokenCount", "cacheReadInputTokens"]);
    let written = number(
        usage,
        &["cacheWriteInputTokenCount", "cacheWriteInputTokens"],
    );
    let input = number(usage, &["inputTokens"]);
    let input = input.map(|input| input + read.unwrap_or(0.0) + written.unwrap_or(0.0));
    exchange.tokens(input, number(usage, &["outputTokens"]));
    exchange.metric("total_tokens", number(usage, &["totalTokens"]));
    exchange.metric("cache_read_input_tokens", read);
    exchange.metric("cache_write_input_tokens", written);
}

#[derive(Default)]
struct Block {
    tool: Option<Value>,
    told: String,
    thought: String,
    input: String,
}

fn streamed(exchange: &mut Exchange, body: &[u8]) {
    let events = aws_frames(body).filter_map(|frame| {
        let event = serde_json::from_slice(frame.payload).ok()?;
        Some((frame.kind.to_owned(), frame.is_exception, event, frame.end))
    });
    events_read(exchange, events);
}

/// Reads an answer in pieces: kind of event, whether it is an exception, its payload, the place where it ended.
pub(super) fn events_read(
    exchange: &mut Exchange,
    events: impl Iterator<Item = (String, bool, Value, usize)>,
) {
    let mut role = String::new();
    let mut blocks: BTreeMap<u64, Block> = BTreeMap::new();
    for (kind, is_exception, event, end) in events {
        if is_exception {
            let message = text(&event, "message").to_owned();
            exchange.failure = Some(Failure { kind, message });
            continue;
        }
        let index = event.get("contentBlockIndex").and_then(Value::as_u64);
        let index = index.unwrap_or(0);
        match kind.as_str() {
            "messageStart" => role = text(&event, "role").to_owned(),
            "contentBlockStart" => {
                let block = blocks.entry(index).or_default();
                block.tool = event.pointer("/start/toolUse").cloned();
            }
            "contentBlockDelta" => {
                let delta = event.get("delta").unwrap_or(&Value::Null);
                let block = blocks.entry(index).or_default();
                if block.add(delta) {
                    exchange.content_at(end);
                }
            }
            "messageStop" => {
                exchange.is_complete = true;
                exchange.finish_reasons(std::iter::once(text(&event, "stopReason")));
            }
            "metadata" => usage(exchange, event.get("usage").unwrap_or(&Value::Null)),
            _ => {}
        }
    }
    if blocks.is_empty() {
        return;
    }
    if role.is_empty() {
        "assistant".clone_into(&mut role);
    }
    let blocks: Vec<Value> = blocks.into_values().map(Block::into_json).collect();
    exchange.output = Some(Io::Messages(messages(&role, &blocks)));
}

impl Block {
    /// Adds a piece; says whether there was content in it.
    fn add(&mut self, delta: &Value) -> bool {
        let thought = delta
            .pointer("/reasoningContent/text")
            .and_then(Value::as_str);
        let input = delta.pointer("/toolUse/input").and_then(Value::as_str);
        let pieces = [
            (&mut self.told, text(delta, "text")),
            (&mut self.thought, thought.unwrap_or_default()),
            (&mut self.input, input.unwrap_or_default()),
        ];
        let mut has_content = false;
        for (to, piece) in pieces {
            to.push_str(piece);
            has_content |= !piece.is_empty();
        }
        has_content
    }

    fn into_json(self) -> Value {
        if let Some(mut tool) = self.tool {
            tool["input"] = arguments_text(&self.input);
            json!({"toolUse": tool})
        } else if self.thought.is_empty() {
            json!({"text": self.told})
        } else {
            json!({"reasoningContent": {"reasoningText": {"text": self.thought}}})
        }
    }
}
