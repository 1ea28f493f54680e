//! One baggage for both interfaces.
//!
//! OpenTelemetry keeps baggage in its contexts, we keep it with spans. A context that is made from something of ours gets a copy of
//! our items; items of a context that is attached, or named as a parent, are laid over ours. Properties of OpenTelemetry's items
//! (`;…`) are not carried over.

use ddtrace_core::propagation::Baggage;
use opentelemetry::Context;
use opentelemetry::baggage::{Baggage as Theirs, BaggageExt};

/// The context with our items as well; ours win.
pub(crate) fn copy_into(context: &Context, ours: &Baggage) -> Context {
    if ours.is_empty() {
        return context.clone();
    }
    let theirs = context.baggage().iter();
    let mut all: Theirs = theirs
        .map(|(key, (value, properties))| (key.clone(), (value.clone(), properties.clone())))
        .collect();
    for (key, value) in ours.iter() {
        all.insert(key.to_owned(), value.to_owned());
    }
    context.with_baggage(all)
}

/// Lays the context's items over ours.
pub(crate) fn lay_over(context: &Context, mut set: impl FnMut(&str, &str)) {
    for (key, (value, _)) in context.baggage() {
        set(key.as_str(), value.as_str());
    }
}

/// What a change from one context to another means for the items in force.
pub(crate) enum Change<'a> {
    Set(&'a str, &'a str),
    Remove(&'a str),
}

/// Tells what differs between the items of two contexts.
pub(crate) fn changes<'a>(from: &'a Context, to: &'a Context, mut visit: impl FnMut(Change<'a>)) {
    let (from, to) = (from.baggage(), to.baggage());
    for (key, (value, _)) in to {
        if from.get(key) != Some(value) {
            visit(Change::Set(key.as_str(), value.as_str()));
        }
    }
    for (key, _) in from {
        if to.get(key).is_none() {
            visit(Change::Remove(key.as_str()));
        }
    }
}
