//! Requests that are answered.

use std::net::SocketAddr;

use bytes::Bytes;
use ddtrace_core::instrument::Settings;
use ddtrace_core::trace::{Site, SpanKind};
use ddtrace_tower::exchange::TracedBody;
pub use ddtrace_tower::server::note_route;
use ddtrace_tower::server::{Answerable, Peer, RequestSpan, ResponseFuture, Server, serve};
use http::{Request, Response};
use http_body::Body;
use hyper::service::Service;

/// Stands for hyper in the types of its spans.
#[derive(Clone, Copy, Debug)]
pub enum Hyper {}

static SETTINGS: Settings = Settings::of("hyper");

ddtrace_core::site! {
    static REQUEST: Site = Site::new("hyper.request", "serve", module_path!(), file!(), line!())
        .with_span_type("web")
        .with_kind(SpanKind::Server)
        .with_component("hyper");
}

impl Server for Hyper {
    const NAME: &'static str = "hyper";
    type Route = &'static str;

    fn settings() -> &'static Settings {
        &SETTINGS
    }

    fn site() -> &'static Site {
        &REQUEST
    }
}

/// Makes a span of every request that a service answers.
///
/// ```
/// use std::convert::Infallible;
///
/// use hyper::service::service_fn;
/// # use hyper::{Request, Response, body::Incoming};
/// # async fn hello(_: Request<Incoming>) -> Result<Response<http_body_util::Full<bytes::Bytes>>, Infallible> { Ok(Response::default()) }
///
/// let service = ddtrace_hyper::server::trace(service_fn(hello));
/// // http1::Builder::new().serve_connection(io, service)
/// # let _ = service;
/// ```
pub const fn trace<S>(service: S) -> Trace<S> {
    Trace {
        inner: service,
        peer: None,
    }
}

/// A service that makes a span of every request; made by [`trace`].
#[derive(Clone, Copy, Debug)]
pub struct Trace<S> {
    inner: S,
    peer: Option<SocketAddr>,
}

impl<S> Trace<S> {
    /// Says who holds the other end of the connection, for the tag of the client's address (`DD_TRACE_CLIENT_IP_ENABLED`).
    #[must_use]
    pub fn with_peer(self, peer: SocketAddr) -> Self {
        Self {
            peer: Some(peer),
            ..self
        }
    }
}

impl<S, B, R> Service<Request<B>> for Trace<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
    R::Data: From<Bytes>,
{
    type Response = Response<TracedBody<Answerable<R>, RequestSpan<Hyper>>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Hyper>;

    fn call(&self, mut request: Request<B>) -> Self::Future {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(Peer(peer));
        }
        serve(request, |request| self.inner.call(request))
    }
}
