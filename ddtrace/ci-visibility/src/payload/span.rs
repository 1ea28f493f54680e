//! Spans that a test made, sent beside the event of their test.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cut;
use super::event::{Event, EventKind};

/// A span inside of a test, as a tracer finished it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of a span are known by their names")]
pub struct TestSpan {
    /// The trace of the test.
    pub trace_id: u64,
    pub span_id: u64,
    /// The span above it, at last the test itself.
    pub parent_id: u64,
    pub name: String,
    pub resource: String,
    pub service: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
    pub error: i32,
    pub meta: BTreeMap<String, String>,
    pub metrics: BTreeMap<String, f64>,
}

impl TestSpan {
    /// The event.
    pub fn event(self) -> Event {
        let mut metrics = self.metrics;
        // The test is the top: no span below it is.
        metrics.remove("_dd.top_level");
        let cut_off = |(key, value): (String, String)| (key, cut(&value).to_owned());
        Event {
            kind: EventKind::Span,
            content_type: self.kind,
            trace: Some((self.trace_id, self.span_id, self.parent_id)),
            session_id: None,
            module_id: None,
            suite_id: None,
            itr_correlation_id: None,
            name: self.name,
            resource: self.resource,
            service: self.service,
            start: self.start,
            duration: self.duration,
            error: self.error,
            meta: self.meta.into_iter().map(cut_off).collect(),
            metrics,
        }
    }
}
