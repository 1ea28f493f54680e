//! A session: one run of tests, from its first question to its last event.
//!
//! ```text
//!   start ──> tags, route, settings ──> (program compiles) ──> plan ──> report … report ──> finish
//!                         └──> in the background: known tests, test management, commits, skippable
//! ```
//!
//! Only the settings have to be there before anything is compiled, since they decide about
//! coverage; [`Session::plan`] waits for the rest, within the budget. Reporting never waits. What is
//! to be closed (suites, modules, the session) the session knows from what was reported.
//!
//! All methods may be called from several tasks at once; a `Session` is a handle and cheap to clone.

mod begin;
mod launch;
mod links;
mod prepare;
mod record;
mod surroundings;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ddtrace_core::config::Environment;
use ddtrace_core::export::agent::{DeadlineSetter, deadline};
use tokio::sync::watch;

pub use launch::{Capabilities, Finish, Launch, Sent};

use record::Record;
use upload::Uploaded;

use crate::backend::{Asker, Backend, Settings, SkippingLevel};
use crate::ci::Tags;
use crate::codeowners::CodeOwners;
use crate::concurrent::both;
use crate::git::Marker;
use crate::model::tags::GIT_PULL_REQUEST_BASE_BRANCH_SHA;
use crate::model::{Attempt, SessionId, Status, TestIdentity, TestKind};
use crate::options::Options;
use crate::payload::{
    Configuration, Coverage, Event, FileCoverage, LogRecord, Metadata, ModuleEnd, SessionEnd,
    SuiteEnd, TestSpan, attempt_event,
};
use crate::payload_files;
use crate::selection::{Action, Candidate, Decision, Policy, RetryBudget, SkipCause, Verdict};
use crate::telemetry::{Metrics, Tag};
use crate::transport::RequestError;
use crate::writer::{Writer, threshold_for};

/// A run of tests. See the [module](self).
#[derive(Clone)]
pub struct Session(Arc<Inner>);

pub(crate) struct Inner {
    id: SessionId,
    options: Options,
    launch: Launch,
    environment: Arc<dyn Environment + Send + Sync>,
    name: String,
    workspace: PathBuf,
    settings: Settings,
    asker: Asker,
    site: String,
    hostname: String,
    configuration: Mutex<Configuration>,
    metadata: Arc<Mutex<Metadata>>,
    policy: watch::Receiver<Option<Arc<Policy>>>,
    preparing: Mutex<Option<tokio::task::JoinHandle<()>>>,
    record: Mutex<Record>,
    budget: RetryBudget,
    codeowners: Option<CodeOwners>,
    tests: Writer,
    coverage: Writer,
    logs: Option<Writer>,
    metrics: Arc<Metrics>,
    backend: Option<Arc<Backend>>,
    /// Where what the session counts about itself goes, if payloads go to files.
    telemetry_files: Option<PathBuf>,
    /// Where a marker was left that goes with the session.
    marker_in: Mutex<Option<PathBuf>>,
    /// Ends all deliveries.
    end: DeadlineSetter,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Session")
            .field("id", &self.0.id)
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// Takes what an upload found out.
    fn note_upload(&self, uploaded: &Uploaded) {
        if let Some(sha) = &uploaded.merge_base {
            let mut metadata = lock(&self.metadata);
            let base = metadata
                .all
                .entry(GIT_PULL_REQUEST_BASE_BRANCH_SHA.to_owned());
            base.or_insert_with(|| sha.clone());
        }
        if let Some(folder) = &uploaded.marker_in {
            *lock(&self.marker_in) = Some(folder.clone());
        }
    }

    fn put(&self, event: &Event) {
        self.tests.put(if self.tests.wants_json() {
            event.to_json()
        } else {
            event.to_msgpack()
        });
    }

    fn put_coverage(&self, coverage: &Coverage) {
        if coverage.files.is_empty() {
            self.metrics.count("code_coverage.is_empty", &[], 1);
            return;
        }
        let files = coverage.files.len() as f64;
        self.metrics.distribution("code_coverage.files", &[], files);
        self.coverage.put(if self.coverage.wants_json() {
            coverage.to_json()
        } else {
            coverage.to_msgpack()
        });
    }

    fn finished(&self, kind: &'static str, mut tags: Vec<Tag>) {
        let framework = self.launch.framework.clone();
        tags.push(Tag("event_type", kind.into()));
        tags.push(Tag("test_framework", framework.into()));
        self.metrics
            .count("event_created", &tags[tags.len() - 2..], 1);
        self.metrics.count("event_finished", &tags, 1);
    }

    fn close_module(&self, name: &str) {
        let module = {
            let mut record = lock(&self.record);
            let Some(module) = record.modules.get_mut(name).filter(|module| module.is_open) else {
                return;
            };
            module.is_open = false;
            module.clone()
        };
        let configuration = lock(&self.configuration).clone();
        for (suite_name, suite) in &module.suites {
            let source = suite.source();
            let owners = source.as_ref().and_then(|source| {
                let owners = self.codeowners.as_ref()?;
                owners.tag(&source.file)
            });
            let end = SuiteEnd {
                module: name,
                suite: suite_name,
                status: suite.status(),
                start: suite.span.start,
                duration: suite.span.duration(),
                source,
                codeowners: owners,
                is_skipped_by_impact: suite.is_skipped_by_impact(),
            };
            self.put(&end.event(&configuration));
            self.finished("suite", Vec::new());
            if !suite.coverage.is_empty() {
                self.put_coverage(&Coverage {
                    session_id: self.id.get(),
                    suite_id: self.id.suite_id(name, suite_name),
                    span_id: None,
                    files: suite.files(),
                });
            }
        }
        let end = ModuleEnd {
            module: name,
            module_path: &module.path,
            status: module.status(),
            start: module.span.start,
            duration: module.span.duration(),
        };
        self.put(&end.event(&configuration));
        self.finished("module", Vec::new());
    }
}

impl Session {
    /// The session's id, from which all others are derived.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What is on: what the backend said, after the user's switches.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The user's settings.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Tags of commit and pipeline.
    pub fn tags(&self) -> &Tags {
        &self.0.asker.tags
    }

    /// The service that is tested.
    pub fn service(&self) -> &str {
        &self.0.asker.service
    }

    /// The environment.
    pub fn env(&self) -> &str {
        &self.0.asker.env
    }

    /// The root of the repository, which paths of sources are relative to.
    pub fn workspace(&self) -> &Path {
        &self.0.workspace
    }

    /// What the session counts about itself; handed to core's telemetry when it ends.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Waits for what the backend knows, at most until the budget ends.
    pub async fn policy(&self) -> Arc<Policy> {
        let mut policy = self.0.policy.clone();
        match policy.wait_for(Option::is_some).await {
            Ok(policy) => policy.clone().unwrap_or_default(),
            // The task that prepares it is gone: nothing was answered.
            Err(_) => Arc::new(Policy::new(self.0.settings.clone(), Default::default())),
        }
    }

    /// Decides about tests, in their order. Call it with all tests of a module at once, and once
    /// for each, since new tests are counted.
    pub async fn plan(&self, candidates: &[Candidate]) -> Vec<Decision> {
        let inner = &self.0;
        let policy = self.policy().await;
        let early = &inner.settings.early_flake_detection;
        let (is_faulty, planned) = {
            let mut record = lock(&inner.record);
            record.planned += candidates.len();
            if early.enabled {
                let (new, known) = policy.count(candidates);
                record
                    .faulty
                    .observe(new, known, early.faulty_session_threshold);
            }
            (record.faulty.is_faulty(), record.planned)
        };
        if inner.options.flush_events.is_none() {
            inner.tests.set_threshold(threshold_for(planned));
        }
        let decide = |candidate| policy.decide(candidate, is_faulty);
        let decisions: Vec<Decision> = candidates.iter().map(decide).collect();
        let count = |name, is: fn(&Decision) -> bool| {
            let number = decisions.iter().filter(|decision| is(decision)).count() as u64;
            if number > 0 {
                let tag = Tag("event_type", "test".into());
                inner.metrics.count(name, &[tag], number);
            }
        };
        count("itr_skipped", Decision::is_skipped_by_impact);
        count("itr_unskippable", |decision| decision.is_unskippable);
        count("itr_forced_run", |decision| decision.is_forced_run);
        decisions
    }

    /// How many failed tests may still be run again.
    pub fn retry_budget(&self) -> &RetryBudget {
        &self.0.budget
    }

    /// The ids of an attempt's trace and span, for what happens inside of it.
    pub fn attempt_ids(&self, test: &TestIdentity, attempt: u32) -> (u64, u64) {
        let id = self.0.id;
        (id.trace_id(test, attempt), id.span_id(test, attempt))
    }

    /// Reports a run of a test. `verdict` comes with the last one.
    pub fn report(&self, attempt: &Attempt, decision: &Decision, verdict: Option<&Verdict>) {
        let inner = &self.0;
        let owners = attempt.source.as_ref().zip(inner.codeowners.as_ref());
        let owners = owners.and_then(|(source, owners)| owners.tag(&source.file));
        let configuration = lock(&inner.configuration).clone();
        let event = attempt_event(
            &configuration,
            attempt,
            decision,
            verdict,
            owners.as_deref(),
        );
        lock(&inner.record).add(attempt, decision, verdict);
        inner.put(&event);
        let flags = [
            ("is_benchmark", attempt.kind == TestKind::Benchmark),
            ("is_new", decision.is_new),
            ("is_retry", attempt.retry_reason.is_some()),
            ("is_quarantined", decision.is_quarantined),
            ("is_disabled", decision.is_disabled),
            ("is_attempt_to_fix", decision.is_attempt_to_fix),
            (
                "has_failed_all_retries",
                verdict.is_some_and(|all| all.has_failed_all_retries),
            ),
        ];
        let flags = flags.into_iter().filter(|(_, is_set)| *is_set);
        let mut tags: Vec<Tag> = flags.map(|(name, _)| Tag(name, "true".into())).collect();
        if verdict.is_some_and(|verdict| verdict.is_aborted_slow) {
            tags.push(Tag("early_flake_detection_abort_reason", "slow".into()));
        }
        inner.finished("test", tags);
    }

    /// Reports a test that is not run, as was decided. Does nothing for one that is to be run, or
    /// that makes no event.
    pub fn report_skipped(&self, candidate: &Candidate, module_path: &str, decision: &Decision) {
        let Action::Skip(cause) = decision.action else {
            return;
        };
        if cause == SkipCause::NotAttemptedToFix {
            return;
        }
        let now = SystemTime::now();
        let identity = candidate.identity.clone();
        let mut attempt = Attempt::new(identity, Status::Skip, now, Duration::ZERO);
        attempt.source.clone_from(&candidate.source);
        attempt.module_path = module_path.to_owned();
        attempt.skip_reason = Some(cause.reason().to_owned());
        let verdict = Verdict::of_single(Status::Skip, decision);
        self.report(&attempt, decision, Some(&verdict));
    }

    /// Reports a test that the program itself ignores.
    pub fn report_ignored(
        &self,
        candidate: &Candidate,
        module_path: &str,
        reason: Option<&str>,
        decision: &Decision,
    ) {
        let identity = candidate.identity.clone();
        let now = SystemTime::now();
        let mut attempt = Attempt::new(identity, Status::Skip, now, Duration::ZERO);
        attempt.source.clone_from(&candidate.source);
        attempt.module_path = module_path.to_owned();
        attempt.skip_reason = reason.map(str::to_owned);
        let verdict = Verdict::of_single(Status::Skip, decision);
        self.report(&attempt, decision, Some(&verdict));
    }

    /// Reports which lines the last run of a test ran. After [`Session::report`] of that run.
    pub fn report_coverage(&self, test: &TestIdentity, attempt: u32, mut files: Vec<FileCoverage>) {
        let inner = &self.0;
        if inner.options.file_level_coverage {
            for file in &mut files {
                file.lines = crate::coverage::Bitmap::of_file();
            }
        }
        if inner.asker.level == SkippingLevel::Suite {
            lock(&inner.record).cover(&test.module, &test.suite, files);
            return;
        }
        inner.put_coverage(&Coverage {
            session_id: inner.id.get(),
            suite_id: inner.id.suite_id(&test.module, &test.suite),
            span_id: Some(inner.id.span_id(test, attempt)),
            files,
        });
    }

    /// Whether logs are sent.
    pub fn wants_logs(&self) -> bool {
        self.0.logs.is_some()
    }

    /// Reports what a test wrote, if logs are sent.
    pub fn report_log(&self, record: &LogRecord) {
        if let Some(logs) = &self.0.logs {
            logs.put(record.to_json(&self.0.asker.service, &self.0.hostname));
        }
    }

    /// Reports a span that a test made.
    pub fn report_span(&self, span: TestSpan) {
        self.0.put(&span.event());
    }

    /// Ends a module and its suites. What is reported of it later ends it again with the session.
    pub fn close_module(&self, module: &str) {
        self.0.close_module(module);
    }

    /// Uploads a coverage report: `lcov`.
    pub async fn upload_coverage_report(
        &self,
        format: &str,
        report: &[u8],
        within: Duration,
    ) -> Result<(), RequestError> {
        let inner = &self.0;
        let backend = inner.backend.as_ref().ok_or(RequestError::Interrupted)?;
        let (setter, mut limit) = deadline();
        setter.set((Instant::now() + within).into());
        let flags = &inner.options.coverage_flags;
        let asker = &inner.asker;
        backend
            .coverage_report(asker, format, report, flags, &mut limit)
            .await
    }

    /// Uploads a JUnit file, which agents do not forward.
    pub async fn upload_junit(
        &self,
        name: &str,
        xml: &str,
        within: Duration,
    ) -> Result<(), RequestError> {
        let inner = &self.0;
        let backend = inner.backend.as_ref().ok_or(RequestError::Interrupted)?;
        let (setter, mut limit) = deadline();
        setter.set((Instant::now() + within).into());
        let hostname = &inner.hostname;
        backend
            .junit(&inner.asker, hostname, name, xml, &mut limit)
            .await
    }

    /// Ends what is open, delivers what is left, and says what was delivered. Returns after
    /// `within` at the latest; a second call does nothing.
    pub async fn finish(&self, finish: &Finish, within: Duration) -> Sent {
        let inner = &self.0;
        let is_second = std::mem::replace(&mut lock(&inner.record).is_finished, true);
        if is_second {
            return self.sent();
        }
        let (names, skipped, is_faulty) = {
            let record = lock(&inner.record);
            let names: Vec<String> = record.modules.keys().cloned().collect();
            (names, record.skipped_by_impact, record.faulty.is_faulty())
        };
        inner.end.set((Instant::now() + within).into());
        if let Some(preparing) = lock(&inner.preparing).take() {
            preparing.abort();
        }
        for name in &names {
            inner.close_module(name);
        }
        let settings = &inner.settings;
        let interrupted = [("test.rust.interrupted".to_owned(), "true".to_owned())];
        let end = SessionEnd {
            name: &inner.name,
            command: &inner.launch.command,
            status: if finish.exit_ok {
                Status::Pass
            } else {
                Status::Fail
            },
            start: inner.launch.start,
            duration: inner.launch.start.elapsed().unwrap_or_default(),
            code_coverage: settings.code_coverage,
            impact: settings.itr_enabled.then_some(skipped),
            early_flake_detection: settings.early_flake_detection.enabled,
            is_faulty,
            test_management: settings.test_management.enabled,
            lines_pct: finish.lines_pct,
            meta: if finish.interrupted {
                &interrupted
            } else {
                &[]
            },
        };
        let configuration = lock(&inner.configuration).clone();
        inner.put(&end.event(&configuration));
        inner.finished("session", Vec::new());
        let logs = async {
            if let Some(logs) = &inner.logs {
                logs.finish().await;
            }
        };
        both(both(inner.tests.finish(), inner.coverage.finish()), logs).await;
        if let Some(folder) = lock(&inner.marker_in).take() {
            Marker::remove(&folder);
        }
        let taken = inner.metrics.take();
        match &inner.telemetry_files {
            Some(folder) => {
                for file in taken.files(SystemTime::now()) {
                    // Nobody is left to hear of it.
                    let _ = payload_files::write(folder, "telemetry", file.to_string().as_bytes());
                }
            }
            None => taken.report(),
        }
        self.sent()
    }

    fn sent(&self) -> Sent {
        let inner = &self.0;
        let (events, events_dropped) = inner.tests.counts();
        let (coverages, coverages_dropped) = inner.coverage.counts();
        let (logs, logs_dropped) = inner.logs.as_ref().map_or((0, 0), Writer::counts);
        Sent {
            events,
            events_dropped,
            coverages,
            coverages_dropped,
            logs,
            logs_dropped,
            skipped_by_impact: lock(&inner.record).skipped_by_impact,
        }
    }
}

#[cfg(all(test, unix))]
mod session_tests;
