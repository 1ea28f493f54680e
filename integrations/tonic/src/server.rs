//! Calls that are answered.

use std::any::Any;
use std::error::Error;
use std::task::{Context, Poll};

use bytes::Bytes;
use ddtrace_core::events::{self, RpcServerRequest};
use ddtrace_core::trace::{Site, Span, SpanKind};
use ddtrace_tower::exchange::{ExchangeFuture, TracedBody};
use ddtrace_tower::server::{is_marked, mark, note_route, start_from_headers};
use http::{Request, Response};
use http_body::Body as HttpBody;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{CallSpan, SETTINGS, Side, is_call};
use crate::descriptors::Descriptors;

ddtrace_core::site! {
    static CALL: Site = Site::new("grpc", "serve", module_path!(), file!(), line!())
        .with_span_type("grpc")
        .with_kind(SpanKind::Server)
        .with_component("tonic");
}

/// Makes a span of every call that is answered: `Server::builder().layer(ddtrace_tonic::server::layer())`.
///
/// On an axum router that holds gRPC services, `Router::layer` takes it as well.
pub fn layer() -> TraceLayer {
    TraceLayer::default()
}

/// A [`Layer`] that makes a span of every call; made by [`layer`].
#[derive(Clone, Debug, Default)]
pub struct TraceLayer {
    descriptors: Descriptors,
}

impl TraceLayer {
    /// Tells it the kinds of methods: a serialised `FileDescriptorSet`, as the build script of generated code and reflection have it.
    #[must_use]
    pub fn with_descriptors(mut self, file_descriptor_set: &[u8]) -> Self {
        self.descriptors.add(file_descriptor_set);
        self
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace {
            inner,
            descriptors: self.descriptors.clone(),
        }
    }
}

/// The service that [`TraceLayer`] makes.
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    descriptors: Descriptors,
}

impl<S> Trace<S> {
    fn start<B>(&self, request: &mut Request<B>) -> Option<CallSpan> {
        if !is_call(request.headers()) {
            return None;
        }
        let path = request.uri().path();
        if is_marked(request.extensions()) {
            note_route(request.extensions(), path);
            return None;
        }
        let settings = SETTINGS.get()?;
        let headers = request.headers();
        let span = if settings.own.distributed_tracing {
            start_from_headers("tonic", &CALL, headers)
        } else {
            Span::start_root(&CALL)
        };
        let kind = self.descriptors.kind_of(path);
        let mut span = CallSpan::new(span, Side::Server, settings, path, headers, kind);
        if span.span().is_recording() {
            events::dispatch::<RpcServerRequest<'_>>(|| {
                RpcServerRequest::new(span.span(), "grpc", path, headers)
            });
        }
        mark(request.extensions_mut());
        Some(span)
    }
}

impl<S, B, R> Service<Request<B>> for Trace<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Error: Any,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    R: HttpBody,
    R::Error: Any,
{
    type Response = Response<TracedBody<R, CallSpan>>;
    type Error = S::Error;
    type Future = ExchangeFuture<S::Future, CallSpan>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut span = self.start(&mut request);
        let request = request.map(|body| match &mut span {
            Some(span) => span.counting(body),
            None => Body::new(body),
        });
        ExchangeFuture::new(span, || self.inner.call(request))
    }
}

impl<S: tonic::server::NamedService> tonic::server::NamedService for Trace<S> {
    const NAME: &'static str = S::NAME;
}
