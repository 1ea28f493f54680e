//! Attributes as tags, as attributes of events, and as attributes of links.

use std::borrow::Cow;

use ddtrace_core::events::{Attribute, Followers};
use ddtrace_core::trace::{AnySpan, EventValue, Value as Written};
use opentelemetry::{Array, Key, KeyValue, Value};

/// The metric that `analytics.event` sets.
const EVENT_SAMPLE_RATE: &str = "_dd1.sr.eausr";

/// A key that need not be copied if it is one of the usual ones.
fn tag_key(key: &Key) -> Cow<'static, str> {
    match key.as_str() {
        "http.response.status_code" => Cow::Borrowed("http.status_code"),
        other => Cow::Owned(other.to_owned()),
    }
}

/// The tags that an attribute becomes: one, or one for each element of an array.
pub(crate) fn for_each_tag(
    attribute: &KeyValue,
    mut visit: impl FnMut(Cow<'static, str>, Written<'_>),
) {
    if attribute.key.as_str() == "analytics.event" {
        if let Some(rate) = as_switch(&attribute.value) {
            visit(EVENT_SAMPLE_RATE.into(), Written::Number(rate));
        }
        return;
    }
    let key = tag_key(&attribute.key);
    match &attribute.value {
        Value::Bool(value) => visit(key, Written::Static(truth(*value))),
        Value::I64(value) => visit(key, Written::Number(*value as f64)),
        Value::F64(value) => visit(key, Written::Number(*value)),
        Value::String(value) => visit(key, Written::Text(value.as_str())),
        Value::Array(array) => for_each_element(array, |at, element| {
            let key = format!("{key}.{at}").into();
            match &element {
                EventValue::Text(text) => visit(key, Written::Text(text)),
                EventValue::Bool(value) => visit(key, Written::Static(truth(*value))),
                EventValue::Int(value) => visit(key, Written::Number(*value as f64)),
                EventValue::Double(value) => visit(key, Written::Number(*value)),
                _ => {}
            }
        }),
        // A sort of value that a later version of the interface adds.
        other => visit(key, Written::Text(&other.as_str())),
    }
}

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// A boolean as Go's `strconv.ParseBool` reads it, which is what all languages have settled on here.
fn as_switch(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(f64::from(*value)),
        value => match &*value.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(1.0),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(0.0),
            _ => None,
        },
    }
}

/// Shows an attribute to whoever follows its span.
pub(crate) fn show(followers: &Followers, span: AnySpan<'_>, attribute: &KeyValue) {
    if followers.is_empty() {
        return;
    }
    let key = attribute.key.as_str();
    match &attribute.value {
        Value::Bool(value) => followers.written(span, key, Attribute::Bool(*value)),
        Value::I64(value) => followers.written(span, key, Attribute::Number(*value as f64)),
        Value::F64(value) => followers.written(span, key, Attribute::Number(*value)),
        Value::Array(array) => {
            let mut texts = Vec::new();
            for_each_element(array, |_, element| texts.extend(shown(element)));
            followers.written(span, key, Attribute::List(&texts));
        }
        other => followers.written(span, key, Attribute::Text(&other.as_str())),
    }
}

/// An element of an array as text.
fn shown(element: EventValue) -> Option<Cow<'static, str>> {
    Some(match element {
        EventValue::Text(text) => text,
        EventValue::Bool(value) => truth(value).into(),
        EventValue::Int(value) => value.to_string().into(),
        EventValue::Double(value) => value.to_string().into(),
        _ => return None,
    })
}

/// An attribute of an event, with its type.
pub(crate) fn event_attribute(attribute: &KeyValue) -> (Cow<'static, str>, EventValue) {
    let value = match &attribute.value {
        Value::Bool(value) => EventValue::Bool(*value),
        Value::I64(value) => EventValue::Int(*value),
        Value::F64(value) => EventValue::Double(*value),
        Value::Array(array) => {
            let mut elements = Vec::new();
            for_each_element(array, |_, element| elements.push(element));
            EventValue::Array(elements)
        }
        other => EventValue::Text(other.as_str().into_owned().into()),
    };
    (attribute.key.as_str().to_owned().into(), value)
}

/// The attributes of a link: texts, one for each element of an array.
pub(crate) fn for_each_link_attribute(
    attributes: &[KeyValue],
    mut visit: impl FnMut(String, String),
) {
    for KeyValue { key, value, .. } in attributes {
        match value {
            Value::Array(array) => for_each_element(array, |at, element| {
                if let Some(text) = shown(element) {
                    visit(format!("{key}.{at}"), text.into_owned());
                }
            }),
            value => visit(key.to_string(), value.as_str().into_owned()),
        }
    }
}

fn for_each_element(array: &Array, mut visit: impl FnMut(usize, EventValue)) {
    match array {
        Array::Bool(values) => {
            (values.iter().enumerate()).for_each(|(at, value)| visit(at, (*value).into()));
        }
        Array::I64(values) => {
            (values.iter().enumerate()).for_each(|(at, value)| visit(at, (*value).into()));
        }
        Array::F64(values) => {
            (values.iter().enumerate()).for_each(|(at, value)| visit(at, (*value).into()));
        }
        Array::String(values) => (values.iter().enumerate())
            .for_each(|(at, value)| visit(at, value.as_str().to_owned().into())),
        // A sort of array that a later version of the interface adds.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_read_as_go_reads_booleans() {
        for (value, expected) in [
            (Value::from("true"), Some(1.0)),
            ("TRUE".into(), Some(1.0)),
            ("True".into(), Some(1.0)),
            ("t".into(), Some(1.0)),
            ("T".into(), Some(1.0)),
            ("1".into(), Some(1.0)),
            ("false".into(), Some(0.0)),
            ("F".into(), Some(0.0)),
            ("f".into(), Some(0.0)),
            ("0".into(), Some(0.0)),
            (true.into(), Some(1.0)),
            (false.into(), Some(0.0)),
            ("something-else".into(), None),
            ("fAlse".into(), None),
            ("trUe".into(), None),
        ] {
            assert_eq!(as_switch(&value), expected, "{value:?}");
        }
    }

    #[test]
    fn links_have_a_text_for_each_element() {
        let mut found = Vec::new();
        let attributes = [
            KeyValue::new("foo", "bar"),
            KeyValue::new("bools", Value::Array(vec![true, false].into())),
            KeyValue::new("nested", Value::Array(vec![1, 2].into())),
        ];
        for_each_link_attribute(&attributes, |key, value| found.push((key, value)));
        let expected = [
            ("foo", "bar"),
            ("bools.0", "true"),
            ("bools.1", "false"),
            ("nested.0", "1"),
            ("nested.1", "2"),
        ];
        assert_eq!(
            found,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }
}
