//! CircleCI.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let mut found = Found::of("circleci");
    let url = |id| format!("https://app.circleci.com/pipelines/workflows/{id}");
    found.set(
        CI_PIPELINE_URL,
        variables.get("CIRCLE_WORKFLOW_ID").map(url),
    );
    let named = ["CIRCLE_WORKFLOW_ID", "CIRCLE_BUILD_NUM"];
    found.set(CI_ENV_VARS, Some(variables.as_json(&named)));
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "CIRCLE_WORKFLOW_ID"),
            (CI_PIPELINE_NAME, "CIRCLE_PROJECT_REPONAME"),
            (CI_PIPELINE_NUMBER, "CIRCLE_BUILD_NUM"),
            (CI_JOB_ID, "CIRCLE_BUILD_NUM"),
            (CI_JOB_NAME, "CIRCLE_JOB"),
            (CI_JOB_URL, "CIRCLE_BUILD_URL"),
            (CI_WORKSPACE_PATH, "CIRCLE_WORKING_DIRECTORY"),
            (GIT_REPOSITORY_URL, "CIRCLE_REPOSITORY_URL"),
            (GIT_COMMIT_SHA, "CIRCLE_SHA1"),
            (GIT_BRANCH, "CIRCLE_BRANCH"),
            (GIT_TAG, "CIRCLE_TAG"),
            (PR_NUMBER, "CIRCLE_PR_NUMBER"),
        ],
    );
    found.done()
}
