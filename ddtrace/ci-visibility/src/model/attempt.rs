//! One run of a test, and the small types that describe it.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// What names a test in a repository, over all runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TestIdentity {
    /// The module: a test binary, named as `pkg::name`.
    pub module: String,
    /// The suite: the Rust module that the test stands in.
    pub suite: String,
    /// The test.
    pub name: String,
    /// What tells cases of one test apart, as JSON: `{"arguments":{},"metadata":{"test_name":…}}`.
    pub parameters: Option<String>,
}

impl TestIdentity {
    /// A test without parameters.
    pub fn new(
        module: impl Into<String>,
        suite: impl Into<String>,
        name: impl Into<String>,
    ) -> TestIdentity {
        TestIdentity {
            module: module.into(),
            suite: suite.into(),
            name: name.into(),
            parameters: None,
        }
    }
}

/// How an attempt, a suite, a module or a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It did what it should.
    Pass,
    /// It did not.
    Fail,
    /// It was not run.
    Skip,
}

impl Status {
    /// The value of `test.status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pass => "pass",
            Status::Fail => "fail",
            Status::Skip => "skip",
        }
    }

    /// The status of what contains these: failed if one did, skipped if all were, else passed.
    pub fn of_all(children: impl IntoIterator<Item = Status>) -> Status {
        let mut is_all_skipped = true;
        for child in children {
            match child {
                Status::Fail => return Status::Fail,
                Status::Pass => is_all_skipped = false,
                Status::Skip => {}
            }
        }
        if is_all_skipped {
            Status::Skip
        } else {
            Status::Pass
        }
    }
}

/// Whether a test checks or measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestKind {
    /// It checks.
    #[default]
    Test,
    /// It measures.
    Benchmark,
}

impl TestKind {
    /// The value of `test.type`.
    pub fn as_str(self) -> &'static str {
        match self {
            TestKind::Test => "test",
            TestKind::Benchmark => "benchmark",
        }
    }
}

/// Whether an attempt had a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionMode {
    /// It ran in one process with other tests.
    Shared,
    /// It ran alone.
    Isolated,
}

impl ExecutionMode {
    /// The value of `test.rust.execution_mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            ExecutionMode::Shared => "shared",
            ExecutionMode::Isolated => "isolated",
        }
    }
}

/// Why a test was run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetryReason {
    /// It is new or modified, and may be flaky.
    EarlyFlakeDetection,
    /// It failed.
    AutoTestRetry,
    /// Somebody says that it is fixed.
    AttemptToFix,
    /// Another runner decided so.
    External,
    /// It failed after all retries, and the session is over.
    OutOfSession,
}

impl RetryReason {
    /// The value of `test.retry_reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            RetryReason::EarlyFlakeDetection => "early_flake_detection",
            RetryReason::AutoTestRetry => "auto_test_retry",
            RetryReason::AttemptToFix => "attempt_to_fix",
            RetryReason::External => "external",
            RetryReason::OutOfSession => "out_of_session",
        }
    }
}

/// Where a test stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// The file, relative to the root of the repository, with `/` between its parts.
    pub file: String,
    /// The first line, counted from 1; 0 if unknown.
    pub start: u32,
    /// The last line; 0 if unknown.
    pub end: u32,
}

/// Why an attempt failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The value of `error.type`: `panic`, `Error`, `should_panic`, `SIGSEGV`, `timeout`.
    pub kind: String,
    /// The message of the panic, or the error as `Debug` shows it.
    pub message: String,
    /// The backtrace, or the end of what the test printed.
    pub stack: String,
}

/// One run of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// Which test.
    pub identity: TestIdentity,
    /// Which of its runs; the first has number 0.
    pub number: u32,
    /// How it ended.
    pub status: Status,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The folder of the package, relative to the root of the repository.
    pub module_path: String,
    /// Where the test stands.
    pub source: Option<Source>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Why it was not run.
    pub skip_reason: Option<String>,
    /// Why it was run again; `None` for the first run.
    pub retry_reason: Option<RetryReason>,
    /// Whether it checks or measures.
    pub kind: TestKind,
    /// Whether it had a process of its own.
    pub execution_mode: Option<ExecutionMode>,
    /// Whether the test has to panic.
    pub should_panic: bool,
    /// The signal that ended it, such as `SIGABRT`.
    pub exit_signal: Option<String>,
    /// Name and version of the harness, where it is not that of the session.
    pub framework: Option<(String, String)>,
    /// Further tags. They do not replace those that are made of the fields.
    pub meta: Vec<(String, String)>,
    /// Further numbers.
    pub metrics: Vec<(String, f64)>,
}

impl Attempt {
    /// The first run of a test, about which nothing else is known.
    pub fn new(
        identity: TestIdentity,
        status: Status,
        start: SystemTime,
        duration: Duration,
    ) -> Attempt {
        Attempt {
            identity,
            number: 0,
            status,
            start,
            duration,
            module_path: String::new(),
            source: None,
            failure: None,
            skip_reason: None,
            retry_reason: None,
            kind: TestKind::Test,
            execution_mode: None,
            should_panic: false,
            exit_signal: None,
            framework: None,
            meta: Vec::new(),
            metrics: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::{Fail, Pass, Skip};

    #[test]
    fn a_container_fails_with_one_child_and_is_skipped_with_all() {
        for (children, expected) in [
            (&[Pass, Skip, Fail][..], Fail),
            (&[Skip, Pass][..], Pass),
            (&[Skip, Skip][..], Skip),
            (&[][..], Skip),
        ] {
            assert_eq!(Status::of_all(children.iter().copied()), expected);
        }
    }

    #[test]
    fn an_attempt_survives_a_socket() {
        let mut attempt = Attempt::new(
            TestIdentity::new("m", "s", "n"),
            Fail,
            SystemTime::UNIX_EPOCH + Duration::from_nanos(17),
            Duration::from_micros(3),
        );
        attempt.retry_reason = Some(RetryReason::AttemptToFix);
        attempt.failure = Some(Failure::default());
        let text = serde_json::to_string(&attempt).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Attempt>(&text).expect("the same"),
            attempt
        );
    }
}
