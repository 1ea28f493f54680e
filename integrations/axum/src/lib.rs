//! Spans for every request that an axum 0.8 server answers.
//!
//! ```
//! use axum::{Router, routing::get};
//!
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(|| async { "ada" }))
//!     .layer(ddtrace_axum::layer());
//! ```
//!
//! # Where to put it
//!
//! On the router, last, with [`Router::layer`](axum::Router::layer): the layer then sees every route added before it,
//! also those of nested routers, knows which one a request matched, and sees requests that matched none. Not with
//! `route_layer`, which does not see the latter.
//!
//! Around the whole application (a `ServiceBuilder` handed to `serve`) it runs before routing and does not know the route.
//! Then put it on the router as well: a second layer makes no second span, it only tells the first which route was matched.
//!
//! A service that is nested as such (`nest_service`) hides its routes: what it answers is `GET 200`. If it is a router, put the layer on it
//! as well, for the same reason.
//!
//! # What a span says
//!
//! Name `axum.request`, type `web`, kind `server`. Resource: method and route (`GET /users/{id}`), or method and
//! status (`GET 404`) if no route matched; never the raw path. `http.method`, `http.url` with its query string obfuscated, `http.route`,
//! `http.status_code`, `http.useragent`, `http.version`, and by setting the client's address and headers of request and response. A
//! status in `DD_TRACE_HTTP_SERVER_ERROR_STATUSES` marks the span as an error.
//!
//! The trace of the caller is continued, unless `DD_AXUM_DISTRIBUTED_TRACING=false`. `DD_AXUM_SERVICE` names the service,
//! `DD_TRACE_AXUM_ENABLED=false` switches the integration off.
//!
//! The span lasts until the last byte of the body, so that a streamed answer is timed in full. If the client goes away
//! before, the span ends at that moment with the tag `http.request.cancelled`. An upgraded connection (a websocket) and a stream
//! of server-sent events may last for hours: there the span ends with the head of the response, and everywhere with
//! `layer().ending_with_head()`. What is said over a websocket has a span of its own, where a handler asks for it: [`WebSocketSession`].
//!
//! # What it costs a request
//!
//! Nothing is copied but what becomes a tag: bodies pass through untouched, frame by frame. Addresses are known only
//! if the server was started with `into_make_service_with_connect_info`.

mod layer;
mod websocket;

pub use layer::{Axum, ResponseFuture, Route, Trace, TraceLayer, TracedBody, layer};
pub use websocket::WebSocketSession;

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("axum", "axum", "0.8")
}
