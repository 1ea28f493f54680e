//! Links and events as JSON text, for the formats that have no structures for them.
//!
//! Events: meta key `events`; links: meta key `_dd.span_links`. Source: dd-trace-py, `ddtrace/internal/encoding.py` and
//! `ddtrace/_trace/_span_link.py`; the test agent parses both.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::trace::{EventValue, SpanEvent, SpanLink};

/// A tag's text is cut above 25,000 characters, and a cut list would be no JSON: events that do not fit are left out whole.
const EVENTS_LIMIT: usize = 24_000;

/// The text of `events`.
pub(super) fn events(events: &[&SpanEvent]) -> String {
    let mut text = String::from("[");
    for event in events {
        let one = serde_json::to_string(&EventAsJson(event)).unwrap_or_default();
        if one.is_empty() || text.len() + one.len() > EVENTS_LIMIT {
            continue;
        }
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&one);
    }
    text.push(']');
    text
}

/// The text of `_dd.span_links`.
pub(super) fn links(links: &[&SpanLink]) -> String {
    let links: Vec<_> = links.iter().map(|link| LinkAsJson(link)).collect();
    serde_json::to_string(&links).unwrap_or_default()
}

/// Whether an attribute can be sent: arrays hold values of one kind, and no arrays; numbers are finite.
pub(super) fn is_sendable(value: &EventValue) -> bool {
    match value {
        EventValue::Array(values) => {
            let is_flat = values
                .iter()
                .all(|value| !matches!(value, EventValue::Array(_)) && is_sendable(value));
            let kind = values.first().map(std::mem::discriminant);
            is_flat
                && values
                    .iter()
                    .all(|value| Some(std::mem::discriminant(value)) == kind)
        }
        EventValue::Double(number) => number.is_finite(),
        _ => true,
    }
}

struct EventAsJson<'a>(&'a SpanEvent);

impl Serialize for EventAsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.0.name)?;
        map.serialize_entry("time_unix_nano", &self.0.time_unix_nano)?;
        if self
            .0
            .attributes
            .iter()
            .any(|(_, value)| is_sendable(value))
        {
            map.serialize_entry("attributes", &AttributesAsJson(&self.0.attributes))?;
        }
        map.end()
    }
}

struct AttributesAsJson<'a>(&'a [(std::borrow::Cow<'static, str>, EventValue)]);

impl Serialize for AttributesAsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sendable = self.0.iter().filter(|(_, value)| is_sendable(value));
        serializer.collect_map(sendable.map(|(key, value)| (key, ValueAsJson(value))))
    }
}

struct ValueAsJson<'a>(&'a EventValue);

impl Serialize for ValueAsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            EventValue::Text(text) => serializer.serialize_str(text),
            EventValue::Bool(flag) => serializer.serialize_bool(*flag),
            EventValue::Int(number) => serializer.serialize_i64(*number),
            EventValue::Double(number) => serializer.serialize_f64(*number),
            EventValue::Array(values) => serializer.collect_seq(values.iter().map(ValueAsJson)),
        }
    }
}

struct LinkAsJson<'a>(&'a SpanLink);

impl Serialize for LinkAsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let link = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("trace_id", &link.target.trace_id.to_string())?;
        map.serialize_entry("span_id", &format!("{:016x}", link.target.span_id))?;
        if !link.attributes.is_empty() {
            let attributes = link.attributes.iter().map(|(key, value)| (key, value));
            map.serialize_entry(
                "attributes",
                &attributes.collect::<std::collections::BTreeMap<_, _>>(),
            )?;
        }
        if let Some(tracestate) = &link.tracestate {
            map.serialize_entry("tracestate", tracestate)?;
        }
        if let Some(flags) = link.flags {
            map.serialize_entry("flags", &flags)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{SpanContextId, SpanId, TraceId};

    #[test]
    fn links_have_hexadecimal_ids() {
        let target = SpanContextId {
            trace_id: TraceId::new(1, 2),
            span_id: SpanId::new(10),
        };
        let link = SpanLink::new(target).with_attribute("k", "v").with_flags(1);
        assert_eq!(
            links(&[&link]),
            r#"[{"trace_id":"00000000000000010000000000000002","span_id":"000000000000000a","attributes":{"k":"v"},"flags":1}]"#
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let event = SpanEvent {
            name: "x".repeat(10_000).into(),
            time_unix_nano: 1,
            attributes: Vec::new(),
        };
        let text = events(&[&event, &event, &event]);
        assert_eq!(
            serde_json::from_str::<Vec<serde_json::Value>>(&text)
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn attributes_that_cannot_be_sent_are_left_out() {
        let mixed = EventValue::Array(vec![1i64.into(), "a".into()]);
        let nested = EventValue::Array(vec![EventValue::Array(Vec::new())]);
        let event = SpanEvent {
            name: "e".into(),
            time_unix_nano: 1,
            attributes: vec![
                ("m".into(), mixed),
                ("n".into(), nested),
                ("d".into(), f64::NAN.into()),
            ],
        };
        assert_eq!(events(&[&event]), r#"[{"name":"e","time_unix_nano":1}]"#);
    }
}
