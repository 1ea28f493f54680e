//! Servers that send a client from one to the next, hang up, or speak another language.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_reqwest::RequestBuilderExt as _;
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn only(recorder: &Recorder) -> SpanData {
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    spans.remove(0)
}

/// Headers of trace context that a server was sent, request by request.
type Sent = Arc<Mutex<Vec<(String, Vec<String>)>>>;

/// A server of which each step sends on to the next one at the other server, down to none.
async fn serve_steps(listener: TcpListener, other: SocketAddr, sent: Sent) {
    let step = move |Path(left): Path<u32>, headers: HeaderMap| async move {
        let ids = headers.get_all("x-datadog-parent-id").iter();
        let ids = ids.map(|id| id.to_str().unwrap().to_owned()).collect();
        let host = headers["host"].to_str().unwrap().to_owned();
        sent.lock().unwrap().push((host, ids));
        match left.checked_sub(1) {
            Some(left) => Redirect::temporary(&format!("http://{other}/{left}")).into_response(),
            None => "arrived".into_response(),
        }
    };
    let app = Router::new().route("/{left}", get(step));
    tokio::spawn(async move { axum::serve(listener, app).await });
}

#[tokio::test]
async fn redirects_are_one_span_whose_context_goes_to_every_origin() {
    let (one, two) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let addresses = [one.local_addr().unwrap(), two.local_addr().unwrap()];
    let sent = Sent::default();
    serve_steps(one, addresses[1], Arc::clone(&sent)).await;
    serve_steps(two, addresses[0], Arc::clone(&sent)).await;
    let recorder = Recorder::new();
    let url = format!("http://{}/20", addresses[0]);
    for (limit, status, kind) in [(20, Some("200"), None), (19, None, Some("redirect"))] {
        let client = Client::builder().redirect(Policy::limited(limit));
        let result = client.build().unwrap().get(&url).send_traced().await;
        assert_eq!(result.is_ok(), status.is_some());
        let span = only(&recorder);
        assert_eq!(span.resource, "GET /{param:int}");
        assert_eq!(span.meta("http.url"), Some(url.as_str()));
        assert_eq!(span.meta("http.status_code"), status);
        assert_eq!(span.meta("error.type"), kind);
        let sent = std::mem::take(&mut *sent.lock().unwrap());
        assert_eq!(sent.len(), limit + 1);
        for (hop, (host, ids)) in sent.into_iter().enumerate() {
            assert_eq!(host, addresses[hop % 2].to_string());
            assert_eq!(ids, [span.span_id.to_string()], "hop {hop}");
        }
    }
}

/// What a server does once it has seen the head of a request.
#[derive(Clone, Copy, Debug)]
enum Does {
    HangUp,
    Says(&'static [u8]),
    /// Goes away with something unread, so that the connection is reset.
    SaysAndResets(&'static [u8]),
}

async fn serve(does: Does) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            if let Does::SaysAndResets(answer) = does {
                // A single byte: the rest of the request stays where it is.
                let _ = socket.read_u8().await;
                let _ = socket.write_all(answer).await;
                continue;
            }
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            if let Does::Says(answer) = does {
                let _ = socket.write_all(answer).await;
            }
        }
    });
    address
}

#[tokio::test]
async fn connections_that_break_before_the_head_are_errors_of_the_span() {
    let recorder = Recorder::new();
    for does in [
        Does::HangUp,
        Does::Says(b"SSH-2.0-OpenSSH_9.9\r\n"),
        Does::Says(b"HTTP/1.1 200 Fine\r\ncontent-le"),
        Does::SaysAndResets(b""),
    ] {
        let url = format!("http://{}/cups?api_key=secret", serve(does).await);
        let error = Client::new().get(&url).send_traced().await.unwrap_err();
        assert!(error.is_request(), "{does:?} {error:?}");
        assert_eq!(error.url().map(reqwest::Url::as_str), Some(url.as_str()));
        let span = only(&recorder);
        assert!(span.error);
        assert_eq!(span.meta("error.type"), Some("request"), "{does:?}");
        assert_eq!(span.meta("http.status_code"), None);
        let message = span.meta("error.message").unwrap();
        assert!(message.len() > "the request failed: ".len(), "{message}");
        assert!(!format!("{span:?}").contains("secret"), "{span:#?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_is_the_callers_and_the_span_has_ended() {
    let recorder = Recorder::new();
    for does in [
        Does::Says(b"HTTP/1.1 200 Fine\r\ncontent-length: 9\r\n\r\nhalf"),
        Does::Says(b"HTTP/1.1 200 Fine\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf"),
    ] {
        let url = format!("http://{}/cups", serve(does).await);
        let response = Client::new().get(&url).send_traced().await.unwrap();
        let span = only(&recorder);
        assert!(!span.error);
        assert_eq!(span.meta("http.status_code"), Some("200"));
        let error = response.bytes().await.unwrap_err();
        assert!(error.is_body() || error.is_decode(), "{error:?}");
        assert!(recorder.take().is_empty());
    }
}

/// Knows no name.
struct Forgetful;

impl Resolve for Forgetful {
    fn resolve(&self, name: Name) -> Resolving {
        let error = std::io::Error::other(format!("who is {}?", name.as_str()));
        Box::pin(std::future::ready(Err::<Addrs, _>(error.into())))
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_an_error_to_connect() {
    let recorder = Recorder::new();
    let client = Client::builder().dns_resolver(Arc::new(Forgetful));
    let request = client.build().unwrap().get("http://tea.example/cups");
    let error = request.send_traced().await.unwrap_err();
    assert!(error.is_connect());
    let span = only(&recorder);
    assert_eq!(span.meta("error.type"), Some("connect"));
    assert_eq!(span.meta("out.host"), Some("tea.example"));
    let message = span.meta("error.message").unwrap();
    assert!(message.contains("dns error"), "{message}");
    assert!(message.contains("who is tea.example?"), "{message}");
}
