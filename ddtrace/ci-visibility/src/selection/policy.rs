//! Decides about tests from the backend's answers.

use std::sync::Arc;

use super::{Action, ChangedLines, Decision, RetryPlan, SkipCause};
use crate::backend::{KnownTests, Settings, Skippable, SlowTestRetries, TestManagement};
use crate::model::{Source, TestIdentity};

/// A test that is about to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which test.
    pub identity: TestIdentity,
    /// Where it stands, to see whether a change touches it.
    pub source: Option<Source>,
    /// Whether it asks not to be skipped.
    pub is_unskippable: bool,
}

impl Candidate {
    /// A test that nothing else is known about.
    pub fn new(identity: TestIdentity) -> Candidate {
        Candidate {
            identity,
            source: None,
            is_unskippable: false,
        }
    }
}

/// What the backend said, as far as it did: what is missing switches its feature off.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Answers {
    /// The tests that it has seen.
    pub known_tests: Option<KnownTests>,
    /// What people decided.
    pub test_management: Option<TestManagement>,
    /// What the change cannot affect.
    pub skippable: Option<Skippable>,
    /// What the change touches.
    pub changes: Option<ChangedLines>,
}

/// Decides what to do with tests. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    settings: Settings,
    answers: Arc<Answers>,
    auto_retries: u32,
    early_retries: Option<u32>,
    only_attempts_to_fix: bool,
}

impl Policy {
    /// A policy under these settings, whose kill switches have been applied, and answers.
    pub fn new(settings: Settings, answers: Answers) -> Policy {
        Policy {
            settings,
            answers: Arc::new(answers),
            auto_retries: 5,
            early_retries: None,
            only_attempts_to_fix: false,
        }
    }

    /// How often a failed test is run again; 5 at first.
    pub fn auto_test_retries(mut self, retries: u32) -> Policy {
        self.auto_retries = retries;
        self
    }

    /// How often a new test is repeated, whatever its duration and the backend says.
    pub fn early_flake_retries(mut self, retries: Option<u32>) -> Policy {
        self.early_retries = retries;
        self
    }

    /// Whether only what the backend lists is run, as attempts to fix.
    pub fn only_attempts_to_fix(mut self, only: bool) -> Policy {
        self.only_attempts_to_fix = only;
        self
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The answers.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// What to do with a test. In a faulty session new tests are not repeated.
    pub fn decide(&self, candidate: &Candidate, is_faulty: bool) -> Decision {
        let test = &candidate.identity;
        let mut decision = Decision {
            is_new: self.is_new(test),
            is_modified: self.is_modified(candidate.source.as_ref()),
            is_unskippable: candidate.is_unskippable,
            ..Decision::default()
        };
        let managed = self.settings.test_management.enabled || self.only_attempts_to_fix;
        let management = self.answers.test_management.as_ref();
        let properties = management.filter(|_| managed).and_then(|all| all.get(test));
        let is_listed = properties.is_some();
        if let Some(properties) = properties {
            decision.is_quarantined = properties.quarantined;
            decision.is_disabled = properties.disabled;
            decision.is_attempt_to_fix = properties.attempt_to_fix || self.only_attempts_to_fix;
        }
        decision.action = self.action(test, &mut decision, is_listed);
        decision.retries = self.retries(test, &decision, is_faulty);
        decision
    }

    fn action(&self, test: &TestIdentity, decision: &mut Decision, is_listed: bool) -> Action {
        // Without the list nothing can be left out: a missing answer must not hide failures.
        let has_list = self.answers.test_management.is_some();
        if self.only_attempts_to_fix && has_list && !is_listed {
            return Action::Skip(SkipCause::NotAttemptedToFix);
        }
        if decision.is_attempt_to_fix {
            return Action::Run;
        }
        if decision.is_disabled {
            return Action::Skip(SkipCause::Disabled);
        }
        if self.may_skip(test) {
            if !decision.is_unskippable {
                return Action::Skip(SkipCause::Impact);
            }
            decision.is_forced_run = true;
        }
        Action::Run
    }

    fn may_skip(&self, test: &TestIdentity) -> bool {
        let needs_lines = self.settings.coverage_report_upload_enabled;
        let skippable = self.answers.skippable.as_ref();
        self.settings.tests_skipping
            && skippable.is_some_and(|skippable| skippable.contains(test, needs_lines))
    }

    /// A list without tests is that of a service without history, where everything would be new.
    fn known_tests(&self) -> Option<&KnownTests> {
        let known = self.answers.known_tests.as_ref();
        known.filter(|known| self.settings.known_tests_enabled && !known.is_empty())
    }

    fn is_new(&self, test: &TestIdentity) -> bool {
        let known = self.known_tests();
        test.parameters.is_none() && known.is_some_and(|known| !known.contains(test))
    }

    fn is_modified(&self, source: Option<&Source>) -> bool {
        let changes = self.answers.changes.as_ref();
        let changes = changes.filter(|_| self.settings.impacted_tests_enabled);
        changes
            .zip(source)
            .is_some_and(|(changes, source)| changes.touches(source))
    }

    fn retries(&self, test: &TestIdentity, decision: &Decision, is_faulty: bool) -> RetryPlan {
        let settings = &self.settings;
        if decision.action != Action::Run {
            return RetryPlan::None;
        }
        if decision.is_attempt_to_fix {
            let retries = settings.test_management.attempt_to_fix_retries;
            return RetryPlan::AttemptToFix { retries };
        }
        let is_early = settings.early_flake_detection.enabled
            && !is_faulty
            && self.known_tests().is_some()
            && test.parameters.is_none()
            && (decision.is_new || decision.is_modified);
        if is_early {
            let fixed = self.early_retries.map(SlowTestRetries::always);
            let usual = settings.early_flake_detection.slow_test_retries;
            return RetryPlan::EarlyFlakeDetection(fixed.unwrap_or(usual));
        }
        if settings.flaky_test_retries_enabled && self.auto_retries > 0 {
            let retries = self.auto_retries;
            return RetryPlan::AutoTestRetries { retries };
        }
        RetryPlan::None
    }

    /// How many of these tests are new and how many the backend knows, for [`super::FaultySession`].
    pub fn count(&self, candidates: &[Candidate]) -> (u64, u64) {
        let is_new = |candidate: &&Candidate| self.is_new(&candidate.identity);
        let new = candidates.iter().filter(is_new).count() as u64;
        let known = self.known_tests().map_or(0, KnownTests::len) as u64;
        (new, known)
    }
}
