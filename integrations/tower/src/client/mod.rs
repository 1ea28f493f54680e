//! Requests that are sent.

mod layer;
mod request;
mod tap;

pub use layer::{Tower, Trace, TraceLayer, layer};
pub use request::{Client, Mark, RequestSpan, ResponseFuture, mark, send};
pub use tap::Payload;
