//! Reading JSON that somebody else wrote.
//!
//! Nothing here fails: what is missing or of another type reads as empty, because a provider may answer anything.

use serde_json::{Map, Value};

use crate::json_text::json_text;

/// How much of a thing of unknown shape is shown. The reference's figure.
pub(super) const UNKNOWN_ITEM_CHARS: usize = 4096;

/// The text under a key, or nothing.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of the list under a key, or none.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    elements(value.get(key))
}

/// The elements of a list, or none.
pub(super) fn elements(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What is under a key, unless that is `null`, empty, zero or `false`: what Python calls true.
pub(super) fn truthy<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).filter(|value| match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    })
}

/// The number under the first of these keys that has one.
pub(super) fn number(value: &Value, keys: &[&str]) -> Option<f64> {
    keys.iter()
        .find_map(|key| value.get(*key).and_then(Value::as_f64))
        .filter(|number| number.is_finite())
}

/// A value as text: a text as it is, nothing for `null`, else JSON.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => json_text(other),
    }
}

/// The arguments of a tool's call, which have to be a map: what does not parse as one is kept under the key `value`.
pub(super) fn arguments(value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(Value::String(text)) => arguments_text(text),
        Some(map @ Value::Object(_)) => map.clone(),
        Some(other) => under_value(other.clone()),
    }
}

/// The same for arguments that were sent as text.
pub(super) fn arguments_text(text: &str) -> Value {
    if text.is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(map @ Value::Object(_)) => map,
        _ => under_value(Value::from(text)),
    }
}

fn under_value(value: Value) -> Value {
    Value::Object(Map::from_iter([("value".to_owned(), value)]))
}

/// The value without the fields that are `null`, at any depth.
pub(super) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// The first characters of a text, whole.
pub(super) fn first_chars(text: &str, count: usize) -> &str {
    text.char_indices()
        .nth(count)
        .map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_always_a_map() {
        let cases = [
            (json!("{\"a\": 1}"), json!({"a": 1})),
            (json!(""), json!({})),
            (json!(null), json!({})),
            (json!("{\"a\":"), json!({"value": "{\"a\":"})),
            (json!("12"), json!({"value": "12"})),
            (json!([1]), json!({"value": [1]})),
            (json!({"a": {"b": 2}}), json!({"a": {"b": 2}})),
        ];
        for (sent, expected) in cases {
            assert_eq!(arguments(Some(&sent)), expected, "{sent}");
        }
        assert_eq!(arguments(None), json!({}));
    }
}
