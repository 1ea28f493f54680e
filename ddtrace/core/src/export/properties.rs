//! Whatever a span holds, both formats say the same, as an independent decoder reads them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::Deserialize;

use super::{FinishedSpan, Format, PayloadBuilder, SpanData};
use crate::trace::TraceId;

#[derive(Debug, Default, Deserialize, PartialEq)]
struct V04Span {
    service: String,
    name: String,
    resource: String,
    trace_id: u64,
    span_id: u64,
    #[serde(default)]
    parent_id: u64,
    start: i64,
    duration: i64,
    #[serde(default)]
    error: i32,
    meta: BTreeMap<String, String>,
    metrics: BTreeMap<String, f64>,
    #[serde(default)]
    r#type: String,
}

type V05Span = (
    u32,
    u32,
    u32,
    u64,
    u64,
    u64,
    i64,
    i64,
    i32,
    BTreeMap<u32, u32>,
    BTreeMap<u32, f64>,
    u32,
);

fn spans() -> impl Strategy<Value = SpanData> {
    let texts = (".{0,40}", ".{0,300}", ".{0,40}", ".{0,10}");
    let numbers = (
        any::<(u64, u64)>(),
        any::<(u64, u64)>(),
        any::<(i64, i64)>(),
        any::<bool>(),
    );
    let tags = (
        btree_map("m.{0,40}", ".{0,80}", 0..40),
        btree_map("n.{0,40}", -1e300..1e300, 0..20),
    );
    (texts, numbers, tags).prop_map(|(texts, (trace, span, time, error), (meta, metrics))| {
        SpanData {
            service: texts.0,
            name: texts.1,
            resource: texts.2,
            span_type: texts.3,
            trace_id: TraceId::new(trace.0, trace.1),
            span_id: span.0,
            parent_id: span.1,
            start: time.0,
            duration: time.1,
            error,
            meta: meta.into_iter().collect(),
            metrics: metrics.into_iter().collect(),
            ..SpanData::default()
        }
    })
}

fn payload(format: Format, chunks: &[Vec<SpanData>]) -> Vec<u8> {
    let mut builder = PayloadBuilder::new(format);
    for chunk in chunks {
        builder.begin_chunk();
        chunk
            .iter()
            .for_each(|span| builder.push(&span.as_finished()));
        builder.end_chunk();
    }
    builder.take().body
}

/// What a span is expected to be read as.
fn expected(span: &SpanData) -> V04Span {
    V04Span {
        service: span.service.clone(),
        name: span.name.clone(),
        resource: span.resource.clone(),
        trace_id: span.trace_id.low(),
        span_id: span.span_id,
        parent_id: span.parent_id,
        start: span.start,
        duration: span.duration,
        error: span.error.into(),
        meta: span.meta.iter().cloned().collect(),
        metrics: span.metrics.iter().cloned().collect(),
        r#type: span.span_type.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_formats_read_back_as_what_was_written(chunks in vec(vec(spans(), 1..6), 0..4)) {
        let expected: Vec<Vec<_>> = chunks.iter().map(|chunk| chunk.iter().map(expected).collect()).collect();
        let v04: Vec<Vec<V04Span>> =
            rmp_serde::from_slice(&payload(Format::V04 { native_events: true }, &chunks)).unwrap();
        prop_assert_eq!(&v04, &expected);

        let (texts, v05): (Vec<String>, Vec<Vec<V05Span>>) =
            rmp_serde::from_slice(&payload(Format::V05, &chunks)).unwrap();
        let text = |number: u32| texts[number as usize].clone();
        let read = v05.into_iter().map(|chunk| {
            let spans = chunk.into_iter().map(|span| V04Span {
                service: text(span.0),
                name: text(span.1),
                resource: text(span.2),
                trace_id: span.3,
                span_id: span.4,
                parent_id: span.5,
                start: span.6,
                duration: span.7,
                error: span.8,
                meta: span.9.iter().map(|(key, value)| (text(*key), text(*value))).collect(),
                metrics: span.10.iter().map(|(key, value)| (text(*key), *value)).collect(),
                r#type: text(span.11),
            });
            spans.collect::<Vec<_>>()
        });
        prop_assert_eq!(read.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn heads_that_were_kept_are_those_that_would_be_written(names in vec(0usize..3, 1..50)) {
        use super::finished::SpanHead;
        use crate::trace::Site;
        static SITES: [Site; 3] = [
            Site::new("a", "", "", "", 1).with_span_type("web"),
            Site::new("bb", "", "", "", 2).with_resource("r"),
            Site::new("ccc", "", "", "", 3),
        ];
        let encode = |with_head: bool| {
            let mut builder = PayloadBuilder::new(Format::V04 { native_events: true });
            builder.begin_chunk();
            for &name in &names {
                let site = &SITES[name];
                let span = FinishedSpan {
                    service: "s",
                    name: site.name(),
                    resource: site.resource().unwrap_or(site.name()),
                    span_type: site.span_type().unwrap_or_default(),
                    meta: vec![("k", Cow::Borrowed("v"))],
                    head: if with_head { SpanHead::new(site, 0) } else { SpanHead::NONE },
                    ..FinishedSpan::default()
                };
                builder.push(&span);
            }
            builder.end_chunk();
            builder.take().body
        };
        prop_assert_eq!(encode(true), encode(false));
    }
}
