//! Spans for hyper 1, as server and as client.
//!
//! | what | what to write |
//! | --- | --- |
//! | a service that a connection is served by | `ddtrace_hyper::server::trace(service)` |
//! | the client of hyper-util (feature `hyper-util`) | `client.request_traced(request)`, by `client::ClientExt`, or [`client::layer`] where it is built into a stack |
//! | a connection of one's own | [`client::send(request, |request| sender.send_request(request))`](client::send) |
//!
//! What the spans say is what those of [`ddtrace_tower`] say, by the name `hyper`: `hyper.request`, `DD_HYPER_SERVICE`,
//! `DD_TRACE_HYPER_ENABLED`. The `error.type` of a request that failed is `timeout`, `connect`, `canceled`, `closed`, `incomplete`,
//! `parse`, `user` or `request`; `body` if it broke off after the head of the response.
//!
//! Every stream of a connection by HTTP/2 is a request, and so a span, of its own. Upgrades go on as without the layer: what
//! [`hyper::upgrade::on`] wants lies among the extensions, which nobody touches.

pub mod client;
pub mod server;

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("hyper", "hyper", "1")
}
