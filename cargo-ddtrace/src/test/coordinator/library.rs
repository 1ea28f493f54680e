//! The session of the library, or its absence.
//!
//! Without a backend everything runs once and counts as libtest counts it; the summary is still written. So the rest of
//! the coordinator asks here and does not care.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Coverage;
use ddtrace_ci_visibility::Session;
use ddtrace_ci_visibility::model::{Attempt, SessionId, Status, TestIdentity};
use ddtrace_ci_visibility::payload::{FileCoverage, LogRecord, TestSpan};
use ddtrace_ci_visibility::selection::{Candidate, Decision, RetryBudget, Verdict};
use ddtrace_ci_visibility::session::{Finish, Launch};
use ddtrace_core::config::{Config, Environment, ProcessEnvironment};

/// How long the last events may take to be delivered.
const DELIVERY: Duration = Duration::from_secs(15);
/// The same after Ctrl-C.
const HURRIED: Duration = Duration::from_secs(5);

/// What decides and reports.
pub(crate) enum Library {
    /// A session that is reported.
    On(Box<Session>),
    /// Nobody to ask and nobody to tell.
    Off(RetryBudget),
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Library::On(_) => "On",
            Library::Off(_) => "Off",
        })
    }
}

/// The process's environment with a few variables as we want them.
#[derive(Debug, Default)]
pub(crate) struct Overlay(pub(crate) Vec<(String, String)>);

impl Environment for Overlay {
    fn variables(&self) -> Vec<(String, String)> {
        let mut variables = ProcessEnvironment.variables();
        variables.retain(|(name, _)| self.0.iter().all(|(ours, _)| ours != name));
        variables.extend(self.0.iter().cloned());
        variables
    }

    fn arguments(&self) -> Vec<String> {
        ProcessEnvironment.arguments()
    }

    fn executable(&self) -> Option<String> {
        ProcessEnvironment.executable()
    }

    fn hostname(&self) -> Option<String> {
        ProcessEnvironment.hostname()
    }

    fn read(&self, path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
        ProcessEnvironment.read(path, limit)
    }

    fn is_socket(&self, path: &Path) -> bool {
        ProcessEnvironment.is_socket(path)
    }
}

impl Library {
    /// Begins a session. Where that is not possible tests run as without us, and the line says why.
    pub(crate) async fn start(
        overlay: Overlay,
        directory: &Path,
        command: &str,
        framework: &str,
        rustc: &str,
        may_cover: bool,
    ) -> (Library, Option<String>) {
        let config = Config::builder().environment(&overlay).build();
        let mut launch = Launch::new(directory, command);
        launch.framework = framework.to_owned();
        launch.framework_version = rustc.to_owned();
        launch.runtime_version = rustc.to_owned();
        // Without coverage tests are skipped if the backend says so, but it could not know.
        launch.capabilities.test_impact_analysis = may_cover;
        launch.capabilities.coverage_report_upload = may_cover;
        match Session::start(&config, Arc::new(overlay), launch).await {
            Ok(session) => (Library::On(Box::new(session)), None),
            Err(unavailable) => (
                Library::Off(RetryBudget::new(0)),
                Some(unavailable.to_string()),
            ),
        }
    }

    /// Where paths of sources are relative to.
    pub(crate) fn repository(&self) -> Option<PathBuf> {
        match self {
            Library::On(session) => Some(session.workspace().to_owned()),
            Library::Off(_) => None,
        }
    }

    pub(crate) async fn plan(&self, candidates: &[Candidate]) -> Vec<Decision> {
        match self {
            Library::On(session) => session.plan(candidates).await,
            Library::Off(_) => vec![Decision::default(); candidates.len()],
        }
    }

    pub(crate) fn budget(&self) -> &RetryBudget {
        match self {
            Library::On(session) => session.retry_budget(),
            Library::Off(none) => none,
        }
    }

    pub(crate) fn report(&self, attempt: &Attempt, decision: &Decision, verdict: Option<&Verdict>) {
        if let Library::On(session) = self {
            session.report(attempt, decision, verdict);
        }
    }

    /// The session, from which the ids of tests follow.
    pub(crate) fn session_id(&self) -> Option<SessionId> {
        match self {
            Library::On(session) => Some(session.id()),
            Library::Off(_) => None,
        }
    }

    /// Sends what a run traced, below its test.
    pub(crate) fn report_spans(&self, attempt: &Attempt, spans: Vec<TestSpan>) {
        let Library::On(session) = self else { return };
        let (trace, span) = session.attempt_ids(&attempt.identity, attempt.number);
        for span in super::inside::below(spans, trace, span) {
            session.report_span(span);
        }
    }

    /// Whether coverage of tests is wanted.
    pub(crate) fn wants_coverage(&self) -> bool {
        match self {
            Library::On(session) => session.settings().code_coverage,
            Library::Off(_) => false,
        }
    }

    pub(crate) fn report_coverage(&self, test: &TestIdentity, run: u32, files: Vec<FileCoverage>) {
        if let Library::On(session) = self {
            session.report_coverage(test, run, files);
        }
    }

    /// Sends what a run wrote, if logs are sent.
    pub(crate) fn report_output(&self, attempt: &Attempt, output: &[u8]) {
        let Library::On(session) = self else { return };
        if output.is_empty() || !session.wants_logs() {
            return;
        }
        let (trace_id, span_id) = session.attempt_ids(&attempt.identity, attempt.number);
        let is_failure = attempt.status == Status::Fail;
        session.report_log(&LogRecord {
            date: attempt.start + attempt.duration,
            message: String::from_utf8_lossy(output).into_owned(),
            status: if is_failure { "error" } else { "info" }.to_owned(),
            trace_id,
            span_id,
        });
    }

    /// Sends a JUnit file; gives a line if that failed.
    pub(crate) async fn upload_junit(&self, name: &str, xml: &str) -> Option<String> {
        let why = match self {
            Library::On(session) => match session.upload_junit(name, xml, DELIVERY).await {
                Ok(()) => return None,
                Err(error) => error.to_string(),
            },
            Library::Off(_) => "there is no session".to_owned(),
        };
        Some(format!("the JUnit file could not be delivered: {why}"))
    }

    pub(crate) fn close_module(&self, module: &str) {
        if let Library::On(session) = self {
            session.close_module(module);
        }
    }

    /// Ends the session; gives lines for the user.
    pub(crate) async fn finish(
        &self,
        exit_ok: bool,
        interrupted: bool,
        coverage: Option<&Coverage>,
    ) -> Vec<String> {
        let Library::On(session) = self else {
            return Vec::new();
        };
        let within = if interrupted { HURRIED } else { DELIVERY };
        let mut lines = Vec::new();
        let mut lines_pct = None;
        if let Some(coverage) = coverage {
            let policy = session.policy().await;
            if let Some(skippable) = &policy.answers().skippable {
                coverage.add_skipped(&skippable.coverage);
            }
            let (percentage, report) = coverage.report();
            lines_pct = percentage;
            let is_wanted = session.settings().coverage_report_upload_enabled && !interrupted;
            if is_wanted && !report.is_empty() {
                let sent = session
                    .upload_coverage_report("lcov", report.as_bytes(), within)
                    .await;
                if let Err(error) = sent {
                    lines.push(format!(
                        "the coverage report could not be delivered: {error}"
                    ));
                }
            }
        }
        let finish = Finish {
            exit_ok,
            interrupted,
            lines_pct,
        };
        let sent = session.finish(&finish, within).await;
        if sent.events_dropped > 0 {
            lines.push(format!(
                "{} of {} events could not be delivered",
                sent.events_dropped,
                sent.events + sent.events_dropped
            ));
        }
        lines
    }

    /// Pages with the results.
    pub(crate) fn pages(&self) -> Vec<String> {
        match self {
            Library::On(session) => session
                .commit_page()
                .into_iter()
                .chain(session.job_page())
                .collect(),
            Library::Off(_) => Vec::new(),
        }
    }
}
