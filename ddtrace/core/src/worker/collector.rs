//! The worker's main loop: from the threads' queues to payloads.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::agent::Agent;
use super::keep_rate::KeepRate;
use super::options::{Options, Output, SharedWriter};
use super::task::{self, Flushed, Tasks};
use super::writer::Writer;
use super::{Command, TASKS, counts};
use crate::config::Config;
use crate::diagnostics;
use crate::export::agent::{AgentClient, AgentInfo, Deadline, DroppedUnsampled};
use crate::export::pipeline::{Pipeline, Round, Sink};
use crate::export::{FinishedSpan, Format, JsonLines, LineCounts, PayloadBuilder, ProcessHeads};
use crate::health_metrics::counters::{self, Counter};
use crate::telemetry::{self, Namespace::Tracers};
use crate::trace::tracer::TracerCore;

/// How often queues are looked at while something happens. Emptied buffers come back that often.
const TICK: Duration = Duration::from_millis(100);

/// The same while the sender is behind.
const BACKED_UP_TICK: Duration = Duration::from_millis(5);

/// How long the first chunks wait for what the agent says that it can do.
const PATIENCE: Duration = Duration::from_millis(500);

/// A payload of this size is sent before its time, in bytes.
const SEND_AT: usize = 1_500_000;

/// The largest payload for an intake: it refuses twice as much.
const LARGEST_FOR_INTAKE: usize = 10 << 20;

/// Whom traces are sent to.
pub(super) struct Way {
    pub(super) agent: Arc<Agent>,
    /// Set if they go to an intake instead.
    pub(super) intake: Option<Arc<AgentClient>>,
}

/// What makes the loop go on.
enum Event {
    Command(Option<Command>),
    Woken,
    Tick,
}

pub(super) async fn run(
    tracer: Arc<TracerCore>,
    options: Arc<Options>,
    mut commands: UnboundedReceiver<Command>,
    wake: Arc<Notify>,
    deadline: Deadline,
) {
    let agent = Arc::new(Agent::new(&tracer.config()));
    let intake = match options.output {
        Output::Agent => super::intake::client(&tracer.config()),
        _ => None,
    };
    let has_agent = matches!(options.output, Output::Agent) && intake.is_none();
    let mut tasks = Tasks::new(Arc::clone(&tracer), Arc::clone(&agent), has_agent);
    for task in TASKS.iter().copied().chain(task::added()) {
        tasks.run(task);
    }
    let way = Way {
        agent: Arc::clone(&agent),
        intake,
    };
    let mut collector = Collector::new(tracer, &options, way, deadline.clone());
    if has_agent {
        first_answer(&agent, &wake).await;
    }
    let mut next = Instant::now();
    loop {
        let is_backed_up = collector.is_backed_up();
        let event = next_event(&mut commands, &wake, next, is_backed_up).await;
        let must = matches!(event, Event::Command(_));
        // While the sender is behind, chunks wait where it costs least to drop them: in the threads' queues.
        let was_busy = if must || !collector.is_backed_up() {
            collector.round()
        } else {
            true
        };
        match event {
            Event::Command(Some(Command::Flush(done))) => {
                let done = Flushed::new(done);
                tasks.flush(&done);
                collector.flush(done);
            }
            Event::Command(Some(Command::Stop(done))) => {
                stop(collector, tasks, deadline).await;
                let _ = done.try_send(());
                return;
            }
            Event::Command(Some(Command::Run(task))) => tasks.run(task),
            Event::Command(Some(Command::AwaitAgent(known))) => {
                tokio::spawn(await_agent(Arc::clone(&agent), known));
            }
            // Nobody can ask for anything any more.
            Event::Command(None) => return,
            Event::Woken | Event::Tick => {}
        }
        collector.send_if_due();
        let pause = match was_busy {
            _ if collector.is_backed_up() => BACKED_UP_TICK,
            true => TICK,
            false => collector.interval,
        };
        next = Instant::now() + pause;
        // Rounds may follow each other without a pause: the sender is a task on the same thread and needs its turn.
        tokio::task::yield_now().await;
    }
}

/// Waits for what the agent says first, so that it holds for the first chunks as well: not long, and not if chunks pile up.
async fn first_answer(agent: &Agent, wake: &Notify) {
    let mut asked = pin!(agent.asked());
    let mut notified = pin!(wake.notified());
    let mut sleep = pin!(sleep_until(Instant::now() + PATIENCE));
    poll_fn(|context| {
        let is_over = asked.as_mut().poll(context).is_ready()
            || notified.as_mut().poll(context).is_ready()
            || sleep.as_mut().poll(context).is_ready();
        if is_over {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Says when the agent has said what it can do.
async fn await_agent(agent: Arc<Agent>, known: SyncSender<()>) {
    if agent.watch_info().wait_for(Option::is_some).await.is_ok() {
        let _ = known.try_send(());
    }
}

/// Sends what is left, and ends the tasks: after the traces, or when half of the time for them is over.
async fn stop(collector: Collector, tasks: Tasks, mut deadline: Deadline) {
    let traces = collector.stop();
    let rest = async {
        tokio::time::sleep(deadline.remaining() / 2).await;
    };
    let mut traces = pin!(traces);
    let is_late = {
        let mut rest = pin!(rest);
        poll_fn(|context| match traces.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(false),
            Poll::Pending => rest.as_mut().poll(context).map(|()| true),
        })
        .await
    };
    // The traces keep to the deadline by themselves: cut off here, what they still hold would not be counted.
    let tasks = deadline.limit(tasks.stop());
    let mut tasks = pin!(tasks);
    let (mut traces_left, mut tasks_left) = (is_late, true);
    poll_fn(|context| {
        traces_left = traces_left && traces.as_mut().poll(context).is_pending();
        tasks_left = tasks_left && tasks.as_mut().poll(context).is_pending();
        if traces_left || tasks_left {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

async fn next_event(
    commands: &mut UnboundedReceiver<Command>,
    wake: &Notify,
    next: Instant,
    is_backed_up: bool,
) -> Event {
    let mut notified = pin!(wake.notified());
    let mut sleep = pin!(sleep_until(next));
    poll_fn(|context| {
        if let Poll::Ready(command) = commands.poll_recv(context) {
            return Poll::Ready(Event::Command(command));
        }
        if !is_backed_up && notified.as_mut().poll(context).is_ready() {
            return Poll::Ready(Event::Woken);
        }
        sleep.as_mut().poll(context).map(|()| Event::Tick)
    })
    .await
}

struct Collector {
    pipeline: Pipeline,
    target: Target,
    keep_rate: KeepRate,
    interval: Duration,
    due: Instant,
    agent: Arc<Agent>,
    /// What the agent said when the pipeline was last told, and the settings then.
    followed: Option<(Option<Arc<AgentInfo>>, Arc<Config>)>,
}

/// Where chunks go.
enum Target {
    Agent(AgentTarget),
    Lines(JsonLines<SharedWriter>),
}

struct AgentTarget {
    payload: PayloadBuilder,
    /// For formats that have a place for it.
    heads: ProcessHeads,
    writer: Writer,
    tracer: Arc<TracerCore>,
    largest: usize,
    too_big: u64,
    /// Spans of the chunk in hand.
    in_chunk: u64,
    /// Whether the spans of the payload are counted in statistics here.
    is_counted: bool,
}

impl Collector {
    fn new(tracer: Arc<TracerCore>, options: &Options, way: Way, deadline: Deadline) -> Self {
        let agent = Arc::clone(&way.agent);
        let config = tracer.config();
        let interval = config.writer_interval.max(Duration::from_millis(10));
        let target = match &options.output {
            Output::Agent => {
                let mut largest = config.max_payload_size;
                if way.intake.is_none() {
                    let agent = Arc::clone(&agent);
                    tokio::spawn(async move { agent.keep_asking().await });
                } else {
                    largest = largest.min(LARGEST_FOR_INTAKE);
                }
                let writer = Writer::start(Arc::clone(&tracer), way, deadline);
                let heads = ProcessHeads::of(&config, &tracer.runtime_id);
                let payload = PayloadBuilder::of_process(writer.format(), &heads);
                Target::Agent(AgentTarget {
                    payload,
                    heads,
                    writer,
                    tracer: Arc::clone(&tracer),
                    largest,
                    too_big: 0,
                    in_chunk: 0,
                    is_counted: false,
                })
            }
            Output::JsonLines(to) => Target::Lines(JsonLines::new(to.clone())),
        };
        let pipeline = Pipeline::new(tracer);
        Self {
            pipeline,
            target,
            keep_rate: KeepRate::default(),
            interval,
            due: Instant::now() + interval,
            agent,
            followed: None,
        }
    }

    /// Tells the pipeline what settings and agent say, if that is not as it was.
    fn follow(&mut self) {
        if let Target::Lines(_) = self.target {
            return;
        }
        let (info, config) = (self.agent.info(), self.pipeline.config());
        let is_same = self
            .followed
            .as_ref()
            .is_some_and(|(old_info, old_config)| {
                let (old, new) = (old_info.as_ref(), info.as_ref());
                old.map(Arc::as_ptr) == new.map(Arc::as_ptr) && Arc::ptr_eq(old_config, &config)
            });
        if !is_same {
            self.pipeline.follow(info.as_deref());
            self.followed = Some((info, config));
        }
    }

    /// Whether so much waits to be sent that encoding more would be for nothing.
    fn is_backed_up(&self) -> bool {
        match &self.target {
            Target::Agent(target) => target.writer.is_backed_up(),
            Target::Lines(_) => false,
        }
    }

    /// Takes what waits. True if there was anything.
    fn round(&mut self) -> bool {
        self.follow();
        let round = match &mut self.target {
            Target::Agent(target) => self.pipeline.run(target),
            Target::Lines(lines) => {
                let before = lines.counts();
                let round = self.pipeline.run(lines);
                let after = lines.counts();
                counts::sent(round.chunks, after.spans - before.spans);
                let lost = |counts: LineCounts| counts.failed + counts.too_long;
                counts::dropped(0, lost(after) - lost(before));
                round
            }
        };
        self.count(round);
        round.taken > 0
    }

    fn count(&mut self, round: Round) {
        let Round {
            chunks,
            spans,
            dropped_chunks,
            dropped_spans,
            unsampled_chunks,
            unsampled_spans,
            ..
        } = round;
        counts::unsampled(unsampled_chunks, unsampled_spans);
        counters::add(Counter::WriterAcceptedTraces, chunks);
        counters::add(Counter::DroppedFullTraces, dropped_chunks);
        let (enqueued, reason) = (
            "trace_chunks_enqueued_for_serialization",
            [("reason", "overfull_buffer")],
        );
        telemetry::count(Tracers, enqueued, &[], chunks);
        telemetry::count(Tracers, "spans_enqueued_for_serialization", &[], spans);
        telemetry::count(Tracers, "trace_chunks_dropped", &reason, dropped_chunks);
        telemetry::count(Tracers, "spans_dropped", &reason, dropped_spans);
        let mut dropped = dropped_chunks;
        counts::dropped(dropped_chunks, dropped_spans);
        if dropped_chunks > 0 {
            diagnostics::error(format_args!(
                "{dropped_chunks} traces with {dropped_spans} spans were dropped: they came faster than they could be encoded"
            ));
        }
        if let Target::Agent(target) = &mut self.target {
            let too_big = std::mem::take(&mut target.too_big);
            if too_big > 0 {
                let largest = target.largest;
                diagnostics::error(format_args!(
                    "{too_big} traces were dropped: larger than a payload of {largest} bytes"
                ));
            }
            dropped += too_big + target.writer.take_dropped();
        }
        self.keep_rate.count(chunks + dropped_chunks, dropped);
        self.pipeline.set_keep_rate(self.keep_rate.rate());
    }

    fn send_if_due(&mut self) {
        let now = Instant::now();
        if now >= self.due {
            self.send();
            self.keep_rate.turn();
            self.due = now + self.interval;
        }
    }

    fn send(&mut self) {
        match &mut self.target {
            Target::Agent(target) => target.send(),
            Target::Lines(lines) => flush_lines(lines),
        }
    }

    fn flush(&mut self, done: Flushed) {
        self.send();
        match &mut self.target {
            Target::Agent(target) => target.writer.when_idle(done),
            Target::Lines(_) => drop(done),
        }
    }

    async fn stop(mut self) {
        self.send();
        match self.target {
            Target::Agent(target) => target.writer.finish().await,
            Target::Lines(_) => {}
        }
    }
}

fn flush_lines(lines: &mut JsonLines<SharedWriter>) {
    let before = lines.counts().failed;
    if let Err(error) = lines.flush() {
        diagnostics::error(format_args!(
            "traces could not be written as lines ({before} spans lost so far): {error}"
        ));
    }
}

impl AgentTarget {
    fn send(&mut self) {
        if self.payload.is_empty() {
            return;
        }
        let stats = if self.is_counted {
            Some(self.tracer.stats.take_dropped())
        } else {
            // Without tracing of its own, nobody is to make statistics of what products send.
            let is_traced = self.tracer.config().apm_tracing_enabled;
            (!is_traced).then(DroppedUnsampled::default)
        };
        self.writer.enqueue(self.payload.take(), stats);
    }

    /// Whether events may be sent as structures, for the log of formats.
    fn is_full(&self) -> bool {
        self.payload.len() >= SEND_AT.min(self.largest)
    }
}

impl Sink for AgentTarget {
    fn begin_round(&mut self, is_counted: bool) {
        // The head of a payload speaks for all of it.
        if is_counted != self.is_counted {
            self.send();
            self.is_counted = is_counted;
        }
    }

    fn begin_chunk(&mut self) {
        // What the agent takes may have become known since the last payload.
        if self.payload.is_empty() && self.payload.format() != self.writer.format() {
            self.payload = PayloadBuilder::of_process(self.writer.format(), &self.heads);
        }
        self.in_chunk = 0;
        self.payload.begin_chunk();
    }

    #[inline]
    fn push(&mut self, span: &FinishedSpan<'_>) {
        self.in_chunk += 1;
        self.payload.push(span);
    }

    fn end_chunk(&mut self) {
        let size = self.payload.end_chunk();
        if size > self.largest {
            self.payload.undo_chunk();
            self.too_big += 1;
            counters::add(Counter::DroppedTooBigTraces, 1);
            counters::add(Counter::DroppedTooBigBytes, size as u64);
            counts::dropped(1, self.in_chunk);
            let reason = [("reason", "serialization_error")];
            telemetry::count(Tracers, "trace_chunks_dropped", &reason, 1);
            telemetry::count(Tracers, "spans_dropped", &reason, self.in_chunk);
            return;
        }
        counters::add(Counter::BufferAcceptedTraces, 1);
        counters::add(Counter::BufferAcceptedSpans, self.in_chunk);
        if self.is_full() {
            self.send();
        }
    }
}

/// The format that the configuration asks for, before the agent said what it can do.
pub(super) fn first_format(tracer: &TracerCore) -> Format {
    let config = tracer.config();
    match config.api_version {
        crate::config::ApiVersion::V05 => Format::V05,
        crate::config::ApiVersion::V1 => Format::V1,
        // No setting asks for the intake's.
        crate::config::ApiVersion::V04 | crate::config::ApiVersion::Intake => Format::V04 {
            native_events: config.native_span_events,
        },
    }
}
