//! `git_metadata!()`: the repository and the commit that a program is built from, put into it.
//!
//! `DD_GIT_REPOSITORY_URL` and `DD_GIT_COMMIT_SHA` of the environment of the build win: a build outside of a checkout sets them. Else the files
//! of git are read, without calling it. The compiler is told which files those were, so that a commit or a switch of branches
//! builds anew. Credentials in the URL are left out. Nothing here fails a build: what is not found is not embedded.

use std::path::{Path, PathBuf};

use proc_macro2::{Literal, TokenStream};

use crate::expand::{Mode, facade};
use crate::tokens::ours;

/// The largest file that is read.
const MAX_SIZE: u64 = 4 << 20;

/// What was found, and the files that say so.
#[derive(Debug, Default, PartialEq)]
struct Found {
    repository_url: String,
    commit_sha: String,
    files: Vec<PathBuf>,
}

/// The macro.
pub(crate) fn expand(mode: Mode) -> TokenStream {
    if mode == Mode::Plain {
        return TokenStream::new();
    }
    let mut found = std::env::var_os("CARGO_MANIFEST_DIR")
        .and_then(|folder| find(Path::new(&folder)))
        .unwrap_or_default();
    for (name, value) in [
        ("DD_GIT_REPOSITORY_URL", &mut found.repository_url),
        ("DD_GIT_COMMIT_SHA", &mut found.commit_sha),
    ] {
        if let Some(set) = std::env::var(name).ok().filter(|set| !set.is_empty()) {
            *value = set;
        }
    }
    let private = facade(None);
    let private = ours!(#private::__private);
    let url = Literal::string(&without_credentials(&found.repository_url));
    let sha = Literal::string(&found.commit_sha);
    let files = found.files.iter().filter_map(|path| {
        let path = Literal::string(path.to_str()?);
        Some(ours!(
            const _: &[u8] = ::core::include_bytes!(#path);
        ))
    });
    let files: Vec<TokenStream> = files.collect();
    ours! {
        const _: () = {
            // Has the crate compiled again when they change. Nothing of them gets into the program.
            #(#files)*
            const _: (
                ::core::option::Option<&str>,
                ::core::option::Option<&str>,
            ) = (
                ::core::option_env!("DD_GIT_REPOSITORY_URL"),
                ::core::option_env!("DD_GIT_COMMIT_SHA"),
            );
            #private::inventory::submit! { #private::EmbeddedGit::new(#url, #sha) }
        };
    }
}

/// Reads the checkout that a folder is in.
fn find(folder: &Path) -> Option<Found> {
    let git = folder
        .ancestors()
        .map(|folder| folder.join(".git"))
        .find(|path| path.exists())?;
    // In a worktree, `.git` is a file that says where its own folder is, and that folder says where the common one is.
    let own = if git.is_dir() {
        git
    } else {
        let text = read(&git)?;
        resolved(git.parent()?, text.trim().strip_prefix("gitdir:")?.trim())
    };
    let common = match read(&own.join("commondir")) {
        Some(text) => resolved(&own, text.trim()),
        None => own.clone(),
    };
    let head = own.join("HEAD");
    let text = read(&head)?;
    let mut files = vec![head];
    let commit_sha = match text.trim().strip_prefix("ref:") {
        None => text.trim().to_owned(),
        Some(name) => {
            let name = name.trim();
            let loose = common.join(name);
            let packed = common.join("packed-refs");
            let found = read(&loose).map(|text| (text.trim().to_owned(), loose));
            let (sha, file) = found.or_else(|| {
                let text = read(&packed)?;
                let lines = text.lines().filter_map(|line| line.split_once(' '));
                let sha = lines
                    .filter(|(_, of)| *of == name)
                    .map(|(sha, _)| sha.to_owned())
                    .next()?;
                Some((sha, packed))
            })?;
            files.push(file);
            sha
        }
    };
    let is_sha = commit_sha.len() >= 40 && commit_sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    let config = common.join("config");
    let repository_url = read(&config).map(|text| origin(&text)).unwrap_or_default();
    if config.is_file() {
        files.push(config);
    }
    Some(Found {
        repository_url,
        commit_sha: if is_sha { commit_sha } else { String::new() },
        files,
    })
}

fn resolved(base: &Path, path: &str) -> PathBuf {
    // An absolute path replaces the base.
    base.join(path)
}

fn read(path: &Path) -> Option<String> {
    let size = std::fs::metadata(path).ok()?.len();
    (size <= MAX_SIZE).then(|| std::fs::read_to_string(path).ok())?
}

/// The URL of the remote `origin`, else of the first one.
fn origin(config: &str) -> String {
    let mut remote = None;
    let mut first = "";
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            remote = line
                .strip_prefix("[remote \"")
                .and_then(|rest| rest.strip_suffix("\"]"));
        } else if let (Some(remote), Some((key, url))) = (remote, line.split_once('=')) {
            if key.trim() == "url" {
                if remote == "origin" {
                    return url.trim().to_owned();
                }
                if first.is_empty() {
                    first = url.trim();
                }
            }
        }
    }
    first.to_owned()
}

/// The URL without user name and password; `git@host:path` has none to hide.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
    const CONFIG: &str = "[core]\n\turl = no\n[remote \"fork\"]\n\turl = https://h/fork.git\n\
        [remote \"origin\"]\n\turl = https://u:p@h/r.git\n\tfetch = +refs/*\n";

    /// A folder that is removed at the end.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn folder(name: &str, files: &[(&str, &str)]) -> Folder {
        let base = std::env::temp_dir().join(format!("ddtrace-git-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = base.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Folder(base)
    }

    type Files<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn checkouts_of_every_kind_are_read() {
        let packed = format!(
            "# pack-refs\n{} refs/heads/other\n{SHA} refs/heads/main\n",
            "f".repeat(40)
        );
        let cases: [(&str, Files<'_>, &str, &str); 6] = [
            (
                "loose",
                &[
                    (".git/HEAD", "ref: refs/heads/main\n"),
                    (".git/refs/heads/main", SHA),
                    (".git/config", CONFIG),
                ],
                SHA,
                "https://u:p@h/r.git",
            ),
            (
                "packed",
                &[
                    (".git/HEAD", "ref: refs/heads/main\n"),
                    (".git/packed-refs", &packed),
                ],
                SHA,
                "",
            ),
            (
                "detached",
                &[
                    (".git/HEAD", SHA),
                    (".git/config", "[remote \"x\"]\nurl=git@h:r.git\n"),
                ],
                SHA,
                "git@h:r.git",
            ),
            (
                "worktree",
                &[
                    (".git", "gitdir: main/.git/worktrees/w\n"),
                    ("main/.git/worktrees/w/HEAD", "ref: refs/heads/main\n"),
                    ("main/.git/worktrees/w/commondir", "../..\n"),
                    ("main/.git/refs/heads/main", SHA),
                    ("main/.git/config", CONFIG),
                ],
                SHA,
                "https://u:p@h/r.git",
            ),
            ("torn", &[(".git/HEAD", "nonsense")], "", ""),
            (
                "unborn",
                &[(".git/HEAD", "ref: refs/heads/main\n")],
                "none",
                "",
            ),
        ];
        for (name, files, sha, url) in cases {
            let folder = folder(name, files);
            let found = find(&folder.0);
            if sha == "none" {
                assert_eq!(found, None, "{name}");
                continue;
            }
            let found = found.unwrap();
            assert_eq!(
                (&*found.commit_sha, &*found.repository_url),
                (sha, url),
                "{name}"
            );
            assert!(
                found.files.iter().all(|file| file.is_file()),
                "{name}: {found:?}"
            );
        }
    }

    #[test]
    fn credentials_are_left_out() {
        for (url, expected) in [
            ("https://u:p@h/r.git", "https://h/r.git"),
            ("https://token@h:8/r@x.git", "https://h:8/r@x.git"),
            ("ssh://git@h/r.git", "ssh://h/r.git"),
            ("https://h/r.git", "https://h/r.git"),
            ("git@h:r.git", "git@h:r.git"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(url), expected);
        }
    }
}
