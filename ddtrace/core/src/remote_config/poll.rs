//! The loop on the worker that asks the agent.
//!
//! ```text
//!            the agent lists /v0.7/config
//!   Asking ────────────────────────────────> Polling ──┐ every interval
//!      ^                                        │  ^   │
//!      └── three failures in a row, or a 404 ───┘  └───┘
//! ```
//!
//! While nobody answers, the agent is asked every interval what it can do. One that answered and offers no remote
//! configuration is asked no more often than everything else on the worker needs it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::Instant;

use super::client::Client;
use super::path::ConfigPath;
use super::subscription::subscribers;
use crate::diagnostics;
use crate::export::agent::{AgentInfo, SendError};
use crate::trace::tracer;
use crate::worker::task::{Task, TaskContext, TaskFuture, Turn};

/// Where the agent takes the question.
const PATH: &str = "/v0.7/config";

/// The most of an answer that is read. What an agent sends is a few hundred kilobytes.
const MAX_ANSWER: usize = 16 << 20;

/// Failures in a row after which the agent is asked what it can do, before anything else.
const MAX_FAILURES: u32 = 3;

/// The task, for the worker's list.
pub(crate) const TASK: Task = Task::new("remote configuration", start);

/// What the loop is asked for before its time.
enum Wish {
    /// To poll: there is a subscriber that was not there before.
    Poll,
    /// To poll, and to say which files are in force then.
    PollAndTell(SyncSender<Vec<ConfigPath>>),
}

/// The way to the loop of this process.
struct Control {
    wishes: UnboundedSender<Wish>,
    /// Which fork of the process it belongs to: in the child nobody listens to the parent's.
    forks: u32,
}

static CONTROL: ArcSwapOption<Control> = ArcSwapOption::const_empty();

fn wish(wish: Wish) -> bool {
    let control = CONTROL.load_full();
    let control = control.filter(|control| control.forks == tracer::forks());
    control.is_some_and(|control| control.wishes.send(wish).is_ok())
}

/// Has the next poll made at once, for somebody who has subscribed.
pub(super) fn hurry() {
    wish(Wish::Poll);
}

/// Polls at once instead of at the next interval, and gives the paths of all files that are in force then. Nothing if there
/// is no answer within `timeout`, or if remote configuration is off.
///
/// For tests and for programs that want to begin with their settings; nobody has to call it.
pub fn poll_now(timeout: Duration) -> Option<Vec<ConfigPath>> {
    let (tell, told) = sync_channel(1);
    wish(Wish::PollAndTell(tell)).then_some(())?;
    told.recv_timeout(timeout).ok()
}

fn start(context: TaskContext) -> Option<TaskFuture> {
    let is_on = context.has_agent() && context.config().remote_config_enabled;
    is_on.then_some(())?;
    let (wishes, received) = unbounded_channel();
    CONTROL.store(Some(Arc::new(Control {
        wishes,
        forks: tracer::forks(),
    })));
    Some(Box::pin(Poller::new(context, received).run()))
}

struct Poller {
    context: TaskContext,
    client: Client,
    info: watch::Receiver<Option<Arc<AgentInfo>>>,
    wishes: UnboundedReceiver<Wish>,
    /// Who wants to know what is in force.
    tell: Vec<SyncSender<Vec<ConfigPath>>>,
    /// Failures in a row.
    failures: u32,
    /// Whether the agent says that it answers.
    is_offered: bool,
}

/// What ends a wait.
enum Wake {
    Due,
    Info,
    Wish(Wish),
    Stop,
}

impl Poller {
    fn new(context: TaskContext, wishes: UnboundedReceiver<Wish>) -> Self {
        Self {
            client: Client::new(Arc::clone(&context.tracer)),
            info: context.watch_info(),
            wishes,
            tell: Vec::new(),
            failures: 0,
            is_offered: false,
            context,
        }
    }

    async fn run(mut self) {
        // The worker asks the agent at its start: the first answer is as good as the first interval.
        let mut due = self.context.now() + self.interval();
        loop {
            match self.wait(due).await {
                Wake::Stop => return,
                Wake::Info if self.is_offered => {
                    // What the agent says is asked for by others as well, and changes nothing for whom it answers.
                    self.is_offered = self.lists_path();
                    continue;
                }
                Wake::Info => {
                    self.is_offered = self.lists_path();
                    if !self.is_offered {
                        due = self.context.now() + self.interval();
                        continue;
                    }
                }
                Wake::Wish(Wish::PollAndTell(tell)) => {
                    self.tell.push(tell);
                    if !self.is_offered {
                        self.context.ask_for_info();
                        continue;
                    }
                }
                Wake::Wish(Wish::Poll) if !self.is_offered => continue,
                Wake::Wish(Wish::Poll) => {}
                Wake::Due if !self.is_offered => {
                    let is_silent = self.context.info().is_none() || self.failures > 0;
                    if is_silent {
                        self.context.ask_for_info();
                    }
                    due = self.context.now() + self.interval();
                    continue;
                }
                Wake::Due => {}
            }
            if !self.poll().await {
                return;
            }
            due = self.context.now() + self.interval();
        }
    }

    fn interval(&self) -> Duration {
        self.context.config().remote_config_poll_interval
    }

    fn lists_path(&self) -> bool {
        self.context
            .info()
            .is_some_and(|info| info.has_endpoint(PATH))
    }

    async fn wait(&mut self, due: Instant) -> Wake {
        loop {
            let mut turn = pin!(self.context.turn(due));
            let mut info = pin!(self.info.changed());
            let wake = poll_fn(|context| {
                // Before the time: what the agent has said need not be asked for.
                if let Poll::Ready(Ok(())) = info.as_mut().poll(context) {
                    return Poll::Ready(Some(Wake::Info));
                }
                if let Poll::Ready(turn) = turn.as_mut().poll(context) {
                    return Poll::Ready(match turn {
                        Turn::Due => Some(Wake::Due),
                        Turn::Flush(done) => {
                            drop(done);
                            None
                        }
                        Turn::Stop => Some(Wake::Stop),
                    });
                }
                if let Poll::Ready(Some(wish)) = self.wishes.poll_recv(context) {
                    return Poll::Ready(Some(Wake::Wish(wish)));
                }
                Poll::Pending
            })
            .await;
            if let Some(wake) = wake {
                return wake;
            }
        }
    }

    /// Asks once, and takes over what is answered. False if the worker ends meanwhile.
    async fn poll(&mut self) -> bool {
        let subscribers = subscribers();
        let body = self.client.request(&subscribers);
        let agent = Arc::clone(self.context.agent());
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let request = agent.post_for_up_to(MAX_ANSWER, PATH, headers, body);
        let Some(answer) = unless_stopped(&mut self.context, request).await else {
            return false;
        };
        let problem: Option<String> = match answer {
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
                self.client.revert(&subscribers);
                // It may still list the path; it is asked again when the interval is over.
                self.is_offered = false;
                self.failures = MAX_FAILURES;
                None
            }
            Ok(answer) if !answer.status.is_success() => Some(format!("status {}", answer.status)),
            Ok(answer) if !answer.is_complete && answer.body.len() < MAX_ANSWER => {
                Some("the answer broke off".to_owned())
            }
            Ok(answer) => {
                self.failures = 0;
                if answer.is_complete {
                    self.client.accept(&answer.body, &subscribers);
                } else {
                    self.client
                        .refuse(format!("an answer of more than {MAX_ANSWER} bytes"));
                }
                let in_force = self.client.in_force();
                for tell in self.tell.drain(..) {
                    let _ = tell.try_send(in_force.clone());
                }
                None
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = problem {
            self.failures += 1;
            diagnostics::debug(format_args!("remote configuration: no answer: {problem}"));
            if self.failures >= MAX_FAILURES {
                self.is_offered = false;
            }
        }
        true
    }
}

/// Waits for an answer; nothing if the worker ends before. Flushing does not wait for it.
async fn unless_stopped<T>(
    context: &mut TaskContext,
    answer: impl Future<Output = Result<T, SendError>>,
) -> Option<Result<T, SendError>> {
    let mut answer = pin!(answer);
    loop {
        // The request has a time limit of its own.
        let far = context.now() + Duration::from_secs(86_400);
        let mut turn = pin!(context.turn(far));
        let ended = poll_fn(|task| {
            if let Poll::Ready(turn) = turn.as_mut().poll(task) {
                return Poll::Ready(match turn {
                    Turn::Stop => Some(None),
                    Turn::Flush(_) | Turn::Due => None,
                });
            }
            answer.as_mut().poll(task).map(|answer| Some(Some(answer)))
        })
        .await;
        if let Some(ended) = ended {
            return ended;
        }
    }
}

#[cfg(test)]
#[path = "poll_tests.rs"]
mod tests;
