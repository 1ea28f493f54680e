//! Requests that are sent.

mod layer;
mod request;

pub use layer::{Tower, Trace, TraceLayer, layer};
pub use request::{Client, RequestSpan, ResponseFuture, mark, send};
