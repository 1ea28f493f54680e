//! Test binaries as processes: how they are started, and what becomes of them when somebody wants us to end.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use super::os;
use crate::run::signals::Signals;

/// How long processes may take to end after a signal was passed on to them.
const PATIENCE: Duration = Duration::from_secs(3);

/// A binary, and what stands around it.
#[derive(Debug, Clone)]
pub(crate) struct Binary {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The runner that the user has for it (`qemu-aarch64 -L …`).
    pub(crate) chain: Vec<OsString>,
    /// Variables that tests must see as they were before us; `None` takes one away.
    pub(crate) restore: Vec<(String, Option<String>)>,
    /// The working directory and all variables, where they are not this process's.
    pub(crate) surroundings: Option<(PathBuf, Vec<(String, String)>)>,
}

impl Binary {
    /// A command that starts it, without arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = match self.chain.split_first() {
            Some((runner, words)) => {
                let mut command = Command::new(runner);
                command.args(words).arg(&self.path);
                command
            }
            None => Command::new(&self.path),
        };
        if let Some((folder, variables)) = &self.surroundings {
            let variables = variables.iter().map(|(name, value)| (name, value));
            command.env_clear().envs(variables).current_dir(folder);
        }
        for (name, value) in &self.restore {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

/// A process of ours, as it has to be signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    pid: u32,
    leads_group: bool,
}

static RUNNING: Mutex<Vec<Running>> = Mutex::new(Vec::new());
static INTERRUPTED: AtomicI32 = AtomicI32::new(0);

/// A process that gets the signals that we get, until this is dropped.
#[derive(Debug)]
pub(crate) struct Registered(Running);

impl Registered {
    /// Registers a process.
    pub(crate) fn new(pid: u32, leads_group: bool) -> Registered {
        let running = Running { pid, leads_group };
        lock().push(running);
        // The signal may have come between the start of the process and this line.
        if let signal @ 1.. = interrupted() {
            running.signal(signal);
        }
        Registered(running)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock().retain(|running| *running != self.0);
    }
}

fn lock() -> std::sync::MutexGuard<'static, Vec<Running>> {
    RUNNING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Running {
    fn signal(self, signal: i32) {
        if self.leads_group {
            os::signal_group(self.pid, signal);
        } else {
            os::signal(self.pid, signal);
        }
    }
}

/// The signal that asked us to end; 0 is none.
pub(crate) fn interrupted() -> i32 {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Begins to pass signals on to what is registered.
pub(crate) fn pass_signals() {
    let listen = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let mut signals = Signals::new();
            let first = signals.next().await.number();
            INTERRUPTED.store(first, Ordering::Relaxed);
            lock().iter().for_each(|running| running.signal(first));
            // A second wish, or too much patience.
            let _ = tokio::time::timeout(PATIENCE, signals.next()).await;
            loop {
                lock()
                    .iter()
                    .for_each(|running| running.signal(libc::SIGKILL));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    };
    // Without that thread signals end us as they end any process; nothing else is lost.
    let _ = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listen);
}

/// The signal that ended a process.
pub(crate) fn signal_of(status: ExitStatus) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal()
}

/// How a process ended, in words.
pub(crate) fn in_words(status: ExitStatus) -> String {
    match signal_of(status) {
        Some(signal) => os::signal_name(signal),
        None => format!("status {}", status.code().unwrap_or_default()),
    }
}

/// The status to end with for a process that ended so.
pub(crate) fn as_status(status: ExitStatus) -> u8 {
    match signal_of(status) {
        Some(signal) => (128 + signal) as u8,
        None => (status.code().unwrap_or(1) & 0xff) as u8,
    }
}
