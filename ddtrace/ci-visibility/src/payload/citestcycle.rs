//! `POST /api/v2/citestcycle`, `application/msgpack`: events with what they have in common.
//!
//! `{version: 1, metadata: {"*": {…}, test: {…}}, events: [{type, version, content}, …]}`

use std::collections::BTreeMap;

use rmp::encode as write;
use serde_json::{Map, Value, json};

use super::cut;
use super::event::Event;

/// Tags of all events, and of tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// For every event.
    pub all: BTreeMap<String, String>,
    /// For tests.
    pub test: BTreeMap<String, String>,
}

// Writing into a vector cannot fail; `rmp` says so with a type that its functions hide.
macro_rules! put {
    ($result:expr) => {
        let _ = $result;
    };
}

pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    put!(write::write_str(out, text));
}

pub(super) fn map(out: &mut Vec<u8>, length: usize) {
    put!(write::write_map_len(out, length as u32));
}

pub(super) fn array(out: &mut Vec<u8>, length: usize) {
    put!(write::write_array_len(out, length as u32));
}

pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    put!(write::write_uint(out, number));
}

pub(super) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put!(write::write_bin(out, bytes));
}

fn texts(out: &mut Vec<u8>, texts: &BTreeMap<String, String>) {
    map(out, texts.len());
    for (key, value) in texts {
        text(out, key);
        text(out, cut(value));
    }
}

/// A body of these written events.
pub(super) fn msgpack(metadata: &Metadata, events: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096 + events.iter().map(Vec::len).sum::<usize>());
    map(&mut out, 3);
    text(&mut out, "version");
    number(&mut out, 1);
    text(&mut out, "metadata");
    map(&mut out, 2);
    text(&mut out, "*");
    texts(&mut out, &metadata.all);
    text(&mut out, "test");
    texts(&mut out, &metadata.test);
    text(&mut out, "events");
    array(&mut out, events.len());
    for event in events {
        out.extend_from_slice(event);
    }
    out
}

/// The same for a file, of events that were written as JSON.
pub(super) fn json_prefix(metadata: &Metadata) -> String {
    let cut_all = |texts: &BTreeMap<String, String>| -> Map<String, Value> {
        let one = |(key, value): (&String, &String)| (key.clone(), Value::from(cut(value)));
        texts.iter().map(one).collect()
    };
    let metadata = json!({"*": cut_all(&metadata.all), "test": cut_all(&metadata.test)});
    format!(r#"{{"version":1,"metadata":{metadata},"events":["#)
}

impl Event {
    /// Writes the event as MessagePack.
    pub fn to_msgpack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        map(&mut out, 3);
        text(&mut out, "type");
        text(&mut out, self.kind.as_str());
        text(&mut out, "version");
        number(&mut out, u64::from(self.kind.version()));
        text(&mut out, "content");
        let ids = self.ids();
        map(
            &mut out,
            9 + ids.len() + usize::from(self.itr_correlation_id.is_some()),
        );
        for (name, id) in ids {
            text(&mut out, name);
            number(&mut out, id);
        }
        if let Some(id) = &self.itr_correlation_id {
            text(&mut out, "itr_correlation_id");
            text(&mut out, id);
        }
        for (name, value) in [
            ("type", &self.content_type),
            ("name", &self.name),
            ("resource", &self.resource),
            ("service", &self.service),
        ] {
            text(&mut out, name);
            text(&mut out, cut(value));
        }
        for (name, value) in [("start", self.start), ("duration", self.duration)] {
            text(&mut out, name);
            number(&mut out, value);
        }
        text(&mut out, "error");
        put!(write::write_sint(&mut out, i64::from(self.error)));
        text(&mut out, "meta");
        texts(&mut out, &self.meta);
        text(&mut out, "metrics");
        map(&mut out, self.metrics.len());
        for (key, value) in &self.metrics {
            text(&mut out, key);
            put!(write::write_f64(&mut out, *value));
        }
        out
    }

    /// Writes the event as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut content = json!({
            "type": self.content_type, "name": self.name, "resource": self.resource,
            "service": self.service, "start": self.start, "duration": self.duration,
            "error": self.error, "meta": self.meta, "metrics": self.metrics,
        });
        for (name, id) in self.ids() {
            content[name] = Value::from(id);
        }
        if let Some(id) = &self.itr_correlation_id {
            content["itr_correlation_id"] = Value::from(id.as_str());
        }
        let event = json!({
            "type": self.kind.as_str(), "version": self.kind.version(), "content": content,
        });
        event.to_string().into_bytes()
    }

    fn ids(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("trace_id", self.trace.map(|(trace, _, _)| trace)),
            ("span_id", self.trace.map(|(_, span, _)| span)),
            ("parent_id", self.trace.map(|(_, _, parent)| parent)),
            ("test_session_id", self.session_id),
            ("test_module_id", self.module_id),
            ("test_suite_id", self.suite_id),
        ];
        all.into_iter()
            .filter_map(|(name, id)| Some((name, id?)))
            .collect()
    }
}
