//! Where requests go: to the agent, which passes them on, or to the intake itself.

use std::future::Future;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::hub::Session;
use super::message::Request;
use super::reporter::{Failure, Verdict};
use crate::config::Config;
use crate::export::agent::{AgentClient, Response, SendError, TRACER_VERSION};

/// The path at the intake.
#[cfg(feature = "agentless")]
const INTAKE_PATH: &str = "/api/v2/apmtelemetry";

/// How long a request to the intake may take.
#[cfg(feature = "agentless")]
const INTAKE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

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
    path: &'static str,
    /// `agent` or `agentless`.
    pub(super) endpoint: &'static str,
    headers: HeaderMap,
}

impl Transport {
    /// The way that the settings ask for: to the agent, or, without one, to the intake of the site, with the API key.
    pub(super) fn new(config: &Config, agent: Arc<AgentClient>, session: &Session) -> Self {
        let headers = headers(session, config.telemetry.debug);
        #[cfg(feature = "agentless")]
        if let Some(client) = intake(config) {
            return Self {
                client,
                path: INTAKE_PATH,
                endpoint: "agentless",
                headers,
            };
        }
        Self {
            client: agent,
            path: AGENT_PATH,
            endpoint: "agent",
            headers,
        }
    }
}

/// The client for the intake; nothing if an agent is there for it, or if its settings are of no use, which the tracer
/// says when it asks for its own.
#[cfg(feature = "agentless")]
fn intake(config: &Config) -> Option<Arc<AgentClient>> {
    use crate::export::agent::meta_headers;
    use crate::export::agentless::IntakeClient;

    if !config.agentless {
        return None;
    }
    let url = config.intake_url.clone();
    let url = url.unwrap_or_else(|| intake_url(&config.site));
    let client = IntakeClient::builder(&url)
        .configured(config)
        .headers(meta_headers(config))
        .timeout(INTAKE_TIMEOUT)
        .build();
    client.ok().map(|client| Arc::new(client.into_inner()))
}

/// The intake of a site.
#[cfg(feature = "agentless")]
fn intake_url(site: &str) -> String {
    match site {
        // The staging site has one intake for everything.
        "datad0g.com" => "https://all-http-intake.logs.datad0g.com".to_owned(),
        site => format!("https://instrumentation-telemetry-intake.{site}"),
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
        let sent = self.client.post(self.path, headers, request.body.clone());
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::message::{Envelope, Message, RequestType};
    use super::*;
    use crate::config::MapEnvironment;

    fn request() -> Request {
        let envelope = Envelope {
            runtime_id: "child".to_owned(),
            application: serde_json::json!({}),
            host: serde_json::json!({}),
            debug: false,
        };
        let mut messages = vec![Message::empty(RequestType::AppHeartbeat)];
        envelope.wrap(&mut messages, 1, 0).unwrap()
    }

    /// What a peer at this address of a configuration gets, and what becomes of the request when it answers so.
    fn sent(variables: &[(&str, &str)], answer: &'static str) -> (String, Verdict) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let environment = variables.iter().fold(
                MapEnvironment::new().variable("DD_TRACE_AGENT_URL", &url),
                |all, (name, value)| all.variable(*name, value.replace("URL", &url)),
            );
            let config = Config::builder().environment(&environment).build();
            let session = Session {
                id: "child".to_owned(),
                root: "root".to_owned(),
                parent: Some("parent".to_owned()),
            };
            let agent = AgentClient::new(
                config.agent_url.clone(),
                Duration::from_secs(30),
                HeaderMap::new(),
            );
            let transport = Transport::new(&config, Arc::new(agent), &session);
            let peer = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut got = Vec::new();
                while !got.ends_with(br#""payload":{}}"#) {
                    assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0);
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                String::from_utf8(got).unwrap()
            });
            let verdict = transport.send(&request()).await;
            (peer.await.unwrap(), verdict)
        })
    }

    const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

    #[test]
    fn requests_to_the_agent_say_what_they_are() {
        let (got, verdict) = sent(&[], ACCEPTED);
        assert_eq!(verdict, Verdict::Accepted(202));
        assert!(
            got.starts_with("POST /telemetry/proxy/api/v2/apmtelemetry HTTP/1.1\r\n"),
            "{got}"
        );
        for line in [
            "dd-telemetry-api-version: v2",
            "dd-telemetry-request-type: app-heartbeat",
            "dd-telemetry-debug-enabled: false",
            "dd-client-library-language: rust",
            &format!("dd-client-library-version: {TRACER_VERSION}"),
            "dd-session-id: child",
            "dd-root-session-id: root",
            "dd-parent-session-id: parent",
            "content-type: application/json",
        ] {
            assert!(got.contains(&format!("\r\n{line}\r\n")), "{line} in {got}");
        }
        assert!(!got.contains("dd-api-key"));
    }

    #[test]
    fn answers_say_what_to_do_next() {
        for (status, expected) in [
            ("200", Verdict::Accepted(200)),
            ("404", Verdict::Refused(404)),
            ("413", Verdict::Refused(413)),
            ("408", Verdict::Failed(Failure::Status(408))),
            ("429", Verdict::Failed(Failure::Status(429))),
            ("503", Verdict::Failed(Failure::Status(503))),
        ] {
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            assert_eq!(sent(&[], answer.leak()).1, expected);
        }
    }

    #[cfg(feature = "agentless")]
    #[test]
    fn without_an_agent_requests_go_to_the_intake_with_the_key() {
        let (got, verdict) = sent(
            &[
                ("DD_AGENTLESS_ENABLED", "true"),
                ("DD_API_KEY", "0123456789abcdef"),
                ("_DD_TRACE_INTAKE_URL", "URL"),
            ],
            ACCEPTED,
        );
        assert_eq!(verdict, Verdict::Accepted(202));
        assert!(
            got.starts_with("POST /api/v2/apmtelemetry HTTP/1.1\r\n"),
            "{got}"
        );
        assert!(got.contains("\r\ndd-api-key: 0123456789abcdef\r\n"));
        for (site, expected) in [
            (
                "datadoghq.eu",
                "https://instrumentation-telemetry-intake.datadoghq.eu",
            ),
            ("datad0g.com", "https://all-http-intake.logs.datad0g.com"),
        ] {
            assert_eq!(intake_url(site), expected);
        }
    }
}
