//! What is axum's own in the layer: settings, name, and where a request says its route.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath, OriginalUri};
use ddtrace_core::instrument::Settings;
use ddtrace_core::trace::{Site, SpanKind};
use ddtrace_tower::server::{Answerable, Peer, RequestSpan, Server};
use http::{Extensions, Request, Uri};

pub(crate) static SETTINGS: Settings = Settings::of("axum");

ddtrace_core::site! {
    static REQUEST: Site = Site::new("axum.request", "request", module_path!(), file!(), line!())
        .with_span_type("web")
        .with_kind(SpanKind::Server)
        .with_component("axum");
}

/// Stands for axum in the types of its layer.
#[derive(Clone, Copy, Debug)]
pub enum Axum {}

/// The route that a request matched.
#[derive(Clone, Debug)]
pub struct Route(MatchedPath);

impl AsRef<str> for Route {
    fn as_ref(&self) -> &str {
        self.0.as_str()
    }
}

impl Server for Axum {
    const NAME: &'static str = "axum";
    const HAS_ROUTES: bool = true;
    type Route = Route;

    fn settings() -> &'static Settings {
        &SETTINGS
    }

    fn site() -> &'static Site {
        &REQUEST
    }

    fn route(extensions: &Extensions) -> Option<Route> {
        extensions.get::<MatchedPath>().cloned().map(Route)
    }

    fn peer(extensions: &Extensions) -> Option<SocketAddr> {
        match extensions.get::<ConnectInfo<SocketAddr>>() {
            Some(&ConnectInfo(peer)) => Some(peer),
            None => extensions.get::<Peer>().map(|&Peer(peer)| peer),
        }
    }

    /// A nested router sees only the rest of the target.
    fn target<B>(request: &Request<B>) -> &Uri {
        let original = request.extensions().get::<OriginalUri>();
        original.map_or(request.uri(), |OriginalUri(original)| original)
    }
}

/// Makes a span of every request that passes. See the [crate] for where to put it.
pub fn layer() -> TraceLayer {
    TraceLayer::new()
}

/// A [`Layer`](tower_layer::Layer) that makes a span of every request; made by [`layer`].
pub type TraceLayer = ddtrace_tower::server::TraceLayer<Axum>;

/// The service that [`TraceLayer`] makes.
pub type Trace<S> = ddtrace_tower::server::Trace<S, Axum>;

/// The future of a response; made by [`Trace`].
pub type ResponseFuture<F> = ddtrace_tower::server::ResponseFuture<F, Axum>;

/// A response's body, with the span that ends when it does.
pub type TracedBody<B> = ddtrace_tower::exchange::TracedBody<Answerable<B>, RequestSpan<Axum>>;
