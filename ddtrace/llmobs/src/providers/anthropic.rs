//! Anthropic's Messages API: `/v1/messages`, and the same shape at Vertex and Bedrock.

use serde_json::{Map, Value, json};

use super::exchange::{Exchange, Failure, Io, Recorded, message, tool_call, tool_result};
use super::json::{arguments, arguments_text, list, number, shown, text, truthy};
use super::streams::sse_frames;
use crate::json_text::json_text;

const IMAGE: &str = "([IMAGE DETECTED])";
const IMAGE_TOO_LARGE: &str = "[image omitted: too large]";
/// What a browser shows.
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Reads an exchange.
pub(crate) fn decode(recorded: &Recorded<'_>) -> Exchange {
    let mut exchange = asked(recorded);
    let Some(response) = &recorded.response else {
        return exchange;
    };
    if response.is_failure() {
        exchange.failure = Some(Failure::of_response(response));
    } else if response.is_sse() {
        let events = sse_frames(response.body).filter_map(|frame| {
            let event = serde_json::from_str(&frame.data).ok()?;
            Some((event, frame.end))
        });
        streamed(&mut exchange, events);
    } else {
        answered(&mut exchange, &response.json());
    }
    exchange
}

/// Reads the request.
pub(super) fn asked(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let model = text(request, "model");
    let mut exchange = Exchange {
        model_name: recorded.path_model.unwrap_or(model).to_owned(),
        ..Exchange::default()
    };
    for key in ["temperature", "max_tokens"] {
        if let Some(value) = truthy(request, key) {
            exchange.metadata.insert(key.to_owned(), value.clone());
        }
    }
    exchange.tool_definitions = list(request, "tools").iter().map(definition).collect();
    let mut messages = Vec::new();
    if let Some(system) = request.get("system").filter(|system| !system.is_null()) {
        add_blocks("system", system, recorded.inline_limit, &mut messages);
    }
    for asked in list(request, "messages") {
        let content = asked.get("content").unwrap_or(&Value::Null);
        add_blocks(
            text(asked, "role"),
            content,
            recorded.inline_limit,
            &mut messages,
        );
    }
    exchange.input = Some(Io::Messages(messages));
    exchange.no_answer();
    exchange
}

fn definition(tool: &Value) -> Value {
    // A tool that is loaded later is only named to the model.
    let is_deferred = truthy(tool, "defer_loading").is_some();
    let schema = tool.get("input_schema").filter(|_| !is_deferred);
    json!({
        "name": text(tool, "name"),
        "description": if is_deferred { "" } else { text(tool, "description") },
        "schema": schema.cloned().unwrap_or_else(|| json!({})),
    })
}

/// A message of its own for every block.
fn add_blocks(role: &str, content: &Value, limit: usize, messages: &mut Vec<Value>) {
    match content {
        Value::String(asked) => messages.push(message(role, asked.as_str())),
        Value::Array(blocks) => {
            messages.extend(blocks.iter().map(|block| asked_block(role, block, limit)))
        }
        _ => {}
    }
}

fn asked_block(role: &str, block: &Value, limit: usize) -> Value {
    let kind = text(block, "type");
    match kind {
        "text" => message(role, text(block, "text")),
        "image" => image(role, block.get("source").unwrap_or(&Value::Null), limit),
        "thinking" => message("reasoning", text(block, "thinking")),
        _ => tool_block(role, block).unwrap_or_else(|| message(role, format!("[{kind}]"))),
    }
}

/// A block about a tool: its call or its result, by whoever ran it.
fn tool_block(role: &str, block: &Value) -> Option<Value> {
    let kind = text(block, "type");
    if kind.contains("tool_use") {
        let call = tool_call(
            text(block, "name"),
            arguments(block.get("input")),
            text(block, "id"),
            kind,
        );
        let mut found = message(role, text(block, "text"));
        found["tool_calls"] = json!([call]);
        Some(found)
    } else if kind.contains("tool_result") {
        let content = result_text(block.get("content").unwrap_or(&Value::Null));
        let result = tool_result(None, content, text(block, "tool_use_id"), "tool_result");
        let mut found = message(role, "");
        found["tool_results"] = json!([result]);
        Some(found)
    } else {
        None
    }
}

fn result_text(content: &Value) -> String {
    match content {
        Value::Array(blocks) => {
            let told = blocks.iter().filter_map(|block| match text(block, "text") {
                "" => (text(block, "type") == "image").then_some(IMAGE),
                told => Some(told),
            });
            told.collect::<Vec<_>>().join(",")
        }
        Value::Object(_) => json_text(content),
        other => shown(other),
    }
}

fn image(role: &str, source: &Value, limit: usize) -> Value {
    let data = text(source, "data");
    let media_type = text(source, "media_type");
    let is_shown = IMAGE_TYPES.contains(&media_type.trim().to_ascii_lowercase().as_str());
    if text(source, "type") != "base64" || data.is_empty() || !data.is_ascii() || !is_shown {
        return message(role, IMAGE);
    }
    if data.len() > limit {
        return message(role, IMAGE_TOO_LARGE);
    }
    let mut found = message(role, "");
    found["image_parts"] = json!([{"mime_type": media_type, "content": data}]);
    found
}

/// Reads an answer in one piece.
pub(super) fn answered(exchange: &mut Exchange, answer: &Value) {
    exchange.failure = Failure::in_json(answer);
    let role = text(answer, "role");
    match answer.get("content") {
        Some(Value::String(told)) => {
            exchange.output = Some(Io::Messages(vec![message(role, told.as_str())]));
        }
        Some(Value::Array(blocks)) => {
            let told = blocks.iter().map(|block| told_block(role, block));
            exchange.output = Some(Io::Messages(told.collect()));
        }
        _ => return,
    }
    exchange.is_complete = true;
    if let Some(model) = truthy(answer, "model") {
        exchange.model_name = shown(model);
    }
    exchange.finish_reasons(std::iter::once(text(answer, "stop_reason")));
    usage(exchange, answer.get("usage").unwrap_or(&Value::Null));
}

fn told_block(role: &str, block: &Value) -> Value {
    if text(block, "type") == "thinking" {
        return message("reasoning", text(block, "thinking"));
    }
    tool_block(role, block).unwrap_or_else(|| message(role, text(block, "text")))
}

/// Tokens. What was written to and read from the cache is not in the provider's figure of input, and is in ours.
fn usage(exchange: &mut Exchange, usage: &Value) {
    if truthy(usage, "input_tokens").is_none() && truthy(usage, "output_tokens").is_none() {
        return;
    }
    let written = number(usage, &["cache_creation_input_tokens"]);
    let read = number(usage, &["cache_read_input_tokens"]);
    let plain = number(usage, &["input_tokens"]).unwrap_or(0.0);
    let input = plain + written.unwrap_or(0.0) + read.unwrap_or(0.0);
    let output = number(usage, &["output_tokens"]);
    exchange.metric("input_tokens", Some(input));
    exchange.metric("output_tokens", output);
    exchange.metric("total_tokens", output.map(|output| input + output));
    exchange.metric("cache_read_input_tokens", read);
    let Some(written) = written else { return };
    exchange.metric("cache_write_input_tokens", Some(written));
    let split = usage.get("cache_creation").unwrap_or(&Value::Null);
    let hour = number(split, &["ephemeral_1h_input_tokens"]);
    let minutes = number(split, &["ephemeral_5m_input_tokens"]);
    // Without a split all of it is for five minutes: that is what there was before there was a choice.
    let minutes = if hour.is_none() && minutes.is_none() {
        written
    } else {
        minutes.unwrap_or(0.0)
    };
    exchange.metric("ephemeral_1h_input_tokens", Some(hour.unwrap_or(0.0)));
    exchange.metric("ephemeral_5m_input_tokens", Some(minutes));
}

/// Reads an answer in pieces: events, each with the place in the body where it ended.
pub(super) fn streamed(exchange: &mut Exchange, events: impl Iterator<Item = (Value, usize)>) {
    let mut whole = Map::new();
    let mut blocks: Vec<Block> = Vec::new();
    let mut used = Map::new();
    for (event, end) in events {
        match text(&event, "type") {
            "message_start" => {
                let start = event.get("message").and_then(Value::as_object);
                whole.extend(
                    start
                        .into_iter()
                        .flatten()
                        .map(|(key, value)| (key.clone(), value.clone())),
                );
                merge(&mut used, whole.get("usage"));
            }
            "content_block_start" => {
                blocks.push(Block::new(
                    event.get("content_block").unwrap_or(&Value::Null),
                ));
            }
            "content_block_delta" => {
                let delta = event.get("delta").unwrap_or(&Value::Null);
                if blocks.last_mut().is_some_and(|block| block.add(delta)) {
                    exchange.content_at(end);
                }
            }
            "message_delta" => {
                let delta = event.get("delta").unwrap_or(&Value::Null);
                if let Some(reason) = truthy(delta, "stop_reason") {
                    whole.insert("stop_reason".to_owned(), reason.clone());
                }
                merge(&mut used, event.get("usage"));
            }
            "message_stop" => exchange.is_complete = true,
            "error" => exchange.failure = Failure::in_json(&event),
            _ => {}
        }
    }
    if whole.is_empty() && blocks.is_empty() {
        return;
    }
    whole.insert("usage".to_owned(), Value::Object(used));
    let blocks = blocks.into_iter().map(Block::into_json);
    whole.insert("content".to_owned(), blocks.collect());
    // The error is an event of its own, and the end is told by one as well.
    let (failure, is_complete) = (exchange.failure.take(), exchange.is_complete);
    answered(exchange, &Value::Object(whole));
    exchange.failure = failure;
    exchange.is_complete = is_complete;
}

/// Later figures replace earlier ones, those that are missing do not.
fn merge(used: &mut Map<String, Value>, usage: Option<&Value>) {
    let usage = usage.and_then(Value::as_object);
    for (key, value) in usage
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
    {
        used.insert(key.clone(), value.clone());
    }
}

struct Block {
    start: Value,
    told: String,
    input: String,
}

impl Block {
    fn new(start: &Value) -> Self {
        let told = ["text", "thinking"].map(|key| text(start, key)).concat();
        Self {
            start: start.clone(),
            told,
            input: String::new(),
        }
    }

    /// Adds a piece; says whether there was content in it.
    fn add(&mut self, delta: &Value) -> bool {
        let (to, piece) = match text(delta, "type") {
            "thinking_delta" => (&mut self.told, text(delta, "thinking")),
            "input_json_delta" => (&mut self.input, text(delta, "partial_json")),
            _ => (&mut self.told, text(delta, "text")),
        };
        to.push_str(piece);
        !piece.is_empty()
    }

    fn into_json(mut self) -> Value {
        let kind = text(&self.start, "type").to_owned();
        if kind == "thinking" {
            self.start["thinking"] = Value::from(self.told);
        } else if kind.contains("tool_use") {
            if !self.input.is_empty() {
                self.start["input"] = arguments_text(&self.input);
            }
        } else if kind == "text" {
            self.start["text"] = Value::from(self.told);
        }
        self.start
    }
}
