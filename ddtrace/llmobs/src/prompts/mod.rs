//! Managed prompts: templates that people keep in Datadog and programs fetch by name.
//!
//! A prompt is looked for in memory, then in a file, then asked for; what is older than a minute is still used while somebody
//! asks for a newer one beside. So a program goes on when nobody answers, and a prompt costs a request a minute at most.
//! Writing needs `DD_APP_KEY`, and so does fetching what is set for an environment (`DD_ENV`).
//!
//! ```no_run
//! # async fn example() -> Result<(), ddtrace_llmobs::prompts::PromptError> {
//! use ddtrace_llmobs::prompts;
//!
//! let prompt = prompts::get("greeting").fallback("Hello {{name}}").await?;
//! let rendered = prompt.render([("name", "Ada")]);
//! // Calls of models in here are tagged with the prompt, its version and its variables.
//! rendered.scope(|| {
//!     let text: &str = &rendered;
//!     // … the call …
//! #   let _ = text;
//! });
//! # Ok(())
//! # }
//! ```
//!
//! Source: dd-trace-py `ddtrace/llmobs/_prompts`; `spec/llmobs.md` §15. The reference asks its feature flags first; this project has none.

mod cache;
mod render;
mod store;

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

pub use render::{ManagedPrompt, Rendered, RenderedChat, Source, Template};
pub use store::{
    PromptDraft, VersionChange, create, create_version, delete, list, list_versions, update,
    update_version,
};

use crate::experiments::wait;
use crate::switch::{self, Running};
use crate::telemetry;
use crate::transport::{Answer, Call, CallError, Subdomain};
use crate::writer;

const ENDPOINT: &str = "/api/unstable/llm-obs/v1/prompts";
const LANGUAGE: HeaderName = HeaderName::from_static("x-datadog-sdk-language");

/// Why there is no prompt, or why it could not be changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The product is off.
    #[error("LLM Observability is off")]
    Off,
    /// The request did not get through.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A key is missing or not good enough.
    #[error("not allowed: {0}")]
    Auth(String),
    /// There is none of that name.
    #[error("not found: {0}")]
    NotFound(String),
    /// There is one of that name already.
    #[error("conflict: {0}")]
    Conflict(String),
    /// What was asked for makes no sense.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The backend has a problem.
    #[error("the answer was {status}: {detail}")]
    Server {
        /// The status.
        status: u16,
        /// What the backend says.
        detail: String,
    },
}

impl PromptError {
    fn of(answer: &Answer) -> Self {
        let text = String::from_utf8_lossy(&answer.body);
        let detail = serde_json::from_str::<Value>(&text).ok();
        let detail = detail.and_then(|value| value.get("detail")?.as_str().map(str::to_owned));
        let detail = detail.unwrap_or_else(|| text.chars().take(500).collect());
        match answer.status.as_u16() {
            400 => Self::Invalid(detail),
            401 | 403 => Self::Auth(detail),
            404 => Self::NotFound(detail),
            409 => Self::Conflict(detail),
            status => Self::Server { status, detail },
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Off | Self::Call(_) => "PromptAPIError",
            Self::Auth(_) => "PromptAuthError",
            Self::NotFound(_) => "PromptNotFoundError",
            Self::Conflict(_) => "PromptConflictError",
            Self::Invalid(_) => "PromptValidationError",
            Self::Server { .. } => "PromptServerError",
        }
    }
}

/// Asks for a prompt by its name; await it.
pub fn get(id: impl Into<String>) -> GetPrompt {
    GetPrompt {
        wanted: Wanted {
            id: id.into(),
            ..Wanted::default()
        },
        fallback: None,
    }
}

/// A question for a prompt; made by [`get`].
#[derive(Clone, Debug)]
#[must_use = "nothing is asked before it is awaited"]
pub struct GetPrompt {
    wanted: Wanted,
    fallback: Option<Template>,
}

#[derive(Clone, Debug, Default)]
struct Wanted {
    id: String,
    version: Option<u64>,
    label: Option<String>,
    targeting_key: Option<String>,
    attributes: BTreeMap<String, Value>,
}

impl GetPrompt {
    /// Asks for that version and no other.
    pub fn version(mut self, version: u64) -> Self {
        self.wanted.version = Some(version);
        self
    }

    /// Asks for the version with a label.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.wanted.label = Some(label.into());
        self
    }

    /// Says whom it is for, where an environment has several.
    pub fn targeting_key(mut self, key: impl Into<String>) -> Self {
        self.wanted.targeting_key = Some(key.into());
        self
    }

    /// Says something about whom it is for.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.wanted.attributes.insert(key.into(), value.into());
        self
    }

    /// What to use if nobody answers and nothing was kept.
    pub fn fallback(mut self, template: impl Into<Template>) -> Self {
        self.fallback = Some(template.into());
        self
    }

    async fn get(self) -> Result<ManagedPrompt, PromptError> {
        let running = running()?;
        let key = self.wanted.key(&running);
        let ttl = running.settings.prompts_ttl;
        if let Some(found) = cache::in_memory(&key, ttl) {
            telemetry::prompt_source("hot_cache");
            return Ok(self.refreshed(&running, found));
        }
        if !self.wanted.is_resolved(&running) {
            if let Some(found) = cache::in_file(&running.settings, &key, ttl) {
                telemetry::prompt_source("warm_cache");
                cache::remember(&key, &found.prompt, found.age);
                return Ok(self.refreshed(&running, found));
            }
        }
        match fetch(&running, &self.wanted, false).await {
            Ok(prompt) => Ok(prompt),
            Err(error) => match self.fallback {
                Some(template) => {
                    telemetry::prompt_source("fallback");
                    Ok(ManagedPrompt::fallback(self.wanted.id, template))
                }
                None => Err(error),
            },
        }
    }

    /// What was kept, with a newer one on its way if it is old.
    fn refreshed(self, running: &Arc<Running>, found: cache::Found) -> ManagedPrompt {
        if found.is_stale {
            refresh_beside(Arc::clone(running), self.wanted);
        }
        found.prompt
    }
}

impl IntoFuture for GetPrompt {
    type Output = Result<ManagedPrompt, PromptError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.get())
    }
}

/// Asks for a prompt whatever was kept. One that is gone is forgotten.
pub async fn refresh(id: impl Into<String>) -> Result<ManagedPrompt, PromptError> {
    let wanted = Wanted {
        id: id.into(),
        ..Wanted::default()
    };
    fetch(&running()?, &wanted, true).await
}

/// Forgets every prompt, in memory and in files.
pub fn clear_cache() {
    let running = switch::running();
    cache::clear(running.as_deref().map(|running| &running.settings));
}

fn running() -> Result<Arc<Running>, PromptError> {
    switch::running()
        .filter(|_| switch::is_on())
        .ok_or(PromptError::Off)
}

/// Fetches a prompt on a thread of its own, unless somebody does already.
fn refresh_beside(running: Arc<Running>, wanted: Wanted) {
    static UNDER_WAY: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let under_way = || UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    let key = wanted.key(&running);
    if !under_way().get_or_insert_default().insert(key.clone()) {
        return;
    }
    let own = key.clone();
    let work = move || {
        let _ = wait(fetch(&running, &wanted, true));
        under_way().get_or_insert_default().remove(&own);
    };
    let thread = std::thread::Builder::new().name("ddtrace-prompt".into());
    if thread.spawn(work).is_err() {
        under_way().get_or_insert_default().remove(&key);
    }
}

async fn fetch(
    running: &Arc<Running>,
    wanted: &Wanted,
    forgets: bool,
) -> Result<ManagedPrompt, PromptError> {
    let key = wanted.key(running);
    let is_resolved = wanted.is_resolved(running);
    let result = ask(running, wanted).await;
    match &result {
        Ok(prompt) => {
            telemetry::prompt_source(if is_resolved { "resolve" } else { "registry" });
            let kept = prompt.with_source(Source::Cache);
            cache::remember(&key, &kept, std::time::Duration::ZERO);
            if !is_resolved {
                cache::write(&running.settings, &key, &kept);
            }
        }
        Err(PromptError::NotFound(_)) => {
            telemetry::prompt_error("prompt.fetch.error", "NotFound");
            if forgets {
                cache::forget(&running.settings, &key);
            }
        }
        Err(_) => telemetry::prompt_error("prompt.fetch.error", "FetchError"),
    }
    result
}

async fn ask(running: &Arc<Running>, wanted: &Wanted) -> Result<ManagedPrompt, PromptError> {
    let id = crate::experiments::quoted(&wanted.id);
    let is_resolved = wanted.is_resolved(running);
    let (method, path, body) = if is_resolved {
        let mut attributes = json!({ "env": running.settings.env });
        if let Some(key) = &wanted.targeting_key {
            attributes["targeting_key"] = key.clone().into();
        }
        if !wanted.attributes.is_empty() {
            attributes["context"] = json!(wanted.attributes);
        }
        let body = writer::envelope("prompt_resolve_requests", attributes);
        (Method::POST, format!("{ENDPOINT}/{id}/resolve"), Some(body))
    } else if let Some(version) = wanted.version {
        (
            Method::GET,
            format!("{ENDPOINT}/{id}/versions/{version}"),
            None,
        )
    } else if let Some(label) = &wanted.label {
        let label = crate::experiments::quoted(label);
        (Method::GET, format!("{ENDPOINT}/{id}?label={label}"), None)
    } else {
        (Method::GET, format!("{ENDPOINT}/{id}"), None)
    };
    let answer = send(running, method, path, body, is_resolved).await?;
    if answer.status.as_u16() != 200 {
        return Err(PromptError::of(&answer));
    }
    let source = if is_resolved {
        Source::Resolve
    } else {
        Source::Registry
    };
    let value: Option<Map<String, Value>> = serde_json::from_slice(&answer.body).ok();
    let prompt =
        value.and_then(|map| ManagedPrompt::of_answer(&map, source, wanted.label.as_deref()));
    prompt.ok_or_else(|| PromptError::Server {
        status: 200,
        detail: "expected a prompt with an id and a version".into(),
    })
}

async fn send(
    running: &Arc<Running>,
    method: Method,
    path: String,
    body: Option<Value>,
    needs_app_key: bool,
) -> Result<Answer, PromptError> {
    let mut headers = HeaderMap::new();
    headers.insert(LANGUAGE, HeaderValue::from_static("rust"));
    let call = Call {
        method,
        subdomain: Subdomain::Api,
        path,
        content_type: "application/json".into(),
        body: body
            .map(|body| Bytes::from(body.to_string()))
            .unwrap_or_default(),
        timeout: running.settings.prompts_timeout,
        needs_app_key,
        is_direct: true,
        headers,
    };
    match writer::call(call).await {
        Err(CallError::NoKey(name)) => Err(PromptError::Auth(format!("expected {name} to be set"))),
        other => Ok(other?),
    }
}

impl Wanted {
    /// Whether the environment decides which version it is.
    fn is_resolved(&self, running: &Running) -> bool {
        let has_env = running
            .settings
            .env
            .as_deref()
            .is_some_and(|env| !env.is_empty());
        self.version.is_none() && self.label.is_none() && has_env
    }

    /// What it is kept under: the name, and a number that says how it was chosen.
    fn key(&self, running: &Running) -> String {
        let selector = if let Some(version) = self.version {
            json!(["version", version])
        } else if let Some(label) = &self.label {
            json!(["label", label])
        } else if self.is_resolved(running) {
            json!([
                "resolve",
                running.settings.env,
                self.targeting_key,
                self.attributes
            ])
        } else {
            json!(["latest"])
        };
        format!(
            "{}:{:016x}",
            self.id,
            fingerprint(selector.to_string().as_bytes())
        )
    }
}

/// FNV-1a: the same in every process, unlike the hashes of the standard library.
fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
