//! The tracing core of `ddtrace`: spans, sampling, propagation, export, and what every product shares.
//!
//! Programs depend on the facade `ddtrace`; integrations and products depend on this crate.

pub mod config;
pub mod diagnostics;
pub mod events;
pub mod http;
pub mod instrument;
pub mod propagation;
pub mod sampling;
mod stack_text;
pub mod trace;
