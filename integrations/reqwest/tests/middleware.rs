//! Clients with middlewares against real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::routing::get;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_reqwest::middleware;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, Error, Middleware, Next, Result};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;

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

/// The middleware that most people retry with.
fn retries(count: u32) -> RetryTransientMiddleware<ExponentialBackoff> {
    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::from_millis(1), Duration::from_millis(2))
        .build_with_max_retries(count);
    RetryTransientMiddleware::new_with_policy(policy)
}

#[tokio::test]
async fn retries_by_reqwest_retry_are_spans_behind_it_and_one_span_in_front_of_it() {
    for is_behind in [true, false] {
        let recorder = Recorder::new();
        let server = serve().await;
        let client = ClientBuilder::new(Client::new());
        let client = if is_behind {
            client.with(retries(3)).with(middleware::layer())
        } else {
            client.with(middleware::layer()).with(retries(3))
        };
        let response = client.build().get(format!("http://{server}/third")).send();
        let parent = response.await.unwrap().text().await.unwrap();
        let mut spans = recorder.take();
        spans.sort_by_key(|span| resent(span).map_or(0, |count| count as u64));
        let statuses: Vec<_> = spans
            .iter()
            .map(|span| span.meta("http.status_code").unwrap())
            .collect();
        let expected: &[&str] = if is_behind {
            &["503", "503", "200"]
        } else {
            &["200"]
        };
        assert_eq!(statuses, expected);
        assert_eq!(parent, spans.last().unwrap().span_id.to_string());
    }
}

#[tokio::test]
async fn what_retries_fail_with_is_named_and_keeps_its_secrets() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{nobody}/?api_key=secret");
    // How often it is repeated, and the error's type: after none the middleware hides what it repeats.
    for (count, kind) in [(0, "middleware"), (2, "connect")] {
        let recorder = Recorder::new();
        let client = ClientBuilder::new(Client::new())
            .with(middleware::layer())
            .with(retries(count));
        let error = client.build().get(&url).send().await.unwrap_err();
        assert!(error.is_middleware());
        let spans = recorder.take();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        assert_eq!(spans[0].meta("error.type"), Some(kind));
        assert!(!format!("{:?}", spans[0]).contains("secret"), "{spans:#?}");
    }
}

#[tokio::test]
async fn switched_off_it_sends_the_request_as_it_is() {
    for (variables, spans, parents) in [
        (("DD_TRACE_REQWEST_ENABLED", "false"), 0, 0),
        (("DD_REQWEST_DISTRIBUTED_TRACING", "false"), 1, 0),
        (("DD_REQWEST_SERVICE", "backends"), 1, 1),
    ] {
        let recorder = Recorder::with_variables(&[variables]);
        let server = serve().await;
        let client = ClientBuilder::new(Client::new())
            .with(Retry)
            .with(middleware::layer())
            .build();
        let url = format!("http://{server}/third");
        let parent = client.get(url).send().await.unwrap().text().await.unwrap();
        assert_eq!(usize::from(!parent.is_empty()), parents, "{variables:?}");
        let found = recorder.take();
        assert_eq!(found.len(), 3 * spans, "{variables:?}");
        let service = if parents == 1 { "backends" } else { "reqwest" };
        assert!(found.iter().all(|span| span.service == service));
    }
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
