//! The worker: one thread per process that does everything which must not happen on the user's threads.
//!
//! It has a current-thread tokio runtime of its own, so it does not matter whether the program has none, several, or one that
//! is shutting down. On it run
//!
//! * the `collector`: takes chunks out of the threads' queues, assembles and encodes them;
//! * the `writer`: sends payloads, tries again, learns rates from the answers;
//! * a task that asks the agent what it can do;
//! * the [tasks](task) of products and of core's own services.
//!
//! Collector and writer are joined by a queue that is bounded in bytes; what does not fit is dropped and counted, and the
//! share that was not dropped lately goes out as `_dd.tracer_kr`.
//!
//! After `fork` the child has no worker. Its `atfork` handler only raises a number; the next span that sees it calls
//! `revive`, which starts a tracer and a worker anew with the same settings.
//!
//! `unsafe` in this file: `pthread_atfork`.
#![allow(unsafe_code)]

pub(crate) mod agent;
mod collector;
mod counts;
mod intake;
mod keep_rate;
mod options;
mod stats;
pub mod task;
mod writer;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

pub use counts::{Counts, counts};
pub use options::Builder;

use crate::diagnostics;
use crate::dogstatsd::{self, Client};
use crate::export::agent::DeadlineSetter;
use crate::process_tags::ProcessTags;
use crate::trace::tracer::{self, TracerCore};
use options::Options;
use task::Task;

/// How long a shutdown may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long [`flush`] waits.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What the worker is asked to do.
enum Command {
    /// Send what there is, and say when it is done.
    Flush(SyncSender<()>),
    /// The same, and end.
    Stop(SyncSender<()>),
    /// Run one more task.
    Run(Task),
    /// Say when it is known what the agent can do.
    AwaitAgent(SyncSender<()>),
}

/// What core itself runs on every worker.
const TASKS: &[Task] = &[
    crate::telemetry::TASK,
    crate::startup_log::TASK,
    stats::TASK,
    crate::remote_config::TASK,
    Task::new("flare", crate::flare::start),
    Task::new("runtime metrics", crate::runtime_metrics::start),
    Task::new("health metrics", crate::health_metrics::start),
    // After those that hand metrics to it when they end.
    Task::new("dogstatsd", dogstatsd::start),
];

/// A tracer with its worker.
struct Running {
    tracer: Arc<TracerCore>,
    options: Arc<Options>,
    commands: UnboundedSender<Command>,
    deadline: DeadlineSetter,
}

static RUNNING: ArcSwapOption<Running> = ArcSwapOption::const_empty();

/// Held while a tracer is started or stopped.
static STARTING: Mutex<()> = Mutex::new(());

/// Flushes and stops the tracer when it is dropped; made by `init()`.
///
/// Keep it in `main` until the end. Dropping it waits until everything is sent, at most 5 seconds. It may be dropped inside or
/// outside of an async runtime: the sending is done by a thread that belongs to neither.
#[must_use = "the tracer stops when the guard is dropped: keep it in a variable, `let _ddtrace = ddtrace::init();`"]
#[derive(Debug)]
pub struct Guard {
    /// The one that was there first stops the tracer; others only flush.
    is_owner: bool,
}

impl Guard {
    /// Sends everything and stops the tracer. True if all was done within the time.
    pub fn shutdown(mut self, timeout: Duration) -> bool {
        let done = if self.is_owner {
            stop(timeout)
        } else {
            flush_within(timeout)
        };
        self.is_owner = false;
        std::mem::forget(self);
        done
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_owner {
            stop(SHUTDOWN_TIMEOUT);
        } else {
            flush_within(FLUSH_TIMEOUT);
        }
    }
}

/// Sends everything that is finished. Waits at most 5 seconds; true if all was sent or dropped by then.
pub fn flush() -> bool {
    flush_within(FLUSH_TIMEOUT)
}

/// Sends everything that is finished. True if that was done within the time.
pub fn flush_within(timeout: Duration) -> bool {
    let Some(running) = current() else {
        return true;
    };
    let (done, is_done) = sync_channel(1);
    running.commands.send(Command::Flush(done)).is_ok() && wait(&is_done, Instant::now() + timeout)
}

/// Waits until the agent has said what it can do: from then on statistics, filters and formats are as it wants them. False if
/// it has not within the time, or if nothing runs.
///
/// Nobody has to call it: until then everything is sent in the form that every agent takes.
pub fn agent_known_within(timeout: Duration) -> bool {
    let Some(running) = current() else {
        return false;
    };
    let (known, is_known) = sync_channel(1);
    running.commands.send(Command::AwaitAgent(known)).is_ok()
        && wait(&is_known, Instant::now() + timeout)
}

/// Tells the worker something, if there is one.
fn command(command: Command) {
    if let Some(running) = current() {
        // Fails only while it ends.
        let _ = running.commands.send(command);
    }
}

/// The worker, unless it was left behind by a fork.
fn current() -> Option<Arc<Running>> {
    RUNNING
        .load_full()
        .filter(|running| running.tracer.forks == tracer::forks())
}

fn wait(done: &Receiver<()>, deadline: Instant) -> bool {
    done.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .is_ok()
}

/// Starts the global tracer. A second call while one runs warns and gives a guard onto the first.
fn init(options: Options) -> Guard {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if current().is_some() {
        diagnostics::warn(format_args!(
            "init() was called a second time; the first call's settings stay in force"
        ));
        return Guard { is_owner: false };
    }
    task::forget_added();
    diagnostics::configure(options.config.log_settings());
    let config = Arc::clone(&options.config);
    if options.config.runtime_metrics {
        crate::runtime_metrics::watch_current();
    }
    crate::trace::panic::install_hook();
    watch_forks();
    let Some(running) = start(Arc::new(options), "init") else {
        config.report_problems();
        return Guard { is_owner: false };
    };
    let is_enabled = running.tracer.is_enabled();
    RUNNING.store(Some(Arc::clone(&running)));
    tracer::install(Some(Arc::clone(&running.tracer)));
    crate::instrument::start(|integration| config.integration(integration).enabled);
    // Not before the integrations with the program's logging have begun.
    config.report_problems();
    if is_enabled {
        crate::instrument::switch_on();
    }
    Guard { is_owner: true }
}

/// Makes a tracer and its thread.
fn start(options: Arc<Options>, why: &str) -> Option<Arc<Running>> {
    let wake = Arc::new(Notify::new());
    let waker = Arc::clone(&wake);
    let config = Arc::clone(&options.config);
    dogstatsd::install(Some(Client::new(&config)));
    let core = TracerCore::new(
        config,
        options.filters.clone(),
        Box::new(move || waker.notify_one()),
    );
    let tracer = Arc::new(core);
    crate::telemetry::prepare(&options.config, &tracer.runtime_id, tracer.forks);
    let (commands, received) = unbounded_channel();
    let (deadline_setter, deadline) = crate::export::agent::deadline();
    let running = Arc::new(Running {
        tracer: Arc::clone(&tracer),
        options: Arc::clone(&options),
        commands,
        deadline: deadline_setter,
    });
    // What is initialised once per process is initialised here and not by the worker: a fork in the middle of that would leave
    // it locked in the child for good, and the thread that forks is often the one that has just come back from here.
    let _ = ProcessTags::of(&options.config);
    let mut home = match Home::new() {
        Ok(home) => home,
        Err(error) => {
            diagnostics::error(format_args!(
                "the worker has no runtime, nothing will be sent ({why}): {error}"
            ));
            return None;
        }
    };
    let work = move || {
        #[cfg(target_os = "linux")]
        crate::process_discovery::publish(&options.config, &tracer.runtime_id);
        home.run(collector::run(tracer, options, received, wake, deadline));
    };
    match std::thread::Builder::new()
        .name("ddtrace".into())
        .spawn(work)
    {
        Ok(_) => Some(running),
        Err(error) => {
            diagnostics::error(format_args!(
                "the worker's thread could not be started ({why}): {error}"
            ));
            None
        }
    }
}

/// The worker's runtime, made by one thread for another.
struct Home(Option<Runtime>);

impl Home {
    fn new() -> std::io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    fn run(&mut self, work: impl Future<Output = ()>) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(work);
        }
    }
}

impl Drop for Home {
    /// Without waiting: it may happen on a thread of the program's that is inside a runtime, where waiting panics.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Stops the global tracer. True if everything was sent within the time.
fn stop(timeout: Duration) -> bool {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(running) = current() else {
        return true;
    };
    let deadline = Instant::now() + timeout;
    crate::instrument::switch_off();
    // A little before our own patience ends, so that what is not sent is still counted and said.
    let margin = Duration::from_millis(100).min(timeout / 10);
    running.deadline.set((deadline - margin).into());
    let (done, is_done) = sync_channel(1);
    let stopped = running.commands.send(Command::Stop(done)).is_ok() && wait(&is_done, deadline);
    tracer::install(None);
    dogstatsd::install(None);
    RUNNING.store(None);
    stopped
}

/// How often this process is a fork of a fork. What remembers another number was left behind by the parent: its worker will never
/// look at it again, and its locks may be held for ever.
#[inline]
pub fn forks() -> u32 {
    tracer::forks()
}

/// Starts tracer and worker anew in a forked child. Called by the first span that notices, and by products that notice before
/// there is one; a second call does nothing, and so does one without a fork.
pub fn revive() {
    static REVIVED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let forks = tracer::forks();
    let Some(before) = RUNNING
        .load_full()
        .filter(|running| running.tracer.forks != forks)
    else {
        return;
    };
    if REVIVED.swap(forks, std::sync::atomic::Ordering::SeqCst) == forks {
        // Another thread of the child is at it.
        return;
    }
    counts::reset();
    if let Some(running) = start(Arc::clone(&before.options), "fork") {
        RUNNING.store(Some(Arc::clone(&running)));
        tracer::install_revived(Arc::clone(&running.tracer));
    }
    // What the parent's worker shares may be locked for ever: it is left alone.
    std::mem::forget(before);
}

/// Has forks noticed. The handler runs in the child between `fork` and whatever comes next, and does nothing that could
/// wait.
fn watch_forks() {
    #[cfg(unix)]
    {
        extern "C" fn in_child() {
            tracer::after_fork();
        }
        static WATCHING: Once = Once::new();
        WATCHING.call_once(|| {
            // SAFETY: the handler is a function that lives as long as the program and only adds to two atomics.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
    }
}
