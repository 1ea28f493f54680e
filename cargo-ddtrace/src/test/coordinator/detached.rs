//! A coordinator without `cargo ddtrace`: for plain `cargo test` with a configured runner, and for nextest.
//!
//! The first runner of a cargo process starts one in the background; the others find it by its folder, whose name says which
//! cargo process (its id and start time) or which run of nextest's it belongs to. It ends when that process is gone and
//! nobody speaks with it any more, and then closes the session.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ddtrace_ci_visibility::model::SessionId;

use super::temporary;
use crate::test::runner::os;

/// How long a runner waits for a coordinator to listen.
const START: Duration = Duration::from_secs(10);

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The process after whose end the session is over.
    pub(crate) pid: u32,
    /// When it was started, in the system's own units.
    pub(crate) began: String,
    /// nextest's name of its run.
    pub(crate) nextest: Option<String>,
}

impl Owner {
    fn of_this_process() -> Option<Owner> {
        let pid = std::os::unix::process::parent_id();
        Some(Owner {
            pid,
            began: began(pid)?,
            nextest: std::env::var("NEXTEST_RUN_ID").ok(),
        })
    }

    fn folder(&self) -> PathBuf {
        let key = match &self.nextest {
            Some(run) => run.clone(),
            None => format!("{}-{}", self.pid, self.began),
        };
        // The key is hashed because a path has to be short and may hold no blank.
        let hash = SessionId::new(1).map_or(0, |id| id.module_id(&key));
        temporary().join(format!("ddtrace-test-{hash:016x}"))
    }

    /// Whether the process is still there.
    pub(crate) fn is_alive(&self) -> bool {
        os::exists(self.pid) && began(self.pid).is_none_or(|began| began == self.began)
    }
}

/// When a process was started: field 22 of `/proc/<pid>/stat`, whose second field may hold anything in parentheses.
fn began(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

/// The socket of this cargo's coordinator, which is started if there is none.
pub(crate) fn find_or_start() -> Option<PathBuf> {
    let switch = std::env::var("DD_CIVISIBILITY_RUST_COORDINATOR").unwrap_or_default();
    if ["off", "false", "0"]
        .iter()
        .any(|off| switch.eq_ignore_ascii_case(off))
    {
        return None;
    }
    let owner = Owner::of_this_process()?;
    let folder = owner.folder();
    let socket = folder.join("socket");
    if !socket.exists() {
        start(&owner, &folder)?;
    }
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if is_own(&folder) && std::os::unix::net::UnixStream::connect(&socket).is_ok() {
            return Some(socket);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Whether a folder is this user's, and only this user's.
fn is_own(folder: &Path) -> bool {
    let (Ok(folder), Ok(own)) = (
        std::fs::symlink_metadata(folder),
        std::fs::metadata("/proc/self"),
    ) else {
        return false;
    };
    folder.is_dir() && folder.uid() == own.uid() && folder.mode() & 0o077 == 0
}

fn start(owner: &Owner, folder: &Path) -> Option<()> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command
        .arg("coordinator")
        .arg(folder)
        .args([&owner.pid.to_string(), &owner.began])
        .args(&owner.nextest)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // It outlives cargo, so it must hold nothing that somebody waits for to be closed.
        .stderr(Stdio::null())
        .process_group(0);
    // A second runner may start one at the same moment; whoever finds the folder made ends.
    command.spawn().ok().map(drop)
}

/// Reads the arguments that [`start`] writes.
pub(crate) fn arguments(words: &[std::ffi::OsString]) -> Option<(PathBuf, Owner)> {
    let text = |at: usize| {
        words
            .get(at)
            .and_then(|word| word.to_str())
            .map(str::to_owned)
    };
    Some((
        PathBuf::from(words.first()?),
        Owner {
            pid: text(1)?.parse().ok()?,
            began: text(2)?,
            nextest: text(3),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_told_from_a_later_process_of_its_number() {
        let own = Owner {
            pid: std::process::id(),
            began: began(std::process::id()).unwrap(),
            nextest: None,
        };
        assert!(own.is_alive());
        let earlier = Owner {
            began: "1".to_owned(),
            ..own.clone()
        };
        assert!(!earlier.is_alive());
        assert_ne!(own.folder(), earlier.folder());
        let by_run = |run: &str| Owner {
            nextest: Some(run.to_owned()),
            ..own.clone()
        };
        assert_eq!(
            by_run("a").folder(),
            Owner {
                pid: 1,
                ..by_run("a")
            }
            .folder()
        );
        assert_ne!(by_run("a").folder(), by_run("b").folder());
    }

    #[test]
    fn a_folder_of_others_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap()
        };
        mode(0o700);
        assert!(is_own(folder.path()));
        mode(0o755);
        assert!(!is_own(folder.path()));
    }
}
