//! Calls that are made.

use std::any::Any;
use std::task::{Context, Poll};

use ddtrace_core::events::{self, OutgoingHeaders};
use ddtrace_core::trace::{Site, Span, SpanKind, Tag, Value};
use ddtrace_tower::exchange::{ExchangeFuture, TracedBody};
use http::{Request, Response, Uri};
use http_body::Body as HttpBody;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{CallSpan, SETTINGS, Side};
use crate::descriptors::Descriptors;

ddtrace_core::site! {
    static CALL: Site = Site::new("grpc", "send", module_path!(), file!(), line!())
        .with_span_type("grpc")
        .with_kind(SpanKind::Client)
        .with_component("tonic");
}

/// Makes a span of every call over a channel: `GreeterClient::new(ddtrace_tonic::client::trace(channel))`.
pub fn trace<S>(channel: S) -> Trace<S> {
    layer().layer(channel)
}

/// Makes a span of every call, for a stack of layers or with more said: `layer().with_target(uri).layer(channel)`.
///
/// Interceptors go around it: what they add to the metadata is sent along, and what they refuse is no call.
pub fn layer() -> TraceLayer {
    TraceLayer::default()
}

/// A [`Layer`] that makes a span of every call; made by [`layer`].
#[derive(Clone, Debug, Default)]
pub struct TraceLayer {
    descriptors: Descriptors,
    target: Option<Uri>,
}

impl TraceLayer {
    /// Tells it the kinds of methods: a serialised `FileDescriptorSet`, as the build script of generated code has it.
    #[must_use]
    pub fn with_descriptors(mut self, file_descriptor_set: &[u8]) -> Self {
        self.descriptors.add(file_descriptor_set);
        self
    }

    /// Tells it where the channel leads, which a channel keeps to itself.
    #[must_use]
    pub fn with_target(mut self, target: Uri) -> Self {
        self.target = Some(target);
        self
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`TraceLayer`] makes.
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    layer: TraceLayer,
}

impl<S> Trace<S> {
    fn start(&self, request: &mut Request<Body>) -> Option<CallSpan> {
        let settings = SETTINGS.get()?;
        if !ddtrace_tower::client::mark(request.extensions_mut()) {
            return None;
        }
        let path = request.uri().path();
        let kind = self.layer.descriptors.kind_of(path);
        let span = Span::start(&CALL);
        let is_carrying = settings.own.distributed_tracing;
        let mut span = CallSpan::new(span, Side::Client, settings, path, request.headers(), kind);
        let authority = request.uri().authority();
        let target = self.layer.target.as_ref();
        if let Some(authority) = authority.or_else(|| target?.authority()) {
            let host = Value::Text(authority.host());
            let port = authority.port_u16();
            let tag = |key, value| Tag { key, value };
            span.span().set_tags(&[
                tag("grpc.host", host),
                tag("out.host", host),
                tag("server.address", host),
                tag(
                    "network.destination.port",
                    port.map_or(Value::Absent, |port| Value::Number(port.into())),
                ),
            ]);
        }
        if is_carrying {
            // With tracing off, what came in with the request that is being served goes on from here.
            ddtrace_core::trace::inject_span(span.span(), request.headers_mut());
            if span.span().is_recording() {
                events::dispatch::<OutgoingHeaders<'_>>(|| {
                    OutgoingHeaders::new(span.span(), "grpc", request.headers_mut())
                });
            }
        }
        Some(span)
    }
}

impl<S, R> Service<Request<Body>> for Trace<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Error: Any,
    R: HttpBody,
    R::Error: Any,
{
    type Response = Response<TracedBody<R, CallSpan>>;
    type Error = S::Error;
    type Future = ExchangeFuture<S::Future, CallSpan>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let mut span = self.start(&mut request);
        if let Some(span) = &mut span {
            request = request.map(|body| span.counting(body));
        }
        ExchangeFuture::new(span, || self.inner.call(request))
    }
}
