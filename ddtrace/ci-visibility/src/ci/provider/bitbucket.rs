//! Bitbucket Pipelines.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let get = |name| variables.get(name);
    let mut found = Found::of("bitbucket");
    let build = get("BITBUCKET_BUILD_NUMBER");
    if let (Some(name), Some(build)) = (get("BITBUCKET_REPO_FULL_NAME"), build) {
        let url = format!("https://bitbucket.org/{name}/addon/pipelines/home#!/results/{build}");
        found.set(CI_PIPELINE_URL, Some(url.as_str()));
        found.set(CI_JOB_URL, Some(url));
    }
    let id = get("BITBUCKET_PIPELINE_UUID").map(|id| id.trim_matches(['{', '}']));
    found.set(CI_PIPELINE_ID, id);
    let origins = ["BITBUCKET_GIT_SSH_ORIGIN", "BITBUCKET_GIT_HTTP_ORIGIN"];
    found.set(GIT_REPOSITORY_URL, variables.first(&origins));
    found.copy(
        variables,
        &[
            (CI_PIPELINE_NAME, "BITBUCKET_REPO_FULL_NAME"),
            (CI_PIPELINE_NUMBER, "BITBUCKET_BUILD_NUMBER"),
            (CI_WORKSPACE_PATH, "BITBUCKET_CLONE_DIR"),
            (GIT_COMMIT_SHA, "BITBUCKET_COMMIT"),
            (GIT_BRANCH, "BITBUCKET_BRANCH"),
            (GIT_TAG, "BITBUCKET_TAG"),
            (
                GIT_PULL_REQUEST_BASE_BRANCH,
                "BITBUCKET_PR_DESTINATION_BRANCH",
            ),
            (PR_NUMBER, "BITBUCKET_PR_ID"),
        ],
    );
    found.done()
}
