//! GitHub Actions.

use std::path::Path;

use ddtrace_core::config::Environment;
use serde_json::Value;

use super::{Found, Tags, Variables, in_order};
use crate::ci::diagnostics::is_number;
use crate::ci::without_credentials;
use crate::model::tags::*;

pub(super) const TRIGGER: &str = "GITHUB_SHA";

/// The largest file about an event that is read.
const MAX_EVENT: u64 = 16 * 1024 * 1024;

/// Server and repository, without which there are no addresses.
fn base(variables: &Variables) -> Option<String> {
    let server = without_credentials(variables.get("GITHUB_SERVER_URL")?);
    let repository = variables.get("GITHUB_REPOSITORY")?;
    Some(format!("{server}/{repository}"))
}

pub(super) fn tags(variables: &Variables) -> Tags {
    let get = |name| variables.get(name);
    let mut found = Found::of("github");
    let (run, attempt) = (get("GITHUB_RUN_ID"), get("GITHUB_RUN_ATTEMPT"));
    let mut job_url = None;
    if let Some(base) = base(variables) {
        found.set(GIT_REPOSITORY_URL, Some(format!("{base}.git")));
        if let Some(run) = run {
            let url = format!("{base}/actions/runs/{run}");
            found.set(
                CI_PIPELINE_URL,
                Some(match attempt {
                    Some(attempt) => format!("{url}/attempts/{attempt}"),
                    None => url,
                }),
            );
        }
        job_url = get("GITHUB_SHA").map(|sha| format!("{base}/commit/{sha}/checks"));
    }
    found.set(CI_JOB_URL, job_url);
    found.set(
        GIT_BRANCH,
        variables.first(&["GITHUB_HEAD_REF", "GITHUB_REF"]),
    );
    let server = get("GITHUB_SERVER_URL").map(without_credentials);
    let value = |value: Option<&str>| value.map_or(Value::Null, Value::from);
    let named = [
        ("GITHUB_SERVER_URL", value(server.as_deref())),
        ("GITHUB_REPOSITORY", value(get("GITHUB_REPOSITORY"))),
        ("GITHUB_RUN_ID", value(run)),
    ];
    let attempt = attempt.map(|attempt| ("GITHUB_RUN_ATTEMPT", Value::from(attempt)));
    found.set(
        CI_ENV_VARS,
        Some(in_order(named.into_iter().chain(attempt))),
    );
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "GITHUB_RUN_ID"),
            (CI_PIPELINE_NAME, "GITHUB_WORKFLOW"),
            (CI_PIPELINE_NUMBER, "GITHUB_RUN_NUMBER"),
            (CI_JOB_NAME, "GITHUB_JOB"),
            (CI_WORKSPACE_PATH, "GITHUB_WORKSPACE"),
            (GIT_COMMIT_SHA, "GITHUB_SHA"),
            (GIT_PULL_REQUEST_BASE_BRANCH, "GITHUB_BASE_REF"),
        ],
    );
    let mut tags = found.done();
    if let Some(id) = get("JOB_CHECK_RUN_ID").map(str::trim) {
        set_job_id(&mut tags, variables, id);
    }
    tags
}

/// Sets the job's number, and its page, which has the number in its address.
pub(super) fn set_job_id(tags: &mut Tags, variables: &Variables, id: &str) {
    if let (true, Some(run)) = (is_number(id), variables.get("GITHUB_RUN_ID")) {
        tags.insert(CI_JOB_ID.to_owned(), id.to_owned());
        if let Some(base) = base(variables) {
            let url = format!("{base}/actions/runs/{run}/job/{id}");
            tags.insert(CI_JOB_URL.to_owned(), url);
        }
    }
}

/// What the file about the event says of a pull request, whose commit is a merge made for the test.
pub(super) fn of_event(variables: &Variables, environment: &dyn Environment) -> Tags {
    let read = || {
        let path = variables.get("GITHUB_EVENT_PATH")?;
        let event = environment.read(Path::new(path), MAX_EVENT).ok()?;
        serde_json::from_slice::<Value>(&event).ok()
    };
    let event = read().unwrap_or(Value::Null);
    let text = |pointer| event.pointer(pointer).and_then(Value::as_str);
    let mut found = Found::default();
    found.set(GIT_COMMIT_HEAD_SHA, text("/pull_request/head/sha"));
    found.set(
        GIT_PULL_REQUEST_BASE_BRANCH_HEAD_SHA,
        text("/pull_request/base/sha"),
    );
    found.done()
}
