//! Requests to the agent over a connection that is kept.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Dial};
use super::error::SendError;
use crate::config::AgentUrl;

/// The most of an answer's body that is read, unless more is asked for.
pub const MAX_BODY: usize = 1 << 20;

/// An HTTP client for one agent.
///
/// Requests may run at the same time; one connection is kept for the next. Runs on the tokio
/// runtime that calls it, and its connection belongs to that runtime: after a `fork`, make another.
///
/// Proxies are never used: an agent is near.
pub struct AgentClient {
    url: AgentUrl,
    timeout: Duration,
    /// Sent with every request.
    headers: HeaderMap,
    /// The connection that the last request left behind.
    idle: Mutex<Option<Connection>>,
    /// For peers that are not reached as agents are.
    dialer: Option<Box<dyn Dial>>,
}

/// An agent's answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most as much of it as was asked for.
    pub body: Bytes,
    /// Whether that is the whole body. The head decides what became of a request, so a body that
    /// breaks off, is too long or too late is no error: what was sent has arrived.
    pub is_complete: bool,
}

impl fmt::Debug for AgentClient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("AgentClient")
            .field("url", &self.url.to_string())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl AgentClient {
    /// A client for this address. `timeout` is for a whole request, from dialling to the last byte
    /// of the answer; `headers` go with every request.
    pub fn new(url: AgentUrl, timeout: Duration, mut headers: HeaderMap) -> AgentClient {
        headers.insert(HOST, host(&url));
        AgentClient {
            url,
            timeout,
            headers,
            idle: Mutex::new(None),
            dialer: None,
        }
    }

    /// The same for a peer that is reached in another way.
    #[cfg(feature = "agentless")]
    pub(in crate::export) fn with_dialer(
        url: AgentUrl,
        timeout: Duration,
        headers: HeaderMap,
        dialer: Box<dyn Dial>,
    ) -> AgentClient {
        AgentClient {
            dialer: Some(dialer),
            ..AgentClient::new(url, timeout, headers)
        }
    }

    /// The address.
    pub fn url(&self) -> &AgentUrl {
        &self.url
    }

    /// Sends a body. `path` begins with a slash.
    pub async fn post(
        &self,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Response, SendError> {
        self.post_for_up_to(MAX_BODY, path, headers, body).await
    }

    /// Sends a body, and reads more of the answer than [`MAX_BODY`]: up to this many bytes.
    pub async fn post_for_up_to(
        &self,
        max_body: usize,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Response, SendError> {
        self.request(Method::POST, path, headers, body.into(), max_body)
            .await
    }

    /// Asks for something. `path` begins with a slash.
    pub async fn get(&self, path: &str, headers: HeaderMap) -> Result<Response, SendError> {
        self.request(Method::GET, path, headers, Bytes::new(), MAX_BODY)
            .await
    }

    /// Sends a request of any method. `path` begins with a slash; of the answer up to `max_body` bytes are read.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
        max_body: usize,
    ) -> Result<Response, SendError> {
        self.request(method, path, headers, body.into(), max_body)
            .await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        max_body: usize,
    ) -> Result<Response, SendError> {
        let request = self.prepare(method, path, headers, body)?;
        let deadline = Instant::now() + self.timeout;
        let (response, connection) = match timeout_at(deadline, self.exchange(request)).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(SendError::Timeout {
                    after: self.timeout,
                });
            }
        };
        let (head, incoming) = response.into_parts();
        let (body, is_complete) = read(incoming, deadline, max_body).await;
        if is_complete && !connection.is_closed() {
            self.idle().replace(connection);
        }
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body,
            is_complete,
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, SendError> {
        let prefix = match &self.url {
            AgentUrl::Http { prefix, .. } | AgentUrl::Https { prefix, .. } => prefix.as_str(),
            AgentUrl::Unix(_) => "",
        };
        let uri = Uri::try_from(format!("{prefix}{path}")).map_err(|_| SendError::Unsupported {
            expected: "a path that can stand in a URL",
        })?;
        let length = body.len();
        let has_body = method != Method::GET;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        for (name, value) in &self.headers {
            request
                .headers_mut()
                .entry(name)
                .or_insert_with(|| value.clone());
        }
        if has_body {
            // The test agent refuses bodies of unknown length.
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        request.headers_mut().remove(header::TRANSFER_ENCODING);
        Ok(request)
    }

    /// Sends a request on the kept connection if there is one, else, or if that turns out to be
    /// dead, on a new one. A body sent twice is the lesser evil: the peer closed without an answer.
    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(http::Response<Incoming>, Connection), SendError> {
        let kept = self
            .idle()
            .take()
            .filter(|connection| !connection.is_closed());
        if let Some(mut connection) = kept {
            match connection.send(request.clone()).await {
                Ok(response) => return Ok((response, connection)),
                Err(SendError::Closed) => {}
                Err(error) => return Err(error),
            }
        }
        let mut connection = match &self.dialer {
            Some(dialer) => dialer.dial(&self.url).await?,
            None => Connection::dial(&self.url).await?,
        };
        let response = connection.send(request).await?;
        Ok((response, connection))
    }
}

/// What the `Host` header says.
fn host(url: &AgentUrl) -> HeaderValue {
    let text = match url {
        AgentUrl::Http { host, port, .. } | AgentUrl::Https { host, port, .. } => {
            if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            }
        }
        AgentUrl::Unix(_) => "localhost".to_owned(),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("localhost"))
}

/// Reads a body up to the limit and the deadline, and says whether it is whole.
async fn read(mut incoming: Incoming, deadline: Instant, max_body: usize) -> (Bytes, bool) {
    let mut body = BytesMut::new();
    loop {
        let frame = match timeout_at(deadline, incoming.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return (body.freeze(), true),
            Ok(Some(Err(_))) | Err(_) => return (body.freeze(), false),
        };
        // Frames that are not data are trailers, which agents do not send.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let room = max_body - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return (body.freeze(), false);
        }
    }
}
