//! Git against repositories of our own: ordinary, detached, shallow, in a submodule, of somebody
//! else, broken, and none.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::ci::Tags;
use crate::model::tags::*;
use crate::telemetry::Metrics;

/// Runs git as a user would, with a fixed identity, and returns what it prints.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "protocol.file.allow=always",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.test")
        .env("GIT_COMMITTER_NAME", "Bo")
        .env("GIT_COMMITTER_EMAIL", "bo@example.test")
        .output()
        .expect("git runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn commit(folder: &Path, message: &str) -> String {
    std::fs::write(folder.join("file.txt"), message).expect("written");
    git(folder, &["add", "."]);
    git(folder, &["commit", "-q", "-m", message]);
    git(folder, &["rev-parse", "HEAD"])
}

/// A repository with this many commits.
pub(crate) fn repository(commits: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    git(folder.path(), &["init", "-q"]);
    for number in 0..commits {
        commit(folder.path(), &format!("commit {number}"));
    }
    folder
}

fn clone(from: &Path, arguments: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}", from.display());
    let mut all = vec!["clone", "-q"];
    all.extend(arguments);
    all.extend([url.as_str(), "."]);
    git(folder.path(), &all);
    folder
}

fn ours(folder: &Path) -> Git {
    Git::new(folder, Arc::default()).expect("git is there")
}

#[track_caller]
fn assert_tags(tags: &Tags, expected: &[(&str, Option<&str>)]) {
    for (tag, value) in expected {
        assert_eq!(
            tags.get(*tag).map(String::as_str),
            *value,
            "{tag} in {tags:?}"
        );
    }
}

#[test]
fn an_ordinary_checkout_has_all_tags() {
    let folder = repository(2);
    let url = "https://user:secret@h.example.test/acme/widget.git";
    git(folder.path(), &["remote", "add", "origin", url]);
    let sha = git(folder.path(), &["rev-parse", "HEAD"]);
    let date = git(
        folder.path(),
        &[
            "show",
            "-s",
            "--format=%ad",
            "--date=format:%Y-%m-%dT%H:%M:%S%z",
        ],
    );
    let inner = folder.path().join("a/b");
    std::fs::create_dir_all(&inner).expect("created");
    let found = ours(&inner);
    assert_tags(
        &local_tags(&found),
        &[
            (
                GIT_REPOSITORY_URL,
                Some("https://h.example.test/acme/widget.git"),
            ),
            (GIT_COMMIT_SHA, Some(&sha)),
            (GIT_BRANCH, Some("main")),
            (GIT_COMMIT_MESSAGE, Some("commit 1")),
            (GIT_COMMIT_AUTHOR_NAME, Some("Ada")),
            (GIT_COMMIT_AUTHOR_EMAIL, Some("ada@example.test")),
            (GIT_COMMIT_AUTHOR_DATE, Some(&date)),
            (GIT_COMMIT_COMMITTER_NAME, Some("Bo")),
            (GIT_COMMIT_COMMITTER_EMAIL, Some("bo@example.test")),
            (GIT_COMMIT_COMMITTER_DATE, Some(&date)),
        ],
    );
    let root = folder.path().canonicalize().expect("a path");
    assert_eq!(found.root(), root);
    // What is read from files agrees.
    let files = tags_of_files(&inner);
    for tag in [GIT_REPOSITORY_URL, GIT_COMMIT_SHA, GIT_BRANCH] {
        assert_eq!(files.get(tag), local_tags(&found).get(tag), "{tag}");
    }
    let head = head_tags(&found, &sha, false);
    assert_tags(&head, &[(GIT_COMMIT_HEAD_MESSAGE, Some("commit 1"))]);
    assert_eq!(head.len(), 7);
}

#[test]
fn a_detached_head_has_no_branch_and_a_new_repository_no_commit() {
    let folder = repository(2);
    git(folder.path(), &["checkout", "-q", "HEAD~1"]);
    let tags = local_tags(&ours(folder.path()));
    assert_tags(
        &tags,
        &[
            (GIT_BRANCH, None),
            (GIT_COMMIT_MESSAGE, Some("commit 0")),
            (GIT_REPOSITORY_URL, None),
        ],
    );
    let empty = tempfile::tempdir().expect("a folder");
    git(empty.path(), &["init", "-q"]);
    assert_tags(
        &local_tags(&ours(empty.path())),
        &[(GIT_COMMIT_SHA, None), (GIT_COMMIT_MESSAGE, None)],
    );
    let none = tempfile::tempdir().expect("a folder");
    assert_eq!(local_tags(&ours(none.path())), Tags::new());
    assert_eq!(tags_of_files(none.path()), Tags::new());
}

#[test]
fn a_submodule_is_a_repository_of_its_own() {
    let inner = repository(1);
    let outer = repository(1);
    let url = format!("file://{}", inner.path().display());
    git(outer.path(), &["submodule", "add", "-q", &url, "sub"]);
    let sub = outer.path().join("sub");
    let sha = git(inner.path(), &["rev-parse", "HEAD"]);
    let tags = local_tags(&ours(&sub));
    assert_tags(
        &tags,
        &[
            (GIT_COMMIT_SHA, Some(&sha)),
            (GIT_REPOSITORY_URL, Some(&url)),
        ],
    );
    assert_eq!(tags_of_files(&sub).get(GIT_COMMIT_SHA), Some(&sha));
}

#[test]
fn a_checkout_of_somebody_else_is_read_all_the_same() {
    use std::os::unix::fs::chown;
    let folder = repository(1);
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).expect("created");
    if chown(folder.path(), Some(12345), Some(12345)).is_err()
        || chown(folder.path().join(".git"), Some(12345), Some(12345)).is_err()
    {
        eprintln!("left out: only the administrator can give a checkout away");
        return;
    }
    assert_tags(
        &local_tags(&ours(&inner)),
        &[(GIT_COMMIT_MESSAGE, Some("commit 0"))],
    );
}

#[test]
fn a_missing_git_is_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let metrics = Arc::new(Metrics::default());
    let program = Path::new("/nowhere/git");
    let error = Git::of_program(program, folder.path(), Arc::clone(&metrics));
    assert!(matches!(error, Err(GitError::Missing)));
    assert_eq!(metrics.take().total("git.command_errors"), 1);
}

#[test]
fn a_command_that_hangs_is_killed_with_what_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("git");
    let pids = folder.path().join("pids");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *show-toplevel*) exit 1;; esac\nsleep 1000 & echo $! >> {0}\necho $$ >> {0}\nwait\n",
        pids.display()
    );
    std::fs::write(&program, script).expect("written");
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("executable");
    let git = Git::of_program(&program, folder.path(), Arc::default()).expect("it is there");
    let limited = git.until(Instant::now() + Duration::from_millis(500));
    assert!(matches!(
        latest_commits(&limited),
        Err(GitError::Timeout { .. })
    ));
    assert!(matches!(
        latest_commits(&limited),
        Err(GitError::Timeout { .. })
    ));
    let is_running = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        // A zombie that its new parent has not taken yet does not run.
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    // Whether it got as far as to write its ids depends on the load of the machine.
    let pids = std::fs::read_to_string(pids).unwrap_or_default();
    while pids.lines().any(is_running) {
        assert!(Instant::now() < deadline, "still running: {pids}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_shallow_clone_is_deepened() {
    let origin = repository(4);
    let shallow = clone(origin.path(), &["--depth", "1"]);
    let git_here = ours(shallow.path());
    assert!(is_shallow(&git_here));
    assert_eq!(latest_commits(&git_here).expect("commits").len(), 1);
    assert_eq!(unshallow(&git_here), Unshallowed::Fetched);
    let all = latest_commits(&git_here).expect("commits");
    assert_eq!(all.join("\n"), git(origin.path(), &["log", "--format=%H"]));
    // What is complete is left alone.
    assert_eq!(unshallow(&ours(origin.path())), Unshallowed::NotNeeded);
}

#[test]
fn a_remote_that_is_gone_fails_without_harm() {
    let origin = repository(3);
    let shallow = clone(origin.path(), &["--depth", "1"]);
    drop(origin);
    let git = ours(shallow.path());
    assert_eq!(unshallow(&git), Unshallowed::Failed);
    assert_eq!(latest_commits(&git).expect("commits").len(), 1);
}

#[test]
fn the_head_of_a_pull_request_is_fetched_into_a_shallow_clone() {
    let origin = repository(3);
    let parent = git(origin.path(), &["rev-parse", "HEAD~1"]);
    let shallow = clone(origin.path(), &["--depth", "1"]);
    let git = ours(shallow.path());
    assert_eq!(head_tags(&git, &parent, false), Tags::new());
    let tags = head_tags(&git, &parent, true);
    assert_tags(&tags, &[(GIT_COMMIT_HEAD_MESSAGE, Some("commit 1"))]);
    assert_eq!(head_tags(&git, "--upload-pack=x", true), Tags::new());
}

#[test]
fn packs_hold_the_missing_commits_without_contents() {
    let folder = repository(5);
    let git_here = ours(folder.path());
    let commits = latest_commits(&git_here).expect("commits");
    let (missing, known) = commits.split_at(2);
    let objects = missing_objects(&git_here, known, missing).expect("objects");
    // Each commit has a tree and a file; files are left out.
    assert_eq!(objects.len(), 4);
    let packs = Packs::of(&git_here, &objects).expect("packs");
    let [pack] = packs.files() else {
        panic!("one pack, not {:?}", packs.files());
    };
    let index = pack.with_extension("idx");
    let index = index.to_string_lossy().into_owned();
    let verified = git(folder.path(), &["verify-pack", "-v", &index]);
    let names: BTreeSet<&str> = verified
        .lines()
        .filter_map(|line| line.split(' ').next().filter(|name| is_sha(name)))
        .collect();
    assert_eq!(names, objects.iter().map(String::as_str).collect());
    let folder = pack.parent().expect("a folder").to_owned();
    drop(packs);
    assert!(!folder.exists());
}

#[test]
fn a_change_is_compared_with_where_it_left_its_base() {
    let folder = repository(3);
    let at = folder.path();
    let main = git(at, &["rev-parse", "HEAD"]);
    git(at, &["checkout", "-q", "-b", "topic"]);
    std::fs::write(at.join("lib.rs"), "one\ntwo\nthree\n").expect("written");
    let head = commit(at, "topic");
    git(at, &["checkout", "-q", "main"]);
    let newer = commit(at, "newer");
    git(at, &["checkout", "-q", "topic"]);
    let git_here = ours(at);
    let tags = |pairs: &[(&str, &str)]| -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    for (case, given) in [
        ("nothing", tags(&[])),
        ("branch", tags(&[(GIT_PULL_REQUEST_BASE_BRANCH, "main")])),
        (
            "head of it",
            tags(&[(GIT_PULL_REQUEST_BASE_BRANCH_HEAD_SHA, &newer)]),
        ),
        ("commit", tags(&[(GIT_PULL_REQUEST_BASE_BRANCH_SHA, &main)])),
        (
            "not a commit",
            tags(&[
                (GIT_PULL_REQUEST_BASE_BRANCH_SHA, "--output=x"),
                (GIT_COMMIT_HEAD_SHA, &head),
            ]),
        ),
    ] {
        assert_eq!(
            base_of(&git_here, &given).as_deref(),
            Some(main.as_str()),
            "{case}"
        );
    }
    let changes = changed_lines(&git_here, &main, None).expect("a diff");
    assert_eq!(changes.files().collect::<Vec<_>>(), ["file.txt", "lib.rs"]);
    // What is not committed counts, too, unless a head is given.
    std::fs::write(at.join("lib.rs"), "one\nTWO\nthree\nfour\n").expect("written");
    let changes = changed_lines(&git_here, "HEAD", None).expect("a diff");
    let source = |start, end| crate::model::Source {
        file: "lib.rs".into(),
        start,
        end,
    };
    let touched: Vec<bool> = [source(1, 1), source(2, 2), source(3, 3), source(4, 9)]
        .iter()
        .map(|source| changes.touches(source))
        .collect();
    assert_eq!(touched, [false, true, false, true]);
    assert!(
        changed_lines(&git_here, "HEAD", Some("HEAD"))
            .expect("a diff")
            .is_empty()
    );
}

#[test]
fn a_marker_counts_for_its_commit_and_a_lock_for_its_holder() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    assert_eq!(Marker::read(at, "a"), None);
    Marker::write(at, "a", Some("base"));
    let found = Marker::read(at, "a").expect("a marker");
    assert_eq!(found.merge_base_sha.as_deref(), Some("base"));
    assert_eq!(Marker::read(at, "b"), None);
    let old = br#"{"head_sha": "a", "timestamp": 1000.0}"#;
    for content in [&old[..], b"", b"{", br#"{"head_sha": 1}"#] {
        std::fs::write(at.join("ddtrace.upload-done"), content).expect("written");
        assert_eq!(Marker::read(at, "a"), None);
    }
    Marker::remove(at);
    let lock = UploadLock::take(at, Instant::now()).expect("it is free");
    // A second descriptor stands for a second process.
    assert!(UploadLock::take(at, Instant::now()).is_none());
    let path = lock.path().to_owned();
    drop(lock);
    assert!(path.exists());
    assert!(UploadLock::take(at, Instant::now()).is_some());
    // Without a place for a lock everybody goes on.
    assert!(UploadLock::take(Path::new("/nowhere"), Instant::now()).is_some());
}
