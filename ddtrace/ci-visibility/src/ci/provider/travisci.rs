//! Travis CI.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let get = |name| variables.get(name);
    let mut found = Found::of("travisci");
    let url = |slug| format!("https://github.com/{slug}.git");
    found.set(GIT_REPOSITORY_URL, get("TRAVIS_REPO_SLUG").map(url));
    let branches = ["TRAVIS_PULL_REQUEST_BRANCH", "TRAVIS_BRANCH"];
    found.set(GIT_BRANCH, variables.first(&branches));
    if get("TRAVIS_EVENT_TYPE") == Some("pull_request") {
        found.copy(
            variables,
            &[
                (GIT_COMMIT_HEAD_SHA, "TRAVIS_PULL_REQUEST_SHA"),
                (GIT_PULL_REQUEST_BASE_BRANCH, "TRAVIS_BRANCH"),
                (PR_NUMBER, "TRAVIS_PULL_REQUEST"),
            ],
        );
    }
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "TRAVIS_BUILD_ID"),
            (CI_PIPELINE_NAME, "TRAVIS_REPO_SLUG"),
            (CI_PIPELINE_NUMBER, "TRAVIS_BUILD_NUMBER"),
            (CI_PIPELINE_URL, "TRAVIS_BUILD_WEB_URL"),
            (CI_JOB_URL, "TRAVIS_JOB_WEB_URL"),
            (CI_WORKSPACE_PATH, "TRAVIS_BUILD_DIR"),
            (GIT_COMMIT_SHA, "TRAVIS_COMMIT"),
            (GIT_COMMIT_MESSAGE, "TRAVIS_COMMIT_MESSAGE"),
            (GIT_TAG, "TRAVIS_TAG"),
        ],
    );
    found.done()
}
