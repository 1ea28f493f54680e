//! Many tests in one process, as plain `cargo test` runs them.
//!
//! Results come from libtest's log, which it writes into a named pipe: one entry per finished test, whatever tests print.
//! The pipe is opened by libtest itself with close-on-exec, so no grandchild keeps it. When the process has ended, a line
//! of our own is written behind everything that it wrote; that line, not the end of the pipe, ends the reading,
//! so a process that was forked and lives on can't hold us up.
//!
//! Three threads read (log, standard output, standard error) and one waits; all send to one bounded channel, so a
//! test that writes without end is slowed down by the terminal, not stored.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use super::event::{Event, Listed, Outcome, Ran, Reporter};
use super::log::{LogReader, Logged};
use super::output::Forwarder;
use super::process::{Binary, Registered};
use super::{failure, os};

/// How long output may be silent after the process has ended, until it is left to whoever keeps it open.
const LEAK: Duration = Duration::from_millis(250);
/// What ends the log. No test can have this name: libtest's names hold no NUL.
const END: &str = "\0end";
/// libtest's words on the option by which it writes the log; no line end follows them.
const WARNING: &[u8] = b"warning: `--logfile` is deprecated";

/// What a shared process came to.
#[derive(Debug)]
pub(crate) struct Shared {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Runs in the order in which they ended; failed ones last.
    pub(crate) runs: Vec<Ran>,
    /// libtest's last line.
    pub(crate) last_line: Vec<u8>,
    /// When it began.
    pub(crate) started: SystemTime,
}

enum Message {
    Log(String),
    LogEnd,
    Output(Vec<u8>),
    ErrorOutput(Vec<u8>),
    /// One of the two outputs is closed.
    Closed,
    Exit(std::io::Result<ExitStatus>),
}

/// A folder that only this user can enter, removed on drop.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Folder> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| std::io::Error::other("no random bytes"))?;
        let name = format!("ddtrace-log-{:016x}", u64::from_ne_bytes(random));
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the binary; `on_run` gets each run of a test as soon as it is known whole.
pub(crate) fn run(
    binary: &Binary,
    words: &[std::ffi::OsString],
    tests: &[&Listed],
    concurrency: usize,
    reporter: &mut dyn Reporter,
    on_run: &mut dyn FnMut(&Ran),
) -> std::io::Result<Shared> {
    let folder = Folder::new()?;
    let pipe = folder.0.join("log");
    os::named_pipe(&pipe)?;
    // Opened for both, so that opening does not wait for libtest and reading does not end with it.
    let log = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)?;
    let mut end = log.try_clone()?;

    let mut command = binary.command();
    command
        .args(words_with_log(words, &pipe))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // From a terminal Ctrl-C and input have to reach the tests as they do without us; elsewhere a test that ends its
    // process group must not end us, and cargo, with it.
    let leads_group = !std::io::IsTerminal::is_terminal(&std::io::stdin());
    if leads_group {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    let started = SystemTime::now();
    let begun = Instant::now();
    let mut child = command.spawn()?;
    drop(command);
    let _registered = Registered::new(child.id(), leads_group);

    let (sender, receiver) = mpsc::sync_channel(64);
    if let Some(stdout) = child.stdout.take() {
        let sender = sender.clone();
        std::thread::spawn(move || pump(stdout, &sender, Message::Output));
    }
    if let Some(stderr) = child.stderr.take() {
        let sender = sender.clone();
        std::thread::spawn(move || pump(stderr, &sender, Message::ErrorOutput));
    }
    {
        let sender = sender.clone();
        std::thread::spawn(move || {
            read_log(BufReader::new(log), &sender);
            let _ = sender.send(Message::LogEnd);
        });
    }
    std::thread::spawn(move || {
        let status = child.wait();
        let _ = end.write_all(format!("\n{END}\n").as_bytes());
        let _ = sender.send(Message::Exit(status));
    });

    let mut state = State {
        clock: Clock::new(started, begun, concurrency, tests),
        log: LogReader::new(tests.iter().map(|test| test.name.as_str())),
        forwarder: Forwarder::new(tests.iter().map(|test| test.name.as_str())),
        warning: Some(Vec::new()),
        failed: Vec::new(),
        runs: Vec::new(),
    };
    let mut status = None;
    let mut open_outputs = 2;
    let mut log_is_open = true;
    while status.is_none() || open_outputs > 0 || log_is_open {
        // Once it has ended and the log is whole, only others can still hold the outputs open.
        let message = if status.is_some() && !log_is_open {
            match receiver.recv_timeout(LEAK) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        } else {
            match receiver.recv() {
                Ok(message) => message,
                Err(_) => break,
            }
        };
        match message {
            Message::Exit(ended) => status = Some(ended?),
            Message::Closed => open_outputs -= 1,
            Message::LogEnd => log_is_open = false,
            Message::Log(line) => state.logged(&line, on_run),
            Message::Output(bytes) => {
                let mut out = Vec::with_capacity(bytes.len());
                state.forwarder.feed(&bytes, &mut out);
                if !out.is_empty() {
                    reporter.event(&Event::Output(&out));
                }
            }
            Message::ErrorOutput(bytes) => {
                let bytes = state.without_warning(bytes);
                if !bytes.is_empty() {
                    reporter.event(&Event::ErrorOutput(&bytes));
                }
            }
        }
    }
    if let Some(held) = state.warning.take().filter(|held| held != WARNING) {
        reporter.event(&Event::ErrorOutput(&held));
    }
    let status = status.ok_or_else(|| std::io::Error::other("the process was lost"))?;
    let last_line = state.forwarder.last_line();
    let mut runs = state.runs;
    for (mut ran, reason) in state.failed {
        let output = state.forwarder.block(&ran.name);
        ran.cause = Some(failure::cause(&ran.name, &output, &reason));
        ran.output = output;
        on_run(&ran);
        runs.push(ran);
    }
    Ok(Shared {
        status,
        runs,
        last_line,
        started,
    })
}

fn words_with_log(words: &[std::ffi::OsString], pipe: &std::path::Path) -> Vec<std::ffi::OsString> {
    let mut option = std::ffi::OsString::from("--logfile=");
    option.push(pipe);
    // Options stand before the filters.
    std::iter::once(option)
        .chain(words.iter().cloned())
        .collect()
}

fn pump(mut from: impl Read, to: &mpsc::SyncSender<Message>, message: fn(Vec<u8>) -> Message) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if to.send(message(buffer[..read].to_vec())).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = to.send(Message::Closed);
}

/// Passes lines of the log on until our own last one.
fn read_log(mut log: impl std::io::BufRead, to: &mpsc::SyncSender<Message>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line of the log is a name and a reason; a hostile one is read in parts.
        match (&mut log).take(1 << 20).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\n');
        if text == END {
            return;
        }
        if to.send(Message::Log(text.to_owned())).is_err() {
            return;
        }
    }
}

struct State {
    clock: Clock,
    log: LogReader,
    forwarder: Forwarder,
    /// What may become libtest's warning; `None` once that is decided.
    warning: Option<Vec<u8>>,
    failed: Vec<(Ran, String)>,
    runs: Vec<Ran>,
}

impl State {
    fn logged(&mut self, line: &str, on_run: &mut dyn FnMut(&Ran)) {
        let Some(entry) = self.log.line(line) else {
            return;
        };
        let (started, took) = self.clock.ended(&entry.name);
        let outcome = match entry.logged {
            Logged::Passed => Outcome::Passed,
            Logged::Failed => Outcome::Failed,
            Logged::Ignored => Outcome::Ignored,
        };
        let mut ran = Ran::new(&entry.name, outcome, started, took);
        if outcome == Outcome::Failed {
            // Why it failed is printed at the end.
            self.failed.push((ran, entry.reason));
            return;
        }
        if outcome == Outcome::Ignored {
            ran.ignore_message = entry.reason;
            ran.took = Duration::ZERO;
        }
        on_run(&ran);
        self.runs.push(ran);
    }

    fn without_warning(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let Some(held) = &mut self.warning else {
            return bytes;
        };
        held.extend_from_slice(&bytes);
        if WARNING.starts_with(held) && held.len() < WARNING.len() {
            return Vec::new();
        }
        let held = self.warning.take().unwrap_or_default();
        match held.strip_prefix(WARNING) {
            Some(rest) => rest.to_vec(),
            None => held,
        }
    }
}

/// When tests began: libtest starts them in the order of the list, the next one when one ends.
struct Clock {
    started: SystemTime,
    begun: Instant,
    concurrency: usize,
    places: HashMap<String, usize>,
    ends: Vec<Duration>,
}

impl Clock {
    fn new(started: SystemTime, begun: Instant, concurrency: usize, tests: &[&Listed]) -> Clock {
        let places = tests
            .iter()
            .enumerate()
            .map(|(at, test)| (test.name.clone(), at))
            .collect();
        Clock {
            started,
            begun,
            concurrency: concurrency.max(1),
            places,
            ends: Vec::new(),
        }
    }

    fn ended(&mut self, name: &str) -> (SystemTime, Duration) {
        let end = self.begun.elapsed();
        let place = self.places.get(name).copied().unwrap_or(self.ends.len());
        let start = match place.checked_sub(self.concurrency) {
            None => Duration::ZERO,
            // In another order (`--shuffle`) the end that made room may lie ahead.
            Some(before) => self
                .ends
                .get(before)
                .or(self.ends.last())
                .copied()
                .unwrap_or_default(),
        };
        self.ends.push(end);
        (self.started + start, end.saturating_sub(start))
    }
}
