//! What a session came to: a line for people, an object for scripts.

use std::time::Duration;

use ddtrace_ci_visibility::model::Status;
use ddtrace_ci_visibility::selection::Verdict;
use serde_json::{Value, json};

/// Numbers of a session. Every test counts once, however often it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All tests.
    pub tests: u64,
    /// Passed in the end.
    pub passed: u64,
    /// Failed in the end, quarantined ones included.
    pub failed: u64,
    /// Ignored, disabled, or skipped because a change does not touch them.
    pub skipped: u64,
    /// Both passed and failed.
    pub flaky: u64,
    /// Ran more than once.
    pub retried: u64,
    /// Skipped because a change does not touch them.
    pub skipped_by_impact: u64,
    /// Failed without failing the build.
    pub quarantined: u64,
    /// Fail the build.
    pub fails_build: u64,
    /// Whether a signal ended a binary early.
    pub interrupted: bool,
}

impl Counts {
    /// Counts a test.
    pub(crate) fn settle(&mut self, verdict: &Verdict, retried: bool) {
        self.tests += 1;
        match verdict.status {
            Status::Pass => self.passed += 1,
            Status::Fail => self.failed += 1,
            Status::Skip => self.skipped += 1,
        }
        self.flaky += u64::from(verdict.is_flaky);
        self.quarantined += u64::from(verdict.is_masked);
        self.fails_build += u64::from(verdict.fails_build);
        self.retried += u64::from(retried);
    }

    /// One object; keys are never removed.
    pub(crate) fn json(&self, exit: u8, interrupted: bool, took: Duration) -> Value {
        json!({
            "tests": self.tests,
            "passed": self.passed,
            "failed": self.failed,
            "skipped": self.skipped,
            "flaky": self.flaky,
            "retried": self.retried,
            "skipped_by_impact": self.skipped_by_impact,
            "quarantined": self.quarantined,
            "exit": exit,
            "interrupted": interrupted,
            "duration_ms": took.as_millis() as u64,
        })
    }

    /// One line.
    pub(crate) fn line(&self) -> String {
        let mut line = format!(
            "{} tests: {} passed, {} failed, {} skipped",
            self.tests, self.passed, self.failed, self.skipped
        );
        for (count, what) in [
            (self.flaky, "flaky"),
            (self.retried, "retried"),
            (self.quarantined, "quarantined"),
            (
                self.skipped_by_impact,
                "skipped because no change touches them",
            ),
        ] {
            if count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use ddtrace_ci_visibility::selection::Decision;

    use super::*;

    #[test]
    fn every_test_counts_once() {
        let mut counts = Counts::default();
        for (status, retried) in [
            (Status::Pass, false),
            (Status::Pass, true),
            (Status::Fail, true),
            (Status::Skip, false),
        ] {
            counts.settle(&Verdict::of_single(status, &Decision::default()), retried);
        }
        let json = counts.json(101, false, Duration::from_millis(3));
        for (key, expected) in [
            ("tests", 4),
            ("passed", 2),
            ("failed", 1),
            ("skipped", 1),
            ("retried", 2),
            ("exit", 101),
        ] {
            assert_eq!(json[key], expected, "{key}");
        }
        assert_eq!(
            counts.line(),
            "4 tests: 2 passed, 1 failed, 1 skipped, 2 retried"
        );
    }
}
