//! What a server meets besides ordinary requests: websockets, services nested as they are, clients that leave, headers that make no sense.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{any, get};
use ddtrace_axum::WebSocketSession;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::Span;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Serves the application without remembering who asks, for the rest of the test.
async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn span(recorder: &Recorder) -> SpanData {
    recorder.spans(1).await.remove(0)
}

/// Answers every text with the same, and begins a span for it.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(text) = message {
            let _span = Span::builder("reply").start();
            socket.send(Message::Text(text)).await.unwrap();
        }
    }
}

/// Begins a websocket by hand: the sample handshake of RFC 6455 §1.3.
async fn upgraded(address: SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         x-datadog-trace-id: 7\r\nx-datadog-parent-id: 9\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    stream
}

/// A masked frame with a mask of zeros (RFC 6455 §5.2).
async fn say(stream: &mut TcpStream, opcode: u8, payload: &[u8]) {
    let length = u8::try_from(payload.len()).unwrap();
    let mut frame = vec![0x80 | opcode, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await.unwrap();
}

#[tokio::test]
async fn a_websocket_has_a_span_of_its_own_that_links_to_the_request() {
    let chat = |upgrade: WebSocketUpgrade, session: WebSocketSession| async move {
        upgrade.on_upgrade(session.of(echo))
    };
    let app = Router::new()
        .route("/rooms/{id}", any(chat))
        .layer(ddtrace_axum::layer());
    let recorder = Recorder::new();
    let address = serve(app).await;
    let mut stream = upgraded(address, "/rooms/42").await;
    // The conversation goes on, and the request is over.
    let request = span(&recorder).await;
    assert_eq!(request.resource, "GET /rooms/{id}");
    assert_eq!(request.meta("http.status_code"), Some("101"));
    assert_eq!(request.meta("http.request.cancelled"), None);
    assert_eq!((request.trace_id.low(), request.parent_id), (7, 9));

    say(&mut stream, 1, b"tea").await;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"\x81\x03tea");
    say(&mut stream, 8, &1000_u16.to_be_bytes()).await;
    let spans = recorder.spans(2).await;
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (session, reply) = (named("websocket.session"), named("reply"));
    assert_eq!(session.resource, "websocket /rooms/{id}");
    assert_eq!(session.span_type, "websocket");
    assert_eq!(session.service, "test");
    assert_eq!(session.parent_id, 0);
    assert_ne!(session.trace_id, request.trace_id);
    for (tag, value) in [
        ("component", Some("axum")),
        ("span.kind", Some("server")),
        ("http.route", Some("/rooms/{id}")),
        ("ddtrace.cancelled", None),
    ] {
        assert_eq!(session.meta(tag), value, "{tag}");
    }
    let [link] = &session.links[..] else {
        panic!("{session:#?}")
    };
    assert_eq!(link.target.trace_id, request.trace_id);
    assert_eq!(link.target.span_id.get(), request.span_id);
    assert_eq!(link.attributes, [("dd.kind".into(), "executed_by".into())]);
    assert_eq!(reply.trace_id, session.trace_id);
    assert_eq!(reply.parent_id, session.span_id);
}

#[tokio::test]
async fn a_websocket_works_as_well_where_nothing_is_traced() {
    let chat = |upgrade: WebSocketUpgrade, session: WebSocketSession| async move {
        upgrade.on_upgrade(session.of(echo))
    };
    let recorder = Recorder::with_variables(&[("DD_TRACE_AXUM_ENABLED", "false")]);
    let app = Router::new()
        .route("/", any(chat))
        .layer(ddtrace_axum::layer());
    let mut stream = upgraded(serve(app).await, "/").await;
    say(&mut stream, 1, b"tea").await;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply).await.unwrap();
    drop(stream);
    // The reply's own, which nobody switched off.
    assert_eq!(span(&recorder).await.name, "reply");
}

#[tokio::test]
async fn a_connection_that_breaks_ends_the_conversation_and_its_span() {
    let chat = |upgrade: WebSocketUpgrade, session: WebSocketSession| async move {
        upgrade.on_upgrade(session.of(echo))
    };
    let app = Router::new()
        .route("/", any(chat))
        .layer(ddtrace_axum::layer());
    let recorder = Recorder::new();
    let stream = upgraded(serve(app).await, "/").await;
    drop(stream);
    let spans = recorder.spans(2).await;
    assert!(spans.iter().all(|span| !span.error), "{spans:#?}");
    assert!(spans.iter().any(|span| span.name == "websocket.session"));
}

#[tokio::test]
async fn a_nested_service_is_known_by_its_routes_if_it_tells_them() {
    let inner = || Router::new().route("/cups/{id}", get(|| async { "cup" }));
    let app = Router::new()
        .nest_service("/told", inner().layer(ddtrace_axum::layer()))
        .nest_service("/hidden", inner())
        .nest("/nested", inner())
        .layer(ddtrace_axum::layer());
    let recorder = Recorder::new();
    let address = serve(app).await;
    for (target, resource, route) in [
        (
            "/told/cups/7",
            "GET /told/cups/{id}",
            Some("/told/cups/{id}"),
        ),
        ("/hidden/cups/7", "GET 200", None),
        (
            "/nested/cups/7",
            "GET /nested/cups/{id}",
            Some("/nested/cups/{id}"),
        ),
        ("/hidden/nothing", "GET 404", None),
        ("/told/nothing", "GET 404", None),
    ] {
        let url = format!("http://{address}{target}");
        reqwest::get(&url).await.unwrap().bytes().await.unwrap();
        let span = span(&recorder).await;
        assert_eq!(span.resource, resource, "{target}");
        assert_eq!(span.meta("http.route"), route, "{target}");
        assert_eq!(span.meta("http.url"), Some(url.as_str()));
    }
}

#[tokio::test]
async fn without_connect_info_there_is_no_address_of_the_peer() {
    let app = Router::new()
        .route("/", get(|| async { "tea" }))
        .layer(ddtrace_axum::layer());
    let recorder = Recorder::with_variables(&[("DD_TRACE_CLIENT_IP_ENABLED", "true")]);
    let address = serve(app).await;
    let request = reqwest::Client::new().get(format!("http://{address}/"));
    let request = request.header("x-forwarded-for", "10.0.0.7, 8.8.4.4");
    request.send().await.unwrap().bytes().await.unwrap();
    let span = span(&recorder).await;
    assert_eq!(span.meta("network.client.ip"), None);
    assert_eq!(span.meta("http.client_ip"), Some("8.8.4.4"));
    assert_eq!(span.metric("_dd.measured"), Some(1.0));
}

#[tokio::test]
async fn a_client_that_goes_in_the_midst_of_its_own_request_ends_the_span() {
    let app = Router::new()
        .route("/", any(|body: String| async { body }))
        .layer(ddtrace_axum::layer());
    let recorder = Recorder::new();
    let address = serve(app).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: {address}\r\ncontent-length: 100\r\n\r\nhalf");
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    // The handler is told that the body broke, or is dropped together with the connection, whichever hyper learns first.
    let span = span(&recorder).await;
    assert!(!span.error, "{span:#?}");
    let is_cancelled = span.meta("http.request.cancelled") == Some("true");
    assert!(
        is_cancelled || span.meta("http.status_code") == Some("400"),
        "{span:#?}"
    );
}

#[tokio::test]
async fn headers_of_any_kind_reach_the_handler_and_are_bounded_in_tags() {
    async fn count(headers: HeaderMap) -> Response {
        let odd = headers.get("x-odd").unwrap().clone();
        let mut response = Response::new(headers.len().to_string().into());
        response.headers_mut().insert("x-odd", odd);
        response
    }
    let app = Router::new()
        .route("/", get(count))
        .layer(ddtrace_axum::layer());
    let recorder = Recorder::with_variables(&[("DD_TRACE_HEADER_TAGS", "x-odd:odd,x-long:long")]);
    let address = serve(app).await;
    let mut headers = HeaderMap::new();
    // hyper's own limit is a hundred headers.
    for number in 0..60 {
        let name = format!("x-many-{number}");
        headers.insert(
            axum::http::HeaderName::try_from(name).unwrap(),
            HeaderValue::from_static("v"),
        );
    }
    headers.insert("x-odd", HeaderValue::from_bytes(b"\xc3\x28\xff").unwrap());
    headers.insert("x-long", "x".repeat(64 * 1024).parse().unwrap());
    for name in [
        "traceparent",
        "tracestate",
        "x-datadog-trace-id",
        "baggage",
        "b3",
    ] {
        headers.insert(name, HeaderValue::from_bytes(b"\xff,=;%\xfe").unwrap());
    }
    let request = reqwest::Client::new().get(format!("http://{address}/"));
    let response = request.headers(headers).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["x-odd"], b"\xc3\x28\xff"[..]);
    let count: usize = response.text().await.unwrap().parse().unwrap();
    assert!(count >= 67, "{count}");
    let span = span(&recorder).await;
    assert_eq!(span.parent_id, 0);
    assert_eq!(span.meta("odd"), Some("\u{fffd}(\u{fffd}"));
    assert_eq!(span.meta("long").unwrap().len(), 4096);
}
