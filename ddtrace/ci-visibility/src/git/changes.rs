//! Against what a change is compared, and the lines that it touches (`spec/ci-visibility.md` §7.9).

use std::time::Duration;

use super::{Git, GitError, is_sha, merge_base};
use crate::ci::Tags;
use crate::model::tags::{
    GIT_BRANCH, GIT_COMMIT_HEAD_SHA, GIT_PULL_REQUEST_BASE_BRANCH,
    GIT_PULL_REQUEST_BASE_BRANCH_HEAD_SHA, GIT_PULL_REQUEST_BASE_BRANCH_SHA,
};
use crate::selection::ChangedLines;

/// Names of branches that changes are made against.
const BASES: [&str; 7] = [
    "main",
    "master",
    "preprod",
    "prod",
    "dev",
    "development",
    "trunk",
];

/// How long comparing may take.
const DIFF_LIMIT: Duration = Duration::from_secs(15);

/// The most branches that are compared.
const MAX_BRANCHES: usize = 50;

/// A branch that a change may be made against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseBranch {
    /// Its name, with the remote in front if it has none here.
    pub name: String,
    /// How many commits the change is ahead of it.
    pub ahead: u64,
    /// Whether it is the default branch of the remote.
    pub is_default: bool,
}

/// The commit that a change is compared with: what the provider says, else where the change left
/// the branch that the pull request goes to, else the branch that looks most like it.
pub fn base_of(git: &Git, tags: &Tags) -> Option<String> {
    let tag = |name: &str| tags.get(name).map(String::as_str);
    let head = tag(GIT_COMMIT_HEAD_SHA)
        .filter(|sha| is_sha(sha))
        .unwrap_or("HEAD");
    if let Some(sha) = tag(GIT_PULL_REQUEST_BASE_BRANCH_SHA).filter(|sha| is_sha(sha)) {
        return Some(sha.to_owned());
    }
    let found = |base: &str| merge_base(git, base, head).ok().filter(|sha| is_sha(sha));
    let branch_head = tag(GIT_PULL_REQUEST_BASE_BRANCH_HEAD_SHA).filter(|sha| is_sha(sha));
    if let Some(sha) = branch_head.and_then(found) {
        return Some(sha);
    }
    if let Some(branch) = tag(GIT_PULL_REQUEST_BASE_BRANCH) {
        let remote = format!("refs/remotes/origin/{branch}");
        let local = format!("refs/heads/{branch}");
        return found(&remote).or_else(|| found(&local));
    }
    let branches = candidates(git, head, tag(GIT_BRANCH)).ok()?;
    let best = best(branches)?;
    found(&best.name)
}

/// The one that the change is fewest commits ahead of; on a tie the default one.
fn best(mut branches: Vec<BaseBranch>) -> Option<BaseBranch> {
    branches.sort_by_key(|branch| (branch.ahead, !branch.is_default, branch.name.clone()));
    branches.into_iter().next()
}

fn candidates(git: &Git, head: &str, own: Option<&str>) -> Result<Vec<BaseBranch>, GitError> {
    let list = [
        "for-each-ref",
        "--format=%(refname)",
        "refs/heads",
        "refs/remotes/origin",
    ];
    let default = git.read("", &["rev-parse", "--abbrev-ref", "origin/HEAD"]);
    let default = default.unwrap_or_default();
    let default = default.trim_start_matches("origin/");
    let current = git.read("", &["rev-parse", "--abbrev-ref", "HEAD"])?;
    let mut branches = Vec::new();
    for name in git.read("", &list)?.lines() {
        let short = name
            .strip_prefix("refs/heads/")
            .or_else(|| name.strip_prefix("refs/remotes/origin/"));
        // The branch that is tested is no base, wherever it lies: it is ahead of itself by nothing.
        let is_own = short == Some(current.as_str()) || (own.is_some() && short == own);
        let Some(short) = short.filter(|short| is_base(short) && !is_own) else {
            continue;
        };
        let range = format!("{name}..{head}");
        let ahead = git.read("", &["rev-list", "--count", &range, "--"]);
        if let Some(ahead) = ahead.ok().and_then(|count| count.parse().ok()) {
            branches.push(BaseBranch {
                name: name.to_owned(),
                ahead,
                is_default: short == default,
            });
        }
        if branches.len() == MAX_BRANCHES {
            break;
        }
    }
    Ok(branches)
}

fn is_base(name: &str) -> bool {
    BASES.contains(&name) || name.starts_with("release/") || name.starts_with("hotfix/")
}

/// The lines that differ from this commit. Without `head` what is not committed counts, too.
pub fn changed_lines(git: &Git, base: &str, head: Option<&str>) -> Result<ChangedLines, GitError> {
    let mut arguments = vec![
        "diff",
        "--no-ext-diff",
        "--no-color",
        "--no-prefix",
        "--src-prefix=a/",
        "--dst-prefix=b/",
        "-U0",
        "--word-diff=porcelain",
        base,
    ];
    arguments.extend(head);
    arguments.push("--");
    let diff = git.ask("diff", &arguments, b"", DIFF_LIMIT)?;
    Ok(ChangedLines::parse(&diff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_base_wins_and_the_default_one_on_a_tie() {
        let branch = |name: &str, ahead, is_default| BaseBranch {
            name: name.into(),
            ahead,
            is_default,
        };
        let best = |branches: Vec<BaseBranch>| best(branches).map(|branch| branch.name);
        assert_eq!(best(vec![]), None);
        let tie = vec![branch("dev", 2, false), branch("main", 2, true)];
        assert_eq!(best(tie).as_deref(), Some("main"));
        let near = vec![branch("main", 3, true), branch("release/1", 1, false)];
        assert_eq!(best(near).as_deref(), Some("release/1"));
    }

    #[test]
    fn branches_that_look_like_a_base_are_told_by_name() {
        for (name, expected) in [
            ("main", true),
            ("trunk", true),
            ("release/2", true),
            ("hotfix/x", true),
            ("releases", false),
            ("topic", false),
        ] {
            assert_eq!(is_base(name), expected, "{name}");
        }
    }
}
