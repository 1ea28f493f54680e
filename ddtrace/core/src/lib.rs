//! The tracing core of `ddtrace`: spans, sampling, propagation, export, and what every product shares.
//!
//! Programs depend on the facade `ddtrace`; integrations and products depend on this crate.

#![allow(
    clippy::vec_box,
    reason = "buffers and tags wander between lists; a box moves as one word"
)]

pub mod base64;
pub mod config;
pub mod correlation;
pub mod diagnostics;
pub mod dogstatsd;
pub mod events;
pub mod export;
mod flare;
pub mod git_metadata;
mod health_metrics;
pub mod http;
pub mod instrument;
#[cfg(target_os = "linux")]
mod process_discovery;
pub mod process_tags;
pub mod propagation;
pub mod remote_config;
pub mod runtime_metrics;
pub mod sampling;
pub mod sketch;
pub mod sql;
mod stack_text;
mod startup_log;
pub mod telemetry;
pub mod test_support;
mod text;
pub mod trace;
pub mod worker;
