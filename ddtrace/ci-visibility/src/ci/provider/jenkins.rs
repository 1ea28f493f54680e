//! Jenkins.

use serde_json::Value;

use super::{Found, Tags, Variables};
use crate::ci::normalized_ref;
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let get = |name| variables.get(name);
    let mut found = Found::of("jenkins");
    let branch = get("GIT_BRANCH");
    let name = get("JOB_NAME").map(|name| {
        // A multibranch job is named after its branch, a matrix job has its axes in its name.
        let branch = branch.map(|branch| format!("/{}", normalized_ref(branch)));
        let name = match branch.as_deref() {
            Some(branch) if branch != "/" => name.replace(branch, ""),
            _ => name.to_owned(),
        };
        let parts = name.split('/');
        let parts: Vec<&str> = parts
            .filter(|part| !part.is_empty() && !part.contains('='))
            .collect();
        parts.join("/")
    });
    found.set(CI_PIPELINE_NAME, name);
    found.set(
        GIT_REPOSITORY_URL,
        variables.first(&["GIT_URL", "GIT_URL_1"]),
    );
    let labels = get("NODE_LABELS").unwrap_or_default().split_whitespace();
    let labels = Value::Array(labels.map(Value::from).collect());
    found.set(CI_NODE_LABELS, Some(labels.to_string()));
    let named = ["DD_CUSTOM_TRACE_ID", "DD_CUSTOM_PARENT_ID"];
    found.set(CI_ENV_VARS, Some(variables.as_json(&named)));
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "BUILD_TAG"),
            (CI_PIPELINE_NUMBER, "BUILD_NUMBER"),
            (CI_PIPELINE_URL, "BUILD_URL"),
            (CI_WORKSPACE_PATH, "WORKSPACE"),
            (CI_NODE_NAME, "NODE_NAME"),
            (GIT_COMMIT_SHA, "GIT_COMMIT"),
            (GIT_BRANCH, "GIT_BRANCH"),
            (GIT_PULL_REQUEST_BASE_BRANCH, "CHANGE_TARGET"),
            (PR_NUMBER, "CHANGE_ID"),
        ],
    );
    found.done()
}
