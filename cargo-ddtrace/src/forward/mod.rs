//! Passing requests on to a real Agent.
//!
//! The body goes as it was received, with its headers, after the local answer; one connection, one request after the other. What does
//! not fit into the queue is dropped and counted: the program that is watched must not wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderName, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use crate::store::Store;

/// Bytes that may wait.
const QUEUE: usize = 32 << 20;
/// How long the real Agent may take.
const TIME: Duration = Duration::from_secs(10);

/// Where to pass requests on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `http://host:port`.
    Tcp(String),
    /// `unix:///path`.
    Unix(String),
}

impl Target {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Target, String> {
        if let Some(path) = url.strip_prefix("unix://") {
            return Ok(Target::Unix(path.to_owned()));
        }
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("{url:?} is no URL: {error}"))?;
        match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(host)) => Ok(Target::Tcp(format!(
                "{host}:{}",
                uri.port_u16().unwrap_or(8126)
            ))),
            _ => Err(format!(
                "{url:?} is neither http://HOST:PORT nor unix:///PATH"
            )),
        }
    }
}

struct Waiting {
    request: Request<Full<Bytes>>,
    bytes: usize,
    number: u32,
}

/// The way to the real Agent.
#[derive(Debug)]
pub struct Forward {
    /// As it was given.
    pub url: String,
    queue: mpsc::UnboundedSender<Waiting>,
    counts: Arc<ForwardCounts>,
}

/// What became of requests.
#[derive(Debug, Default)]
pub struct ForwardCounts {
    waiting: AtomicUsize,
    /// Answered, whatever the status.
    pub sent: AtomicU64,
    /// Not answered.
    pub failed: AtomicU64,
    /// Not sent, because the queue was full.
    pub dropped: AtomicU64,
    /// The last status, 0 before the first.
    pub last_status: AtomicU16,
}

impl Forward {
    /// Starts the task that sends; call it within a runtime.
    pub fn start(url: &str, store: Arc<Store>) -> Result<Forward, String> {
        let target = Target::parse(url)?;
        let (queue, waiting) = mpsc::unbounded_channel();
        let counts = Arc::new(ForwardCounts::default());
        tokio::spawn(send_all(target, waiting, counts.clone(), store));
        Ok(Forward {
            url: url.to_owned(),
            queue,
            counts,
        })
    }

    /// The counts.
    pub fn counts(&self) -> &ForwardCounts {
        &self.counts
    }

    /// Queues a request, which is number `number` in the store.
    pub fn send(&self, parts: &Parts, body: &Bytes, number: u32) {
        let bytes = body.len();
        if self.counts.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE {
            self.counts.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts
            .uri
            .path_and_query()
            .and_then(|path| path.as_str().parse().ok())
            .unwrap_or_else(|| Uri::from_static("/"));
        // Headers about this connection stay here; the length is that of the body.
        const OWN: [HeaderName; 5] = [
            header::HOST,
            header::CONNECTION,
            header::TRANSFER_ENCODING,
            header::CONTENT_LENGTH,
            header::TE,
        ];
        for (name, value) in parts.headers.iter().filter(|(name, _)| !OWN.contains(name)) {
            request.headers_mut().append(name, value.clone());
        }
        request
            .headers_mut()
            .insert(header::HOST, header::HeaderValue::from_static("localhost"));
        if self
            .queue
            .send(Waiting {
                request,
                bytes,
                number,
            })
            .is_err()
        {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn send_all(
    target: Target,
    mut waiting: mpsc::UnboundedReceiver<Waiting>,
    counts: Arc<ForwardCounts>,
    store: Arc<Store>,
) {
    let mut connection = None;
    while let Some(Waiting {
        request,
        bytes,
        number,
    }) = waiting.recv().await
    {
        let sent = tokio::time::timeout(TIME, send(&target, &mut connection, request)).await;
        counts.waiting.fetch_sub(bytes, Ordering::Relaxed);
        match sent.unwrap_or(None) {
            Some(status) => {
                counts.sent.fetch_add(1, Ordering::Relaxed);
                counts.last_status.store(status, Ordering::Relaxed);
                store.change(|store| {
                    if let Some(request) = store.requests.get_mut(number) {
                        request.forwarded = Some(status);
                    }
                });
            }
            None => {
                connection = None;
                counts.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

type Sender = SendRequest<Full<Bytes>>;

async fn send(
    target: &Target,
    connection: &mut Option<Sender>,
    request: Request<Full<Bytes>>,
) -> Option<u16> {
    let usable = match connection {
        Some(sender) => sender.ready().await.is_ok(),
        None => false,
    };
    if !usable {
        *connection = Some(connect(target).await?);
    }
    let response = connection.as_mut()?.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    // The body is read so that the connection can be used again; an endless one is given up with the time limit.
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame.ok()?;
    }
    Some(status)
}

async fn connect(target: &Target) -> Option<Sender> {
    match target {
        Target::Tcp(address) => {
            let (sender, connection) =
                handshake(TokioIo::new(TcpStream::connect(address).await.ok()?))
                    .await
                    .ok()?;
            tokio::spawn(connection);
            Some(sender)
        }
        Target::Unix(path) => {
            let (sender, connection) =
                handshake(TokioIo::new(UnixStream::connect(path).await.ok()?))
                    .await
                    .ok()?;
            tokio::spawn(connection);
            Some(sender)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        assert_eq!(
            Target::parse("http://agent:8126/"),
            Ok(Target::Tcp("agent:8126".into()))
        );
        assert_eq!(
            Target::parse("unix:///run/apm.sock"),
            Ok(Target::Unix("/run/apm.sock".into()))
        );
        assert!(Target::parse("https://agent").is_err());
        assert!(Target::parse("agent:8126").is_err());
    }
}
