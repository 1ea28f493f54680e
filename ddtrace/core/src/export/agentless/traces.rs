//! `POST /v1/input`, `application/json`: traces for an intake, without an agent.
//!
//! `{"traces":[{"hostname":…,"env":…,"spans":[…]}]}`: what other formats say in headers stands on every chunk. Ids are 16 lower-case hexadecimal
//! digits; links and events are JSON in `meta`. Nobody has computed anything yet, so the first span of a chunk says
//! `_dd.compute_stats`, and the root of a trace `_trace_root`. Structured metadata is msgpack everywhere else and stands here
//! as the JSON that it means.
//!
//! Source: libdatadog, `libdd-trace-utils/src/agentless_encoder`; `core.md` §7.5.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::transcode::msgpack_as_json;
use crate::config::Config;
use crate::export::agent::{RUSTC_VERSION, TRACER_VERSION};
use crate::export::finished::FinishedSpan;
use crate::export::json;
use crate::text::floor_char_boundary;

/// The most of a text in `meta`, in bytes.
const TEXT_LIMIT: usize = 25_000;
const CUT_MARK: &str = "...";

const BEGIN: &[u8] = br#"{"traces":["#;

/// What every chunk says about the process, as JSON up to its spans.
#[derive(Clone, Debug)]
pub(crate) struct ChunkHead(String);

impl Default for ChunkHead {
    fn default() -> Self {
        Self(r#"{"spans":["#.to_owned())
    }
}

impl ChunkHead {
    pub(crate) fn of(config: &Config, runtime_id: &str, container_id: Option<&str>) -> Self {
        let mut head = String::from("{");
        let hostname = Some(config.hostname.as_deref().unwrap_or_default());
        for (key, value) in [
            ("hostname", hostname),
            ("env", config.env.as_deref()),
            ("languageName", Some("rust")),
            ("languageVersion", Some(RUSTC_VERSION)),
            ("tracerVersion", Some(TRACER_VERSION)),
            ("runtimeID", Some(runtime_id)),
            ("containerID", container_id),
        ] {
            if let Some(value) = value {
                // A text as JSON cannot fail.
                let value = serde_json::to_string(value).unwrap_or_default();
                head.push_str(&format!(r#""{key}":{value},"#));
            }
        }
        head.push_str(r#""spans":["#);
        Self(head)
    }
}

/// Encodes one payload after the other.
#[derive(Debug)]
pub(in crate::export) struct Encoder {
    pub(in crate::export) body: Vec<u8>,
    head: Arc<ChunkHead>,
    is_first: bool,
}

impl Encoder {
    pub(in crate::export) fn new(head: Arc<ChunkHead>) -> Self {
        Self {
            body: BEGIN.to_vec(),
            head,
            is_first: true,
        }
    }

    pub(in crate::export) fn begin_chunk(&mut self) {
        self.is_first = true;
    }

    pub(in crate::export) fn encode_span(&mut self, span: &FinishedSpan<'_>) {
        let is_first = std::mem::take(&mut self.is_first);
        if is_first {
            if self.body.len() > BEGIN.len() {
                self.body.push(b',');
            }
            self.body.extend_from_slice(self.head.0.as_bytes());
        } else {
            self.body.push(b',');
        }
        // Writing to a vector cannot fail, and every key is a text.
        let _ = serde_json::to_writer(&mut self.body, &SpanAsJson { span, is_first });
    }

    pub(in crate::export) fn end_chunk(&mut self) {
        self.body.extend_from_slice(b"]}");
    }

    /// The payload; the next one begins.
    pub(in crate::export) fn finish(&mut self) -> Vec<u8> {
        self.body.extend_from_slice(b"]}");
        std::mem::replace(&mut self.body, BEGIN.to_vec())
    }
}

struct SpanAsJson<'a, 'b> {
    span: &'b FinishedSpan<'a>,
    is_first: bool,
}

impl Serialize for SpanAsJson<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.span;
        let id = |id: u64| format!("{id:016x}");
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("trace_id", &id(span.trace_id.low()))?;
        map.serialize_entry("span_id", &id(span.span_id))?;
        map.serialize_entry("parent_id", &id(span.parent_id))?;
        map.serialize_entry("name", span.name)?;
        map.serialize_entry("resource", span.resource)?;
        map.serialize_entry("service", span.service)?;
        map.serialize_entry("error", &u8::from(span.error))?;
        map.serialize_entry("start", &span.start.max(0))?;
        map.serialize_entry("duration", &span.duration)?;
        if !span.span_type.is_empty() {
            map.serialize_entry("type", span.span_type)?;
        }
        map.serialize_entry("meta", &Meta(self))?;
        map.serialize_entry("metrics", &Metrics(span))?;
        let structs = span.meta_struct.iter();
        // What is no msgpack is left out alone; the rest of the payload must not suffer.
        let structs = structs.filter_map(|(key, bytes)| Some((*key, msgpack_as_json(bytes)?)));
        let structs: Vec<_> = structs.collect();
        if !structs.is_empty() {
            map.serialize_entry("meta_struct", &Pairs(structs))?;
        }
        map.end()
    }
}

struct Pairs<'a>(Vec<(&'a str, serde_json::Value)>);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

struct Meta<'a, 'b, 'c>(&'c SpanAsJson<'a, 'b>);

impl Serialize for Meta<'_, '_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.0.span;
        let has = |key: &str| span.meta(key).is_some();
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &span.meta {
            map.serialize_entry(key, value)?;
        }
        if !span.links.is_empty() && !has("_dd.span_links") {
            map.serialize_entry("_dd.span_links", &cut(json::links(&span.links)))?;
        }
        if !span.events.is_empty() && !has("events") {
            map.serialize_entry("events", &cut(json::events(&span.events)))?;
        }
        if self.0.is_first && !has("_dd.compute_stats") {
            map.serialize_entry("_dd.compute_stats", "1")?;
        }
        map.end()
    }
}

struct Metrics<'a, 'b>(&'b FinishedSpan<'a>);

impl Serialize for Metrics<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.0;
        // JSON has no word for what is not a number.
        let own = span.metrics.iter().filter(|(_, value)| value.is_finite());
        let is_root = span.parent_id == 0 && span.metric("_trace_root").is_none();
        let root = is_root.then_some(("_trace_root", 1.0));
        serializer.collect_map(own.copied().chain(root))
    }
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_LIMIT {
        text.truncate(floor_char_boundary(&text, TEXT_LIMIT - CUT_MARK.len()));
        text.push_str(CUT_MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::MapEnvironment;
    use crate::trace::{SpanContextId, SpanEvent, SpanId, SpanLink, TraceId};

    fn head() -> Arc<ChunkHead> {
        let environment = MapEnvironment::new()
            .variable("DD_ENV", "a\"b")
            .variable("DD_HOSTNAME", "h");
        let config = Config::builder().environment(&environment).build();
        Arc::new(ChunkHead::of(&config, "r", Some("c")))
    }

    fn encoded(chunks: &[Vec<FinishedSpan<'_>>]) -> Value {
        let mut encoder = Encoder::new(head());
        for chunk in chunks {
            encoder.begin_chunk();
            chunk.iter().for_each(|span| encoder.encode_span(span));
            encoder.end_chunk();
        }
        serde_json::from_slice(&encoder.finish()).unwrap()
    }

    fn span(id: u64, parent_id: u64) -> FinishedSpan<'static> {
        FinishedSpan {
            service: "s",
            name: "n",
            resource: "r",
            trace_id: TraceId::new(1, 0xabc),
            span_id: id,
            parent_id,
            start: 10,
            duration: 5,
            ..FinishedSpan::default()
        }
    }

    #[test]
    fn a_payload_is_what_the_intake_wants() {
        let link = SpanLink::new(SpanContextId {
            trace_id: TraceId::new(1, 2),
            span_id: SpanId::new(3),
        });
        let event = SpanEvent {
            name: "e".into(),
            time_unix_nano: 3,
            attributes: Vec::new(),
        };
        let mut root = span(255, 0);
        root.span_type = "web";
        root.set_metric("nan", f64::NAN);
        root.links.push(&link);
        root.events.push(&event);
        root.meta_struct
            .push(("note", &[0x81, 0xa1, b'k', 0x92, 0x01, 0xc3]));
        root.meta_struct.push(("broken", &[0x92, 0x01]));
        let mut child = span(256, 255);
        child.error = true;
        child.set_metric("k", 1.5);
        let got = encoded(&[vec![root, child], vec![span(1, 9)]]);
        let process = |spans: Value| {
            json!({
                "hostname": "h", "env": "a\"b", "languageName": "rust", "languageVersion": RUSTC_VERSION,
                "tracerVersion": TRACER_VERSION, "runtimeID": "r", "containerID": "c", "spans": spans,
            })
        };
        let span = |id: &str, parent: &str, error: u8, meta: Value, metrics: Value| {
            json!({
                "trace_id": "0000000000000abc", "span_id": id, "parent_id": parent, "name": "n", "resource": "r",
                "service": "s", "error": error, "start": 10, "duration": 5, "meta": meta, "metrics": metrics,
            })
        };
        let mut first = span(
            "00000000000000ff",
            "0000000000000000",
            0,
            json!({
                "_dd.span_links": r#"[{"trace_id":"00000000000000010000000000000002","span_id":"0000000000000003"}]"#,
                "events": r#"[{"name":"e","time_unix_nano":3}]"#,
                "_dd.compute_stats": "1",
            }),
            json!({ "_trace_root": 1.0 }),
        );
        first["type"] = json!("web");
        first["meta_struct"] = json!({ "note": { "k": [1, true] } });
        let second = span(
            "0000000000000100",
            "00000000000000ff",
            1,
            json!({}),
            json!({ "k": 1.5 }),
        );
        let other = span(
            "0000000000000001",
            "0000000000000009",
            0,
            json!({ "_dd.compute_stats": "1" }),
            json!({}),
        );
        let expected =
            json!({ "traces": [process(json!([first, second])), process(json!([other]))] });
        assert_eq!(got, expected);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = cut("é".repeat(20_000));
        assert!(text.len() <= TEXT_LIMIT && text.ends_with("é..."));
        assert_eq!(cut("short".to_owned()), "short");
    }
}
