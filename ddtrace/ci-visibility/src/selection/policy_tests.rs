//! One table of decisions, and the cases where something is missing.

use serde_json::json;

use super::*;
use crate::backend::{
    KnownTests, Settings, Skippable, SkippingLevel, SlowTestRetries, TestManagement,
};
use crate::model::{Source, TestIdentity};

fn everything_on() -> Settings {
    let attributes = json!({
        "itr_enabled": true, "tests_skipping": true, "known_tests_enabled": true,
        "flaky_test_retries_enabled": true, "impacted_tests_enabled": true,
        "early_flake_detection": {"enabled": true},
        "test_management": {"enabled": true, "attempt_to_fix_retries": 4},
    });
    let body = json!({"data": {"attributes": attributes}}).to_string();
    Settings::parse(body.as_bytes()).expect("valid settings")
}

fn answers() -> Answers {
    let mut known = KnownTests::default();
    let tests = [
        "known",
        "skip",
        "unskippable",
        "quarantined",
        "disabled",
        "fixed",
        "changed",
    ];
    let page = json!({"data": {"attributes": {"tests": {"m": {"s": tests}}}}});
    known.add_page(page.to_string().as_bytes()).expect("a page");
    let item = |name: &str| {
        json!({"type": "test", "attributes": {
            "name": name, "suite": "s", "configurations": {"test.bundle": "m"}}})
    };
    let names = ["skip", "unskippable", "fixed", "disabled"];
    let skippable = json!({"data": names.map(item), "meta": {"correlation_id": "c"}});
    let properties = |key: &str| json!({"properties": {key: true}});
    let management = json!({"data": {"attributes": {"modules": {"m": {"suites": {"s": {"tests": {
        "quarantined": properties("quarantined"),
        "disabled": properties("disabled"),
        "fixed": {"properties": {"attempt_to_fix": true, "disabled": true, "quarantined": true}},
    }}}}}}}});
    Answers {
        known_tests: Some(known),
        test_management: TestManagement::parse(management.to_string().as_bytes(), false).ok(),
        skippable: Skippable::parse(skippable.to_string().as_bytes(), SkippingLevel::Test).ok(),
        changes: Some(ChangedLines::parse(
            "diff --git a/x.rs b/x.rs\n+++ b/x.rs\n@@ -5 +5 @@\n",
        )),
    }
}

fn candidate(name: &str) -> Candidate {
    let mut candidate = Candidate::new(TestIdentity::new("m", "s", name));
    candidate.is_unskippable = name == "unskippable";
    candidate.source = (name == "changed").then(|| Source {
        file: "x.rs".into(),
        start: 4,
        end: 6,
    });
    candidate
}

const ATR: RetryPlan = RetryPlan::AutoTestRetries { retries: 5 };

fn early() -> RetryPlan {
    RetryPlan::EarlyFlakeDetection(SlowTestRetries::default())
}

#[test]
fn the_first_policy_that_applies_decides() {
    let policy = Policy::new(everything_on(), answers());
    let impact = Action::Skip(SkipCause::Impact);
    let disabled = Action::Skip(SkipCause::Disabled);
    let fix = RetryPlan::AttemptToFix { retries: 4 };
    for (name, is_faulty, action, retries) in [
        ("known", false, Action::Run, ATR),
        ("brand_new", false, Action::Run, early()),
        ("brand_new", true, Action::Run, ATR),
        ("changed", false, Action::Run, early()),
        ("changed", true, Action::Run, ATR),
        ("skip", false, impact, RetryPlan::None),
        ("unskippable", false, Action::Run, ATR),
        ("quarantined", false, Action::Run, ATR),
        ("disabled", false, disabled, RetryPlan::None),
        ("fixed", false, Action::Run, fix),
    ] {
        let decision = policy.decide(&candidate(name), is_faulty);
        assert_eq!(
            (decision.action, decision.retries),
            (action, retries),
            "{name}"
        );
        assert_eq!(decision.is_new, name == "brand_new", "{name}");
        assert_eq!(decision.is_modified, name == "changed", "{name}");
        assert_eq!(decision.is_forced_run, name == "unskippable", "{name}");
        let managed = matches!(name, "quarantined" | "fixed");
        assert_eq!(decision.is_quarantined, managed, "{name}");
        assert_eq!(decision.is_attempt_to_fix, name == "fixed", "{name}");
    }
}

#[test]
fn what_was_not_answered_is_off() {
    let policy = Policy::new(everything_on(), Answers::default());
    for name in ["known", "brand_new", "changed", "skip", "disabled", "fixed"] {
        let decision = policy.decide(&candidate(name), false);
        let expected = Decision {
            retries: ATR,
            ..Decision::default()
        };
        assert_eq!(decision, expected, "{name}");
    }
}

#[test]
fn what_is_switched_off_is_off_though_it_was_answered() {
    let policy = Policy::new(Settings::default(), answers());
    for name in ["known", "brand_new", "changed", "skip", "disabled", "fixed"] {
        let decision = policy.decide(&candidate(name), false);
        assert_eq!(decision, Decision::default(), "{name}");
    }
}

#[test]
fn a_service_without_history_has_no_new_tests() {
    let mut answers = answers();
    answers.known_tests = Some(KnownTests::default());
    let policy = Policy::new(everything_on(), answers);
    for name in ["brand_new", "changed"] {
        let decision = policy.decide(&candidate(name), false);
        assert_eq!((decision.is_new, decision.retries), (false, ATR), "{name}");
    }
    assert_eq!(policy.count(&[candidate("brand_new")]), (0, 0));
}

#[test]
fn cases_of_a_test_are_never_new() {
    let mut case = candidate("brand_new");
    case.identity.parameters = Some("{}".into());
    let policy = Policy::new(everything_on(), answers());
    let decision = policy.decide(&case, false);
    assert_eq!((decision.is_new, decision.retries), (false, ATR));
    assert_eq!(policy.count(&[case, candidate("brand_new")]), (1, 7));
}

#[test]
fn a_session_of_attempts_to_fix_runs_what_is_listed() {
    let policy = Policy::new(everything_on(), answers()).only_attempts_to_fix(true);
    let decision = policy.decide(&candidate("known"), false);
    assert_eq!(decision.action, Action::Skip(SkipCause::NotAttemptedToFix));
    for name in ["quarantined", "disabled", "fixed"] {
        let decision = policy.decide(&candidate(name), false);
        assert_eq!(decision.action, Action::Run, "{name}");
        assert!(decision.is_attempt_to_fix, "{name}");
    }
    // Without an answer everything runs.
    let policy = Policy::new(everything_on(), Answers::default()).only_attempts_to_fix(true);
    assert_eq!(
        policy.decide(&candidate("known"), false).action,
        Action::Run
    );
}

#[test]
fn tests_whose_lines_are_unknown_run_when_a_report_needs_them() {
    let item = json!({"type": "test", "attributes": {"name": "skip", "suite": "s",
        "configurations": {"test.bundle": "m"}, "_is_missing_line_code_coverage": true}});
    let body = json!({"data": [item], "meta": {"correlation_id": "c"}}).to_string();
    for (uploads_report, action) in [
        (false, Action::Skip(SkipCause::Impact)),
        (true, Action::Run),
    ] {
        let mut settings = everything_on();
        settings.coverage_report_upload_enabled = uploads_report;
        let answers = Answers {
            skippable: Skippable::parse(body.as_bytes(), SkippingLevel::Test).ok(),
            ..Answers::default()
        };
        let policy = Policy::new(settings, answers);
        assert_eq!(policy.decide(&candidate("skip"), false).action, action);
    }
}

#[test]
fn local_numbers_replace_those_of_the_backend() {
    let policy = Policy::new(everything_on(), answers())
        .auto_test_retries(0)
        .early_flake_retries(Some(2));
    assert_eq!(
        policy.decide(&candidate("known"), false).retries,
        RetryPlan::None
    );
    assert_eq!(
        policy.decide(&candidate("brand_new"), false).retries,
        RetryPlan::EarlyFlakeDetection(SlowTestRetries::always(2))
    );
}
