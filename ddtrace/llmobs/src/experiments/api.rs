//! The interfaces of the backend for projects, datasets, experiments and spans.
//!
//! Every body is an envelope of JSON:API. Requests run on the tracer's own thread, so whoever waits for them needs no runtime of
//! their own; [`wait`] waits on the calling thread. With an application key they go straight to Datadog, else through the agent,
//! which has keys of its own.
//!
//! Source: dd-trace-py `ddtrace/llmobs/_writer.py` (`LLMObsExperimentsClient`); `spec/llmobs.md` §16.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::switch::{self, Running};
use crate::transport::{Answer, Call, CallError, Subdomain};
use crate::writer::{self, envelope};

const TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const LIST_TIMEOUT: Duration = Duration::from_secs(20);
pub(crate) const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);
const SEARCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Pages of one answer at most.
const PAGES: usize = 10_000;
/// The longest waits between tries.
const WAITS: [Duration; 2] = [Duration::from_millis(730), Duration::from_millis(1180)];

/// Why the backend did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The product is off.
    #[error("LLM Observability is off")]
    Off,
    /// The request did not get through.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer was no.
    #[error("{what}: the answer was {status}: {detail}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The status.
        status: u16,
        /// What the backend says.
        detail: String,
    },
    /// The answer was not what it should be.
    #[error("{what}: expected {expected} in the answer")]
    Unexpected {
        /// What was asked for.
        what: &'static str,
        /// What is missing.
        expected: &'static str,
    },
    /// What was asked for cannot be.
    #[error("{0}")]
    Invalid(String),
}

/// A project: what datasets and experiments belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}

/// The way to these interfaces.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    running: Arc<Running>,
}

impl Api {
    pub(crate) fn new() -> Result<Self, ApiError> {
        let running = switch::running().filter(|_| switch::is_on());
        running.map(|running| Self { running }).ok_or(ApiError::Off)
    }

    /// The name of the project that nobody has named.
    pub(crate) fn default_project(&self) -> &str {
        &self.running.settings.project_name
    }

    /// Sends a request, and again if that may help. The statuses in `fine` are good.
    pub(crate) async fn call(
        &self,
        what: &'static str,
        fine: &[u16],
        method: Method,
        path: &str,
        body: Option<Value>,
        timeout: Duration,
    ) -> Result<Value, ApiError> {
        let body = body
            .map(|body| Bytes::from(body.to_string()))
            .unwrap_or_default();
        let answer = self
            .deliver(method, path, "application/json", body, timeout)
            .await?;
        read(what, fine, &answer)
    }

    pub(crate) async fn deliver(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer, ApiError> {
        let settings = &self.running.settings;
        let is_direct = settings.app_key.is_some()
            || settings.override_origin.is_some()
            || self.running.intake_mode() == crate::route::Mode::Agentless;
        let call = Call {
            method,
            subdomain: Subdomain::Api,
            path: path.to_owned(),
            content_type: content_type.to_owned(),
            body,
            timeout,
            needs_app_key: true,
            is_direct,
            headers: HeaderMap::new(),
        };
        Ok(writer::call_again(call, &WAITS).await?)
    }

    /// Finds a project, or makes one. The answer is the same either way.
    pub(crate) async fn project(&self, name: Option<&str>) -> Result<Project, ApiError> {
        const WHAT: &str = "project";
        let name = name.filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| self.default_project()).to_owned();
        let body = envelope("projects", json!({ "name": name, "description": "" }));
        let path = "/api/unstable/llm-obs/v1/projects";
        let answer = self
            .call(WHAT, &[200], Method::POST, path, Some(body), TIMEOUT)
            .await?;
        let id = text_at(WHAT, &answer, "/data/id", "an id")?;
        Ok(Project { name, id })
    }

    pub(crate) async fn post(
        &self,
        what: &'static str,
        path: &str,
        body: Value,
    ) -> Result<Value, ApiError> {
        self.call(what, &[200], Method::POST, path, Some(body), TIMEOUT)
            .await
    }
}

/// The JSON of a good answer.
pub(crate) fn read(what: &'static str, fine: &[u16], answer: &Answer) -> Result<Value, ApiError> {
    let status = answer.status.as_u16();
    if !fine.contains(&status) {
        let detail = String::from_utf8_lossy(&answer.body);
        let detail = detail.chars().take(500).collect();
        return Err(ApiError::Refused {
            what,
            status,
            detail,
        });
    }
    if answer.body.is_empty() || answer.status == StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer.body).map_err(|_| ApiError::Unexpected {
        what,
        expected: "JSON",
    })
}

/// A text in an answer, which must not be empty.
pub(crate) fn text_at(
    what: &'static str,
    answer: &Value,
    pointer: &str,
    expected: &'static str,
) -> Result<String, ApiError> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    let text = text.filter(|text| !text.is_empty());
    text.map(str::to_owned)
        .ok_or(ApiError::Unexpected { what, expected })
}

/// A text as it stands in a query.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What to look for in [`search_spans`].
#[derive(Clone, Debug, Default)]
pub struct SpanSearch {
    /// One span, by its id.
    pub span_id: Option<String>,
    /// A trace of this product, by its id.
    pub trace_id: Option<String>,
    /// A kind of span.
    pub span_kind: Option<String>,
    /// The name of a span.
    pub span_name: Option<String>,
    /// An application.
    pub ml_app: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// From when on, as the interface understands it: a date of ISO 8601, milliseconds, or `now-15m`.
    pub from: Option<String>,
    /// Until when.
    pub to: Option<String>,
}

/// Finds spans that were sent, with their attributes as the interface has them. Needs an application key.
pub async fn search_spans(search: &SpanSearch) -> Result<Vec<Value>, ApiError> {
    const WHAT: &str = "search for spans";
    let api = Api::new()?;
    let mut query = Vec::new();
    for (key, value) in [
        ("filter[span_id]", &search.span_id),
        ("filter[trace_id]", &search.trace_id),
        ("filter[span_kind]", &search.span_kind),
        ("filter[span_name]", &search.span_name),
        ("filter[ml_app]", &search.ml_app),
        ("filter[from]", &search.from),
        ("filter[to]", &search.to),
    ] {
        query.extend(
            value
                .as_deref()
                .map(|value| format!("{}={}", quoted(key), quoted(value))),
        );
    }
    for (key, value) in &search.tags {
        query.push(format!(
            "{}={}",
            quoted(&format!("filter[tag][{key}]")),
            quoted(value)
        ));
    }
    let mut spans = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let page = cursor.map(|cursor| format!("{}={}", quoted("page[cursor]"), quoted(&cursor)));
        let query: Vec<_> = query.iter().cloned().chain(page).collect();
        let path = format!("/api/v2/llm-obs/v1/spans/events?{}", query.join("&"));
        let answer = api
            .call(WHAT, &[200], Method::GET, &path, None, SEARCH_TIMEOUT)
            .await?;
        let items = answer.pointer("/data").and_then(Value::as_array);
        let items = items.into_iter().flatten();
        spans.extend(items.map(|item| item.get("attributes").cloned().unwrap_or_default()));
        cursor = answer
            .pointer("/meta/page/after")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if cursor.as_deref().is_none_or(str::is_empty) {
            return Ok(spans);
        }
    }
    Err(ApiError::Unexpected {
        what: WHAT,
        expected: "a last page",
    })
}

/// Waits for a future on the calling thread, without a runtime. For the futures of this crate, which only wait for the tracer's
/// own thread; a task of a program's own that needs a runtime has to be awaited on that.
pub fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_and_futures_waited_for() {
        assert_eq!(quoted("a b[é]/-_.~"), "a%20b%5B%C3%A9%5D%2F-_.~");
        let (tell, told) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || tell.send(7));
        assert_eq!(wait(told), Ok(7));
        thread.join().unwrap().unwrap();
    }
}
