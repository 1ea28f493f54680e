//! Children that end with the test.

use crate::wait;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

/// A running program. It is killed when this is dropped.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    /// Everything that it wrote to standard error, once it has ended.
    errors: Option<thread::JoinHandle<String>>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// The lines of its standard output that nobody took before.
    pub lines: Vec<String>,
    /// Its standard error.
    pub errors: String,
}

impl Ended {
    /// The last line, as JSON. The test programs end with one.
    #[track_caller]
    pub fn report(&self) -> serde_json::Value {
        assert!(self.status.success(), "{self:#?}");
        let last = self
            .lines
            .last()
            .unwrap_or_else(|| panic!("no output: {self:#?}"));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Process {
    /// Starts it with its output piped to the test.
    #[track_caller]
    pub fn start(command: &mut Command) -> Process {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut errors = child.stderr.take().expect("it is piped");
        let errors = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = errors.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Process {
            child,
            lines,
            errors: Some(errors),
        }
    }

    /// The next line of its output that begins with `prefix`, without the prefix; lines before it are passed over.
    #[track_caller]
    pub fn line(&mut self, prefix: &str) -> String {
        wait::until(
            &format!("a line that begins with {prefix:?}"),
            || match self.lines.try_recv() {
                Ok(line) => Some(line.strip_prefix(prefix)?.trim().to_owned()),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => {
                    panic!("it ended without a line that begins with {prefix:?}")
                }
            },
        )
    }

    /// Writes a line to its input.
    pub fn say(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        writeln!(input, "{line}").expect("it listens");
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Closes its input and waits until it has ended.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        drop(self.child.stdin.take());
        let status = wait::until("the program ends", || {
            self.child.try_wait().expect("it is our child")
        });
        let errors = self
            .errors
            .take()
            .map(|thread| thread.join().expect("it only reads"))
            .unwrap_or_default();
        Ended {
            status,
            lines: self.lines.iter().collect(),
            errors,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Ended {
    Process::start(command).end()
}
