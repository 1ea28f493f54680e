//! `cargo ddtrace test`: cargo's tests, unchanged, reported, and retried where that says something.
//!
//! ```text
//! cargo ddtrace test [OURS] [CARGO TEST'S ARGUMENTS]
//!   ├─ agent       with --local: the backend, in this process, with a memory on disk
//!   ├─ coordinator owns the session, decides (library)
//!   └─ cargo test  with our runner, and our rustdoc
//!        ├─ runner BINARY   lists, runs, tells; its terminal reporter writes what cargo test would
//!        └─ rustdoc         tells of doctests
//! ```
//!
//! Cargo keeps the terminal. Everything of ours goes to standard error and begins `ddtrace:`; the exceptions are what a
//! retried or skipped test changes in libtest's own lines, and the summary in JSON, the last line of standard output.

pub(crate) mod coordinator;
mod impact;
pub(crate) mod link;
mod local;
pub mod runner;
pub(crate) mod rustdoc;
pub mod summary;
mod wrapper;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::agent::Agent;
use crate::cli::{SummaryFormat, TestArgs};
use crate::run::child::Ended;
use crate::run::signals::{Signal, Signals};
use coordinator::{Coordinator, Coverage, Folder, Library, Manner, Overlay, cargo, detached};
use impact::Impact;

/// How long cargo may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long runners may take to say their last words once cargo has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The status of our own errors.
const USAGE: u8 = 2;

fn say(line: &str) {
    eprintln!("ddtrace: {line}");
}

/// What of ours a program is when cargo, not a person, starts it.
pub fn called_by_cargo(words: &[OsString]) -> Option<ExitCode> {
    if wrapper::is_called(words) {
        return Some(wrapper::main(&words[1..]));
    }
    if rustdoc::is_called(words.first()) {
        return Some(rustdoc::main(words[1..].to_vec()));
    }
    match words.get(1)?.to_str()? {
        "runner" => Some(runner::main(words[2..].to_vec())),
        "coordinator" => Some(background(&words[2..])),
        _ => None,
    }
}

/// Runs cargo with these words (`test …`, `nextest run …`) and gives the status to end with.
pub async fn run(arguments: TestArgs, words: Vec<OsString>) -> u8 {
    let begun = Instant::now();
    let mut command = tokio::process::Command::new(cargo::cargo());
    command.args(&words);
    let mut signals = Signals::new();
    if !runner::is_enabled() {
        return match command.spawn() {
            Ok(child) => wait(child, &mut signals, None).await.0.status(),
            Err(error) => cannot_start(&error),
        };
    }
    let folder = match Folder::make(None) {
        Ok(folder) => folder,
        Err(error) => {
            say(&format!("no folder for this session: {error}"));
            return USAGE;
        }
    };
    let listener = match folder.listen() {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!("no socket for this session: {error}"));
            return USAGE;
        }
    };
    let toolchain = cargo::toolchain(&words).await;
    let manner = Manner {
        isolate: arguments.isolate || isolates(),
        timeout: arguments.test_timeout,
        junit: arguments.junit.is_some() || arguments.junit_upload,
        is_nextest: words.first().is_some_and(|word| word == "nextest"),
        runs: folder.runs(),
    };
    // Whoever measures the whole keeps its own files.
    let may_cover = std::env::var_os(runner::PROFILE).is_none();
    let checkout = local::checkout().await;
    let mut overlay = Overlay::default();
    let mut agent = None;
    if arguments.local {
        let data = arguments.data.clone().or_else(|| local::data(&checkout));
        match local::start(data, &arguments, may_cover).await {
            Ok(started) => {
                overlay = local::overlay(&started, &checkout).await;
                if arguments.stay {
                    say(&format!("viewer {}tests", started.viewer()));
                }
                agent = Some(started);
            }
            Err(error) => {
                say(&error.to_string());
                return USAGE;
            }
        }
    }
    command.envs(cargo::environment(&toolchain, folder.path()));
    let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let framework = if manner.is_nextest {
        "nextest"
    } else {
        "libtest"
    };
    let shown = shown(&words);
    let (library, why_not) = tokio::select! {
        started = Library::start(overlay, &directory, &shown, framework, &toolchain.rustc, may_cover) => started,
        // Nothing has begun that would have to be ended.
        signal = signals.next() => return Ended::Signal(signal.number()).status(),
    };
    if let Some(why_not) = why_not {
        say(&why_not);
    }
    let repository = library.repository().unwrap_or(checkout);
    let mut coverage = None;
    if may_cover
        && library.wants_coverage()
        && let Some(variables) = cargo::counting(folder.path())
    {
        command.envs(variables);
        let data = agent
            .as_ref()
            .and_then(|agent| agent.shared().history().data());
        let impact = match data.map(|data| {
            tokio::task::block_in_place(|| Impact::begin(&repository, data, !arguments.all))
        }) {
            Some(Ok(impact)) => Some(impact),
            Some(Err(why)) => {
                say(&format!("no test is skipped: {why}"));
                None
            }
            None => None,
        };
        let circumstances = toolchain.circumstances.clone();
        coverage = Some(Coverage::new(&repository, circumstances, impact));
    }
    let coordinator = Coordinator::new(
        library, toolchain, manner, repository, words, None, coverage,
    );
    let server = tokio::spawn(coordinator.clone().serve(listener));
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return cannot_start(&error),
    };
    let warming = coordinator.clone();
    let warming = tokio::spawn(async move { warming.warm().await });
    let (ended, interrupted) = wait(child, &mut signals, Some(&coordinator)).await;
    coordinator.drained(LAST_WORDS).await;
    server.abort();
    warming.abort();
    // An interrupt that reached the whole group may have ended cargo before we heard of it.
    let interrupted = interrupted
        || matches!(ended, Ended::Signal(1 | 2 | 15))
        || coordinator.count(|counts| counts.interrupted);
    let status = ended.status();
    if !interrupted {
        tokio::task::block_in_place(|| coordinator.once_more());
    }
    let junit = coordinator.junit(&shown);
    if arguments.junit_upload
        && !interrupted
        && let Some(xml) = &junit
        && let Some(line) = coordinator.library.upload_junit(&shown, xml).await
    {
        say(&line);
    }
    let coverage = coordinator.coverage.as_ref();
    let lines = coordinator
        .library
        .finish(status == 0, interrupted, coverage)
        .await;
    let forgotten = coverage.and_then(|coverage| coverage.end());
    lines.iter().chain(&forgotten).for_each(|line| say(line));
    if let (Some(path), Some(xml)) = (&arguments.junit, junit)
        && let Err(error) = std::fs::write(path, xml)
    {
        say(&format!("{}: {error}", path.display()));
    }
    let counts = coordinator.count(|counts| *counts);
    report(&arguments, &counts, &coordinator.library, agent.as_ref());
    if arguments.summary == SummaryFormat::Json {
        println!("{}", counts.json(status, interrupted, begun.elapsed()));
    }
    if let Some(agent) = agent.filter(|_| arguments.stay && !interrupted) {
        say(&format!(
            "viewer {}tests stays until Ctrl-C",
            agent.viewer()
        ));
        signals.ended().await;
    }
    status
}

/// Says what came of it, and where it can be looked at.
fn report(
    arguments: &TestArgs,
    counts: &summary::Counts,
    library: &Library,
    agent: Option<&Agent>,
) {
    if arguments.summary == SummaryFormat::Text && counts.tests > 0 {
        say(&counts.line());
    }
    let Some(agent) = agent else {
        if counts.tests > 0 && arguments.summary != SummaryFormat::None {
            library.pages().iter().for_each(|page| say(page));
        }
        return;
    };
    let history = agent.shared().history();
    match (history.trouble(), history.data()) {
        (Some(trouble), _) => say(&format!("the run is not kept: {trouble}")),
        (None, Some(data)) if !arguments.stay && counts.tests > 0 => say(&format!(
            "history: cargo ddtrace agent --data {}",
            data.display()
        )),
        _ => {}
    }
}

/// The command as it is reported.
fn shown(words: &[OsString]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    format!("cargo {}", words.join(" "))
}

/// The tags that the environment names: those of the pipeline, the commit and the user's own.
pub fn environment_tags() -> serde_json::Value {
    let tags = ddtrace_ci_visibility::ci::tags(&ddtrace_core::config::ProcessEnvironment);
    serde_json::to_value(tags).unwrap_or_default()
}

fn cannot_start(error: &std::io::Error) -> u8 {
    say(&format!(
        "cannot start {}: {error}",
        cargo::cargo().to_string_lossy()
    ));
    127
}

/// `DD_CIVISIBILITY_RUST_EXECUTION`
fn isolates() -> bool {
    std::env::var("DD_CIVISIBILITY_RUST_EXECUTION")
        .is_ok_and(|value| value.eq_ignore_ascii_case("isolated"))
}

/// Waits for cargo: how it ended, and whether somebody asked us to end.
async fn wait(
    mut child: tokio::process::Child,
    signals: &mut Signals,
    coordinator: Option<&Coordinator>,
) -> (Ended, bool) {
    let mut interrupted = false;
    let mut deadline: Option<tokio::time::Instant> = None;
    loop {
        let patience = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => {
                let ended = status.map_or(Ended::Code(1), Ended::of);
                return (ended, interrupted);
            }
            signal = signals.next() => {
                if interrupted {
                    let _ = child.kill().await;
                    return (Ended::Signal(signal.number()), true);
                }
                interrupted = true;
                deadline = Some(tokio::time::Instant::now() + PATIENCE);
                // An interrupt from the terminal has reached cargo already; the others come to us alone.
                if signal != Signal::Interrupt
                    && let Some(pid) = child.id()
                {
                    runner::os::signal(pid, signal.number());
                    if let Some(coordinator) = coordinator {
                        coordinator.signal_runners(signal.number());
                    }
                }
            }
            () = patience => {
                if let Some(coordinator) = coordinator {
                    coordinator.signal_runners(Signal::Terminate.number());
                }
                let _ = child.kill().await;
                return (Ended::Signal(Signal::Interrupt.number()), true);
            }
        }
    }
}

/// `cargo-ddtrace coordinator`, started by a runner that found none.
fn background(words: &[OsString]) -> ExitCode {
    let Some((path, owner)) = detached::arguments(words) else {
        return ExitCode::from(USAGE);
    };
    // Somebody else was faster.
    let Ok(folder) = Folder::make(Some(path)) else {
        return ExitCode::SUCCESS;
    };
    let Some(own) = Own::begin(folder, owner.nextest.is_some()) else {
        return ExitCode::from(USAGE);
    };
    while owner.is_alive() {
        std::thread::sleep(Duration::from_millis(100));
    }
    own.end();
    ExitCode::SUCCESS
}

/// A coordinator without `cargo ddtrace` around it: in a process of its own for all binaries of one cargo, or, where there can be none, in
/// the runner of each binary.
pub(crate) struct Own {
    runtime: tokio::runtime::Runtime,
    coordinator: std::sync::Arc<Coordinator>,
    server: tokio::task::JoinHandle<()>,
    folder: Folder,
}

impl Own {
    /// Begins a session; `None` if it can't listen.
    fn begin(folder: Folder, is_nextest: bool) -> Option<Own> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .ok()?;
        let (coordinator, server) = runtime.block_on(async {
            let listener = folder.listen().ok()?;
            let manner = Manner {
                isolate: isolates(),
                timeout: None,
                junit: false,
                is_nextest,
                runs: folder.runs(),
            };
            let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
            let toolchain = cargo::toolchain(&[]).await;
            let directory = package.clone().unwrap_or_default();
            let (command, framework) = if manner.is_nextest {
                ("cargo nextest run", "nextest")
            } else {
                ("cargo test", "libtest")
            };
            let (library, _) = Library::start(
                Overlay::default(),
                &directory,
                command,
                framework,
                &toolchain.rustc,
                // Cargo was started by somebody else.
                false,
            )
            .await;
            let repository = library.repository().unwrap_or(directory);
            let coordinator = Coordinator::new(
                library,
                toolchain,
                manner,
                repository,
                Vec::new(),
                package,
                None,
            );
            let server = tokio::spawn(coordinator.clone().serve(listener));
            Some((coordinator, server))
        })?;
        Some(Own {
            runtime,
            coordinator,
            server,
            folder,
        })
    }

    /// One for the binary of this runner.
    pub(crate) fn of_this_runner() -> Option<Own> {
        let is_nextest = std::env::var_os("NEXTEST_RUN_ID").is_some();
        Own::begin(Folder::make(None).ok()?, is_nextest)
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.socket()
    }

    /// Ends the session, once nobody speaks any more.
    pub(crate) fn end(self) {
        self.runtime.block_on(async {
            self.coordinator.drained(LAST_WORDS).await;
            self.server.abort();
            let counts = self.coordinator.count(|counts| *counts);
            let exit_ok = counts.fails_build == 0 && !counts.interrupted;
            let library = &self.coordinator.library;
            library.finish(exit_ok, counts.interrupted, None).await;
        });
        self.runtime.shutdown_background();
    }
}
