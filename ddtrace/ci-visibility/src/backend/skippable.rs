//! The tests that a change cannot affect (`spec/ci-visibility.md` §6.4).
//!
//! `POST /api/v2/ci/tests/skippable`.

use ddtrace_core::base64;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::BadAnswer;
use crate::coverage::Bitmap;
use crate::model::TestIdentity;

/// What is skipped as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SkippingLevel {
    /// A test.
    #[default]
    Test,
    /// A suite.
    Suite,
}

impl SkippingLevel {
    /// The value of `test_level` and of `test.itr.tests_skipping.type`.
    pub fn as_str(self) -> &'static str {
        match self {
            SkippingLevel::Test => "test",
            SkippingLevel::Suite => "suite",
        }
    }
}

/// The tests or suites that may be skipped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Skippable {
    level: SkippingLevel,
    /// By module and suite: for the level of suites with one entry without a name.
    items: HashMap<(String, String), Vec<Item>>,
    count: usize,
    /// Goes back with the events of what was not skipped.
    pub correlation_id: String,
    /// The lines that skipped tests cover, by file.
    pub coverage: BTreeMap<String, Bitmap>,
}

#[derive(Clone, Debug, PartialEq)]
struct Item {
    name: Option<String>,
    parameters: Option<Value>,
    is_missing_line_coverage: bool,
}

/// What stands in for a name that is missing.
const NAMELESS: &str = ".";

impl Skippable {
    /// Reads an answer; items of the other level are left out.
    pub fn parse(body: &[u8], level: SkippingLevel) -> Result<Skippable, BadAnswer> {
        let answer = BadAnswer::read(body)?;
        let data = answer.get("data").and_then(Value::as_array);
        let data = data.ok_or(BadAnswer::new("an array `data`"))?;
        let correlation_id = answer
            .pointer("/meta/correlation_id")
            .and_then(Value::as_str)
            .ok_or(BadAnswer::new("a text `meta.correlation_id`"))?;
        let mut skippable = Skippable {
            level,
            correlation_id: correlation_id.to_owned(),
            ..Skippable::default()
        };
        for item in data {
            let kind = item.get("type").and_then(Value::as_str);
            let kind = kind.ok_or(BadAnswer::new("a text `type` in each item"))?;
            if kind != level.as_str() {
                continue;
            }
            let attributes = item.get("attributes").filter(|value| value.is_object());
            let attributes = attributes.ok_or(BadAnswer::new("an object `attributes`"))?;
            skippable.add(attributes)?;
        }
        if let Some(coverage) = answer.pointer("/meta/coverage").and_then(Value::as_object) {
            for (file, bitmap) in coverage {
                let bytes = bitmap.as_str().and_then(base64::decode);
                let bytes = bytes.ok_or(BadAnswer::new("bitmaps in base64"))?;
                let file = file.trim_start_matches('/').to_owned();
                skippable.coverage.insert(file, Bitmap::from_bytes(bytes));
            }
        }
        Ok(skippable)
    }

    fn add(&mut self, attributes: &Value) -> Result<(), BadAnswer> {
        let text = |pointer: &str| match attributes.pointer(pointer) {
            None | Some(Value::Null) => Ok(NAMELESS.to_owned()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(BadAnswer::new("names that are texts")),
        };
        let item = Item {
            name: match self.level {
                SkippingLevel::Test => Some(text("/name")?),
                SkippingLevel::Suite => None,
            },
            parameters: match attributes.get("parameters").and_then(Value::as_str) {
                None | Some("") => None,
                Some(parameters) => Some(as_json(parameters)),
            },
            is_missing_line_coverage: attributes
                .get("_is_missing_line_code_coverage")
                .and_then(Value::as_bool)
                .unwrap_or(false),
        };
        let key = (text("/configurations/test.bundle")?, text("/suite")?);
        self.items.entry(key).or_default().push(item);
        self.count += 1;
        Ok(())
    }

    /// Whether a test may be skipped. With `needs_lines` those whose lines are unknown may not,
    /// since they would be missing from a report.
    pub fn contains(&self, test: &TestIdentity, needs_lines: bool) -> bool {
        // Two texts are compared as JSON at most a few times, only where the name agrees.
        let key = (test.module.clone(), test.suite.clone());
        let Some(items) = self.items.get(&key) else {
            return false;
        };
        items.iter().any(|item| {
            let is_it = item.name.as_ref().is_none_or(|name| *name == test.name);
            let has_parameters = match (&item.parameters, &test.parameters) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(expected), Some(found)) => *expected == as_json(found),
            };
            is_it && has_parameters && !(needs_lines && item.is_missing_line_coverage)
        })
    }

    /// What is skipped as one.
    pub fn level(&self) -> SkippingLevel {
        self.level
    }

    /// How many tests or suites there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer() -> Value {
        json!({
            "data": [
                {"id": "1", "type": "test", "attributes": {
                    "suite": "s", "name": "a", "configurations": {"test.bundle": "m"}}},
                {"id": "2", "type": "test", "attributes": {
                    "suite": "s", "name": "p", "parameters": "{\"a\": 1}",
                    "configurations": {"test.bundle": "m"}, "_is_missing_line_code_coverage": true}},
                {"id": "3", "type": "suite", "attributes": {
                    "suite": "whole", "configurations": {"test.bundle": "m"}}},
                {"id": "4", "type": "test", "attributes": {"suite": "s", "name": "bare"}},
            ],
            "meta": {"correlation_id": "c", "coverage": {"/src/lib.rs": "AAE="}},
        })
    }

    fn parse(answer: &Value, level: SkippingLevel) -> Result<Skippable, BadAnswer> {
        Skippable::parse(answer.to_string().as_bytes(), level)
    }

    #[test]
    fn tests_match_by_module_suite_name_and_given_parameters() {
        let skippable = parse(&answer(), SkippingLevel::Test).expect("valid");
        assert_eq!(
            (skippable.len(), skippable.correlation_id.as_str()),
            (3, "c")
        );
        let with = |parameters: &str| TestIdentity {
            parameters: Some(parameters.into()),
            ..TestIdentity::new("m", "s", "p")
        };
        for (test, needs_lines, expected) in [
            (TestIdentity::new("m", "s", "a"), true, true),
            (TestIdentity::new("n", "s", "a"), false, false),
            (TestIdentity::new("m", "s", "p"), false, false),
            (with(r#"{"a":1}"#), false, true),
            (with(r#"{"a":1}"#), true, false),
            (with(r#"{"a":2}"#), false, false),
            (TestIdentity::new(".", "s", "bare"), false, true),
            (TestIdentity::new("m", "whole", "x"), false, false),
        ] {
            assert_eq!(skippable.contains(&test, needs_lines), expected, "{test:?}");
        }
        assert_eq!(
            skippable.coverage["src/lib.rs"].lines().collect::<Vec<_>>(),
            [15]
        );
    }

    #[test]
    fn suites_match_every_test_in_them() {
        let skippable = parse(&answer(), SkippingLevel::Suite).expect("valid");
        assert_eq!(skippable.len(), 1);
        assert!(skippable.contains(&TestIdentity::new("m", "whole", "x"), false));
        assert!(!skippable.contains(&TestIdentity::new("m", "s", "a"), false));
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        for (pointer, value) in [
            ("/data", json!({})),
            ("/data/0/type", json!(1)),
            ("/data/0/attributes", json!("x")),
            ("/data/0/attributes/suite", json!(7)),
            ("/meta/correlation_id", json!(null)),
            ("/meta/coverage/~1src~1lib.rs", json!("***")),
        ] {
            let mut answer = answer();
            *answer.pointer_mut(pointer).expect("it is there") = value;
            assert!(parse(&answer, SkippingLevel::Test).is_err(), "{pointer}");
        }
    }
}
