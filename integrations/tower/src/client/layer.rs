//! The `tower` layer and the service it makes.

use std::any::Any;
use std::fmt::Display;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use ddtrace_core::instrument::Settings;
use ddtrace_core::trace::{Site, SpanKind};
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::request::{Client, RequestSpan, ResponseFuture, send};
use crate::exchange::TracedBody;

/// The client side of this crate itself.
#[derive(Clone, Copy, Debug)]
pub enum Tower {}

static SETTINGS: Settings = Settings::of("tower");

ddtrace_core::site! {
    static REQUEST: Site = Site::new("tower.request", "send", module_path!(), file!(), line!())
        .with_span_type("http")
        .with_kind(SpanKind::Client)
        .with_component("tower");
}

impl Client for Tower {
    const NAME: &'static str = "tower";

    fn settings() -> &'static Settings {
        &SETTINGS
    }

    fn site() -> &'static Site {
        &REQUEST
    }
}

/// Makes a span of every request that passes on its way out. See the [crate] for what it says.
///
/// Inside of a layer that retries, every attempt is a span of its own.
pub fn layer() -> TraceLayer<Tower> {
    TraceLayer::new()
}

/// A [`Layer`] that makes a span of every request that is sent.
#[derive(Debug)]
pub struct TraceLayer<C> {
    of: PhantomData<fn() -> C>,
}

impl<C> TraceLayer<C> {
    /// A layer for the spans of this client.
    pub const fn new() -> Self {
        Self { of: PhantomData }
    }
}

impl<C> Default for TraceLayer<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for TraceLayer<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for TraceLayer<C> {}

impl<I, C> Layer<I> for TraceLayer<C> {
    type Service = Trace<I, C>;

    fn layer(&self, inner: I) -> Trace<I, C> {
        Trace::new(inner)
    }
}

/// The service that [`TraceLayer`] makes.
#[derive(Debug)]
pub struct Trace<I, C> {
    inner: I,
    of: PhantomData<fn() -> C>,
}

impl<I, C> Trace<I, C> {
    /// Wraps a service that sends requests.
    pub const fn new(inner: I) -> Self {
        Self {
            inner,
            of: PhantomData,
        }
    }

    /// What was wrapped.
    pub const fn inner(&self) -> &I {
        &self.inner
    }
}

impl<I: Clone, C> Clone for Trace<I, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<I: Copy, C> Copy for Trace<I, C> {}

impl<I, C, B, R> Service<Request<B>> for Trace<I, C>
where
    I: Service<Request<B>, Response = Response<R>>,
    I::Error: Any + Display,
    C: Client,
    B: 'static,
    R: Body,
    R::Error: Any + Display,
{
    type Response = Response<TracedBody<R, RequestSpan<C>>>;
    type Error = I::Error;
    type Future = ResponseFuture<I::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        send(request, |request| self.inner.call(request))
    }
}
