//! Fetches history into a shallow clone: a month of it, without the contents of files.

use std::thread;
use std::time::Duration;

use super::{Git, GitError, SINCE};

/// How long one fetch may take.
const FETCH_LIMIT: Duration = Duration::from_secs(25);

/// How often a fetch is tried again when another process holds git's lock.
const LOCK_TRIES: u32 = 5;

/// What became of a shallow clone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unshallowed {
    /// It is no shallow clone, or git is too old to do it well.
    NotNeeded,
    /// History was fetched.
    Fetched,
    /// It was not.
    Failed,
}

/// Whether the repository is a shallow clone.
pub fn is_shallow(git: &Git) -> bool {
    let arguments = ["rev-parse", "--is-shallow-repository"];
    git.read("check_shallow", &arguments)
        .is_ok_and(|answer| answer == "true")
}

/// The first two numbers of git's version.
fn version(git: &Git) -> (u32, u32) {
    let output = git.read("", &["--version"]).unwrap_or_default();
    parse_version(&output).unwrap_or((0, 0))
}

fn parse_version(output: &str) -> Option<(u32, u32)> {
    let mut numbers = output.split_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Fetches a month of history, up to the commit, to its upstream or to what the remote says.
pub fn unshallow(git: &Git) -> Unshallowed {
    if !is_shallow(git) || version(git) < (2, 27) {
        return Unshallowed::NotNeeded;
    }
    let since = format!("--shallow-since={SINCE}");
    let head = git.read("", &["rev-parse", "HEAD"]).ok();
    let upstream = git.read("", &["rev-parse", "@{upstream}"]).ok();
    for target in [Some(head), Some(upstream), None] {
        let target = match target {
            Some(None) => continue,
            Some(Some(sha)) => Some(sha),
            None => None,
        };
        if fetch(git, &since, target.as_deref()).is_ok() {
            return Unshallowed::Fetched;
        }
    }
    Unshallowed::Failed
}

/// Fetches one commit that a shallow clone does not have.
pub fn deepen_to(git: &Git, sha: &str) {
    let commit = format!("{sha}^{{commit}}");
    let is_here = git.read("", &["cat-file", "-e", &commit]).is_ok();
    if !is_here && is_shallow(git) {
        // Whether it came shows when it is looked at.
        let _ = fetch(git, "--deepen=1", None);
    }
}

fn fetch(git: &Git, depth: &str, target: Option<&str>) -> Result<(), GitError> {
    let remote = [
        "config",
        "--default",
        "origin",
        "--get",
        "clone.defaultRemoteName",
    ];
    let remote = git.read("", &remote).unwrap_or_else(|_| "origin".into());
    let mut arguments = vec![
        "fetch",
        depth,
        "--update-shallow",
        "--filter=blob:none",
        "--recurse-submodules=no",
        "--no-tags",
        &remote,
    ];
    arguments.extend(target);
    let mut tries = 0;
    loop {
        match git.ask("unshallow", &arguments, b"", FETCH_LIMIT) {
            Err(error) if tries < LOCK_TRIES && is_lock_held(&error) => {
                let pause = Duration::from_millis(500 << tries);
                thread::sleep(pause + crate::random::up_to(Duration::from_secs(1)));
                tries += 1;
                if !is_shallow(git) {
                    // Whoever held the lock has done it.
                    return Ok(());
                }
            }
            result => return result.map(|_| ()),
        }
    }
}

/// Whether another process does the same at this moment.
fn is_lock_held(error: &GitError) -> bool {
    let GitError::Failed { message, .. } = error else {
        return false;
    };
    let has = |text: &str| message.contains(text);
    (has("Unable to create") && has(".lock") && has("File exists"))
        || (has("cannot lock ref") && has("but expected"))
        || has("shallow file has changed since we read it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_leniently() {
        for (output, expected) in [
            ("git version 2.47.3", Some((2, 47))),
            ("git version 2.39.5 (Apple Git-154)", Some((2, 39))),
            ("git version 2.50.1.windows.1", Some((2, 50))),
            ("git version x", None),
            ("", None),
        ] {
            assert_eq!(parse_version(output), expected, "{output}");
        }
    }

    #[test]
    fn a_lock_of_another_process_is_recognised() {
        for (message, expected) in [
            (
                "fatal: Unable to create '/x/.git/shallow.lock': File exists.",
                true,
            ),
            (
                "error: cannot lock ref 'refs/x': is at 1 but expected 2",
                true,
            ),
            ("fatal: shallow file has changed since we read it", true),
            ("fatal: couldn't find remote ref x", false),
        ] {
            let error = GitError::Failed {
                command: "fetch".into(),
                code: 128,
                message: message.into(),
            };
            assert_eq!(is_lock_held(&error), expected, "{message}");
        }
        assert!(!is_lock_held(&GitError::Missing));
    }
}
