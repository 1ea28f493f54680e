//! Drone.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let get = |name| variables.get(name);
    let mut found = Found::of("drone");
    let of_slug = || Some(format!("https://github.com/{}.git", get("DRONE_REPO")?));
    let url = get("DRONE_GIT_HTTP_URL").map(str::to_owned);
    found.set(GIT_REPOSITORY_URL, url.or_else(of_slug));
    let branches = ["DRONE_BRANCH", "DRONE_COMMIT_BRANCH"];
    found.set(GIT_BRANCH, variables.first(&branches));
    found.copy(
        variables,
        &[
            (CI_PIPELINE_NUMBER, "DRONE_BUILD_NUMBER"),
            (CI_PIPELINE_URL, "DRONE_BUILD_LINK"),
            (CI_STAGE_NAME, "DRONE_STAGE_NAME"),
            (CI_JOB_NAME, "DRONE_STEP_NAME"),
            (CI_WORKSPACE_PATH, "DRONE_WORKSPACE"),
            (GIT_COMMIT_SHA, "DRONE_COMMIT_SHA"),
            (GIT_PULL_REQUEST_BASE_BRANCH, "DRONE_TARGET_BRANCH"),
            (GIT_TAG, "DRONE_TAG"),
            (GIT_COMMIT_AUTHOR_NAME, "DRONE_COMMIT_AUTHOR_NAME"),
            (GIT_COMMIT_AUTHOR_EMAIL, "DRONE_COMMIT_AUTHOR_EMAIL"),
            (GIT_COMMIT_MESSAGE, "DRONE_COMMIT_MESSAGE"),
            (PR_NUMBER, "DRONE_PULL_REQUEST"),
        ],
    );
    found.done()
}
