//! Ids, clock, spans, and what is active where.

mod id;

pub use id::{SpanId, TraceId};
