//! What a session is told at its beginning and its end.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// What the caller knows of the run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Launch {
    /// The working directory.
    pub directory: PathBuf,
    /// The command as the user gave it: `cargo test --workspace`.
    pub command: String,
    /// The harness of most tests: `libtest`.
    pub framework: String,
    /// Its version.
    pub framework_version: String,
    /// The version of rustc.
    pub runtime_version: String,
    /// When the run began.
    pub start: SystemTime,
    /// What works in this run.
    pub capabilities: Capabilities,
    /// How long everything before the first test may take.
    pub budget: Duration,
}

impl Launch {
    /// A run of this command in this directory, under libtest, from this moment on.
    pub fn new(directory: impl Into<PathBuf>, command: impl Into<String>) -> Launch {
        Launch {
            directory: directory.into(),
            command: command.into(),
            framework: "libtest".into(),
            framework_version: String::new(),
            runtime_version: String::new(),
            start: SystemTime::now(),
            capabilities: Capabilities::default(),
            budget: Duration::from_secs(30),
        }
    }
}

/// What works in this run, which the backend is told; all of it at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are names of features")]
pub struct Capabilities {
    pub test_impact_analysis: bool,
    pub early_flake_detection: bool,
    pub auto_test_retries: bool,
    pub impacted_tests: bool,
    pub quarantine: bool,
    pub disable: bool,
    pub attempt_to_fix: bool,
    pub coverage_report_upload: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Capabilities {
            test_impact_analysis: true,
            early_flake_detection: true,
            auto_test_retries: true,
            impacted_tests: true,
            quarantine: true,
            disable: true,
            attempt_to_fix: true,
            coverage_report_upload: true,
        }
    }
}

impl Capabilities {
    /// The tags of tests that say so.
    pub(super) fn tags(self) -> impl Iterator<Item = (String, String)> {
        [
            ("test_impact_analysis", self.test_impact_analysis, "1"),
            ("early_flake_detection", self.early_flake_detection, "1"),
            ("auto_test_retries", self.auto_test_retries, "1"),
            ("impacted_tests", self.impacted_tests, "1"),
            ("test_management.quarantine", self.quarantine, "1"),
            ("test_management.disable", self.disable, "1"),
            ("test_management.attempt_to_fix", self.attempt_to_fix, "5"),
            ("coverage_report_upload", self.coverage_report_upload, "1"),
        ]
        .into_iter()
        .filter(|(_, works, _)| *works)
        .map(|(name, _, version)| {
            (
                format!("_dd.library_capabilities.{name}"),
                version.to_owned(),
            )
        })
    }
}

/// How the run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finish {
    /// Whether the exit status is zero.
    pub exit_ok: bool,
    /// Whether the user ended it.
    pub interrupted: bool,
    /// How much of the lines is covered, in percent.
    pub lines_pct: Option<f64>,
}

/// What was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Events that were delivered.
    pub events: u64,
    /// Events that were not.
    pub events_dropped: u64,
    /// Coverages that were delivered.
    pub coverages: u64,
    /// Coverages that were not.
    pub coverages_dropped: u64,
    /// Logs that were delivered.
    pub logs: u64,
    /// Logs that were not.
    pub logs_dropped: u64,
    /// Tests that were skipped because the change cannot affect them.
    pub skipped_by_impact: u64,
}
