//! Requests of this product: through the agent's proxy, or straight to Datadog.

use std::time::Duration;

use bytes::Bytes;
use ddtrace_core::config::{AgentUrl, Secret};
use ddtrace_core::export::agent::{AgentClient, SendError};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::settings::Settings;

const EVP_SUBDOMAIN: HeaderName = HeaderName::from_static("x-datadog-evp-subdomain");
const NEEDS_APP_KEY: HeaderName = HeaderName::from_static("x-datadog-needsappkey");
const API_KEY: HeaderName = HeaderName::from_static("dd-api-key");
const APP_KEY: HeaderName = HeaderName::from_static("dd-application-key");

/// What the agent puts before every path.
const PROXY: &str = "/evp_proxy/v2";

/// The most of an answer that is read.
const MAX_ANSWER: usize = 32 << 20;

/// A part of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subdomain {
    /// Spans.
    Intake,
    /// Everything else.
    Api,
}

impl Subdomain {
    fn as_str(self) -> &'static str {
        match self {
            Self::Intake => "llmobs-intake",
            Self::Api => "api",
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) subdomain: Subdomain,
    /// Begins with a slash, and may have a query.
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    pub(crate) timeout: Duration,
    pub(crate) needs_app_key: bool,
    /// Straight to Datadog, or to the address that stands in for it.
    pub(crate) is_direct: bool,
    pub(crate) headers: HeaderMap,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Why there is none.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The request, or its answer, did not get through.
    #[error("{0}")]
    Network(String),
    /// A key is missing.
    #[error("expected {0} to be set")]
    NoKey(&'static str),
    /// What is set cannot be used.
    #[error("{0}")]
    Settings(String),
    /// Neither is `init()` called nor its guard alive.
    #[error("expected a tracer that runs: ddtrace::init() and its guard")]
    NotRunning,
}

enum Client {
    Agent(AgentClient),
    #[cfg(feature = "agentless")]
    Intake(ddtrace_core::export::agentless::IntakeClient),
}

/// Sends one request, once. On the worker.
pub(crate) async fn send(
    settings: &Settings,
    agent: &AgentUrl,
    call: &Call,
) -> Result<Answer, CallError> {
    let mut headers = call.headers.clone();
    let content_type = HeaderValue::from_str(&call.content_type);
    let content_type = content_type.map_err(|_| CallError::Settings("content type".into()))?;
    headers.insert(CONTENT_TYPE, content_type);
    let prefix = if call.is_direct {
        let key = settings
            .api_key
            .as_ref()
            .ok_or(CallError::NoKey("DD_API_KEY"))?;
        headers.insert(API_KEY, secret(key)?);
        if call.needs_app_key {
            let key = settings
                .app_key
                .as_ref()
                .ok_or(CallError::NoKey("DD_APP_KEY"))?;
            headers.insert(APP_KEY, secret(key)?);
        }
        ""
    } else {
        headers.insert(
            EVP_SUBDOMAIN,
            HeaderValue::from_static(call.subdomain.as_str()),
        );
        if call.needs_app_key {
            headers.insert(NEEDS_APP_KEY, HeaderValue::from_static("true"));
        }
        PROXY
    };
    let client = client(settings, agent, call)?;
    let path = format!("{prefix}{}", call.path);
    let sent = match &client {
        Client::Agent(client) => {
            let body = call.body.clone();
            client
                .send(call.method.clone(), &path, headers, body, MAX_ANSWER)
                .await
        }
        #[cfg(feature = "agentless")]
        Client::Intake(client) => {
            let body = call.body.clone();
            client
                .send(call.method.clone(), &path, headers, body, MAX_ANSWER)
                .await
        }
    };
    let response = sent.map_err(|error: SendError| CallError::Network(error.to_string()))?;
    if !response.is_complete {
        return Err(CallError::Network(
            "the answer broke off, or is too long".into(),
        ));
    }
    Ok(Answer {
        status: response.status,
        body: response.body,
    })
}

fn secret(key: &Secret) -> Result<HeaderValue, CallError> {
    let value = HeaderValue::from_str(key.reveal());
    let mut value =
        value.map_err(|_| CallError::Settings("expected a key of printable characters".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn client(settings: &Settings, agent: &AgentUrl, call: &Call) -> Result<Client, CallError> {
    let usual = || format!("https://{}.{}", call.subdomain.as_str(), settings.site);
    let url = match (&settings.override_origin, call.is_direct) {
        (Some(origin), _) => origin.clone(),
        (None, true) => usual(),
        (None, false) => {
            return Ok(Client::Agent(AgentClient::new(
                agent.clone(),
                call.timeout,
                HeaderMap::new(),
            )));
        }
    };
    match AgentUrl::parse(&url) {
        Some(AgentUrl::Https { .. }) => tls_client(settings, &url, call.timeout),
        Some(parsed @ AgentUrl::Http { .. }) => Ok(Client::Agent(AgentClient::new(
            parsed,
            call.timeout,
            HeaderMap::new(),
        ))),
        _ => Err(CallError::Settings(format!(
            "expected an http:// or https:// address, found {url}"
        ))),
    }
}

#[cfg(feature = "agentless")]
fn tls_client(settings: &Settings, url: &str, timeout: Duration) -> Result<Client, CallError> {
    let mut builder = ddtrace_core::export::agentless::IntakeClient::builder(url).timeout(timeout);
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(proxy.clone());
    }
    let client = builder.build();
    client
        .map(Client::Intake)
        .map_err(|error| CallError::Settings(error.to_string()))
}

#[cfg(not(feature = "agentless"))]
fn tls_client(_: &Settings, _: &str, _: Duration) -> Result<Client, CallError> {
    Err(CallError::Settings(
        "expected the feature `agentless`, for sending without an agent".into(),
    ))
}
