//! Tasks: what products, and core's own services, do on the worker.
//!
//! A [`Task`] is a name and a function that makes a future. Every worker runs each task once: from the first `init()` on, and
//! anew in the child of a fork, with a [`TaskContext`] of its own. A task sleeps until it has something to do, or until it is
//! told to flush or to stop:
//!
//! ```
//! use std::time::Duration;
//!
//! use ddtrace_core::worker::task::{self, Task, TaskContext, TaskFuture, Turn};
//!
//! fn start(mut context: TaskContext) -> Option<TaskFuture> {
//!     // `None` here means: switched off, there is nothing to run.
//!     Some(Box::pin(async move {
//!         let mut due = context.now() + Duration::from_secs(10);
//!         loop {
//!             match context.turn(due).await {
//!                 Turn::Due => due = context.now() + Duration::from_secs(10),
//!                 Turn::Flush(_done) => {} // `flush()` returns when every task has dropped this
//!                 _ => return, // Turn::Stop
//!             }
//!             // do what is to be done: never block, the thread is shared
//!         }
//!     }))
//! }
//!
//! // In the start function of a `Product`:
//! task::add(Task::new("kettle", start));
//! ```
//!
//! Invariants:
//!
//! * One thread: a task that blocks holds up every other one, and the sending of traces.
//! * Flushing waits for all tasks, within the time that the caller gave. Stopping too: tasks are told once the traces are
//!   sent, or when half of the time is over, and what has not ended by the deadline is dropped.
//! * A task that panics is reported once and not started again; nothing else notices.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::task::Poll;

use arc_swap::ArcSwapOption;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::agent::Agent;
use crate::config::Config;
use crate::diagnostics;
use crate::export::agent::{AgentClient, AgentInfo};
use crate::trace::tracer::TracerCore;

/// What a task does, from its start to its end.
pub type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Something that runs on every worker.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    name: &'static str,
    start: fn(TaskContext) -> Option<TaskFuture>,
}

impl Task {
    /// A task by its name and the function that makes it; the function returns nothing if there is nothing to run.
    ///
    /// The function runs on the worker's thread, inside its runtime.
    pub const fn new(name: &'static str, start: fn(TaskContext) -> Option<TaskFuture>) -> Self {
        Self { name, start }
    }
}

/// Tasks of products: core's own are listed where the worker starts.
static ADDED: ArcSwapOption<Vec<Task>> = ArcSwapOption::const_empty();

/// Runs a task on this process's worker, and on that of every forked child. For the start function of a
/// [`Product`](crate::instrument::Product), which `init()` calls; the next `init()` begins with none.
///
/// A second task of the same name is left out.
pub fn add(task: Task) {
    ADDED.rcu(|tasks| {
        let mut tasks = tasks.as_deref().cloned().unwrap_or_default();
        if tasks.iter().all(|other| other.name != task.name) {
            tasks.push(task);
        }
        Some(Arc::new(tasks))
    });
    super::command(super::Command::Run(task));
}

/// Forgets the tasks of an earlier tracer.
pub(super) fn forget_added() {
    ADDED.store(None);
}

pub(super) fn added() -> Vec<Task> {
    ADDED.load().as_deref().cloned().unwrap_or_default()
}

/// What a task is to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Turn {
    /// The time it asked for has come.
    Due,
    /// Send what there is, then drop this.
    Flush(Flushed),
    /// Send what there is, and end; the program waits for it, a few seconds at most.
    Stop,
}

/// Tells whoever flushes, when the last clone is dropped.
#[derive(Clone)]
pub struct Flushed(#[allow(dead_code, reason = "it is there to be dropped")] Arc<Tell>);

struct Tell(SyncSender<()>);

impl Flushed {
    pub(crate) fn new(done: SyncSender<()>) -> Self {
        Self(Arc::new(Tell(done)))
    }
}

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

impl fmt::Debug for Flushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flushed")
    }
}

/// What a task works with.
pub struct TaskContext {
    pub(crate) tracer: Arc<TracerCore>,
    agent: Arc<Agent>,
    info: watch::Receiver<Option<Arc<AgentInfo>>>,
    turns: UnboundedReceiver<Turn>,
    has_agent: bool,
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext").finish_non_exhaustive()
    }
}

impl TaskContext {
    /// The configuration that is in force. Remote configuration may change it: ask again rather than keep it.
    pub fn config(&self) -> Arc<Config> {
        self.tracer.config()
    }

    /// The id of this process for Datadog: another one after a fork.
    pub fn runtime_id(&self) -> &str {
        &self.tracer.runtime_id
    }

    /// The way to the agent. Its connection is shared with everything else on this worker.
    pub fn agent(&self) -> &Arc<AgentClient> {
        &self.agent.client
    }

    /// Whether traces go to an agent at all. False where they are written as lines, and nobody may be listening.
    pub fn has_agent(&self) -> bool {
        self.has_agent
    }

    /// What the agent said last that it can do; nothing until it has answered.
    pub fn info(&self) -> Option<Arc<AgentInfo>> {
        self.agent.info()
    }

    /// Follows what the agent says, beside [`turn`](Self::turn).
    pub(crate) fn watch_info(&self) -> watch::Receiver<Option<Arc<AgentInfo>>> {
        self.agent.watch_info()
    }

    /// Waits until the agent says something for the first time, or something else than before.
    pub async fn info_changed(&mut self) {
        if self.info.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Has the agent asked again what it can do, soon.
    pub fn ask_for_info(&self) {
        self.agent.ask();
    }

    /// The time, by the clock that [`turn`](Self::turn) uses.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// A context without a worker, for tests of a task that asks the agent, and the way to tell it something.
    #[cfg(test)]
    pub(crate) fn alone(config: Config) -> (Self, UnboundedSender<Turn>) {
        let config = Arc::new(config);
        let agent = Arc::new(Agent::new(&config));
        let asking = Arc::clone(&agent);
        tokio::spawn(async move { asking.keep_asking().await });
        let (turns, received) = unbounded_channel();
        let context = Self {
            tracer: Arc::new(TracerCore::new(config, Vec::new(), Box::new(|| {}))),
            info: agent.watch_info(),
            agent,
            turns: received,
            has_agent: true,
        };
        (context, turns)
    }

    /// Waits until `due`, or until the task is told something. Safe to drop half-way: nothing gets lost.
    pub async fn turn(&mut self, due: Instant) -> Turn {
        let mut sleep = pin!(sleep_until(due));
        poll_fn(|context| {
            if let Poll::Ready(turn) = self.turns.poll_recv(context) {
                return Poll::Ready(turn.unwrap_or(Turn::Stop));
            }
            sleep.as_mut().poll(context).map(|()| Turn::Due)
        })
        .await
    }
}

/// The tasks of one worker.
pub(super) struct Tasks {
    tracer: Arc<TracerCore>,
    agent: Arc<Agent>,
    has_agent: bool,
    running: Vec<Running>,
}

struct Running {
    name: &'static str,
    turns: UnboundedSender<Turn>,
    handle: JoinHandle<()>,
}

impl Tasks {
    pub(super) fn new(tracer: Arc<TracerCore>, agent: Arc<Agent>, has_agent: bool) -> Self {
        Self {
            tracer,
            agent,
            has_agent,
            running: Vec::new(),
        }
    }

    /// Starts a task unless one of its name was started before.
    pub(super) fn run(&mut self, task: Task) {
        if self.running.iter().any(|other| other.name == task.name) {
            return;
        }
        let (turns, received) = unbounded_channel();
        let context = TaskContext {
            tracer: Arc::clone(&self.tracer),
            info: self.agent.watch_info(),
            agent: Arc::clone(&self.agent),
            turns: received,
            has_agent: self.has_agent,
        };
        let name = task.name;
        let started = crate::text::guarded(|| (task.start)(context));
        let Some(future) = started else {
            report_panic(name);
            return;
        };
        let Some(future) = future else {
            return;
        };
        let handle = tokio::spawn(async move {
            if let Err(error) = tokio::spawn(future).await {
                if error.is_panic() {
                    report_panic(name);
                }
            }
        });
        self.running.push(Running {
            name,
            turns,
            handle,
        });
    }

    /// Has every task send what it has.
    pub(super) fn flush(&self, done: &Flushed) {
        for task in &self.running {
            // One that has ended drops it at once.
            let _ = task.turns.send(Turn::Flush(done.clone()));
        }
    }

    /// Ends every task, and waits for them.
    pub(super) async fn stop(self) {
        for task in &self.running {
            let _ = task.turns.send(Turn::Stop);
        }
        for task in self.running {
            let _ = task.handle.await;
        }
    }
}

fn report_panic(name: &str) {
    diagnostics::error(format_args!(
        "{name} panicked on the worker and does not run any more"
    ));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use super::*;

    fn tasks() -> Tasks {
        let config = Arc::new(Config::builder().build());
        let agent = Arc::new(Agent::new(&config));
        let tracer = TracerCore::new(config, Vec::new(), Box::new(|| {}));
        Tasks::new(Arc::new(tracer), agent, false)
    }

    fn on_a_worker(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(work);
    }

    #[test]
    fn a_task_has_its_turns_and_is_waited_for() {
        static DUE: AtomicUsize = AtomicUsize::new(0);
        static STOPPED: AtomicUsize = AtomicUsize::new(0);
        fn start(mut context: TaskContext) -> Option<TaskFuture> {
            Some(Box::pin(async move {
                loop {
                    match context.turn(context.now() + Duration::from_secs(10)).await {
                        Turn::Due => DUE.fetch_add(1, Ordering::Relaxed),
                        Turn::Flush(_done) => DUE.fetch_add(100, Ordering::Relaxed),
                        Turn::Stop => break,
                    };
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                STOPPED.fetch_add(1, Ordering::Relaxed);
            }))
        }
        on_a_worker(async {
            let mut tasks = tasks();
            tasks.run(Task::new("a", start));
            tasks.run(Task::new("a", start));
            tokio::time::sleep(Duration::from_secs(35)).await;
            assert_eq!(DUE.load(Ordering::Relaxed), 3, "it runs once");
            let (done, is_done) = sync_channel(1);
            tasks.flush(&Flushed::new(done));
            assert!(is_done.try_recv().is_err(), "it has not had its turn yet");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(is_done.try_recv().is_ok());
            assert_eq!(DUE.load(Ordering::Relaxed), 103);
            tasks.stop().await;
            assert_eq!(STOPPED.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn a_panic_and_a_task_that_is_off_hold_nothing_up() {
        on_a_worker(async {
            let mut tasks = tasks();
            tasks.run(Task::new("off", |_| None));
            tasks.run(Task::new("fails to start", |_| panic!("by design")));
            tasks.run(Task::new("fails", |_| {
                Some(Box::pin(async { panic!("by design") }))
            }));
            tokio::task::yield_now().await;
            let (done, is_done) = sync_channel(1);
            tasks.flush(&Flushed::new(done));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(is_done.try_recv().is_ok());
            tasks.stop().await;
        });
    }
}
