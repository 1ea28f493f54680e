//! `POST /v0.4/traces`: an array of chunks, each an array of span maps. Content type `application/msgpack`.
//!
//! Source of fields, types and presence: libdatadog, `libdd-trace-utils/src/msgpack_encoder/v04`; the agent's
//! `pkg/proto/datadog/trace/span.proto`. Numbers in `metrics` are always 64-bit floats; `parent_id`, `error`, `type` and the
//! lists are left out where they are zero or empty. The order of keys means nothing.

use super::finished::{FinishedSpan, SpanHead};
use super::json;
use super::msgpack::{ARRAY_32_HEAD, Write};
use crate::trace::{EventValue, SpanEvent, SpanLink};

/// Says in a link's flags that they are known.
const FLAGS_ARE_KNOWN: u32 = 1 << 31;

/// The key of events where the agent does not take them as structures.
const EVENTS_KEY: &str = "events";

/// A key of the span map, as msgpack: at most 12 bytes and known before the program runs.
macro_rules! key {
    ($bytes:expr, $key:literal) => {{
        const ENCODED: [u8; $key.len() + 1] = {
            let mut encoded = [0xa0 | $key.len() as u8; $key.len() + 1];
            let mut at = 0;
            while at < $key.len() {
                encoded[at + 1] = $key.as_bytes()[at];
                at += 1;
            }
            encoded
        };
        $bytes.extend_from_slice(&ENCODED);
    }};
}

/// The numbers of a span with their keys, all of fixed width: filled in and copied in one go.
const NUMBERS: [u8; 87] = *b"\xa8trace_id\xcf\0\0\0\0\0\0\0\0\xa7span_id\xcf\0\0\0\0\0\0\0\0\
    \xa5start\xd3\0\0\0\0\0\0\0\0\xa8duration\xd3\0\0\0\0\0\0\0\0\xa9parent_id\xcf\0\0\0\0\0\0\0\0";
const TRACE_ID_AT: usize = 10;
const SPAN_ID_AT: usize = TRACE_ID_AT + 8 + 9;
const START_AT: usize = SPAN_ID_AT + 8 + 7;
const DURATION_AT: usize = START_AT + 8 + 10;
const PARENT_ID_AT: usize = DURATION_AT + 8 + 11;

/// Encodes one payload after the other.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) body: Vec<u8>,
    pub(super) native_events: bool,
    heads: Heads,
}

impl Encoder {
    pub(super) fn new(native_events: bool) -> Self {
        Self {
            body: begin(0),
            native_events,
            heads: Heads::new(),
        }
    }

    /// Appends one span.
    pub(super) fn encode_span(&mut self, span: &FinishedSpan<'_>) {
        encode_span(&mut self.body, span, self.native_events, &mut self.heads);
    }

    /// The payload; the next one begins.
    pub(super) fn finish(&mut self, chunks: usize) -> Vec<u8> {
        finish(&mut self.body, chunks)
    }
}

/// Services, names, resources and types as they were encoded before, by site and service: most spans bring no other.
#[derive(Debug)]
struct Heads {
    slots: Vec<(SpanHead, Vec<u8>)>,
}

impl Heads {
    /// A power of two; programs with more sites write some heads again and again.
    const SLOTS: usize = 256;

    fn new() -> Self {
        Self {
            slots: vec![(SpanHead::NONE, Vec::new()); Self::SLOTS],
        }
    }

    #[inline]
    fn write(&mut self, bytes: &mut Vec<u8>, span: &FinishedSpan<'_>) {
        if span.head == SpanHead::NONE {
            encode_head(bytes, span);
            return;
        }
        let (known, encoded) = &mut self.slots[span.head.hash() % Self::SLOTS];
        if *known != span.head {
            *known = span.head;
            encoded.clear();
            encode_head(encoded, span);
        }
        bytes.extend_from_slice(encoded);
    }
}

fn encode_head(bytes: &mut Vec<u8>, span: &FinishedSpan<'_>) {
    key!(bytes, "service");
    bytes.put_str(span.service);
    key!(bytes, "name");
    bytes.put_str(span.name);
    key!(bytes, "resource");
    bytes.put_str(span.resource);
    if !span.span_type.is_empty() {
        key!(bytes, "type");
        bytes.put_str(span.span_type);
    }
}

fn encode_span(
    bytes: &mut Vec<u8>,
    span: &FinishedSpan<'_>,
    native_events: bool,
    heads: &mut Heads,
) {
    let events_as_text =
        (!native_events && !span.events.is_empty()).then(|| json::events(&span.events));
    let has_parent = span.parent_id != 0;
    let has_type = !span.span_type.is_empty();
    let has_structs = !span.meta_struct.is_empty();
    let has_links = !span.links.is_empty();
    let has_events = native_events && !span.events.is_empty();
    let optional = [
        has_parent,
        span.error,
        has_type,
        has_structs,
        has_links,
        has_events,
    ];
    let fields = 9 + optional.into_iter().map(usize::from).sum::<usize>();

    bytes.put_map(fields);
    heads.write(bytes, span);
    let mut numbers = NUMBERS;
    let mut fill =
        |at: usize, value: u64| numbers[at..at + 8].copy_from_slice(&value.to_be_bytes());
    fill(TRACE_ID_AT, span.trace_id.low());
    fill(SPAN_ID_AT, span.span_id);
    fill(START_AT, span.start as u64);
    fill(DURATION_AT, span.duration as u64);
    fill(PARENT_ID_AT, span.parent_id);
    if has_parent {
        bytes.extend_from_slice(&numbers);
    } else {
        // The parent comes last, so that leaving it out is a shorter copy.
        bytes.extend_from_slice(&numbers[..DURATION_AT + 8]);
    }
    if span.error {
        key!(bytes, "error");
        bytes.push(1);
    }
    key!(bytes, "meta");
    bytes.put_map(span.meta.len() + usize::from(events_as_text.is_some()));
    for (key, value) in &span.meta {
        bytes.put_str(key);
        bytes.put_str(value);
    }
    if let Some(events) = &events_as_text {
        bytes.put_str(EVENTS_KEY);
        bytes.put_str(events);
    }
    key!(bytes, "metrics");
    bytes.put_map(span.metrics.len());
    for (key, value) in &span.metrics {
        bytes.put_str(key);
        bytes.put_f64(*value);
    }
    if has_structs {
        key!(bytes, "meta_struct");
        bytes.put_map(span.meta_struct.len());
        for (key, value) in &span.meta_struct {
            bytes.put_str(key);
            bytes.put_bin(value);
        }
    }
    if has_links {
        key!(bytes, "span_links");
        bytes.put_array(span.links.len());
        for link in &span.links {
            encode_link(bytes, link);
        }
    }
    if has_events {
        key!(bytes, "span_events");
        bytes.put_array(span.events.len());
        for event in &span.events {
            encode_event(bytes, event);
        }
    }
}

/// The beginning of a body, with room for the head that says how many chunks there are.
fn begin(capacity: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(capacity + ARRAY_32_HEAD);
    body.put_array_32(0);
    body
}

/// The body with its head filled in. Leaves the beginning of one of about the same size.
fn finish(body: &mut Vec<u8>, count: usize) -> Vec<u8> {
    let mut body = std::mem::replace(body, begin(body.len().min(KEPT)));
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    body[1..ARRAY_32_HEAD].copy_from_slice(&count.to_be_bytes());
    body
}

/// The most that is reserved for a payload because the one before was that large, in bytes.
const KEPT: usize = 1 << 20;

fn encode_link(bytes: &mut Vec<u8>, link: &SpanLink) {
    let has_attributes = !link.attributes.is_empty();
    let optional = [
        has_attributes,
        link.tracestate.is_some(),
        link.flags.is_some(),
    ];
    bytes.put_map(3 + optional.into_iter().filter(|&is_there| is_there).count());
    key!(bytes, "trace_id");
    bytes.put_u64(link.target.trace_id.low());
    key!(bytes, "trace_id_high");
    bytes.put_u64(link.target.trace_id.high());
    key!(bytes, "span_id");
    bytes.put_u64(link.target.span_id.get());
    if has_attributes {
        key!(bytes, "attributes");
        bytes.put_map(link.attributes.len());
        for (key, value) in &link.attributes {
            bytes.put_str(key);
            bytes.put_str(value);
        }
    }
    if let Some(tracestate) = &link.tracestate {
        key!(bytes, "tracestate");
        bytes.put_str(tracestate);
    }
    if let Some(flags) = link.flags {
        key!(bytes, "flags");
        bytes.put_uint(u64::from(flags | FLAGS_ARE_KNOWN));
    }
}

fn encode_event(bytes: &mut Vec<u8>, event: &SpanEvent) {
    let attributes: Vec<_> = event
        .attributes
        .iter()
        .filter(|(_, value)| json::is_sendable(value))
        .collect();
    bytes.put_map(2 + usize::from(!attributes.is_empty()));
    key!(bytes, "time_unix_nano");
    bytes.put_u64(event.time_unix_nano);
    key!(bytes, "name");
    bytes.put_str(&event.name);
    if !attributes.is_empty() {
        key!(bytes, "attributes");
        bytes.put_map(attributes.len());
        for (key, value) in attributes {
            bytes.put_str(key);
            encode_event_value(bytes, value);
        }
    }
}

fn encode_event_value(bytes: &mut Vec<u8>, value: &EventValue) {
    bytes.put_map(2);
    key!(bytes, "type");
    match value {
        EventValue::Text(text) => {
            bytes.push(0);
            key!(bytes, "string_value");
            bytes.put_str(text);
        }
        EventValue::Bool(flag) => {
            bytes.push(1);
            key!(bytes, "bool_value");
            bytes.put_bool(*flag);
        }
        EventValue::Int(number) => {
            bytes.push(2);
            key!(bytes, "int_value");
            bytes.put_i64(*number);
        }
        EventValue::Double(number) => {
            bytes.push(3);
            key!(bytes, "double_value");
            bytes.put_f64(*number);
        }
        EventValue::Array(values) => {
            bytes.push(4);
            key!(bytes, "array_value");
            bytes.put_map(1);
            key!(bytes, "values");
            bytes.put_array(values.len());
            for value in values {
                encode_event_value(bytes, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::payload::{Format, PayloadBuilder};
    use super::*;
    use crate::trace::{SpanContextId, SpanId, TraceId};

    /// The first span of a payload with one chunk of one span, as an independent decoder reads it.
    fn decoded(span: &FinishedSpan<'_>, native_events: bool) -> Value {
        let mut builder = PayloadBuilder::new(Format::V04 { native_events });
        builder.begin_chunk();
        builder.push(span);
        builder.end_chunk();
        let payload = builder.take();
        assert_eq!((payload.chunks, payload.spans), (1, 1));
        let chunks: Vec<Vec<Value>> = rmp_serde::from_slice(&payload.body).unwrap();
        chunks[0][0].clone()
    }

    fn span() -> FinishedSpan<'static> {
        FinishedSpan {
            service: "s",
            name: "n",
            resource: "r",
            trace_id: TraceId::new(1, 7),
            span_id: 2,
            start: 10,
            duration: 5,
            ..FinishedSpan::default()
        }
    }

    #[test]
    fn what_is_zero_or_empty_is_left_out() {
        let expected = json!({
            "service": "s", "name": "n", "resource": "r", "trace_id": 7, "span_id": 2, "start": 10, "duration": 5,
            "meta": {}, "metrics": {}
        });
        assert_eq!(decoded(&span(), true), expected);
    }

    #[test]
    fn every_field_has_its_key_and_type() {
        let link = SpanLink::new(SpanContextId {
            trace_id: TraceId::new(0, 7),
            span_id: SpanId::new(9),
        });
        let flagged = link
            .clone()
            .with_flags(1)
            .with_tracestate("a=b")
            .with_attribute("k", "v");
        let event = SpanEvent {
            name: "e".into(),
            time_unix_nano: 3,
            attributes: vec![("l".into(), vec![1i64, 2].into())],
        };
        let bare = SpanEvent {
            attributes: Vec::new(),
            ..event.clone()
        };
        let mut span = FinishedSpan {
            span_type: "web",
            parent_id: 1,
            error: true,
            ..span()
        };
        span.set_meta("m", "x");
        span.set_metric("c", 1.0);
        span.links = vec![&link, &flagged];
        span.events = vec![&event, &bare];
        let got = decoded(&span, true);
        let expected = json!({
            "service": "s", "name": "n", "resource": "r", "trace_id": 7, "span_id": 2, "parent_id": 1, "start": 10,
            "duration": 5, "error": 1, "meta": { "m": "x" }, "metrics": { "c": 1.0 }, "type": "web",
            "span_links": [
                { "trace_id": 7, "trace_id_high": 0, "span_id": 9 },
                { "trace_id": 7, "trace_id_high": 0, "span_id": 9, "attributes": { "k": "v" }, "tracestate": "a=b",
                  "flags": 2_147_483_649u32 },
            ],
            "span_events": [
                { "time_unix_nano": 3, "name": "e", "attributes": { "l": { "type": 4, "array_value": { "values": [
                    { "type": 2, "int_value": 1 }, { "type": 2, "int_value": 2 }] } } } },
                { "time_unix_nano": 3, "name": "e" },
            ],
        });
        assert_eq!(got, expected);
    }

    #[test]
    fn structures_are_byte_strings() {
        let mut span = span();
        span.meta_struct.push(("appsec", &[0x80]));
        let mut bytes = Vec::new();
        encode_span(&mut bytes, &span, true, &mut Heads::new());
        let expected = [
            b"\xabmeta_struct\x81\xa6appsec".as_slice(),
            &[0xc4, 1, 0x80],
        ]
        .concat();
        assert!(
            bytes
                .windows(expected.len())
                .any(|window| window == expected)
        );
    }

    #[test]
    fn events_become_text_for_agents_that_do_not_know_them() {
        let event = SpanEvent {
            name: "e".into(),
            time_unix_nano: 3,
            attributes: Vec::new(),
        };
        let mut span = span();
        span.events = vec![&event];
        let got = decoded(&span, false);
        assert_eq!(
            got["meta"]["events"],
            json!(r#"[{"name":"e","time_unix_nano":3}]"#)
        );
        assert_eq!(got.get("span_events"), None);
    }

    #[test]
    fn a_chunk_can_be_taken_back() {
        let mut builder = PayloadBuilder::new(Format::V04 {
            native_events: true,
        });
        for _ in 0..2 {
            builder.begin_chunk();
            builder.push(&span());
            builder.end_chunk();
        }
        let before = builder.len();
        builder.undo_chunk();
        assert!(builder.len() < before);
        builder.begin_chunk();
        assert_eq!(builder.end_chunk(), 0);
        let payload = builder.take();
        assert_eq!((payload.chunks, payload.spans), (1, 1));
        assert_eq!(
            rmp_serde::from_slice::<Vec<Vec<Value>>>(&payload.body)
                .unwrap()
                .len(),
            1
        );
        assert!(builder.is_empty());
    }
}
