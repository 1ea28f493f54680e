//! What the user has set, out of core's table of settings.

use std::path::PathBuf;
use std::time::Duration;

use ddtrace_core::config::{Config, Name, Origin, Value};

use crate::backend::{Settings, SkippingLevel};

/// The settings of this product. Kill switches only switch off what the backend has switched on,
/// unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each field is a row of core's table of settings, which documents it"
)]
pub struct Options {
    pub enabled: bool,
    pub agentless: bool,
    pub agentless_url: Option<String>,
    pub request_timeout: Duration,
    pub session_name: Option<String>,
    pub itr: bool,
    pub skipping_level: SkippingLevel,
    pub force_coverage: bool,
    pub prevent_skipping: bool,
    pub file_level_coverage: bool,
    pub early_flake_detection: bool,
    pub early_flake_retries: Option<u32>,
    pub auto_test_retries: bool,
    pub retries_per_test: u32,
    pub retried_tests_per_session: u32,
    pub out_of_session_retries: bool,
    pub test_management: bool,
    pub attempt_to_fix_retries: Option<u32>,
    pub only_attempts_to_fix: bool,
    pub impacted_tests: bool,
    pub known_tests_max_pages: u32,
    pub git_upload: bool,
    pub git_unshallow: bool,
    /// `None`: what the backend says.
    pub coverage_report_upload: Option<bool>,
    pub coverage_flags: Vec<String>,
    /// Whether what tests print is sent.
    pub logs: bool,
    /// An explicit number of events that make a payload.
    pub flush_events: Option<usize>,
    pub auto_instrumentation_provider: Option<String>,
    pub manifest_file: Option<PathBuf>,
    pub payloads_in_files: bool,
    pub env_data_file: Option<PathBuf>,
    pub discovery: bool,
    pub discovery_file: PathBuf,
    pub subdomain: Option<String>,
}

impl Options {
    /// Takes them out of a configuration.
    pub fn read(config: &Config) -> Options {
        let flag = |name| maybe_flag(config, name).unwrap_or(false);
        let number = |name| maybe_number(config, name);
        let text = |name| maybe_text(config, name);
        let agentless = flag(Name::DD_CIVISIBILITY_AGENTLESS_ENABLED);
        // Logs are off unless asked for, though the setting of other products is on by itself.
        let injects_logs = config.setting(Name::DD_LOGS_INJECTION).effective();
        let injects_logs = injects_logs.origin != Origin::Default && config.logs_injection;
        let submits_logs = flag(Name::DD_AGENTLESS_LOG_SUBMISSION_ENABLED) && agentless;
        let spans = config.setting(Name::DD_TRACE_PARTIAL_FLUSH_MIN_SPANS);
        let is_explicit = spans.effective().origin != Origin::Default;
        let spans = is_explicit.then_some(config.partial_flush_min_spans);
        let own_flush = number(Name::_DD_CIVISIBILITY_PARTIAL_FLUSH_MIN_SPANS);
        Options {
            enabled: flag(Name::DD_CIVISIBILITY_ENABLED),
            agentless,
            agentless_url: text(Name::DD_CIVISIBILITY_AGENTLESS_URL),
            request_timeout: Duration::from_millis(u64::from(
                number(Name::DD_CIVISIBILITY_BACKEND_API_TIMEOUT_MILLIS).unwrap_or(30_000),
            )),
            session_name: text(Name::DD_TEST_SESSION_NAME),
            itr: flag(Name::DD_CIVISIBILITY_ITR_ENABLED),
            skipping_level: if flag(Name::_DD_CIVISIBILITY_ITR_SUITE_MODE) {
                SkippingLevel::Suite
            } else {
                SkippingLevel::Test
            },
            force_coverage: flag(Name::_DD_CIVISIBILITY_ITR_FORCE_ENABLE_COVERAGE),
            prevent_skipping: flag(Name::_DD_CIVISIBILITY_ITR_PREVENT_TEST_SKIPPING),
            file_level_coverage: flag(Name::_DD_COVERAGE_FILE_LEVEL),
            early_flake_detection: flag(Name::DD_CIVISIBILITY_EARLY_FLAKE_DETECTION_ENABLED),
            early_flake_retries: number(Name::DD_TEST_EARLY_FLAKE_DETECTION_RETRY_COUNT),
            auto_test_retries: flag(Name::DD_CIVISIBILITY_FLAKY_RETRY_ENABLED),
            retries_per_test: number(Name::DD_CIVISIBILITY_FLAKY_RETRY_COUNT).unwrap_or(5),
            retried_tests_per_session: number(Name::DD_CIVISIBILITY_TOTAL_FLAKY_RETRY_COUNT)
                .unwrap_or(1000),
            out_of_session_retries: flag(Name::_DD_CIVISIBILITY_OUT_OF_SESSION_RETRIES_ENABLED),
            test_management: flag(Name::DD_TEST_MANAGEMENT_ENABLED),
            attempt_to_fix_retries: number(Name::DD_TEST_MANAGEMENT_ATTEMPT_TO_FIX_RETRIES),
            only_attempts_to_fix: flag(Name::_DD_TEST_MANAGEMENT_ATF_ALL_FLAKY),
            impacted_tests: flag(Name::DD_CIVISIBILITY_IMPACTED_TESTS_DETECTION_ENABLED),
            known_tests_max_pages: number(Name::_DD_CIVISIBILITY_KNOWN_TESTS_MAX_PAGES)
                .unwrap_or(10_000),
            git_upload: flag(Name::DD_CIVISIBILITY_GIT_UPLOAD_ENABLED),
            git_unshallow: flag(Name::DD_CIVISIBILITY_GIT_UNSHALLOW_ENABLED),
            coverage_report_upload: maybe_flag(
                config,
                Name::DD_CIVISIBILITY_CODE_COVERAGE_REPORT_UPLOAD_ENABLED,
            ),
            coverage_flags: match value(config, Name::DD_CODE_COVERAGE_FLAGS) {
                Some(Value::List(flags)) => flags.clone(),
                _ => Vec::new(),
            },
            logs: injects_logs || submits_logs,
            flush_events: own_flush.map(|events| events as usize).or(spans),
            auto_instrumentation_provider: text(
                Name::DD_CIVISIBILITY_AUTO_INSTRUMENTATION_PROVIDER,
            ),
            manifest_file: text(Name::DD_TEST_OPTIMIZATION_MANIFEST_FILE).map(PathBuf::from),
            payloads_in_files: flag(Name::DD_TEST_OPTIMIZATION_PAYLOADS_IN_FILES),
            env_data_file: text(Name::DD_TEST_OPTIMIZATION_ENV_DATA_FILE).map(PathBuf::from),
            discovery: flag(Name::DD_TEST_OPTIMIZATION_DISCOVERY_ENABLED),
            discovery_file: text(Name::DD_TEST_OPTIMIZATION_DISCOVERY_FILE)
                .map(PathBuf::from)
                .unwrap_or_default(),
            subdomain: text(Name::DD_SUBDOMAIN),
        }
    }

    /// What is on after the user's switches (`spec/ci-visibility.md` §11).
    pub fn apply(&self, mut settings: Settings) -> Settings {
        settings.code_coverage |= self.force_coverage;
        settings.itr_enabled &= self.itr;
        // Skipping and its coverage are parts of Test Impact Analysis.
        settings.tests_skipping &= settings.itr_enabled && !self.prevent_skipping;
        settings.code_coverage &= settings.itr_enabled || self.force_coverage;
        settings.early_flake_detection.enabled &=
            self.early_flake_detection && settings.known_tests_enabled;
        settings.flaky_test_retries_enabled &= self.auto_test_retries;
        settings.test_management.enabled &= self.test_management;
        settings.impacted_tests_enabled &= self.impacted_tests;
        if let Some(retries) = self.attempt_to_fix_retries {
            settings.test_management.attempt_to_fix_retries = retries;
        }
        if self.only_attempts_to_fix {
            settings.test_management.enabled = true;
            settings.known_tests_enabled = false;
            settings.early_flake_detection.enabled = false;
            settings.tests_skipping = false;
        }
        if let Some(upload) = self.coverage_report_upload {
            settings.coverage_report_upload_enabled = upload;
        }
        settings
    }
}

fn value(config: &Config, name: Name) -> Option<&Value> {
    config.setting(name).effective().value.as_ref()
}

fn maybe_flag(config: &Config, name: Name) -> Option<bool> {
    match value(config, name) {
        Some(Value::Flag(flag)) => Some(*flag),
        _ => None,
    }
}

fn maybe_number(config: &Config, name: Name) -> Option<u32> {
    match value(config, name) {
        Some(Value::Integer(number)) => u32::try_from(*number).ok(),
        _ => None,
    }
}

fn maybe_text(config: &Config, name: Name) -> Option<String> {
    match value(config, name) {
        Some(Value::Text(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace_core::config::MapEnvironment;

    fn options(variables: &[(&str, &str)]) -> Options {
        let mut environment = MapEnvironment::new();
        for (name, value) in variables {
            environment = environment.variable(*name, *value);
        }
        Options::read(&Config::builder().environment(&environment).build())
    }

    /// All that a backend can switch on, with the numbers of `spec/ci-visibility.md` §6.1.
    fn all_on() -> Settings {
        Settings {
            itr_enabled: true,
            code_coverage: true,
            tests_skipping: true,
            known_tests_enabled: true,
            flaky_test_retries_enabled: true,
            impacted_tests_enabled: true,
            coverage_report_upload_enabled: true,
            early_flake_detection: crate::backend::EarlyFlakeDetection {
                enabled: true,
                ..Default::default()
            },
            test_management: crate::backend::TestManagementSettings {
                enabled: true,
                ..Default::default()
            },
            ..Settings::default()
        }
    }

    #[test]
    fn without_variables_nothing_is_changed() {
        let options = options(&[]);
        assert!(options.enabled && !options.agentless && !options.logs);
        assert_eq!(options.request_timeout, Duration::from_secs(30));
        assert_eq!(
            (options.retries_per_test, options.retried_tests_per_session),
            (5, 1000)
        );
        assert_eq!(options.flush_events, None);
        assert_eq!(options.apply(all_on()), all_on());
        assert_eq!(options.apply(Settings::default()), Settings::default());
    }

    #[test]
    fn each_switch_changes_its_feature_only() {
        type Change = fn(&mut Settings);
        let cases: [(&str, &str, Change); 11] = [
            ("DD_CIVISIBILITY_ITR_ENABLED", "0", |all| {
                (all.itr_enabled, all.tests_skipping, all.code_coverage) = (false, false, false);
            }),
            ("_DD_CIVISIBILITY_ITR_PREVENT_TEST_SKIPPING", "1", |all| {
                all.tests_skipping = false;
            }),
            (
                "DD_CIVISIBILITY_EARLY_FLAKE_DETECTION_ENABLED",
                "false",
                |all| {
                    all.early_flake_detection.enabled = false;
                },
            ),
            ("DD_CIVISIBILITY_FLAKY_RETRY_ENABLED", "false", |all| {
                all.flaky_test_retries_enabled = false;
            }),
            ("DD_TEST_MANAGEMENT_ENABLED", "false", |all| {
                all.test_management.enabled = false;
            }),
            ("DD_TEST_MANAGEMENT_ATTEMPT_TO_FIX_RETRIES", "3", |all| {
                all.test_management.attempt_to_fix_retries = 3;
            }),
            ("DD_TEST_MANAGEMENT_ATTEMPT_TO_FIX_RETRIES", "many", |_| {}),
            (
                "DD_CIVISIBILITY_IMPACTED_TESTS_DETECTION_ENABLED",
                "false",
                |all| {
                    all.impacted_tests_enabled = false;
                },
            ),
            (
                "DD_CIVISIBILITY_CODE_COVERAGE_REPORT_UPLOAD_ENABLED",
                "0",
                |all| {
                    all.coverage_report_upload_enabled = false;
                },
            ),
            ("_DD_TEST_MANAGEMENT_ATF_ALL_FLAKY", "true", |all| {
                all.known_tests_enabled = false;
                all.tests_skipping = false;
                all.early_flake_detection.enabled = false;
            }),
            ("_DD_CIVISIBILITY_ITR_FORCE_ENABLE_COVERAGE", "1", |_| {}),
        ];
        for (name, value, change) in cases {
            let mut expected = all_on();
            change(&mut expected);
            assert_eq!(
                options(&[(name, value)]).apply(all_on()),
                expected,
                "{name}={value}"
            );
        }
    }

    #[test]
    fn some_switches_switch_on() {
        let forced = [("_DD_CIVISIBILITY_ITR_FORCE_ENABLE_COVERAGE", "1")];
        assert!(options(&forced).apply(Settings::default()).code_coverage);
        let upload = [(
            "DD_CIVISIBILITY_CODE_COVERAGE_REPORT_UPLOAD_ENABLED",
            "true",
        )];
        let settings = options(&upload).apply(Settings::default());
        assert!(settings.coverage_report_upload_enabled);
    }

    #[test]
    fn logs_are_sent_only_if_asked_for() {
        let submission = ("DD_AGENTLESS_LOG_SUBMISSION_ENABLED", "true");
        let agentless = ("DD_CIVISIBILITY_AGENTLESS_ENABLED", "1");
        for (variables, expected) in [
            (&[("DD_LOGS_INJECTION", "true")][..], true),
            (&[("DD_LOGS_INJECTION", "false")], false),
            (&[submission], false),
            (&[submission, agentless], true),
        ] {
            assert_eq!(options(variables).logs, expected, "{variables:?}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_not_used() {
        let options = options(&[
            ("DD_CIVISIBILITY_BACKEND_API_TIMEOUT_MILLIS", "300001"),
            ("DD_CIVISIBILITY_FLAKY_RETRY_COUNT", "1001"),
            ("DD_TEST_EARLY_FLAKE_DETECTION_RETRY_COUNT", "-1"),
            ("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", "7"),
        ]);
        assert_eq!(options.request_timeout, Duration::from_secs(30));
        assert_eq!(options.retries_per_test, 5);
        assert_eq!(options.early_flake_retries, None);
        assert_eq!(options.flush_events, Some(7));
    }
}
