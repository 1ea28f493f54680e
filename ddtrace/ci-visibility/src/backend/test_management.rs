//! What people decided about single tests (`spec/ci-visibility.md` §6.3).
//!
//! `POST /api/v2/test/libraries/test-management/tests`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::BadAnswer;
use crate::model::TestIdentity;

/// What was decided about a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TestProperties {
    /// Its failure does not count.
    pub quarantined: bool,
    /// It is not run.
    pub disabled: bool,
    /// Somebody says that it is fixed.
    pub attempt_to_fix: bool,
}

/// Module → suite → test → properties.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestManagement {
    modules: BTreeMap<String, BTreeMap<String, BTreeMap<String, TestProperties>>>,
}

impl TestManagement {
    /// Reads an answer. `is_all_attempted`: every test in it is an attempt to fix.
    pub fn parse(body: &[u8], is_all_attempted: bool) -> Result<TestManagement, BadAnswer> {
        let answer = BadAnswer::read(body)?;
        let modules = answer
            .pointer("/data/attributes/modules")
            .and_then(Value::as_object)
            .ok_or(BadAnswer::new("an object `data.attributes.modules`"))?;
        let mut management = TestManagement::default();
        for (module, content) in modules {
            let suites = content.get("suites").and_then(Value::as_object);
            let suites = suites.ok_or(BadAnswer::new("an object `suites` in each module"))?;
            for (suite, content) in suites {
                let tests = content.get("tests").and_then(Value::as_object);
                let tests = tests.ok_or(BadAnswer::new("an object `tests` in each suite"))?;
                for (test, content) in tests {
                    let properties = content.get("properties");
                    let on = |key: &str| match properties.and_then(|all| all.get(key)) {
                        None | Some(Value::Null) => Ok(false),
                        Some(value) => value
                            .as_bool()
                            .ok_or(BadAnswer::new("properties that are booleans")),
                    };
                    let properties = TestProperties {
                        quarantined: on("quarantined")?,
                        disabled: on("disabled")?,
                        attempt_to_fix: is_all_attempted || on("attempt_to_fix")?,
                    };
                    management
                        .modules
                        .entry(module.clone())
                        .or_default()
                        .entry(suite.clone())
                        .or_default()
                        .insert(test.clone(), properties);
                }
            }
        }
        Ok(management)
    }

    /// What was decided about a test; `None` if nothing.
    pub fn get(&self, test: &TestIdentity) -> Option<TestProperties> {
        let suites = self.modules.get(&test.module)?;
        suites.get(&test.suite)?.get(&test.name).copied()
    }

    /// How many tests something was decided about.
    pub fn len(&self) -> usize {
        let suites = self.modules.values().flat_map(BTreeMap::values);
        suites.map(BTreeMap::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(tests: Value) -> Vec<u8> {
        json!({"data": {"attributes": {"modules": {"m": {"suites": {"s": {"tests": tests}}}}}}})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn properties_are_found_by_identity() {
        let body = answer(json!({
            "a": {"properties": {"quarantined": true, "active": true}},
            "b": {"properties": {"disabled": true, "attempt_to_fix": null}},
            "c": {},
        }));
        let management = TestManagement::parse(&body, false).expect("valid");
        assert_eq!(management.len(), 3);
        let get = |name: &str| management.get(&TestIdentity::new("m", "s", name));
        let flags = |name: &str| {
            get(name).map(|found| (found.quarantined, found.disabled, found.attempt_to_fix))
        };
        assert_eq!(flags("a"), Some((true, false, false)));
        assert_eq!(flags("b"), Some((false, true, false)));
        assert_eq!(flags("c"), Some((false, false, false)));
        assert_eq!(flags("d"), None);
        let all = TestManagement::parse(&body, true).expect("valid");
        let found = all.get(&TestIdentity::new("m", "s", "c")).expect("listed");
        assert!(found.attempt_to_fix);
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        for body in [
            answer(json!([])),
            answer(json!({"a": {"properties": {"disabled": "yes"}}})),
            br#"{"data":{"attributes":{"modules":{"m":{}}}}}"#.to_vec(),
            br#"{"data":{"attributes":{}}}"#.to_vec(),
            b"null".to_vec(),
        ] {
            let text = String::from_utf8_lossy(&body).into_owned();
            assert!(TestManagement::parse(&body, false).is_err(), "{text}");
        }
    }
}
