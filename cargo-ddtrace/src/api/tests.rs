//! `GET /api/tests/…`: test sessions, their tests, and what a test did over sessions.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::{Parameters, Raw};
use super::{Shared, apart};
use crate::history::coverage::{File, files};
use crate::history::session::{Run, Session, Test};

/// Tests of one answer.
const MOST: usize = 5000;
/// Sessions over which a test is followed.
const FOLLOWED: usize = 50;

/// Sessions, newest first.
pub(super) async fn sessions(State(shared): State<Shared>) -> Json<Value> {
    let shown = apart(move || {
        let history = shared.history();
        let sessions: Vec<Value> =
            history.read(|sessions| sessions.iter().rev().map(show_session).collect());
        json!({
            "sessions": sessions,
            "data": history.data().map(|data| data.display().to_string()),
            "trouble": history.trouble(),
        })
    });
    Json(shown.await)
}

fn show_session(session: &Session) -> Value {
    let tests = session.tests();
    let with = |status: &str| tests.iter().filter(|test| test.status() == status).count();
    let marked = |mark: &str| {
        let has = |test: &&Test<'_>| {
            test.runs
                .iter()
                .any(|run| run.marks.iter().any(|own| own == mark))
        };
        tests.iter().filter(has).count()
    };
    let time: i64 = session.runs.iter().map(|run| run.duration).sum();
    json!({
        "id": session.id,
        "start": session.start.to_string(),
        "duration": session.duration,
        "status": session.status,
        "interrupted": session.interrupted,
        "command": session.command,
        "service": session.service,
        "env": session.env,
        "branch": session.branch,
        "commit": session.commit,
        "repository": session.repository,
        "tests": tests.len(),
        "passed": with("pass"),
        "failed": with("fail"),
        "skipped": with("skip"),
        "flaky": tests.iter().filter(|test| test.is_flaky()).count(),
        "retried": tests.iter().filter(|test| test.runs.len() > 1).count(),
        "new": marked("is_new"),
        "quarantined": marked("is_quarantined"),
        "skipped_by_impact": marked("skipped_by_itr"),
        "covered": tests.iter().filter(|test| test.runs.iter().any(|run| !run.coverage.is_empty())).count(),
        "time": time,
        "left_out": session.left_out,
    })
}

/// One session with its tests, failed ones first.
pub(super) async fn session(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    raw: Raw,
) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let status = parameters.text("status").map(str::to_owned);
    let wanted = parameters.text("q").unwrap_or_default().to_lowercase();
    let shown = apart(move || {
        shared.history().read(|sessions| {
            let session = sessions.iter().rfind(|session| session.id == id)?;
            let mut tests: Vec<Test<'_>> = session
                .tests()
                .into_iter()
                .filter(|test| match status.as_deref() {
                    Some("flaky") => test.is_flaky(),
                    Some("new") => test.runs[0].marks.iter().any(|mark| mark == "is_new"),
                    Some(status) => test.status() == status,
                    None => true,
                })
                .filter(|test| {
                    let run = test.runs[0];
                    wanted.is_empty()
                        || [&run.module, &run.suite, &run.name]
                            .iter()
                            .any(|text| text.to_lowercase().contains(&wanted))
                })
                .collect();
            // The sort is stable: within each group tests keep the order in which they ran.
            tests.sort_by_key(|test| match (test.status(), test.is_flaky()) {
                ("fail", _) => 0,
                (_, true) => 1,
                ("pass", _) => 2,
                _ => 3,
            });
            let matched = tests.len();
            let tests: Vec<Value> = tests.iter().take(MOST).map(show_test).collect();
            let mut shown = show_session(session);
            shown["matched"] = json!(matched);
            shown["rows"] = json!(tests);
            Some(shown)
        })
    });
    shown
        .await
        .map(Json)
        .ok_or_else(|| ApiError::not_found("this session"))
}

fn show_test(test: &Test<'_>) -> Value {
    let first = test.runs[0];
    let failed = test.runs.iter().rfind(|run| run.status == "fail");
    json!({
        "module": first.module,
        "suite": first.suite,
        "name": first.name,
        "parameters": first.parameters,
        "status": test.status(),
        "flaky": test.is_flaky(),
        "runs": test.runs.len(),
        "duration": first.duration,
        "marks": test.runs.last().map(|run| run.marks.clone()).unwrap_or_default(),
        "skip_reason": first.skip_reason,
        "file": first.file,
        "line": first.line,
        "error": failed.map(|run| run.error_message.chars().take(300).collect::<String>()),
    })
}

fn show_run(run: &Run) -> Value {
    json!({
        "span_id": run.span_id,
        "status": run.status,
        "start": run.start.to_string(),
        "duration": run.duration,
        "retry_reason": run.retry_reason,
        "marks": run.marks,
        "skip_reason": run.skip_reason,
        "error_type": run.error_type,
        "error_message": run.error_message,
        "error_stack": run.error_stack,
        "file": run.file,
        "line": run.line,
        "end_line": run.end_line,
        "owners": run.owners,
        "execution": run.execution,
        "coverage": run.coverage,
    })
}

/// What one test did, newest session first.
pub(super) async fn test(State(shared): State<Shared>, raw: Raw) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let part = |name: &str| parameters.text(name).unwrap_or_default().to_owned();
    let key = [
        part("module"),
        part("suite"),
        part("name"),
        part("parameters"),
    ];
    if key[2].is_empty() {
        return Err(ApiError::parameter("name", "the name of a test"));
    }
    let shown =
        apart(move || {
            let wanted = (
                key[0].as_str(),
                key[1].as_str(),
                key[2].as_str(),
                key[3].as_str(),
            );
            let sessions: Vec<Value> =
                shared.history().read(|sessions| {
                    sessions
                .iter()
                .rev()
                .filter_map(|session| {
                    let runs: Vec<&Run> =
                        session.runs.iter().filter(|run| run.key() == wanted).collect();
                    if runs.is_empty() {
                        return None;
                    }
                    let test = Test { runs };
                    Some(json!({
                        "id": session.id,
                        "start": session.start.to_string(),
                        "branch": session.branch,
                        "commit": session.commit,
                        "status": test.status(),
                        "flaky": test.is_flaky(),
                        "runs": test.runs.iter().map(|run| show_run(run)).collect::<Vec<_>>(),
                    }))
                })
                .take(FOLLOWED)
                .collect()
                });
            if sessions.is_empty() {
                return None;
            }
            let management = shared.history().management();
            let wishes = &management["data"]["attributes"]["modules"][wanted.0]["suites"][wanted.1]
                ["tests"][wanted.2]["properties"];
            Some(json!({
                "module": wanted.0, "suite": wanted.1, "name": wanted.2, "parameters": wanted.3,
                "wishes": wishes,
                "sessions": sessions,
            }))
        });
    shown
        .await
        .map(Json)
        .ok_or_else(|| ApiError::not_found("this test"))
}

/// What the tests of a session reach: all files, or one with its lines and tests.
pub(super) async fn coverage(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    raw: Raw,
) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let wanted = parameters.text("file").map(str::to_owned);
    let shown = apart(move || {
        shared.history().read(|sessions| {
            let session = sessions.iter().rfind(|session| session.id == id)?;
            let tests = session.tests();
            let reaches = |test: &&Test<'_>| test.runs.iter().any(|run| !run.coverage.is_empty());
            let files = files(session);
            let mut shown = json!({
                "id": session.id,
                "start": session.start.to_string(),
                "command": session.command,
                "tests": tests.len(),
                "tests_with_coverage": tests.iter().filter(reaches).count(),
                "lines": files.iter().map(|file| u64::from(file.lines)).sum::<u64>(),
                "total": files.len(),
            });
            match wanted {
                Some(path) => {
                    let file = files.iter().find(|file| file.path == path)?;
                    shown["file"] = show_file(file);
                    shown["file"]["by_test"] = file
                        .tests
                        .iter()
                        .take(MOST)
                        .map(|(run, lines)| {
                            json!({"module": run.module, "suite": run.suite, "name": run.name, "parameters": run.parameters,
                                "status": run.status, "lines": lines})
                        })
                        .collect();
                }
                None => shown["files"] = files.iter().take(MOST).map(show_file).collect(),
            }
            Some(shown)
        })
    });
    shown
        .await
        .map(Json)
        .ok_or_else(|| ApiError::not_found("this session, or this file in it"))
}

fn show_file(file: &File<'_>) -> Value {
    // A file with more ranges than a page can draw is shown by its first ones.
    let ranges: Vec<_> = file.ranges.iter().take(MOST).collect();
    json!({"path": file.path, "lines": file.lines, "tests": file.tests.len(), "ranges": ranges})
}

/// Changes what is wanted of a test: quarantine, disable, attempt to fix.
pub(super) async fn manage(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let wish: Value = serde_json::from_slice(&body)
        .map_err(|error| ApiError::body(format!("no JSON: {error}")))?;
    shared.history().manage(&wish).map_err(ApiError::body)?;
    Ok(Json(shared.history().management()))
}
