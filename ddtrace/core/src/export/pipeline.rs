//! From the threads' queues to a sink: one round collects, assembles, filters and hands on.

use std::sync::Arc;

use super::agent::AgentInfo;
use super::assemble::{Assembler, ChunkTexts, records};
use super::finished::{FinishedSpan, SpanData};
use super::stats::Counting;
use super::unsampled::{self, Unsampled, Verdict};
use crate::config::Config;
use crate::telemetry::{self, Namespace::Tracers, SpanCounts};
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
    /// Chunks follow, whose spans are counted in statistics here, or are not.
    fn begin_round(&mut self, _is_counted: bool) {}
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
    /// Chunks that found the queue full since the last round.
    pub(crate) dropped_chunks: u64,
    pub(crate) dropped_spans: u64,
    /// Chunks that came, whatever became of them.
    pub(crate) taken: u64,
    /// Chunks, and spans, that are counted in statistics and not sent.
    pub(crate) unsampled_chunks: u64,
    pub(crate) unsampled_spans: u64,
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

    /// The settings in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.tracer.config()
    }

    /// Counts and filters as settings and the agent say.
    pub(crate) fn follow(&self, info: Option<&AgentInfo>) {
        let now = u64::try_from(crate::trace::clock::wall()).unwrap_or(0);
        self.tracer
            .stats
            .lock()
            .follow(&self.tracer.config(), info, now);
    }

    /// Sets `_dd.tracer_kr` for the chunks of the next rounds.
    pub(crate) fn set_keep_rate(&mut self, rate: f64) {
        self.assembler.keep_rate = rate;
    }

    /// Moves all that waits into the sink.
    pub(crate) fn run(&mut self, sink: &mut dyn Sink) -> Round {
        self.assembler.refresh(self.tracer.config());
        let mut queues = 0;
        let tracer = Arc::clone(&self.tracer);
        let counting = tracer.stats.lock();
        sink.begin_round(counting.is_active());
        let mut onward = Onward {
            sink,
            counting,
            now: u64::try_from(crate::trace::clock::wall()).unwrap_or(0),
            round: Round::default(),
        };
        tracer.for_each_outbox(|outbox| {
            queues += 1;
            let mut chunks = std::mem::take(&mut self.chunks);
            outbox.collect(&mut chunks);
            for chunk in &chunks {
                self.process(chunk, &mut onward);
            }
            let round = &mut onward.round;
            round.taken += chunks.len() as u64;
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
        onward.round
    }

    fn process(&mut self, chunk: &Buffer, onward: &mut Onward<'_, '_>) {
        if telemetry::is_on() {
            records(chunk).for_each(|record| self.counts.add(&record.open));
        }
        let texts = self.assembler.prepare(chunk);
        if texts.is_discarded() {
            // A rule says so: neither sent nor counted.
            return;
        }
        let mut span = std::mem::take(&mut self.span).recycle();
        let spans = if self.tracer.filters.is_empty() {
            self.pass_on(chunk, &texts, &mut span, onward)
        } else {
            self.pass_on_filtered(chunk, &texts, &mut span, onward)
        };
        onward.round.chunks += u64::from(spans > 0);
        onward.round.spans += spans;
        self.span = span.recycle();
    }

    /// Counts and hands on a chunk span by span. Gives how many were handed on.
    fn pass_on<'a>(
        &'a self,
        chunk: &'a Buffer,
        texts: &'a ChunkTexts,
        span: &mut FinishedSpan<'a>,
        onward: &mut Onward<'_, '_>,
    ) -> u64 {
        let Onward {
            sink,
            counting,
            now,
            ..
        } = onward;
        let now = *now;
        let assembler = &self.assembler;
        if let Some(filters) = counting.filters() {
            if assembler.fill_root(chunk, texts, span) && filters.reject(span) {
                report_filtered();
                return 0;
            }
        }
        let mut spans = 0;
        if !counting.is_active() || texts.is_sampled() {
            sink.begin_chunk();
            assembler.for_each(chunk, texts, span, &mut |span| {
                spans += 1;
                counting.add(span, now);
                sink.push(span);
            });
            sink.end_chunk();
            return spans;
        }
        let mut unsampled = Unsampled::default();
        assembler.for_each(chunk, texts, span, &mut |span| {
            counting.add(span, now);
            unsampled.look_at(span);
        });
        let verdict = unsampled.verdict(texts.is_rejected_by_hand());
        let kept = unsampled.kept(verdict);
        if kept > 0 {
            sink.begin_chunk();
            let wanted = |span: &FinishedSpan<'_>| verdict.keeps(span);
            assembler.for_each_of(chunk, texts, span, &wanted, &mut |span| sink.push(span));
            sink.end_chunk();
        }
        if kept < unsampled.spans {
            self.note_unsampled(&mut onward.round, kept == 0, unsampled.spans - kept);
        }
        kept
    }

    /// The same for programs with filters, which get and give owned spans.
    fn pass_on_filtered<'a>(
        &'a self,
        chunk: &'a Buffer,
        texts: &'a ChunkTexts,
        span: &mut FinishedSpan<'a>,
        onward: &mut Onward<'_, '_>,
    ) -> u64 {
        let Onward {
            sink,
            counting,
            now,
            ..
        } = onward;
        let now = *now;
        let mut all = Vec::with_capacity(chunk.span_count());
        self.assembler
            .for_each(chunk, texts, span, &mut |span| all.push(span.to_data()));
        let Some(mut all) = filtered(&self.tracer.filters, all).filter(|all| !all.is_empty())
        else {
            report_filtered();
            return 0;
        };
        if counting.is_active() {
            let rejects = |span: &SpanData| {
                let filters = counting.filters();
                filters.is_some_and(|filters| {
                    span.is_local_root && filters.reject(&span.as_finished())
                })
            };
            if all.iter().any(rejects) {
                report_filtered();
                return 0;
            }
            let mut unsampled = Unsampled::default();
            for span in &all {
                let span = span.as_finished();
                counting.add(&span, now);
                unsampled.look_at(&span);
            }
            if !texts.is_sampled() {
                let verdict = unsampled.verdict(texts.is_rejected_by_hand());
                if verdict != Verdict::Keep {
                    all = if verdict == Verdict::KeepSingle {
                        unsampled::single_spans(all)
                    } else {
                        Vec::new()
                    };
                    let kept = all.len() as u64;
                    self.note_unsampled(&mut onward.round, kept == 0, unsampled.spans - kept);
                }
            }
        }
        if all.is_empty() {
            return 0;
        }
        sink.begin_chunk();
        for span in &all {
            sink.push(&span.as_finished());
        }
        sink.end_chunk();
        all.len() as u64
    }

    fn note_unsampled(&self, round: &mut Round, is_whole: bool, spans: u64) {
        report_unsampled(is_whole, spans);
        self.tracer.stats.note_dropped(is_whole, spans);
        round.unsampled_chunks += u64::from(is_whole);
        round.unsampled_spans += spans;
    }
}

/// Where chunks of a round go, and what has become of those before.
struct Onward<'a, 'b> {
    sink: &'a mut dyn Sink,
    counting: Counting<'b>,
    /// Nanoseconds since the epoch.
    now: u64,
    round: Round,
}

/// Counts a chunk that a filter, of the program or of the agent, took out.
fn report_filtered() {
    let reason = [("reason", "trace_filters")];
    telemetry::count(Tracers, "trace_chunks_dropped", &reason, 1);
}

/// Counts what sampling rejected and is not sent, since it is in the statistics.
fn report_unsampled(is_whole: bool, spans: u64) {
    let reason = [("reason", "p0_drop")];
    telemetry::count(
        Tracers,
        "trace_chunks_dropped",
        &reason,
        u64::from(is_whole),
    );
    telemetry::count(Tracers, "spans_dropped", &reason, spans);
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
