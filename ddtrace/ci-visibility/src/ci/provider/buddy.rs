//! Buddy.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let mut found = Found::of("buddy");
    let execution = variables.get("BUDDY_EXECUTION_ID");
    if let (Some(pipeline), Some(execution)) = (variables.get("BUDDY_PIPELINE_ID"), execution) {
        found.set(CI_PIPELINE_ID, Some(format!("{pipeline}/{execution}")));
    }
    found.copy(
        variables,
        &[
            (CI_PIPELINE_NAME, "BUDDY_PIPELINE_NAME"),
            (CI_PIPELINE_NUMBER, "BUDDY_EXECUTION_ID"),
            (CI_PIPELINE_URL, "BUDDY_EXECUTION_URL"),
            (GIT_REPOSITORY_URL, "BUDDY_SCM_URL"),
            (GIT_COMMIT_SHA, "BUDDY_EXECUTION_REVISION"),
            (GIT_BRANCH, "BUDDY_EXECUTION_BRANCH"),
            (GIT_TAG, "BUDDY_EXECUTION_TAG"),
            (GIT_COMMIT_MESSAGE, "BUDDY_EXECUTION_REVISION_MESSAGE"),
            (
                GIT_COMMIT_COMMITTER_NAME,
                "BUDDY_EXECUTION_REVISION_COMMITTER_NAME",
            ),
            (
                GIT_COMMIT_COMMITTER_EMAIL,
                "BUDDY_EXECUTION_REVISION_COMMITTER_EMAIL",
            ),
            (GIT_PULL_REQUEST_BASE_BRANCH, "BUDDY_RUN_PR_BASE_BRANCH"),
            (PR_NUMBER, "BUDDY_RUN_PR_NO"),
        ],
    );
    found.done()
}
