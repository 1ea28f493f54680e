//! What happens while a test binary runs.
//!
//! The engine (`engine`) starts processes and tells what happened as `Event`s; it prints nothing. A `Reporter`
//! consumes events and starts nothing. What is to be run, and whether once more, is decided by a `Policy`: by the
//! coordinator when there is one, otherwise by `Plainly`.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A test as the binary lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listed {
    /// Its full name in the binary.
    pub name: String,
    /// Whether it is marked `#[ignore]`.
    pub ignored: bool,
    /// The reason given there.
    pub ignore_message: String,
    /// Its file, relative to the directory that the compiler ran in.
    pub source_path: Option<String>,
    /// The line (from 1) at which the compiler puts it; 0 is unknown.
    pub line: u32,
    /// The column (from 1).
    pub column: u32,
}

/// How a run of a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It is marked `#[ignore]` and was not run.
    Ignored,
}

/// Why a test failed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cause {
    /// `panic`, `Error`, `should_panic`, `timeout`, or the name of a signal.
    pub kind: String,
    /// The message of the panic, or what else is known.
    pub message: String,
    /// Where it happened and how it came there, as far as the output says so.
    pub stack: String,
}

/// One run of one test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The test's full name.
    pub name: String,
    /// 0 for the first run.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began.
    pub started: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Whether it had a process of its own.
    pub isolated: bool,
    /// Whether libtest expects a panic; known only of runs in a process of their own.
    pub should_panic: bool,
    /// Why it failed.
    pub cause: Option<Cause>,
    /// The signal that ended its process.
    pub signal: Option<String>,
    /// Whether a process that it had started kept its output open after it had ended.
    pub leaked: bool,
    /// The reason of `#[ignore]`.
    pub ignore_message: String,
    /// The folder in which its process, and those that it started, left what the coordinator reads.
    #[serde(default)]
    pub folder: Option<std::path::PathBuf>,
    /// What it wrote, cut in the middle if it was much.
    #[serde(with = "lossy")]
    pub output: Vec<u8>,
}

impl Ran {
    /// A run that is described by its name and outcome only.
    pub fn new(name: &str, outcome: Outcome, started: SystemTime, took: Duration) -> Ran {
        Ran {
            name: name.to_owned(),
            attempt: 0,
            outcome,
            started,
            took,
            isolated: false,
            should_panic: false,
            cause: None,
            signal: None,
            leaked: false,
            ignore_message: String::new(),
            folder: None,
            output: Vec::new(),
        }
    }
}

/// Output need not be UTF-8; what is reported of it has to be.
mod lossy {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<u8>, D::Error> {
        String::deserialize(from).map(String::into_bytes)
    }
}

/// What is decided about a listed test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// It runs.
    Run,
    /// It does not run, for this reason.
    LeaveOut(String),
}

/// What is decided after a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// It runs once more, alone.
    Again {
        /// Which retry that will be, from 1.
        number: u32,
        /// How many there may be.
        of: u32,
        /// The name of the feature that wants it.
        why: String,
    },
    /// That was the last run.
    Done(Verdict),
}

/// What all runs of a test come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it counts.
    pub outcome: Outcome,
    /// Whether it both passed and failed.
    pub flaky: bool,
    /// Whether it failed and is quarantined.
    pub quarantined: bool,
    /// Whether the build fails by it.
    pub fails_build: bool,
}

impl Verdict {
    /// What libtest would say after one run.
    pub fn plainly(outcome: Outcome) -> Verdict {
        Verdict {
            outcome,
            flaky: false,
            quarantined: false,
            fails_build: outcome == Outcome::Failed,
        }
    }
}

/// Decides what runs.
pub(crate) trait Policy {
    /// One choice for each test.
    fn plan(&mut self, tests: &[Listed]) -> Vec<Choice>;
    /// Takes note of a run; the answer is got by [`next`](Policy::next), in the same order.
    fn ran(&mut self, ran: &Ran);
    /// What follows the oldest run that was not answered.
    fn next(&mut self) -> Next;
}

/// Everything runs once, as without us.
#[derive(Debug, Default)]
pub(crate) struct Plainly(std::collections::VecDeque<Outcome>);

impl Policy for Plainly {
    fn plan(&mut self, tests: &[Listed]) -> Vec<Choice> {
        vec![Choice::Run; tests.len()]
    }

    fn ran(&mut self, ran: &Ran) {
        self.0.push_back(ran.outcome);
    }

    fn next(&mut self) -> Next {
        Next::Done(Verdict::plainly(
            self.0.pop_front().unwrap_or(Outcome::Passed),
        ))
    }
}

/// Numbers of the last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) passed: usize,
    /// Failed, and not masked by quarantine.
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
    pub(crate) filtered_out: usize,
    /// Left out by a decision.
    pub(crate) left_out: usize,
    pub(crate) quarantined: usize,
    pub(crate) flaky: usize,
    pub(crate) retries: usize,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event<'e> {
    /// So many tests begin, each in a process of its own, and nobody has said so yet.
    Begun { tests: usize },
    /// libtest itself wrote this to standard output.
    Output(&'e [u8]),
    /// The binary wrote this to standard error.
    ErrorOutput(&'e [u8]),
    /// A test that runs alone wrote this, and the user wants to see it at once.
    Uncaptured(&'e [u8]),
    /// The process in which tests shared ended in a way that leaves some without a result.
    Lost { how: &'e str, tests: usize },
    /// A test ended that ran alone.
    Ended {
        ran: &'e Ran,
        retry: Option<(u32, u32, &'e str)>,
    },
    /// Nothing more will be run. `plain`: libtest's own last line, if it is true as it stands.
    Finished {
        totals: &'e Totals,
        failures: &'e [Ran],
        took: Duration,
        plain: Option<&'e [u8]>,
    },
}

/// Consumes events.
pub(crate) trait Reporter {
    /// Takes in what happened.
    fn event(&mut self, event: &Event<'_>);
}
