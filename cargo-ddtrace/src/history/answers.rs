//! What the backend would answer, from files or from what was seen.
//!
//! A file in the data folder wins: `settings.json`, `known_tests.json`, `skippable_tests.json`, `test_management.json`, each
//! as the backend writes it. Without one, settings switch on what helps without an account (retries and the detection of
//! flaky tests), known tests are those of the sessions that are kept, and nothing is skippable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::session::Session;

/// Bytes of a file that is served.
const FILE: u64 = 32 << 20;

/// A file of the data folder.
pub(super) fn file(data: Option<&Path>, name: &str) -> Option<Value> {
    let path = data?.join(name);
    if std::fs::metadata(&path).ok()?.len() > FILE {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Answers `/api/v2/libraries/tests/services/setting`; with `impact`, tests are to be covered, and skipped where no change touches them.
pub(super) fn settings(impact: bool) -> Value {
    json!({"data": {"id": "local", "type": "ci_app_tracers_test_service_settings", "attributes": {
        "itr_enabled": impact,
        "code_coverage": impact,
        "tests_skipping": impact,
        "require_git": false,
        "known_tests_enabled": true,
        "flaky_test_retries_enabled": true,
        "impacted_tests_enabled": false,
        "di_enabled": false,
        "coverage_report_upload_enabled": false,
        "early_flake_detection": {
            "enabled": true,
            "slow_test_retries": {"5s": 10, "10s": 5, "30s": 3, "5m": 2},
            "faulty_session_threshold": 30,
        },
        "test_management": {"enabled": true, "attempt_to_fix_retries": 20},
    }}})
}

/// Answers `/api/v2/ci/libraries/tests`.
pub(super) fn known_tests<'s>(sessions: impl IntoIterator<Item = &'s Session>) -> Value {
    let mut tests: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for run in sessions.into_iter().flat_map(|session| &session.runs) {
        tests
            .entry(&run.module)
            .or_default()
            .entry(&run.suite)
            .or_default()
            .insert(&run.name);
    }
    json!({"data": {"id": "local", "type": "ci_app_libraries_tests", "attributes": {"tests": tests}}})
}

/// Answers `/api/v2/ci/tests/skippable`.
pub(super) fn skippable() -> Value {
    json!({"data": [], "meta": {"correlation_id": "local"}})
}

/// What somebody wants of a test, as the backend names it.
const WISHES: [&str; 3] = ["quarantined", "disabled", "attempt_to_fix"];

/// Changes what is wanted of a test in an answer of test management.
pub(super) fn manage(answer: &mut Value, wish: &Value) -> Result<(), String> {
    let name = |key: &str| {
        wish[key]
            .as_str()
            .filter(|name| !name.is_empty() && name.len() < 4000)
            .map(str::to_owned)
            .ok_or_else(|| format!("{key} is missing"))
    };
    let (module, suite, test) = (name("module")?, name("suite")?, name("name")?);
    let mut properties = serde_json::Map::new();
    for key in WISHES {
        match &wish[key] {
            Value::Null => {}
            Value::Bool(on) => {
                properties.insert(key.to_owned(), json!(on));
            }
            _ => return Err(format!("{key}: expected true or false")),
        }
    }
    if !answer["data"]["attributes"]["modules"].is_object() {
        *answer = no_management();
    }
    let modules = &mut answer["data"]["attributes"]["modules"];
    let tests = &mut modules[&module]["suites"][&suite]["tests"];
    if properties.values().any(|on| on == true) {
        tests[&test] = json!({"properties": properties});
    } else if let Some(tests) = tests.as_object_mut() {
        tests.remove(&test);
    }
    Ok(())
}

/// Nothing is wanted of any test.
pub(super) fn no_management() -> Value {
    json!({"data": {"id": "local", "type": "ci_app_libraries_tests", "attributes": {"modules": {}}}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::session::Run;

    #[test]
    fn known_tests_are_those_that_were_seen() {
        let run = |suite: &str, name: &str| Run {
            module: "shop".into(),
            suite: suite.into(),
            name: name.into(),
            ..Run::default()
        };
        let session = Session {
            runs: vec![run("a", "x"), run("a", "x"), run("a", "y"), run("b", "x")],
            ..Session::default()
        };
        let answer = known_tests([&session]);
        assert_eq!(
            answer["data"]["attributes"]["tests"],
            json!({"shop": {"a": ["x", "y"], "b": ["x"]}})
        );
    }

    #[test]
    fn a_wish_is_set_and_taken_back() {
        let mut answer = Value::Null;
        let wish = |on: bool| json!({"module": "m", "suite": "s", "name": "t", "quarantined": on});
        manage(&mut answer, &wish(true)).unwrap();
        assert_eq!(
            answer["data"]["attributes"]["modules"]["m"]["suites"]["s"]["tests"]["t"],
            json!({"properties": {"quarantined": true}})
        );
        manage(&mut answer, &wish(false)).unwrap();
        assert_eq!(
            answer["data"]["attributes"]["modules"]["m"]["suites"]["s"]["tests"],
            json!({})
        );
        assert!(manage(&mut answer, &json!({"module": "m"})).is_err());
        assert!(
            manage(
                &mut answer,
                &json!({"module": "m", "suite": "s", "name": "t", "disabled": 1})
            )
            .is_err()
        );
    }
}
