//! What happens while the program is still being compiled: known tests, test management, commits,
//! skippable tests, changed lines. Whatever is there when the budget ends is the policy.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ddtrace_core::diagnostics;
use ddtrace_core::export::agent::{Deadline, deadline};
use tokio::task::spawn_blocking;

use super::Inner;
use super::upload::{Upload, Uploaded};
use crate::backend::{Asker, Backend, KnownTests, Settings, Skippable, TestManagement};
use crate::concurrent::both;
use crate::git::{self, Git};
use crate::manifest::Manifest;
use crate::model::tags::GIT_PULL_REQUEST_BASE_BRANCH_SHA;
use crate::selection::Answers;
use crate::transport::RequestError;

/// Where answers come from.
pub(super) enum Source {
    /// The backend.
    Backend(Arc<Backend>),
    /// Files.
    Files(Manifest),
    /// Nowhere.
    Nothing,
}

/// What is prepared, and with what.
pub(super) struct Preparation {
    pub(super) source: Source,
    pub(super) asker: Asker,
    pub(super) settings: Settings,
    pub(super) git: Option<Git>,
    /// What came of the upload, if it had to come before the settings.
    pub(super) uploaded: Option<Uploaded>,
    pub(super) until: Instant,
}

/// What answers have come, and what went wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Prepared {
    pub(super) answers: Answers,
    pub(super) errors: Vec<&'static str>,
}

type Shared = Arc<Mutex<Prepared>>;

fn with<T>(shared: &Shared, change: impl FnOnce(&mut Prepared) -> T) -> T {
    change(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Preparation {
    /// Prepares, within the budget.
    pub(super) async fn run(self, inner: &Arc<Inner>) -> Prepared {
        let shared = Shared::default();
        let (setter, limit) = deadline();
        setter.set(self.until.into());
        match &self.source {
            Source::Files(manifest) => self.of_files(manifest, inner, &shared),
            Source::Nothing => {}
            Source::Backend(backend) => {
                let mut whole = limit.clone();
                let all = self.ask(backend, inner, &shared, limit);
                if whole.limit(all).await.is_none() {
                    diagnostics::warn(format_args!(
                        "the backend did not answer everything in time: the tests run without it"
                    ));
                }
            }
        }
        with(&shared, |prepared| prepared.clone())
    }

    fn of_files(&self, manifest: &Manifest, inner: &Inner, shared: &Shared) {
        let environment = &*inner.environment;
        let read = |name| manifest.answer(name, environment);
        with(shared, |prepared| {
            if self.settings.known_tests_enabled {
                let mut known = KnownTests::default();
                let body = read("known_tests");
                let is_read = body.is_none_or(|body| known.add_page(&body).is_ok());
                note(prepared, is_read, "known_tests");
                prepared.answers.known_tests = is_read.then_some(known);
            }
            if self.settings.test_management.enabled {
                let all = inner.options.only_attempts_to_fix;
                let body = read("test_management");
                let parsed = body.map(|body| TestManagement::parse(&body, all));
                note(
                    prepared,
                    !matches!(parsed, Some(Err(_))),
                    "test_management_tests",
                );
                prepared.answers.test_management = parsed.and_then(Result::ok);
            }
            if self.settings.tests_skipping {
                let body = read("skippable_tests");
                let parsed = body.map(|body| Skippable::parse(&body, self.asker.level));
                note(prepared, !matches!(parsed, Some(Err(_))), "skippable_tests");
                prepared.answers.skippable = parsed.and_then(Result::ok);
            }
        });
    }

    async fn ask(
        &self,
        backend: &Arc<Backend>,
        inner: &Arc<Inner>,
        shared: &Shared,
        limit: Deadline,
    ) {
        let settings = &self.settings;
        let known = async {
            if settings.known_tests_enabled {
                let pages = inner.options.known_tests_max_pages;
                let mut limit = limit.clone();
                let found = backend.known_tests(&self.asker, pages, &mut limit).await;
                let found = noted(shared, found, "known_tests");
                with(shared, |prepared| prepared.answers.known_tests = found);
            }
        };
        let management = async {
            if settings.test_management.enabled {
                let all = inner.options.only_attempts_to_fix;
                let mut limit = limit.clone();
                let found = backend.test_management(&self.asker, all, &mut limit).await;
                let found = noted(shared, found, "test_management_tests");
                with(shared, |prepared| prepared.answers.test_management = found);
            }
        };
        let commits = async {
            let mut limit = limit.clone();
            let uploaded = match &self.uploaded {
                Some(uploaded) => Some(uploaded.clone()),
                None => self.upload(backend, inner, &mut limit).await,
            };
            if let Some(uploaded) = &uploaded {
                inner.note_upload(uploaded);
            }
            // With a backend that does not know the commits its list is not about this change.
            let may_skip = match &uploaded {
                Some(uploaded) => uploaded.is_complete,
                None => !inner.options.git_upload,
            };
            let skippable = async {
                if settings.tests_skipping && may_skip {
                    let mut limit = limit.clone();
                    let found = backend.skippable(&self.asker, &mut limit).await;
                    let found = noted(shared, found, "skippable_tests");
                    with(shared, |prepared| prepared.answers.skippable = found);
                }
            };
            let changes = self.changes(uploaded.as_ref(), shared);
            both(skippable, changes).await;
        };
        both(both(known, management), commits).await;
    }

    /// Uploads commits; `None` if that is switched off or there is no git.
    pub(super) async fn upload(
        &self,
        backend: &Arc<Backend>,
        inner: &Inner,
        limit: &mut Deadline,
    ) -> Option<Uploaded> {
        let git = self.git.clone().filter(|_| inner.options.git_upload)?;
        let upload = Upload {
            git,
            backend: Arc::clone(backend),
            asker: self.asker.clone(),
            metrics: Arc::clone(&inner.metrics),
            may_unshallow: inner.options.git_unshallow,
            until: self.until,
        };
        Some(upload.run(limit).await)
    }

    /// Which lines the change touches.
    async fn changes(&self, uploaded: Option<&Uploaded>, shared: &Shared) {
        let Some(git) = self
            .git
            .clone()
            .filter(|_| self.settings.impacted_tests_enabled)
        else {
            return;
        };
        let mut tags = self.asker.tags.clone();
        if let Some(sha) = uploaded.and_then(|uploaded| uploaded.merge_base.clone()) {
            tags.insert(GIT_PULL_REQUEST_BASE_BRANCH_SHA.to_owned(), sha);
        }
        let git = git.until(self.until);
        let found = spawn_blocking(move || {
            let base = git::base_of(&git, &tags)?;
            git::changed_lines(&git, &base, None).ok()
        });
        let found = found.await.ok().flatten();
        with(shared, |prepared| prepared.answers.changes = found);
    }
}

fn note(prepared: &mut Prepared, is_answered: bool, what: &'static str) {
    if !is_answered {
        prepared.errors.push(what);
    }
}

/// The answer; what went wrong is noted and said.
fn noted<T>(shared: &Shared, result: Result<T, RequestError>, what: &'static str) -> Option<T> {
    if let Err(error) = &result {
        diagnostics::warn(format_args!("{what} could not be asked for: {error}"));
    }
    with(shared, |prepared| note(prepared, result.is_ok(), what));
    result.ok()
}
