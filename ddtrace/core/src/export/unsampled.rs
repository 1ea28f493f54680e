//! What becomes of chunks that sampling rejected, where statistics are made here.
//!
//! Once its spans are counted a rejected chunk need not be sent, except
//!
//! * spans that were sampled on their own (`_dd.span_sampling.mechanism` is 8): these go, without the others;
//! * a chunk with an error in it: the agent keeps some of these, so that rare errors are seen. But not if a user or a rule rejected it: the
//!   agent would drop it as well.
//!
//! Source: libdatadog, `libdd-trace-utils/src/span/trace_utils.rs` (`drop_chunks`).

use super::finished::{FinishedSpan, SpanData};

/// What is known of a chunk once all of its spans were seen.
#[derive(Debug, Default)]
pub(super) struct Unsampled {
    pub(super) spans: u64,
    single: u64,
    has_error: bool,
}

/// What is sent of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All.
    Keep,
    /// The spans that were sampled on their own.
    KeepSingle,
    /// Nothing.
    Drop,
}

impl Unsampled {
    pub(super) fn look_at(&mut self, span: &FinishedSpan<'_>) {
        self.spans += 1;
        self.single += u64::from(is_single(span));
        self.has_error |= span.error;
    }

    pub(super) fn verdict(&self, is_rejected_by_hand: bool) -> Verdict {
        if self.has_error && !is_rejected_by_hand {
            Verdict::Keep
        } else if self.single > 0 {
            Verdict::KeepSingle
        } else {
            Verdict::Drop
        }
    }

    /// How many spans a verdict leaves.
    pub(super) fn kept(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Keep => self.spans,
            Verdict::KeepSingle => self.single,
            Verdict::Drop => 0,
        }
    }
}

impl Verdict {
    /// Whether a span of the chunk is sent.
    pub(super) fn keeps(self, span: &FinishedSpan<'_>) -> bool {
        match self {
            Self::Keep => true,
            Self::KeepSingle => is_single(span),
            Self::Drop => false,
        }
    }
}

/// Whether a span was sampled on its own.
fn is_single(span: &FinishedSpan<'_>) -> bool {
    span.metric("_dd.span_sampling.mechanism") == Some(8.0)
}

/// The spans of a chunk that were sampled on their own; what the first span says about the chunk moves to the first of them.
pub(super) fn single_spans(all: Vec<SpanData>) -> Vec<SpanData> {
    let belongs = |key: &str| {
        key.starts_with("_dd.p.")
            || key.starts_with("_dd.git.")
            || matches!(
                key,
                "_sampling_priority_v1" | "_dd.tracer_kr" | "_dd.tags.process" | "language"
            )
    };
    let (meta, metrics) = match all.first() {
        Some(first) => (
            first
                .meta
                .iter()
                .filter(|(key, _)| belongs(key))
                .cloned()
                .collect::<Vec<_>>(),
            first
                .metrics
                .iter()
                .filter(|(key, _)| belongs(key))
                .cloned()
                .collect::<Vec<_>>(),
        ),
        None => return Vec::new(),
    };
    let mut single: Vec<SpanData> = all
        .into_iter()
        .filter(|span| is_single(&span.as_finished()))
        .collect();
    if let Some(first) = single.first_mut() {
        for (key, value) in meta {
            if first.meta(&key).is_none() {
                first.meta.push((key, value));
            }
        }
        for (key, value) in metrics {
            if first.metric(&key).is_none() {
                first.metrics.push((key, value));
            }
        }
    }
    single
}
