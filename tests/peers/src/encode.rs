//! A thousand spans of ten texts and three numbers, to be encoded.

use ddtrace_core::export::{FinishedSpan, Format, PayloadBuilder};
use ddtrace_core::trace::TraceId;
use libdd_trace_utils::span::v04::SpanSlice;
use libdd_trace_utils::tracer_payload::TraceChunks;
use libdd_trace_utils::{msgpack_decoder, msgpack_encoder, trace_utils};
use std::borrow::Cow;

/// How many spans there are.
pub const SPANS: usize = 1_000;

/// Ten keys, and whether their value differs from span to span.
const TEXTS: [(&str, bool); 10] = [
    ("component", false),
    ("http.method", false),
    ("http.route", false),
    ("http.url", true),
    ("http.useragent", false),
    ("span.kind", false),
    ("language", false),
    ("network.client.ip", true),
    ("user.id", true),
    ("env", false),
];

const NUMBERS: [&str; 3] = ["process_id", "_dd.top_level", "http.response.size"];

/// The spans, a hundred to a trace.
pub fn spans() -> Vec<FinishedSpan<'static>> {
    (0..SPANS as u64).map(span).collect()
}

fn span(i: u64) -> FinishedSpan<'static> {
    let mut span = FinishedSpan::default();
    span.service = "storefront";
    span.name = "http.request";
    span.resource = "GET /api/products/{id}";
    span.span_type = "web";
    span.trace_id = TraceId::new(0x6740_0000_0000_0000, i / 100 + 1);
    span.span_id = i * 0x9e37_79b9_7f4a_7c15 + 1;
    span.parent_id = if i.is_multiple_of(100) {
        0
    } else {
        (i / 100) * 100 + 1
    };
    span.start = 1_732_400_000_000_000_000 + i as i64 * 1_000;
    span.duration = 12_345 + i as i64;
    for (key, differs) in TEXTS {
        let value = if differs {
            Cow::Owned(format!("{key} of {i}, and so on"))
        } else {
            Cow::Borrowed("a common value")
        };
        span.set_meta(key, value);
    }
    for key in NUMBERS {
        span.set_metric(key, i as f64);
    }
    span
}

/// Our encoder, with memory that it has used before.
pub struct Ours(PayloadBuilder);

impl Ours {
    /// For v0.5, or for v0.4.
    pub fn new(v05: bool) -> Ours {
        Ours(PayloadBuilder::new(if v05 {
            Format::V05
        } else {
            Format::V04 {
                native_events: false,
            }
        }))
    }

    /// The finished payload.
    pub fn encode(&mut self, spans: &[FinishedSpan<'_>]) -> Vec<u8> {
        for chunk in spans.chunks(100) {
            self.0.begin_chunk();
            for span in chunk {
                self.0.push(span);
            }
            self.0.end_chunk();
        }
        self.0.take().body
    }
}

/// libdatadog's encoders over the same spans.
pub struct Theirs<'a>(Vec<Vec<SpanSlice<'a>>>);

impl<'a> Theirs<'a> {
    /// The spans of a v0.4 payload of ours.
    pub fn new(payload: &'a [u8]) -> Theirs<'a> {
        Theirs(
            msgpack_decoder::v04::from_slice(payload)
                .expect("a v0.4 payload")
                .0,
        )
    }

    /// v0.4, into memory of the right size.
    pub fn v04(&self, size: u32) -> Vec<u8> {
        msgpack_encoder::v04::to_vec_with_capacity_from_v04(&self.0, size)
    }

    /// v0.5: a pass that makes the table of texts, then `rmp-serde`.
    pub fn v05(&self) -> Vec<u8> {
        match trace_utils::convert_trace_chunks_v04_to_v05(&self.0).expect("every span fits") {
            TraceChunks::V05(payload) => rmp_serde::to_vec(&payload).expect("it can be written"),
            _ => unreachable!("it was asked for v0.5"),
        }
    }
}
