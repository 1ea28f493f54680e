//! Bitrise.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let get = |name| variables.get(name);
    let mut found = Found::of("bitrise");
    let either = |names: &[&str]| variables.first(names);
    found.set(
        GIT_COMMIT_SHA,
        either(&["BITRISE_GIT_COMMIT", "GIT_CLONE_COMMIT_HASH"]),
    );
    found.set(
        GIT_BRANCH,
        either(&["BITRISEIO_PULL_REQUEST_HEAD_BRANCH", "BITRISE_GIT_BRANCH"]),
    );
    let subject = get("GIT_CLONE_COMMIT_MESSAGE_SUBJECT");
    let cloned = match (subject, get("GIT_CLONE_COMMIT_MESSAGE_BODY")) {
        (Some(subject), Some(body)) => Some(format!("{subject}:\n{body}")),
        (subject, body) => subject.or(body).map(str::to_owned),
    };
    let message = get("BITRISE_GIT_MESSAGE").map(str::to_owned);
    found.set(GIT_COMMIT_MESSAGE, message.or(cloned));
    // The variables' names have one T.
    let committer = "GIT_CLONE_COMMIT_COMMITER_NAME";
    found.set(
        GIT_COMMIT_COMMITTER_EMAIL,
        either(&["GIT_CLONE_COMMIT_COMMITER_EMAIL", committer]),
    );
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "BITRISE_BUILD_SLUG"),
            (CI_PIPELINE_NAME, "BITRISE_TRIGGERED_WORKFLOW_ID"),
            (CI_PIPELINE_NUMBER, "BITRISE_BUILD_NUMBER"),
            (CI_PIPELINE_URL, "BITRISE_BUILD_URL"),
            (CI_WORKSPACE_PATH, "BITRISE_SOURCE_DIR"),
            (GIT_REPOSITORY_URL, "GIT_REPOSITORY_URL"),
            (GIT_PULL_REQUEST_BASE_BRANCH, "BITRISEIO_GIT_BRANCH_DEST"),
            (GIT_TAG, "BITRISE_GIT_TAG"),
            (GIT_COMMIT_AUTHOR_NAME, "GIT_CLONE_COMMIT_AUTHOR_NAME"),
            (GIT_COMMIT_AUTHOR_EMAIL, "GIT_CLONE_COMMIT_AUTHOR_EMAIL"),
            (GIT_COMMIT_COMMITTER_NAME, committer),
            (PR_NUMBER, "BITRISE_PULL_REQUEST"),
        ],
    );
    found.done()
}
