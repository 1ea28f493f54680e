//! Clients with middlewares against real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::routing::get;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_reqwest::middleware;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, Error, Middleware, Next, Result};

/// A server that fails twice, and then tells the parent that it was given.
async fn serve() -> SocketAddr {
    let count = Arc::new(AtomicUsize::new(0));
    let third = move |headers: HeaderMap| async move {
        if count.fetch_add(1, Ordering::Relaxed) < 2 {
            return (StatusCode::SERVICE_UNAVAILABLE, String::new());
        }
        let ids = headers.get_all("x-datadog-parent-id");
        let ids: Vec<_> = ids.iter().map(|id| id.to_str().unwrap()).collect();
        (StatusCode::OK, ids.join(","))
    };
    let app = Router::new().route("/third", get(third));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Sends a request until it succeeds.
struct Retry;

#[async_trait::async_trait]
impl Middleware for Retry {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        loop {
            let again = request.try_clone().unwrap();
            let response = next.clone().run(again, extensions).await?;
            if response.status().is_success() {
                return Ok(response);
            }
        }
    }
}

/// Fails by itself.
struct Refuse;

#[async_trait::async_trait]
impl Middleware for Refuse {
    async fn handle(&self, _: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        Err(Error::middleware(std::io::Error::other("no more tea")))
    }
}

fn resent(span: &SpanData) -> Option<f64> {
    span.metric("http.request.resend_count")
}

#[tokio::test]
async fn every_attempt_is_a_span_that_says_which_it_is() {
    let recorder = Recorder::new();
    let server = serve().await;
    let client = ClientBuilder::new(Client::new())
        .with(Retry)
        .with(middleware::layer())
        .build();
    let url = format!("http://{server}/third");
    let parent = client.get(url).send().await.unwrap().text().await.unwrap();
    let mut spans = recorder.take();
    spans.sort_by_key(|span| resent(span).map_or(0, |count| count as u64));
    let seen: Vec<_> = spans
        .iter()
        .map(|span| (span.meta("http.status_code").unwrap(), resent(span)))
        .collect();
    assert_eq!(
        seen,
        [("503", None), ("503", Some(1.0)), ("200", Some(2.0))]
    );
    assert_eq!(spans[0].name, "reqwest.request");
    // One header, of the attempt that arrived.
    assert_eq!(parent, spans[2].span_id.to_string());
}

#[tokio::test]
async fn in_front_of_retries_one_span_holds_all_of_them() {
    let recorder = Recorder::new();
    let server = serve().await;
    // A second layer further in makes no second span.
    let client = ClientBuilder::new(Client::new())
        .with(middleware::layer())
        .with(Retry)
        .with(middleware::layer())
        .build();
    let url = format!("http://{server}/third");
    let parent = client.get(url).send().await.unwrap().text().await.unwrap();
    let spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    assert_eq!(spans[0].meta("http.status_code"), Some("200"));
    assert_eq!(resent(&spans[0]), None);
    assert_eq!(parent, spans[0].span_id.to_string());
}

#[tokio::test]
async fn failures_are_named_and_reach_the_caller() {
    let recorder = Recorder::new();
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{nobody}/?api_key=secret");
    let plain = ClientBuilder::new(Client::new()).with(middleware::layer());
    let refused = ClientBuilder::new(Client::new())
        .with(middleware::layer())
        .with(Refuse);
    for (client, kind, message) in [
        (plain, "connect", "the request failed"),
        (refused, "middleware", "a middleware failed: no more tea"),
    ] {
        let error = client.build().get(&url).send().await.unwrap_err();
        assert_eq!(error.is_middleware(), kind == "middleware");
        let spans = recorder.take();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        assert!(spans[0].error);
        assert_eq!(spans[0].meta("error.type"), Some(kind));
        assert!(spans[0].meta("error.message").unwrap().starts_with(message));
        assert!(!format!("{:?}", spans[0]).contains("secret"));
    }
}
