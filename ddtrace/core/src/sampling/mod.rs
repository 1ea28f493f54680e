//! Which traces are kept.

mod priority;

pub use priority::{SamplingMechanism, SamplingPriority};
