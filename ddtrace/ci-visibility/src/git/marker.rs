//! Two runs in one checkout upload its commits once (`spec/ci-visibility.md` §7.1).
//!
//! Whoever is first takes a lock in `.git`; whoever is done leaves a marker there that says for
//! which commit, and the others see it. A lock goes with the process that holds it, so one that is
//! held means that somebody works. The file of the lock stays, empty: removing it would let two
//! processes hold two locks of the same name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// How long a marker is believed.
const VALID: Duration = Duration::from_secs(300);

const MARKER: &str = "ddtrace.upload-done";
const LOCK: &str = "ddtrace.upload.lock";

/// Says that the commits were uploaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    head_sha: String,
    timestamp: f64,
    /// Where the pull request left its base, which only the uploader finds out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_base_sha: Option<String>,
}

impl Marker {
    /// The marker for this commit, if there is one that still counts. `git` is the folder `.git`.
    pub fn read(git: &Path, head_sha: &str) -> Option<Marker> {
        let bytes = fs::read(git.join(MARKER)).ok()?;
        let marker: Marker = serde_json::from_slice(&bytes).ok()?;
        let age = seconds_since_epoch() - marker.timestamp;
        let is_valid = (0.0..=VALID.as_secs_f64()).contains(&age);
        (is_valid && marker.head_sha == head_sha).then_some(marker)
    }

    /// Leaves a marker, whole or not at all.
    pub fn write(git: &Path, head_sha: &str, merge_base_sha: Option<&str>) {
        let marker = Marker {
            head_sha: head_sha.to_owned(),
            timestamp: seconds_since_epoch(),
            merge_base_sha: merge_base_sha.map(str::to_owned),
        };
        let part = git.join(format!("{MARKER}.{:x}", crate::random::number()));
        let bytes = serde_json::to_vec(&marker).unwrap_or_default();
        // A checkout that cannot be written to has no marker, and is uploaded again.
        let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, git.join(MARKER)));
        if written.is_err() {
            let _ = fs::remove_file(part);
        }
    }

    /// Removes it, at the end of the session that left it.
    pub fn remove(git: &Path) {
        let _ = fs::remove_file(git.join(MARKER));
    }
}

fn seconds_since_epoch() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

/// The right to upload, as long as it lives.
#[derive(Debug)]
pub struct UploadLock {
    /// `None` where there is no place for a lock: then nobody else has one either.
    _file: Option<File>,
    path: PathBuf,
}

impl UploadLock {
    /// Waits for the lock; `None` if another process still works when the time is over.
    pub fn take(git: &Path, until: Instant) -> Option<UploadLock> {
        let path = git.join(LOCK);
        let Ok(file) = File::options().create(true).append(true).open(&path) else {
            return Some(UploadLock { _file: None, path });
        };
        // Where files cannot be locked there is the marker only.
        while let Ok(false) = try_lock(&file) {
            if Instant::now() >= until {
                return None;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Some(UploadLock {
            _file: Some(file),
            path,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(unix)]
use super::system::try_lock;

#[cfg(not(unix))]
fn try_lock(_file: &File) -> std::io::Result<bool> {
    Ok(true)
}
