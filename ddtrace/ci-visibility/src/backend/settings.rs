//! What the backend has switched on for a service (`spec/ci-visibility.md` §6.1).
//!
//! `POST /api/v2/libraries/tests/services/setting`. A field that is missing takes its default, so
//! that a partial answer does not switch the rest off; a field of the wrong type or out of range
//! switches off the feature that it belongs to.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::BadAnswer;

/// The features that are on, and their numbers. The default is everything off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Settings {
    /// Whether Test Impact Analysis is on.
    pub itr_enabled: bool,
    /// Whether coverage is taken of each test.
    pub code_coverage: bool,
    /// Whether tests that a change cannot affect are skipped.
    pub tests_skipping: bool,
    /// Whether the backend wants git data before it can answer.
    pub require_git: bool,
    /// Whether the list of known tests is to be asked for.
    pub known_tests_enabled: bool,
    /// Whether failed tests are run again.
    pub flaky_test_retries_enabled: bool,
    /// Whether tests that a change touches count as new.
    pub impacted_tests_enabled: bool,
    /// Whether failures are replayed by live debugging.
    pub di_enabled: bool,
    /// Whether coverage reports are uploaded.
    pub coverage_report_upload_enabled: bool,
    /// Early Flake Detection.
    pub early_flake_detection: EarlyFlakeDetection,
    /// Quarantined and disabled tests, and attempts to fix.
    pub test_management: TestManagementSettings,
}

/// Runs new tests several times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EarlyFlakeDetection {
    /// Whether it is on.
    pub enabled: bool,
    /// How often to repeat, by the duration of the first run.
    pub slow_test_retries: SlowTestRetries,
    /// The number of new tests, and their percentage, above which a session is faulty.
    pub faulty_session_threshold: u32,
}

impl Default for EarlyFlakeDetection {
    fn default() -> Self {
        EarlyFlakeDetection {
            enabled: false,
            slow_test_retries: SlowTestRetries::default(),
            faulty_session_threshold: 30,
        }
    }
}

/// How often a test is repeated, by the duration of its first run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlowTestRetries {
    /// Up to five seconds.
    #[serde(rename = "5s")]
    pub up_to_5s: u32,
    /// Up to ten seconds.
    #[serde(rename = "10s")]
    pub up_to_10s: u32,
    /// Up to thirty seconds.
    #[serde(rename = "30s")]
    pub up_to_30s: u32,
    /// Up to five minutes.
    #[serde(rename = "5m")]
    pub up_to_5m: u32,
}

impl Default for SlowTestRetries {
    fn default() -> Self {
        SlowTestRetries {
            up_to_5s: 10,
            up_to_10s: 5,
            up_to_30s: 3,
            up_to_5m: 2,
        }
    }
}

impl SlowTestRetries {
    /// The same number for every duration of up to five minutes.
    pub fn always(retries: u32) -> SlowTestRetries {
        SlowTestRetries {
            up_to_5s: retries,
            up_to_10s: retries,
            up_to_30s: retries,
            up_to_5m: retries,
        }
    }

    /// How often to repeat a test whose first run took this long.
    pub fn after(&self, first: Duration) -> u32 {
        match first {
            first if first <= Duration::from_secs(5) => self.up_to_5s,
            first if first <= Duration::from_secs(10) => self.up_to_10s,
            first if first <= Duration::from_secs(30) => self.up_to_30s,
            first if first <= Duration::from_secs(300) => self.up_to_5m,
            _ => 0,
        }
    }
}

/// What people decided about single tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TestManagementSettings {
    /// Whether it is on.
    pub enabled: bool,
    /// How often a test that somebody says is fixed is repeated.
    pub attempt_to_fix_retries: u32,
}

impl Default for TestManagementSettings {
    fn default() -> Self {
        TestManagementSettings {
            enabled: false,
            attempt_to_fix_retries: 20,
        }
    }
}

/// The largest number of repetitions that is believed.
const MAX_RETRIES: u64 = 1000;

impl Settings {
    /// Reads an answer.
    pub fn parse(body: &[u8]) -> Result<Settings, BadAnswer> {
        let answer = BadAnswer::read(body)?;
        let attributes = answer
            .pointer("/data/attributes")
            .and_then(Value::as_object)
            .ok_or(BadAnswer::new("an object `data.attributes`"))?;
        let on = |key: &str| flag(attributes, key);
        Ok(Settings {
            itr_enabled: on("itr_enabled"),
            code_coverage: on("code_coverage"),
            tests_skipping: on("tests_skipping"),
            require_git: on("require_git"),
            known_tests_enabled: on("known_tests_enabled"),
            flaky_test_retries_enabled: on("flaky_test_retries_enabled"),
            impacted_tests_enabled: on("impacted_tests_enabled"),
            di_enabled: on("di_enabled"),
            coverage_report_upload_enabled: on("coverage_report_upload_enabled"),
            early_flake_detection: section(attributes, "early_flake_detection", |section| {
                let none = Map::new();
                let retries = match section.get("slow_test_retries") {
                    None | Some(Value::Null) => &none,
                    Some(value) => value.as_object()?,
                };
                let default = EarlyFlakeDetection::default();
                let each = default.slow_test_retries;
                Some(EarlyFlakeDetection {
                    enabled: flag(section, "enabled"),
                    slow_test_retries: SlowTestRetries {
                        up_to_5s: number(retries, "5s", MAX_RETRIES, each.up_to_5s)?,
                        up_to_10s: number(retries, "10s", MAX_RETRIES, each.up_to_10s)?,
                        up_to_30s: number(retries, "30s", MAX_RETRIES, each.up_to_30s)?,
                        up_to_5m: number(retries, "5m", MAX_RETRIES, each.up_to_5m)?,
                    },
                    faulty_session_threshold: number(
                        section,
                        "faulty_session_threshold",
                        100,
                        default.faulty_session_threshold,
                    )?,
                })
            }),
            test_management: section(attributes, "test_management", |section| {
                let default = TestManagementSettings::default();
                Some(TestManagementSettings {
                    enabled: flag(section, "enabled"),
                    attempt_to_fix_retries: number(
                        section,
                        "attempt_to_fix_retries",
                        MAX_RETRIES,
                        default.attempt_to_fix_retries,
                    )?,
                })
            }),
        })
    }
}

/// A boolean; anything else is off.
fn flag(object: &Map<String, Value>, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// A number of at most `max`; `default` if there is none, `None` if it is something else.
fn number(object: &Map<String, Value>, key: &str, max: u64, default: u32) -> Option<u32> {
    match object.get(key) {
        None | Some(Value::Null) => Some(default),
        Some(value) => u32::try_from(value.as_u64().filter(|number| *number <= max)?).ok(),
    }
}

/// A part of the answer; its default, which is off, if it is missing or wrong.
fn section<T: Default>(
    object: &Map<String, Value>,
    key: &str,
    read: impl FnOnce(&Map<String, Value>) -> Option<T>,
) -> T {
    object
        .get(key)
        .and_then(Value::as_object)
        .and_then(read)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(attributes: Value) -> Settings {
        let body = json!({"data": {"attributes": attributes}}).to_string();
        Settings::parse(body.as_bytes()).expect("a valid answer")
    }

    #[test]
    fn a_partial_answer_keeps_defaults() {
        let settings = parse(json!({
            "known_tests_enabled": true,
            "early_flake_detection": {"enabled": true, "slow_test_retries": {"10s": 7}},
            "test_management": {"enabled": true},
            "something_else": [1],
        }));
        assert!(settings.known_tests_enabled && !settings.itr_enabled);
        let efd = settings.early_flake_detection;
        assert!(efd.enabled);
        assert_eq!(efd.faulty_session_threshold, 30);
        let seconds = [0, 5, 6, 10, 11, 30, 31, 300, 301];
        let retries = seconds.map(|s| efd.slow_test_retries.after(Duration::from_secs(s)));
        assert_eq!(retries, [10, 10, 7, 7, 3, 3, 2, 2, 0]);
        assert!(settings.test_management.enabled);
        assert_eq!(settings.test_management.attempt_to_fix_retries, 20);
    }

    #[test]
    fn a_wrong_field_switches_off_only_its_feature() {
        for wrong in [
            json!({"enabled": true, "faulty_session_threshold": 101}),
            json!({"enabled": true, "faulty_session_threshold": "30"}),
            json!({"enabled": true, "slow_test_retries": {"5s": -1}}),
            json!({"enabled": true, "slow_test_retries": {"5s": 1001}}),
            json!({"enabled": true, "slow_test_retries": {"5s": 1.5}}),
            json!({"enabled": true, "slow_test_retries": [10]}),
            json!({"enabled": "yes"}),
            json!(true),
            json!(null),
        ] {
            let settings = parse(json!({"early_flake_detection": wrong, "itr_enabled": true}));
            assert!(settings.itr_enabled);
            assert!(!settings.early_flake_detection.enabled, "{wrong}");
        }
        let wrong = json!({"test_management": {"enabled": true, "attempt_to_fix_retries": 1e9}});
        assert!(!parse(wrong).test_management.enabled);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"data":[]}"#,
            r#"{"data":{"attributes":3}}"#,
            "{",
        ] {
            assert!(Settings::parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
