//! Telemetry on the worker: fetches, sends, waits.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until};

use super::derived::HeaderCounts;
use super::hub::{self, Hub, Inbox};
use super::reporter::{Failure, Reporter, Verdict};
use super::transport::{Deliver, Transport};
use crate::instrument::linked;
use crate::worker::task::{Task, TaskContext, TaskFuture, Turn};

/// How long the end of a program may wait for telemetry.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// A time that does not come.
const FAR: Duration = Duration::from_secs(86_400 * 365);

/// The task.
pub(crate) const TASK: Task = Task::new("telemetry", start);

fn start(context: TaskContext) -> Option<TaskFuture> {
    let inbox = super::take_prepared()?;
    if !context.has_agent() {
        hub::switch_off();
        return None;
    }
    let config = context.config();
    let session = &inbox.hub.session;
    let transport = Transport::new(&config, context.agent().clone(), session);
    let reporter = Reporter::new(
        &config,
        session,
        &linked(),
        transport.endpoint,
        context.now(),
    );
    let window = config.telemetry.metrics_window();
    let mut headers = HeaderCounts::new();
    let derive = move |hub: &Hub| headers.report(hub);
    Some(Box::pin(run(
        context, reporter, inbox, transport, window, derive,
    )))
}

/// Where a task gets its turns from.
pub(super) trait Turns: Send {
    /// Waits until `due`, or until the task is told something; loses nothing when it is dropped.
    fn turn(&mut self, due: Instant) -> impl Future<Output = Turn> + Send;
}

impl Turns for TaskContext {
    async fn turn(&mut self, due: Instant) -> Turn {
        TaskContext::turn(self, due).await
    }
}

/// Runs until it is told to stop. `derive` is called at the end of each window, for numbers that are counted elsewhere.
pub(super) async fn run<T: Turns, S: Deliver>(
    mut turns: T,
    mut reporter: Reporter,
    mut inbox: Inbox,
    sender: S,
    window: Duration,
    mut derive: impl FnMut(&Hub) + Send,
) {
    let mut window_ends = Instant::now() + window;
    // Set when the program ends.
    let mut closes_at = None;
    loop {
        derive(&inbox.hub);
        reporter.fetch(&mut inbox, unix_time());
        if closes_at.is_some() {
            reporter.close();
        }
        while let Some(request) = reporter.next(Instant::now(), unix_time()) {
            let verdict = send(&sender, &request, &mut turns, &mut closes_at).await;
            if !reporter.settle(verdict, Instant::now()) {
                break;
            }
        }
        match closes_at {
            // Whoever was told to stop while it sent has yet to say so.
            Some(at) if !reporter.is_closing() && Instant::now() < at => continue,
            Some(_) => return,
            None => {}
        }
        let due = window_ends.min(reporter.heartbeat_due());
        loop {
            match turns.turn(due).await {
                Turn::Due => break,
                // Telemetry has its own pace: whoever flushes wants traces.
                Turn::Flush(_) => {}
                Turn::Stop => {
                    closes_at = Some(Instant::now() + CLOSING_TIME);
                    break;
                }
            }
        }
        if Instant::now() >= window_ends {
            window_ends = Instant::now() + window;
        }
    }
}

/// Sends a request, while listening for the end of the program.
async fn send<T: Turns, S: Deliver>(
    sender: &S,
    request: &super::message::Request,
    turns: &mut T,
    closes_at: &mut Option<Instant>,
) -> Verdict {
    let mut sending = pin!(sender.send(request));
    loop {
        let end = *closes_at;
        let turn = async {
            match end {
                Some(at) => {
                    sleep_until(at).await;
                    Turn::Due
                }
                None => turns.turn(Instant::now() + FAR).await,
            }
        };
        let mut turn = pin!(turn);
        let first = poll_fn(|context| match sending.as_mut().poll(context) {
            Poll::Ready(verdict) => Poll::Ready(Ok(verdict)),
            Poll::Pending => turn.as_mut().poll(context).map(Err),
        });
        match first.await {
            Ok(verdict) => return verdict,
            Err(Turn::Stop) => *closes_at = Some(Instant::now() + CLOSING_TIME),
            Err(Turn::Flush(_)) => {}
            Err(Turn::Due) if end.is_some() => return Verdict::Failed(Failure::Timeout),
            Err(Turn::Due) => {}
        }
    }
}

fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
