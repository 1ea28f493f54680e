//! What can be known without git: the commit, its branch and the repository, from files.
//!
//! `.git` is a folder, or a file that names one (work trees, submodules). `HEAD` names a ref or a
//! commit; a ref is a file below `refs`, or a line of `packed-refs`; the repository's address
//! stands in `config`.

use std::fs;
use std::path::{Path, PathBuf};

use super::is_sha;
use crate::ci::{Tags, without_credentials};
use crate::model::tags::{GIT_BRANCH, GIT_COMMIT_SHA, GIT_REPOSITORY_URL};

/// The largest file that is read.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// The tags of the repository around a folder.
pub fn tags_of_files(folder: &Path) -> Tags {
    let mut tags = Tags::new();
    let Some(git) = git_folder(folder) else {
        return tags;
    };
    let shared = shared_folder(&git);
    let head = read(&git.join("HEAD")).unwrap_or_default();
    let head = head.trim();
    let mut set = |tag: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            tags.insert(tag.to_owned(), value);
        }
    };
    match head.strip_prefix("ref:").map(str::trim) {
        Some(name) if is_ref(name) => {
            set(
                GIT_BRANCH,
                name.strip_prefix("refs/heads/").map(str::to_owned),
            );
            set(GIT_COMMIT_SHA, commit_of(name, &git, &shared));
        }
        Some(_) => {}
        None => set(GIT_COMMIT_SHA, is_sha(head).then(|| head.to_owned())),
    }
    let config = read(&shared.join("config")).unwrap_or_default();
    let url = origin(&config);
    set(
        GIT_REPOSITORY_URL,
        url.map(|url| without_credentials(&url).into_owned()),
    );
    tags
}

fn read(path: &Path) -> Option<String> {
    let size = fs::metadata(path).ok()?.len();
    let bytes = (size <= MAX_FILE).then(|| fs::read(path))?.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn git_folder(folder: &Path) -> Option<PathBuf> {
    let found = folder
        .ancestors()
        .map(|folder| folder.join(".git"))
        .find(|path| path.exists())?;
    if found.is_dir() {
        return Some(found);
    }
    let text = read(&found)?;
    let named = text.strip_prefix("gitdir:")?.trim();
    Some(found.parent()?.join(named))
}

/// Where a work tree keeps what it shares with others.
fn shared_folder(git: &Path) -> PathBuf {
    match read(&git.join("commondir")) {
        Some(named) => git.join(named.trim()),
        None => git.to_owned(),
    }
}

/// Whether a name may be looked up: below `refs`, and nowhere else.
fn is_ref(name: &str) -> bool {
    let parts = ["", ".", ".."];
    name.starts_with("refs/") && !name.split('/').any(|part| parts.contains(&part))
}

fn commit_of(name: &str, git: &Path, shared: &Path) -> Option<String> {
    let loose = [git, shared]
        .iter()
        .find_map(|folder| read(&folder.join(name)));
    let packed = || {
        let packed = read(&shared.join("packed-refs"))?;
        let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
        let (sha, _) = lines.find(|(_, found)| *found == name)?;
        Some(sha.to_owned())
    };
    let sha = loose.or_else(packed)?;
    let sha = sha.trim();
    is_sha(sha).then(|| sha.to_owned())
}

/// The address of the remote `origin`.
fn origin(config: &str) -> Option<String> {
    let mut is_origin = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            is_origin = line == r#"[remote "origin"]"#;
        } else if let Some((key, value)) = line.split_once('=') {
            if is_origin && key.trim().eq_ignore_ascii_case("url") {
                return Some(value.trim().to_owned());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0123456789012345678901234567890123456789";

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        }
        root
    }

    fn found(files: &[(&str, &str)], folder: &str) -> Vec<(String, String)> {
        let root = repository(files);
        let folder = root.path().join(folder);
        fs::create_dir_all(&folder).expect("created");
        tags_of_files(&folder).into_iter().collect()
    }

    fn expected(
        branch: Option<&str>,
        sha: Option<&str>,
        url: Option<&str>,
    ) -> Vec<(String, String)> {
        let pairs = [
            (GIT_BRANCH, branch),
            (GIT_COMMIT_SHA, sha),
            (GIT_REPOSITORY_URL, url),
        ];
        pairs
            .into_iter()
            .filter_map(|(tag, value)| Some((tag.to_owned(), value?.to_owned())))
            .collect()
    }

    #[test]
    fn commit_branch_and_address_are_found() {
        let config = "[core]\n\turl = no\n[remote \"origin\"]\n\tfetch = x\n\turl = https://u:p@h/o/x.git\n[branch \"m\"]\n";
        let packed = format!("# pack-refs\n{SHA} refs/heads/a/b\n^{SHA}\n");
        let url = Some("https://h/o/x.git");
        for (files, folder, expected) in [
            (
                &[
                    (".git/HEAD", "ref: refs/heads/main\n"),
                    (".git/refs/heads/main", SHA),
                    (".git/config", config),
                ][..],
                "deep/down",
                expected(Some("main"), Some(SHA), url),
            ),
            (
                &[
                    (".git/HEAD", "ref: refs/heads/a/b"),
                    (".git/packed-refs", &packed),
                ],
                "",
                expected(Some("a/b"), Some(SHA), None),
            ),
            (&[(".git/HEAD", SHA)], "", expected(None, Some(SHA), None)),
            (
                &[
                    (".git/modules/sub/HEAD", SHA),
                    (".git/modules/sub/config", config),
                    ("sub/.git", "gitdir: ../.git/modules/sub\n"),
                ],
                "sub",
                expected(None, Some(SHA), url),
            ),
            (
                &[
                    (".git/worktrees/w/HEAD", "ref: refs/heads/main"),
                    (".git/worktrees/w/commondir", "../.."),
                    (".git/refs/heads/main", SHA),
                    (".git/config", config),
                    ("w/.git", "gitdir: ../.git/worktrees/w"),
                ],
                "w",
                expected(Some("main"), Some(SHA), url),
            ),
        ] {
            assert_eq!(found(files, folder), expected, "{files:?}");
        }
    }

    #[test]
    fn files_that_lie_are_not_followed() {
        for head in [
            "ref: ../../etc/passwd",
            "ref: refs/../../x",
            "garbage",
            "",
            "ref: ",
        ] {
            assert_eq!(found(&[(".git/HEAD", head), ("x", SHA)], ""), []);
        }
        let broken = [
            (".git/HEAD", "ref: refs/heads/main"),
            (".git/refs/heads/main", "no"),
        ];
        assert_eq!(found(&broken, ""), expected(Some("main"), None, None));
    }
}
