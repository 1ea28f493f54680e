//! Buildkite.

use serde_json::Value;

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let get = |name| variables.get(name);
    let mut found = Found::of("buildkite");
    let job = get("BUILDKITE_JOB_ID");
    if let (Some(url), Some(job)) = (get("BUILDKITE_BUILD_URL"), job) {
        found.set(CI_JOB_URL, Some(format!("{url}#{job}")));
    }
    let request = get("BUILDKITE_PULL_REQUEST").filter(|number| *number != "false");
    let base = get("BUILDKITE_PULL_REQUEST_BASE_BRANCH");
    found.set(PR_NUMBER, request);
    found.set(GIT_PULL_REQUEST_BASE_BRANCH, request.and(base));
    let labels = variables.beginning("BUILDKITE_AGENT_META_DATA_");
    let label = |(key, value): (&str, &str)| Value::from(format!("{}:{value}", key.to_lowercase()));
    let labels = Value::Array(labels.map(label).collect());
    found.set(CI_NODE_LABELS, Some(labels.to_string()));
    let named = ["BUILDKITE_BUILD_ID", "BUILDKITE_JOB_ID"];
    found.set(CI_ENV_VARS, Some(variables.as_json(&named)));
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "BUILDKITE_BUILD_ID"),
            (CI_PIPELINE_NAME, "BUILDKITE_PIPELINE_SLUG"),
            (CI_PIPELINE_DISPLAY_NAME, "BUILDKITE_PIPELINE_NAME"),
            (CI_PIPELINE_NUMBER, "BUILDKITE_BUILD_NUMBER"),
            (CI_PIPELINE_URL, "BUILDKITE_BUILD_URL"),
            (CI_JOB_ID, "BUILDKITE_JOB_ID"),
            (CI_WORKSPACE_PATH, "BUILDKITE_BUILD_CHECKOUT_PATH"),
            (CI_NODE_NAME, "BUILDKITE_AGENT_ID"),
            (GIT_REPOSITORY_URL, "BUILDKITE_REPO"),
            (GIT_COMMIT_SHA, "BUILDKITE_COMMIT"),
            (GIT_BRANCH, "BUILDKITE_BRANCH"),
            (GIT_TAG, "BUILDKITE_TAG"),
            (GIT_COMMIT_MESSAGE, "BUILDKITE_MESSAGE"),
            (GIT_COMMIT_AUTHOR_NAME, "BUILDKITE_BUILD_AUTHOR"),
            (GIT_COMMIT_AUTHOR_EMAIL, "BUILDKITE_BUILD_AUTHOR_EMAIL"),
            (GIT_COMMIT_COMMITTER_NAME, "BUILDKITE_BUILD_CREATOR"),
            (GIT_COMMIT_COMMITTER_EMAIL, "BUILDKITE_BUILD_CREATOR_EMAIL"),
        ],
    );
    found.done()
}
