//! From the threads' queues to a sink: one round collects, assembles, filters and hands on.

use std::sync::Arc;

use super::assemble::Assembler;
use super::finished::{FinishedSpan, SpanData};
use crate::telemetry::{self, SpanCounts};
use crate::trace::segment::Buffer;
use crate::trace::tracer::TracerCore;

/// Looks at every chunk before it is sent, on the worker; may change it or drop it.
///
/// Chunks are whole local traces, or parts of very long ones, the local root first if it is there. A filter that panics is
/// skipped for that chunk.
///
/// ```
/// use ddtrace_core::export::{SpanData, TraceFilter};
///
/// struct WithoutHealthChecks;
///
/// impl TraceFilter for WithoutHealthChecks {
///     fn process(&self, spans: Vec<SpanData>) -> Option<Vec<SpanData>> {
///         let is_health_check = spans.iter().any(|span| span.is_local_root && span.resource == "GET /health");
///         (!is_health_check).then_some(spans)
///     }
/// }
/// ```
pub trait TraceFilter: Send + Sync {
    /// The chunk as it goes on, or nothing to drop it.
    fn process(&self, spans: Vec<SpanData>) -> Option<Vec<SpanData>>;
}

/// Takes chunks, span by span.
pub(crate) trait Sink {
    /// A chunk follows.
    fn begin_chunk(&mut self);
    /// A span of the chunk, the local root first if it is there.
    fn push(&mut self, span: &FinishedSpan<'_>);
    /// The chunk is complete.
    fn end_chunk(&mut self);
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Round {
    /// Chunks handed to the sink.
    pub(crate) chunks: u64,
    pub(crate) spans: u64,
    /// Chunks that filters took out.
    pub(crate) filtered_chunks: u64,
    /// Chunks that found the queue full since the last round.
    pub(crate) dropped_chunks: u64,
    pub(crate) dropped_spans: u64,
}

/// The worker's side of a tracer.
pub(crate) struct Pipeline {
    tracer: Arc<TracerCore>,
    assembler: Assembler,
    /// Memory that is used again: chunks of one queue, and the span in hand.
    chunks: Vec<Box<Buffer>>,
    emptied: Vec<Box<Buffer>>,
    span: FinishedSpan<'static>,
    counts: SpanCounts,
}

/// Bytes of all threads' queues together.
const QUEUED_BYTES: usize = 16 << 20;
/// What a queue may hold at least, however many there are.
const LEAST_QUEUED_BYTES: usize = 64 << 10;

impl Pipeline {
    pub(crate) fn new(tracer: Arc<TracerCore>) -> Self {
        let assembler = Assembler::new(tracer.config(), tracer.runtime_id.clone());
        Self {
            tracer,
            assembler,
            chunks: Vec::new(),
            emptied: Vec::new(),
            span: FinishedSpan::default(),
            counts: SpanCounts::default(),
        }
    }

    /// Sets `_dd.tracer_kr` for the chunks of the next rounds.
    pub(crate) fn set_keep_rate(&mut self, rate: f64) {
        self.assembler.keep_rate = rate;
    }

    /// Moves all that waits into the sink.
    pub(crate) fn run(&mut self, sink: &mut dyn Sink) -> Round {
        self.assembler.refresh(self.tracer.config());
        let mut round = Round::default();
        let mut queues = 0;
        let tracer = Arc::clone(&self.tracer);
        tracer.for_each_outbox(|outbox| {
            queues += 1;
            let mut chunks = std::mem::take(&mut self.chunks);
            outbox.collect(&mut chunks);
            for chunk in &chunks {
                self.process(chunk, sink, &mut round);
            }
            let mut emptied = std::mem::take(&mut self.emptied);
            for mut chunk in chunks.drain(..) {
                for mut other in std::mem::take(&mut chunk.rest) {
                    other.clear();
                    emptied.push(other);
                }
                chunk.clear();
                emptied.push(chunk);
            }
            outbox.give_back(&mut emptied);
            self.emptied = emptied;
            self.chunks = chunks;
            let (dropped_chunks, dropped_spans) = outbox.take_dropped();
            round.dropped_chunks += dropped_chunks;
            round.dropped_spans += dropped_spans;
        });
        let limit = (QUEUED_BYTES / queues.max(1)).max(LEAST_QUEUED_BYTES);
        tracer.limit_outboxes(limit);
        self.counts.report();
        round
    }

    fn process(&mut self, chunk: &Buffer, sink: &mut dyn Sink, round: &mut Round) {
        let texts = self.assembler.prepare(chunk);
        if texts.is_discarded() {
            // A rule says so: neither sent nor counted.
            return;
        }
        let mut span = std::mem::take(&mut self.span).recycle();
        let filters = &self.tracer.filters;
        let counts = &mut self.counts;
        let counted = telemetry::is_on();
        let mut spans = 0;
        if filters.is_empty() {
            sink.begin_chunk();
            self.assembler
                .for_each(chunk, &texts, &mut span, &mut |span| {
                    spans += 1;
                    if counted {
                        counts.add(span);
                    }
                    sink.push(span);
                });
            sink.end_chunk();
        } else {
            let mut all = Vec::with_capacity(chunk.span_count());
            self.assembler
                .for_each(chunk, &texts, &mut span, &mut |span| {
                    if counted {
                        counts.add(span);
                    }
                    all.push(span.to_data())
                });
            round.filtered_chunks += 1;
            if let Some(all) = filtered(filters, all).filter(|all| !all.is_empty()) {
                round.filtered_chunks -= 1;
                sink.begin_chunk();
                for span in &all {
                    spans += 1;
                    sink.push(&span.as_finished());
                }
                sink.end_chunk();
            }
        }
        round.chunks += u64::from(spans > 0);
        round.spans += spans;
        self.span = span.recycle();
    }
}

/// The chunk after all filters, or nothing.
fn filtered(filters: &[Arc<dyn TraceFilter>], mut spans: Vec<SpanData>) -> Option<Vec<SpanData>> {
    for filter in filters {
        let kept = spans.clone();
        match crate::text::guarded(|| filter.process(spans)) {
            Some(result) => spans = result?,
            None => {
                crate::diagnostics::error(format_args!(
                    "a trace filter panicked; the chunk goes on as it was"
                ));
                spans = kept;
            }
        }
    }
    Some(spans)
}
