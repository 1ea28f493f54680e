//! AppVeyor.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let get = |name| variables.get(name);
    let mut found = Found::of("appveyor");
    let name = get("APPVEYOR_REPO_NAME");
    if let (Some(name), Some(build)) = (name, get("APPVEYOR_BUILD_ID")) {
        let url = format!("https://ci.appveyor.com/project/{name}/builds/{build}");
        found.set(CI_PIPELINE_URL, Some(url.as_str()));
        found.set(CI_JOB_URL, Some(url));
    }
    let head_branch = get("APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH");
    let branch = get("APPVEYOR_REPO_BRANCH");
    if get("APPVEYOR_REPO_PROVIDER") == Some("github") {
        let url = name.map(|name| format!("https://github.com/{name}.git"));
        found.set(GIT_REPOSITORY_URL, url);
        found.set(GIT_COMMIT_SHA, get("APPVEYOR_REPO_COMMIT"));
        found.set(GIT_BRANCH, head_branch.or(branch));
        found.set(GIT_TAG, get("APPVEYOR_REPO_TAG_NAME"));
    }
    found.set(GIT_PULL_REQUEST_BASE_BRANCH, head_branch.and(branch));
    let message = get("APPVEYOR_REPO_COMMIT_MESSAGE");
    let message = message.map(
        |message| match get("APPVEYOR_REPO_COMMIT_MESSAGE_EXTENDED") {
            Some(extended) => format!("{message}\n{extended}"),
            None => message.to_owned(),
        },
    );
    found.set(GIT_COMMIT_MESSAGE, message);
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "APPVEYOR_BUILD_ID"),
            (CI_PIPELINE_NAME, "APPVEYOR_REPO_NAME"),
            (CI_PIPELINE_NUMBER, "APPVEYOR_BUILD_NUMBER"),
            (CI_WORKSPACE_PATH, "APPVEYOR_BUILD_FOLDER"),
            (GIT_COMMIT_AUTHOR_NAME, "APPVEYOR_REPO_COMMIT_AUTHOR"),
            (GIT_COMMIT_AUTHOR_EMAIL, "APPVEYOR_REPO_COMMIT_AUTHOR_EMAIL"),
            (GIT_COMMIT_HEAD_SHA, "APPVEYOR_PULL_REQUEST_HEAD_COMMIT"),
            (PR_NUMBER, "APPVEYOR_PULL_REQUEST_NUMBER"),
        ],
    );
    found.done()
}
