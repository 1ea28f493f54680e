//! What users set: `DD_GIT_*`, and tags of their own in `DD_TAGS`.

use super::variables::Found;
use super::{Tags, Variables, is_tag, normalized_ref};
use crate::model::tags::*;

/// The tags that `DD_GIT_*` stands for.
pub fn user_tags(variables: &Variables) -> Tags {
    let mut found = Found::default();
    let repository = ["_CI_DD_GIT_REPOSITORY_URL", "DD_GIT_REPOSITORY_URL"];
    found.set(GIT_REPOSITORY_URL, variables.first(&repository));
    let branch = variables.get("DD_GIT_BRANCH");
    if branch.is_some_and(is_tag) {
        found.set(GIT_TAG, branch.map(normalized_ref));
    } else {
        found.set(GIT_BRANCH, branch.map(normalized_ref));
        found.set(GIT_TAG, variables.get("DD_GIT_TAG").map(normalized_ref));
    }
    let base = variables.get("DD_GIT_PULL_REQUEST_BASE_BRANCH");
    found.set(GIT_PULL_REQUEST_BASE_BRANCH, base.map(normalized_ref));
    found.copy(
        variables,
        &[
            (GIT_COMMIT_SHA, "DD_GIT_COMMIT_SHA"),
            (GIT_COMMIT_HEAD_SHA, "DD_GIT_COMMIT_HEAD_SHA"),
            (
                GIT_PULL_REQUEST_BASE_BRANCH_SHA,
                "DD_GIT_PULL_REQUEST_BASE_BRANCH_SHA",
            ),
            (GIT_COMMIT_MESSAGE, "DD_GIT_COMMIT_MESSAGE"),
            (GIT_COMMIT_AUTHOR_NAME, "DD_GIT_COMMIT_AUTHOR_NAME"),
            (GIT_COMMIT_AUTHOR_EMAIL, "DD_GIT_COMMIT_AUTHOR_EMAIL"),
            (GIT_COMMIT_AUTHOR_DATE, "DD_GIT_COMMIT_AUTHOR_DATE"),
            (GIT_COMMIT_COMMITTER_NAME, "DD_GIT_COMMIT_COMMITTER_NAME"),
            (GIT_COMMIT_COMMITTER_EMAIL, "DD_GIT_COMMIT_COMMITTER_EMAIL"),
            (GIT_COMMIT_COMMITTER_DATE, "DD_GIT_COMMIT_COMMITTER_DATE"),
        ],
    );
    found.done()
}

/// The tags of `DD_TAGS` and `_CI_DD_TAGS`; the latter win.
pub fn custom_tags(variables: &Variables) -> Tags {
    let mut tags = Tags::new();
    for name in ["DD_TAGS", "_CI_DD_TAGS"] {
        let text = variables.get(name).unwrap_or_default();
        let separator = if text.contains(',') { ',' } else { ' ' };
        for tag in text.split(separator).map(str::trim) {
            let (key, value) = tag.split_once(':').unwrap_or((tag, ""));
            if !key.trim().is_empty() {
                tags.insert(key.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
    tags
}
