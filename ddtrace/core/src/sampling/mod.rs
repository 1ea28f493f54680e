//! Which traces are kept.
//!
//! A trace is decided about once, where it begins, and the decision travels with it ([`SamplingPriority`], and in
//! `_dd.p.dm` the [`SamplingMechanism`]). A [`Sampler`] decides by [`RuleSet`], [`RateLimiter`] and [`AgentRates`]; by
//! which of them is in the [`Decision`]. Rates are hashed alike in all Datadog tracers ([`SampleRate`]), and what was decided
//! by one is told to others' samplers as a [`Probability`].
//!
//! Of a trace that is dropped, [`SpanRules`] may keep single spans. A product may keep a trace for itself, whatever was
//! decided, and leaves its mark ([`TraceSource`]).
//!
//! Decisions are asked for on user's threads (at a first injection) and on the worker (at the end of a segment), so all
//! of this is shared, and nothing of it locks or allocates.

mod agent_rates;
mod glob;
mod hash;
mod limiter;
mod priority;
mod probability;
mod rules;
mod sampler;
mod source;
mod span_rules;

pub use agent_rates::AgentRates;
pub use glob::Glob;
pub use hash::{RateText, SampleRate};
pub use limiter::{Admission, RateLimiter};
pub use priority::{SamplingMechanism, SamplingPriority};
pub use probability::Probability;
pub use rules::{Provenance, Rule, RuleError, RuleSet, SamplingSubject, TagLookup, TagValue};
pub use sampler::{Decision, Sampler};
pub use source::TraceSource;
pub use span_rules::{SpanDecision, SpanRules};
