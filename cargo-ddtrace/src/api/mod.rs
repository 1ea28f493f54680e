//! The JSON API, described in `API.md`: one file per resource.
//!
//! Handlers read the store and shape JSON; they decide nothing. What walks all spans works on segments without the lock
//! (`Store::scan`).

pub mod control;
pub mod error;
pub mod export;
pub mod llm;
pub mod map;
pub mod peers;
pub mod problems;
pub mod query;
pub mod remote_config;
pub mod requests;
pub mod services;
pub mod span;
pub mod status;
pub mod stream;
pub mod streams;
pub mod suggest;
pub mod tests;
pub mod trace;
pub mod traces;
pub mod wait;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::http::request::Parts;
use axum::routing::{get, post};

use crate::forward::Forward;
use crate::history::History;
use crate::intake::body::InHand;
use crate::intake::faults::Faults;
use crate::intake::info::{Info, Settings};
use crate::intake::rates::Rates;
use crate::intake::telemetry::Sessions;
use crate::llm::Llm;
use crate::rc::RemoteConfig;
use crate::security::Policy;
use crate::store::Store;
use crate::store::problems::Problem;
use crate::streams::Streams;

/// What every handler can reach.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Inner>);

/// The parts of [`Shared`], as the agent puts them together.
#[derive(Debug)]
pub struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) token: String,
    pub(crate) policy: Policy,
    pub(crate) assets: Option<PathBuf>,
    pub(crate) strict: bool,
    pub(crate) command: Option<String>,
    pub(crate) started: i64,
    pub(crate) begun: Instant,
    pub(crate) settings: Settings,
    pub(crate) info: Info,
    pub(crate) addresses: Vec<String>,
    pub(crate) faults: Faults,
    pub(crate) rates: Rates,
    pub(crate) remote_config: RemoteConfig,
    pub(crate) telemetry: Sessions,
    pub(crate) history: History,
    pub(crate) data_streams: Streams,
    pub(crate) llm: Llm,
    pub(crate) in_hand: InHand,
    pub(crate) streams: AtomicUsize,
    pub(crate) info_asked: AtomicU64,
    pub(crate) forward: OnceLock<Forward>,
}

impl Shared {
    pub(crate) fn new(inner: Inner) -> Shared {
        Shared(Arc::new(inner))
    }

    /// The token of changing calls: 32 hex digits, for the page's `<meta name="ddtrace-token">`.
    pub fn token(&self) -> &str {
        &self.0.token
    }

    /// The folder of `--assets DIR`: page files are read from there instead of the embedded ones.
    pub fn assets(&self) -> Option<&Path> {
        self.0.assets.as_deref()
    }

    /// What was received.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.0.policy
    }

    pub(crate) fn info(&self) -> &Info {
        &self.0.info
    }

    pub(crate) fn hides(&self, path: &str) -> bool {
        self.0.settings.hides(path)
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.0.strict
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    pub(crate) fn telemetry(&self) -> &Sessions {
        &self.0.telemetry
    }

    /// Test sessions.
    pub fn history(&self) -> &History {
        &self.0.history
    }

    /// Data streams.
    pub fn data_streams(&self) -> &Streams {
        &self.0.data_streams
    }

    /// LLM Observability.
    pub fn llm(&self) -> &Llm {
        &self.0.llm
    }

    /// Judges what was waited for; `all`: nothing will come any more.
    pub fn judge(&self, all: bool) {
        let now = crate::store::now();
        if all {
            self.store().judge_all(now);
        } else {
            self.store().judge(now);
        }
        let late = self.data_streams().lock().judge(now, all);
        if !late.is_empty() {
            self.store().change(|store| {
                for (finding, request) in late {
                    store.add_problem(Problem::of(&finding, None, None, request, now), None);
                }
            });
        }
    }

    /// Pushed settings, and the clients that ask for them.
    pub fn remote_config(&self) -> &RemoteConfig {
        &self.0.remote_config
    }

    pub(crate) fn in_hand(&self) -> &InHand {
        &self.0.in_hand
    }

    pub(crate) fn forward(&self, parts: &Parts, body: &Bytes, number: u32) {
        if let Some(forward) = self.0.forward.get() {
            forward.send(parts, body, number);
        }
    }
}

/// The routes of the API.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/status", get(status::get))
        .route("/api/traces", get(traces::list))
        .route("/api/traces/{id}", get(trace::get))
        .route("/api/traces/{id}/find", get(trace::find))
        .route("/api/traces/{id}/export", get(export::get))
        .route("/api/traces/{id}/spans/{span}", get(span::get))
        .route("/api/services", get(services::get))
        .route("/api/map", get(map::get))
        .route("/api/suggest", get(suggest::get))
        .route("/api/problems", get(problems::get))
        .route("/api/requests", get(requests::list))
        .route("/api/requests/{n}", get(requests::get))
        .route("/api/requests/{n}/raw", get(requests::raw))
        .route("/api/stream", get(stream::get))
        .route("/api/wait", get(wait::get))
        .route("/api/faults", get(control::faults).put(control::put_faults))
        .route("/api/rates", get(control::rates).put(control::put_rates))
        .route(
            "/api/remote-config",
            get(remote_config::get)
                .post(remote_config::push)
                .delete(remote_config::withdraw),
        )
        .route("/api/streams", get(streams::get))
        .route("/api/streams/transactions", get(streams::transactions))
        .route("/api/llm/traces", get(llm::traces))
        .route("/api/llm/traces/{id}", get(llm::trace))
        .route("/api/llm/traces/{id}/spans/{span}", get(llm::span))
        .route("/api/llm/sessions", get(llm::sessions))
        .route("/api/llm/evaluations", get(llm::evaluations))
        .route("/api/llm/prompts", get(llm::prompts))
        .route("/api/llm/experiments", get(llm::experiments))
        .route("/api/llm/experiments/{id}", get(llm::experiment))
        .route("/api/tests/sessions", get(tests::sessions))
        .route("/api/tests/sessions/{id}", get(tests::session))
        .route("/api/tests/sessions/{id}/coverage", get(tests::coverage))
        .route("/api/tests/test", get(tests::test))
        .route("/api/tests/management", post(tests::manage))
        .route("/api/clear", post(control::clear))
}

/// Runs what takes longer than a few milliseconds beside the tasks that answer requests.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
