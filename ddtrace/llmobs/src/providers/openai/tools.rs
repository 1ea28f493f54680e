//! Tools: what the model may call, what it calls, and what came of it.

use serde_json::{Value, json};

use super::super::exchange::{tool_call, tool_result};
use super::super::json::{arguments, list, shown, text, truthy};

/// The definitions in a list of tools, of whatever generation of the API.
pub(super) fn definitions(tools: &[Value]) -> Vec<Value> {
    tools.iter().filter_map(definition).collect()
}

fn definition(tool: &Value) -> Option<Value> {
    let (of, schemas): (&Value, &[&str]) = match (truthy(tool, "function"), truthy(tool, "custom"))
    {
        (Some(function), _) => (function, &["parameters"]),
        (None, Some(custom)) => (custom, &["format"]),
        (None, None) => (tool, &["parameters", "format", "input_schema"]),
    };
    let schema = schemas.iter().find_map(|key| truthy(of, key));
    let (name, description) = (text(of, "name"), text(of, "description"));
    if name.is_empty() && description.is_empty() && schema.is_none() {
        return None;
    }
    // A tool that is loaded later is only named to the model.
    if truthy(tool, "defer_loading").is_some() {
        return Some(json!({"name": name, "description": "", "schema": {}}));
    }
    Some(json!({
        "name": name,
        "description": description,
        "schema": schema.cloned().unwrap_or_else(|| json!({})),
    }))
}

/// Adds to a message what it says of tools: calls, results, and the older single call.
pub(super) fn add(message: &mut Value, source: &Value) {
    let mut calls: Vec<Value> = list(source, "tool_calls").iter().map(call).collect();
    if let Some(function) = truthy(source, "function_call") {
        calls.push(json!({
            "name": text(function, "name"),
            "arguments": arguments(function.get("arguments")),
        }));
    }
    if !calls.is_empty() {
        message["tool_calls"] = Value::from(calls);
    }
    if text(source, "role") == "tool" {
        let result = source.get("content").map(result_text).unwrap_or_default();
        let kind = source.get("type").and_then(Value::as_str);
        message["tool_results"] = json!([tool_result(
            Some(text(source, "name")),
            result,
            text(source, "tool_call_id"),
            kind.unwrap_or("tool_result"),
        )]);
        // The result is not told twice.
        message["content"] = Value::from("");
    }
}

fn call(call: &Value) -> Value {
    let function = call.get("function").unwrap_or(&Value::Null);
    let custom = call.get("custom").unwrap_or(&Value::Null);
    let sent = truthy(function, "arguments").or_else(|| truthy(custom, "input"));
    let name = truthy(function, "name").or_else(|| truthy(custom, "name"));
    let kind = call.get("type").and_then(Value::as_str);
    tool_call(
        &name.map(shown).unwrap_or_default(),
        arguments(sent),
        text(call, "id"),
        kind.unwrap_or("function"),
    )
}

/// The text of a result: a text, or the texts of its parts.
fn result_text(content: &Value) -> String {
    match content {
        Value::Array(parts) => parts.iter().map(|part| text(part, "text")).collect(),
        other => shown(other),
    }
}
