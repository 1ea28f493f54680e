//! Spans in rows: fixed fields side by side, texts as numbers of the segment's own table.
//!
//! Only the newest segment takes spans. At [`ROWS`] rows, or when its texts grow too large, it is sealed and from then on
//! never changes; readers hold it by `Arc` while the store goes on. Eviction throws away whole segments, oldest first.

use super::strings::Strings;
use crate::intake::model::{Extra, Payload, Span};
use crate::validate::known::Known;

/// Rows of a full segment.
pub const ROWS: usize = 16_384;
/// Bytes of texts of a full segment.
const TEXT: usize = 8 << 20;

/// Bits of [`Row::flags`]; those up to 512 are the API's (`API.md`, columns of a trace).
pub mod flag {
    #![allow(missing_docs)] // named as in API.md
    pub const ERROR: u32 = 1;
    pub const TOP_LEVEL: u32 = 2;
    pub const MEASURED: u32 = 4;
    pub const LINKS: u32 = 8;
    pub const EVENTS: u32 = 16;
    pub const ORPHAN: u32 = 32;
    pub const CANCELLED: u32 = 64;
    pub const FOLLOWS: u32 = 128;
    pub const LONG_RUNNING: u32 = 256;
    /// What the API may see.
    pub const PUBLIC: u32 = 1023;
    /// No parent at all.
    pub const ROOT: u32 = 1 << 16;
    /// Enters its service: no parent in its chunk, or one of another service.
    pub const ENTRY: u32 = 1 << 17;
    /// Calls something outside: a client or producer.
    pub const OUTGOING: u32 = 1 << 18;
    /// Its parent is not in the chunk, and nothing says that it is in another process.
    pub const LOOSE: u32 = 1 << 19;
}

/// One span.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // the fields of a span
pub struct Row {
    pub span_id: u64,
    pub parent_id: u64,
    pub start: i64,
    pub duration: i64,
    /// The summary of its trace.
    pub trace: u32,
    pub service: u32,
    pub name: u32,
    pub resource: u32,
    pub span_type: u32,
    pub flags: u32,
    meta: u32,
    metrics: u32,
    meta_len: u16,
    metrics_len: u16,
    pub error: i32,
    /// Number of the request, and where the span was in it.
    pub request: u32,
    pub chunk: u32,
    pub index: u32,
    /// Number + 1 in [`Segment::extras`], 0 for none.
    extra: u32,
}

impl Row {
    /// When the span ended; never before its start.
    pub fn end(&self) -> i64 {
        self.start.saturating_add(self.duration.max(0))
    }

    /// Whether a bit is set.
    pub fn is(&self, bit: u32) -> bool {
        self.flags & bit != 0
    }
}

/// What few spans have, detached from the payload.
#[derive(Debug)]
pub struct KeptExtra {
    /// Structured metadata.
    pub meta_struct: Vec<(String, Vec<u8>)>,
    /// Links and events as the API shows them.
    pub links: Vec<serde_json::Value>,
    /// Likewise.
    pub events: Vec<serde_json::Value>,
    bytes: usize,
}

/// A run of rows.
#[derive(Debug, Default)]
pub struct Segment {
    /// Grows by one with every segment.
    pub number: u32,
    /// The texts of all rows.
    pub strings: Strings,
    /// The spans.
    pub rows: Vec<Row>,
    meta: Vec<(u32, u32)>,
    metric_keys: Vec<u32>,
    metric_values: Vec<f64>,
    extras: Vec<KeptExtra>,
    extra_bytes: usize,
    /// When the first span came.
    pub received_first: i64,
}

/// Where a chunk goes in the store.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Place {
    pub trace: u32,
    pub request: u32,
    pub chunk: u32,
}

impl Segment {
    /// An empty segment.
    pub fn new(number: u32, now: i64) -> Segment {
        Segment {
            number,
            received_first: now,
            ..Segment::default()
        }
    }

    /// Whether it takes no more chunks.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= ROWS || self.strings.text_bytes() + self.extra_bytes >= TEXT
    }

    /// Adds a span.
    pub fn push(
        &mut self,
        payload: &Payload<'_>,
        span: &Span<'_>,
        known: &Known<'_>,
        flags: u32,
        index: u32,
        place: Place,
    ) {
        let meta = self.meta.len() as u32;
        // Lengths are 16 bits wide: what is over is left out, but no span of a tracer has that many.
        for (key, value) in payload.meta_of(span).iter().take(u16::MAX.into()) {
            let pair = (self.strings.intern(key), self.strings.intern(value));
            self.meta.push(pair);
        }
        let metrics = self.metric_keys.len() as u32;
        for (key, value) in payload.metrics_of(span).iter().take(u16::MAX.into()) {
            self.metric_keys.push(self.strings.intern(key));
            self.metric_values.push(*value);
        }
        let extra = span.extra.as_deref().map_or(0, |extra| {
            let extra = KeptExtra::of(extra);
            self.extra_bytes += extra.bytes;
            self.extras.push(extra);
            self.extras.len() as u32
        });
        let row = Row {
            span_id: span.span_id,
            parent_id: span.parent_id,
            start: span.start,
            duration: span.duration,
            trace: place.trace,
            service: self.strings.intern(&span.service),
            name: self.strings.intern(&span.name),
            resource: self.strings.intern(&span.resource),
            span_type: self.strings.intern(&span.span_type),
            flags: flags | bits_of(span, known),
            meta,
            metrics,
            meta_len: (self.meta.len() as u32 - meta) as u16,
            metrics_len: (self.metric_keys.len() as u32 - metrics) as u16,
            error: span.error,
            request: place.request,
            chunk: place.chunk,
            index,
            extra,
        };
        self.rows.push(row);
    }

    /// The text tags of a row, as numbers.
    pub fn meta(&self, row: &Row) -> &[(u32, u32)] {
        &self.meta[row.meta as usize..][..row.meta_len.into()]
    }

    /// The number tags of a row.
    pub fn metrics(&self, row: &Row) -> impl Iterator<Item = (u32, f64)> {
        let range = row.metrics as usize..row.metrics as usize + usize::from(row.metrics_len);
        self.metric_keys[range.clone()]
            .iter()
            .copied()
            .zip(self.metric_values[range].iter().copied())
    }

    /// What the row has beyond tags.
    pub fn extra(&self, row: &Row) -> Option<&KeptExtra> {
        self.extras.get((row.extra as usize).checked_sub(1)?)
    }

    /// One text tag of a row.
    pub fn tag(&self, row: &Row, key: &str) -> Option<&str> {
        self.meta(row)
            .iter()
            .find(|(k, _)| self.strings.get(*k) == key)
            .map(|(_, value)| self.strings.get(*value))
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.strings.memory()
            + self.rows.capacity() * size_of::<Row>()
            + self.meta.capacity() * 8
            + self.metric_keys.capacity() * 4
            + self.metric_values.capacity() * 8
            + self.extras.capacity() * size_of::<KeptExtra>()
            + self.extra_bytes
    }

    /// Gives back spare memory; nothing is added afterwards.
    pub fn seal(&mut self) {
        self.strings.seal();
        self.rows.shrink_to_fit();
        self.meta.shrink_to_fit();
        self.metric_keys.shrink_to_fit();
        self.metric_values.shrink_to_fit();
        self.extras.shrink_to_fit();
    }
}

fn bits_of(span: &Span<'_>, known: &Known<'_>) -> u32 {
    let bit = |set: bool, bit: u32| if set { bit } else { 0 };
    let extra = span.extra.as_deref();
    let outgoing = matches!(known.kind, Some("client" | "producer"))
        || (known.kind.is_none()
            && matches!(
                span.span_type.as_ref(),
                "sql" | "http" | "cache" | "redis" | "db" | "queue" | "mongodb"
            ));
    bit(span.error != 0, flag::ERROR)
        | bit(known.top_level, flag::TOP_LEVEL)
        | bit(known.measured, flag::MEASURED)
        | bit(
            known.links.is_some() || extra.is_some_and(|extra| !extra.links.is_empty()),
            flag::LINKS,
        )
        | bit(
            known.events.is_some() || extra.is_some_and(|extra| !extra.events.is_empty()),
            flag::EVENTS,
        )
        | bit(known.cancelled, flag::CANCELLED)
        | bit(known.long_running, flag::LONG_RUNNING)
        | bit(span.parent_id == 0, flag::ROOT)
        | bit(outgoing, flag::OUTGOING)
}

impl KeptExtra {
    fn of(extra: &Extra<'_>) -> KeptExtra {
        let links: Vec<_> = extra
            .links
            .iter()
            .map(|link| {
                let attributes: serde_json::Map<_, _> = link
                    .attributes
                    .iter()
                    .map(|(k, v)| (k.to_string(), v.to_string().into()))
                    .collect();
                serde_json::json!({
                    "trace": format!("{:016x}{:016x}", link.trace_id_high, link.trace_id),
                    "span": link.span_id.to_string(),
                    "attributes": attributes,
                    "tracestate": link.tracestate,
                    "flags": link.flags & 0x7fff_ffff,
                })
            })
            .collect();
        let events: Vec<_> = extra
            .events
            .iter()
            .map(|event| {
                serde_json::json!({"time": event.time.to_string(), "name": event.name, "attributes": event.attributes})
            })
            .collect();
        let meta_struct: Vec<_> = extra
            .meta_struct
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_vec()))
            .collect();
        // A JSON value takes several times its text; four is what trees of short texts come to.
        let shown: usize = links
            .iter()
            .chain(&events)
            .map(|value| value.to_string().len() * 4)
            .sum();
        let bytes = shown
            + meta_struct
                .iter()
                .map(|(k, v)| k.len() + v.len() + 48)
                .sum::<usize>();
        KeptExtra {
            meta_struct,
            links,
            events,
            bytes,
        }
    }
}
