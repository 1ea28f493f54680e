//! Spans for gRPC calls of tonic 0.14, on both sides.
//!
//! ```no_run
//! # use tonic::transport::{Channel, Server};
//! # async fn example(channel: Channel) {
//! let server = Server::builder().layer(ddtrace_tonic::server::layer());
//! let channel = ddtrace_tonic::client::trace(channel); // then GreeterClient::new(channel)
//! # let _ = (server, channel);
//! # }
//! ```
//!
//! # What a span says
//!
//! Name `grpc`, type `grpc`, kind `server` or `client`, resource `/package.Service/Method`; for a method that the server does not have,
//! `UNIMPLEMENTED`, because anybody can make up the names of those. `rpc.service`, `grpc.method.path`, `grpc.method.package`,
//! `grpc.method.service`, `grpc.method.name`, `grpc.method.kind`; `grpc.deadline`, the milliseconds that the caller allows; `grpc.host`, `out.host`,
//! `network.destination.port` of a client that [knows](client::TraceLayer::with_target) where its channel leads.
//!
//! `grpc.status.code` is the canonical name (`NOT_FOUND`), wherever the status comes from: trailers, the headers of a response that consists of nothing
//! else, the [`Status`](tonic::Status) in an error, or the status of HTTP if somebody answers who does not speak gRPC. Any other than
//! `OK` marks the span as an error, with the name as `error.type` and the status's message; by the settings
//! `DD_GRPC_SERVER_ERROR_STATUSES` and `DD_GRPC_CLIENT_ERROR_STATUSES` only some do, named by number: `2,13-15`. The span lasts until
//! the trailers have passed.
//!
//! A side that goes away ends its span at that moment: with `DEADLINE_EXCEEDED`, an error, if the deadline has passed; otherwise
//! with `CANCELLED` and the tag `http.request.cancelled`, and no error.
//!
//! # Kinds of methods
//!
//! `unary`, `client_streaming`, `server_streaming`, `bidi_streaming`: on the wire they look alike, the generated code alone knows. Give the layer the
//! descriptors that go with it, if you have them, and it knows, too: `layer().with_descriptors(FILE_DESCRIPTOR_SET)`. Otherwise the messages that
//! pass are counted, and a stream of one message looks like none.
//!
//! # Other layers
//!
//! Of several layers of ours only the outermost makes a span: under axum's or hyper's the route is told and nothing else, so put
//! tonic's outside if you want the calls, or axum's on the routes that are not gRPC's. Requests of another content type than
//! `application/grpc` pass untouched; for gRPC-web put the layer inside of tonic-web's.
//!
//! Trace context travels in metadata with text values; metadata whose name ends in `-bin` is neither read nor written.
//! `DD_TRACE_TONIC_ENABLED`, `DD_TONIC_SERVICE`, `DD_TONIC_DISTRIBUTED_TRACING`. A client's service is `grpc-client`.

mod call;
pub mod client;
mod descriptors;
mod messages;
mod metadata;
mod method;
pub mod server;
mod status;

pub use call::CallSpan;
pub use metadata::{metadata, metadata_mut};

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("tonic", "tonic", "0.14")
}
