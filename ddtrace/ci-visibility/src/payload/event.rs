//! Events: what became of an attempt, a suite, a module, the session, as tags and numbers.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::cut;
use crate::backend::SkippingLevel;
use crate::model::tags::*;
use crate::model::{Attempt, SessionId, Source, Status};
use crate::selection::{Decision, Verdict};

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// An attempt of a test.
    Test,
    /// The end of a suite.
    Suite,
    /// The end of a module.
    Module,
    /// The end of the session.
    Session,
    /// A span inside of a test.
    Span,
}

impl EventKind {
    /// The value of `type`, in the event and in its content.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Test => "test",
            EventKind::Suite => "test_suite_end",
            EventKind::Module => "test_module_end",
            EventKind::Session => "test_session_end",
            EventKind::Span => "span",
        }
    }

    /// The version of the event's layout.
    pub fn version(self) -> u32 {
        match self {
            EventKind::Test => 2,
            _ => 1,
        }
    }
}

/// An event, ready to be written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Its kind.
    pub kind: EventKind,
    /// The `type` of the content: that of the kind, except for spans.
    pub content_type: String,
    /// Trace, span and parent, of tests and spans.
    pub trace: Option<(u64, u64, u64)>,
    /// The session; none for spans.
    pub session_id: Option<u64>,
    /// The module.
    pub module_id: Option<u64>,
    /// The suite.
    pub suite_id: Option<u64>,
    /// What the backend said with the list of skippable tests.
    pub itr_correlation_id: Option<String>,
    /// The operation.
    pub name: String,
    /// What it was done to.
    pub resource: String,
    /// The service.
    pub service: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
    /// 1 if it failed.
    pub error: i32,
    /// Texts.
    pub meta: BTreeMap<String, String>,
    /// Numbers.
    pub metrics: BTreeMap<String, f64>,
}

/// What all events of a session have in common.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Configuration {
    /// The session.
    pub session: SessionId,
    /// The service.
    pub service: String,
    /// Whether tests are skipped.
    pub tests_skipping: bool,
    /// What is skipped as one.
    pub skipping_level: SkippingLevel,
    /// What the backend said with the list of skippable tests.
    pub correlation_id: Option<String>,
    /// What could not be asked: `settings`, `known_tests`, `test_management_tests`, `skippable_tests`.
    pub errors: Vec<&'static str>,
}

impl Configuration {
    /// That of a session about which the backend said nothing.
    pub fn new(session: SessionId, service: impl Into<String>) -> Configuration {
        Configuration {
            session,
            service: service.into(),
            tests_skipping: false,
            skipping_level: SkippingLevel::Test,
            correlation_id: None,
            errors: Vec::new(),
        }
    }

    fn event(&self, kind: EventKind, name: &str, resource: &str, status: Status) -> Event {
        let mut event = Event {
            kind,
            content_type: kind.as_str().to_owned(),
            trace: None,
            session_id: Some(self.session.get()),
            module_id: None,
            suite_id: None,
            itr_correlation_id: None,
            name: name.to_owned(),
            resource: resource.to_owned(),
            service: self.service.clone(),
            start: 0,
            duration: 0,
            error: 0,
            meta: BTreeMap::new(),
            metrics: BTreeMap::new(),
        };
        event.set(TYPE, kind.as_str());
        event.set(SPAN_KIND, "test");
        event.set(TEST_STATUS, status.as_str());
        event.set(
            TEST_ITR_TESTS_SKIPPING_ENABLED,
            boolean(self.tests_skipping),
        );
        for error in &self.errors {
            event.set(
                &format!("_dd.ci.library_configuration_error.{error}"),
                "true",
            );
        }
        event.number("_dd.tracer_kr", 1.0);
        event.number("_sampling_priority_v1", 1.0);
        event
    }
}

fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

impl Event {
    fn set(&mut self, tag: &str, value: &str) {
        self.meta.insert(tag.to_owned(), cut(value).to_owned());
    }

    fn set_some(&mut self, tag: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.set(tag, value);
        }
    }

    fn mark(&mut self, tag: &str, is_set: bool) {
        if is_set {
            self.set(tag, "true");
        }
    }

    fn number(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), value);
    }

    fn at(&mut self, start: SystemTime, duration: Duration) {
        self.start = nanoseconds(start.duration_since(UNIX_EPOCH).unwrap_or_default());
        self.duration = nanoseconds(duration);
    }

    fn source(&mut self, source: Option<&Source>, codeowners: Option<&str>) {
        if let Some(source) = source {
            self.set(TEST_SOURCE_FILE, &source.file);
            for (tag, line) in [
                (TEST_SOURCE_START, source.start),
                (TEST_SOURCE_END, source.end),
            ] {
                if line > 0 {
                    self.set(tag, &line.to_string());
                }
            }
        }
        self.set_some(TEST_CODEOWNERS, codeowners);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The event of an attempt. `verdict` is there with the last one.
pub fn attempt_event(
    configuration: &Configuration,
    attempt: &Attempt,
    decision: &Decision,
    verdict: Option<&Verdict>,
    codeowners: Option<&str>,
) -> Event {
    let test = &attempt.identity;
    let session = configuration.session;
    let mut event = configuration.event(EventKind::Test, "rust.test", &test.name, attempt.status);
    // What the caller adds comes first: it does not replace what follows.
    for (key, value) in &attempt.meta {
        event
            .meta
            .entry(key.clone())
            .or_insert_with(|| cut(value).to_owned());
    }
    for (key, value) in &attempt.metrics {
        event.metrics.entry(key.clone()).or_insert(*value);
    }
    let number = attempt.number;
    event.trace = Some((
        session.trace_id(test, number),
        session.span_id(test, number),
        0,
    ));
    event.module_id = Some(session.module_id(&test.module));
    event.suite_id = Some(session.suite_id(&test.module, &test.suite));
    if configuration.skipping_level == SkippingLevel::Test {
        event
            .itr_correlation_id
            .clone_from(&configuration.correlation_id);
    }
    event.at(attempt.start, attempt.duration);
    event.error = i32::from(attempt.status == Status::Fail);
    event.set(TEST_NAME, &test.name);
    event.set(TEST_SUITE, &test.suite);
    event.set(TEST_MODULE, &test.module);
    event.set_some(TEST_MODULE_PATH, Some(&attempt.module_path));
    event.set_some(TEST_PARAMETERS, test.parameters.as_deref());
    event.set(TEST_TYPE, attempt.kind.as_str());
    event.set_some(TEST_SKIP_REASON, attempt.skip_reason.as_deref());
    event.source(attempt.source.as_ref(), codeowners);
    if let Some(failure) = &attempt.failure {
        event.set_some(ERROR_TYPE, Some(&failure.kind));
        event.set_some(ERROR_MESSAGE, Some(&failure.message));
        event.set_some(ERROR_STACK, Some(&failure.stack));
    }
    if let Some((framework, version)) = &attempt.framework {
        event.set(TEST_FRAMEWORK, framework);
        event.set(COMPONENT, framework);
        event.set_some(TEST_FRAMEWORK_VERSION, Some(version));
    }
    let mode = attempt.execution_mode.map(|mode| mode.as_str());
    event.set_some(TEST_RUST_EXECUTION_MODE, mode);
    event.set_some(TEST_RUST_EXIT_SIGNAL, attempt.exit_signal.as_deref());
    event.mark(TEST_RUST_SHOULD_PANIC, attempt.should_panic);
    event.mark(TEST_IS_RETRY, attempt.retry_reason.is_some());
    let reason = attempt.retry_reason.map(|reason| reason.as_str());
    event.set_some(TEST_RETRY_REASON, reason);
    event.mark(TEST_IS_NEW, decision.is_new);
    event.mark(TEST_IS_MODIFIED, decision.is_modified);
    event.mark(TEST_IS_QUARANTINED, decision.is_quarantined);
    event.mark(TEST_IS_DISABLED, decision.is_disabled);
    event.mark(TEST_IS_ATTEMPT_TO_FIX, decision.is_attempt_to_fix);
    event.mark(TEST_SKIPPED_BY_ITR, decision.is_skipped_by_impact());
    event.mark(TEST_ITR_UNSKIPPABLE, decision.is_unskippable);
    event.mark(TEST_ITR_FORCED_RUN, decision.is_forced_run);
    if let Some(verdict) = verdict {
        event.set(TEST_FINAL_STATUS, verdict.status.as_str());
        event.mark(TEST_HAS_FAILED_ALL_RETRIES, verdict.has_failed_all_retries);
        let fixed = verdict.attempt_to_fix_passed.map(boolean);
        event.set_some(TEST_ATTEMPT_TO_FIX_PASSED, fixed);
        let slow = verdict.is_aborted_slow.then_some("slow");
        event.set_some(TEST_EARLY_FLAKE_ABORT_REASON, slow);
    }
    event.number("_dd.top_level", 1.0);
    event
}

/// The end of a suite.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are tags, whose names say it")]
pub struct SuiteEnd<'a> {
    pub module: &'a str,
    pub suite: &'a str,
    pub status: Status,
    pub start: SystemTime,
    pub duration: Duration,
    /// If all its tests stand in one file.
    pub source: Option<Source>,
    pub codeowners: Option<String>,
    /// Whether all of it was skipped because the change cannot affect it.
    pub is_skipped_by_impact: bool,
}

impl SuiteEnd<'_> {
    /// The event.
    pub fn event(&self, configuration: &Configuration) -> Event {
        let session = configuration.session;
        let mut event =
            configuration.event(EventKind::Suite, "rust.test_suite", self.suite, self.status);
        event.module_id = Some(session.module_id(self.module));
        event.suite_id = Some(session.suite_id(self.module, self.suite));
        if configuration.skipping_level == SkippingLevel::Suite {
            event
                .itr_correlation_id
                .clone_from(&configuration.correlation_id);
        }
        event.at(self.start, self.duration);
        event.set(TEST_SUITE, self.suite);
        event.set(TEST_MODULE, self.module);
        event.source(self.source.as_ref(), self.codeowners.as_deref());
        event.mark(TEST_SKIPPED_BY_ITR, self.is_skipped_by_impact);
        event
    }
}

/// The end of a module.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are tags, whose names say it")]
pub struct ModuleEnd<'a> {
    pub module: &'a str,
    pub module_path: &'a str,
    pub status: Status,
    pub start: SystemTime,
    pub duration: Duration,
}

impl ModuleEnd<'_> {
    /// The event.
    pub fn event(&self, configuration: &Configuration) -> Event {
        let mut event = configuration.event(
            EventKind::Module,
            "rust.test_module",
            self.module,
            self.status,
        );
        event.module_id = Some(configuration.session.module_id(self.module));
        event.at(self.start, self.duration);
        event.set(TEST_MODULE, self.module);
        event.set_some(TEST_MODULE_PATH, Some(self.module_path));
        event
    }
}

/// The end of the session.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are tags, whose names say it")]
pub struct SessionEnd<'a> {
    pub name: &'a str,
    pub command: &'a str,
    pub status: Status,
    pub start: SystemTime,
    pub duration: Duration,
    pub code_coverage: bool,
    /// Whether Test Impact Analysis is on, and how many tests it skipped.
    pub impact: Option<u64>,
    pub early_flake_detection: bool,
    pub is_faulty: bool,
    pub test_management: bool,
    pub lines_pct: Option<f64>,
    /// Further tags.
    pub meta: &'a [(String, String)],
}

impl SessionEnd<'_> {
    /// The event.
    pub fn event(&self, configuration: &Configuration) -> Event {
        let mut event = configuration.event(
            EventKind::Session,
            "rust.test_session",
            self.name,
            self.status,
        );
        for (key, value) in self.meta {
            event.set(key, value);
        }
        event.at(self.start, self.duration);
        event.set(TEST_COMMAND, self.command);
        event.set(TEST_CODE_COVERAGE_ENABLED, boolean(self.code_coverage));
        if let Some(skipped) = self.impact {
            let level = configuration.skipping_level.as_str();
            event.set(ITR_TESTS_SKIPPED, boolean(skipped > 0));
            event.set(TEST_ITR_TESTS_SKIPPED, boolean(skipped > 0));
            event.set(TEST_ITR_TESTS_SKIPPING_TYPE, level);
            event.number(TEST_ITR_TESTS_SKIPPING_COUNT, skipped as f64);
        }
        event.mark(TEST_EARLY_FLAKE_ENABLED, self.early_flake_detection);
        let faulty = self.is_faulty.then_some("faulty");
        event.set_some(TEST_EARLY_FLAKE_ABORT_REASON, faulty);
        event.mark(TEST_MANAGEMENT_ENABLED, self.test_management);
        if let Some(percentage) = self.lines_pct {
            event.number(TEST_CODE_COVERAGE_LINES_PCT, percentage);
        }
        event.number("_dd.top_level", 1.0);
        event
    }
}
