//! The `tower` layer and the service it makes.

use std::marker::PhantomData;
use std::task::{Context, Poll};

use bytes::Bytes;
use ddtrace_core::instrument::Settings;
use ddtrace_core::trace::{Site, SpanKind};
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::answer::{Answerable, ResponseFuture, serve_until};
use super::request::{Ends, RequestSpan, Server};
use crate::exchange::TracedBody;

/// The server side of this crate itself.
#[derive(Clone, Copy, Debug)]
pub enum Tower {}

static SETTINGS: Settings = Settings::of("tower");

ddtrace_core::site! {
    static REQUEST: Site = Site::new("tower.request", "serve", module_path!(), file!(), line!())
        .with_span_type("web")
        .with_kind(SpanKind::Server)
        .with_component("tower");
}

impl Server for Tower {
    const NAME: &'static str = "tower";
    type Route = &'static str;

    fn settings() -> &'static Settings {
        &SETTINGS
    }

    fn site() -> &'static Site {
        &REQUEST
    }
}

/// Makes a span of every request that passes on its way in. See the [crate] for what it says.
pub fn layer() -> TraceLayer<Tower> {
    TraceLayer::new()
}

/// A [`Layer`] that makes a span of every request that is answered.
#[derive(Debug)]
pub struct TraceLayer<S> {
    ends: Ends,
    of: PhantomData<fn() -> S>,
}

impl<S> TraceLayer<S> {
    /// A layer for the spans of this server.
    pub const fn new() -> Self {
        Self {
            ends: Ends::WithBody,
            of: PhantomData,
        }
    }

    /// Ends the spans when the head of the response is known, instead of with the last byte of its body: for services whose bodies
    /// take as long as whoever reads them.
    #[must_use]
    pub const fn ending_with_head(self) -> Self {
        Self {
            ends: Ends::WithHead,
            of: PhantomData,
        }
    }
}

impl<S> Default for TraceLayer<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Clone for TraceLayer<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for TraceLayer<S> {}

impl<I, S> Layer<I> for TraceLayer<S> {
    type Service = Trace<I, S>;

    fn layer(&self, inner: I) -> Trace<I, S> {
        Trace {
            inner,
            ends: self.ends,
            of: PhantomData,
        }
    }
}

/// The service that [`TraceLayer`] makes.
#[derive(Debug)]
pub struct Trace<I, S> {
    inner: I,
    ends: Ends,
    of: PhantomData<fn() -> S>,
}

impl<I: Clone, S> Clone for Trace<I, S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            ends: self.ends,
            of: PhantomData,
        }
    }
}

impl<I: Copy, S> Copy for Trace<I, S> {}

impl<I, S, B, R> Service<Request<B>> for Trace<I, S>
where
    I: Service<Request<B>, Response = Response<R>>,
    S: Server,
    R: Body,
    R::Data: From<Bytes>,
{
    type Response = Response<TracedBody<Answerable<R>, RequestSpan<S>>>;
    type Error = I::Error;
    type Future = ResponseFuture<I::Future, S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        serve_until(self.ends, request, |request| self.inner.call(request))
    }
}
