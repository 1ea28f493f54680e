//! What git knows: metadata of the commit, and the commits that the backend does not have.
//!
//! ```text
//!   Git (command)  one command, bounded in time and output
//!     ├─ metadata     tags of the commit, of the head of a pull request
//!     ├─ shallow      fetches a month of history into a shallow clone
//!     ├─ changes      the base of a change, and the lines that it touches
//!     └─ pack         objects of missing commits, in packs
//!   reader            HEAD, refs and config read from files, where there is no git
//! ```
//!
//! Everything here blocks: it runs on a thread of its own (`spawn_blocking`), never on a test's.
//! Nothing of it fails a run: what git does not say is a tag that is missing.

mod changes;
mod command;
mod marker;
mod metadata;
mod pack;
mod reader;
mod shallow;
#[cfg(unix)]
mod system;

pub use changes::{BaseBranch, base_of, changed_lines};
pub use command::{Git, GitError};
pub use marker::{Marker, UploadLock};
pub use metadata::{head_tags, local_tags};
pub use pack::{Packs, missing_objects};
pub use reader::tags_of_files;
pub use shallow::{Unshallowed, deepen_to, is_shallow, unshallow};

/// Commits that are told to the backend and asked of it: the newest of the last month.
const SINCE: &str = "1 month ago";

/// The newest commits of the last month, at most 1000, newest first.
pub fn latest_commits(git: &Git) -> Result<Vec<String>, GitError> {
    let since = format!("--since={SINCE}");
    let arguments = ["log", "--format=%H", "-n", "1000", &since];
    let output = git.read("get_local_commits", &arguments)?;
    Ok(output
        .lines()
        .filter(|line| is_sha(line))
        .map(str::to_owned)
        .collect())
}

/// The commit where two histories part.
pub fn merge_base(git: &Git, one: &str, other: &str) -> Result<String, GitError> {
    git.read("", &["merge-base", one, other])
}

/// Whether a text is the name of a commit: 40 or 64 hexadecimal digits in lower case.
pub fn is_sha(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    matches!(text.len(), 40 | 64) && text.bytes().all(is_digit)
}

#[cfg(all(test, unix))]
pub(crate) mod git_tests;
