//! gRPC: calls that pass the layers of a client and of a server.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use ddtrace_core::test_support::Recorder;
use ddtrace_tonic::{client, server};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use tonic::body::Body;
use tower_layer::Layer as _;
use tower_service::Service;

use crate::exchange_text::{cut, done, headers};

/// Reads a call to its end and answers with its bytes, in pieces of this size.
#[derive(Clone)]
struct Echo {
    headers: HeaderMap,
    trailers: HeaderMap,
    size: usize,
}

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self {
            headers,
            trailers,
            size,
        } = self.clone();
        Box::pin(async move {
            let read = request.into_body().collect().await;
            let read = read.map(|all| all.to_bytes()).unwrap_or_default();
            let mut response = Response::new(in_pieces(&read, size, trailers));
            *response.headers_mut() = headers;
            Ok(response)
        })
    }
}

fn in_pieces(bytes: &Bytes, size: usize, trailers: HeaderMap) -> Body {
    let data = bytes
        .chunks(size)
        .map(|piece| http_body::Frame::data(bytes.slice_ref(piece)));
    let trailers = (!trailers.is_empty()).then(|| http_body::Frame::trailers(trailers));
    let frames: Vec<_> = data.chain(trailers).map(Ok::<_, tonic::Status>).collect();
    Body::new(StreamBody::new(tokio_stream::iter(frames)))
}

/// The path and the metadata of a call, a blank line, headers of the answer, a blank line, its trailers, a blank line, and the
/// messages both ways: all of it arrives as it was, and the spans have a status and a kind.
pub fn grpc_call(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let path = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (metadata, rest) = cut(parts.next().unwrap_or_default());
    let (of_head, rest) = cut(rest);
    let (of_trailers, messages) = cut(rest);
    let size = usize::from(messages.first().copied().unwrap_or_default() % 11) + 1;
    let messages = Bytes::copy_from_slice(messages);
    let echo = Echo {
        headers: headers(of_head),
        trailers: headers(of_trailers),
        size,
    };
    let Ok(mut request) = Request::post(path).body(in_pieces(&messages, size, HeaderMap::new()))
    else {
        return;
    };
    *request.headers_mut() = headers(metadata);
    let content_type = request.headers().get("content-type");
    let is_call = content_type.is_some_and(|it| it.as_bytes() == b"application/grpc");

    let recorder = Recorder::new();
    let mut service = client::layer().layer(server::layer().layer(echo.clone()));
    let Ok(response) = done(service.call(request));
    assert_eq!(*response.headers(), echo.headers);
    let collected = done(response.into_body().collect());
    let Ok(collected) = collected else {
        panic!("the body broke: {:?}", collected.err());
    };
    let trailers = collected.trailers().cloned().unwrap_or_default();
    assert_eq!(trailers, echo.trailers);
    assert_eq!(collected.to_bytes(), messages);

    let spans = recorder.take();
    assert!(
        spans.len() == 2 || (spans.len() == 1 && !is_call),
        "{spans:#?}"
    );
    for span in spans {
        let code = span.meta("grpc.status.code").unwrap_or_default();
        let plain = |c: char| c.is_ascii_uppercase() || c == '_';
        assert!(!code.is_empty() && code.chars().all(plain), "{span:#?}");
        assert_eq!(span.error, code != "OK", "{span:#?}");
        let kinds = [
            "unary",
            "client_streaming",
            "server_streaming",
            "bidi_streaming",
        ];
        assert!(kinds.contains(&span.meta("grpc.method.kind").unwrap_or_default()));
        let allowed = span.metric("grpc.deadline").unwrap_or_default();
        // 99,999,999 hours, in milliseconds.
        assert!((0.0..=3.6e14).contains(&allowed), "{allowed}");
    }
}
