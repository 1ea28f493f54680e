//! One connection to the agent: dialling, and the adapter between tokio's streams and hyper.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::error::SendError;
use crate::config::AgentUrl;

/// The largest head of an answer. An agent's are a few hundred bytes.
const MAX_HEAD: usize = 64 * 1024;

/// A connection that is being made.
pub(in crate::export) type Dialing<'a> =
    Pin<Box<dyn Future<Output = Result<Connection, SendError>> + Send + 'a>>;

/// Makes connections in a way of its own, for peers that are no agents.
pub(in crate::export) trait Dial: Send + Sync {
    /// Connects to the address.
    fn dial<'a>(&'a self, url: &'a AgentUrl) -> Dialing<'a>;
}

/// A connection on which one request at a time can be sent.
pub(in crate::export) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Drives the connection; ends with it.
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects. To a name with several addresses, the first that accepts is taken.
    pub(super) async fn dial(url: &AgentUrl) -> Result<Connection, SendError> {
        let failed = |error| SendError::Connect {
            url: url.to_string(),
            error,
        };
        match url {
            AgentUrl::Http { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(failed)?;
                // A request is written in few large pieces: waiting to fill packets only delays the last.
                let _ = stream.set_nodelay(true);
                Connection::over(stream).await
            }
            #[cfg(unix)]
            AgentUrl::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path)
                    .await
                    .map_err(failed)?;
                Connection::over(stream).await
            }
            #[cfg(not(unix))]
            AgentUrl::Unix(_) => Err(SendError::Unsupported {
                expected: "an http:// address on this system",
            }),
            AgentUrl::Https { .. } => Err(SendError::Unsupported {
                expected: "an http:// or unix:// address: agents are not spoken to over TLS",
            }),
        }
    }

    /// A connection over a stream that is open.
    pub(in crate::export) async fn over<S>(stream: S) -> Result<Connection, SendError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let (sender, connection) = builder
            .handshake(Io(stream))
            .await
            .map_err(SendError::from_hyper)?;
        let driver = tokio::spawn(async move {
            // Whoever sends learns of the error from the sender.
            let _ = connection.await;
        });
        Ok(Connection { sender, driver })
    }

    /// Whether the peer has hung up, as far as is known.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        self.sender.ready().await.map_err(SendError::from_hyper)?;
        self.sender
            .send_request(request)
            .await
            .map_err(SendError::from_hyper)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // With a silent peer the driver would wait for an answer that nobody wants any more.
        self.driver.abort();
    }
}

/// Fits a tokio stream to hyper's traits.
struct Io<S>(S);

impl<S: AsyncRead + Unpin> hyper::rt::Read for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut target: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // Reading through a buffer of our own costs a copy of a small answer and saves `unsafe`.
        let mut bytes = [0; 4096];
        let length = target.remaining().min(bytes.len());
        let mut buffer = ReadBuf::new(&mut bytes[..length]);
        ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer))?;
        target.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, parts)
    }
}
