//! Messages and tools as OpenTelemetry's conventions have them in JSON.
//!
//! A message has a role and *parts*: texts, reasoning, calls of tools and what these gave, media. Libraries that are older than parts
//! write a `content`. Whatever else there is, is left out or named in brackets.

use serde_json::{Map, Value, json};

use crate::model::{Media, Message, ToolCall, ToolDefinition, ToolResult};

/// How many messages, and parts of one, are read.
const MAX_ITEMS: usize = 10_000;

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten().take(MAX_ITEMS)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn owned(value: &Value, key: &str) -> Option<String> {
    Some(text(value, key).to_owned()).filter(|text| !text.is_empty())
}

/// A value as text: one as it is, anything else as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The messages of a conversation.
pub(super) fn messages_of(value: &Value) -> Vec<Message> {
    items(value)
        .filter(|message| message.is_object())
        .flat_map(|message| {
            let role = text(message, "role");
            match message.get("parts") {
                Some(parts) => of_parts(role, parts),
                None => match message.get("content") {
                    Some(Value::String(content)) => vec![Message::new(role, content.as_str())],
                    Some(parts) => of_parts(role, parts),
                    None => Vec::new(),
                },
            }
        })
        .collect()
}

/// Instructions: parts without a message around them.
pub(super) fn system_of(value: &Value) -> Vec<Message> {
    match value {
        Value::String(content) => vec![Message::new("system", content.as_str())],
        parts => of_parts("system", parts),
    }
}

/// One message, after one with what the model thought.
fn of_parts(role: &str, parts: &Value) -> Vec<Message> {
    let mut message = Message::new(role, "");
    let mut texts: Vec<String> = Vec::new();
    let mut thoughts = Vec::new();
    for part in items(parts) {
        match part {
            Value::String(content) => texts.push(content.clone()),
            Value::Object(_) => match text(part, "type") {
                "text" => texts.push(shown(
                    part.get("content")
                        .or(part.get("text"))
                        .unwrap_or(&Value::Null),
                )),
                "reasoning" => thoughts.push(text(part, "content").to_owned()),
                "tool_call" => message.tool_calls.push(tool_call(part)),
                "tool_call_response" => message.tool_results.push(tool_result(part)),
                "blob" if is_kept(part, "image/") => message.image_parts.push(media(part)),
                "blob" if is_kept(part, "audio/") => message.audio_parts.push(media(part)),
                other => texts.push(format!(
                    "[{}]",
                    owned(part, "modality").as_deref().unwrap_or(other)
                )),
            },
            _ => {}
        }
    }
    message.content = texts.join("\n");
    if let [result] = &*message.tool_results {
        message.tool_call_id.clone_from(&result.tool_id);
    }
    let is_nothing = message == Message::new(role, "");
    let thoughts = (!thoughts.is_empty()).then(|| Message::new("reasoning", thoughts.join("\n")));
    // A message that says nothing is one, unless it has thought.
    let message = (!is_nothing || thoughts.is_none()).then_some(message);
    thoughts.into_iter().chain(message).collect()
}

fn tool_call(part: &Value) -> ToolCall {
    let arguments = match part.get("arguments") {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(arguments @ Value::Object(_)) => arguments.clone(),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(arguments @ Value::Object(_)) => arguments,
            _ => json!({"value": text}),
        },
        Some(other) => json!({"value": other}),
    };
    ToolCall {
        name: text(part, "name").to_owned(),
        arguments,
        tool_id: owned(part, "id"),
        kind: Some("function".to_owned()),
    }
}

fn tool_result(part: &Value) -> ToolResult {
    let result = part.get("response").or(part.get("result"));
    ToolResult {
        name: owned(part, "name"),
        result: result.map(shown).unwrap_or_default(),
        tool_id: owned(part, "id"),
        kind: Some("tool_result".to_owned()),
    }
}

fn is_kept(part: &Value, family: &str) -> bool {
    text(part, "mime_type").starts_with(family) && !text(part, "content").is_empty()
}

fn media(part: &Value) -> Media {
    Media {
        mime_type: text(part, "mime_type").to_owned(),
        content: owned(part, "content"),
        attachment_key: None,
    }
}

/// The tools that a model may ask for, by themselves or as OpenAI wraps them.
pub(super) fn tools_of(value: &Value) -> Vec<ToolDefinition> {
    items(value)
        .map(|tool| tool.get("function").unwrap_or(tool))
        .filter(|tool| !text(tool, "name").is_empty())
        .map(|tool| ToolDefinition {
            description: owned(tool, "description"),
            schema: tool.get("parameters").filter(|it| it.is_object()).cloned(),
            ..ToolDefinition::new(text(tool, "name"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_what_the_product_has_for_them() {
        let read = messages_of(&json!([
            {"role": "user", "parts": [
                {"type": "text", "content": "Weather in Paris?"},
                {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="},
                {"type": "uri", "modality": "video", "uri": "https://example.com/v"},
            ]},
            {"role": "assistant", "parts": [
                {"type": "reasoning", "content": "I should look."},
                {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"place": "Paris"}},
                {"type": "tool_call", "name": "other", "arguments": "not JSON"},
            ]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": {"sky": "blue"}}]},
            {"role": "assistant", "content": "older"},
        ]));
        let wire: Vec<Value> = read.iter().map(Message::to_wire).collect();
        assert_eq!(
            wire,
            [
                json!({"role": "user", "content": "Weather in Paris?\n[video]",
                    "image_parts": [{"mime_type": "image/png", "content": "aGk="}]}),
                json!({"role": "reasoning", "content": "I should look."}),
                json!({"role": "assistant", "content": "", "tool_calls": [
                    {"name": "weather", "arguments": {"place": "Paris"}, "tool_id": "call_1", "type": "function"},
                    {"name": "other", "arguments": {"value": "not JSON"}, "type": "function"},
                ]}),
                json!({"role": "tool", "content": "", "tool_call_id": "call_1", "tool_results": [
                    {"result": r#"{"sky":"blue"}"#, "tool_id": "call_1", "type": "tool_result"},
                ]}),
                json!({"role": "assistant", "content": "older"}),
            ]
        );
    }

    #[test]
    fn what_is_no_message_is_left_out() {
        for value in [
            json!(null),
            json!(3),
            json!("text"),
            json!({"role": "user"}),
            json!([1, null, [], "text"]),
            json!([{"role": 1}]),
        ] {
            assert_eq!(messages_of(&value), [], "{value}");
        }
        assert_eq!(
            messages_of(&json!([{"role": 1, "parts": [3, {"type": 7}]}])),
            [Message::new("", "[]")]
        );
        assert_eq!(
            tools_of(&json!([{"name": ""}, 3, {"function": 3}, {"name": 1}])),
            []
        );
    }

    #[test]
    fn tools_are_read_with_and_without_a_wrapper() {
        let schema = json!({"type": "object"});
        let expected = ToolDefinition {
            description: Some("Looks outside".to_owned()),
            schema: Some(schema.clone()),
            ..ToolDefinition::new("weather")
        };
        let plain = json!({"type": "function", "name": "weather", "description": "Looks outside", "parameters": schema});
        let wrapped = json!({"type": "function", "function": plain});
        assert_eq!(
            tools_of(&json!([plain, wrapped])),
            [expected.clone(), expected]
        );
    }
}
