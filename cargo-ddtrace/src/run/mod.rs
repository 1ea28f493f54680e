//! `run` and `exec`: an agent, a program that sends to it, and a word about both.
//!
//! The agent listens before anything is built, so that a compile error costs nothing. The program keeps the terminal:
//! standard input and both outputs are its own, everything of ours goes to standard error and begins `ddtrace:`, and the
//! one exception is the summary in JSON, the last line of standard output.

pub mod child;
pub mod port;
pub mod reasons;
pub mod signals;
pub mod summary;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::agent::Agent;
use crate::cli::{RunArgs, SummaryFormat};
use child::{Child, Ended};
use signals::{Signal, Signals};
use summary::Summary;

/// How long the program may take to end after an interrupt.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nothing came for this long: nothing more will.
const QUIET: Duration = Duration::from_millis(200);
/// The longest wait for that.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The status of `--timeout`.
const TIMED_OUT: u8 = 124;
/// The status of `--strict` when the program itself was content.
const STRICT: u8 = 3;
/// The status of our own errors.
const USAGE: u8 = 2;

/// Writes a line of ours.
fn say(line: &str) {
    eprintln!("ddtrace: {line}");
}

/// Starts an agent and the command, and gives the status to end with.
pub async fn run(arguments: RunArgs, command: Vec<OsString>, is_cargo: bool) -> u8 {
    if arguments.attach {
        return attach(&arguments, &command).await;
    }
    let mut options = arguments.options();
    options.command = Some(
        command
            .iter()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" "),
    );
    options.socket = match &arguments.socket {
        None => None,
        Some(Some(path)) => Some(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        Some(None) => Some(child::default_socket()),
    };
    let mut signals = Signals::new();
    let agent = match port::start(options, arguments.port).await {
        Ok(agent) => agent,
        Err(error) => {
            say(&error.to_string());
            return USAGE;
        }
    };
    say(&format!("viewer {}", agent.viewer()));
    let url = match (agent.socket(), agent.port()) {
        (Some(path), _) => format!("unix://{}", path.display()),
        (None, port) => format!("http://127.0.0.1:{}", port.unwrap_or_default()),
    };
    let begun = Instant::now();
    let mut child = match Child::start(&command, &url, agent.port().unwrap_or_default()) {
        Ok(child) => child,
        Err(error) => {
            say(&format!(
                "cannot start {}: {error}",
                command[0].to_string_lossy()
            ));
            return 127;
        }
    };
    let watcher = tokio::spawn(reasons::watch(agent.shared().clone(), child.id()));
    let (ended, interrupted) = wait(&mut child, &mut signals, arguments.timeout).await;
    watcher.abort();

    if !arguments.once && !interrupted && ended != Ended::TimedOut {
        say(&format!(
            "program ended with {}; viewer {} stays until Ctrl-C",
            ended.shown(),
            agent.viewer()
        ));
        signals.ended().await;
        return ended.status();
    }
    last_words(&agent, &mut signals).await;
    agent.shared().judge(true);
    let summary = Summary::of(agent.shared(), ended, begun.elapsed());
    let never_ran = is_cargo && ended == Ended::Code(101) && summary.is_empty();
    if arguments.once && !never_ran {
        match arguments.summary {
            SummaryFormat::Json => println!("{}", summary.json()),
            SummaryFormat::Text => summary.lines().iter().for_each(|line| say(line)),
            SummaryFormat::None => {}
        }
    }
    match ended.status() {
        0 if arguments.is_strict() && summary.is_faulty() => STRICT,
        status => status,
    }
}

/// Waits for the program: how it ended, and whether somebody asked us to end.
async fn wait(
    child: &mut Child,
    signals: &mut Signals,
    timeout: Option<Duration>,
) -> (Ended, bool) {
    let deadline = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
    let mut interrupted = false;
    let mut patience: Option<tokio::time::Instant> = None;
    loop {
        tokio::select! {
            ended = child.ended() => return (ended, interrupted),
            signal = signals.next() => {
                if interrupted {
                    return (Ended::Signal(signal.number()), true);
                }
                interrupted = true;
                patience = Some(tokio::time::Instant::now() + PATIENCE);
                // An interrupt from the terminal has reached the program already; the others come to us alone.
                if signal != Signal::Interrupt {
                    child.pass(signal);
                }
            }
            () = until(patience) => {
                say("the program did not end within 5 s of the signal and is left alone");
                return (Ended::Signal(Signal::Interrupt.number()), true);
            }
            () = until(deadline) => {
                say(&format!("the program is ended after {:?} (--timeout)", timeout.unwrap_or_default()));
                child.pass(Signal::Terminate);
                if tokio::time::timeout(PATIENCE, child.ended()).await.is_err() {
                    child.kill().await;
                }
                return (Ended::TimedOut, interrupted);
            }
        }
    }
}

/// Never, without a time.
async fn until(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Waits until what the program sent last is in: quiet for a moment, and its connections closed.
async fn last_words(agent: &Agent, signals: &mut Signals) {
    let deadline = tokio::time::Instant::now() + LAST_WORDS;
    let mut changes = agent.shared().store().changes();
    loop {
        changes.mark_unchanged();
        tokio::select! {
            quiet = tokio::time::timeout(QUIET, changes.changed()) => {
                let is_quiet = quiet.is_err() && agent.connections() == 0;
                if is_quiet || tokio::time::Instant::now() >= deadline {
                    return;
                }
            }
            () = until(Some(deadline)) => return,
            _ = signals.next() => return,
        }
    }
}

/// Runs the program against an agent that is there already.
async fn attach(arguments: &RunArgs, command: &[OsString]) -> u8 {
    let port = arguments.port.unwrap_or(port::DEFAULT);
    match port::holder(port).await {
        Some(port::Holder::Ours { .. }) => {}
        Some(other) => {
            say(&format!(
                "--attach: port {port} is held by {other}, which is no cargo ddtrace"
            ));
            return USAGE;
        }
        None => {
            say(&format!("--attach: nothing listens on port {port}"));
            return USAGE;
        }
    }
    say(&format!("viewer http://localhost:{port}/"));
    let mut signals = Signals::new();
    let mut child = match Child::start(command, &format!("http://127.0.0.1:{port}"), port) {
        Ok(child) => child,
        Err(error) => {
            say(&format!(
                "cannot start {}: {error}",
                command[0].to_string_lossy()
            ));
            return 127;
        }
    };
    wait(&mut child, &mut signals, arguments.timeout)
        .await
        .0
        .status()
}
