//! Requests that an axum router answers, without a connection.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::BodyExt as _;
use tower::{Service as _, ServiceExt as _};

use super::{Calls, runtime};

/// What a caller that is traced sends along.
const CONTEXT: [(&str, &str); 6] = [
    ("x-datadog-trace-id", "7277407061855694839"),
    ("x-datadog-parent-id", "5432109876543210987"),
    ("x-datadog-sampling-priority", "1"),
    ("x-datadog-tags", "_dd.p.dm=-1,_dd.p.tid=67c6ee2700000000"),
    (
        "traceparent",
        "00-67c6ee270000000064fe8b2a57d3eff7-4b62ae6e2a5c2b6b-01",
    ),
    ("tracestate", "dd=p:4b62ae6e2a5c2b6b;s:1;t.dm:-1"),
];

fn request(has_context: bool) -> Request<Body> {
    let mut request = Request::get("/users/7?page=2&sort=name");
    let headers = request.headers_mut().expect("a request without fault");
    headers.insert(HOST, HeaderValue::from_static("shop.example:8080"));
    headers.insert(USER_AGENT, HeaderValue::from_static("curl/8.5.0"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
    if has_context {
        for (name, value) in CONTEXT {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    request.body(Body::empty()).expect("a request")
}

fn calls(is_traced: bool, has_context: bool) -> Calls {
    let runtime = runtime();
    let mut app = Router::new().route("/users/{id}", get(|| async { "ada" }));
    if is_traced {
        app = app.layer(ddtrace_axum::layer());
    }
    let mut service = app.into_service::<Body>();
    Box::new(move |calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                let service = service.ready().await.expect("it is always ready");
                let response = service.call(request(has_context)).await;
                let response = response.expect("it never fails");
                assert!(response.status().is_success());
                let body = response.into_body().collect().await.expect("a body");
                assert_eq!(body.to_bytes(), "ada");
            }
        });
    })
}

pub(crate) fn new_trace(is_traced: bool) -> Calls {
    calls(is_traced, false)
}

pub(crate) fn continued(is_traced: bool) -> Calls {
    calls(is_traced, true)
}
