//! Our payloads, read by libdatadog's decoder and compared span by span.
//!
//! The spans are drawn from what is awkward on the wire: empty and long texts, characters of every width, lengths around
//! the borders of msgpack's formats, extreme numbers, links and events with every kind of attribute.

use ddtrace_core::export::{FinishedSpan, Format, PayloadBuilder};
use ddtrace_core::trace::{EventValue, SpanContextId, SpanEvent, SpanId, SpanLink, TraceId};
use libdd_trace_utils::msgpack_decoder::{v04, v05};
use libdd_trace_utils::span::v04::{AttributeAnyValueSlice, AttributeArrayValueSlice, SpanSlice};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// A row of numbers that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Lengths around the borders between msgpack's formats for texts: 31, 255, 65,535 bytes.
    fn text(&mut self) -> &'static str {
        let length = self.one(&[0, 1, 7, 30, 31, 32, 33, 254, 255, 256, 300, 65_535, 65_536]);
        // The rare lengths are large; most texts are short.
        let length: usize = if length > 300 && self.below(20) > 0 {
            12
        } else {
            length
        };
        let letter = self.one(&["a", "é", "語", "🦀", "\"", "\\", "\n", "\0"]);
        Box::leak(
            letter
                .repeat(length.div_ceil(letter.len()))
                .into_boxed_str(),
        )
    }
}

struct Sample {
    spans: Vec<FinishedSpan<'static>>,
}

fn sample(seed: u64, count: usize) -> Sample {
    let mut numbers = Numbers(seed);
    let spans = (0..count).map(|_| span(&mut numbers)).collect();
    Sample { spans }
}

fn span(numbers: &mut Numbers) -> FinishedSpan<'static> {
    let mut span = FinishedSpan::default();
    span.service = numbers.text();
    span.name = numbers.text();
    span.resource = numbers.text();
    span.span_type = numbers.one(&["", "web", "sql"]);
    span.trace_id = TraceId::new(numbers.next(), numbers.next());
    span.span_id = numbers.one(&[1, 127, 128, u64::from(u32::MAX), u64::MAX]);
    span.parent_id = numbers.one(&[0, 1, 1 << 63, u64::MAX]);
    span.start = numbers.one(&[0, 1, 1_732_400_000_000_000_000, i64::MAX]);
    span.duration = numbers.one(&[0, 1, 255, 65_536, 86_400_000_000_000, i64::MAX]);
    span.error = numbers.below(2) == 1;
    for i in 0..numbers.one(&[0, 1, 5, 15, 16, 17]) {
        let value = numbers.text();
        let value = if i % 2 == 0 {
            Cow::Borrowed(value)
        } else {
            Cow::Owned(value.to_owned())
        };
        span.set_meta(leaked(format!("text.{i}.é")), value);
    }
    for i in 0..numbers.one(&[0, 1, 3, 16]) {
        let value = numbers.one(&[0.0, -0.0, 1.0, 2.5, -1e300, f64::MAX, f64::MIN_POSITIVE]);
        span.set_metric(leaked(format!("number.{i}")), value);
    }
    for _ in 0..numbers.one(&[0, 0, 1, 3]) {
        span.links.push(Box::leak(Box::new(link(numbers))));
    }
    for _ in 0..numbers.one(&[0, 0, 1, 3]) {
        span.events.push(Box::leak(Box::new(event(numbers))));
    }
    span
}

fn link(numbers: &mut Numbers) -> SpanLink {
    let target = SpanContextId {
        trace_id: TraceId::new(numbers.next(), numbers.next()),
        span_id: SpanId::new(numbers.next() | 1),
    };
    let mut link = SpanLink::new(target);
    if numbers.below(2) == 0 {
        link = link
            .with_flags(numbers.one(&[0, 1]))
            .with_tracestate("dd=s:1;t.dm:-0,other=x");
    }
    for i in 0..numbers.below(3) {
        link = link.with_attribute(format!("reason.{i}"), numbers.text());
    }
    link
}

fn event(numbers: &mut Numbers) -> SpanEvent {
    let time = UNIX_EPOCH
        + Duration::from_nanos(1_732_400_000_000_000_000 + numbers.next() % 1_000_000_000);
    SpanEvent::at(numbers.text(), time)
        .with_attribute("text", numbers.text())
        .with_attribute("yes", true)
        .with_attribute("whole", numbers.one(&[i64::MIN, -1, 0, i64::MAX]))
        .with_attribute("real", 1.5)
        .with_attribute("list", vec!["a", "b"])
        .with_attribute("wholes", vec![1_i64, 2, 3])
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn encoded(format: Format, chunks: &[Sample]) -> Vec<u8> {
    let mut builder = PayloadBuilder::new(format);
    for chunk in chunks {
        builder.begin_chunk();
        for span in &chunk.spans {
            builder.push(span);
        }
        builder.end_chunk();
    }
    let payload = builder.take();
    assert_eq!(payload.chunks, chunks.len());
    assert_eq!(
        payload.spans,
        chunks.iter().map(|chunk| chunk.spans.len()).sum::<usize>()
    );
    payload.body
}

fn samples() -> Vec<Sample> {
    (0..40)
        .map(|seed| sample(seed, 1 + (seed as usize * 7) % 60))
        .collect()
}

fn decoded_texts<'a>(span: &'a SpanSlice<'_>) -> BTreeMap<&'a str, &'a str> {
    span.meta
        .iter()
        .map(|(key, value)| (&**key, &**value))
        .collect()
}

/// What every format carries, in the same place.
fn assert_same_head(ours: &FinishedSpan<'_>, theirs: &SpanSlice<'_>) {
    assert_eq!(
        (ours.service, ours.name, ours.resource, ours.span_type),
        (
            &*theirs.service,
            &*theirs.name,
            &*theirs.resource,
            &*theirs.r#type
        )
    );
    assert_eq!(u128::from(ours.trace_id.low()), theirs.trace_id);
    assert_eq!(
        (ours.span_id, ours.parent_id),
        (theirs.span_id, theirs.parent_id)
    );
    assert_eq!((ours.start, ours.duration), (theirs.start, theirs.duration));
    assert_eq!(i32::from(ours.error), theirs.error);
    let metrics: BTreeMap<_, _> = ours
        .metrics
        .iter()
        .map(|(key, value)| (&**key, value.to_bits()))
        .collect();
    let decoded: BTreeMap<_, _> = theirs
        .metrics
        .iter()
        .map(|(key, value)| (&**key, value.to_bits()))
        .collect();
    assert_eq!(metrics, decoded);
    assert_eq!(
        ours.metrics.len(),
        theirs.metrics.len(),
        "no key is sent twice"
    );
}

fn texts<'a>(span: &'a FinishedSpan<'_>) -> BTreeMap<&'a str, &'a str> {
    span.meta
        .iter()
        .map(|(key, value)| (*key, &**value))
        .collect()
}

fn compare(
    chunks: &[Sample],
    decoded: &[Vec<SpanSlice<'_>>],
    same: impl Fn(&FinishedSpan<'_>, &SpanSlice<'_>),
) {
    assert_eq!(chunks.len(), decoded.len());
    for (ours, theirs) in chunks.iter().zip(decoded) {
        assert_eq!(ours.spans.len(), theirs.len());
        for (ours, theirs) in ours.spans.iter().zip(theirs) {
            assert_same_head(ours, theirs);
            same(ours, theirs);
        }
    }
}

#[test]
fn v04_is_what_libdatadog_reads() {
    let chunks = samples();
    let body = encoded(
        Format::V04 {
            native_events: true,
        },
        &chunks,
    );
    let (decoded, _) = v04::from_slice(&body).expect("it is a payload");
    compare(&chunks, &decoded, |ours, theirs| {
        assert_eq!(texts(ours), decoded_texts(theirs));
        assert_eq!(ours.meta.len(), theirs.meta.len(), "no key is sent twice");
        assert_eq!(ours.links.len(), theirs.span_links.len());
        for (ours, theirs) in ours.links.iter().zip(&theirs.span_links) {
            assert_eq!(ours.target.trace_id.low(), theirs.trace_id);
            assert_eq!(ours.target.trace_id.high(), theirs.trace_id_high);
            assert_eq!(ours.target.span_id.get(), theirs.span_id);
            assert_eq!(ours.tracestate.as_deref().unwrap_or(""), theirs.tracestate);
            assert_eq!(ours.flags.map_or(0, |flags| flags | 1 << 31), theirs.flags);
            let attributes: BTreeMap<_, _> = theirs
                .attributes
                .iter()
                .map(|(k, v)| (&**k, &**v))
                .collect();
            assert_eq!(
                ours.attributes
                    .iter()
                    .map(|(k, v)| (&**k, &**v))
                    .collect::<BTreeMap<_, _>>(),
                attributes
            );
        }
        assert_eq!(ours.events.len(), theirs.span_events.len());
        for (ours, theirs) in ours.events.iter().zip(&theirs.span_events) {
            assert_eq!(
                (ours.time_unix_nano, &*ours.name),
                (theirs.time_unix_nano, &*theirs.name)
            );
            assert_eq!(ours.attributes.len(), theirs.attributes.len());
            for (key, value) in &ours.attributes {
                assert!(same_attribute(value, &theirs.attributes[&**key]), "{key}");
            }
        }
    });
}

fn same_attribute(ours: &EventValue, theirs: &AttributeAnyValueSlice<'_>) -> bool {
    match (ours, theirs) {
        (EventValue::Array(ours), AttributeAnyValueSlice::Array(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(ours, theirs)| same_value(ours, theirs))
        }
        (ours, AttributeAnyValueSlice::SingleValue(theirs)) => same_value(ours, theirs),
        _ => false,
    }
}

fn same_value(ours: &EventValue, theirs: &AttributeArrayValueSlice<'_>) -> bool {
    match (ours, theirs) {
        (EventValue::Text(ours), AttributeArrayValueSlice::String(theirs)) => ours == theirs,
        (EventValue::Bool(ours), AttributeArrayValueSlice::Boolean(theirs)) => ours == theirs,
        (EventValue::Int(ours), AttributeArrayValueSlice::Integer(theirs)) => ours == theirs,
        (EventValue::Double(ours), AttributeArrayValueSlice::Double(theirs)) => ours == theirs,
        _ => false,
    }
}

#[test]
fn v04_without_native_events_and_v05_carry_events_as_text() {
    let chunks = samples();
    let v04_body = encoded(
        Format::V04 {
            native_events: false,
        },
        &chunks,
    );
    let v05_body = encoded(Format::V05, &chunks);
    let (from_v04, _) = v04::from_slice(&v04_body).expect("it is a v0.4 payload");
    let (from_v05, _) = v05::from_slice(&v05_body).expect("it is a v0.5 payload");
    compare(&chunks, &from_v04, |ours, theirs| {
        assert_texts_and(ours, theirs, &[("events", that_fit(&ours.events))]);
        assert_eq!(ours.links.len(), theirs.span_links.len());
        assert!(theirs.span_events.is_empty());
    });
    compare(&chunks, &from_v05, |ours, theirs| {
        assert_texts_and(
            ours,
            theirs,
            &[
                ("events", that_fit(&ours.events)),
                ("_dd.span_links", ours.links.len()),
            ],
        );
    });
}

/// How many events a tag's text has room for: 24,000 bytes, and one that is longer alone is left out whole.
fn that_fit(events: &[&SpanEvent]) -> usize {
    let is_short = |event: &&&SpanEvent| {
        let mut texts = event
            .attributes
            .iter()
            .filter_map(|(_, value)| match value {
                EventValue::Text(text) => Some(text.len()),
                _ => None,
            });
        event.name.len() < 24_000 && texts.all(|length| length < 24_000)
    };
    events.iter().filter(is_short).count()
}

/// `theirs` has our texts, and lists as JSON of so many elements where there are any.
fn assert_texts_and(ours: &FinishedSpan<'_>, theirs: &SpanSlice<'_>, lists: &[(&str, usize)]) {
    let mut decoded: BTreeMap<&str, &str> = decoded_texts(theirs);
    assert_eq!(decoded.len(), theirs.meta.len(), "no key is sent twice");
    for (key, count) in lists {
        match decoded.remove(key) {
            None => assert_eq!(*count, 0, "{key} is missing"),
            Some(text) => {
                let list: Vec<serde_json::Value> =
                    serde_json::from_str(text).expect("a JSON array");
                assert_eq!(list.len(), *count, "{key}");
            }
        }
    }
    assert_eq!(texts(ours), decoded);
}
