//! Sends payloads one after the other, and keeps what the agent says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::collector::first_format;
use super::counts;
use crate::config::ApiVersion;
use crate::diagnostics;
use crate::export::agent::{
    AgentClient, AgentInfo, Deadline, Outcome, REFRESH_INTERVAL, RetryPolicy, TracePayload,
    TraceSender, meta_headers,
};
use crate::export::{Format, Payload};
use crate::trace::tracer::TracerCore;

/// The collector's side: a queue that is bounded in bytes.
pub(super) struct Writer {
    messages: UnboundedSender<Message>,
    state: Arc<State>,
    task: JoinHandle<()>,
    limit: usize,
}

enum Message {
    Payload(Payload),
    /// Everything before it has been dealt with.
    Barrier(SyncSender<()>),
}

/// What both sides see.
struct State {
    queued: AtomicUsize,
    dropped: AtomicU64,
    /// The agent answered that it does not know v0.5.
    fell_back: AtomicBool,
    native_events: AtomicBool,
    first: Format,
    /// Asks for `/info` again.
    ask: Notify,
}

impl Writer {
    /// Starts the sending tasks on the current runtime.
    pub(super) fn start(tracer: Arc<TracerCore>, deadline: Deadline) -> Self {
        let config = &tracer.config;
        let client = Arc::new(AgentClient::new(
            config.agent_url.clone(),
            config.agent_timeout,
            meta_headers(config),
        ));
        let first = first_format(&tracer);
        let native_events = matches!(
            first,
            Format::V04 {
                native_events: true
            }
        );
        let state = Arc::new(State {
            queued: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            fell_back: AtomicBool::new(false),
            native_events: AtomicBool::new(native_events),
            first,
            ask: Notify::new(),
        });
        let (messages, received) = unbounded_channel();
        tokio::spawn(ask_for_info(Arc::clone(&client), Arc::clone(&state)));
        let sender = TraceSender::new(client, RetryPolicy::default(), deadline);
        let limit = config.writer_buffer_size;
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
        match self.state.first {
            Format::V05 if !self.state.fell_back.load(Ordering::Relaxed) => Format::V05,
            _ => Format::V04 {
                native_events: self.state.native_events.load(Ordering::Relaxed),
            },
        }
    }

    /// Queues a payload, or drops and counts it if too much waits already.
    pub(super) fn enqueue(&self, payload: Payload) {
        let size = payload.body.len();
        let waiting = self.state.queued.fetch_add(size, Ordering::Relaxed);
        if waiting > 0 && waiting + size > self.limit {
            self.state.queued.fetch_sub(size, Ordering::Relaxed);
            self.state
                .dropped
                .fetch_add(payload.chunks as u64, Ordering::Relaxed);
            counts::dropped(payload.chunks as u64, payload.spans as u64);
            let (chunks, limit) = (payload.chunks, self.limit);
            diagnostics::error(format_args!(
                "{chunks} traces were dropped: {limit} bytes wait to be sent already, the agent is slow or away"
            ));
            return;
        }
        // Fails only if the task is gone, at the end of the process.
        let _ = self.messages.send(Message::Payload(payload));
    }

    /// Whether a good part of what may wait does.
    pub(super) fn is_backed_up(&self) -> bool {
        self.state.queued.load(Ordering::Relaxed) > self.limit / 4
    }

    /// Says when all that was queued before has been dealt with.
    pub(super) fn when_idle(&self, done: SyncSender<()>) {
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
        let payload = match message {
            Message::Payload(payload) => payload,
            Message::Barrier(done) => {
                let _ = done.try_send(());
                continue;
            }
        };
        let version = match payload.format {
            Format::V04 { .. } => ApiVersion::V04,
            Format::V05 => ApiVersion::V05,
        };
        let size = payload.body.len();
        let (traces, spans) = (payload.chunks as u64, payload.spans as u64);
        let payload = TracePayload {
            version,
            chunks: payload.chunks,
            body: payload.body.into(),
            stats: None,
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
                    state.ask.notify_one();
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

/// Asks the agent what it can do: at once, every five minutes, and when an answer says that it has changed.
async fn ask_for_info(client: Arc<AgentClient>, state: Arc<State>) {
    loop {
        match AgentInfo::fetch(&client).await {
            Ok(Some(info)) => {
                let asked_for = matches!(
                    state.first,
                    Format::V04 {
                        native_events: true
                    }
                );
                state
                    .native_events
                    .store(asked_for || info.span_events, Ordering::Relaxed);
            }
            Ok(None) => {}
            Err(error) => diagnostics::debug(format_args!(
                "the agent did not say what it can do: {error}"
            )),
        }
        let _ = tokio::time::timeout(REFRESH_INTERVAL, state.ask.notified()).await;
    }
}
