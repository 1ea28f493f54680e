//! What happens to finished segments: assembled, filtered, encoded, sent. All of it on the worker.
//!
//! ```text
//!   threads' outboxes ──> pipeline ──> assemble ──> filters ──> payload (v04, v05, v1) ──> agent client
//! ```

pub mod agent;
mod agent_filters;
#[cfg(feature = "agentless")]
pub mod agentless;
mod assemble;
mod decide_early;
mod derived_tags;
mod finished;
mod json;
mod json_lines;
mod msgpack;
mod payload;
pub(crate) mod pipeline;
mod settle;
pub(crate) mod stats;
mod unsampled;
mod v04;
mod v05;
mod v1;

pub(crate) use decide_early::decide_early;
pub use finished::{FinishedSpan, SpanData};
pub use json_lines::{JsonLines, LineCounts, MAX_JSON_LINE};
pub(crate) use payload::ProcessHeads;
pub use payload::{Format, Payload, PayloadBuilder};
pub use pipeline::TraceFilter;
pub use stats::Statistics;

#[cfg(test)]
mod pipeline_tests;
#[cfg(test)]
mod properties;
