//! Services of tower, called as a server and a client would.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use ddtrace_core::events::{self, Block, HttpServerRequest, Phase};
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_tower::{client, server};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower_layer::Layer as _;
use tower_service::Service;

/// A service made of a function.
#[derive(Clone)]
struct By<F>(F);

impl<F, B, R, E> Service<Request<B>> for By<F>
where
    F: FnMut(Request<B>) -> Result<Response<R>, E>,
{
    type Response = Response<R>;
    type Error = E;
    type Future = Ready<Result<Response<R>, E>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(self.0(request))
    }
}

fn tea() -> Response<Full<Bytes>> {
    Response::new(Full::from("tea"))
}

fn only(recorder: &Recorder) -> SpanData {
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    spans.remove(0)
}

#[tokio::test]
async fn both_layers_describe_what_passes() {
    let recorder = Recorder::new();
    let answer = By(|request: Request<()>| {
        server::note_route(request.extensions(), "/cups/{id}");
        Ok::<_, Infallible>(tea())
    });
    let mut service = client::layer().layer(server::layer().layer(answer));
    let request = Request::get("https://tea.example:8443/cups/7?a=1");
    let response = service.call(request.body(()).unwrap()).await.unwrap();
    assert!(recorder.take().is_empty(), "a span ended before the body");
    assert_eq!(response.collect().await.unwrap().to_bytes(), "tea");
    let spans = recorder.take();
    let seen: Vec<_> = spans
        .iter()
        .map(|span| {
            let kind = span.meta("span.kind").unwrap();
            let url = span.meta("http.url").unwrap();
            (span.name.as_ref(), kind, span.resource.as_ref(), url)
        })
        .collect();
    let url = "https://tea.example:8443/cups/7?a=1";
    assert_eq!(seen.len(), 2);
    assert!(seen.contains(&("tower.request", "server", "GET /cups/{id}", url)));
    assert!(seen.contains(&("tower.request", "client", "GET /cups/7", url)));
    // The request did not leave the process: the server's span is a child of the client's.
    let server = spans.iter().find(|span| span.span_type == "web").unwrap();
    let client = spans.iter().find(|span| span.span_type == "http").unwrap();
    assert_eq!(server.parent_id, client.span_id);
    assert_eq!(server.meta("http.route"), Some("/cups/{id}"));
}

#[derive(Debug)]
struct Cause;

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the kettle is cold")
    }
}

impl Error for Cause {}

#[tokio::test]
async fn errors_reach_the_caller_and_mark_the_spans() {
    let recorder = Recorder::new();
    let fail = |_: Request<()>| -> Result<Response<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
        Err(std::io::Error::other(Cause).into())
    };
    let mut asks = client::layer().layer(By(fail));
    let error = asks.call(Request::new(())).await.unwrap_err();
    assert_eq!(error.to_string(), "the kettle is cold");
    let span = only(&recorder);
    assert!(span.error);
    assert_eq!(span.meta("error.type"), Some("request"));
    let message = span.meta("error.message").unwrap();
    assert!(message.starts_with("the kettle is cold"), "{message}");

    let mut answers = server::layer().layer(By(fail));
    assert!(answers.call(Request::new(())).await.is_err());
    let span = only(&recorder);
    assert!(span.error);
    assert_eq!(span.meta("http.status_code"), None);
}

#[tokio::test]
async fn headers_that_are_not_utf_8_pass_and_are_left_out_of_the_tags() {
    let recorder = Recorder::with_variables(&[("DD_TRACE_HEADER_TAGS", "x-odd:odd")]);
    let odd = HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    let mut service = server::layer().layer(By(|request: Request<()>| {
        let mut response = tea();
        *response.headers_mut() = request.headers().clone();
        Ok::<_, Infallible>(response)
    }));
    let names = ["x-odd", "user-agent", "host", "referer", "traceparent"];
    let request = names.iter().fold(Request::get("/cups"), |request, name| {
        request.header(*name, odd.clone())
    });
    let response = service.call(request.body(()).unwrap()).await.unwrap();
    for name in names {
        assert_eq!(response.headers()[name], odd);
    }
    drop(response.collect().await.unwrap());
    let span = only(&recorder);
    assert_eq!(span.resource, "GET /cups");
    assert_eq!(span.meta("http.useragent"), None);
    assert_eq!(span.parent_id, 0);
}

#[tokio::test]
async fn ten_thousand_headers_and_long_ones_pass_and_change_nothing() {
    let recorder = Recorder::with_variables(&[("DD_TRACE_HEADER_TAGS", "x-many:many")]);
    // A client in front of a server, so that headers are written to as well as read.
    let mut service =
        client::layer().layer(server::layer().layer(By(|request: Request<String>| {
            let mut response = tea();
            *response.headers_mut() = request.headers().clone();
            Ok::<_, Infallible>(response)
        })));
    let mut request = Request::get("http://tea.example/cups")
        .body(String::new())
        .unwrap();
    let headers = request.headers_mut();
    for number in 0..5_000 {
        let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
        headers.append(name, HeaderValue::from_static("v"));
        headers.append("x-many", HeaderValue::from_static("many"));
    }
    let long = "x".repeat(64 * 1024);
    for name in [
        "user-agent",
        "host",
        "referer",
        "tracestate",
        "baggage",
        "x-datadog-tags",
    ] {
        headers.insert(name, long.parse().unwrap());
    }
    let before: Vec<_> = ["x-many", "x-4999", "user-agent", "host", "referer"]
        .map(|name| headers.get_all(name).iter().cloned().collect::<Vec<_>>())
        .into();
    let response = service.call(request).await.unwrap();
    let after: Vec<_> = ["x-many", "x-4999", "user-agent", "host", "referer"]
        .map(|name| {
            response
                .headers()
                .get_all(name)
                .iter()
                .cloned()
                .collect::<Vec<_>>()
        })
        .into();
    assert_eq!(after, before);
    assert_eq!(after[0].len(), 5_000);
    assert_eq!(response.headers().get_all("traceparent").iter().count(), 1);
    drop(response.collect().await.unwrap());
    let spans = recorder.take();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    for span in &spans {
        assert!(!span.error);
        assert!(span.meta("many").unwrap().len() <= 4096);
        assert!(span.meta("http.url").unwrap().len() <= 8192);
        assert!(
            span.meta("http.useragent")
                .is_none_or(|it| it.len() <= 25_000)
        );
    }
}

#[tokio::test]
async fn a_listener_that_blocks_answers_in_the_services_place() {
    events::on::<HttpServerRequest<'_>>(Phase::Security, "test", |event| {
        if event.uri.path() == "/forbidden" {
            let mut block = Block::new(StatusCode::FORBIDDEN);
            block.body = Bytes::from_static(b"no");
            event.verdict.block(block);
        }
    });
    let recorder = Recorder::new();
    let mut service = server::layer().layer(By(
        |_: Request<()>| -> Result<Response<Full<Bytes>>, Infallible> {
            unreachable!("the request was blocked")
        },
    ));
    let request = Request::get("/forbidden").body(()).unwrap();
    let response = service.call(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.collect().await.unwrap().to_bytes(), "no");
    assert_eq!(only(&recorder).meta("http.status_code"), Some("403"));
}

#[tokio::test]
async fn a_panic_is_an_error_and_no_cancellation() {
    let recorder = Recorder::new();
    let mut service = server::layer().layer(By(
        |_: Request<()>| -> Result<Response<Full<Bytes>>, Infallible> { panic!("no more tea") },
    ));
    let ended = tokio::spawn(async move { service.call(Request::new(())).await.is_ok() }).await;
    assert!(ended.unwrap_err().is_panic());
    let span = only(&recorder);
    assert!(span.error);
    assert_eq!(span.meta("error.type"), Some("panic"));
    assert_eq!(span.meta("http.request.cancelled"), None);
}

#[tokio::test]
async fn a_request_that_was_received_may_be_sent_on() {
    // A proxy: the mark of the server among the extensions does not silence the client.
    let recorder = Recorder::new();
    let mut upstream = client::layer().layer(By(|request: Request<()>| {
        assert_eq!(request.headers().get_all("traceparent").iter().count(), 1);
        Ok::<_, Infallible>(tea())
    }));
    let mut proxy = server::layer().layer(By(move |request: Request<()>| {
        // Given up at once: what matters is that it was sent.
        drop(upstream.call(request));
        Ok::<_, Infallible>(tea())
    }));
    let context = "00-00000000000000000000000000000007-0000000000000009-01";
    let request = Request::get("/cups").header("traceparent", context);
    let response = proxy.call(request.body(()).unwrap()).await.unwrap();
    drop(response.collect().await.unwrap());
    let spans = recorder.take();
    let of = |kind| {
        let is_of_kind = |span: &&SpanData| span.meta("span.kind") == Some(kind);
        spans.iter().find(is_of_kind).unwrap()
    };
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert_eq!(of("server").parent_id, 9);
    assert_eq!(of("client").parent_id, of("server").span_id);
    assert_eq!(of("client").meta("http.request.cancelled"), Some("true"));
}
