//! Calls of gRPC without a connection: the layers of tonic around a service that answers at once.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tower::{Layer as _, Service, service_fn};

use super::{Calls, runtime};

/// A message of three bytes.
const MESSAGE: &[u8] = b"\0\0\0\0\x03ada";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Answers with a message and a status, as a unary method does.
async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    drop(request.into_body().collect().await);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from_static(MESSAGE));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    Ok(response)
}

fn request() -> Request<Body> {
    let mut request = Request::post("http://shop.example:50051/tea.v1.Kettle/Boil");
    let headers = request.headers_mut().expect("a request without fault");
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert("te", HeaderValue::from_static("trailers"));
    let body = Body::new(Full::new(Bytes::from_static(MESSAGE)));
    request.body(body).expect("a request")
}

fn calls<S, B>(mut service: S) -> Calls
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static,
    B: http_body_util::BodyExt<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let runtime = runtime();
    Box::new(move |calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                let response = service.call(request()).await.expect("it never fails");
                let body = response.into_body().collect().await.expect("a body");
                assert_eq!(body.to_bytes(), MESSAGE);
            }
        });
    })
}

pub(crate) fn server(is_traced: bool) -> Calls {
    let service = service_fn(answer);
    if is_traced {
        calls(ddtrace_tonic::server::layer().layer(service))
    } else {
        calls(service)
    }
}

pub(crate) fn client(is_traced: bool) -> Calls {
    let service = service_fn(answer);
    if is_traced {
        calls(ddtrace_tonic::client::trace(service))
    } else {
        calls(service)
    }
}
