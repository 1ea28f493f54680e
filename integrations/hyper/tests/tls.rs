//! hyper's pooled client over TLS, with servers that are who they say and others that are not.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ddtrace_core::test_support::Recorder;
use ddtrace_hyper::client::ClientExt as _;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower_service::Service;

/// The certificate of core's own tests, for `localhost` and by nobody that anybody trusts.
const CERTIFICATE: &[u8] =
    include_bytes!("../../../ddtrace/core/src/export/agentless/fixtures/localhost.cert.der");
const KEY: &[u8] =
    include_bytes!("../../../ddtrace/core/src/export/agentless/fixtures/localhost.key.der");

/// A server that answers every request with `tea`.
async fn serve() -> SocketAddr {
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CERTIFICATE.into()],
            PrivatePkcs8KeyDer::from(KEY).into(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let answer = b"HTTP/1.1 200 Fine\r\nconnection: close\r\ncontent-length: 3\r\n\r\ntea";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

/// A server that answers whatever it is sent in plain text.
async fn serve_plain() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read_buf(&mut Vec::with_capacity(4096)).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    address
}

/// Connects to this address, and asks for `localhost` there.
#[derive(Clone)]
struct Connector {
    tls: TlsConnector,
    to: SocketAddr,
}

impl Connector {
    /// One that trusts this certificate alone, or nobody.
    fn new(trusted: Option<&'static [u8]>, to: SocketAddr) -> Self {
        let mut roots = RootCertStore::empty();
        if let Some(trusted) = trusted {
            roots.add(trusted.into()).unwrap();
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            tls: Arc::new(tls).into(),
            to,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { tls, to } = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(to).await?;
            let name = ServerName::try_from("localhost").unwrap();
            let stream = tls.connect(name, stream).await?;
            Ok(Stream(TokioIo::new(stream)))
        })
    }
}

/// A connection over TLS, as the pool wants it.
struct Stream(TokioIo<TlsStream<TcpStream>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_handshake_that_fails_is_an_error_to_connect() {
    let recorder = Recorder::new();
    let (server, plain) = (serve().await, serve_plain().await);
    // Whom the client trusts, the server, and what its error says.
    let cases = [
        (Some(CERTIFICATE), server, None),
        (None, server, Some("certificate")),
        // It speaks no TLS.
        (Some(CERTIFICATE), plain, Some("corrupt message")),
    ];
    for (trusted, server, error) in cases {
        let client = Client::builder(TokioExecutor::new());
        let client = client.build::<_, Empty<Bytes>>(Connector::new(trusted, server));
        let url = format!("https://localhost:{}/cups?token=secret", server.port());
        let request = Request::get(url).body(Empty::new()).unwrap();
        let result = client.request_traced(request).await;
        assert_eq!(result.is_err(), error.is_some(), "{result:?}");
        if let Ok(response) = result {
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), "tea");
        }
        let span = recorder.spans(1).await.remove(0);
        assert_eq!(span.error, error.is_some());
        assert_eq!(span.meta("error.type"), error.map(|_| "connect"));
        assert_eq!(span.meta("out.host"), Some("localhost"));
        let port = f64::from(server.port());
        assert_eq!(span.metric("network.destination.port"), Some(port));
        if let Some(says) = error {
            let message = span.meta("error.message").unwrap();
            assert!(message.contains(says), "{message}");
        }
        assert!(!format!("{span:?}").contains("secret"), "{span:#?}");
    }
}
