//! Anthropic's shape: messages.

use serde_json::{Value, json};

use crate::ask::{Ask, content, list, text};
use crate::reply::Reply;

/// What a request asks.
pub(crate) fn read(body: &Value) -> Ask {
    let mut ask = Ask {
        model: text(body, "model").to_owned(),
        stream: body.get("stream") == Some(&Value::Bool(true)),
        stream_usage: true,
        ..Ask::default()
    };
    if let Some(system) = body.get("system") {
        ask.say("system", content(Some(system)));
    }
    for said in list(body, "messages") {
        let told = content(said.get("content"));
        let results = list(said, "content")
            .iter()
            .filter(|block| text(block, "type") == "tool_result");
        let mut has_results = false;
        for result in results {
            ask.say("tool", content(result.get("content")));
            has_results = true;
        }
        if !has_results {
            ask.say(text(said, "role"), told);
        }
    }
    ask.tools = list(body, "tools")
        .iter()
        .map(|tool| text(tool, "name").to_owned())
        .collect();
    ask
}

fn usage(ask: &Ask, output: u64) -> Value {
    json!({"input_tokens": ask.tokens(), "output_tokens": output, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0})
}

fn stop_reason(reply: &Reply) -> &'static str {
    if reply.call.is_some() {
        "tool_use"
    } else {
        "end_turn"
    }
}

fn blocks(reply: &Reply) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !reply.thought.is_empty() {
        blocks.push(json!({"type": "thinking", "thinking": reply.thought, "signature": ""}));
    }
    if !reply.text.is_empty() {
        blocks.push(json!({"type": "text", "text": reply.text}));
    }
    if let Some((tool, _)) = &reply.call {
        blocks.push(
            json!({"type": "tool_use", "id": "toolu_1", "name": tool, "input": reply.arguments()}),
        );
    }
    blocks
}

/// An answer in one piece.
pub(crate) fn message(ask: &Ask, reply: &Reply) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": ask.model, "content": blocks(reply),
        "stop_reason": stop_reason(reply), "stop_sequence": null, "usage": usage(ask, reply.tokens()),
    })
}

/// An answer in pieces.
pub(crate) fn events(ask: &Ask, reply: &Reply) -> Vec<String> {
    let mut begun = message(ask, reply);
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    begun["usage"] = usage(ask, 1);
    let mut events = vec![json!({"type": "message_start", "message": begun})];
    for (index, block) in blocks(reply).into_iter().enumerate() {
        let mut start = block.clone();
        let deltas: Vec<Value> = match text(&block, "type") {
            "thinking" => {
                start["thinking"] = Value::from("");
                vec![json!({"type": "thinking_delta", "thinking": reply.thought})]
            }
            "tool_use" => {
                start["input"] = json!({});
                vec![
                    json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}),
                ]
            }
            _ => {
                start["text"] = Value::from("");
                let pieces = reply.pieces().into_iter();
                pieces
                    .map(|piece| json!({"type": "text_delta", "text": piece}))
                    .collect()
            }
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        let deltas = deltas.into_iter();
        events.extend(
            deltas.map(
                |delta| json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(reply), "stop_sequence": null}, "usage": {"output_tokens": reply.tokens()}}));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(line).collect()
}

/// An event as it stands in a stream.
pub(crate) fn line(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", text(event, "type"))
}

/// An error in Anthropic's words.
pub(crate) fn error(message: &str) -> Value {
    json!({"type": "error", "error": {"type": "overloaded_error", "message": message}})
}
