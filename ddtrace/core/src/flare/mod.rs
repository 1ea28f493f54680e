//! Tracer flare: on request of Datadog's support, through remote configuration, what the tracer knows about itself.
//!
//! | file of remote configuration | effect |
//! |---|---|
//! | `AGENT_CONFIG`, `flare-log-level.<level>` | lines of the tracer's log from that level on are copied into a file, besides wherever they go; until the file is removed |
//! | `AGENT_TASK` of type `tracer_flare` | an archive is made and posted to the agent, `/tracer_flare/v1`; then everything is as before |
//!
//! Other files and tasks are acknowledged and nothing more. The program's own log level is not touched: a flare must not flood the
//! program's output.
//!
//! ```text
//!   request   what the two kinds of files say, checked
//!   contents  the files of the archive: configuration with origins, log, facts about the process
//!   archive   the zip file
//!   form      the request's body
//! ```
//!
//! The handlers only pass on what they read; a task on the worker does the work. What was copied is kept when the level goes, because
//! the task usually comes when the level is gone already, and cleaned up when it was sent or twenty minutes later. Each file
//! has at most 5 MB. Of several processes that get the same task, one sends its configuration; who is first is settled by
//! a lock file. An agent that does not take the flare gives one line in the log; it is not sent again.
//!
//! Secrets are not in it: the configuration knows them masked only.
//!
//! Source: `spec/telemetry-and-remote-config.md` §8.

mod archive;
mod contents;
mod form;
mod request;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::diagnostics::{self, Level};
use crate::remote_config::{self, Batch, Capabilities, Outcomes};
use crate::worker::task::{TaskContext, TaskFuture, Turn};
use request::{LogLevel, Request};

/// The most bytes of one file.
const MAX_FILE: u64 = 5_000_000;

/// How long a copy of the log is kept for a task that does not come.
const STALE_AFTER: Duration = Duration::from_secs(20 * 60);

/// Nothing to wait for.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// How many tasks wait. Somebody who sends more of them than that wants no flare.
const MAX_WAITING: usize = 8;

/// What the handlers pass on.
#[derive(Debug)]
enum Order {
    /// Copy the log, or stop that.
    Copy(Option<Level>),
    Send(Request),
}

/// The task that does it.
pub(crate) fn start(context: TaskContext) -> Option<TaskFuture> {
    if !context.config().remote_config_enabled || !context.has_agent() {
        return None;
    }
    let (orders, received) = unbounded_channel();
    let levels = orders.clone();
    remote_config::subscribe("AGENT_CONFIG", Capabilities::NONE, move |batch| {
        agent_config(batch, &levels)
    });
    remote_config::subscribe("AGENT_TASK", Capabilities::NONE, move |batch| {
        agent_task(batch, &orders)
    });
    Some(Box::pin(run(context, received)))
}

/// Passes on the levels of a batch of `AGENT_CONFIG`.
fn agent_config(batch: &Batch<'_>, orders: &UnboundedSender<Order>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for path in batch.removed() {
        if LogLevel::is_named(path.config_id()) {
            let _ = orders.send(Order::Copy(None));
        }
    }
    for file in batch.changed() {
        let level = match file.json() {
            Ok(content) => LogLevel::read(file.path().config_id(), &content),
            Err(error) => Err(error.to_string()),
        };
        match level {
            Ok(LogLevel::Set(level)) => {
                let _ = orders.send(Order::Copy(level));
            }
            Ok(LogLevel::Ignored) => {}
            Err(error) => outcomes.fail(file.path(), error),
        }
    }
    outcomes
}

/// Passes on the requests of a batch of `AGENT_TASK`.
fn agent_task(batch: &Batch<'_>, orders: &UnboundedSender<Order>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for file in batch.changed() {
        let request = match file.json() {
            Ok(content) => Request::read(&content),
            Err(error) => Err(error.to_string()),
        };
        match request {
            Ok(Some(request)) => {
                let _ = orders.send(Order::Send(request));
            }
            Ok(None) => {}
            Err(error) => outcomes.fail(file.path(), error),
        }
    }
    outcomes
}

async fn run(mut context: TaskContext, mut orders: UnboundedReceiver<Order>) {
    let mut copy = Copy::default();
    loop {
        let stale = copy.stale_at.unwrap_or_else(|| Instant::now() + FAR);
        let order = {
            let mut order = std::pin::pin!(orders.recv());
            let mut turn = std::pin::pin!(context.turn(stale));
            std::future::poll_fn(|task| match order.as_mut().poll(task) {
                std::task::Poll::Ready(Some(order)) => std::task::Poll::Ready(Ok(order)),
                // Nobody sends any more, or nothing has been sent.
                _ => turn.as_mut().poll(task).map(Err),
            })
            .await
        };
        match order {
            Ok(Order::Copy(level)) => copy.set(level),
            Ok(Order::Send(request)) => {
                send(&context, &copy, &request).await;
                copy.end();
                let waiting = orders.len();
                if waiting > MAX_WAITING {
                    diagnostics::warn(format_args!(
                        "{waiting} flares were asked for at once and are not sent"
                    ));
                    while orders.try_recv().is_ok() {}
                }
            }
            Err(Turn::Due) => {
                if copy.stale_at.is_some_and(|at| at <= Instant::now()) {
                    copy.end();
                }
            }
            Err(Turn::Flush(_)) => {}
            Err(Turn::Stop) => {
                copy.end();
                return;
            }
        }
    }
}

/// The copy of the log, in a folder that only this user can read.
#[derive(Default)]
struct Copy {
    folder: Option<PathBuf>,
    /// The last level that was asked for.
    level: Option<Level>,
    stale_at: Option<Instant>,
}

impl Copy {
    /// Begins a copy, or ends it and keeps what there is.
    fn set(&mut self, level: Option<Level>) {
        let Some(level) = level else {
            diagnostics::stop_copy();
            return;
        };
        if self.folder.is_none() {
            match contents::make_folder() {
                Ok(folder) => self.folder = Some(folder),
                Err(error) => {
                    diagnostics::error(format_args!(
                        "the log can not be copied for a flare: {error}"
                    ));
                    return;
                }
            }
        }
        self.level = Some(level);
        self.stale_at = Some(Instant::now() + STALE_AFTER);
        if let Some(log) = self.log() {
            diagnostics::start_copy(log, level, MAX_FILE);
            diagnostics::info(format_args!("this log is copied for a flare"));
        }
    }

    /// The file.
    fn log(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join("tracer.log"))
    }

    /// Ends it and takes it away.
    fn end(&mut self) {
        if let Some(folder) = self.folder.take() {
            diagnostics::stop_copy();
            let _ = std::fs::remove_dir_all(folder);
        }
        self.level = None;
        self.stale_at = None;
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.end();
    }
}

/// Makes the archive and posts it.
async fn send(context: &TaskContext, copy: &Copy, request: &Request) {
    let config = context.config();
    let log = copy.log();
    let is_first = contents::is_first(request.uuid());
    let files = contents::collect(context, log.as_deref(), is_first);
    let milliseconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let level = match copy.level.or(config.log_level) {
        Some(Level::Error) => "error",
        Some(Level::Warn) => "warn",
        Some(Level::Info) => "info",
        Some(Level::Debug) => "debug",
        None => "off",
    };
    let case = request.case_id();
    let name = format!("tracer-rust-{case}-{milliseconds}-{level}.zip");
    let form = form::Form::new(&[
        ("source", "tracer_rust"),
        ("case_id", case),
        ("hostname", request.hostname()),
        ("email", request.user_handle()),
        ("uuid", request.uuid()),
    ])
    .with_file("flare_file", &name, &archive::zip(&files));
    let mut headers = HeaderMap::new();
    if let Ok(content_type) = HeaderValue::try_from(form.content_type()) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    let agent = context.agent();
    match agent.post("/tracer_flare/v1", headers, form.body()).await {
        Ok(response) if response.status.is_success() => {
            diagnostics::info(format_args!("the flare for case {case} was sent"));
        }
        Ok(response) => diagnostics::error(format_args!(
            "the flare for case {case} was not sent: the agent answered {}",
            response.status
        )),
        Err(error) => diagnostics::error(format_args!(
            "the flare for case {case} was not sent: {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_kept_when_its_level_goes_and_taken_away_in_the_end() {
        let mut copy = Copy::default();
        copy.set(Some(Level::Debug));
        let folder = copy.folder.clone().expect("a folder is made");
        let log = copy.log().expect("a file is in it");
        diagnostics::debug(format_args!("seen in the copy"));
        copy.set(None);
        diagnostics::debug(format_args!("not seen any more"));
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains("seen in the copy") && !text.contains("not seen any more"));
        assert!(copy.stale_at.is_some(), "it does not stay for ever");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        // Another level begins the file's next part, in the same folder.
        copy.set(Some(Level::Error));
        assert_eq!(copy.folder.as_ref(), Some(&folder));
        copy.end();
        assert!(!folder.exists());
        assert!(copy.stale_at.is_none() && copy.level.is_none());
    }
}
