//! Tags of a commit.

use super::shallow::deepen_to;
use super::{Git, is_sha};
use crate::ci::Tags;
use crate::model::tags::*;

/// Name, address and date of author and committer, as git prints them with one format.
const PEOPLE: &str = "--format=%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%s";
const DATES: &str = "--date=format:%Y-%m-%dT%H:%M:%S%z";

/// What git says of the commit that is checked out, its branch and its repository.
pub fn local_tags(git: &Git) -> Tags {
    let mut tags = Tags::new();
    let mut set = |tag: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            tags.insert(tag.to_owned(), value);
        }
    };
    let url = git.read("get_repository", &["ls-remote", "--get-url"]).ok();
    // Without a remote git prints the word that stands for the default one.
    let url = url.filter(|url| url.contains('/') || url.contains(':'));
    set(
        GIT_REPOSITORY_URL,
        url.map(|url| crate::ci::without_credentials(&url).into_owned()),
    );
    let sha = git.read("", &["rev-parse", "HEAD"]).ok();
    set(GIT_COMMIT_SHA, sha.filter(|sha| is_sha(sha)));
    // A detached head has no branch, and says so with its own name.
    let branch = git.read("get_branch", &["rev-parse", "--abbrev-ref", "HEAD"]);
    set(GIT_BRANCH, branch.ok().filter(|branch| branch != "HEAD"));
    let [
        message,
        author_name,
        author_email,
        author_date,
        name,
        email,
        date,
    ] = commit(git, "HEAD").unwrap_or_default();
    set(GIT_COMMIT_MESSAGE, Some(message));
    set(GIT_COMMIT_AUTHOR_NAME, Some(author_name));
    set(GIT_COMMIT_AUTHOR_EMAIL, Some(author_email));
    set(GIT_COMMIT_AUTHOR_DATE, Some(author_date));
    set(GIT_COMMIT_COMMITTER_NAME, Some(name));
    set(GIT_COMMIT_COMMITTER_EMAIL, Some(email));
    set(GIT_COMMIT_COMMITTER_DATE, Some(date));
    tags
}

/// What git says of the head of a pull request, where the commit that is checked out is a merge
/// made for the test. A shallow clone does not have it: it is then fetched, if that is allowed.
pub fn head_tags(git: &Git, sha: &str, may_fetch: bool) -> Tags {
    let mut tags = Tags::new();
    if !is_sha(sha) {
        return tags;
    }
    if may_fetch {
        deepen_to(git, sha);
    }
    let values = commit(git, sha).unwrap_or_default();
    let names = [
        GIT_COMMIT_HEAD_MESSAGE,
        GIT_COMMIT_HEAD_AUTHOR_NAME,
        GIT_COMMIT_HEAD_AUTHOR_EMAIL,
        GIT_COMMIT_HEAD_AUTHOR_DATE,
        GIT_COMMIT_HEAD_COMMITTER_NAME,
        GIT_COMMIT_HEAD_COMMITTER_EMAIL,
        GIT_COMMIT_HEAD_COMMITTER_DATE,
    ];
    let pairs = names.into_iter().zip(values);
    let with_value = pairs.filter(|(_, value)| !value.is_empty());
    tags.extend(with_value.map(|(name, value)| (name.to_owned(), value)));
    tags
}

/// Message, then author, then committer: each with name, address and date.
fn commit(git: &Git, sha: &str) -> Option<[String; 7]> {
    let output = git
        .read("", &["show", "-s", DATES, PEOPLE, sha, "--"])
        .ok()?;
    let mut parts: Vec<String> = output.split('\0').map(str::to_owned).collect();
    // The message comes last, so that nothing in it is taken for a separator.
    let message = parts.pop()?;
    parts.insert(0, message);
    parts.try_into().ok()
}
