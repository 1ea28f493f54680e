//! rustdoc as cargo starts it for doctests, with its results read on the way.
//!
//! Doctests have no test binary that lists them; their names and outcomes are known to rustdoc alone, which prints them in
//! libtest's grammar. Cargo is pointed here by `RUSTDOC`; here the real rustdoc runs with the same arguments and its
//! standard output passes through byte for byte. Nothing is decided about doctests: they are neither skipped nor retried.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime};

use super::link::{Doctest, Hello, Invitation, Link, ToCoordinator, VARIABLE};
use super::runner::event::{Outcome, Ran};
use super::runner::output::Forwarder;
use super::runner::{failure, process};

/// Whether this program was started under rustdoc's name.
pub(crate) fn is_called(program: Option<&OsString>) -> bool {
    program.is_some_and(|program| {
        Path::new(program)
            .file_stem()
            .is_some_and(|stem| stem == "rustdoc")
    }) && std::env::var_os(VARIABLE).is_some()
}

/// Runs rustdoc.
pub(crate) fn main(words: Vec<OsString>) -> ExitCode {
    let invitation = std::env::var(VARIABLE)
        .ok()
        .and_then(|text| serde_json::from_str::<Invitation>(&text).ok());
    let real = invitation
        .as_ref()
        .and_then(|invitation| {
            let before = invitation
                .restore
                .iter()
                .find(|(name, _)| name == "RUSTDOC");
            before.and_then(|(_, value)| value.clone())
        })
        .unwrap_or_else(|| "rustdoc".to_owned());
    let mut command = Command::new(&real);
    command.args(&words);
    match std::env::var_os("RUSTDOC").filter(|_| real == "rustdoc") {
        // What rustdoc starts in turn must not come back here.
        Some(_) => command.env_remove("RUSTDOC"),
        None => command.env("RUSTDOC", &real),
    };
    let link = invitation.and_then(|invitation| {
        let root = root(&words)?;
        let hello = Hello {
            binary: std::env::current_dir().ok()?.join(root),
            package: std::env::var_os("CARGO_MANIFEST_DIR").map(Into::into),
            is_doctest: true,
            pid: std::process::id(),
            nextest_attempt: None,
            surroundings: None,
        };
        Some(Link::connect(&invitation.socket, hello)?.0)
    });
    let ended = match link {
        Some(link) => watched(command, link, &words),
        None => Err(command.exec()),
    };
    match ended {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("ddtrace: cannot start {real}: {error}");
            ExitCode::from(127)
        }
    }
}

/// The library's root file, if rustdoc is to run doctests.
fn root(words: &[OsString]) -> Option<&OsString> {
    let at = words.iter().position(|word| word == "--test")?;
    let is_root = |word: &&OsString| Path::new(word).extension().is_some_and(|end| end == "rs");
    words[at + 1..].iter().find(is_root)
}

fn watched(mut command: Command, mut link: Link, words: &[OsString]) -> std::io::Result<u8> {
    let chosen = words
        .iter()
        .any(|word| word.to_string_lossy().contains("--color="));
    if std::io::stdout().is_terminal() && !chosen {
        command.arg("--test-args=--color=always");
    }
    process::pass_signals();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let registered = process::Registered::new(child.id(), false);
    let mut results = Results::default();
    if let Some(mut output) = child.stdout.take() {
        let mut out = std::io::stdout();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match output.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    results.feed(&buffer[..read]);
                    // A terminal that is gone must not end the tests.
                    let _ = out.write_all(&buffer[..read]).and_then(|()| out.flush());
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }
    let status = child.wait()?;
    drop(registered);
    for doctest in results.all() {
        link.send(&ToCoordinator::Doctest(doctest));
    }
    link.end(process::interrupted() != 0);
    Ok(process::as_status(status))
}

/// Doctests as rustdoc prints them.
struct Results {
    forwarder: Forwarder,
    line: Vec<u8>,
    before: SystemTime,
    ran: Vec<Ran>,
}

impl Default for Results {
    fn default() -> Self {
        Results {
            forwarder: Forwarder::new([]),
            line: Vec::new(),
            before: SystemTime::now(),
            ran: Vec::new(),
        }
    }
}

impl Results {
    /// The longest line that can be a result.
    const LINE: usize = 8 << 10;

    fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = Self::LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..room.min(piece.len())]);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.read(&String::from_utf8_lossy(&line));
            }
            // What passes on is written by the caller; here only the blocks are wanted.
            let mut passed = Vec::new();
            self.forwarder.feed(piece, &mut passed);
        }
    }

    fn read(&mut self, line: &str) {
        let line = without_colours(line);
        let Some((name, outcome)) = line
            .trim_end()
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        else {
            return;
        };
        let (outcome, reason) = match outcome.split_once(", ") {
            Some((outcome, reason)) => (outcome, reason),
            None => (outcome, ""),
        };
        let outcome = match outcome {
            "ok" => Outcome::Passed,
            "FAILED" => Outcome::Failed,
            "ignored" => Outcome::Ignored,
            _ => return,
        };
        if !name.contains(" (line ") && !name.contains("(line ") {
            return;
        }
        let end = SystemTime::now();
        let took = end.duration_since(self.before).unwrap_or(Duration::ZERO);
        let mut ran = Ran::new(name, outcome, self.before, took);
        ran.ignore_message = reason.to_owned();
        self.before = end;
        // Options stand behind the name in a result, but not in the header of what it printed.
        let plain = name
            .find(" (line ")
            .and_then(|at| Some(at + name[at..].find(')')? + 1));
        self.forwarder.know(&name[..plain.unwrap_or(name.len())]);
        self.forwarder.know(name);
        self.ran.push(ran);
    }

    fn all(self) -> Vec<Doctest> {
        let block = |name: &str| {
            let plain = name
                .find(" (line ")
                .and_then(|at| Some(at + name[at..].find(')')? + 1));
            let block = self.forwarder.block(&name[..plain.unwrap_or(name.len())]);
            if block.is_empty() {
                self.forwarder.block(name)
            } else {
                block
            }
        };
        let mut all = Vec::with_capacity(self.ran.len());
        for mut ran in self.ran {
            if ran.outcome == Outcome::Failed {
                ran.output = block(&ran.name);
                ran.cause = Some(failure::cause("main", &ran.output, ""));
            }
            all.push(Doctest {
                name: ran.name.clone(),
                ran,
            });
        }
        all
    }
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 1..];
        let end = sequence.find(|c: char| c.is_ascii_alphabetic());
        rest = end.map_or("", |end| &sequence[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_what_rustdoc_prints() {
        // Printed by rustdoc 1.95 for a crate with these doctests.
        let text = "\nrunning 4 tests\ntest src/lib.rs - f (line 2) ... \x1b[32mok\x1b[m\ntest src/lib.rs - g (line 7) - should panic ... FAILED\ntest src/lib.rs - (line 1) ... ignored\ntest src/lib.rs - h (line 9) ... FAILED\n\nfailures:\n\n---- src/lib.rs - h (line 9) stdout ----\nTest executable failed (exit status: 101).\n\nstderr:\n\nthread 'main' (7) panicked at src/lib.rs:4:1:\nno\n\n\n\nfailures:\n    src/lib.rs - h (line 9)\n\ntest result: FAILED. 1 passed; 2 failed; 1 ignored\n\n";
        let mut results = Results::default();
        for chunk in text.as_bytes().chunks(7) {
            results.feed(chunk);
        }
        let all = results.all();
        let shown: Vec<_> = all
            .iter()
            .map(|doctest| (doctest.name.as_str(), doctest.ran.outcome))
            .collect();
        assert_eq!(
            shown,
            [
                ("src/lib.rs - f (line 2)", Outcome::Passed),
                ("src/lib.rs - g (line 7) - should panic", Outcome::Failed),
                ("src/lib.rs - (line 1)", Outcome::Ignored),
                ("src/lib.rs - h (line 9)", Outcome::Failed),
            ]
        );
        let cause = all[3].ran.cause.as_ref().unwrap();
        assert_eq!(
            (cause.kind.as_str(), cause.message.as_str()),
            ("panic", "no")
        );
    }

    #[test]
    fn only_a_test_run_has_a_root() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(OsString::from)
                .collect::<Vec<_>>()
        };
        let with = words("--crate-name a --test src/lib.rs --test-run-directory x");
        assert_eq!(root(&with).unwrap(), "src/lib.rs");
        assert_eq!(root(&words("--crate-name a src/lib.rs")), None);
    }
}
