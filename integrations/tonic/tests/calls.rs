//! A server and clients of tonic over real sockets. The service is what generated code would be, with a codec for texts.

mod codec;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use codec::Text;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_hyper::client::ClientExt as _;
use ddtrace_tonic::{client, server};
use futures_util::StreamExt as _;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Notify;
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::server::NamedService;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::{Layer as _, Service, ServiceBuilder, service_fn};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Texts = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

fn texts(texts: impl IntoIterator<Item = Result<&'static str, Status>>) -> Texts {
    let texts: Vec<_> = texts
        .into_iter()
        .map(|text| text.map(str::to_owned))
        .collect();
    Box::pin(tokio_stream::iter(texts))
}

/// A call that is not answered has arrived.
static REACHED: Notify = Notify::const_new();

/// `tea.v1.Kettle`.
#[derive(Clone)]
struct Kettle;

impl NamedService for Kettle {
    const NAME: &'static str = "tea.v1.Kettle";
}

async fn boil(request: Request<String>) -> Result<Response<String>, Status> {
    match request.get_ref().as_str() {
        "parent" => {
            let ids = request.metadata().get_all("x-datadog-parent-id");
            let ids: Vec<_> = ids.iter().map(|id| id.to_str().unwrap()).collect();
            Ok(Response::new(ids.join(",")))
        }
        "metadata" => {
            let mut response = Response::new(String::new());
            let sent = request.metadata().get_bin("leaf-bin").unwrap().clone();
            assert_eq!(request.metadata().get("who").unwrap(), "ada");
            response.metadata_mut().insert_bin("leaf-bin", sent);
            Ok(response)
        }
        "never" => std::future::pending().await,
        "reach" => {
            REACHED.notify_one();
            std::future::pending().await
        }
        "panic" => panic!("no more tea"),
        "fail" => Err(Status::not_found("no tea: 100 % sold")),
        word => Ok(Response::new(word.to_owned())),
    }
}

async fn pour(request: Request<String>) -> Result<Response<Texts>, Status> {
    Ok(Response::new(match request.get_ref().as_str() {
        "one" => texts([Ok("cup")]),
        "break" => texts([Ok("cup"), Err(Status::data_loss("spilt"))]),
        "endless" => {
            let first = texts([Ok("cup")]);
            Box::pin(first.chain(futures_util::stream::pending()))
        }
        _ => texts([Ok("cup"), Ok("cup"), Ok("pot")]),
    }))
}

async fn fill(request: Request<Streaming<String>>) -> Result<Response<String>, Status> {
    let all: Vec<_> = request.into_inner().map(Result::unwrap).collect().await;
    Ok(Response::new(all.join("+")))
}

async fn chat(request: Request<Streaming<String>>) -> Result<Response<Texts>, Status> {
    Ok(Response::new(Box::pin(request.into_inner())))
}

impl Service<http::Request<Body>> for Kettle {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(match request.uri().path() {
                "/tea.v1.Kettle/Boil" => grpc.unary(service_fn(boil), request).await,
                "/tea.v1.Kettle/Pour" => grpc.server_streaming(service_fn(pour), request).await,
                "/tea.v1.Kettle/Fill" => grpc.client_streaming(service_fn(fill), request).await,
                "/tea.v1.Kettle/Chat" => grpc.streaming(service_fn(chat), request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

/// Serves with this layer, for the rest of the test.
macro_rules! serve {
    ($layer:expr) => {{
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let serve = Server::builder()
            .layer($layer)
            .add_service(Kettle)
            .serve_with_incoming(incoming);
        let task = tokio::spawn(serve);
        (address, task)
    }};
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}")).unwrap()
}

type Client = Grpc<client::Trace<Channel>>;

async fn connect(address: SocketAddr) -> Client {
    let channel = endpoint(address).connect().await.unwrap();
    Grpc::new(client::trace(channel))
}

fn path(method: &str) -> PathAndQuery {
    format!("/tea.v1.Kettle/{method}").parse().unwrap()
}

async fn unary(client: &mut Client, word: &str) -> Result<String, Status> {
    client.ready().await.unwrap();
    let request = Request::new(word.to_owned());
    let response = client.unary(request, path("Boil"), Text).await?;
    Ok(response.into_inner())
}

async fn stream(client: &mut Client, word: &str) -> Result<Streaming<String>, Status> {
    client.ready().await.unwrap();
    let request = Request::new(word.to_owned());
    let response = client.server_streaming(request, path("Pour"), Text).await?;
    Ok(response.into_inner())
}

/// The spans of the client and of the server.
async fn both(recorder: &Recorder) -> (SpanData, SpanData) {
    let spans = recorder.spans(2).await;
    let of = |kind| {
        let is_of_kind = |span: &&SpanData| span.meta("span.kind") == Some(kind);
        spans.iter().find(is_of_kind).unwrap().clone()
    };
    (of("client"), of("server"))
}

fn words() -> impl Stream<Item = String> {
    tokio_stream::iter(["a", "b", "c"].map(str::to_owned))
}

#[tokio::test]
async fn calls_of_every_kind_are_described_on_both_sides() {
    let recorder = Recorder::new();
    let (address, _) = serve!(server::layer());
    let channel = endpoint(address).connect().await.unwrap();
    let layer = client::layer().with_target(format!("http://{address}").parse().unwrap());
    let mut client = Grpc::new(layer.layer(channel));
    for (method, kind) in [
        ("Boil", "unary"),
        ("Pour", "server_streaming"),
        ("Fill", "client_streaming"),
        ("Chat", "bidi_streaming"),
    ] {
        client.ready().await.unwrap();
        match method {
            "Boil" => assert_eq!(unary(&mut client, "tea").await.unwrap(), "tea"),
            "Pour" => {
                let cups = stream(&mut client, "tea").await.unwrap();
                assert_eq!(cups.count().await, 3);
            }
            "Fill" => {
                let request = client.client_streaming(Request::new(words()), path(method), Text);
                assert_eq!(request.await.unwrap().into_inner(), "a+b+c");
            }
            _ => {
                let request = client.streaming(Request::new(words()), path(method), Text);
                assert_eq!(request.await.unwrap().into_inner().count().await, 3);
            }
        }
        let (client, server) = both(&recorder).await;
        let resource = format!("/tea.v1.Kettle/{method}");
        for span in [&client, &server] {
            assert_eq!(span.name, "grpc");
            assert_eq!(span.span_type, "grpc");
            assert_eq!(span.resource, resource);
            assert!(!span.error, "{span:#?}");
            assert_eq!(span.metric("_dd.measured"), Some(1.0));
            for (tag, value) in [
                ("grpc.method.path", Some(resource.as_str())),
                ("rpc.service", Some("tea.v1.Kettle")),
                ("grpc.method.package", Some("tea.v1")),
                ("grpc.method.service", Some("Kettle")),
                ("grpc.method.name", Some(method)),
                ("grpc.method.kind", Some(kind)),
                ("grpc.status.code", Some("OK")),
                ("component", Some("tonic")),
                ("http.request.cancelled", None),
            ] {
                assert_eq!(span.meta(tag), value, "{tag} of {method}");
            }
        }
        assert_eq!(client.service, "grpc-client");
        assert_eq!(client.meta("_dd.svc_src"), Some("tonic"));
        assert_eq!(client.meta("grpc.host"), Some("127.0.0.1"));
        assert_eq!(client.meta("out.host"), Some("127.0.0.1"));
        let port = f64::from(address.port());
        assert_eq!(client.metric("network.destination.port"), Some(port));
        assert_eq!(server.service, "test");
        assert_eq!(server.trace_id, client.trace_id);
        assert_eq!(server.parent_id, client.span_id);
    }
}

#[tokio::test]
async fn a_status_is_found_wherever_it_is() {
    let recorder = Recorder::new();
    let (address, _) = serve!(server::layer());
    let mut client = connect(address).await;

    // In headers: a response of nothing else.
    let status = unary(&mut client, "fail").await.unwrap_err();
    assert_eq!(status.message(), "no tea: 100 % sold");
    // In trailers.
    let cups = stream(&mut client, "break").await.unwrap();
    let last = cups.collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!(last.unwrap_err().code(), Code::DataLoss);
    // Of a method that is not there.
    client.ready().await.unwrap();
    let request = client.unary(Request::new(String::new()), path("Clean"), Text);
    assert_eq!(request.await.unwrap_err().code(), Code::Unimplemented);

    let spans = recorder.spans(6).await;
    for (code, message, of_server) in [
        ("NOT_FOUND", "no tea: 100 % sold", "/tea.v1.Kettle/Boil"),
        ("DATA_LOSS", "spilt", "/tea.v1.Kettle/Pour"),
        ("UNIMPLEMENTED", "", "UNIMPLEMENTED"),
    ] {
        let mut found = spans
            .iter()
            .filter(|span| span.meta("grpc.status.code") == Some(code));
        let (one, other) = (found.next().unwrap(), found.next().unwrap());
        for span in [one, other] {
            assert!(span.error);
            assert_eq!(span.meta("error.type"), Some(code));
            assert_eq!(span.meta("error.message").unwrap_or_default(), message);
        }
        let server = if one.meta("span.kind") == Some("server") {
            one
        } else {
            other
        };
        assert_eq!(server.resource, of_server);
    }
}

#[tokio::test]
async fn settings_say_which_statuses_are_errors() {
    // Variables, and whether NOT_FOUND (5) and DATA_LOSS (15) are errors of the client and of the server.
    type Case<'a> = (&'a [(&'a str, &'a str)], [bool; 2], [bool; 2]);
    let cases: [Case<'_>; 5] = [
        (&[], [true, true], [true, true]),
        (
            &[("DD_GRPC_SERVER_ERROR_STATUSES", "2,13-15")],
            [true, false],
            [true, true],
        ),
        (
            &[("DD_TRACE_GRPC_SERVER_ERROR_STATUSES", "5")],
            [true, true],
            [true, false],
        ),
        (
            &[("DD_GRPC_CLIENT_ERROR_STATUSES", "13-16")],
            [false, true],
            [true, true],
        ),
        (
            &[
                ("DD_GRPC_SERVER_ERROR_STATUSES", ""),
                ("DD_GRPC_CLIENT_ERROR_STATUSES", ""),
            ],
            [false, false],
            [false, false],
        ),
    ];
    for (variables, not_found, data_loss) in cases {
        let recorder = Recorder::with_variables(variables);
        let (address, _) = serve!(server::layer());
        let mut client = connect(address).await;
        for (code, errors) in [("NOT_FOUND", not_found), ("DATA_LOSS", data_loss)] {
            if code == "NOT_FOUND" {
                unary(&mut client, "fail").await.unwrap_err();
            } else {
                let cups = stream(&mut client, "break").await.unwrap();
                assert!(cups.collect::<Vec<_>>().await.pop().unwrap().is_err());
            }
            let (client, server) = both(&recorder).await;
            for (span, error) in [&client, &server].into_iter().zip(errors) {
                assert_eq!(span.meta("grpc.status.code"), Some(code));
                assert_eq!(span.error, error, "{code} {variables:?} {span:#?}");
                assert_eq!(span.meta("error.type"), error.then_some(code));
                assert_eq!(span.meta("error.message").is_some(), error);
            }
        }
    }
}

#[tokio::test]
async fn without_distributed_tracing_both_sides_are_traces_of_their_own() {
    let recorder = Recorder::with_variables(&[("DD_TONIC_DISTRIBUTED_TRACING", "false")]);
    let (address, _) = serve!(server::layer());
    let mut client = connect(address).await;
    assert_eq!(unary(&mut client, "parent").await.unwrap(), "");
    let (client, server) = both(&recorder).await;
    assert_ne!(client.trace_id, server.trace_id);
    assert_eq!(server.parent_id, 0);
}

/// A `FileDescriptorSet` of `Pour`, which the server streams.
const DESCRIPTORS: &[u8] =
    b"\x0a'\x0a\x09tea.proto\x12\x06tea.v12\x12\x0a\x06Kettle\x12\x08\x0a\x04Pour0\x01";

#[tokio::test]
async fn descriptors_tell_a_stream_of_one_message() {
    let recorder = Recorder::new();
    let (address, _) = serve!(server::layer().with_descriptors(DESCRIPTORS));
    let channel = endpoint(address).connect().await.unwrap();
    let told = client::layer().with_descriptors(DESCRIPTORS);
    for (layer, of_client) in [(told, "server_streaming"), (client::layer(), "unary")] {
        let mut client = Grpc::new(layer.layer(channel.clone()));
        let cups = stream(&mut client, "one").await.unwrap();
        assert_eq!(cups.count().await, 1);
        let (client, server) = both(&recorder).await;
        assert_eq!(server.meta("grpc.method.kind"), Some("server_streaming"));
        assert_eq!(client.meta("grpc.method.kind"), Some(of_client));
    }
}

#[tokio::test]
async fn metadata_passes_and_context_is_added_once() {
    let recorder = Recorder::new();
    let (address, _) = serve!(server::layer());
    let channel = endpoint(address).connect().await.unwrap();
    // An interceptor around the layer, and a value that is not text.
    let leaf = MetadataValue::from_bytes(b"\x00\xff\xfe");
    let sent = leaf.clone();
    let interceptor = move |mut request: Request<()>| {
        request.metadata_mut().insert("who", "ada".parse().unwrap());
        request.metadata_mut().insert_bin("leaf-bin", sent.clone());
        Ok(request)
    };
    let mut intercepted = Grpc::new(InterceptedService::new(client::trace(channel), interceptor));
    intercepted.ready().await.unwrap();
    let request = Request::new(String::from("metadata"));
    let response = intercepted
        .unary(request, path("Boil"), Text)
        .await
        .unwrap();
    assert_eq!(response.metadata().get_bin("leaf-bin"), Some(&leaf));
    both(&recorder).await;

    let mut client = connect(address).await;
    let parent = unary(&mut client, "parent").await.unwrap();
    let (client, _) = both(&recorder).await;
    assert_eq!(parent, client.span_id.to_string());
}

#[tokio::test]
async fn who_gives_up_ends_both_spans() {
    let recorder = Recorder::new();
    let (address, _) = serve!(server::layer());
    let mut client = connect(address).await;
    tokio::select! {
        _ = unary(&mut client, "reach") => unreachable!("it is not answered"),
        () = REACHED.notified() => {}
    }
    let mut cups = stream(&mut client, "endless").await.unwrap();
    assert_eq!(cups.next().await.unwrap().unwrap(), "cup");
    drop(cups);
    for span in recorder.spans(4).await {
        assert!(!span.error, "{span:#?}");
        assert_eq!(span.meta("grpc.status.code"), Some("CANCELLED"));
        assert_eq!(span.meta("http.request.cancelled"), Some("true"));
    }
}

/// A client over hyper's, which leaves deadlines to the server.
fn pooled(
    address: SocketAddr,
) -> Grpc<
    client::Trace<
        impl Service<
            http::Request<Body>,
            Response = http::Response<
                impl http_body::Body<Data = bytes::Bytes, Error = impl Into<BoxError> + 'static> + Send,
            >,
            Error = BoxError,
        >,
    >,
> {
    let pooled = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Body>();
    let traced = service_fn(move |request: http::Request<Body>| {
        let response = pooled.request_traced(request);
        async move { response.await.map_err(BoxError::from) }
    });
    let origin = format!("http://{address}").parse().unwrap();
    Grpc::with_origin(client::trace(traced), origin)
}

#[tokio::test]
async fn a_deadline_that_passes_is_an_error_on_both_sides() {
    let recorder = Recorder::new();
    let (address, _) = serve!(server::layer());
    let request = || {
        let mut request = Request::new(String::from("never"));
        request.set_timeout(Duration::from_millis(300));
        request
    };
    // It passes at the server.
    let status = pooled(address)
        .unary(request(), path("Boil"), Text)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Cancelled);
    let (client, server) = both(&recorder).await;
    for span in [&client, &server] {
        assert!(span.error);
        assert_eq!(span.metric("grpc.deadline"), Some(300.0));
        assert_eq!(span.meta("http.request.cancelled"), None, "{span:#?}");
    }
    // The client's span says what the caller was told.
    assert_eq!(client.meta("grpc.status.code"), Some("CANCELLED"));
    assert_eq!(server.meta("grpc.status.code"), Some("DEADLINE_EXCEEDED"));

    // A channel looks at the clock, too. Then the server may hear of it before its own time is over.
    let mut client = connect(address).await;
    client.ready().await.unwrap();
    let status = client
        .unary(request(), path("Boil"), Text)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Cancelled);
    let (client, server) = both(&recorder).await;
    assert!(client.error);
    assert_eq!(client.meta("grpc.status.code"), Some("CANCELLED"));
    let seen = server.meta("grpc.status.code").unwrap();
    assert_eq!(server.error, seen == "DEADLINE_EXCEEDED");
    assert_eq!(
        server.meta("http.request.cancelled").is_some(),
        seen == "CANCELLED"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_or_goes_is_an_error() {
    let recorder = Recorder::new();
    // A port that nobody listens at: it was free a moment ago.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut client = Grpc::new(client::trace(endpoint(nobody).connect_lazy()));
    let status = unary(&mut client, "tea").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let span = recorder.spans(1).await.remove(0);
    assert!(span.error);
    assert_eq!(span.meta("grpc.status.code"), Some("UNAVAILABLE"));

    // In the midst of a stream.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (address, _) = runtime
        .spawn(async { serve!(tower::layer::util::Identity::new()) })
        .await
        .unwrap();
    let mut client = connect(address).await;
    let mut cups = stream(&mut client, "endless").await.unwrap();
    assert_eq!(cups.next().await.unwrap().unwrap(), "cup");
    runtime.shutdown_background();
    let status = cups.next().await.unwrap().unwrap_err();
    let span = recorder.spans(1).await.remove(0);
    assert!(span.error, "{status:?} {span:#?}");
    assert!(span.meta("grpc.status.code").is_some());
}

#[tokio::test]
async fn a_panic_in_a_service_is_an_error_of_its_span() {
    let recorder = Recorder::new();
    let (address, _) = serve!(server::layer());
    let mut client = connect(address).await;
    unary(&mut client, "panic").await.unwrap_err();
    let (client, server) = both(&recorder).await;
    assert!(client.error);
    assert!(server.error);
    assert_eq!(server.meta("error.type"), Some("panic"));
    assert_eq!(server.meta("http.request.cancelled"), None);
}

#[tokio::test]
async fn of_several_layers_only_the_outermost_makes_a_span() {
    let recorder = Recorder::new();
    let layers = ServiceBuilder::new()
        .layer(ddtrace_tower::server::layer())
        .layer(server::layer())
        .into_inner();
    let (address, _) = serve!(layers);
    // tonic over hyper over hyper.
    let mut client = pooled(address);
    let request = Request::new(String::from("parent"));
    let response = client.unary(request, path("Boil"), Text).await.unwrap();
    let (client, server) = both(&recorder).await;
    assert_eq!(client.name, "grpc");
    assert_eq!(client.meta("grpc.host"), Some("127.0.0.1"));
    assert_eq!(response.into_inner(), client.span_id.to_string());
    assert_eq!(server.name, "tower.request");
    assert_eq!(server.resource, "POST /tea.v1.Kettle/Boil");
}

#[tokio::test]
async fn settings_name_the_service_and_switch_it_off() {
    for (variables, expected) in [
        (
            &[("DD_TONIC_SERVICE", "kettles")][..],
            Some(("grpc", "kettles")),
        ),
        (
            &[("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1")],
            Some(("grpc.client.request", "test")),
        ),
        (&[("DD_TRACE_TONIC_ENABLED", "false")], None),
    ] {
        let recorder = Recorder::with_variables(variables);
        let (address, _) = serve!(server::layer());
        let mut client = connect(address).await;
        let parent = unary(&mut client, "parent").await.unwrap();
        assert_eq!(parent.is_empty(), expected.is_none());
        match expected {
            Some((name, service)) => {
                let (client, server) = both(&recorder).await;
                assert_eq!(
                    (client.name.as_ref(), client.service.as_ref()),
                    (name, service)
                );
                assert_eq!(server.name, name.replace("client", "server"));
            }
            None => assert!(recorder.take().is_empty()),
        }
    }
}

#[tokio::test]
async fn what_is_no_call_passes_untouched() {
    let recorder = Recorder::new();
    let mut service = server::layer().layer(service_fn(|request: http::Request<Body>| async {
        Ok::<_, Infallible>(http::Response::new(request.into_body()))
    }));
    let body = http_body_util::Full::from("tea");
    let request = http::Request::post("/cups")
        .header("content-type", "application/json")
        .body(Body::new(body))
        .unwrap();
    let response = service.call(request).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await;
    assert_eq!(body.unwrap().to_bytes(), "tea");
    assert!(recorder.take().is_empty());
}
