//! Data Streams Monitoring: pathways of messages through services, with latencies, sizes and lag.
//!
//! A message passes *checkpoints*, where it is produced and where it is consumed. Checkpoints in a row are a *pathway*, whose hash
//! travels in the message's headers; every service counts, for each pathway that it takes part in, how long messages have been
//! under way. With `DD_DATA_STREAMS_ENABLED=true`:
//!
//! ```
//! # let (message_headers, mut headers) = (http::HeaderMap::new(), http::HeaderMap::new());
//! use ddtrace_data_streams as dsm;
//!
//! // A message has arrived …
//! dsm::consume("kafka", "orders").group("billing").from(&message_headers);
//! // … and another one is sent because of it: they are on one pathway.
//! dsm::produce("kafka", "invoices").into(&mut headers);
//! ```
//!
//! ```text
//!   consume, produce ──> current (the pathway of this flow of work) ──> pathway, tags, hash: one checkpoint
//!          │                                                                  │
//!          └── switch: a bounded queue ──> task, on the worker ──> bucket ──> payload ──> agent
//! ```
//!
//! A checkpoint costs a look at the clock and two look-ups if its edge is known, no lock that is contended and no wake-up.
//! What does not fit into the queue or into ten seconds' worth of groups is dropped and counted; a message is never held up.
//! Off, every call is one relaxed load. Hashes and payloads are those of Datadog's other tracers, byte for byte; the source
//! of each format stands in its file.

mod bucket;
mod checkpoint;
mod current;
mod encoding;
mod extractors;
mod hash;
#[doc(hidden)]
pub mod instrument;
mod listen;
mod offset;
mod pathway;
mod payload;
pub mod schema;
mod switch;
mod tags;
mod task;
pub mod test_support;
mod time;
mod transaction;

pub use checkpoint::{Consume, Produce, consume, produce};
pub use offset::{
    kafka_commit_offset, kafka_high_watermark, kafka_produce_offset, track_transaction,
};
pub use pathway::Pathway;

/// The pathway in force here: the one that was consumed last by the active span or above it. Nothing without one.
pub fn current_pathway() -> Option<Pathway> {
    current::get()
}
