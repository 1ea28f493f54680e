//! GitLab CI.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let mut found = Found::of("gitlab");
    // `Name <mail>`
    if let Some(author) = variables.get("CI_COMMIT_AUTHOR") {
        let author = author.trim_matches([' ', '>']);
        let (name, email) = author.split_once(" <").unwrap_or((author, ""));
        found.set(GIT_COMMIT_AUTHOR_NAME, Some(name));
        found.set(GIT_COMMIT_AUTHOR_EMAIL, Some(email));
    }
    let named = ["CI_PROJECT_URL", "CI_PIPELINE_ID", "CI_JOB_ID"];
    found.set(CI_ENV_VARS, Some(variables.as_json(&named)));
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "CI_PIPELINE_ID"),
            (CI_PIPELINE_NAME, "CI_PROJECT_PATH"),
            (CI_PIPELINE_NUMBER, "CI_PIPELINE_IID"),
            (CI_PIPELINE_URL, "CI_PIPELINE_URL"),
            (CI_JOB_ID, "CI_JOB_ID"),
            (CI_JOB_NAME, "CI_JOB_NAME"),
            (CI_JOB_URL, "CI_JOB_URL"),
            (CI_STAGE_NAME, "CI_JOB_STAGE"),
            (CI_WORKSPACE_PATH, "CI_PROJECT_DIR"),
            (CI_NODE_LABELS, "CI_RUNNER_TAGS"),
            (CI_NODE_NAME, "CI_RUNNER_ID"),
            (GIT_REPOSITORY_URL, "CI_REPOSITORY_URL"),
            (GIT_COMMIT_SHA, "CI_COMMIT_SHA"),
            (GIT_BRANCH, "CI_COMMIT_REF_NAME"),
            (GIT_TAG, "CI_COMMIT_TAG"),
            (GIT_COMMIT_MESSAGE, "CI_COMMIT_MESSAGE"),
            (GIT_COMMIT_AUTHOR_DATE, "CI_COMMIT_TIMESTAMP"),
            (
                GIT_PULL_REQUEST_BASE_BRANCH,
                "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
            ),
            (
                GIT_PULL_REQUEST_BASE_BRANCH_HEAD_SHA,
                "CI_MERGE_REQUEST_TARGET_BRANCH_SHA",
            ),
            (
                GIT_PULL_REQUEST_BASE_BRANCH_SHA,
                "CI_MERGE_REQUEST_DIFF_BASE_SHA",
            ),
            (GIT_COMMIT_HEAD_SHA, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA"),
            (PR_NUMBER, "CI_MERGE_REQUEST_IID"),
        ],
    );
    found.done()
}
