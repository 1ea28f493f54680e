//! Tells the backend of commits that it does not have (`spec/ci-visibility.md` §7.2).
//!
//! Which are missing is asked first; a shallow clone gets a month of history if any are, or if the
//! place is wanted where the change left its base; then the missing objects are packed and sent
//! one pack after the other. A pack that fails does not stop the next one, but leaves no marker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ddtrace_core::diagnostics;
use ddtrace_core::export::agent::Deadline;
use tokio::task::spawn_blocking;

use crate::backend::{Asker, Backend};
use crate::git::{self, Git, GitError, Marker, Packs, UploadLock};
use crate::model::tags::*;
use crate::telemetry::Metrics;

/// What an upload needs.
pub(super) struct Upload {
    pub(super) git: Git,
    pub(super) backend: Arc<Backend>,
    pub(super) asker: Asker,
    pub(super) metrics: Arc<Metrics>,
    pub(super) may_unshallow: bool,
    pub(super) until: Instant,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Uploaded {
    /// Whether the backend has all commits.
    pub(super) is_complete: bool,
    /// Where the change left its base, if it was looked for.
    pub(super) merge_base: Option<String>,
    /// Where a marker was left.
    pub(super) marker_in: Option<PathBuf>,
}

impl Upload {
    /// Does it, or leaves it to another process in this checkout that does.
    pub(super) async fn run(self, deadline: &mut Deadline) -> Uploaded {
        let git = self.git.clone();
        let until = self.until;
        let folder = blocking(move || {
            git.until(until)
                .read("", &["rev-parse", "--absolute-git-dir"])
        })
        .await;
        let folder = match folder {
            Ok(folder) => PathBuf::from(folder),
            // No repository, no commits.
            Err(_) => return Uploaded::default(),
        };
        let head = self
            .asker
            .tags
            .get(GIT_COMMIT_SHA)
            .cloned()
            .unwrap_or_default();
        if let Some(done) = self.done_by_others(&folder, &head) {
            return done;
        }
        let place = folder.clone();
        let Ok(Some(_lock)) = blocking(move || Ok(UploadLock::take(&place, until))).await else {
            let done = self.done_by_others(&folder, &head);
            return done.unwrap_or_default();
        };
        // Whoever had the lock may have done it.
        if let Some(done) = self.done_by_others(&folder, &head) {
            return done;
        }
        match self.upload(deadline).await {
            Ok((is_complete, merge_base)) => {
                if is_complete {
                    Marker::write(&folder, &head, merge_base.as_deref());
                }
                Uploaded {
                    is_complete,
                    merge_base,
                    marker_in: is_complete.then_some(folder),
                }
            }
            Err(reason) => {
                diagnostics::warn(format_args!("commits could not be uploaded: {reason}"));
                Uploaded::default()
            }
        }
    }

    fn done_by_others(&self, folder: &Path, head: &str) -> Option<Uploaded> {
        let marker = Marker::read(folder, head)?;
        Some(Uploaded {
            is_complete: true,
            merge_base: marker.merge_base_sha,
            marker_in: None,
        })
    }

    async fn upload(&self, deadline: &mut Deadline) -> Result<(bool, Option<String>), String> {
        let (mut known, mut missing) = self.compare(deadline).await?;
        let wanted = self.wanted_base();
        if self.may_unshallow && (!missing.is_empty() || wanted.is_some()) {
            let git = self.limited();
            let fetched = blocking(move || Ok(git::unshallow(&git))).await;
            let is_fetched = fetched == Ok(git::Unshallowed::Fetched);
            if is_fetched && !missing.is_empty() {
                (known, missing) = self.compare(deadline).await?;
            }
        }
        let merge_base = match wanted {
            Some((base, head)) => {
                let git = self.limited();
                blocking(move || git::merge_base(&git, &base, &head))
                    .await
                    .ok()
            }
            None => None,
        };
        if missing.is_empty() {
            return Ok((true, merge_base));
        }
        let git = self.limited();
        let packs = blocking(move || {
            let objects = git::missing_objects(&git, &known, &missing)?;
            Packs::of(&git, &objects)
        });
        let packs = packs.await?;
        let (mut sent, mut bytes) = (0_u32, 0_u64);
        for path in packs.files() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Ok(pack) = std::fs::read(path) else {
                continue;
            };
            let size = pack.len() as u64;
            match self
                .backend
                .packfile(&self.asker, &name, pack, deadline)
                .await
            {
                Ok(()) => {
                    sent += 1;
                    bytes += size;
                }
                Err(error) => {
                    diagnostics::warn(format_args!("a pack could not be uploaded: {error}"));
                }
            }
        }
        let of = |name, value| self.metrics.distribution(name, &[], value);
        of("git_requests.objects_pack_files", f64::from(sent));
        of("git_requests.objects_pack_bytes", bytes as f64);
        let is_complete = sent > 0 && sent as usize == packs.files().len();
        Ok((is_complete, merge_base))
    }

    /// The commits that the backend has, and those that it has not.
    async fn compare(&self, deadline: &mut Deadline) -> Result<(Vec<String>, Vec<String>), String> {
        let git = self.limited();
        let local = blocking(move || git::latest_commits(&git)).await?;
        let known = self
            .backend
            .search_commits(&self.asker, &local, deadline)
            .await;
        let known = known.map_err(|error| error.to_string())?;
        let missing = local
            .into_iter()
            .filter(|sha| !known.contains(sha))
            .collect();
        Ok((known, missing))
    }

    /// Base and head of a pull request, if where they part is not known.
    fn wanted_base(&self) -> Option<(String, String)> {
        let tag = |name| {
            self.asker
                .tags
                .get(name)
                .filter(|sha| git::is_sha(sha))
                .cloned()
        };
        if tag(GIT_PULL_REQUEST_BASE_BRANCH_SHA).is_some() {
            return None;
        }
        let base = tag(GIT_PULL_REQUEST_BASE_BRANCH_HEAD_SHA)?;
        Some((base, tag(GIT_COMMIT_HEAD_SHA)?))
    }

    fn limited(&self) -> Git {
        self.git.until(self.until)
    }
}

/// Runs git on a thread where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GitError> + Send + 'static,
) -> Result<T, String> {
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the runtime is shutting down".into()),
    }
}
