//! What became of finished spans, in numbers that only rise.
//!
//! One set per process, so that they outlive the tracer: the last ones are known when the shutdown is done. A forked child
//! begins at nought.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of the spans that finished in this process, see [`counts`].
///
/// Traces are counted as they are sent: a very long one goes in several parts. What a [filter](crate::export::TraceFilter)
/// takes out is neither sent nor dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Traces that the agent took.
    pub sent_traces: u64,
    /// Their spans.
    pub sent_spans: u64,
    /// Traces that were lost: a queue was full, they were too large for a payload, the agent refused them, or it could not
    /// be reached until the end.
    pub dropped_traces: u64,
    /// Their spans.
    pub dropped_spans: u64,
    /// Traces that sampling rejected and that were therefore counted in statistics instead of sent, see
    /// `DD_TRACE_STATS_COMPUTATION_ENABLED`.
    pub unsampled_traces: u64,
    /// Their spans, and those of traces of which only single spans were sent.
    pub unsampled_spans: u64,
}

static SENT: Pair = Pair::new();
static DROPPED: Pair = Pair::new();
static UNSAMPLED: Pair = Pair::new();

struct Pair {
    traces: AtomicU64,
    spans: AtomicU64,
}

impl Pair {
    const fn new() -> Self {
        Self {
            traces: AtomicU64::new(0),
            spans: AtomicU64::new(0),
        }
    }

    fn add(&self, traces: u64, spans: u64) {
        self.traces.fetch_add(traces, Ordering::Relaxed);
        self.spans.fetch_add(spans, Ordering::Relaxed);
    }
}

/// What became of the spans that finished in this process so far. After [`flush`](super::flush) or a shutdown nothing is on
/// its way, and what was finished before is either sent, dropped, or rejected by sampling and counted.
///
/// ```
/// let counts = ddtrace_core::worker::counts();
/// assert_eq!((counts.sent_spans, counts.dropped_spans), (0, 0));
/// ```
pub fn counts() -> Counts {
    Counts {
        sent_traces: SENT.traces.load(Ordering::Relaxed),
        sent_spans: SENT.spans.load(Ordering::Relaxed),
        dropped_traces: DROPPED.traces.load(Ordering::Relaxed),
        dropped_spans: DROPPED.spans.load(Ordering::Relaxed),
        unsampled_traces: UNSAMPLED.traces.load(Ordering::Relaxed),
        unsampled_spans: UNSAMPLED.spans.load(Ordering::Relaxed),
    }
}

pub(super) fn sent(traces: u64, spans: u64) {
    SENT.add(traces, spans);
}

pub(super) fn dropped(traces: u64, spans: u64) {
    DROPPED.add(traces, spans);
}

pub(super) fn unsampled(traces: u64, spans: u64) {
    UNSAMPLED.add(traces, spans);
}

/// Begins anew, in a forked child.
pub(super) fn reset() {
    for pair in [&SENT, &DROPPED, &UNSAMPLED] {
        pair.traces.store(0, Ordering::Relaxed);
        pair.spans.store(0, Ordering::Relaxed);
    }
}
