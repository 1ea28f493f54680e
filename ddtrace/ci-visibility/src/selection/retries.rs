//! The runs of one test: whether there is another, and what they mean together.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Decision, RetryPlan};
use crate::model::{RetryReason, Status};

/// A test that took longer than this altogether is not repeated by Early Flake Detection.
pub(super) const SLOW: Duration = Duration::from_secs(300);

/// How many tests of a session Auto Test Retries may still run again.
#[derive(Debug)]
pub struct RetryBudget(AtomicU32);

impl RetryBudget {
    /// A budget of this many tests.
    pub fn new(tests: u32) -> RetryBudget {
        RetryBudget(AtomicU32::new(tests))
    }

    fn take(&self) -> bool {
        let order = Ordering::Relaxed;
        self.0
            .fetch_update(order, order, |left| left.checked_sub(1))
            .is_ok()
    }
}

/// What follows a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another run.
    Again {
        /// Why.
        reason: RetryReason,
        /// The number of that run among the repetitions, counted from 1; also [`crate::model::Attempt::number`].
        number: u32,
        /// How many repetitions there are at most.
        of: u32,
    },
    /// That was the last one.
    Done(Verdict),
}

/// What the runs of a test mean together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The final status.
    pub status: Status,
    /// Whether it both passed and failed.
    pub is_flaky: bool,
    /// Whether it was repeated and never passed.
    pub has_failed_all_retries: bool,
    /// For an attempt to fix, whether it is fixed.
    pub attempt_to_fix_passed: Option<bool>,
    /// Whether it was too slow to be repeated.
    pub is_aborted_slow: bool,
    /// Whether it failed, and that does not count.
    pub is_masked: bool,
    /// Whether it fails the build.
    pub fails_build: bool,
}

impl Verdict {
    /// The verdict about a test that ran once under no policy, or not at all.
    pub fn of_single(status: Status, decision: &Decision) -> Verdict {
        let mut retries = Retries::new(decision);
        retries.count(status, Duration::ZERO);
        retries.verdict()
    }
}

/// The runs of one test so far.
#[derive(Clone, Debug)]
pub struct Retries {
    plan: RetryPlan,
    is_quarantined: bool,
    is_attempt_to_fix: bool,
    passed: u32,
    failed: u32,
    skipped: u32,
    first: Duration,
    total: Duration,
    last: Status,
    is_aborted_slow: bool,
    has_budget: bool,
}

impl Retries {
    /// Nothing has run yet.
    pub fn new(decision: &Decision) -> Retries {
        Retries {
            plan: decision.retries,
            is_quarantined: decision.is_quarantined,
            is_attempt_to_fix: decision.is_attempt_to_fix,
            passed: 0,
            failed: 0,
            skipped: 0,
            first: Duration::ZERO,
            total: Duration::ZERO,
            last: Status::Skip,
            is_aborted_slow: false,
            has_budget: false,
        }
    }

    /// A run ended so.
    pub fn after(&mut self, status: Status, duration: Duration, budget: &RetryBudget) -> Next {
        self.count(status, duration);
        match self.next(budget) {
            Some((reason, of)) => Next::Again {
                reason,
                number: self.runs(),
                of,
            },
            None => Next::Done(self.verdict()),
        }
    }

    fn count(&mut self, status: Status, duration: Duration) {
        if self.runs() == 0 {
            self.first = duration;
        }
        self.total = self.total.saturating_add(duration);
        self.last = status;
        let counter = match status {
            Status::Pass => &mut self.passed,
            Status::Fail => &mut self.failed,
            Status::Skip => &mut self.skipped,
        };
        *counter += 1;
    }

    fn runs(&self) -> u32 {
        self.passed + self.failed + self.skipped
    }

    /// Why there is another run, and how many repetitions there are at most.
    fn next(&mut self, budget: &RetryBudget) -> Option<(RetryReason, u32)> {
        let repeated = self.runs() - 1;
        // What the program itself does not run is not repeated.
        if self.last == Status::Skip {
            return None;
        }
        match self.plan {
            RetryPlan::None => None,
            RetryPlan::AttemptToFix { retries } => {
                let goes_on = self.failed == 0 && repeated < retries;
                goes_on.then_some((RetryReason::AttemptToFix, retries))
            }
            RetryPlan::EarlyFlakeDetection(retries) => {
                if self.total > SLOW {
                    self.is_aborted_slow = true;
                    return None;
                }
                let retries = retries.after(self.first);
                let is_mixed = self.passed > 0 && self.failed > 0;
                let goes_on = !is_mixed && repeated < retries;
                goes_on.then_some((RetryReason::EarlyFlakeDetection, retries))
            }
            RetryPlan::AutoTestRetries { retries } => {
                if self.last != Status::Fail || repeated >= retries {
                    return None;
                }
                self.has_budget = self.has_budget || budget.take();
                let goes_on = self.has_budget;
                goes_on.then_some((RetryReason::AutoTestRetry, retries))
            }
        }
    }

    fn verdict(&self) -> Verdict {
        let status = match self.plan {
            RetryPlan::EarlyFlakeDetection(_) if self.passed > 0 => Status::Pass,
            RetryPlan::EarlyFlakeDetection(_) | RetryPlan::AttemptToFix { .. }
                if self.failed > 0 =>
            {
                Status::Fail
            }
            _ => self.last,
        };
        let is_masked = status == Status::Fail && self.is_quarantined && !self.is_attempt_to_fix;
        Verdict {
            status,
            is_flaky: self.passed > 0 && self.failed > 0,
            has_failed_all_retries: if self.is_attempt_to_fix {
                self.failed > 0 && self.failed == self.runs()
            } else {
                self.runs() > 1 && self.passed == 0
            },
            attempt_to_fix_passed: (self.is_attempt_to_fix && self.last != Status::Skip)
                .then(|| self.passed == self.runs()),
            is_aborted_slow: self.is_aborted_slow,
            is_masked,
            fails_build: status == Status::Fail && !is_masked,
        }
    }
}
