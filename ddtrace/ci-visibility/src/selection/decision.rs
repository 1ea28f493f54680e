//! What was decided about a test before it ran.

use serde::{Deserialize, Serialize};

use crate::backend::SlowTestRetries;

/// Run or skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Run it.
    Run,
    /// Do not run it.
    Skip(SkipCause),
}

/// Why a test is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipCause {
    /// The change cannot affect it.
    Impact,
    /// Somebody disabled it.
    Disabled,
    /// Only attempts to fix are run in this session, and it is none. It makes no event.
    NotAttemptedToFix,
}

impl SkipCause {
    /// The value of `test.skip_reason`.
    pub fn reason(self) -> &'static str {
        match self {
            SkipCause::Impact => "Skipped by Datadog Intelligent Test Runner",
            SkipCause::Disabled => "Flaky test is disabled by Datadog",
            SkipCause::NotAttemptedToFix => "Not an attempt to fix",
        }
    }
}

/// When a test is run again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetryPlan {
    /// Never.
    #[default]
    None,
    /// As long as it passes.
    AttemptToFix {
        /// At most this often.
        retries: u32,
    },
    /// Until it has both passed and failed.
    EarlyFlakeDetection(SlowTestRetries),
    /// As long as it fails.
    AutoTestRetries {
        /// At most this often.
        retries: u32,
    },
}

/// What was decided about a test, and why. The default is to run it once, as without us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// Run or skip.
    pub action: Action,
    /// The backend does not know it.
    pub is_new: bool,
    /// The change touches it.
    pub is_modified: bool,
    /// Its failure does not count.
    pub is_quarantined: bool,
    /// Somebody disabled it.
    pub is_disabled: bool,
    /// Somebody says that it is fixed.
    pub is_attempt_to_fix: bool,
    /// It asks not to be skipped.
    pub is_unskippable: bool,
    /// It would have been skipped, had it not asked.
    pub is_forced_run: bool,
    /// When it is run again.
    pub retries: RetryPlan,
}

impl Default for Decision {
    fn default() -> Self {
        Decision {
            action: Action::Run,
            is_new: false,
            is_modified: false,
            is_quarantined: false,
            is_disabled: false,
            is_attempt_to_fix: false,
            is_unskippable: false,
            is_forced_run: false,
            retries: RetryPlan::None,
        }
    }
}

impl Decision {
    /// Whether the change cannot affect it.
    pub fn is_skipped_by_impact(&self) -> bool {
        self.action == Action::Skip(SkipCause::Impact)
    }
}
