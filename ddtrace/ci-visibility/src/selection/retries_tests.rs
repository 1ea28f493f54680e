//! Sequences of runs, and what they come to.

use std::time::Duration;

use super::*;
use crate::backend::SlowTestRetries;
use crate::model::Status::{self, Fail, Pass, Skip};

fn decision(retries: RetryPlan) -> Decision {
    Decision {
        is_attempt_to_fix: matches!(retries, RetryPlan::AttemptToFix { .. }),
        retries,
        ..Decision::default()
    }
}

fn early() -> Decision {
    decision(RetryPlan::EarlyFlakeDetection(SlowTestRetries::default()))
}

/// Runs a test whose runs end so, the last one again and again; how many there were, and the verdict.
fn play(decision: &Decision, statuses: &[Status], each: Duration) -> (u32, Verdict) {
    let budget = RetryBudget::new(1000);
    let mut retries = Retries::new(decision);
    let mut runs = 0;
    loop {
        let at = statuses.len().min(runs as usize + 1) - 1;
        runs += 1;
        match retries.after(statuses[at], each, &budget) {
            Next::Again { number, of, .. } => {
                assert_eq!(number, runs);
                assert!(number <= of);
            }
            Next::Done(verdict) => return (runs, verdict),
        }
    }
}

#[test]
fn runs_go_on_and_end_as_each_policy_says() {
    let fix = decision(RetryPlan::AttemptToFix { retries: 3 });
    let auto = decision(RetryPlan::AutoTestRetries { retries: 5 });
    let none = decision(RetryPlan::None);
    // The decision, how runs end, how many there are, the final status, flaky, failed all, fixed.
    for (decision, statuses, runs, status, is_flaky, failed_all, fixed) in [
        (&none, &[Fail][..], 1, Fail, false, false, None),
        (&none, &[Pass], 1, Pass, false, false, None),
        (&early(), &[Pass], 11, Pass, false, false, None),
        (&early(), &[Fail], 11, Fail, false, true, None),
        (&early(), &[Fail, Fail, Pass], 3, Pass, true, false, None),
        (&early(), &[Pass, Fail], 2, Pass, true, false, None),
        (&early(), &[Skip], 1, Skip, false, false, None),
        (&auto, &[Pass], 1, Pass, false, false, None),
        (&auto, &[Fail, Fail, Pass], 3, Pass, true, false, None),
        (&auto, &[Fail], 6, Fail, false, true, None),
        (&auto, &[Skip], 1, Skip, false, false, None),
        (&fix, &[Pass], 4, Pass, false, false, Some(true)),
        (&fix, &[Pass, Pass, Fail], 3, Fail, true, false, Some(false)),
        (&fix, &[Fail], 1, Fail, false, true, Some(false)),
        (&fix, &[Skip], 1, Skip, false, false, None),
    ] {
        let (count, verdict) = play(decision, statuses, Duration::from_millis(1));
        let case = format!("{:?} {statuses:?}", decision.retries);
        assert_eq!((count, verdict.status), (runs, status), "{case}");
        assert_eq!(verdict.is_flaky, is_flaky, "{case}");
        assert_eq!(verdict.has_failed_all_retries, failed_all, "{case}");
        assert_eq!(verdict.attempt_to_fix_passed, fixed, "{case}");
        assert_eq!(verdict.fails_build, status == Fail, "{case}");
        assert!(!verdict.is_aborted_slow && !verdict.is_masked, "{case}");
    }
}

#[test]
fn slow_tests_are_repeated_less() {
    for (seconds, runs, is_slow) in [
        (5, 11, false),
        (10, 6, false),
        (30, 4, false),
        (150, 3, true),
        (301, 1, true),
    ] {
        let (count, verdict) = play(&early(), &[Pass], Duration::from_secs(seconds));
        assert_eq!(
            (count, verdict.is_aborted_slow),
            (runs, is_slow),
            "{seconds}"
        );
    }
}

#[test]
fn quarantine_masks_failures_but_not_those_of_an_attempt_to_fix() {
    for (plan, masked) in [
        (RetryPlan::None, true),
        (RetryPlan::AutoTestRetries { retries: 1 }, true),
        (RetryPlan::AttemptToFix { retries: 1 }, false),
    ] {
        let decision = Decision {
            is_quarantined: true,
            ..decision(plan)
        };
        let (_, verdict) = play(&decision, &[Fail], Duration::ZERO);
        assert_eq!(
            (verdict.is_masked, verdict.fails_build),
            (masked, !masked),
            "{plan:?}"
        );
        assert_eq!(verdict.status, Fail);
    }
}

#[test]
fn a_session_runs_only_so_many_failed_tests_again() {
    let budget = RetryBudget::new(1);
    let decision = decision(RetryPlan::AutoTestRetries { retries: 2 });
    for expected in [3, 1, 1] {
        let mut retries = Retries::new(&decision);
        let mut runs = 1;
        while let Next::Again { .. } = retries.after(Fail, Duration::ZERO, &budget) {
            runs += 1;
        }
        assert_eq!(runs, expected);
    }
}

#[test]
fn a_test_that_ran_once_under_no_policy_has_a_verdict() {
    let quarantined = Decision {
        is_quarantined: true,
        ..Decision::default()
    };
    assert!(Verdict::of_single(Fail, &quarantined).is_masked);
    assert_eq!(Verdict::of_single(Skip, &Decision::default()).status, Skip);
}
