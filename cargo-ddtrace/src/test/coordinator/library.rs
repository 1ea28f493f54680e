//! The session of the library, or its absence.
//!
//! Without a backend everything runs once and counts as libtest counts it; the summary and the JUnit file are
//! still written. So the rest of the coordinator asks here and does not care.

use ddtrace_ci_visibility::model::Attempt;
use ddtrace_ci_visibility::selection::{Candidate, Decision, RetryBudget, Verdict};

/// What decides and reports.
#[derive(Debug)]
pub(crate) struct Library {
    none: RetryBudget,
}

impl Library {
    /// Nobody to ask and nobody to tell.
    pub(crate) fn none() -> Library {
        Library {
            none: RetryBudget::new(0),
        }
    }

    pub(crate) async fn plan(&self, candidates: &[Candidate]) -> Vec<Decision> {
        vec![Decision::default(); candidates.len()]
    }

    pub(crate) fn budget(&self) -> &RetryBudget {
        &self.none
    }

    pub(crate) fn report(
        &self,
        _attempt: Attempt,
        _decision: &Decision,
        _verdict: Option<&Verdict>,
    ) {
    }

    pub(crate) fn close_module(&self, _module: &str) {}
}
