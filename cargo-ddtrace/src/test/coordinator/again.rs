//! Tests that failed to the last, once more when everything else is done.
//!
//! Whether a failure goes away when nothing runs beside it says something about it; nothing depends on the answer. It is off
//! unless `_DD_CIVISIBILITY_OUT_OF_SESSION_RETRIES_ENABLED` is set.

use std::path::PathBuf;
use std::time::Duration;

use ddtrace_ci_visibility::model::{Attempt, RetryReason};
use ddtrace_ci_visibility::selection::Decision;

use super::Coordinator;
use super::server::{describe, status};
use crate::test::link::Surroundings;
use crate::test::runner::arguments::Wish;
use crate::test::runner::event::Listed;
use crate::test::runner::isolated::Alone;
use crate::test::runner::process::Binary;

/// Tests that are run once more.
pub(super) const MOST: usize = 5;
/// How long one may take.
const TIME: Duration = Duration::from_secs(60);

/// A test whose retries all failed.
#[derive(Debug, Clone)]
pub(super) struct Exhausted {
    pub(super) binary: PathBuf,
    pub(super) surroundings: Surroundings,
    /// Its name in the binary.
    pub(super) name: String,
    /// Its last run.
    pub(super) last: Attempt,
    pub(super) decision: Decision,
}

impl Coordinator {
    /// Notes a test, if there are not enough.
    pub(super) fn exhausted(&self, test: Exhausted) {
        let mut tests = self
            .exhausted
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if tests.len() < MOST {
            tests.push(test);
        }
    }

    /// Runs what was noted, one after the other.
    pub(crate) fn once_more(&self) {
        let tests = std::mem::take(
            &mut *self
                .exhausted
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        );
        for test in tests {
            // Whether it is ignored was decided when it ran first.
            let Wish::Run(arguments) = Wish::read(&["--include-ignored".into()]) else {
                continue;
            };
            let binary = Binary {
                path: test.binary,
                chain: test.surroundings.chain.iter().map(Into::into).collect(),
                restore: Vec::new(),
                surroundings: Some((test.surroundings.folder, test.surroundings.variables)),
            };
            let listed = Listed {
                name: test.name,
                ..Listed::default()
            };
            let alone = Alone {
                binary: &binary,
                arguments: &arguments,
                test: &listed,
                timeout: Some(self.manner.timeout.unwrap_or(TIME)),
                folder: None,
                ids: None,
            };
            let ran = alone.run(&mut |_| {});
            let mut attempt = test.last;
            attempt.number += 1;
            attempt.retry_reason = Some(RetryReason::OutOfSession);
            (attempt.status, attempt.start, attempt.duration) =
                (status(ran.outcome), ran.started, ran.took);
            describe(&mut attempt, &ran);
            self.report(&attempt, &test.decision, None, &ran.output);
        }
    }
}
