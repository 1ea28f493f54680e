//! Runs the `git` command, each time within a limit.
//!
//! Git may ask for a password, wait for a network or a lock, or print without end. So it gets no
//! terminal, its output is bounded, and when its time is over it is killed with all that it
//! started. `safe.directory` is said on the command line, since checkouts in containers often
//! belong to somebody else; texts are in English, since errors are told apart by them.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::telemetry::{Metrics, Tag};

/// The most output that is kept of one command.
const MAX_OUTPUT: u64 = 64 * 1024 * 1024;

/// How long a command may take that only reads the repository.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Why a command has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no `git`.
    #[error("git is not installed")]
    Missing,
    /// It said no.
    #[error("git {command} ended with status {code}: {message}")]
    Failed {
        /// The subcommand.
        command: String,
        /// Its exit status; -1 after a signal.
        code: i32,
        /// What it said, without credentials, cut.
        message: String,
    },
    /// It took too long.
    #[error("git {command} took longer than {limit:?}")]
    Timeout {
        /// The subcommand.
        command: String,
        /// The limit.
        limit: Duration,
    },
    /// It printed more than can be kept.
    #[error("git {command} printed more than {MAX_OUTPUT} bytes")]
    TooMuch {
        /// The subcommand.
        command: String,
    },
    /// The system said no.
    #[error("git could not be run: {0}")]
    System(#[from] std::io::Error),
}

impl GitError {
    /// The value of the telemetry tag `exit_code`.
    fn exit_code(&self) -> String {
        match self {
            GitError::Missing => "missing".into(),
            GitError::Failed { code, .. } => code.to_string(),
            _ => "unknown".into(),
        }
    }
}

/// The `git` command in one folder.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
    folder: PathBuf,
    /// What is said to be safe.
    root: PathBuf,
    until: Option<Instant>,
    metrics: Arc<Metrics>,
}

impl Git {
    /// `git` in this folder. Fails if there is no such command.
    pub fn new(folder: &Path, metrics: Arc<Metrics>) -> Result<Git, GitError> {
        Git::of_program(Path::new("git"), folder, metrics)
    }

    /// Another program in its place.
    pub fn of_program(
        program: &Path,
        folder: &Path,
        metrics: Arc<Metrics>,
    ) -> Result<Git, GitError> {
        let mut git = Git {
            program: program.to_owned(),
            folder: folder.to_owned(),
            root: folder.to_owned(),
            until: None,
            metrics,
        };
        // Without a repository the folder itself is as good as any.
        match git.run(
            "check_git",
            &["rev-parse", "--show-toplevel"],
            b"",
            READ_LIMIT,
        ) {
            Ok(root) if !root.is_empty() => git.root = PathBuf::from(text(root)),
            Err(GitError::Missing) => return Err(GitError::Missing),
            Ok(_) | Err(_) => git.root = owned_root(folder).unwrap_or(git.root),
        }
        Ok(git)
    }

    /// The same, but no command goes on beyond this time.
    pub fn until(&self, until: Instant) -> Git {
        Git {
            until: Some(until),
            ..self.clone()
        }
    }

    /// The folder in which commands run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The root of the work tree, or the folder if there is none.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What a command prints, without blanks at its ends. `label` is its name in telemetry.
    pub(crate) fn read(&self, label: &'static str, arguments: &[&str]) -> Result<String, GitError> {
        self.run(label, arguments, b"", READ_LIMIT).map(text)
    }

    /// The same with something to read, and another limit.
    pub(crate) fn ask(
        &self,
        label: &'static str,
        arguments: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<String, GitError> {
        self.run(label, arguments, input, limit).map(text)
    }

    fn run(
        &self,
        label: &'static str,
        arguments: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, GitError> {
        let begin = Instant::now();
        let left = self
            .until
            .map(|until| until.saturating_duration_since(begin));
        let limit = limit.min(left.unwrap_or(limit));
        let result = self.execute(arguments, input, limit);
        if !label.is_empty() {
            let command = [Tag("command", label.into())];
            self.metrics.count("git.command", &command, 1);
            let took = begin.elapsed().as_secs_f64() * 1000.0;
            self.metrics.distribution("git.command_ms", &command, took);
            if let (Err(error), [command]) = (&result, command) {
                let code = Tag("exit_code", error.exit_code().into());
                self.metrics
                    .count("git.command_errors", &[command, code], 1);
            }
        }
        result
    }

    fn execute(
        &self,
        arguments: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, GitError> {
        let name = || arguments.first().copied().unwrap_or_default().to_owned();
        if limit.is_zero() {
            return Err(GitError::Timeout {
                command: name(),
                limit,
            });
        }
        let mut command = Command::new(&self.program);
        let mut safe = OsStr::new("safe.directory=").to_owned();
        safe.push(&self.root);
        command
            .arg("-c")
            .arg(safe)
            .args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
            .args(arguments)
            .current_dir(&self.folder)
            .env("LC_ALL", "C")
            .env("LANG", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_PAGER", "cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(|error| match error.kind() {
            // A folder that is gone gives the same error.
            std::io::ErrorKind::NotFound if self.folder.is_dir() => GitError::Missing,
            _ => GitError::System(error),
        })?;
        let (output, errors, status) = finish(child, input.to_vec(), limit).map_err(|stuck| {
            let command = name();
            match stuck {
                Stuck::Timeout => GitError::Timeout { command, limit },
                Stuck::System(error) => GitError::System(error),
            }
        })?;
        if output.len() as u64 > MAX_OUTPUT {
            return Err(GitError::TooMuch { command: name() });
        }
        match status {
            Some(0) => Ok(output),
            code => Err(GitError::Failed {
                command: name(),
                code: code.unwrap_or(-1),
                message: said(&errors),
            }),
        }
    }
}

/// What a command printed, what it complained about, and its status.
type Finished = (Vec<u8>, Vec<u8>, Option<i32>);

enum Stuck {
    Timeout,
    System(std::io::Error),
}

/// Waits for a command, and kills it with its group when its time is over.
fn finish(mut child: Child, input: Vec<u8>, limit: Duration) -> Result<Finished, Stuck> {
    let deadline = Instant::now() + limit;
    if let Some(mut pipe) = child.stdin.take() {
        thread::spawn(move || {
            // A command that does not want its input is free not to read it.
            let _ = pipe.write_all(&input);
        });
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let outputs: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    for (index, pipe) in outputs.into_iter().enumerate() {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(pipe) = pipe {
                let _ = pipe.take(MAX_OUTPUT + 1).read_to_end(&mut bytes);
            }
            let _ = sender.send((index, bytes));
        });
    }
    let mut found = [Vec::new(), Vec::new()];
    for _ in 0..2 {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok((index, bytes)) => found[index] = bytes,
            Err(_) => {
                kill(&mut child);
                return Err(Stuck::Timeout);
            }
        }
    }
    // Both pipes are closed, so it has ended or is about to; who closes them early is not waited for.
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                let [output, errors] = found;
                return Ok((output, errors, status.code()));
            }
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            Ok(None) => {
                kill(&mut child);
                return Err(Stuck::Timeout);
            }
            Err(error) => return Err(Stuck::System(error)),
        }
    }
}

/// Kills a command, and what it started, and takes its status so that nothing is left behind.
fn kill(child: &mut Child) {
    #[cfg(unix)]
    super::system::kill_group(child.id());
    let _ = child.kill();
    let _ = child.wait();
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// What a command said, as far as it can be shown.
fn said(errors: &[u8]) -> String {
    let errors = String::from_utf8_lossy(errors);
    let shown: String = errors.trim().chars().take(500).collect();
    crate::ci::without_credentials(&shown).into_owned()
}

/// The nearest folder upwards that holds a repository: what has to be called safe before git says
/// anything about it.
fn owned_root(folder: &Path) -> Option<PathBuf> {
    let is_root = |folder: &&Path| folder.join(".git").exists();
    folder.ancestors().find(is_root).map(Path::to_owned)
}
