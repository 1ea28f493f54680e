//! An axum application behind a real socket, with reqwest in front of it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use ddtrace_core::events::{self, Block, HttpServerRequest, Phase};
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_reqwest::RequestBuilderExt as _;
use futures_util::StreamExt as _;

/// Serves the application, for the rest of the test.
async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

async fn span(recorder: &Recorder) -> SpanData {
    recorder.spans(1).await.remove(0)
}

fn app() -> Router {
    let nested = Router::new().route("/x/{name}", get(|| async { "x" }));
    Router::new()
        .route(
            "/users/{id}",
            get(|| async { "ada" }).post(|| async { StatusCode::CREATED }),
        )
        .route("/missing", get(|| async { StatusCode::NOT_FOUND }))
        .route(
            "/broken",
            get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        )
        .route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }))
        .nest("/api", nested)
        .layer(ddtrace_axum::layer())
}

#[tokio::test]
async fn requests_are_described_by_their_routes() {
    // Method, target, resource, route, status, error.
    let cases = [
        // I1
        (
            Method::GET,
            "/users/42",
            "GET /users/{id}",
            Some("/users/{id}"),
            "200",
            false,
        ),
        (
            Method::POST,
            "/users/42",
            "POST /users/{id}",
            Some("/users/{id}"),
            "201",
            false,
        ),
        (
            Method::HEAD,
            "/users/42",
            "HEAD /users/{id}",
            Some("/users/{id}"),
            "200",
            false,
        ),
        // I2
        (
            Method::GET,
            "/api/x/y",
            "GET /api/x/{name}",
            Some("/api/x/{name}"),
            "200",
            false,
        ),
        // I3
        (
            Method::GET,
            "/missing",
            "GET /missing",
            Some("/missing"),
            "404",
            false,
        ),
        (
            Method::GET,
            "/broken",
            "GET /broken",
            Some("/broken"),
            "500",
            true,
        ),
        (
            Method::GET,
            "/nowhere/at/all",
            "GET 404",
            None,
            "404",
            false,
        ),
        (
            Method::DELETE,
            "/users/42",
            "DELETE /users/{id}",
            Some("/users/{id}"),
            "405",
            false,
        ),
    ];
    let recorder = Recorder::new();
    let address = serve(app()).await;
    for (method, target, resource, route, status, error) in cases {
        let url = format!("http://{address}{target}");
        let response = reqwest::Client::new()
            .request(method.clone(), &url)
            .send()
            .await
            .unwrap();
        response.bytes().await.unwrap();
        let span = span(&recorder).await;
        assert_eq!(span.name, "axum.request");
        assert_eq!(span.span_type, "web");
        assert_eq!(span.service, "test");
        assert_eq!(span.resource, resource);
        assert_eq!(span.error, error, "{resource}");
        let expected = [
            ("http.route", route),
            ("http.status_code", Some(status)),
            ("http.method", Some(method.as_str())),
            ("http.url", Some(url.as_str())),
            ("http.version", Some("1.1")),
            ("span.kind", Some("server")),
            ("component", Some("axum")),
            ("http.request.cancelled", None),
            ("http.client_ip", None),
            ("error.type", None),
        ];
        for (tag, value) in expected {
            assert_eq!(span.meta(tag), value, "{tag} of {resource}");
        }
    }
}

#[tokio::test]
async fn a_request_from_a_traced_client_is_one_trace() {
    let recorder = Recorder::new();
    let address = serve(app()).await;
    // I6
    let response = reqwest::Client::new()
        .get(format!("http://{address}/users/1"))
        .send_traced()
        .await
        .unwrap();
    response.bytes().await.unwrap();
    let spans = recorder.spans(2).await;
    let server = spans
        .iter()
        .find(|span| span.name == "axum.request")
        .unwrap();
    let client = spans
        .iter()
        .find(|span| span.name == "reqwest.request")
        .unwrap();
    assert_eq!(server.trace_id, client.trace_id);
    assert_eq!(server.parent_id, client.span_id);
    assert_eq!(client.parent_id, 0);
}

#[tokio::test]
async fn without_distributed_tracing_a_request_begins_a_trace() {
    // I5
    let recorder = Recorder::with_variables(&[("DD_AXUM_DISTRIBUTED_TRACING", "false")]);
    let address = serve(app()).await;
    let response = reqwest::Client::new()
        .get(format!("http://{address}/users/1"))
        .send_traced()
        .await
        .unwrap();
    response.bytes().await.unwrap();
    let spans = recorder.spans(2).await;
    assert_ne!(spans[0].trace_id, spans[1].trace_id);
    assert!(spans.iter().all(|span| span.parent_id == 0));
}

/// A service that adds to the baggage and asks another one, which answers with the baggage that it got.
async fn relay() -> SocketAddr {
    let echo = |headers: axum::http::HeaderMap| async move {
        headers["baggage"].to_str().unwrap().to_owned()
    };
    let behind = serve(Router::new().route("/", get(echo))).await;
    let relay = move || async move {
        ddtrace_core::trace::current_span().set_baggage("tier", "gold");
        let request = reqwest::Client::new().get(format!("http://{behind}/"));
        request.send_traced().await.unwrap().text().await.unwrap()
    };
    let app = Router::new().route("/", get(relay));
    serve(app.layer(ddtrace_axum::layer())).await
}

#[tokio::test]
async fn baggage_goes_through_the_service_with_a_trace_and_without() {
    let recorder = Recorder::with_variables(&[]);
    let address = relay().await;
    for parent in [None, Some("9")] {
        let mut request = reqwest::Client::new().get(format!("http://{address}/"));
        if let Some(parent) = parent {
            request = request
                .header("x-datadog-trace-id", "7")
                .header("x-datadog-parent-id", parent);
        }
        let response = request.header("baggage", "user.id=u%201").send().await;
        let seen = response.unwrap().text().await.unwrap();
        assert_eq!(seen, "user.id=u%201,tier=gold");
        let spans = recorder.spans(2).await;
        let server = spans.iter().find(|span| span.is_local_root).unwrap();
        assert_eq!(server.parent_id.to_string(), parent.unwrap_or("0"));
        assert_eq!(server.meta("baggage.user.id"), Some("u 1"));
        assert_eq!(server.meta("baggage.tier"), None);
    }
}

#[tokio::test]
async fn a_listed_integration_links_to_its_callers() {
    let recorder =
        Recorder::with_variables(&[("DD_TRACE_PROPAGATION_AS_SPAN_LINKS", "kafka,axum")]);
    let address = serve(app()).await;
    let request = reqwest::Client::new().get(format!("http://{address}/users/1"));
    let request = request
        .header("x-datadog-trace-id", "7")
        .header("x-datadog-parent-id", "9");
    request.send().await.unwrap().bytes().await.unwrap();
    let server = span(&recorder).await;
    assert_eq!(server.parent_id, 0);
    let targets: Vec<_> = server.links.iter().map(|link| link.target).collect();
    assert_eq!(targets.len(), 1);
    assert_eq!(
        (targets[0].trace_id.low(), targets[0].span_id.get()),
        (7, 9)
    );
}

#[tokio::test]
async fn switched_off_it_makes_no_spans_and_changes_nothing() {
    let recorder = Recorder::with_variables(&[("DD_TRACE_AXUM_ENABLED", "false")]);
    let address = serve(app()).await;
    let response = reqwest::get(format!("http://{address}/users/1"))
        .await
        .unwrap();
    assert_eq!(response.text().await.unwrap(), "ada");
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn settings_name_the_service_the_errors_and_what_else_becomes_a_tag() {
    let recorder = Recorder::with_variables(&[
        ("DD_AXUM_SERVICE", "front"),
        ("DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "418"),
        ("DD_TRACE_CLIENT_IP_ENABLED", "true"),
        ("DD_TRACE_HEADER_TAGS", "x-shelf:shelf,x-tea"),
    ]);
    let address = serve(app()).await;
    let url = format!("http://{address}/teapot?token=abc&page=2");
    let request = reqwest::Client::new()
        .get(url)
        .header("x-shelf", "3")
        .header("x-forwarded-for", "8.8.4.4");
    request
        .header("user-agent", "kettle/1")
        .send()
        .await
        .unwrap();
    let span = span(&recorder).await;
    assert!(span.error);
    assert_eq!(span.service, "front");
    let url = format!("http://{address}/teapot?<redacted>&page=2");
    let expected = [
        ("http.url", Some(url.as_str())),
        ("http.client_ip", Some("8.8.4.4")),
        ("network.client.ip", Some("127.0.0.1")),
        ("shelf", Some("3")),
        ("http.useragent", Some("kettle/1")),
        ("_dd.svc_src", Some("axum")),
    ];
    for (tag, value) in expected {
        assert_eq!(span.meta(tag), value, "{tag}");
    }
}

/// A body that gives one chunk and then nothing more, for ever.
fn endless() -> Body {
    let first =
        futures_util::stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"first")) });
    Body::from_stream(first.chain(futures_util::stream::pending()))
}

#[tokio::test]
async fn paths_stand_for_endpoints_where_there_is_no_route() {
    let fallback = Router::new()
        .route("/users/{id}", get(|| async { "ada" }))
        .fallback(|| async { "anything" })
        .layer(ddtrace_axum::layer());
    let on = ("DD_TRACE_RESOURCE_RENAMING_ENABLED", "true");
    let always = (
        "DD_TRACE_RESOURCE_RENAMING_ALWAYS_SIMPLIFIED_ENDPOINT",
        "true",
    );
    // Variables, and the endpoints of the two requests.
    type Case<'a> = (&'a [(&'a str, &'a str)], [Option<&'a str>; 2]);
    let cases: [Case<'_>; 3] = [
        (&[], [None, None]),
        (&[on], [Some("/elsewhere/{param:int}"), None]),
        (
            &[on, always],
            [Some("/elsewhere/{param:int}"), Some("/users/{param:int}")],
        ),
    ];
    for (variables, endpoints) in cases {
        let recorder = Recorder::with_variables(variables);
        let address = serve(fallback.clone()).await;
        for (target, endpoint) in ["/elsewhere/123", "/users/123"].into_iter().zip(endpoints) {
            reqwest::get(format!("http://{address}{target}"))
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
            assert_eq!(
                span(&recorder).await.meta("http.endpoint"),
                endpoint,
                "{target} {variables:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_layer_on_a_nested_router_knows_the_whole_url() {
    let nested = Router::new()
        .route("/x", get(|| async { "x" }))
        .layer(ddtrace_axum::layer());
    let recorder = Recorder::new();
    let address = serve(Router::new().nest("/api", nested)).await;
    let url = format!("http://{address}/api/x");
    reqwest::get(&url).await.unwrap().bytes().await.unwrap();
    let span = span(&recorder).await;
    assert_eq!(span.resource, "GET /api/x");
    assert_eq!(span.meta("http.url"), Some(url.as_str()));
}

#[tokio::test]
async fn the_span_lasts_until_the_last_byte() {
    let recorder = Recorder::new();
    let (more, received) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let received = Arc::new(Mutex::new(Some(received)));
    let stream = get(move || async move {
        let received = received.lock().unwrap().take().unwrap();
        Body::from_stream(futures_util::stream::unfold(
            received,
            async |mut received| {
                let chunk = received.recv().await?;
                Some((Ok::<_, Infallible>(chunk), received))
            },
        ))
    });
    let address = serve(
        Router::new()
            .route("/stream", stream)
            .layer(ddtrace_axum::layer()),
    )
    .await;
    let mut response = reqwest::get(format!("http://{address}/stream"))
        .await
        .unwrap();
    more.send(Bytes::from_static(b"a")).unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "a");
    assert!(recorder.take().is_empty(), "the span ended before the body");
    more.send(Bytes::from_static(b"b")).unwrap();
    drop(more);
    assert_eq!(response.chunk().await.unwrap().unwrap(), "b");
    assert_eq!(response.chunk().await.unwrap(), None);
    let span = span(&recorder).await;
    assert_eq!(span.meta("http.request.cancelled"), None);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_span() {
    let reached = Arc::new(tokio::sync::Notify::new());
    let arrived = Arc::clone(&reached);
    let wait = get(move || async move {
        arrived.notify_one();
        std::future::pending::<()>().await
    });
    let never = Router::new()
        .route("/never", wait)
        .route("/endless", get(|| async { endless() }))
        .layer(ddtrace_axum::layer());
    let recorder = Recorder::new();
    let address = serve(never).await;
    // I4: before the head of the response, and after it.
    let client = reqwest::Client::new();
    for (target, status) in [("/never", None), ("/endless", Some("200"))] {
        let request = client.get(format!("http://{address}{target}")).send();
        if status.is_some() {
            let mut response = request.await.unwrap();
            assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
        } else {
            tokio::select! {
                _ = request => unreachable!("it is not answered"),
                () = reached.notified() => {}
            }
        }
        let span = span(&recorder).await;
        assert_eq!(span.resource, format!("GET {target}"));
        assert_eq!(
            span.meta("http.request.cancelled"),
            Some("true"),
            "{target}"
        );
        assert_eq!(span.meta("http.status_code"), status);
        assert!(!span.error);
    }
}

#[tokio::test]
async fn events_and_upgrades_do_not_hold_the_span_open() {
    let events = get(|| async { ([("content-type", "text/event-stream")], endless()) });
    let upgrade = any(|| async {
        (
            StatusCode::SWITCHING_PROTOCOLS,
            [("connection", "upgrade"), ("upgrade", "tea")],
        )
            .into_response()
    });
    // A body without end, where the layer is told not to wait for it.
    let early = Router::new()
        .route("/early", get(|| async { endless() }))
        .layer(ddtrace_axum::layer().ending_with_head());
    let app = Router::new()
        .route("/events", events)
        .route("/upgrade", upgrade)
        .layer(ddtrace_axum::layer())
        .merge(early);
    let recorder = Recorder::new();
    let address = serve(app).await;
    for target in ["/events", "/upgrade", "/early"] {
        let request = reqwest::Client::new().get(format!("http://{address}{target}"));
        let response = request
            .header("connection", "upgrade")
            .header("upgrade", "tea")
            .send()
            .await
            .unwrap();
        // The response is still open.
        let span = span(&recorder).await;
        assert_eq!(span.resource, format!("GET {target}"));
        assert_eq!(span.meta("http.request.cancelled"), None);
        drop(response);
    }
}

#[tokio::test]
async fn a_layer_inside_tells_the_one_outside_the_route() {
    // The outer layer is behind the router's back: it runs before routing.
    let inner = app();
    let outer = Router::new()
        .fallback_service(inner)
        .layer(ddtrace_axum::layer());
    let recorder = Recorder::new();
    let address = serve(outer).await;
    reqwest::get(format!("http://{address}/users/7"))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let span = span(&recorder).await;
    assert_eq!(span.resource, "GET /users/{id}");
    assert_eq!(span.meta("http.route"), Some("/users/{id}"));
}

#[tokio::test]
async fn a_panic_in_a_handler_marks_the_span() {
    async fn panics() -> Response {
        panic!("no more tea");
    }
    let recorder = Recorder::new();
    let address = serve(
        Router::new()
            .route("/panic", get(panics))
            .layer(ddtrace_axum::layer()),
    )
    .await;
    assert!(
        reqwest::get(format!("http://{address}/panic"))
            .await
            .is_err()
    );
    let span = span(&recorder).await;
    assert!(span.error);
    assert_eq!(span.meta("error.type"), Some("panic"));
    assert!(
        span.meta("error.message")
            .unwrap()
            .starts_with("no more tea")
    );
    assert_eq!(span.meta("http.request.cancelled"), None);
}

#[tokio::test]
async fn a_listener_that_blocks_answers_the_request() {
    async fn unreachable(_: Request) -> &'static str {
        unreachable!("the request was blocked")
    }
    events::on::<HttpServerRequest<'_>>(Phase::Security, "test", |event| {
        if event.uri.path() == "/forbidden/9" {
            assert_eq!(event.route, Some("/forbidden/{id}"));
            event.span.set_tag("appsec.blocked", true);
            let mut block = Block::new(StatusCode::FORBIDDEN);
            block.headers.insert("x-why", "because".parse().unwrap());
            block.body = Bytes::from_static(b"no");
            event.verdict.block(block);
        }
    });
    let recorder = Recorder::new();
    let app = Router::new()
        .route("/forbidden/{id}", get(unreachable))
        .layer(ddtrace_axum::layer());
    let address = serve(app).await;
    let response = reqwest::get(format!("http://{address}/forbidden/9"))
        .await
        .unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["x-why"], "because");
    assert_eq!(response.text().await.unwrap(), "no");
    let span = span(&recorder).await;
    assert_eq!(span.meta("http.status_code"), Some("403"));
    assert_eq!(span.meta("appsec.blocked"), Some("true"));
    assert_eq!(span.meta("http.request.cancelled"), None);
}
