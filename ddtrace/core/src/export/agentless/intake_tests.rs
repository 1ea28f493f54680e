//! The client against a TLS server, with and without a proxy in between.
//!
//! The server's certificate and key (`fixtures/`) are for `localhost` and `127.0.0.1`, valid for a hundred years, and trusted by
//! nobody but these tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::{IntakeBuilder, IntakeClient};
use crate::config::Secret;
use crate::export::agent::SendError;

const CERTIFICATE: &[u8] = include_bytes!("fixtures/localhost.cert.der");
const KEY: &[u8] = include_bytes!("fixtures/localhost.key.der");

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

/// A TLS server that answers every request with what it was sent. Serves connections until the runtime ends.
async fn intake() -> SocketAddr {
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
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    echo(stream).await;
                }
            });
        }
    });
    address
}

/// Answers requests whose body is four bytes long with their own text.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        request.push(byte);
        let head_end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if head_end.is_none_or(|end| request.len() < end + 4 + 4) {
            continue;
        }
        let head = format!(
            "HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\n\r\n",
            request.len()
        );
        let answer = [head.as_bytes(), &request].concat();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        request.clear();
    }
}

/// A proxy that opens one tunnel after the other to `target`, whatever it is asked for, and says what that was.
async fn proxy(target: SocketAddr) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(near.read_u8().await.unwrap());
            }
            let _ = tell.send(String::from_utf8(head).unwrap());
            let mut far = TcpStream::connect(target).await.unwrap();
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (address, told)
}

fn client(url: &str) -> IntakeBuilder {
    IntakeClient::builder(url)
        .trust(CERTIFICATE)
        .timeout(PATIENCE)
}

#[test]
fn requests_arrive_over_tls_with_the_key() {
    run(async {
        let address = intake().await;
        let client = client(&format!("https://localhost:{}/base", address.port()))
            .api_key(Secret::new("k3y"))
            .build()
            .unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-more", HeaderValue::from_static("1"));
        // Twice: on a new connection, and on the one that was kept.
        for _ in 0..2 {
            let response = client
                .post("/v1/input", headers.clone(), "{..}")
                .await
                .unwrap();
            assert_eq!(response.status, StatusCode::ACCEPTED);
            let echo = String::from_utf8(response.body.to_vec()).unwrap();
            assert!(
                echo.starts_with("POST /base/v1/input HTTP/1.1\r\n"),
                "{echo}"
            );
            for line in [
                "dd-api-key: k3y",
                "x-more: 1",
                "content-length: 4",
                &format!("host: localhost:{}", address.port()),
            ] {
                assert!(echo.contains(&format!("{line}\r\n")), "{line} in {echo}");
            }
            assert!(echo.ends_with("\r\n\r\n{..}"), "{echo}");
        }
    });
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_and_sees_no_more() {
    run(async {
        let (proxy, mut told) = proxy(intake().await).await;
        // A host that only the proxy could know; the certificate is checked against it, so it has to be this one.
        let client = client("https://localhost:9")
            .proxy(Secret::new(format!("http://u:p@{proxy}")))
            .api_key(Secret::new("k3y"))
            .build()
            .unwrap();
        let response = client.post("/x", HeaderMap::new(), "{..}").await.unwrap();
        assert_eq!(response.status, StatusCode::ACCEPTED);
        assert_eq!(
            told.recv().await.unwrap(),
            "CONNECT localhost:9 HTTP/1.1\r\nHost: localhost:9\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
        );
    });
}

#[test]
fn a_certificate_that_nobody_vouches_for_or_of_another_name_is_refused() {
    run(async {
        let address = intake().await;
        let here = format!("https://localhost:{}", address.port());
        let elsewhere = IntakeClient::builder("https://intake.example:9")
            .trust(CERTIFICATE)
            .proxy(Secret::new(format!("http://{}", proxy(address).await.0)));
        for builder in [IntakeClient::builder(&here), elsewhere] {
            let client = builder.timeout(PATIENCE).build().unwrap();
            let error = client
                .post("/x", HeaderMap::new(), "{..}")
                .await
                .unwrap_err();
            assert!(
                matches!(&error, SendError::Connect { error, .. } if error.to_string().contains("certificate")),
                "{error}"
            );
        }
    });
}

#[test]
fn an_intake_for_tests_may_be_plain() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            echo(stream).await;
        });
        let client = client(&url).build().unwrap();
        let response = client.post("/x", HeaderMap::new(), "{..}").await.unwrap();
        assert_eq!(response.status, StatusCode::ACCEPTED);
    });
}
