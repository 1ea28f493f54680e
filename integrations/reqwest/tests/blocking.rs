//! reqwest's blocking client against real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::get;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_reqwest::blocking::{ClientExt as _, RequestBuilderExt as _};
use reqwest::blocking::{Client, Response};
use tokio::runtime::Runtime;

/// A server that runs as long as the runtime lives.
fn serve() -> (Runtime, SocketAddr) {
    let runtime = Runtime::new().unwrap();
    let parent = |headers: HeaderMap| async move {
        let id = headers.get("x-datadog-parent-id");
        id.map_or_else(String::new, |id| id.to_str().unwrap().to_owned())
    };
    let app = Router::new()
        .route("/parent", get(parent))
        .route("/moved", get(|| async { Redirect::temporary("/parent") }))
        .route("/broken", get(|| async { StatusCode::BAD_GATEWAY }))
        .route("/never", get(std::future::pending::<()>));
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, app).await });
    (runtime, address)
}

fn only(recorder: &Recorder) -> SpanData {
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    spans.remove(0)
}

#[test]
fn requests_are_described_and_failures_named() {
    let recorder = Recorder::new();
    let (_runtime, server) = serve();
    let client = Client::new();
    // Target, status, error, its type.
    let cases = [
        ("/parent?api_key=secret", Some("200"), false, None),
        ("/moved", Some("200"), false, None),
        ("/broken", Some("502"), true, None),
        ("/never", None, true, Some("timeout")),
    ];
    for (target, status, error, kind) in cases {
        let request = client.get(format!("http://{server}{target}"));
        let result = match kind {
            None => request.send_traced(),
            Some(_) => request.timeout(Duration::from_millis(200)).send_traced(),
        };
        assert_eq!(result.is_ok(), status.is_some(), "{target}");
        let span = only(&recorder);
        assert_eq!(span.name, "reqwest.request");
        assert_eq!(span.service, "reqwest");
        assert_eq!(
            span.resource,
            format!("GET {}", target.split('?').next().unwrap())
        );
        assert_eq!(span.error, error, "{target}");
        assert_eq!(span.meta("http.status_code"), status, "{target}");
        assert_eq!(span.meta("error.type"), kind, "{target}");
        assert_eq!(span.meta("span.kind"), Some("client"));
        assert!(!format!("{span:?}").contains("secret"), "{span:#?}");
    }
}

#[test]
fn the_server_gets_the_context_of_the_span() {
    let recorder = Recorder::new();
    let (_runtime, server) = serve();
    let client = Client::new();
    let url = format!("http://{server}/parent");
    let send: [&dyn Fn() -> reqwest::Result<Response>; 2] =
        [&|| client.get(&url).send_traced(), &|| {
            client.execute_traced(client.get(&url).build()?)
        }];
    for send in send {
        let parent = send().unwrap().text().unwrap();
        assert_eq!(parent, only(&recorder).span_id.to_string());
    }
}

#[test]
fn settings_name_the_service_and_switch_it_off() {
    let (_runtime, server) = serve();
    let by_domain = server.to_string();
    // Variables, the service if there is a span, whether context is sent.
    type Case<'a> = ((&'a str, &'a str), Option<&'a str>, bool);
    let cases: [Case<'_>; 4] = [
        (("DD_TRACE_REQWEST_ENABLED", "false"), None, false),
        (("DD_REQWEST_SERVICE", "backends"), Some("backends"), true),
        (
            ("DD_REQWEST_SPLIT_BY_DOMAIN", "true"),
            Some(&by_domain),
            true,
        ),
        (
            ("DD_REQWEST_DISTRIBUTED_TRACING", "false"),
            Some("reqwest"),
            false,
        ),
    ];
    for (variable, service, is_sent) in cases {
        let recorder = Recorder::with_variables(&[variable]);
        let request = Client::new().get(format!("http://{server}/parent"));
        let parent = request.send_traced().unwrap().text().unwrap();
        assert_eq!(!parent.is_empty(), is_sent, "{variable:?}");
        let spans = recorder.take();
        let services: Vec<_> = spans.iter().map(|span| &*span.service).collect();
        assert_eq!(services, service.as_slice(), "{variable:?}");
    }
}
