//! Sends payloads one after the other, and keeps what the agent says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::agent::Agent;
use super::collector::{Way, first_format};
use super::counts;
use super::task::Flushed;
use crate::config::ApiVersion;
use crate::diagnostics;
use crate::export::agent::{
    Deadline, DroppedUnsampled, Outcome, RetryPolicy, TracePayload, TraceSender,
};
use crate::export::{Format, Payload};
use crate::health_metrics::counters::{self, Counter};
use crate::telemetry::{self, Namespace::Tracers};
use crate::trace::tracer::TracerCore;

/// The collector's side: a queue that is bounded in bytes.
pub(super) struct Writer {
    messages: UnboundedSender<Message>,
    state: Arc<State>,
    task: JoinHandle<()>,
    limit: usize,
}

enum Message {
    Payload(Payload, Option<DroppedUnsampled>),
    /// Everything before it has been dealt with.
    Barrier(Flushed),
}

/// What both sides see.
struct State {
    queued: AtomicUsize,
    dropped: AtomicU64,
    /// The agent answered that it does not know v0.5.
    fell_back: AtomicBool,
    first: Format,
    agent: Arc<Agent>,
}

impl Writer {
    /// Starts the sending task on the current runtime.
    pub(super) fn start(tracer: Arc<TracerCore>, way: Way, deadline: Deadline) -> Self {
        let Way { agent, intake } = way;
        let limit = tracer.config().writer_buffer_size;
        #[cfg(feature = "agentless")]
        let first = match &intake {
            Some(_) => Format::Intake,
            None => first_format(&tracer),
        };
        #[cfg(not(feature = "agentless"))]
        let first = first_format(&tracer);
        let client = intake.unwrap_or_else(|| Arc::clone(&agent.client));
        let state = Arc::new(State {
            queued: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            fell_back: AtomicBool::new(false),
            first,
            agent,
        });
        let (messages, received) = unbounded_channel();
        let sender = TraceSender::new(client, RetryPolicy::default(), deadline);
        let task = tokio::spawn(send(sender, tracer, Arc::clone(&state), received));
        Self {
            messages,
            state,
            task,
            limit,
        }
    }

    /// The format of the next payload.
    pub(super) fn format(&self) -> Format {
        let info = self.state.agent.info();
        let fell_back = self.state.fell_back.load(Ordering::Relaxed);
        match self.state.first {
            Format::V05 if !fell_back => Format::V05,
            #[cfg(feature = "agentless")]
            Format::Intake => Format::Intake,
            // Only an agent that says so has it.
            Format::V1
                if !fell_back
                    && info
                        .as_ref()
                        .is_some_and(|info| info.has_endpoint("/v1.0/traces")) =>
            {
                Format::V1
            }
            Format::V04 {
                native_events: true,
            } => self.state.first,
            _ => Format::V04 {
                native_events: info.is_some_and(|info| info.span_events),
            },
        }
    }

    /// Queues a payload, or drops and counts it if too much waits already.
    /// `stats` says that its spans are counted in statistics here, and what was dropped since the last one.
    pub(super) fn enqueue(&self, payload: Payload, stats: Option<DroppedUnsampled>) {
        let size = payload.body.len();
        let waiting = self.state.queued.fetch_add(size, Ordering::Relaxed);
        if waiting > 0 && waiting + size > self.limit {
            self.state.queued.fetch_sub(size, Ordering::Relaxed);
            self.state
                .dropped
                .fetch_add(payload.chunks as u64, Ordering::Relaxed);
            counts::dropped(payload.chunks as u64, payload.spans as u64);
            counters::add(Counter::DroppedFullTraces, payload.chunks as u64);
            let reason = [("reason", "overfull_buffer")];
            telemetry::count(
                Tracers,
                "trace_chunks_dropped",
                &reason,
                payload.chunks as u64,
            );
            telemetry::count(Tracers, "spans_dropped", &reason, payload.spans as u64);
            counters::add(Counter::DroppedFullBytes, size as u64);
            let (chunks, limit) = (payload.chunks, self.limit);
            diagnostics::error(format_args!(
                "{chunks} traces were dropped: {limit} bytes wait to be sent already, the agent is slow or away"
            ));
            return;
        }
        // Fails only if the task is gone, at the end of the process.
        let _ = self.messages.send(Message::Payload(payload, stats));
    }

    /// Whether a good part of what may wait does.
    pub(super) fn is_backed_up(&self) -> bool {
        self.state.queued.load(Ordering::Relaxed) > self.limit / 4
    }

    /// Says when all that was queued before has been dealt with.
    pub(super) fn when_idle(&self, done: Flushed) {
        let _ = self.messages.send(Message::Barrier(done));
    }

    /// Traces that were dropped here since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        self.state.dropped.swap(0, Ordering::Relaxed)
    }

    /// Waits until the queue is empty or the deadline has come.
    pub(super) async fn finish(self) {
        drop(self.messages);
        let _ = self.task.await;
    }
}

async fn send(
    mut sender: TraceSender,
    tracer: Arc<TracerCore>,
    state: Arc<State>,
    mut received: UnboundedReceiver<Message>,
) {
    while let Some(message) = received.recv().await {
        let (payload, stats) = match message {
            Message::Payload(payload, stats) => (payload, stats),
            Message::Barrier(done) => {
                drop(done);
                continue;
            }
        };
        let version = match payload.format {
            Format::V04 { .. } => ApiVersion::V04,
            Format::V05 => ApiVersion::V05,
            Format::V1 => ApiVersion::V1,
            #[cfg(feature = "agentless")]
            Format::Intake => ApiVersion::Intake,
        };
        let size = payload.body.len();
        let (traces, spans) = (payload.chunks as u64, payload.spans as u64);
        let payload = TracePayload {
            version,
            chunks: payload.chunks,
            body: payload.body.into(),
            stats,
        };
        match sender.send(&payload).await {
            Outcome::Accepted(accepted) => {
                counts::sent(traces, spans);
                let agent_rates = tracer.sampler.agent_rates();
                match &accepted.rates {
                    Some(rates) => {
                        let rates = rates.iter().map(|(key, rate)| (key.as_str(), *rate));
                        agent_rates.update(rates, Instant::now());
                    }
                    None => agent_rates.advance(Instant::now()),
                }
                if accepted.info_changed {
                    state.agent.ask_again();
                }
            }
            Outcome::UnsupportedVersion => {
                state.fell_back.store(true, Ordering::Relaxed);
                state.dropped.fetch_add(traces, Ordering::Relaxed);
                counts::dropped(traces, spans);
            }
            Outcome::Rejected { .. } | Outcome::Failed { .. } => {
                state.dropped.fetch_add(traces, Ordering::Relaxed);
                counts::dropped(traces, spans);
            }
        }
        state.queued.fetch_sub(size, Ordering::Relaxed);
    }
}
