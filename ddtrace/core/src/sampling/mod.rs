//! Which traces are kept.
//!
//! A trace is decided about once, where it begins, and the decision travels with it ([`SamplingPriority`], and in
//! `_dd.p.dm` the [`SamplingMechanism`]). A [`Sampler`] decides by [`RuleSet`], [`RateLimiter`] and [`AgentRates`]; by
//! which of them is in the [`Decision`]. Rates are hashed alike in all Datadog tracers ([`SampleRate`]).
//!
//! Decisions are asked for on user's threads (at a first injection) and on the worker (at the end of a segment), so all
//! of this is shared, and nothing of it locks or allocates.

mod agent_rates;
mod glob;
mod hash;
mod limiter;
mod priority;
mod rules;
mod sampler;

pub use agent_rates::AgentRates;
pub use glob::Glob;
pub use hash::{RateText, SampleRate};
pub use limiter::{Admission, RateLimiter};
pub use priority::{SamplingMechanism, SamplingPriority};
pub use rules::{Provenance, Rule, RuleError, RuleSet, SamplingSubject, TagLookup, TagValue};
pub use sampler::{Decision, Sampler};
