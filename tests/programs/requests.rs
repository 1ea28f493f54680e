//! One request that becomes another, and then a call: reqwest → axum → tonic, over loopback.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use codec::Text;
use ddtrace::reqwest::RequestBuilderExt as _;
use serde_json::json;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tower::{Service, service_fn};

#[path = "../../integrations/tonic/tests/codec/mod.rs"]
mod codec;

/// What generated code would be.
#[derive(Clone)]
struct Kettle;

impl NamedService for Kettle {
    const NAME: &'static str = "tea.v1.Kettle";
}

impl Service<http::Request<Body>> for Kettle {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let boil = |request: Request<String>| async move {
            let carried = ddtrace::tonic::metadata(request.metadata());
            Ok::<_, Status>(Response::new(pathway(carried).to_string()))
        };
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(grpc.unary(service_fn(boil), request).await)
        })
    }
}

/// Whether a pathway travels in these headers.
fn pathway(headers: &HeaderMap) -> bool {
    headers.contains_key("dd-pathway-ctx-base64")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Says whether pathways came by HTTP and by gRPC.
async fn serve(State(kettle): State<SocketAddr>, headers: HeaderMap) -> String {
    let endpoint = Endpoint::from_shared(format!("http://{kettle}")).expect("an address");
    let channel = endpoint.connect().await.expect("it listens");
    let mut client = tonic::client::Grpc::new(ddtrace::tonic::client::trace(channel));
    client.ready().await.expect("it is connected");
    let path = "/tea.v1.Kettle/Boil".parse().expect("a path");
    let answer = client.unary(Request::new(String::new()), path, Text).await;
    let by_grpc = answer.expect("it answers").into_inner();
    format!("{} {by_grpc}", pathway(&headers))
}

async fn travel() -> String {
    let (listener, kettle) = listen().await;
    let serving = Server::builder()
        .layer(ddtrace::tonic::server::layer())
        .add_service(Kettle)
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(serving);
    let (listener, shop) = listen().await;
    let app = Router::new()
        .route("/", get(serve))
        .with_state(kettle)
        .layer(ddtrace::axum::layer());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let request = reqwest::Client::new().get(format!("http://{shop}/"));
    let response = request.send_traced().await.expect("it answers");
    response.text().await.expect("a text")
}

fn within(guard: ddtrace::Guard) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let carried = runtime.block_on(travel());
    drop(runtime);
    drop(guard);
    crate::report_with(0, json!({ "carried": carried }));
}

/// With the settings of the environment.
pub(crate) fn run() {
    within(ddtrace::init());
}

/// With everything switched on by the program itself.
pub(crate) fn in_code() {
    let builder = ddtrace::builder().data_streams(true);
    within(builder.data_streams_http(true).init());
}
