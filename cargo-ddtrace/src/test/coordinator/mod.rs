//! The process that owns the test session.
//!
//! ```text
//! cargo ddtrace test ─┬─ coordinator: settings, known tests, … while cargo compiles
//!                     └─ cargo test ── runner (one per binary) ──socket──▶ server ─▶ library: plan, verdicts, events
//!                              └────── rustdoc (ours) ─────────socket──▶
//! ```
//!
//! Runners only list, run and tell; each decision is made here, by the library's pure functions, because retries have a
//! budget for the whole session and new tests are counted over all binaries. The same events feed three reporters: CI
//! Visibility (the library), the JUnit file and the summary.
//!
//! The socket lies in a folder that only this user can enter. A runner that disappears in the middle (killed with its process group, say) leaves
//! a conversation that ends; nothing waits for it.

mod again;
mod bench;
pub(crate) mod cargo;
mod cfg;
mod coverage;
pub(crate) mod detached;
mod identity;
mod inside;
mod library;
mod members;
mod place;
mod server;
pub(crate) mod source;
mod targets;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddtrace_ci_visibility::junit::{Output, Report};
use ddtrace_ci_visibility::model::Attempt;
use ddtrace_ci_visibility::selection::{Decision, Verdict};
use tokio::net::UnixListener;
use tokio::sync::{Notify, OnceCell};

pub(crate) use coverage::Coverage;
pub(crate) use identity::of_test;
pub(crate) use library::{Library, Overlay};
use server::converse;
use targets::Targets;

use super::summary::Counts;
use cargo::Toolchain;

/// Conversations at once: far more than cargo or nextest start binaries.
const CONVERSATIONS: usize = 4096;

/// How tests are to be run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manner {
    /// Every test in a process of its own.
    pub(crate) isolate: bool,
    /// How long a test may take that runs alone.
    pub(crate) timeout: Option<Duration>,
    /// Whether a JUnit file is wanted.
    pub(crate) junit: bool,
    /// Whether nextest starts the binaries, once per test.
    pub(crate) is_nextest: bool,
    /// Below it each run of a test has a folder.
    pub(crate) runs: PathBuf,
}

/// What all conversations share.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) library: Library,
    pub(crate) toolchain: Toolchain,
    pub(crate) manner: Manner,
    /// Where file names are relative to.
    pub(crate) repository: PathBuf,
    targets: OnceCell<Targets>,
    /// Cargo's arguments and working directory, by which it is asked for the targets.
    words: Vec<std::ffi::OsString>,
    folder: Option<PathBuf>,
    counts: Mutex<Counts>,
    /// Tests whose retries all failed.
    exhausted: Mutex<Vec<again::Exhausted>>,
    /// What tests reach, if that is asked for.
    pub(crate) coverage: Option<Coverage>,
    /// Gathered only if a file is wanted.
    junit: Option<Mutex<Report>>,
    open: AtomicUsize,
    /// Processes that a conversation is held with.
    runners: Mutex<Vec<u32>>,
    /// Something was closed.
    changed: Notify,
}

impl Coordinator {
    pub(crate) fn new(
        library: Library,
        toolchain: Toolchain,
        manner: Manner,
        repository: PathBuf,
        words: Vec<std::ffi::OsString>,
        folder: Option<PathBuf>,
        coverage: Option<Coverage>,
    ) -> Arc<Coordinator> {
        let junit = manner.junit.then(Mutex::default);
        Arc::new(Coordinator {
            library,
            toolchain,
            manner,
            repository,
            targets: OnceCell::new(),
            words,
            folder,
            counts: Mutex::default(),
            exhausted: Mutex::default(),
            coverage,
            junit,
            open: AtomicUsize::new(0),
            runners: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// The workspace's targets; asked for once.
    async fn targets(&self) -> &Targets {
        self.targets
            .get_or_init(|| async {
                let metadata = cargo::metadata(&self.words, self.folder.as_deref()).await;
                metadata.map_or_else(Targets::default, |metadata| Targets::read(&metadata))
            })
            .await
    }

    /// Gets what costs time ready while cargo compiles.
    pub(crate) async fn warm(&self) {
        self.targets().await;
    }

    /// Takes note of a run for all reporters.
    fn report(
        &self,
        attempt: &Attempt,
        decision: &Decision,
        verdict: Option<&Verdict>,
        output: &[u8],
    ) {
        if let Some(junit) = &self.junit {
            let output = Output {
                stdout: String::from_utf8_lossy(output).into_owned(),
                stderr: String::new(),
            };
            junit
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .add(attempt, verdict, output, &[]);
        }
        self.library.report(attempt, decision, verdict);
        self.library.report_output(attempt, output);
    }

    /// The JUnit file, if one is wanted.
    pub(crate) fn junit(&self, name: &str) -> Option<String> {
        let junit = self.junit.as_ref()?;
        let report = junit
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        Some(report.to_xml(name))
    }

    pub(crate) fn count<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(
            &mut self
                .counts
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        )
    }

    /// Answers runners until it is aborted.
    pub(crate) async fn serve(self: Arc<Coordinator>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if self.open.fetch_add(1, Ordering::Relaxed) >= CONVERSATIONS {
                        self.open.fetch_sub(1, Ordering::Relaxed);
                        continue;
                    }
                    let coordinator = self.clone();
                    tokio::spawn(async move {
                        converse(&coordinator, stream).await;
                        coordinator.open.fetch_sub(1, Ordering::Relaxed);
                        coordinator.changed.notify_waiters();
                    });
                }
                // Out of file descriptors, most likely: it passes when conversations end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn runners(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.runners
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Passes a signal on to the runners, who end their tests. Cargo, which started them, does not do so.
    pub(crate) fn signal_runners(&self, signal: i32) {
        for runner in self.runners().iter() {
            super::runner::os::signal(*runner, signal);
        }
    }

    /// Waits until every conversation has ended, at most so long.
    pub(crate) async fn drained(&self, within: Duration) {
        let deadline = tokio::time::Instant::now() + within;
        while self.open.load(Ordering::Relaxed) > 0 && tokio::time::Instant::now() < deadline {
            let step = Duration::from_millis(100);
            let _ = tokio::time::timeout(step, self.changed.notified()).await;
        }
    }
}

/// The folder with the socket and the names under which cargo starts us; removed on drop.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes a folder of a random name, or of this one.
    pub(crate) fn make(path: Option<PathBuf>) -> std::io::Result<Folder> {
        let path = match path {
            Some(path) => path,
            None => {
                let mut random = [0; 8];
                getrandom::fill(&mut random)
                    .map_err(|_| std::io::Error::other("no random bytes"))?;
                temporary().join(format!("ddtrace-test-{:016x}", u64::from_ne_bytes(random)))
            }
        };
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Folder(path);
        let program = std::env::current_exe()?;
        for name in ["cargo-ddtrace", "rustdoc"] {
            std::os::unix::fs::symlink(&program, folder.0.join(name))?;
        }
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    /// Where each run of a test has a folder.
    pub(crate) fn runs(&self) -> PathBuf {
        self.0.join("runs")
    }

    /// Listens in it.
    pub(crate) fn listen(&self) -> std::io::Result<UnixListener> {
        UnixListener::bind(self.socket())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where temporary folders lie. Cargo splits a runner at blanks, and a socket's path is short.
pub(crate) fn temporary() -> PathBuf {
    let folder = std::env::temp_dir();
    let is_usable = folder.is_absolute()
        && folder.as_os_str().len() < 60
        && !folder.to_string_lossy().contains(char::is_whitespace);
    if is_usable {
        folder
    } else {
        PathBuf::from("/tmp")
    }
}
