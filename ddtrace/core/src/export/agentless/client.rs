//! A client for one of Datadog's intakes.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::proxy::Proxy;
use super::tls::TlsDialer;
use crate::config::{AgentUrl, Config, Secret};
use crate::export::agent::{AgentClient, Response, SendError};

const API_KEY: HeaderName = HeaderName::from_static("dd-api-key");

/// How long a request may take unless said otherwise: an intake is farther away than an agent.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Sends to one intake over HTTPS, with the API key. One connection is kept for the next request.
///
/// Runs on the tokio runtime that calls it, the worker's. Answers are bounded as an agent's are, and a status that is not 2xx is
/// an answer, not an error: what it means is the caller's business.
///
/// ```no_run
/// use ddtrace_core::config::Config;
/// use ddtrace_core::export::agentless::IntakeClient;
///
/// # async fn send() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::builder().build();
/// let url = format!("https://instrumentation-telemetry-intake.{}", config.site);
/// let client = IntakeClient::builder(&url).configured(&config).build()?;
/// let response = client.post("/api/v2/apmtelemetry", http::HeaderMap::new(), "{}").await?;
/// assert!(response.status.is_success());
/// # Ok(())
/// # }
/// ```
pub struct IntakeClient(AgentClient);

impl fmt::Debug for IntakeClient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("IntakeClient")
            .field(&self.0.url().to_string())
            .finish()
    }
}

impl IntakeClient {
    /// Begins a client for the intake at this URL: `https://`, or `http://` for a test's. Paths are appended to it.
    pub fn builder(url: &str) -> IntakeBuilder {
        IntakeBuilder {
            url: AgentUrl::parse(url),
            api_key: None,
            proxy: None,
            timeout: TIMEOUT,
            headers: HeaderMap::new(),
            root: None,
        }
    }

    /// The address, without secrets.
    pub fn url(&self) -> &AgentUrl {
        self.0.url()
    }

    /// The client below, for whoever sends traces either way.
    pub(crate) fn into_inner(self) -> AgentClient {
        self.0
    }

    /// Sends a body. `path` begins with a slash.
    pub async fn post(
        &self,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Response, SendError> {
        self.0.post(path, headers, body).await
    }

    /// Sends a body, and reads more of the answer than [`MAX_BODY`](crate::export::agent::MAX_BODY): up to this many bytes.
    pub async fn post_for_up_to(
        &self,
        max_body: usize,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Response, SendError> {
        self.0.post_for_up_to(max_body, path, headers, body).await
    }

    /// Sends a request of any method, and reads up to `max_body` bytes of its answer. `path` begins with a slash.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
        max_body: usize,
    ) -> Result<Response, SendError> {
        self.0.send(method, path, headers, body, max_body).await
    }

    /// Asks for something. `path` begins with a slash.
    pub async fn get(&self, path: &str, headers: HeaderMap) -> Result<Response, SendError> {
        self.0.get(path, headers).await
    }
}

/// Puts an [`IntakeClient`] together.
#[must_use = "nothing happens before `build()`"]
pub struct IntakeBuilder {
    url: Option<AgentUrl>,
    api_key: Option<Secret>,
    proxy: Option<Secret>,
    timeout: Duration,
    headers: HeaderMap,
    root: Option<Vec<u8>>,
}

impl fmt::Debug for IntakeBuilder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_ref().map(ToString::to_string);
        out.debug_struct("IntakeBuilder")
            .field("url", &url)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl IntakeBuilder {
    /// Takes the API key and the proxy from a configuration: `DD_API_KEY`, `DD_PROXY_HTTPS`.
    pub fn configured(mut self, config: &Config) -> Self {
        self.api_key = config.api_key.clone();
        self.proxy = config.proxy_https.clone();
        self
    }

    /// Sends this key as `dd-api-key` with every request.
    pub fn api_key(mut self, key: Secret) -> Self {
        self.api_key = Some(key);
        self
    }

    /// Connects through this proxy: `http://[user:password@]host:port`.
    pub fn proxy(mut self, url: Secret) -> Self {
        self.proxy = Some(url);
        self
    }

    /// How long a whole request may take, from dialling to the last byte of the answer; 15 seconds unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends these headers with every request.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Trusts this certificate, in DER, besides Mozilla's roots.
    pub fn trust(mut self, certificate: impl Into<Vec<u8>>) -> Self {
        self.root = Some(certificate.into());
        self
    }

    /// The client, or what about its settings cannot be used. Connects to nothing yet.
    pub fn build(self) -> Result<IntakeClient, SendError> {
        let url = self
            .url
            .filter(|url| !matches!(url, AgentUrl::Unix(_)))
            .ok_or(SendError::Unsupported {
                expected: "an https:// address of an intake",
            })?;
        let mut headers = self.headers;
        if let Some(key) = &self.api_key {
            let mut value =
                HeaderValue::from_str(key.reveal()).map_err(|_| SendError::Unsupported {
                    expected: "an API key of printable ASCII characters",
                })?;
            value.set_sensitive(true);
            headers.insert(API_KEY, value);
        }
        let proxy = match &self.proxy {
            Some(text) => Some(Proxy::parse(text.reveal()).ok_or(SendError::Unsupported {
                expected: "a proxy of the form http://[user:password@]host:port",
            })?),
            None => None,
        };
        let dialer = TlsDialer::new(proxy, self.root)?;
        Ok(IntakeClient(AgentClient::with_dialer(
            url,
            self.timeout,
            headers,
            Box::new(dialer),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_used_are_named_and_not_shown() {
        let secret = || Secret::new("k\nX: hunter2hunter2hunter2");
        let cases = [
            (IntakeClient::builder("ftp://x"), "https://"),
            (IntakeClient::builder("unix:///x.sock"), "https://"),
            (
                IntakeClient::builder("https://h").api_key(secret()),
                "API key",
            ),
            (
                IntakeClient::builder("https://h").proxy(Secret::new("hunter2hunter2")),
                "proxy",
            ),
            (
                IntakeClient::builder("https://h").trust([1, 2, 3]),
                "certificate",
            ),
        ];
        for (builder, expected) in cases {
            assert!(!format!("{builder:?}").contains("hunter"));
            let error = builder.build().expect_err(expected).to_string();
            assert!(
                error.contains(expected) && !error.contains("hunter"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_client_shows_neither_key_nor_proxy() {
        let client = IntakeClient::builder("https://intake.example/base")
            .api_key(Secret::new("0123456789abcdef"))
            .proxy(Secret::new("http://u:hunter2@proxy:3128"))
            .build()
            .unwrap();
        assert_eq!(
            format!("{client:?}"),
            r#"IntakeClient("https://intake.example:443/base")"#
        );
    }
}
