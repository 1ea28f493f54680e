//! tonic: a unary call over loopback, client and server both in the process, so that both sides are in the figure.

use super::{Subject, Work, rooted, variants};
use bytes::{Buf as _, BufMut as _};
use ddtrace_peers_integrations::tracers::Tracer;
use fastrace::future::FutureExt as _;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tower::{Layer as _, Service, service_fn};

pub(crate) static SUBJECTS: &[Subject] = &[Subject {
    name: "tonic, unary, both sides",
    needs: None,
    burst: 500,
    spans: 2,
    rooted: true,
    variants: variants! { tracer:
        Bare, "" => {
            let channel = channel(serve!(tower::layer::util::Identity::new())).await;
            rooted(tracer, Grpc::new(channel), async |grpc: &mut Grpc<Channel>| call!(grpc))
        };
        Off, "ddtrace::tonic" => ours(tracer).await;
        Ddtrace, "ddtrace::tonic" => ours(tracer).await;
        Otel, "tonic-tracing-opentelemetry" => otel(tracer).await;
        Datadog, "tonic-tracing-opentelemetry" => otel(tracer).await;
        Fastrace, "fastrace-tonic" => {
            let channel = channel(serve!(fastrace_tonic::FastraceServerLayer::default())).await;
            // The client's layer makes headers and no spans; the span is what its documentation has above.
            let channel = fastrace_tonic::FastraceClientLayer.layer(channel);
            let client = Grpc::new(channel);
            rooted(tracer, client, async |grpc: &mut Grpc<fastrace_tonic::FastraceClientService<Channel>>| {
                let span = fastrace::Span::enter_with_local_parent("tea.v1.Kettle/Boil");
                async { call!(grpc) }.in_span(span).await;
            })
        };
    },
}];

/// Serves with this layer for the rest of the process; the address.
macro_rules! serve {
    ($layer:expr) => {{
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = Server::builder().layer($layer).add_service(Kettle);
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        tokio::spawn(server.serve_with_incoming(incoming));
        address
    }};
}
use serve;

/// Calls over whatever kind of channel this is.
macro_rules! call {
    ($grpc:expr) => {{
        let grpc = $grpc;
        grpc.ready().await.expect("the server is there");
        let path = http::uri::PathAndQuery::from_static("/tea.v1.Kettle/Boil");
        let answer = grpc.unary(Request::new("tea".to_owned()), path, Text).await;
        assert_eq!(answer.expect("an answer").into_inner(), "hot tea");
    }};
}
use call;

async fn channel(address: std::net::SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URL");
    endpoint.connect().await.expect("the server is there")
}

async fn ours(tracer: Tracer) -> Box<dyn Work> {
    let channel = channel(serve!(ddtrace::tonic::server::layer())).await;
    let client = Grpc::new(ddtrace::tonic::client::trace(channel));
    rooted(
        tracer,
        client,
        async |grpc: &mut Grpc<ddtrace::tonic::client::Trace<Channel>>| call!(grpc),
    )
}

async fn otel(tracer: Tracer) -> Box<dyn Work> {
    use tonic_tracing_opentelemetry::middleware::{client, server};
    let channel = channel(serve!(server::OtelGrpcLayer::default())).await;
    let client = Grpc::new(client::OtelGrpcLayer.layer(channel));
    rooted(
        tracer,
        client,
        async |grpc: &mut Grpc<client::OtelGrpcService<Channel>>| call!(grpc),
    )
}

/// Messages that are texts.
#[derive(Clone, Copy, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let text = String::from_utf8(bytes.into());
        text.map(Some).map_err(|_| Status::internal("not a text"))
    }
}

/// What generated code would be for `tea.v1.Kettle`.
#[derive(Clone)]
struct Kettle;

impl NamedService for Kettle {
    const NAME: &'static str = "tea.v1.Kettle";
}

async fn boil(request: Request<String>) -> Result<Response<String>, Status> {
    Ok(Response::new(format!("hot {}", request.get_ref())))
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
            Ok(grpc.unary(service_fn(boil), request).await)
        })
    }
}
