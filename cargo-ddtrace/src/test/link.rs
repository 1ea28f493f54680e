//! The line between runners and the coordinator: JSON messages, one a line, over a Unix socket.
//!
//! A runner asks what to run and says what ran; the coordinator decides. Runs are sent without waiting for their answers, which
//! come back in the same order and wait in a channel until they are wanted, so a large suite is not slowed
//! down by round trips. If the coordinator is gone, or silent for too long, the runner goes on as if it had never
//! been there: nothing runs again, and nothing is masked any more.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use ddtrace_ci_visibility::model::SessionId;

use super::coordinator::of_test;
use super::runner::event::{Choice, Listed, Next, Outcome, Policy, Ran, Verdict};
use super::runner::harness::{Declared, Harness};

/// The variable by which cargo's children find the coordinator; tests do not see it.
pub(crate) const VARIABLE: &str = "_DD_TEST_SESSION";
/// The longest line that either side accepts.
pub(crate) const LONGEST: u64 = 64 << 20;
/// How long the plan may take: the budget of everything before the first test, and a little.
const PLAN: Duration = Duration::from_secs(40);
/// How long any other answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// What runners have to know before they can ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invitation {
    /// The coordinator's socket.
    pub(crate) socket: PathBuf,
    /// The runner that the user has.
    pub(crate) chain: Vec<String>,
    /// The wrapper around rustc that the user has for members.
    #[serde(default)]
    pub(crate) wrapper: Option<String>,
    /// Variables as they were before us.
    pub(crate) restore: Vec<(String, Option<String>)>,
}

/// From a runner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToCoordinator {
    /// Who it is.
    Hello(Hello),
    /// What the binary is, and its tests.
    Tests {
        /// How it is run.
        harness: Harness,
        /// The tests that the user selected.
        tests: Vec<Listed>,
    },
    /// A test ran.
    Ran(Box<Ran>),
    /// A doctest ran; nothing is decided about those.
    Doctest(Doctest),
    /// The binary is done.
    End {
        /// Whether a signal ended it early.
        interrupted: bool,
    },
}

/// A test binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Its path; the library's root file if these are doctests.
    pub(crate) binary: PathBuf,
    /// The folder of its package.
    pub(crate) package: Option<PathBuf>,
    /// Whether rustdoc runs it.
    pub(crate) is_doctest: bool,
    /// The runner's process.
    pub(crate) pid: u32,
    /// Which attempt of nextest's this is, from 1.
    pub(crate) nextest_attempt: Option<u32>,
    /// What has to be known to run its tests once more when all are done, if that is wanted.
    #[serde(default)]
    pub(crate) surroundings: Option<Surroundings>,
}

/// How a runner starts its binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Surroundings {
    pub(crate) folder: PathBuf,
    pub(crate) chain: Vec<String>,
    /// Variables as tests see them.
    pub(crate) variables: Vec<(String, String)>,
}

/// What rustdoc says of a doctest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Doctest {
    /// `<file> - <item> (line N)`, without the options behind it.
    pub(crate) name: String,
    /// How it went.
    pub(crate) ran: Ran,
}

/// From the coordinator.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToRunner {
    /// How to run the binary.
    Welcome(Welcome),
    /// One choice for each test.
    Plan(Vec<Choice>),
    /// What follows a run.
    Next(Next),
}

/// How to run a binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// What its manifest says.
    pub(crate) declared: Declared,
    /// Every test in a process of its own.
    pub(crate) isolate: bool,
    /// How long a test may take that runs alone.
    pub(crate) timeout: Option<Duration>,
    /// Below it each run of a test has a folder for what its processes leave.
    #[serde(default)]
    pub(crate) runs: Option<PathBuf>,
    /// By what the spans of tests are told.
    #[serde(default)]
    pub(crate) names: Option<Names>,
}

/// From these and a test's name its trace and span follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names {
    pub(crate) session: SessionId,
    pub(crate) module: String,
    pub(crate) crate_name: String,
    /// How many runs of its tests nextest has made before.
    pub(crate) earlier: u32,
}

impl Names {
    /// Trace and span of a run.
    pub(crate) fn ids(&self, test: &str, attempt: u32) -> (u64, u64) {
        let identity = of_test(&self.module, &self.crate_name, test);
        let attempt = self.earlier + attempt;
        (
            self.session.trace_id(&identity, attempt),
            self.session.span_id(&identity, attempt),
        )
    }
}

/// A runner's end of the line.
#[derive(Debug)]
pub(crate) struct Link {
    writer: BufWriter<UnixStream>,
    answers: Receiver<ToRunner>,
    /// Outcomes whose answer was not taken yet.
    waiting: VecDeque<Outcome>,
    is_alive: bool,
}

impl Link {
    /// Connects and introduces the binary.
    pub(crate) fn connect(socket: &Path, hello: Hello) -> Option<(Link, Welcome)> {
        let stream = UnixStream::connect(socket).ok()?;
        stream.set_write_timeout(Some(ANSWER)).ok()?;
        let reader = stream.try_clone().ok()?;
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = String::new();
            loop {
                line.clear();
                match std::io::Read::take(&mut reader, LONGEST).read_line(&mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
                let Ok(message) = serde_json::from_str(&line) else {
                    return;
                };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut link = Link {
            writer: BufWriter::new(stream),
            answers,
            waiting: VecDeque::new(),
            is_alive: true,
        };
        link.send(&ToCoordinator::Hello(hello));
        link.flush();
        match link.answer(PLAN)? {
            ToRunner::Welcome(welcome) => Some((link, welcome)),
            _ => None,
        }
    }

    /// Whether the coordinator still answers.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive
    }

    pub(crate) fn send(&mut self, message: &ToCoordinator) {
        if !self.is_alive {
            return;
        }
        let sent = serde_json::to_writer(&mut self.writer, message)
            .map_err(std::io::Error::from)
            .and_then(|()| self.writer.write_all(b"\n"));
        self.is_alive = sent.is_ok();
    }

    fn flush(&mut self) {
        if self.is_alive && self.writer.flush().is_err() {
            self.is_alive = false;
        }
    }

    fn answer(&mut self, time: Duration) -> Option<ToRunner> {
        self.flush();
        if !self.is_alive {
            return None;
        }
        let answer = self.answers.recv_timeout(time).ok();
        self.is_alive = answer.is_some();
        answer
    }

    /// Says what the binary is; the plan follows.
    pub(crate) fn tests(&mut self, harness: Harness, tests: &[Listed]) -> Vec<Choice> {
        self.send(&ToCoordinator::Tests {
            harness,
            tests: tests.to_vec(),
        });
        match self.answer(PLAN) {
            Some(ToRunner::Plan(choices)) if choices.len() == tests.len() => choices,
            _ => {
                self.is_alive = false;
                vec![Choice::Run; tests.len()]
            }
        }
    }

    /// Ends the conversation in good order.
    pub(crate) fn end(mut self, interrupted: bool) {
        self.send(&ToCoordinator::End { interrupted });
        self.flush();
    }
}

/// A link to which the kind of binary is known.
#[derive(Debug)]
pub(crate) struct Linked<'l> {
    pub(crate) link: &'l mut Link,
    pub(crate) harness: Harness,
}

impl Policy for Linked<'_> {
    fn plan(&mut self, tests: &[Listed]) -> Vec<Choice> {
        self.link.tests(self.harness, tests)
    }

    fn ran(&mut self, ran: &Ran) {
        self.link.waiting.push_back(ran.outcome);
        self.link.send(&ToCoordinator::Ran(Box::new(ran.clone())));
    }

    fn next(&mut self) -> Next {
        let outcome = self.link.waiting.pop_front().unwrap_or(Outcome::Passed);
        match self.link.answer(ANSWER) {
            Some(ToRunner::Next(next)) => next,
            _ => {
                self.link.is_alive = false;
                Next::Done(Verdict::plainly(outcome))
            }
        }
    }
}
