//! LLM Observability: spans of both transports, evaluations, and a small back end for datasets, experiments and prompts.
//!
//! ```text
//! meta_struct["_llmobs"] ─┐
//! /api/v2/llmobs ─────────┴▶ span ─▶ spans (newest, bounded by bytes) ─▶ traces, sessions, prompts
//! eval-metric ─────────────▶ evaluation ─▶ evaluations (newest)
//! llm-obs/v1/… ────────────▶ backend: projects, datasets, experiments, prompts
//! ```
//!
//! What a model was told and said is large, and most of it is never looked at: it is kept as the JSON text that it came as,
//! beside the few fields that lists need.

pub mod answers;
pub mod backend;
pub mod evaluation;
pub mod prices;
pub mod span;
pub mod traces;

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use backend::Backend;
use evaluation::Evaluation;
use prices::Prices;
use span::{Span, Transport};

/// Evaluations that are kept.
const EVALUATIONS: usize = 50_000;

/// What came.
#[derive(Debug)]
pub struct Llm {
    kept: Mutex<Kept>,
    backend: Mutex<Backend>,
    /// What calls cost.
    pub prices: Prices,
}

/// The content of [`Llm`].
#[derive(Debug, Default)]
pub struct Kept {
    room: usize,
    bytes: usize,
    /// In the order of their coming.
    spans: VecDeque<Span>,
    /// The number of the first of them.
    first: u64,
    by_trace: HashMap<String, Vec<u64>>,
    by_span: HashMap<String, u64>,
    evaluations: VecDeque<Evaluation>,
    evaluation_bytes: usize,
    /// Counts since the start.
    pub counts: Counts,
}

/// Counts that are never evicted.
#[derive(Debug, Default, Clone, Copy)]
#[allow(missing_docs)] // named as in API.md
pub struct Counts {
    pub spans: u64,
    pub traces: u64,
    pub errors: u64,
    pub evaluations: u64,
    pub evicted: u64,
}

impl Llm {
    /// Nothing yet, and room for that many bytes.
    pub fn new(room: usize, data: Option<&Path>) -> Llm {
        Llm {
            kept: Mutex::new(Kept {
                room,
                ..Kept::default()
            }),
            backend: Mutex::new(Backend::new(room / 2)),
            prices: Prices::open(data),
        }
    }

    /// What is kept, locked.
    pub fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Datasets, experiments and prompts, locked.
    pub fn backend(&self) -> MutexGuard<'_, Backend> {
        self.backend
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Forgets spans and evaluations; datasets and prompts were made on purpose and stay.
    pub fn clear(&self) {
        let mut kept = self.lock();
        *kept = Kept {
            room: kept.room,
            ..Kept::default()
        };
    }
}

impl Kept {
    /// How the span of that id came, if it is here.
    pub fn transport_of(&self, span: &str) -> Option<Transport> {
        self.span(*self.by_span.get(span)?)
            .map(|span| span.transport)
    }

    fn span(&self, number: u64) -> Option<&Span> {
        self.spans
            .get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Keeps a span.
    pub fn add(&mut self, span: Span) {
        let number = self.first + self.spans.len() as u64;
        self.counts.spans += 1;
        self.counts.errors += u64::from(span.is_error);
        let of_trace = self.by_trace.entry(span.trace_id.clone()).or_default();
        self.counts.traces += u64::from(of_trace.is_empty());
        of_trace.push(number);
        self.by_span.insert(span.span_id.clone(), number);
        self.bytes += span.memory();
        self.spans.push_back(span);
        while self.bytes > self.room {
            let Some(gone) = self.spans.pop_front() else {
                break;
            };
            self.bytes -= gone.memory();
            self.counts.evicted += 1;
            if let Some(of_trace) = self.by_trace.get_mut(&gone.trace_id) {
                of_trace.retain(|number| *number != self.first);
                if of_trace.is_empty() {
                    self.by_trace.remove(&gone.trace_id);
                }
            }
            if self.by_span.get(&gone.span_id) == Some(&self.first) {
                self.by_span.remove(&gone.span_id);
            }
            self.first += 1;
        }
    }

    /// Keeps an evaluation.
    pub fn evaluate(&mut self, evaluation: Evaluation) {
        self.counts.evaluations += 1;
        self.evaluation_bytes += evaluation.memory();
        self.evaluations.push_back(evaluation);
        while self.evaluations.len() > EVALUATIONS || self.evaluation_bytes > self.room / 4 {
            let Some(gone) = self.evaluations.pop_front() else {
                break;
            };
            self.evaluation_bytes -= gone.memory();
        }
    }

    /// All spans, oldest first.
    pub fn spans(&self) -> impl DoubleEndedIterator<Item = &Span> {
        self.spans.iter()
    }

    /// The spans of a trace in the order of their coming; of one that was sent twice, the last.
    pub fn of_trace<'k>(&'k self, trace: &str) -> impl Iterator<Item = &'k Span> {
        let numbers = self.by_trace.get(trace).map_or(&[][..], Vec::as_slice);
        numbers.iter().filter_map(|number| {
            let span = self.span(*number)?;
            let is_last = self
                .by_span
                .get(&span.span_id)
                .is_none_or(|last| last == number)
                || self
                    .by_span
                    .get(&span.span_id)
                    .and_then(|last| self.span(*last))
                    .is_some_and(|last| last.trace_id != span.trace_id);
            is_last.then_some(span)
        })
    }

    /// Ids of traces.
    pub fn trace_ids(&self) -> impl Iterator<Item = &str> {
        self.by_trace.keys().map(String::as_str)
    }

    /// All evaluations, oldest first.
    pub fn evaluations(&self) -> impl DoubleEndedIterator<Item = &Evaluation> {
        self.evaluations.iter()
    }

    /// Bytes of memory, about.
    pub fn memory(&self) -> usize {
        self.bytes + self.evaluation_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn span(trace: &str, id: u64, text: &str) -> Span {
        let event = json!({"trace_id": trace, "span_id": id.to_string(), "parent_id": "undefined", "name": text, "tags": ["turn:1"],
            "meta": {"span": {"kind": "llm"}, "input": {"value": text}}});
        Span::read(&event, Transport::Intake, &Prices::default())
    }

    #[test]
    fn the_oldest_go_when_the_room_is_full() {
        let llm = Llm::new(100_000, None);
        let mut kept = llm.lock();
        for id in 0..200 {
            kept.add(span(&format!("t{}", id / 2), id, &"x".repeat(1000)));
        }
        assert!(kept.memory() <= 100_000);
        assert!(kept.counts.evicted > 100 && kept.spans.len() > 10);
        assert_eq!(kept.counts.traces, 100);
        assert_eq!(kept.of_trace("t0").count(), 0);
        assert_eq!(kept.of_trace("t99").count(), 2);
        assert_eq!(kept.by_span.len(), kept.spans.len());
        let listed: usize = kept.by_trace.values().map(Vec::len).sum();
        assert_eq!(listed, kept.spans.len());
    }

    #[test]
    fn a_span_that_is_sent_again_takes_the_place_of_the_first() {
        let llm = Llm::new(1 << 20, None);
        let mut kept = llm.lock();
        kept.add(span("t", 1, "first"));
        kept.add(span("t", 1, "second"));
        let names: Vec<_> = kept.of_trace("t").map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["second"]);
        assert_eq!(kept.transport_of("1"), Some(Transport::Intake));
    }

    #[test]
    fn evaluations_find_what_they_are_of() {
        let one = span("t", 1, "x");
        let is_of = |metric: serde_json::Value| Evaluation::read(&metric).is_of(&one);
        assert!(is_of(
            json!({"join_on": {"span": {"span_id": "1", "trace_id": "t"}}})
        ));
        assert!(!is_of(
            json!({"join_on": {"span": {"span_id": "1", "trace_id": "u"}}})
        ));
        assert!(is_of(
            json!({"join_on": {"tag": {"key": "turn", "value": "1"}}})
        ));
        assert!(!is_of(
            json!({"join_on": {"tag": {"key": "turn", "value": "2"}}})
        ));
        assert!(is_of(json!({"trace_id": "t"})));
    }
}
