//! axum: a request to a router inside the process, without a socket.

use super::{Plain, Subject, Work, variants};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

pub(crate) static SUBJECTS: &[Subject] = &[Subject {
    name: "axum, a request",
    needs: None,
    burst: 1000,
    spans: 1,
    rooted: false,
    variants: variants! { _tracer:
        Bare, "" => requests(router());
        Off, "ddtrace::axum" => requests(router().layer(ddtrace::axum::layer()));
        Ddtrace, "ddtrace::axum" => requests(router().layer(ddtrace::axum::layer()));
        Otel, "axum-tracing-opentelemetry" =>
            requests(router().layer(axum_tracing_opentelemetry::middleware::OtelAxumLayer::default()));
        Otel, "opentelemetry-instrumentation-tower" =>
            requests(router().layer(opentelemetry_instrumentation_tower::http::server::Layer::new()));
        Datadog, "axum-tracing-opentelemetry" =>
            requests(router().layer(axum_tracing_opentelemetry::middleware::OtelAxumLayer::default()));
        Fastrace, "fastrace-axum" => requests(router().layer(fastrace_axum::FastraceLayer::default()));
    },
}];

fn router() -> Router {
    let hello = get(async |Path(name): Path<String>| format!("hello, {name}"));
    Router::new().route("/hello/{name}", hello)
}

/// What a browser behind a proxy sends, with the context of a caller that traces.
fn request() -> Request<Body> {
    let headers = [
        ("host", "shop.example"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
        ),
        ("accept", "text/html,application/xhtml+xml"),
        ("accept-language", "en"),
        ("x-forwarded-for", "203.0.113.7"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ];
    let mut request = Request::get("/hello/world?greeting=long");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Body::empty()).expect("a request")
}

fn requests(router: Router) -> Box<dyn Work> {
    Box::new(Plain {
        service: router,
        call: async |router: &mut Router| {
            let response = router.clone().oneshot(request()).await;
            let response = response.expect("a router has no errors");
            assert_eq!(response.status(), StatusCode::OK);
            let body = response.into_body().collect().await;
            assert_eq!(body.expect("a text").to_bytes(), "hello, world");
        },
    })
}
