//! Requests that are sent.

mod layer;
mod request;

pub use layer::{Tower, Trace, TraceLayer, layer};
pub use request::{Client, Mark, RequestSpan, ResponseFuture, mark, send};
