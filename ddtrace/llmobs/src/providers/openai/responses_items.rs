//! The items of which input and output of `/responses` consist.

use serde_json::{Value, json};

use super::super::exchange::{message, tool_call, tool_result};
use super::super::json::{UNKNOWN_ITEM_CHARS, arguments, first_chars, list, shown, text, truthy};
use super::parts::{Parts, file_reference, image_reference};
use super::tools;
use crate::json_text::json_text;

/// Messages of an input: a text or a list of items.
pub(super) fn asked_messages(input: &Value, limit: usize) -> Vec<Value> {
    match input {
        Value::String(asked) => vec![message("user", asked.as_str())],
        Value::Array(items) => items
            .iter()
            .filter_map(|item| asked_message(item, limit))
            .collect(),
        _ => Vec::new(),
    }
}

fn asked_message(item: &Value, limit: usize) -> Option<Value> {
    let role = item.get("role").and_then(Value::as_str);
    let content = item.get("content").filter(|content| !content.is_null());
    if let (Some(role), Some(content)) = (role, content) {
        return plain_message(role, content, limit);
    }
    let call_id = text(item, "call_id");
    let name = text(item, "name");
    match text(item, "type") {
        kind @ ("function_call" | "custom_tool_call") => {
            let sent = truthy(item, "arguments").or_else(|| truthy(item, "input"));
            let call = tool_call(name, arguments(sent), call_id, kind);
            Some(json!({"role": "assistant", "tool_calls": [call]}))
        }
        kind @ ("function_call_output" | "custom_tool_call_output") => {
            let output = match item.get("output") {
                Some(Value::Array(parts)) => parts
                    .iter()
                    .filter(|part| text(part, "type") == "input_text")
                    .map(|part| text(part, "text"))
                    .collect(),
                output => output.map(shown).unwrap_or_default(),
            };
            let result = tool_result(Some(name), output, call_id, kind);
            Some(json!({"role": "user", "tool_results": [result]}))
        }
        "computer_call_output" => {
            let output = item.get("output").unwrap_or(&Value::Null);
            Some(message("user", image_reference(output)))
        }
        _ => None,
    }
}

fn plain_message(role: &str, content: &Value, limit: usize) -> Option<Value> {
    let Value::Array(content) = content else {
        let content = shown(content);
        return (!content.is_empty()).then(|| message(role, content));
    };
    let mut parts = Parts::default();
    for part in content {
        for key in ["text", "refusal"] {
            parts.texts.push(text(part, key).to_owned());
        }
        match text(part, "type") {
            "input_image" => {
                let image = part.get("image_url").unwrap_or(&Value::Null);
                let url = image.get("url").unwrap_or(image);
                parts.add_image(url, limit, || image_reference(part));
            }
            "input_file" => parts.texts.push(file_reference(part)),
            _ => {}
        }
    }
    let told = std::mem::take(&mut parts.texts).concat();
    let is_empty = told.is_empty();
    let mut sent = message(role, told);
    // A message of nothing but images has no text, and counts.
    (parts.attach(&mut sent) || !is_empty).then_some(sent)
}

/// Messages of an output, and definitions of the tools that a server told of.
pub(super) fn told_messages(items: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let mut definitions = Vec::new();
    let mut messages = Vec::new();
    for item in items {
        if text(item, "type") == "mcp_list_tools" {
            definitions.extend(tools::definitions(list(item, "tools")));
        } else {
            messages.push(told_message(item));
        }
    }
    (messages, definitions)
}

fn told_message(item: &Value) -> Value {
    let name = text(item, "name");
    match text(item, "type") {
        "message" => {
            let parts = list(item, "content").iter();
            let told: String = parts
                .flat_map(|part| [text(part, "text"), text(part, "refusal")])
                .collect();
            let role = item.get("role").and_then(Value::as_str);
            message(role.unwrap_or("assistant"), told)
        }
        "reasoning" => {
            let field = |key: &str| item.get(key).cloned().unwrap_or_else(|| Value::from(""));
            let told = json!({
                "summary": field("summary"),
                "encrypted_content": field("encrypted_content"),
                "id": field("id"),
            });
            message("reasoning", json_text(&told))
        }
        kind @ ("function_call" | "custom_tool_call") => {
            let sent = truthy(item, "input").or_else(|| item.get("arguments"));
            let call = tool_call(name, arguments(sent), text(item, "call_id"), kind);
            json!({"role": "assistant", "tool_calls": [call]})
        }
        "mcp_call" => {
            let id = text(item, "id");
            let call = tool_call(name, arguments(item.get("arguments")), id, "mcp_call");
            let output = item.get("output").map(shown).unwrap_or_default();
            let result = tool_result(Some(name), output, id, "mcp_tool_result");
            json!({"role": "assistant", "tool_calls": [call], "tool_results": [result]})
        }
        // The result is the image itself.
        "image_generation_call" => message("assistant", "[image]"),
        "computer_call_output" => {
            let output = item.get("output").unwrap_or(&Value::Null);
            message("user", image_reference(output))
        }
        _ => message(
            "assistant",
            first_chars(&json_text(item), UNKNOWN_ITEM_CHARS),
        ),
    }
}
