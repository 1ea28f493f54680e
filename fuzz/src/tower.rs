//! HTTP: requests and responses that pass the layers of a client and of a server.

use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::Bytes;
use ddtrace_core::test_support::Recorder;
use ddtrace_tower::{client, server};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::exchange_text::{cut, done, headers};

/// Answers every request the same.
#[derive(Clone)]
struct Answers(Response<Full<Bytes>>);

impl Service<Request<Full<Bytes>>> for Answers {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        if let Some(route) = request.headers().get("x-route") {
            let route = String::from_utf8_lossy(route.as_bytes());
            server::note_route(request.extensions(), &route);
        }
        std::future::ready(Ok(self.0.clone()))
    }
}

/// The request's line, its headers, a blank line, the status of the answer, its headers, a blank line, and the bodies: they arrive as they
/// were, in one trace of two spans, whose tags are bounded and without passwords.
pub fn http_exchange(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let line = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let rest = parts.next().unwrap_or_default();
    let (asked, rest) = cut(rest);
    let (answered, body) = cut(rest);
    let (method, target) = line.split_once(' ').unwrap_or(("GET", &line));
    let body = Bytes::copy_from_slice(body);
    let Ok(mut request) = Request::builder()
        .method(method)
        .uri(target)
        .body(Full::new(body.clone()))
    else {
        return;
    };
    *request.headers_mut() = headers(asked);
    let mut answer = Response::new(Full::new(body.clone()));
    let status = answered.split(|byte| *byte == b'\n').next();
    let status = status.and_then(|status| StatusCode::from_bytes(status.get(..3)?).ok());
    *answer.status_mut() = status.unwrap_or_default();
    *answer.headers_mut() = headers(answered);

    let recorder = Recorder::with_variables(&[
        ("DD_TRACE_CLIENT_IP_ENABLED", "true"),
        ("DD_TRACE_HEADER_TAGS", "x-tagged:tagged,accept"),
        ("DD_TRACE_RESOURCE_RENAMING_ENABLED", "true"),
        (
            "DD_TRACE_PROPAGATION_STYLE",
            "datadog,tracecontext,b3,b3multi,baggage",
        ),
    ]);
    let mut service = client::layer().layer(server::layer().layer(Answers(answer.clone())));
    let Ok(response) = done(service.call(request));
    assert_eq!(response.status(), answer.status());
    assert_eq!(response.headers(), answer.headers());
    let Ok(collected) = done(response.into_body().collect());
    assert_eq!(collected.to_bytes(), body);

    let spans = recorder.take();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    for span in &spans {
        assert_eq!(span.meta("http.request.cancelled"), None);
        let url = span.meta("http.url").unwrap_or_default();
        assert!(url.len() <= 8192);
        let authority = url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        assert!(!authority.contains('@'), "{url}");
        let tagged = span.meta("tagged").map_or(0, str::len);
        // Of 4096 bytes at the most, each of which may have been no text.
        assert!(tagged <= 3 * 4096);
    }
    assert_eq!(spans[0].trace_id, spans[1].trace_id);
}
