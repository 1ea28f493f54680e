//! Requests that are answered.

mod answer;
mod layer;
mod request;

pub use answer::{Answerable, ResponseFuture, serve};
pub use layer::{Tower, Trace, TraceLayer, layer};
pub(crate) use request::rest;
pub use request::{Peer, RequestSpan, Server, is_marked, mark, note_route, start_from_headers};
