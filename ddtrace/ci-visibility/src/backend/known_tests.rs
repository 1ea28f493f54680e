//! The tests that the backend has seen before (`spec/ci-visibility.md` §6.2).
//!
//! `POST /api/v2/ci/libraries/tests`, page by page. Half a list is worse than none, because every
//! test that is not on it counts as new: a page that is wrong makes the whole answer void.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::BadAnswer;
use crate::model::TestIdentity;

/// The most names that are kept; a longer list is void.
pub const MAX_TESTS: usize = 4_000_000;

/// Module → suite → tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownTests {
    modules: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    count: usize,
}

/// What a page says about the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextPage {
    /// There is none.
    Last,
    /// It is asked for with this cursor.
    Cursor(String),
}

impl KnownTests {
    /// Whether a test is known. Its parameters do not matter.
    pub fn contains(&self, test: &TestIdentity) -> bool {
        let suites = self.modules.get(&test.module);
        let tests = suites.and_then(|suites| suites.get(&test.suite));
        tests.is_some_and(|tests| tests.contains(&test.name))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none, which is how a service without history looks.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the tests of a page.
    pub fn add_page(&mut self, body: &[u8]) -> Result<NextPage, BadAnswer> {
        let answer = BadAnswer::read(body)?;
        let attributes = answer
            .pointer("/data/attributes")
            .and_then(Value::as_object)
            .ok_or(BadAnswer::new("an object `data.attributes`"))?;
        let object = |value: &Value| value.as_object().cloned();
        let modules = attributes.get("tests").and_then(Value::as_object);
        for (module, suites) in modules.ok_or(BadAnswer::new("an object `tests`"))? {
            let suites = object(suites).ok_or(BadAnswer::new("an object of suites"))?;
            for (suite, tests) in suites {
                let tests = tests.as_array();
                let tests = tests.ok_or(BadAnswer::new("an array of tests"))?;
                let known = self.modules.entry(module.clone()).or_default();
                let known = known.entry(suite).or_default();
                for test in tests {
                    let name = test.as_str().ok_or(BadAnswer::new("names of tests"))?;
                    if known.insert(name.to_owned()) {
                        self.count += 1;
                    }
                }
                if self.count > MAX_TESTS {
                    return Err(BadAnswer::new("at most 4,000,000 tests"));
                }
            }
        }
        match attributes.get("page_info") {
            None | Some(Value::Null) => Ok(NextPage::Last),
            Some(Value::Object(page)) => {
                if page.get("has_next").and_then(Value::as_bool) != Some(true) {
                    return Ok(NextPage::Last);
                }
                let cursor = page.get("cursor").and_then(Value::as_str);
                let cursor = cursor.filter(|cursor| !cursor.is_empty());
                let cursor = cursor.ok_or(BadAnswer::new("a cursor for the next page"))?;
                Ok(NextPage::Cursor(cursor.to_owned()))
            }
            Some(_) => Err(BadAnswer::new("an object `page_info`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(tests: Value, page_info: Value) -> Vec<u8> {
        json!({"data": {"attributes": {"tests": tests, "page_info": page_info}}})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn pages_add_up() {
        let mut known = KnownTests::default();
        let more = json!({"has_next": true, "cursor": "c2", "size": 1});
        let next = known.add_page(&page(json!({"m": {"s": ["a"]}}), more));
        assert_eq!(next.expect("valid"), NextPage::Cursor("c2".into()));
        let last = json!({"has_next": false});
        let next = known.add_page(&page(json!({"m": {"s": ["a", "b"], "t": []}}), last));
        assert_eq!(next.expect("valid"), NextPage::Last);
        assert_eq!(known.len(), 2);
        for (test, is_known) in [
            (TestIdentity::new("m", "s", "b"), true),
            (TestIdentity::new("m", "t", "b"), false),
            (TestIdentity::new("x", "s", "b"), false),
        ] {
            assert_eq!(known.contains(&test), is_known, "{test:?}");
        }
    }

    #[test]
    fn a_page_that_is_wrong_is_an_error() {
        for body in [
            page(json!([]), json!(null)),
            page(json!({"m": []}), json!(null)),
            page(json!({"m": {"s": {}}}), json!(null)),
            page(json!({"m": {"s": [1]}}), json!(null)),
            page(json!({}), json!({"has_next": true})),
            page(json!({}), json!({"has_next": true, "cursor": ""})),
            page(json!({}), json!("more")),
            b"{}".to_vec(),
        ] {
            let text = String::from_utf8_lossy(&body).into_owned();
            assert!(KnownTests::default().add_page(&body).is_err(), "{text}");
        }
    }
}
