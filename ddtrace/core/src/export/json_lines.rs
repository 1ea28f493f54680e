//! Traces as lines of JSON, for environments without an agent.
//!
//! Each line is `{"traces":[[{…span…}, …]]}` with one chunk. Ids are 16 upper-case hexadecimal digits;
//! the upper half of a trace id is in meta `_dd.p.tid`, as in every format. Whoever collects standard
//! output (a log forwarder of a function platform) cuts lines at 256 KiB, so a longer chunk is written
//! as several lines, each with the chunk's tags on its first span, and a span that alone is longer is
//! dropped and counted. Structured metadata has no place in this form and is left out.
//!
//! Source: dd-trace-py, `ddtrace/internal/encoding.py` (`JSONEncoderV2`) and
//! `ddtrace/internal/writer/writer.py` (`LogWriter`).

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::finished::FinishedSpan;
use super::json;
use super::pipeline::Sink;

/// The longest line in bytes, its end included.
pub const MAX_JSON_LINE: usize = 256 * 1024;

const BEGIN: &[u8] = br#"{"traces":[["#;
const END: &[u8] = b"]]}\n";

/// Writes chunks as lines to standard output, a file, or anything else.
///
/// ```
/// use ddtrace_core::export::{FinishedSpan, JsonLines};
///
/// let mut lines = JsonLines::new(Vec::new());
/// lines.begin_chunk();
/// lines.push(&FinishedSpan::default());
/// lines.end_chunk();
/// assert!(lines.get_ref().starts_with(br#"{"traces":[[{"trace_id":"#));
/// ```
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    /// The line in hand, begun but not ended.
    line: Vec<u8>,
    /// The span in hand.
    span: Vec<u8>,
    spans_in_line: usize,
    /// Tags that belong to the chunk and stand on its first span.
    chunk_tags: ChunkTags,
    is_first: bool,
    counts: LineCounts,
}

/// What was written and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineCounts {
    /// Lines written.
    pub lines: u64,
    /// Spans in them.
    pub spans: u64,
    /// Spans dropped because they alone are longer than a line may be.
    pub too_long: u64,
    /// Spans lost because writing failed.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct ChunkTags {
    meta: Vec<(String, String)>,
    metrics: Vec<(String, f64)>,
}

impl ChunkTags {
    /// Whether a tag of the first span is one of the whole chunk.
    fn belongs(key: &str) -> bool {
        key.starts_with("_dd.p.") || key == "_sampling_priority_v1"
    }

    fn of(span: &FinishedSpan<'_>) -> ChunkTags {
        let meta = span.meta.iter().filter(|(key, _)| ChunkTags::belongs(key));
        let metrics = span
            .metrics
            .iter()
            .filter(|(key, _)| ChunkTags::belongs(key));
        ChunkTags {
            meta: meta
                .map(|(key, value)| ((*key).to_owned(), value.to_string()))
                .collect(),
            metrics: metrics
                .map(|(key, value)| ((*key).to_owned(), *value))
                .collect(),
        }
    }
}

impl<W: Write> JsonLines<W> {
    /// Writes to `out`, one `write_all` per line.
    pub fn new(out: W) -> JsonLines<W> {
        JsonLines {
            out,
            line: Vec::new(),
            span: Vec::new(),
            spans_in_line: 0,
            chunk_tags: ChunkTags::default(),
            is_first: true,
            counts: LineCounts::default(),
        }
    }

    /// What was written so far.
    pub fn counts(&self) -> LineCounts {
        self.counts
    }

    /// Where it is written to.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// Begins a chunk: the spans of one trace that are sent together.
    pub fn begin_chunk(&mut self) {
        self.end_line();
        self.is_first = true;
    }

    /// Adds a span to the chunk.
    pub fn push(&mut self, span: &FinishedSpan<'_>) {
        if std::mem::take(&mut self.is_first) {
            self.chunk_tags = ChunkTags::of(span);
            self.encode(span, None);
        } else {
            self.encode(span, None);
            if !self.fits() {
                self.end_line();
                self.encode_continued(span);
            } else if self.spans_in_line == 0 {
                // All spans before it were too long.
                self.encode_continued(span);
            }
        }
        if !self.fits() {
            self.counts.too_long += 1;
            return;
        }
        let separator = if self.spans_in_line == 0 { BEGIN } else { b"," };
        self.line.extend_from_slice(separator);
        self.line.extend_from_slice(&self.span);
        self.spans_in_line += 1;
    }

    /// Ends the chunk and writes what is left of it. A chunk without spans leaves no line.
    pub fn end_chunk(&mut self) {
        self.end_line();
    }

    /// Hands on what `out` holds back.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn fits(&self) -> bool {
        let before = if self.spans_in_line == 0 {
            BEGIN.len()
        } else {
            self.line.len() + 1
        };
        before + self.span.len() + END.len() <= MAX_JSON_LINE
    }

    fn encode_continued(&mut self, span: &FinishedSpan<'_>) {
        let tags = std::mem::take(&mut self.chunk_tags);
        self.encode(span, Some(&tags));
        self.chunk_tags = tags;
    }

    fn encode(&mut self, span: &FinishedSpan<'_>, chunk_tags: Option<&ChunkTags>) {
        self.span.clear();
        // Writing to a vector cannot fail, and every key is a text.
        let _ = serde_json::to_writer(&mut self.span, &SpanAsJson { span, chunk_tags });
    }

    fn end_line(&mut self) {
        let spans = std::mem::take(&mut self.spans_in_line) as u64;
        if spans == 0 {
            return;
        }
        self.line.extend_from_slice(END);
        match self.out.write_all(&self.line) {
            Ok(()) => {
                self.counts.lines += 1;
                self.counts.spans += spans;
            }
            Err(_) => self.counts.failed += spans,
        }
        self.line.clear();
    }
}

impl<W: Write> Sink for JsonLines<W> {
    fn begin_chunk(&mut self) {
        JsonLines::begin_chunk(self);
    }

    fn push(&mut self, span: &FinishedSpan<'_>) {
        JsonLines::push(self, span);
    }

    fn end_chunk(&mut self) {
        JsonLines::end_chunk(self);
    }
}

struct SpanAsJson<'a, 'b> {
    span: &'b FinishedSpan<'a>,
    chunk_tags: Option<&'b ChunkTags>,
}

impl Serialize for SpanAsJson<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.span;
        let id = |id: u64| format!("{id:016X}");
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("trace_id", &id(span.trace_id.low()))?;
        map.serialize_entry("span_id", &id(span.span_id))?;
        map.serialize_entry("parent_id", &id(span.parent_id))?;
        map.serialize_entry("service", span.service)?;
        map.serialize_entry("name", span.name)?;
        map.serialize_entry("resource", span.resource)?;
        if !span.span_type.is_empty() {
            map.serialize_entry("type", span.span_type)?;
        }
        map.serialize_entry("start", &span.start)?;
        map.serialize_entry("duration", &span.duration)?;
        map.serialize_entry("error", &u8::from(span.error))?;
        map.serialize_entry("meta", &Meta(self))?;
        map.serialize_entry("metrics", &Metrics(self))?;
        map.end()
    }
}

struct Meta<'a, 'b, 'c>(&'c SpanAsJson<'a, 'b>);

impl Serialize for Meta<'_, '_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.0.span;
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &span.meta {
            map.serialize_entry(key, value)?;
        }
        for (key, value) in self.0.chunk_tags.iter().flat_map(|tags| &tags.meta) {
            if span.meta(key).is_none() {
                map.serialize_entry(key, value)?;
            }
        }
        if !span.events.is_empty() {
            map.serialize_entry("events", &json::events(&span.events))?;
        }
        if !span.links.is_empty() {
            map.serialize_entry("_dd.span_links", &json::links(&span.links))?;
        }
        map.end()
    }
}

struct Metrics<'a, 'b, 'c>(&'c SpanAsJson<'a, 'b>);

impl Serialize for Metrics<'_, '_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.0.span;
        let own = span.metrics.iter().map(|(key, value)| (*key, *value));
        let of_chunk = self.0.chunk_tags.iter().flat_map(|tags| &tags.metrics);
        let of_chunk = of_chunk.map(|(key, value)| (key.as_str(), *value));
        let missing = of_chunk.filter(|(key, _)| span.metric(key).is_none());
        // JSON has no word for what is not a number.
        serializer.collect_map(own.chain(missing).filter(|(_, value)| value.is_finite()))
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::{Value, json};

    use super::*;
    use crate::trace::{SpanContextId, SpanId, SpanLink, TraceId};

    fn lines(lines: &JsonLines<Vec<u8>>) -> Vec<Value> {
        let text = std::str::from_utf8(lines.get_ref()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        assert!(text.lines().all(|line| line.len() < MAX_JSON_LINE));
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// A span with `padding` bytes in a tag.
    fn span(id: u64, padding: usize) -> FinishedSpan<'static> {
        FinishedSpan {
            span_id: id,
            trace_id: TraceId::new(1, 2),
            meta: vec![("padding", Cow::Owned("x".repeat(padding)))],
            ..FinishedSpan::default()
        }
    }

    #[test]
    fn a_chunk_is_one_line_of_the_documented_form() {
        let target = SpanContextId {
            trace_id: TraceId::new(1, 2),
            span_id: SpanId::new(10),
        };
        let link = SpanLink::new(target);
        let root = FinishedSpan {
            service: "shop",
            name: "checkout",
            resource: "GET /\n\"x\"",
            span_type: "web",
            trace_id: TraceId::new(0x6b04_b24d_0000_0000, 0xabcd),
            span_id: 255,
            start: 1_700_000_000_000_000_000,
            duration: 5,
            error: true,
            meta: vec![("_dd.p.tid", "6b04b24d00000000".into())],
            metrics: vec![("_sampling_priority_v1", 1.0), ("nan", f64::NAN)],
            links: vec![&link],
            ..FinishedSpan::default()
        };
        let mut out = JsonLines::new(Vec::new());
        out.begin_chunk();
        out.push(&root);
        out.end_chunk();
        let links =
            r#"[{"trace_id":"00000000000000010000000000000002","span_id":"000000000000000a"}]"#;
        assert_eq!(
            lines(&out),
            [json!({"traces": [[{
                "trace_id": "000000000000ABCD",
                "span_id": "00000000000000FF",
                "parent_id": "0000000000000000",
                "service": "shop",
                "name": "checkout",
                "resource": "GET /\n\"x\"",
                "type": "web",
                "start": 1_700_000_000_000_000_000u64,
                "duration": 5,
                "error": 1,
                "meta": {"_dd.p.tid": "6b04b24d00000000", "_dd.span_links": links},
                "metrics": {"_sampling_priority_v1": 1.0},
            }]]})]
        );
    }

    #[test]
    fn chunks_have_lines_of_their_own_and_empty_ones_have_none() {
        let mut out = JsonLines::new(Vec::new());
        for count in [2, 0, 1] {
            out.begin_chunk();
            for id in 0..count {
                out.push(&span(id + 1, 1));
            }
            out.end_chunk();
        }
        let counts: Vec<usize> = lines(&out)
            .iter()
            .map(|line| line["traces"][0].as_array().unwrap().len())
            .collect();
        assert_eq!(counts, [2, 1]);
        assert_eq!(
            out.counts(),
            LineCounts {
                lines: 2,
                spans: 3,
                ..LineCounts::default()
            }
        );
    }

    #[test]
    fn a_long_chunk_becomes_several_lines_with_the_chunks_tags_on_each() {
        let mut out = JsonLines::new(Vec::new());
        out.begin_chunk();
        let mut first = span(1, 100_000);
        first.set_meta("_dd.p.tid", "t");
        first.set_meta("_dd.p.dm", "-1");
        first.set_metric("_sampling_priority_v1", 1.0);
        first.set_metric("other", 1.0);
        out.push(&first);
        for id in 2..=5 {
            out.push(&span(id, 100_000));
        }
        out.end_chunk();
        let lines = lines(&out);
        let ids: Vec<Vec<&str>> = lines
            .iter()
            .map(|line| {
                let spans = line["traces"][0].as_array().unwrap();
                spans
                    .iter()
                    .map(|span| &span["span_id"].as_str().unwrap()[15..])
                    .collect()
            })
            .collect();
        assert_eq!(ids, [vec!["1", "2"], vec!["3", "4"], vec!["5"]]);
        for line in &lines {
            let first = &line["traces"][0][0];
            assert_eq!(first["meta"]["_dd.p.tid"], "t");
            assert_eq!(first["meta"]["_dd.p.dm"], "-1");
            assert_eq!(first["metrics"]["_sampling_priority_v1"], 1.0);
        }
        assert_eq!(lines[0]["traces"][0][1]["meta"].get("_dd.p.tid"), None);
        assert_eq!(lines[1]["traces"][0][0]["metrics"].get("other"), None);
    }

    #[test]
    fn a_span_longer_than_a_line_is_dropped_and_counted() {
        let mut out = JsonLines::new(Vec::new());
        out.begin_chunk();
        let mut first = span(1, MAX_JSON_LINE);
        first.set_meta("_dd.p.tid", "t");
        out.push(&first);
        out.push(&span(2, 1));
        out.push(&span(3, MAX_JSON_LINE));
        out.push(&span(4, 1));
        out.end_chunk();
        let expected = LineCounts {
            lines: 2,
            spans: 2,
            too_long: 2,
            failed: 0,
        };
        assert_eq!(out.counts(), expected);
        let lines = lines(&out);
        assert!(
            lines
                .iter()
                .all(|line| line["traces"][0][0]["meta"]["_dd.p.tid"] == "t")
        );
    }

    #[test]
    fn a_line_may_be_exactly_as_long_as_the_limit() {
        let length = |padding| {
            let mut out = JsonLines::new(Vec::new());
            out.begin_chunk();
            out.push(&span(1, padding));
            out.end_chunk();
            out.get_ref().len()
        };
        let room = MAX_JSON_LINE - length(0);
        assert_eq!((length(room), length(room + 1)), (MAX_JSON_LINE, 0));
    }

    #[test]
    fn a_destination_that_fails_loses_spans_and_counts_them() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut out = JsonLines::new(Full);
        out.begin_chunk();
        out.push(&span(1, 1));
        out.end_chunk();
        assert_eq!(
            out.counts(),
            LineCounts {
                failed: 1,
                ..LineCounts::default()
            }
        );
    }
}
