//! hyper on both sides of a real socket, by HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_hyper::client::{self, ClientExt as _};
use ddtrace_hyper::server;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Channel, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tower_layer::Layer as _;
use tower_service::Service as _;

type Reply = Result<Response<BoxBody<Bytes, std::io::Error>>, std::io::Error>;

fn text(text: String) -> BoxBody<Bytes, std::io::Error> {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed()
}

/// A request that is not answered has arrived.
static REACHED: Notify = Notify::const_new();

/// What the server does, by path.
async fn answer(request: Request<Incoming>) -> Reply {
    let mut response = Response::new(text(String::from("tea")));
    match request.uri().path() {
        "/parent" => {
            let ids = request.headers().get_all("x-datadog-parent-id");
            let ids: Vec<_> = ids.iter().map(|id| id.to_str().unwrap()).collect();
            *response.body_mut() = text(ids.join(","));
        }
        "/missing/1" => *response.status_mut() = StatusCode::NOT_FOUND,
        "/broken" => *response.status_mut() = StatusCode::BAD_GATEWAY,
        "/trailers" => {
            let trailers = [("x-sum".parse().unwrap(), HeaderValue::from_static("3"))];
            let trailers = std::future::ready(Some(Ok(trailers.into_iter().collect())));
            *response.body_mut() = text(String::from("tea")).with_trailers(trailers).boxed();
        }
        "/breaks-off" => {
            let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(1);
            *response.body_mut() = body.boxed();
            tokio::spawn(async move {
                sender.send_data(Bytes::from_static(b"half")).await.unwrap();
                sender.abort(std::io::Error::other("no more tea"));
            });
        }
        "/refuses" => return Err(std::io::Error::other("no tea at all")),
        "/endless" => {
            let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(1);
            *response.body_mut() = body.boxed();
            tokio::spawn(async move {
                while sender.send_data(Bytes::from_static(b"tea")).await.is_ok() {}
            });
        }
        "/never" => {
            REACHED.notify_one();
            std::future::pending().await
        }
        "/items/{id}" => {}
        "/users/7" => server::note_route(request.extensions(), "/users/{id}"),
        "/upgrade" => {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert("connection", HeaderValue::from_static("upgrade"));
            headers.insert("upgrade", HeaderValue::from_static("tea"));
            tokio::spawn(async move {
                let upgraded = hyper::upgrade::on(request).await.unwrap();
                let mut io = TokioIo::new(upgraded);
                let mut word = [0; 3];
                io.read_exact(&mut word).await.unwrap();
                io.write_all(&word).await.unwrap();
            });
        }
        _ => {}
    }
    Ok(response)
}

/// Serves by HTTP/1.1 or HTTP/2, for the rest of the test.
async fn serve(is_http2: bool) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let io = TokioIo::new(stream);
            let service = server::trace(service_fn(answer)).with_peer(peer);
            if is_http2 {
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http2.serve_connection(io, service));
            } else {
                let http1 = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http1.serve_connection(io, service).with_upgrades());
            }
        }
    });
    address
}

fn pooled(is_http2: bool) -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new())
        .http2_only(is_http2)
        .build_http()
}

fn get(address: SocketAddr, target: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://{address}{target}"))
        .body(Empty::new())
        .unwrap()
}

/// The spans of both sides of one request.
async fn both(recorder: &Recorder) -> (SpanData, SpanData) {
    let spans = recorder.spans(2).await;
    let of = |kind| {
        let is_of_kind = |span: &&SpanData| span.meta("span.kind") == Some(kind);
        spans.iter().find(is_of_kind).unwrap().clone()
    };
    (of("client"), of("server"))
}

#[tokio::test]
async fn both_sides_are_described_and_of_one_trace() {
    let recorder = Recorder::new();
    for is_http2 in [false, true] {
        let address = serve(is_http2).await;
        let client = pooled(is_http2);
        // Target, resource of the server and of the client, status, error.
        let cases = [
            ("/parent?token=abc", "GET /parent", None, "200", false),
            ("/items/4711", "GET /items/{param:int}", None, "200", false),
            (
                "/users/7",
                "GET /users/{id}",
                Some("GET /users/7"),
                "200",
                false,
            ),
            (
                "/missing/1",
                "GET 404",
                Some("GET /missing/1"),
                "404",
                false,
            ),
            ("/broken", "GET /broken", None, "502", true),
            ("/trailers", "GET /trailers", None, "200", false),
        ];
        for (target, of_server, of_client, status, error) in cases {
            let response = client.request_traced(get(address, target)).await.unwrap();
            assert_eq!(response.status().as_str(), status);
            let body = response.into_body().collect().await.unwrap();
            let trailers = body.trailers().is_some_and(|all| all["x-sum"] == "3");
            // By HTTP/1.1 they are sent only to who asks for them.
            assert_eq!(trailers, target == "/trailers" && is_http2);
            let body = body.to_bytes();
            let (client, server) = both(&recorder).await;
            let version = if is_http2 { "2" } else { "1.1" };
            assert_eq!(server.name, "hyper.request");
            assert_eq!(server.span_type, "web");
            assert_eq!(server.service, "test");
            assert_eq!(server.resource, of_server);
            assert_eq!(server.meta("http.version"), Some(version));
            assert_eq!(client.name, "hyper.request");
            assert_eq!(client.span_type, "http");
            assert_eq!(client.service, "hyper");
            assert_eq!(client.resource, of_client.unwrap_or(of_server));
            assert_eq!(client.meta("out.host"), Some("127.0.0.1"));
            let port = f64::from(address.port());
            assert_eq!(client.metric("network.destination.port"), Some(port));
            let url = format!("http://{address}{target}").replace("token=abc", "<redacted>");
            for span in [&client, &server] {
                assert_eq!(span.error, error, "{target}");
                let expected = [
                    ("http.method", Some("GET")),
                    ("http.url", Some(url.as_str())),
                    ("http.status_code", Some(status)),
                    ("component", Some("hyper")),
                    ("http.request.cancelled", None),
                    ("error.type", None),
                ];
                for (tag, value) in expected {
                    assert_eq!(span.meta(tag), value, "{tag} of {target}");
                }
            }
            assert_eq!(server.trace_id, client.trace_id);
            assert_eq!(server.parent_id, client.span_id);
            if target.starts_with("/parent") {
                assert_eq!(body, client.span_id.to_string());
            }
        }
    }
}

#[tokio::test]
async fn streams_of_one_connection_are_spans_of_their_own() {
    let recorder = Recorder::new();
    let address = serve(true).await;
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(
        TokioExecutor::new(),
        TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let requests = (0..3).map(|_| {
        let mut sender = sender.clone();
        let request = get(address, "/parent");
        async move {
            let response = client::send(request, |request| sender.send_request(request)).await;
            response.unwrap().into_body().collect().await.unwrap()
        }
    });
    let bodies = futures_util::future::join_all(requests).await;
    let mut parents: Vec<_> = bodies.into_iter().map(|body| body.to_bytes()).collect();
    let spans = recorder.spans(6).await;
    let mut clients: Vec<_> = spans
        .iter()
        .filter(|span| span.meta("span.kind") == Some("client"))
        .map(|span| span.span_id.to_string())
        .collect();
    clients.sort_unstable();
    parents.sort_unstable();
    assert_eq!(parents, clients);
}

#[tokio::test]
async fn upgrades_work_and_do_not_hold_the_spans_open() {
    let recorder = Recorder::new();
    let address = serve(false).await;
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection.with_upgrades());
    // Written to a connection in hand, a request has its host in a header.
    let request = Request::get("/upgrade")
        .header("host", address.to_string())
        .header("connection", "upgrade")
        .header("upgrade", "tea")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = client::send(request, |request| sender.send_request(request))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let (client, server) = both(&recorder).await;
    let url = format!("http://{address}/upgrade");
    for span in [client, server] {
        assert_eq!(span.meta("http.status_code"), Some("101"));
        assert_eq!(span.meta("http.url"), Some(url.as_str()));
        assert_eq!(span.meta("http.request.cancelled"), None);
    }
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    io.write_all(b"cup").await.unwrap();
    let mut word = [0; 3];
    io.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"cup");
}

#[tokio::test]
async fn who_gives_up_ends_both_spans() {
    for is_http2 in [false, true] {
        let recorder = Recorder::new();
        let address = serve(is_http2).await;
        let client = pooled(is_http2);
        // Before the head.
        tokio::select! {
            _ = client.request_traced(get(address, "/never")) => unreachable!("it is not answered"),
            () = REACHED.notified() => {}
        }
        // In the midst of the body, and with a body that nobody reads: only the server minds.
        for reads in [true, false] {
            let request = client.request_traced(get(address, "/endless"));
            let mut response = request.await.unwrap();
            if reads {
                response.frame().await.unwrap().unwrap();
            }
        }
        let spans = recorder.spans(6).await;
        let count = |kind, resource, tag| {
            let spans = spans.iter().filter(|span| {
                span.meta("span.kind") == Some(kind)
                    && span.resource == resource
                    && span.meta("http.request.cancelled") == tag
            });
            spans.count()
        };
        assert!(spans.iter().all(|span| !span.error), "{spans:#?}");
        let yes = Some("true");
        assert_eq!(count("client", "GET /never", yes), 1, "{spans:#?}");
        assert_eq!(count("server", "GET /never", yes), 1, "{spans:#?}");
        assert_eq!(count("server", "GET /endless", yes), 2, "{spans:#?}");
        assert_eq!(count("client", "GET /endless", yes), 1, "{spans:#?}");
        assert_eq!(count("client", "GET /endless", None), 1, "{spans:#?}");
    }
}

#[tokio::test]
async fn failures_are_named_and_reach_the_caller() {
    let recorder = Recorder::new();
    // A port that nobody listens at: it was free a moment ago.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let client = pooled(false);
    let error = client.request_traced(get(nobody, "/")).await.unwrap_err();
    assert!(error.is_connect());
    let span = recorder.spans(1).await.remove(0);
    assert!(span.error);
    assert_eq!(span.meta("error.type"), Some("connect"));
    let message = span.meta("error.message").unwrap();
    assert!(message.contains("tcp connect error"), "{message}");
}

#[tokio::test]
async fn a_server_that_breaks_off_or_resets_the_stream_is_an_error_on_both_sides() {
    let recorder = Recorder::new();
    // The protocol, and what the client is told of a request that gets no response: a connection that was closed, a stream that was reset.
    for (is_http2, refused) in [(false, "incomplete"), (true, "request")] {
        let address = serve(is_http2).await;
        let client = pooled(is_http2);
        let error = client.request_traced(get(address, "/refuses")).await;
        let error = error.unwrap_err();
        assert!(!error.is_connect(), "{error:?}");
        let (of_client, of_server) = both(&recorder).await;
        for span in [&of_client, &of_server] {
            assert!(span.error, "{span:#?}");
            assert_eq!(span.meta("http.status_code"), None);
            assert_eq!(span.meta("http.request.cancelled"), None);
        }
        assert_eq!(of_client.meta("error.type"), Some(refused));
        let message = of_client.meta("error.message").unwrap();
        assert!(message.starts_with(&error.to_string()), "{message}");
        // What the service's error says is nobody's business.
        assert!(!format!("{of_server:?}").contains("no tea at all"));

        let response = client.request_traced(get(address, "/breaks-off")).await;
        assert!(response.unwrap().into_body().collect().await.is_err());
        let (of_client, of_server) = both(&recorder).await;
        for span in [&of_client, &of_server] {
            assert!(span.error, "{span:#?}");
            assert_eq!(span.meta("http.status_code"), Some("200"));
            assert_eq!(span.meta("http.request.cancelled"), None);
        }
        let kind = of_client.meta("error.type").unwrap();
        assert!(["body", "incomplete"].contains(&kind), "{kind}");
    }
}

#[tokio::test]
async fn of_several_layers_only_the_outermost_makes_a_span() {
    let recorder = Recorder::new();
    let address = serve(false).await;
    let mut client = ddtrace_tower::client::layer().layer(client::layer().layer(pooled(false)));
    let response = client.call(get(address, "/parent")).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let (client, _) = both(&recorder).await;
    assert_eq!(client.name, "tower.request");
    assert_eq!(client.service, "tower");
    // One header, not two.
    assert_eq!(body, client.span_id.to_string());
}

#[tokio::test]
async fn switched_off_nothing_is_changed() {
    let recorder = Recorder::with_variables(&[("DD_TRACE_HYPER_ENABLED", "false")]);
    let address = serve(false).await;
    let response = pooled(false)
        .request_traced(get(address, "/parent"))
        .await
        .unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "");
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn settings_name_services_and_addresses() {
    let recorder = Recorder::with_variables(&[
        ("DD_HYPER_SPLIT_BY_DOMAIN", "true"),
        ("DD_TRACE_CLIENT_IP_ENABLED", "true"),
    ]);
    let address = serve(false).await;
    let response = pooled(false)
        .request_traced(get(address, "/"))
        .await
        .unwrap();
    response.into_body().collect().await.unwrap();
    let (client, server) = both(&recorder).await;
    assert_eq!(client.service, address.to_string());
    assert_eq!(client.meta("_dd.svc_src"), Some("opt.split_by_domain"));
    assert_eq!(server.meta("network.client.ip"), Some("127.0.0.1"));
}

#[tokio::test]
async fn services_and_propagation_are_set_by_variables() {
    // Variables, the service of the client and of the server, whether they are of one trace.
    type Case<'a> = (&'a [(&'a str, &'a str)], [&'a str; 2], bool);
    let cases: [Case<'_>; 4] = [
        (&[], ["hyper", "test"], true),
        (&[("DD_HYPER_SERVICE", "wire")], ["wire", "wire"], true),
        (
            &[("DD_HYPER_DISTRIBUTED_TRACING", "false")],
            ["hyper", "test"],
            false,
        ),
        (
            &[("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1")],
            ["test", "test"],
            true,
        ),
    ];
    for (variables, services, is_one_trace) in cases {
        let recorder = Recorder::with_variables(variables);
        let address = serve(false).await;
        let request = pooled(false).request_traced(get(address, "/parent"));
        let body = request.await.unwrap().into_body().collect().await.unwrap();
        let (client, server) = both(&recorder).await;
        assert_eq!(
            [&*client.service, &*server.service],
            services,
            "{variables:?}"
        );
        assert_eq!(client.trace_id == server.trace_id, is_one_trace);
        assert_eq!(body.to_bytes().is_empty(), !is_one_trace);
        assert_eq!(server.metric("_dd.measured"), Some(1.0));
    }
}

/// A body that says how long it is, and counts who asks.
struct Sized3;

impl Body for Sized3 {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"tea")))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(3)
    }
}

#[tokio::test]
async fn a_body_keeps_what_it_knows_of_itself() {
    let recorder = Recorder::new();
    let reply = |_: Request<Empty<Bytes>>| async { Ok::<_, Infallible>(Response::new(Sized3)) };
    let service = server::trace(service_fn(reply));
    let request = Request::builder().method(Method::POST).uri("/");
    let response = hyper::service::Service::call(&service, request.body(Empty::new()).unwrap());
    let mut body = Box::pin(response.await.unwrap().into_body());
    assert_eq!(body.size_hint().exact(), Some(3));
    assert!(!body.is_end_stream());
    let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "tea");
    // A server does not ask for the end of a body whose length it knows.
    drop(body);
    let span = recorder.spans(1).await.remove(0);
    assert_eq!(span.meta("http.request.cancelled"), None);
    assert_eq!(span.resource, "POST /");
}
