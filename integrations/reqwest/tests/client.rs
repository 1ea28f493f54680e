//! reqwest against real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::get;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_reqwest::{ClientExt as _, RequestBuilderExt as _};
use reqwest::Client;

async fn serve() -> SocketAddr {
    let header_count = |headers: HeaderMap| async move {
        let count = |name: &str| headers.get_all(name).iter().count();
        format!("{} {}", count("x-datadog-trace-id"), count("traceparent"))
    };
    let app = Router::new()
        .route("/stock/{id}", get(|| async { "200 cups" }))
        .route("/headers", get(header_count))
        .route("/moved", get(|| async { Redirect::temporary("/stock/1") }))
        .route(
            "/in-circles",
            get(|| async { Redirect::temporary("/in-circles") }),
        )
        .route("/missing", get(|| async { StatusCode::NOT_FOUND }))
        .route("/broken", get(|| async { StatusCode::BAD_GATEWAY }))
        .route("/never", get(std::future::pending::<()>));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn only(recorder: &Recorder) -> SpanData {
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    spans.remove(0)
}

#[tokio::test]
async fn requests_are_described_and_failures_named() {
    let recorder = Recorder::new();
    let server = serve().await;
    // A port that nobody listens at: it was free a moment ago.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    // Target, resource, status, error, its type.
    let cases = [
        (
            server,
            "/stock/4711?api_key=secret&page=1",
            "GET /stock/{param:int}",
            Some("200"),
            false,
            None,
        ),
        // I7
        (server, "/missing", "GET /missing", Some("404"), false, None),
        (server, "/broken", "GET /broken", Some("502"), true, None),
        // Redirects are one span.
        (server, "/moved", "GET /moved", Some("200"), false, None),
        (
            server,
            "/in-circles",
            "GET /in-circles",
            None,
            true,
            Some("redirect"),
        ),
        (server, "/never", "GET /never", None, true, Some("timeout")),
        (
            nobody,
            "/stock/1",
            "GET /stock/1",
            None,
            true,
            Some("connect"),
        ),
    ];
    let client = Client::builder()
        .timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    for (address, target, resource, status, error, kind) in cases {
        let result = client
            .get(format!("http://{address}{target}"))
            .send_traced()
            .await;
        assert_eq!(result.is_ok(), status.is_some(), "{target}");
        let span = only(&recorder);
        assert_eq!(span.name, "reqwest.request");
        assert_eq!(span.span_type, "http");
        assert_eq!(span.service, "reqwest");
        assert_eq!(span.resource, resource);
        assert_eq!(span.error, error, "{target}");
        let port = f64::from(address.port());
        assert_eq!(span.metric("network.destination.port"), Some(port));
        let url = format!("http://{address}{target}").replace("api_key=secret", "<redacted>");
        let expected = [
            ("http.method", Some("GET")),
            ("http.url", Some(url.as_str())),
            ("http.status_code", status),
            ("out.host", Some("127.0.0.1")),
            ("server.address", Some("127.0.0.1")),
            ("span.kind", Some("client")),
            ("component", Some("reqwest")),
            ("error.type", kind),
        ];
        for (tag, value) in expected {
            assert_eq!(span.meta(tag), value, "{tag} of {target}");
        }
        assert_eq!(span.meta("error.message").is_some(), kind.is_some());
        assert!(!format!("{span:?}").contains("secret"), "{span:#?}");
    }
}

#[tokio::test]
async fn settings_name_the_service_and_keep_headers_out() {
    let server = serve().await;
    let by_domain = server.to_string();
    // Variables, service, its source, how many headers of each style.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<&'a str>, &'a str);
    let cases: [Case<'_>; 5] = [
        (&[], "reqwest", Some("reqwest"), "1 1"),
        (
            &[("DD_REQWEST_SERVICE", "backends")],
            "backends",
            Some("reqwest"),
            "1 1",
        ),
        (
            &[("DD_REQWEST_SPLIT_BY_DOMAIN", "true")],
            &by_domain,
            Some("opt.split_by_domain"),
            "1 1",
        ),
        (
            &[("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1")],
            "test",
            None,
            "1 1",
        ),
        (
            &[("DD_REQWEST_DISTRIBUTED_TRACING", "false")],
            "reqwest",
            Some("reqwest"),
            "0 0",
        ),
    ];
    for (variables, service, source, headers) in cases {
        let recorder = Recorder::with_variables(variables);
        // A header that is there already is replaced.
        let request = Client::new().get(format!("http://{server}/headers"));
        let request = if headers == "1 1" {
            request.header("traceparent", "old")
        } else {
            request
        };
        let response = request.send_traced().await.unwrap();
        assert_eq!(response.text().await.unwrap(), headers, "{variables:?}");
        let span = only(&recorder);
        assert_eq!(span.service, service, "{variables:?}");
        assert_eq!(span.meta("_dd.svc_src"), source, "{variables:?}");
    }
}

#[tokio::test]
async fn under_schema_v1_names_are_those_of_every_library() {
    let recorder = Recorder::with_variables(&[("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1")]);
    let server = serve().await;
    Client::new()
        .get(format!("http://{server}/headers"))
        .send_traced()
        .await
        .unwrap();
    assert_eq!(only(&recorder).name, "http.client.request");
}

#[tokio::test]
async fn requests_that_are_built_already_are_traced_as_well() {
    let recorder = Recorder::new();
    let server = serve().await;
    let client = Client::new();
    let request = client
        .get(format!("http://{server}/headers"))
        .build()
        .unwrap();
    let response = client.execute_traced(request).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "1 1");
    assert_eq!(only(&recorder).resource, "GET /headers");
}

#[tokio::test]
async fn switched_off_it_sends_the_request_as_it_is() {
    let recorder = Recorder::with_variables(&[("DD_TRACE_REQWEST_ENABLED", "false")]);
    let server = serve().await;
    let response = Client::new()
        .get(format!("http://{server}/headers"))
        .send_traced()
        .await
        .unwrap();
    assert_eq!(response.text().await.unwrap(), "0 0");
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn a_request_that_is_given_up_is_no_error() {
    let recorder = Recorder::new();
    let server = serve().await;
    let request = Client::new()
        .get(format!("http://{server}/never"))
        .send_traced();
    let given_up = tokio::time::timeout(Duration::from_millis(100), request).await;
    assert!(given_up.is_err());
    let span = only(&recorder);
    assert!(!span.error);
    assert_eq!(span.meta("ddtrace.cancelled"), Some("true"));
}
