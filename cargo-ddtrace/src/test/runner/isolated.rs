//! One test in a process of its own.
//!
//! Standard output and error share one pipe, so what the test wrote keeps its order. The process leads a group of its own: it
//! can be ended with everything that it started, and can't end us by ending its group.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use super::arguments::Arguments;
use super::event::{Cause, Listed, Outcome, Ran};
use super::output::Bounded;
use super::process::{Binary, Registered, signal_of};
use super::{failure, os};

/// How long output may be silent after the process has ended, until it is left to whoever keeps it open.
const LEAK: Duration = Duration::from_millis(250);
/// How long a test that took too long has to end by itself.
const GRACE: Duration = Duration::from_secs(2);

enum Message {
    Output(Vec<u8>),
    Closed,
    Exit(std::io::Result<ExitStatus>),
}

/// The variable that names the file for what an instrumented process counted.
pub(crate) const PROFILE: &str = "LLVM_PROFILE_FILE";

/// Makes a folder for one run of a test, which nobody else has.
pub(crate) fn folder(runs: &Path) -> Option<PathBuf> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = runs.join(format!("{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

/// Leads what a test leaves into its folder: a file for every process of the run and every binary that it has, and what it traces.
pub(crate) fn lead(command: &mut Command, folder: Option<&Path>, ids: Option<(u64, u64)>) {
    let Some(folder) = folder else { return };
    if counts(std::env::var_os(PROFILE).as_deref(), folder) {
        command.env(PROFILE, folder.join("%p-%m.profraw"));
    }
    if let Some((trace, span)) = ids {
        command.env("_DD_TEST_RUN", folder);
        command.env("_DD_TEST_SPAN", format!("{trace}:{span}"));
    }
}

/// Whether binaries of this session count. Then the coordinator has led what they leave into the session's folder; anything else is
/// somebody else's measurement, which keeps its files.
fn counts(profile: Option<&OsStr>, folder: &Path) -> bool {
    let session = folder.parent().and_then(Path::parent);
    profile
        .zip(session)
        .is_some_and(|(profile, session)| Path::new(profile).starts_with(session.join(OTHERS)))
}

/// The folder of a session for profiles that belong to no run of a test.
pub(crate) const OTHERS: &str = "others";

/// A test that is about to have a process of its own.
#[derive(Debug)]
pub(crate) struct Alone<'a> {
    pub(crate) binary: &'a Binary,
    pub(crate) arguments: &'a Arguments,
    pub(crate) test: &'a Listed,
    pub(crate) timeout: Option<Duration>,
    /// Where its processes leave what the coordinator reads.
    pub(crate) folder: Option<&'a Path>,
    /// Its trace and its span.
    pub(crate) ids: Option<(u64, u64)>,
}

impl Alone<'_> {
    /// Runs it; `uncaptured` gets what it writes at once.
    pub(crate) fn run(&self, uncaptured: &mut dyn FnMut(&[u8])) -> Ran {
        let started = SystemTime::now();
        let begun = Instant::now();
        let mut ran = Ran::new(&self.test.name, Outcome::Failed, started, Duration::ZERO);
        ran.isolated = true;
        match try_run(self, uncaptured) {
            Ok(ended) => ended.describe(&mut ran, self.test),
            Err(error) => {
                ran.took = begun.elapsed();
                ran.cause = Some(Cause {
                    kind: "failure".to_owned(),
                    message: format!("the test's process could not be run: {error}"),
                    stack: String::new(),
                });
            }
        }
        ran
    }
}

struct Ended {
    status: ExitStatus,
    took: Duration,
    output: Vec<u8>,
    leaked: bool,
    timed_out: Option<Duration>,
}

fn try_run(alone: &Alone<'_>, uncaptured: &mut dyn FnMut(&[u8])) -> std::io::Result<Ended> {
    let Alone {
        binary,
        arguments,
        test,
        timeout,
        folder,
        ids,
    } = *alone;
    let (mut reader, writer) = std::io::pipe()?;
    let mut command = binary.command();
    lead(&mut command, folder, ids);
    command
        .args(arguments.alone(&test.name, arguments.runs_ignored()))
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let begun = Instant::now();
    let mut child = command.spawn()?;
    // The command holds our copies of the pipe's end.
    drop(command);
    let pid = child.id();
    let _registered = Registered::new(pid, true);
    let (sender, receiver) = mpsc::sync_channel(16);
    {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 32 << 10];
            loop {
                match reader.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => {
                        if sender
                            .send(Message::Output(buffer[..read].to_vec()))
                            .is_err()
                        {
                            return;
                        }
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            let _ = sender.send(Message::Closed);
        });
    }
    std::thread::spawn(move || {
        let _ = sender.send(Message::Exit(child.wait()));
    });

    let mut output = Bounded::default();
    let mut status = None;
    let mut took = Duration::ZERO;
    let mut timed_out = None;
    let mut deadline = timeout.map(|timeout| begun + timeout);
    let mut closed = false;
    while status.is_none() || !closed {
        let message = if status.is_some() {
            receiver.recv_timeout(LEAK)
        } else if let Some(deadline) = deadline {
            receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        } else {
            receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match message {
            Ok(Message::Output(bytes)) => {
                output.push(&bytes);
                uncaptured(&bytes);
            }
            Ok(Message::Closed) => closed = true,
            Ok(Message::Exit(ended)) => {
                status = Some(ended?);
                took = begun.elapsed();
            }
            Err(RecvTimeoutError::Timeout) if status.is_some() => break,
            Err(RecvTimeoutError::Timeout) if timed_out.is_none() => {
                timed_out = timeout;
                os::signal_group(pid, libc::SIGTERM);
                deadline = Some(Instant::now() + GRACE);
            }
            Err(RecvTimeoutError::Timeout) => {
                os::signal_group(pid, libc::SIGKILL);
                deadline = None;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(Ended {
        status: status.ok_or_else(|| std::io::Error::other("the process was lost"))?,
        took,
        output: output.bytes(),
        leaked: !closed,
        timed_out,
    })
}

impl Ended {
    fn describe(self, ran: &mut Ran, test: &Listed) {
        let parts = Parts::of(&test.name, &self.output);
        ran.took = self.took;
        ran.leaked = self.leaked;
        ran.should_panic = parts.should_panic;
        ran.output = parts.written.to_vec();
        ran.output.extend_from_slice(parts.note);
        let signal = signal_of(self.status);
        ran.signal = signal.map(os::signal_name);
        if let Some(limit) = self.timed_out {
            ran.cause = Some(Cause {
                kind: "timeout".to_owned(),
                message: format!("the test took longer than {limit:?} and was ended"),
                stack: failure::last_output(&ran.output),
            });
            return;
        }
        if self.status.success() {
            ran.outcome = if parts.ignored {
                Outcome::Ignored
            } else {
                Outcome::Passed
            };
            if parts.ignored {
                ran.ignore_message = test.ignore_message.clone();
            }
            return;
        }
        let cause = failure::cause(&test.name, &ran.output, "");
        ran.cause = Some(match signal {
            Some(signal) => Cause {
                kind: os::signal_name(signal),
                message: if cause.kind == "failure" {
                    format!("the test was ended by {}", os::signal_name(signal))
                } else {
                    cause.message
                },
                stack: if cause.stack.is_empty() {
                    failure::last_output(&ran.output)
                } else {
                    cause.stack
                },
            },
            None if cause.kind == "failure" && !parts.has_result => Cause {
                message: format!(
                    "the test ended its process with status {}",
                    self.status.code().unwrap_or_default()
                ),
                ..cause
            },
            None => cause,
        });
    }
}

/// libtest's own words, and the test's between them.
struct Parts<'o> {
    written: &'o [u8],
    /// What libtest says about the failure.
    note: &'o [u8],
    has_result: bool,
    ignored: bool,
    should_panic: bool,
}

impl Parts<'_> {
    fn of<'o>(name: &str, output: &'o [u8]) -> Parts<'o> {
        let banner = b"\nrunning 1 test\n";
        let rest = match find(output, banner) {
            // Before it stands what constructors wrote; that is seldom, and part of the program's output.
            Some(0) => &output[banner.len()..],
            _ => output,
        };
        let plain = format!("test {name} ... ");
        let panics = format!("test {name} - should panic ... ");
        let at_plain = rfind(rest, plain.as_bytes()).map(|at| (at, plain.len(), false));
        let at_panics = rfind(rest, panics.as_bytes()).map(|at| (at, panics.len(), true));
        let Some((at, length, should_panic)) = at_plain.max(at_panics) else {
            return Parts {
                written: rest,
                note: b"",
                has_result: false,
                ignored: false,
                should_panic: false,
            };
        };
        let result = &rest[at + length..];
        let headers = [
            format!("---- {name} stdout ----\n"),
            format!("---- {name} ----\n"),
        ];
        let note = headers
            .iter()
            .find_map(|header| Some(find(result, header.as_bytes())? + header.len()))
            .map_or(&b""[..], |begin| {
                let note = &result[begin..];
                let end = find(note, b"\n\nfailures:\n").map_or(note.len(), |at| at + 1);
                &note[..end]
            });
        Parts {
            written: &rest[..at],
            note,
            has_result: true,
            ignored: result.starts_with(b"ignored"),
            should_panic,
        }
    }
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

fn rfind(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).rposition(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_somebody_elses_measurement_stay_where_they_go() {
        let folder = Path::new("/tmp/session/runs/1-0");
        for (profile, expected) in [
            (None, false),
            (Some("/w/target/%p.profraw"), false),
            (Some("/tmp/session/others/%p-%m.profraw"), true),
            (Some("/tmp/session-2/others/%p-%m.profraw"), false),
        ] {
            assert_eq!(
                counts(profile.map(OsStr::new), folder),
                expected,
                "{profile:?}"
            );
        }
    }

    #[test]
    fn libtests_own_words_are_taken_off() {
        let missed = b"\nrunning 1 test\nhello\ntest t::a - should panic ... FAILED\n\nfailures:\n\n---- t::a stdout ----\nnote: test did not panic as expected at src/lib.rs:11:32\n\nfailures:\n    t::a\n\ntest result: FAILED.\n\n";
        let parts = Parts::of("t::a", missed);
        assert_eq!(parts.written, b"hello\n");
        assert_eq!(
            parts.note,
            b"note: test did not panic as expected at src/lib.rs:11:32\n"
        );
        assert!(parts.should_panic && parts.has_result && !parts.ignored);

        let died = Parts::of("t::a", b"\nrunning 1 test\nabout to\n");
        assert_eq!((died.written, died.has_result), (&b"about to\n"[..], false));

        let ignored = Parts::of(
            "t::a",
            b"\nrunning 1 test\ntest t::a ... ignored, why\n\ntest result: ok.\n\n",
        );
        assert!(ignored.ignored && ignored.written.is_empty());
    }
}
