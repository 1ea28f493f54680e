//! What a trace payload says, whatever it was encoded as.
//!
//! A payload borrows from its body: texts are slices of it wherever the encoding allows. Tags of all spans stand in two
//! shared lists, a span holds ranges of them, so that a payload of ten thousand spans takes a handful of
//! allocations.

use std::borrow::Cow;
use std::ops::Range;

/// A text of a payload.
pub type Text<'a> = Cow<'a, str>;

/// A decoded trace payload.
#[derive(Debug, Default)]
pub struct Payload<'a> {
    /// Chunks in the order of sending.
    pub chunks: Vec<Chunk<'a>>,
    /// The spans of all chunks.
    pub spans: Vec<Span<'a>>,
    /// Text tags of all spans.
    pub meta: Vec<(Text<'a>, Text<'a>)>,
    /// Number tags of all spans.
    pub metrics: Vec<(Text<'a>, f64)>,
    /// What v0.7 and v1.0 say once for all chunks.
    pub process: Process<'a>,
}

/// The header fields that v0.7 and v1.0 carry in the body.
#[derive(Debug, Default)]
pub struct Process<'a> {
    /// `language_name`.
    pub language: Text<'a>,
    /// `language_version`.
    pub language_version: Text<'a>,
    /// `tracer_version`.
    pub tracer_version: Text<'a>,
    /// `runtime_id`.
    pub runtime_id: Text<'a>,
    /// `env`.
    pub env: Text<'a>,
    /// `hostname`.
    pub hostname: Text<'a>,
    /// `app_version`.
    pub app_version: Text<'a>,
}

/// The spans of one trace that came together.
#[derive(Debug, Default)]
pub struct Chunk<'a> {
    /// Indexes into [`Payload::spans`].
    pub spans: Range<usize>,
    /// The sampling priority, where the format has it on the chunk (v0.7, v1.0).
    pub priority: Option<i32>,
    /// The origin, likewise.
    pub origin: Text<'a>,
}

/// One span.
#[derive(Debug, Default)]
pub struct Span<'a> {
    /// Service.
    pub service: Text<'a>,
    /// Operation name.
    pub name: Text<'a>,
    /// Resource.
    pub resource: Text<'a>,
    /// Type.
    pub span_type: Text<'a>,
    /// The low 64 bits of the trace id.
    pub trace_id: u64,
    /// The high 64 bits, where the format carries them outside of `_dd.p.tid`.
    pub trace_id_high: u64,
    /// Span id.
    pub span_id: u64,
    /// Parent id, 0 for a root.
    pub parent_id: u64,
    /// Nanoseconds since the epoch.
    pub start: i64,
    /// Nanoseconds.
    pub duration: i64,
    /// 0 or 1.
    pub error: i32,
    /// Indexes into [`Payload::meta`].
    pub meta: Range<usize>,
    /// Indexes into [`Payload::metrics`].
    pub metrics: Range<usize>,
    /// What few spans have.
    pub extra: Option<Box<Extra<'a>>>,
    /// Some text of this span was not UTF-8 and was repaired.
    pub broken_text: bool,
}

/// The parts that most spans lack.
#[derive(Debug, Default)]
pub struct Extra<'a> {
    /// Structured metadata, key and msgpack bytes.
    pub meta_struct: Vec<(Text<'a>, Cow<'a, [u8]>)>,
    /// Span links.
    pub links: Vec<Link<'a>>,
    /// Span events, as JSON objects `{"time_unix_nano", "name", "attributes"}`.
    pub events: Vec<Event<'a>>,
}

/// A span link.
#[derive(Debug, Default)]
pub struct Link<'a> {
    /// The low 64 bits of the trace id.
    pub trace_id: u64,
    /// The high 64 bits.
    pub trace_id_high: u64,
    /// Span id.
    pub span_id: u64,
    /// Attributes.
    pub attributes: Vec<(Text<'a>, Text<'a>)>,
    /// The W3C tracestate.
    pub tracestate: Text<'a>,
    /// Trace flags; bit 31 says that they are known.
    pub flags: u32,
}

/// A span event.
#[derive(Debug, Default)]
pub struct Event<'a> {
    /// Nanoseconds since the epoch.
    pub time: u64,
    /// Name.
    pub name: Text<'a>,
    /// Attributes.
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

impl<'a> Payload<'a> {
    /// The text tags of a span.
    pub fn meta_of(&self, span: &Span<'a>) -> &[(Text<'a>, Text<'a>)] {
        &self.meta[span.meta.clone()]
    }

    /// The number tags of a span.
    pub fn metrics_of(&self, span: &Span<'a>) -> &[(Text<'a>, f64)] {
        &self.metrics[span.metrics.clone()]
    }

    /// One text tag of a span.
    pub fn tag(&self, span: &Span<'a>, key: &str) -> Option<&str> {
        self.meta_of(span)
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_ref())
    }

    /// One number tag of a span.
    pub fn metric(&self, span: &Span<'a>, key: &str) -> Option<f64> {
        self.metrics_of(span)
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| *v)
    }

    /// The high 64 bits of a chunk's trace id, if its first span or the format has them.
    pub fn high_bits(&self, chunk: &Chunk<'a>) -> Option<u64> {
        let first = self.spans.get(chunk.spans.clone())?.first()?;
        if first.trace_id_high != 0 {
            return Some(first.trace_id_high);
        }
        let text = self.tag(first, "_dd.p.tid")?;
        (text.len() == 16)
            .then(|| u64::from_str_radix(text, 16).ok())
            .flatten()
    }

    /// The sampling priority of a chunk.
    pub fn priority(&self, chunk: &Chunk<'a>) -> Option<i32> {
        chunk.priority.or_else(|| {
            self.spans[chunk.spans.clone()]
                .iter()
                .find_map(|span| self.metric(span, "_sampling_priority_v1"))
                .map(|priority| priority as i32)
        })
    }
}
