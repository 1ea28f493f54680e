//! Where requests go: to the agent, which passes them on, or to the intake itself.

use std::future::Future;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::hub::Session;
use super::message::Request;
use super::reporter::{Failure, Verdict};
use crate::export::agent::{AgentClient, Response, SendError, TRACER_VERSION};

/// The path at the agent.
const AGENT_PATH: &str = "/telemetry/proxy/api/v2/apmtelemetry";

const REQUEST_TYPE: HeaderName = HeaderName::from_static("dd-telemetry-request-type");

/// Takes requests to where they go.
pub(super) trait Deliver: Send + Sync {
    /// Sends a request once.
    fn send(&self, request: &Request) -> impl Future<Output = Verdict> + Send;
}

/// The way of this process.
pub(super) struct Transport {
    client: Arc<AgentClient>,
    headers: HeaderMap,
}

impl Transport {
    pub(super) fn to_agent(client: Arc<AgentClient>, session: &Session, debug: bool) -> Self {
        Self {
            client,
            headers: headers(session, debug),
        }
    }
}

/// What all requests of a process have in common.
fn headers(session: &Session, debug: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("dd-telemetry-api-version", "v2");
    put("dd-client-library-language", "rust");
    put("dd-client-library-version", TRACER_VERSION);
    put(
        "dd-telemetry-debug-enabled",
        if debug { "true" } else { "false" },
    );
    put("dd-session-id", &session.id);
    put("dd-root-session-id", &session.root);
    if let Some(parent) = session
        .parent
        .as_ref()
        .filter(|parent| **parent != session.id)
    {
        put("dd-parent-session-id", parent);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

impl Deliver for Transport {
    async fn send(&self, request: &Request) -> Verdict {
        let mut headers = self.headers.clone();
        headers.insert(REQUEST_TYPE, HeaderValue::from_static(request.kind.name()));
        let sent = self.client.post(AGENT_PATH, headers, request.body.clone());
        verdict(sent.await)
    }
}

fn verdict(result: Result<Response, SendError>) -> Verdict {
    match result {
        Ok(response) => match response.status.as_u16() {
            status @ 200..=299 => Verdict::Accepted(status),
            status @ (408 | 429 | 500..=599) => Verdict::Failed(Failure::Status(status)),
            status => Verdict::Refused(status),
        },
        Err(SendError::Timeout { .. }) => Verdict::Failed(Failure::Timeout),
        Err(_) => Verdict::Failed(Failure::Network),
    }
}
