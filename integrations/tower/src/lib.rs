//! Spans for HTTP services of tower, as servers and as clients: any `Service<http::Request<B>>`.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use tower_layer::Layer;
//! # use tower_service::Service;
//! # #[derive(Clone)] struct Hello;
//! # impl Service<http::Request<String>> for Hello {
//! #     type Response = http::Response<String>;
//! #     type Error = Infallible;
//! #     type Future = std::future::Ready<Result<http::Response<String>, Infallible>>;
//! #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> { std::task::Poll::Ready(Ok(())) }
//! #     fn call(&mut self, _: http::Request<String>) -> Self::Future { std::future::ready(Ok(http::Response::new(String::new()))) }
//! # }
//!
//! let answers = ddtrace_tower::server::layer().layer(Hello); // what answers requests
//! let asks = ddtrace_tower::client::layer().layer(Hello); // what sends them
//! ```
//!
//! Of several layers around one service only the outermost makes a span, also where they are of different crates of ours: axum
//! inside hyper, tonic over hyper. Which one that is goes along in the request's extensions.
//!
//! # What a span says
//!
//! | | [`server`] | [`client`] |
//! | --- | --- | --- |
//! | name, type, kind | `tower.request`, `web`, `server` | `tower.request`, `http`, `client` |
//! | resource | method and route, if somebody [says it](server::note_route), else method and path with its numbers and ids taken out; `GET 404` for what was not found | method and path with its numbers and ids taken out |
//! | service | the program's, or `DD_TOWER_SERVICE` | `tower`, or `DD_TOWER_SERVICE`, or the host with `DD_TOWER_SPLIT_BY_DOMAIN=true` |
//! | begins | when the service is called | when the service is called |
//! | ends | with the last byte of the response's body | with the last byte of the response's body, or when it is dropped |
//!
//! A side that goes away ends its span at that moment with the tag `http.request.cancelled`: the client of a server before it had everything;
//! a program that gives up a request before the head of the response, or a body that it began to read. The
//! span of an upgraded connection and of a stream of server-sent events ends with the head of the response.
//!
//! `DD_TRACE_TOWER_ENABLED=false` switches both off, `DD_TOWER_DISTRIBUTED_TRACING=false` leaves trace context out of account.
//!
//! # Bodies
//!
//! Products may follow what a client sends and receives ([`HttpClientExchange`](ddtrace_core::events::HttpClientExchange)): a request's body
//! that is in memory ([`client::Payload`] tells one that is hidden), and the response's chunks as the program reads them. They follow a
//! stream of server-sent events to its end, although its span ends with the head.
//!
//! # How the crate is made
//!
//! [`exchange`] has what all layers share: a future and a body that keep the span of one request and response. [`server`] and [`client`] say what
//! HTTP spans say, for a library that names itself in a type ([`server::Server`], [`client::Client`]). The
//! integrations of axum, hyper and tonic stand on these.
//!
//! Nothing is copied but what becomes a tag. Bodies pass through frame by frame, with their size hints; extensions, and with them
//! upgrades, stay where they are.

pub mod client;
pub mod exchange;
pub mod server;

#[cfg(feature = "integration")]
ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("tower", "tower-service", "0.3")
}
