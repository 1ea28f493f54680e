//! Values of the suite's requests in the library's words.

use std::time::{Duration, SystemTime};

use ddtrace::EventValue;
use opentelemetry::{Array, KeyValue, StringValue, Value as Attribute};
use serde_json::Value;

/// A field that is a text. A missing one is as good as `null`.
pub(crate) fn text<'a>(body: &'a Value, key: &str) -> Option<&'a str> {
    body[key].as_str()
}

/// A field that is an id: a number, or a text in decimal or, with `0x`, in hexadecimal. 0 is none.
pub(crate) fn id(body: &Value, key: &str) -> Option<u64> {
    let id = match &body[key] {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok()?,
            None => text.parse().ok()?,
        },
        _ => return None,
    };
    (id != 0).then_some(id)
}

/// A moment, in units of so many nanoseconds since the epoch.
pub(crate) fn moment(value: &Value, unit: u64) -> Option<SystemTime> {
    let count = value.as_u64()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(count.saturating_mul(unit)))
}

/// What a tag is set to.
pub(crate) enum Tag {
    Text(String),
    Number(f64),
    /// It is taken away.
    Nothing,
}

/// The tags that a value becomes under a key: lists become one tag an element.
pub(crate) fn flatten(key: &str, value: &Value, visit: &mut dyn FnMut(String, Tag)) {
    let tag = match value {
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                flatten(&format!("{key}.{at}"), element, visit);
            }
            return;
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                flatten(&format!("{key}.{name}"), field, visit);
            }
            return;
        }
        Value::Null => Tag::Nothing,
        Value::Bool(value) => Tag::Text(value.to_string()),
        Value::String(value) => Tag::Text(value.clone()),
        Value::Number(number) => Tag::Number(number.as_f64().unwrap_or(f64::NAN)),
    };
    visit(key.to_owned(), tag);
}

/// The same as texts, for links.
pub(crate) fn flatten_texts(attributes: &Value, visit: &mut dyn FnMut(String, String)) {
    for (key, value) in attributes.as_object().into_iter().flatten() {
        flatten(key, value, &mut |key, tag| match tag {
            Tag::Text(text) => visit(key, text),
            Tag::Number(number) => visit(key, number.to_string()),
            Tag::Nothing => {}
        });
    }
}

/// Attributes for OpenTelemetry. What its interface cannot express is left out: `null`, numbers beyond 64 bits, lists of
/// lists or of mixed kinds.
pub(crate) fn attributes(attributes: &Value) -> Vec<KeyValue> {
    let fields = attributes.as_object().into_iter().flatten();
    fields
        .filter_map(|(key, value)| Some(KeyValue::new(key.clone(), attribute(value)?)))
        .collect()
}

fn attribute(value: &Value) -> Option<Attribute> {
    Some(match value {
        Value::Bool(value) => (*value).into(),
        Value::String(value) => value.clone().into(),
        Value::Number(_) => match (integer(value), float(value)) {
            (Some(value), _) => value.into(),
            (None, value) => value?.into(),
        },
        Value::Array(elements) => Attribute::Array(array(elements)?),
        Value::Null | Value::Object(_) => return None,
    })
}

fn array(elements: &[Value]) -> Option<Array> {
    let texts = || -> Option<Vec<StringValue>> {
        let texts = elements
            .iter()
            .map(|element| Some(element.as_str()?.to_owned().into()));
        texts.collect()
    };
    texts()
        .map(Array::from)
        .or_else(|| {
            Some(
                elements
                    .iter()
                    .map(Value::as_bool)
                    .collect::<Option<Vec<_>>>()?
                    .into(),
            )
        })
        .or_else(|| {
            Some(
                elements
                    .iter()
                    .map(integer)
                    .collect::<Option<Vec<_>>>()?
                    .into(),
            )
        })
        .or_else(|| {
            Some(
                elements
                    .iter()
                    .map(float)
                    .collect::<Option<Vec<_>>>()?
                    .into(),
            )
        })
}

/// The value of an event's attribute, by Datadog's interface.
pub(crate) fn event_value(value: &Value) -> Option<EventValue> {
    Some(match value {
        Value::Bool(value) => (*value).into(),
        Value::String(value) => value.clone().into(),
        Value::Number(_) => match (integer(value), float(value)) {
            (Some(value), _) => value.into(),
            (None, value) => value?.into(),
        },
        Value::Array(elements) => {
            EventValue::Array(elements.iter().filter_map(event_value).collect())
        }
        Value::Null | Value::Object(_) => return None,
    })
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64()
}

/// A number that is no integer. One beyond 64 bits is read as a float, but was written as an integer.
fn float(value: &Value) -> Option<f64> {
    let number = value.as_f64()?;
    let was_integer = number.fract() == 0.0 && number.abs() >= 2f64.powi(63);
    (!was_integer).then_some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_numbers_or_texts() {
        let body = json!({ "a": 18_446_744_073_709_551_615_u64, "b": "12", "c": "0x1f", "d": 0, "e": null, "f": "x" });
        let ids = ["a", "b", "c", "d", "e", "f", "missing"].map(|key| id(&body, key));
        assert_eq!(
            ids,
            [Some(u64::MAX), Some(12), Some(31), None, None, None, None]
        );
    }

    #[test]
    fn what_opentelemetry_cannot_say_is_left_out() {
        let body = r#"{"int": 1, "mixed": [1, "a"], "nested": [[1]], "large": 73786976294838206464,
            "negative": -73786976294838206464, "string": "bar", "double": 2.5, "doubles": [1, 2.5], "none": null}"#;
        let body = serde_json::from_str(body).expect("JSON");
        let mut kept: Vec<_> = attributes(&body)
            .iter()
            .map(|attribute| format!("{}={}", attribute.key, attribute.value))
            .collect();
        kept.sort();
        assert_eq!(
            kept,
            ["double=2.5", "doubles=[1,2.5]", "int=1", "string=bar"]
        );
    }

    #[test]
    fn lists_are_flattened() {
        let mut tags = Vec::new();
        flatten("a", &json!(["x", ["y", true], 1]), &mut |key, tag| {
            let text = match tag {
                Tag::Text(text) => text,
                Tag::Number(number) => format!("#{number}"),
                Tag::Nothing => "-".to_owned(),
            };
            tags.push(format!("{key}={text}"));
        });
        assert_eq!(tags, ["a.0=x", "a.1.0=y", "a.1.1=true", "a.2=#1"]);
    }
}
