//! What a test says from inside its process: tags, and the spans that it made.
//!
//! `ddtrace::testing` writes both into the folder of the run. They are read once the process has ended, so a test that is killed may
//! leave half a line, which is left out.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use ddtrace_ci_visibility::payload::TestSpan;
use serde_json::Value;

/// Bytes of spans that one run may leave.
const SPANS: u64 = 16 << 20;
/// Bytes of tags, and how many.
const TAGS: (u64, usize) = (64 << 10, 64);
/// The span that stands for the test in its process.
const TEST: &str = "ddtrace.test";

/// What was found in the folder of a run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Inside {
    pub(super) tags: Vec<(String, String)>,
    pub(super) spans: Vec<TestSpan>,
}

impl Inside {
    pub(super) fn read(folder: &Path) -> Inside {
        let text = |name: &str, most: u64| -> String {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(folder.join(name));
            // There is none unless the test has something to say.
            let _ = file.and_then(|file| file.take(most).read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let tags = text("tags", TAGS.0);
        let records = tags.split_inclusive('\u{1e}').filter_map(|record| {
            let (key, value) = record.strip_suffix('\u{1e}')?.split_once('\u{1f}')?;
            Some((key.to_owned(), value.to_owned()))
        });
        let spans = text("spans.jsonl", SPANS);
        let lines = spans
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Inside {
            tags: records.take(TAGS.1).collect(),
            spans: lines.flat_map(|line| spans_of(&line)).collect(),
        }
    }
}

fn spans_of(line: &Value) -> Vec<TestSpan> {
    let chunks = line["traces"].as_array().map_or(&[][..], Vec::as_slice);
    let spans = chunks.iter().filter_map(Value::as_array).flatten();
    spans.filter_map(span).collect()
}

fn span(value: &Value) -> Option<TestSpan> {
    let id = |key: &str| u64::from_str_radix(value[key].as_str()?, 16).ok();
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let texts = value["meta"].as_object().into_iter().flatten();
    let numbers = value["metrics"].as_object().into_iter().flatten();
    Some(TestSpan {
        trace_id: id("trace_id")?,
        span_id: id("span_id")?,
        parent_id: id("parent_id").unwrap_or(0),
        name: text("name"),
        resource: text("resource"),
        service: text("service"),
        kind: text("type"),
        start: value["start"].as_u64()?,
        duration: value["duration"].as_u64().unwrap_or(0),
        error: i32::from(value["error"].as_i64().unwrap_or(0) != 0),
        meta: texts
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        metrics: numbers
            .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)))
            .collect(),
    })
}

/// The spans of the test's trace; what stood below the span that stands for the test stands below the test itself.
pub(super) fn below(spans: Vec<TestSpan>, trace: u64, test: u64) -> Vec<TestSpan> {
    let is_test = |span: &TestSpan| span.name == TEST && span.parent_id == test;
    let stands_in: BTreeMap<u64, u64> = spans
        .iter()
        .filter(|span| is_test(span))
        .map(|span| (span.span_id, test))
        .collect();
    let of_trace = spans
        .into_iter()
        .filter(|span| span.trace_id == trace && !is_test(span));
    of_trace
        .map(|mut span| {
            span.parent_id = stands_in
                .get(&span.parent_id)
                .copied()
                .unwrap_or(span.parent_id);
            span
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_spans_are_read_as_far_as_they_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Inside::read(folder.path()), Inside::default());
        std::fs::write(
            folder.path().join("tags"),
            "a\u{1f}1\u{1e}b=c\u{1f}x y\n\u{1e}half\u{1f}",
        )
        .unwrap();
        let line = r#"{"traces":[[
            {"trace_id":"0000000000000007","span_id":"000000000000000A","parent_id":"0000000000000009","name":"ddtrace.test","resource":"t","service":"s","type":"","start":5,"duration":9,"error":0,"meta":{},"metrics":{}},
            {"trace_id":"0000000000000007","span_id":"000000000000000B","parent_id":"000000000000000A","name":"query","resource":"SELECT","service":"db","type":"sql","start":6,"duration":1,"error":1,"meta":{"k":"v"},"metrics":{"n":2.5,"_dd.top_level":1}},
            {"trace_id":"0000000000000008","span_id":"000000000000000C","parent_id":"0000000000000000","name":"other","start":6,"duration":1}]]}"#;
        let lines = format!("{}\n{{\"traces\":[[{{", line.replace('\n', " "));
        std::fs::write(folder.path().join("spans.jsonl"), lines).unwrap();
        let inside = Inside::read(folder.path());
        assert_eq!(
            inside.tags,
            [("a".into(), "1".into()), ("b=c".into(), "x y\n".into())]
        );
        assert_eq!(inside.spans.len(), 3);
        let spans = below(inside.spans, 7, 9);
        assert_eq!(spans.len(), 1);
        let query = &spans[0];
        assert_eq!((query.span_id, query.parent_id, query.error), (11, 9, 1));
        assert_eq!((query.meta["k"].as_str(), query.metrics["n"]), ("v", 2.5));
    }
}
