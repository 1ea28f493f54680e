//! `POST /v1.0/traces`: maps with integer keys, each text once. Content type `application/msgpack`.
//!
//! Source: datadog-agent, `pkg/proto/datadog/trace/idx`; libdatadog, `libdd-trace-utils/src/msgpack_encoder/v1`; `core.md` §6.3. A text is
//! written where it comes first and gets the next number; from then on the number stands for it. Number 0 is `""`. The numbers
//! belong to the payload, so a chunk that is taken back takes those of its texts with it.
//!
//! What other formats write on the first span of a chunk stands on the chunk here: priority, mechanism, origin, and all 128 bits of the trace's
//! id. Tags that every span has (`env`, `version`, `component`, `span.kind`) are fields.

use std::collections::HashMap;
use std::sync::Arc;

use super::agent::{RUSTC_VERSION, TRACER_VERSION};
use super::finished::FinishedSpan;
use super::json;
use super::msgpack::Write;
use crate::config::Config;
use crate::trace::{EventValue, SpanEvent, SpanLink};

/// Keys of the payload.
mod payload_key {
    pub(super) const CONTAINER_ID: u8 = 2;
    pub(super) const LANGUAGE: u8 = 3;
    pub(super) const LANGUAGE_VERSION: u8 = 4;
    pub(super) const TRACER_VERSION: u8 = 5;
    pub(super) const RUNTIME_ID: u8 = 6;
    pub(super) const ENV: u8 = 7;
    pub(super) const HOSTNAME: u8 = 8;
    pub(super) const APP_VERSION: u8 = 9;
    pub(super) const CHUNKS: u8 = 11;
}

/// Keys of a chunk.
mod chunk_key {
    pub(super) const PRIORITY: u8 = 1;
    pub(super) const ORIGIN: u8 = 2;
    pub(super) const SPANS: u8 = 4;
    pub(super) const TRACE_ID: u8 = 6;
    pub(super) const MECHANISM: u8 = 7;
}

/// Keys of a span.
mod span_key {
    pub(super) const SERVICE: u8 = 1;
    pub(super) const NAME: u8 = 2;
    pub(super) const RESOURCE: u8 = 3;
    pub(super) const SPAN_ID: u8 = 4;
    pub(super) const PARENT_ID: u8 = 5;
    pub(super) const START: u8 = 6;
    pub(super) const DURATION: u8 = 7;
    pub(super) const ERROR: u8 = 8;
    pub(super) const ATTRIBUTES: u8 = 9;
    pub(super) const TYPE: u8 = 10;
    pub(super) const LINKS: u8 = 11;
    pub(super) const EVENTS: u8 = 12;
    pub(super) const ENV: u8 = 13;
    pub(super) const VERSION: u8 = 14;
    pub(super) const COMPONENT: u8 = 15;
    pub(super) const KIND: u8 = 16;
}

/// Types of attributes.
mod attribute {
    pub(super) const TEXT: u8 = 1;
    pub(super) const BOOL: u8 = 2;
    pub(super) const DOUBLE: u8 = 3;
    pub(super) const INT: u8 = 4;
    pub(super) const BYTES: u8 = 5;
    pub(super) const ARRAY: u8 = 6;
}

/// Says in a link's flags that they are known.
const FLAGS_ARE_KNOWN: u32 = 1 << 31;

const PRIORITY: &str = "_sampling_priority_v1";
const ORIGIN: &str = "_dd.origin";
const DECISION_MAKER: &str = "_dd.p.dm";

/// What a payload says about the process once for all spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessHead {
    container_id: String,
    runtime_id: String,
    env: String,
    hostname: String,
    app_version: String,
}

impl ProcessHead {
    pub(crate) fn of(config: &Config, runtime_id: &str, container_id: Option<&str>) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let hostname = config.hostname.as_ref().filter(|_| config.report_hostname);
        Self {
            container_id: container_id.unwrap_or_default().to_owned(),
            runtime_id: runtime_id.to_owned(),
            env: text(&config.env),
            hostname: text(&hostname.cloned()),
            app_version: text(&config.version),
        }
    }
}

/// Encodes one payload after the other.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) body: Vec<u8>,
    head: Arc<ProcessHead>,
    texts: Texts,
    /// Where the array of chunks begins.
    chunks_at: usize,
    /// Where the array of the chunk's spans begins, once it has.
    spans_at: Option<usize>,
    /// Numbers given before the chunk in hand.
    texts_before: u32,
}

impl Encoder {
    pub(super) fn new(head: Arc<ProcessHead>) -> Self {
        let mut encoder = Self {
            body: Vec::new(),
            head,
            texts: Texts::default(),
            chunks_at: 0,
            spans_at: None,
            texts_before: 0,
        };
        encoder.begin();
        encoder
    }

    fn begin(&mut self) {
        let Self {
            body, head, texts, ..
        } = self;
        let fields = [
            (payload_key::CONTAINER_ID, &*head.container_id),
            (payload_key::LANGUAGE, "rust"),
            (payload_key::LANGUAGE_VERSION, RUSTC_VERSION),
            (payload_key::TRACER_VERSION, TRACER_VERSION),
            (payload_key::RUNTIME_ID, &head.runtime_id),
            (payload_key::ENV, &head.env),
            (payload_key::HOSTNAME, &head.hostname),
            (payload_key::APP_VERSION, &head.app_version),
        ];
        let fields = fields.iter().filter(|(_, text)| !text.is_empty());
        body.put_map(fields.clone().count() + 1);
        for (key, text) in fields {
            body.push(*key);
            texts.write(body, text);
        }
        body.push(payload_key::CHUNKS);
        self.chunks_at = body.len();
        body.put_array_32(0);
    }

    pub(super) fn begin_chunk(&mut self) {
        self.spans_at = None;
        self.texts_before = self.texts.count;
    }

    pub(super) fn end_chunk(&mut self, spans: u32) {
        if let Some(at) = self.spans_at {
            self.body[at + 1..at + 5].copy_from_slice(&spans.to_be_bytes());
        }
    }

    /// Takes back the chunk that began here.
    pub(super) fn undo_chunk(&mut self, at: usize) {
        self.body.truncate(at);
        self.texts.forget_from(self.texts_before);
    }

    /// The payload; the next one begins.
    pub(super) fn finish(&mut self, chunks: usize) -> Vec<u8> {
        let count = u32::try_from(chunks).unwrap_or(u32::MAX);
        let at = self.chunks_at;
        self.body[at + 1..at + 5].copy_from_slice(&count.to_be_bytes());
        let body = std::mem::take(&mut self.body);
        self.texts = Texts::default();
        self.begin();
        body
    }

    /// Appends one span, and before the first one the head of its chunk.
    pub(super) fn encode_span(&mut self, span: &FinishedSpan<'_>) {
        if self.spans_at.is_none() {
            self.encode_chunk_head(span);
        }
        let Self { body, texts, .. } = self;
        let texts_of = [
            (span_key::SERVICE, span.service),
            (span_key::NAME, span.name),
            (span_key::RESOURCE, span.resource),
            (span_key::TYPE, span.span_type),
            (span_key::ENV, span.meta("env").unwrap_or_default()),
            (span_key::VERSION, span.meta("version").unwrap_or_default()),
            (
                span_key::COMPONENT,
                span.meta("component").unwrap_or_default(),
            ),
        ];
        let texts_of = texts_of.iter().filter(|(_, text)| !text.is_empty());
        let meta = span.meta.iter().filter(|(key, _)| !is_field(key));
        let metrics = span.metrics.iter().filter(|(key, _)| *key != PRIORITY);
        let attributes = meta.clone().count() + metrics.clone().count() + span.meta_struct.len();
        let optional = [
            span.parent_id != 0,
            span.error,
            attributes > 0,
            !span.links.is_empty(),
            !span.events.is_empty(),
        ];
        let [has_parent, has_error, has_attributes, has_links, has_events] = optional;
        let fields = 4 + texts_of.clone().count() + optional.iter().filter(|is| **is).count();
        body.put_map(fields);
        for (key, text) in texts_of {
            body.push(*key);
            texts.write(body, text);
        }
        for (key, number) in [
            (span_key::SPAN_ID, span.span_id),
            (span_key::START, span.start.max(0) as u64),
            (span_key::DURATION, span.duration.max(0) as u64),
        ] {
            body.push(key);
            body.put_u64(number);
        }
        if has_parent {
            body.push(span_key::PARENT_ID);
            body.put_u64(span.parent_id);
        }
        if has_error {
            body.push(span_key::ERROR);
            body.put_bool(true);
        }
        body.push(span_key::KIND);
        body.push(kind(span.meta("span.kind")));
        if has_attributes {
            body.push(span_key::ATTRIBUTES);
            body.put_array(attributes * 3);
            for (key, value) in meta {
                texts.write(body, key);
                body.push(attribute::TEXT);
                texts.write(body, value);
            }
            for (key, value) in metrics {
                texts.write(body, key);
                body.push(attribute::DOUBLE);
                body.put_f64(*value);
            }
            for (key, value) in &span.meta_struct {
                texts.write(body, key);
                body.push(attribute::BYTES);
                body.put_bin(value);
            }
        }
        if has_links {
            body.push(span_key::LINKS);
            body.put_array(span.links.len());
            for link in &span.links {
                encode_link(body, texts, link);
            }
        }
        if has_events {
            body.push(span_key::EVENTS);
            body.put_array(span.events.len());
            for event in &span.events {
                encode_event(body, texts, event);
            }
        }
    }

    fn encode_chunk_head(&mut self, first: &FinishedSpan<'_>) {
        let Self { body, texts, .. } = self;
        let priority = first.metric(PRIORITY);
        let origin = first.meta(ORIGIN);
        let mechanism = first.meta(DECISION_MAKER).and_then(mechanism);
        let optional = [priority.is_some(), origin.is_some(), mechanism.is_some()];
        body.put_map(2 + optional.iter().filter(|is| **is).count());
        if let Some(priority) = priority {
            body.push(chunk_key::PRIORITY);
            body.put_i64(priority as i64);
        }
        if let Some(origin) = origin {
            body.push(chunk_key::ORIGIN);
            texts.write(body, origin);
        }
        if let Some(mechanism) = mechanism {
            body.push(chunk_key::MECHANISM);
            body.put_uint(u64::from(mechanism));
        }
        body.push(chunk_key::TRACE_ID);
        body.put_bin(&u128::from(first.trace_id).to_be_bytes());
        body.push(chunk_key::SPANS);
        self.spans_at = Some(body.len());
        body.put_array_32(0);
    }
}

/// Whether a tag is a field of the span, or of its chunk.
fn is_field(key: &str) -> bool {
    matches!(
        key,
        "env" | "version" | "component" | "span.kind" | "_dd.p.tid" | ORIGIN | DECISION_MAKER
    )
}

/// The number in a decision maker such as `-4`.
fn mechanism(decision_maker: &str) -> Option<u32> {
    decision_maker.strip_prefix('-')?.parse().ok()
}

/// OpenTelemetry's number of a kind; what is none is internal.
fn kind(text: Option<&str>) -> u8 {
    match text {
        Some("server") => 2,
        Some("client") => 3,
        Some("producer") => 4,
        Some("consumer") => 5,
        _ => 1,
    }
}

fn encode_link(body: &mut Vec<u8>, texts: &mut Texts, link: &SpanLink) {
    let optional = [
        !link.attributes.is_empty(),
        link.tracestate.is_some(),
        link.flags.is_some(),
    ];
    body.put_map(2 + optional.iter().filter(|is| **is).count());
    body.push(1);
    body.put_bin(&u128::from(link.target.trace_id).to_be_bytes());
    body.push(2);
    body.put_u64(link.target.span_id.get());
    if !link.attributes.is_empty() {
        body.push(3);
        body.put_array(link.attributes.len() * 3);
        for (key, value) in &link.attributes {
            texts.write(body, key);
            body.push(attribute::TEXT);
            texts.write(body, value);
        }
    }
    if let Some(tracestate) = &link.tracestate {
        body.push(4);
        texts.write(body, tracestate);
    }
    if let Some(flags) = link.flags {
        body.push(5);
        body.put_uint(u64::from(flags | FLAGS_ARE_KNOWN));
    }
}

fn encode_event(body: &mut Vec<u8>, texts: &mut Texts, event: &SpanEvent) {
    let attributes = event
        .attributes
        .iter()
        .filter(|(_, value)| json::is_sendable(value));
    let count = attributes.clone().count();
    body.put_map(2 + usize::from(count > 0));
    body.push(1);
    body.put_u64(event.time_unix_nano);
    body.push(2);
    texts.write(body, &event.name);
    if count > 0 {
        body.push(3);
        body.put_array(count * 3);
        for (key, value) in attributes {
            texts.write(body, key);
            encode_value(body, texts, value);
        }
    }
}

/// Type and value.
fn encode_value(body: &mut Vec<u8>, texts: &mut Texts, value: &EventValue) {
    match value {
        EventValue::Text(text) => {
            body.push(attribute::TEXT);
            texts.write(body, text);
        }
        EventValue::Bool(flag) => {
            body.push(attribute::BOOL);
            body.put_bool(*flag);
        }
        EventValue::Double(number) => {
            body.push(attribute::DOUBLE);
            body.put_f64(*number);
        }
        EventValue::Int(number) => {
            body.push(attribute::INT);
            body.put_i64(*number);
        }
        EventValue::Array(values) => {
            body.push(attribute::ARRAY);
            // Types and values, flat.
            body.put_array(values.len() * 2);
            for value in values {
                encode_value(body, texts, value);
            }
        }
    }
}

/// The texts of a payload and their numbers.
#[derive(Debug, Default)]
struct Texts {
    known: HashMap<Box<str>, u32>,
    /// Numbers given; the empty text has 0 without being given it.
    count: u32,
}

impl Texts {
    /// Writes a text, or its number if it was written before.
    fn write(&mut self, body: &mut Vec<u8>, text: &str) {
        if text.is_empty() {
            body.push(0);
        } else if let Some(number) = self.known.get(text) {
            body.put_uint(u64::from(*number));
        } else {
            self.count += 1;
            self.known.insert(text.into(), self.count);
            body.put_str(text);
        }
    }

    /// Forgets what was given a number after these.
    fn forget_from(&mut self, count: u32) {
        self.known.retain(|_, number| *number <= count);
        self.count = count;
    }
}

#[cfg(test)]
mod tests {
    use super::super::payload::{Format, PayloadBuilder};
    use super::*;
    use crate::trace::{SpanContextId, SpanId, TraceId};
    use proptest::prelude::*;

    fn text(text: &str) -> Vec<u8> {
        assert!(text.len() < 32);
        [&[0xa0 | text.len() as u8], text.as_bytes()].concat()
    }

    fn number(value: u64) -> Vec<u8> {
        [&[0xcf], &value.to_be_bytes()[..]].concat()
    }

    fn double(value: f64) -> Vec<u8> {
        [&[0xcb], &value.to_be_bytes()[..]].concat()
    }

    fn array_32(count: u8) -> Vec<u8> {
        vec![0xdd, 0, 0, 0, count]
    }

    fn encoded(chunks: &[Vec<FinishedSpan<'_>>]) -> Vec<u8> {
        let mut builder = PayloadBuilder::new(Format::V1);
        for chunk in chunks {
            builder.begin_chunk();
            chunk.iter().for_each(|span| builder.push(span));
            builder.end_chunk();
        }
        let payload = builder.take();
        assert_eq!((payload.chunks, payload.format), (chunks.len(), Format::V1));
        payload.body
    }

    fn span() -> FinishedSpan<'static> {
        FinishedSpan {
            service: "s",
            name: "n",
            resource: "n",
            trace_id: TraceId::new(1, 7),
            span_id: 2,
            start: 10,
            duration: 5,
            ..FinishedSpan::default()
        }
    }

    /// The head of a payload of a process that says nothing about itself, and what follows it by hand.
    #[test]
    fn a_payload_is_what_the_schema_says() {
        let mut first = span();
        first.set_metric("_sampling_priority_v1", 2.0);
        first.set_meta("_dd.p.dm", "-4");
        first.set_meta("_dd.origin", "rum");
        first.set_meta("_dd.p.tid", "0000000000000001");
        first.set_meta("env", "prod");
        first.set_meta("span.kind", "client");
        first.set_meta("k", "prod");
        first.meta_struct.push(("m", &[0x80]));
        let mut second = span();
        second.parent_id = 2;
        second.error = true;
        second.set_metric("k", 1.5);
        let id = [&[0u8; 7][..], &[1], &[0; 7], &[7]].concat();
        let expected = [
            // Language, its version, the tracer's version, chunks. Texts 1 to 3.
            vec![0x84, 3],
            text("rust"),
            vec![4],
            text(RUSTC_VERSION),
            vec![5],
            text(TRACER_VERSION),
            vec![11],
            array_32(1),
            // The chunk: priority, origin (text 4), mechanism, id, spans.
            vec![0x85, 1, 0xd3, 0, 0, 0, 0, 0, 0, 0, 2, 2],
            text("rum"),
            vec![7, 4, 6, 0xc4, 16],
            id,
            vec![4],
            array_32(2),
            // The first span: texts 5 (s), 6 (n), 7 (prod).
            vec![0x89, 1],
            text("s"),
            vec![2],
            text("n"),
            vec![3, 6, 13],
            text("prod"),
            vec![4],
            number(2),
            vec![6],
            number(10),
            vec![7],
            number(5),
            vec![16, 3],
            // Its attributes: k (text 8) is text 7, m (text 9) is bytes.
            vec![9, 0x96],
            text("k"),
            vec![1, 7],
            text("m"),
            vec![5, 0xc4, 1, 0x80],
            // The second span.
            vec![0x8a, 1, 5, 2, 6, 3, 6, 4],
            number(2),
            vec![6],
            number(10),
            vec![7],
            number(5),
            vec![5],
            number(2),
            vec![8, 0xc3, 16, 1, 9, 0x93, 8, 3],
            double(1.5),
        ]
        .concat();
        assert_eq!(encoded(&[vec![first, second]]), expected);
    }

    #[test]
    fn links_and_events_are_typed() {
        let link = SpanLink::new(SpanContextId {
            trace_id: TraceId::new(0, 7),
            span_id: SpanId::new(9),
        })
        .with_flags(1)
        .with_attribute("k", "v");
        let event = SpanEvent {
            name: "e".into(),
            time_unix_nano: 3,
            attributes: vec![
                ("l".into(), vec![1i64, 2].into()),
                ("b".into(), true.into()),
            ],
        };
        let bare = encoded(&[vec![span()]]);
        let mut span = span();
        span.links.push(&link);
        span.events.push(&event);
        let body = encoded(&[vec![span]]);
        let tail = [
            vec![11, 0x91, 0x84, 1, 0xc4, 16],
            7u128.to_be_bytes().to_vec(),
            vec![2],
            number(9),
            vec![3, 0x93],
            text("k"),
            vec![1],
            text("v"),
            vec![5, 0xce, 0x80, 0, 0, 1],
            vec![12, 0x91, 0x83, 1],
            number(3),
            vec![2],
            text("e"),
            vec![3, 0x96],
            text("l"),
            vec![
                6, 0x94, 4, 0xd3, 0, 0, 0, 0, 0, 0, 0, 1, 4, 0xd3, 0, 0, 0, 0, 0, 0, 0, 2,
            ],
            text("b"),
            vec![2, 0xc3],
        ]
        .concat();
        assert_eq!(body[bare.len()..], tail, "behind all else");
    }

    proptest! {
        #[test]
        fn a_chunk_that_is_taken_back_leaves_no_trace(
            texts in proptest::collection::vec("[a-c]{0,2}", 9), ended: bool,
        ) {
            let chunk = |at: usize| {
                let mut span = span();
                span.service = &texts[at];
                span.resource = &texts[at + 1];
                span.set_meta(&texts[at + 2], "v");
                span
            };
            let mut builder = PayloadBuilder::new(Format::V1);
            for at in [0, 3, 6] {
                builder.begin_chunk();
                builder.push(&chunk(at));
                if at != 3 || ended {
                    builder.end_chunk();
                }
                if at == 3 {
                    builder.undo_chunk();
                }
            }
            prop_assert_eq!(builder.take().body, encoded(&[vec![chunk(0)], vec![chunk(6)]]));
            // The next payload begins with a table of its own.
            builder.begin_chunk();
            builder.push(&chunk(0));
            builder.end_chunk();
            prop_assert_eq!(builder.take().body, encoded(&[vec![chunk(0)]]));
        }
    }
}
