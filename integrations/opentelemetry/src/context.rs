//! From OpenTelemetry's contexts to places in our traces, and back.
//!
//! A context holds its span behind a trait object that gives nothing but a `SpanContext`: two ids. So every span and reference
//! that this crate hands out registers its place under its id for as long as it lives; whoever is given a context finds the
//! place there. Spans that are dropped, and with them every context that held them, leave nothing behind.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, TryLockError};

use ddtrace_core::propagation::Extracted;
use ddtrace_core::trace;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;

use crate::baggage;
use crate::observer::{self, Current};
use crate::span::Span;
use crate::w3c;

/// Shards, so that threads seldom meet.
const SHARDS: usize = 16;

type Shard = Mutex<HashMap<u64, Registered>>;

static PLACES: LazyLock<[Shard; SHARDS]> = LazyLock::new(Default::default);

struct Registered {
    place: trace::Context,
    holders: usize,
}

/// Whoever holds a shard holds it for a few instructions, unless it was on another thread when this process was forked: then the
/// lock never opens again. So nobody waits for longer than this.
const TRIES: usize = 1000;

/// A shard; nothing if it cannot be had.
fn shard(span_id: u64) -> Option<MutexGuard<'static, HashMap<u64, Registered>>> {
    let shard = &PLACES[span_id as usize % SHARDS];
    for _ in 0..TRIES {
        match shard.try_lock() {
            Ok(places) => return Some(places),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}

/// Keeps a place findable.
#[derive(Debug)]
pub(crate) struct Registration(u64);

impl Registration {
    pub(crate) fn of(place: &trace::Context) -> Option<Self> {
        let span_id = place.span_id().get();
        if span_id == 0 {
            return None;
        }
        let mut places = shard(span_id)?;
        let registered = places.entry(span_id).or_insert_with(|| Registered {
            place: place.clone(),
            holders: 0,
        });
        registered.holders += 1;
        Some(Self(span_id))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(mut places) = shard(self.0) else {
            return;
        };
        let gone = match places.get_mut(&self.0) {
            Some(registered) if registered.holders > 1 => {
                registered.holders -= 1;
                None
            }
            _ => places.remove(&self.0),
        };
        // The place may be the last to know its segment: not under the lock.
        drop(places);
        drop(gone);
    }
}

/// The place of ours that the context's span is at.
pub(crate) fn lookup(context: &Context) -> Option<trace::Context> {
    let span = context.span();
    let span_context = span.span_context();
    if !span_context.is_valid() {
        return None;
    }
    let span_id = u64::from_be_bytes(span_context.span_id().to_bytes());
    let places = shard(span_id)?;
    let place = &places.get(&span_id)?.place;
    let is_same =
        u128::from(place.trace_id()) == u128::from_be_bytes(span_context.trace_id().to_bytes());
    is_same.then(|| place.clone())
}

/// What came in with a request, kept in the context that was made of it.
#[derive(Debug)]
struct Inbound(Arc<Extracted>);

/// What came in, if the context's span is still the one it was.
fn inbound(context: &Context) -> Option<Extracted> {
    let Inbound(extracted) = context.get::<Inbound>()?;
    let span = context.span();
    let is_same = extracted.context.as_ref().is_none_or(|inbound| {
        let expected = w3c::of_inbound(inbound);
        let found = span.span_context();
        (expected.trace_id(), expected.span_id()) == (found.trace_id(), found.span_id())
    });
    is_same.then(|| (**extracted).clone())
}

/// Where a span begins that OpenTelemetry starts in a context.
pub(crate) enum Parent {
    /// Below whatever is active here.
    Active,
    /// At a place of ours.
    Place(trace::Context),
    /// Where another process left off, or nowhere with baggage.
    Elsewhere(Extracted),
    /// Nowhere: a new trace, without baggage.
    Root,
}

impl Parent {
    pub(crate) fn of(context: &Context) -> Self {
        match observer::current(context) {
            Some(Current::Ours) => Parent::Active,
            Some(Current::Theirs) | None => Parent::named_by(context),
        }
    }

    fn named_by(context: &Context) -> Self {
        if let Some(place) = context.datadog_context() {
            return Parent::Place(place);
        }
        let mut extracted = inbound(context).unwrap_or_else(|| {
            let mut extracted = Extracted::default();
            extracted.context = w3c::to_inbound(context.span().span_context());
            extracted
        });
        baggage::lay_over(context, |key, value| {
            extracted.baggage.set(key, value);
        });
        if extracted.is_empty() {
            Parent::Root
        } else {
            Parent::Elsewhere(extracted)
        }
    }
}

/// Goes between OpenTelemetry's contexts and ours.
///
/// ```
/// use ddtrace_core::trace::Span;
/// use ddtrace_opentelemetry::ContextExt;
/// use opentelemetry::Context;
///
/// let span = Span::builder("work").start();
/// let theirs = Context::new().with_datadog_context(&span.context());
/// assert_eq!(theirs.datadog_context().map(|ours| ours.id()), span.context().id().map(Some));
/// ```
pub trait ContextExt: Sized {
    /// The same context with a place of ours as its span, and its baggage: spans that OpenTelemetry starts in it become children of
    /// that place. Decides about the trace.
    #[must_use]
    fn with_datadog_context(&self, place: &trace::Context) -> Self;

    /// The same context with what came in from another process as its span, and its baggage.
    #[must_use]
    fn with_extracted(&self, extracted: Extracted) -> Self;

    /// The place of ours that the context's span is at, with the context's baggage. None without a span, and for spans of
    /// other processes.
    fn datadog_context(&self) -> Option<trace::Context>;
}

impl ContextExt for Context {
    fn with_datadog_context(&self, place: &trace::Context) -> Self {
        let context = baggage::copy_into(self, &place.baggage());
        if place.is_none() {
            return context;
        }
        context.with_span(Span::at(place.clone()))
    }

    fn with_extracted(&self, extracted: Extracted) -> Self {
        let remote = extracted.context.as_ref().map(w3c::of_inbound);
        let context = baggage::copy_into(self, &extracted.baggage);
        let context = context.with_value(Inbound(Arc::new(extracted)));
        match remote {
            Some(remote) => context.with_remote_span_context(remote),
            None => context,
        }
    }

    fn datadog_context(&self) -> Option<trace::Context> {
        let mut place = observer::place_in_view(self).unwrap_or_else(|| lookup(self))?;
        baggage::lay_over(self, |key, value| place.set_baggage(key, value));
        Some(place)
    }
}

/// OpenTelemetry's current context with our active span as its span, whoever started that one, and with our baggage.
///
/// What is written on the span in it goes onto our span; ending it does nothing, since it belongs to the guard or future
/// that holds it. Decides about the trace.
///
/// ```
/// use ddtrace_core::test_support::Recorder;
/// use ddtrace_core::trace::Span;
/// use opentelemetry::KeyValue;
/// use opentelemetry::trace::TraceContextExt;
///
/// let recorder = Recorder::new();
/// let mut span = Span::builder("work").start();
/// {
///     let _active = span.enter();
///     ddtrace_opentelemetry::current().span().set_attribute(KeyValue::new("who", "me"));
/// }
/// span.finish();
/// assert_eq!(recorder.take()[0].meta("who"), Some("me"));
/// ```
pub fn current() -> Context {
    let context = baggage::copy_into(&Context::current(), &trace::baggage());
    let span = trace::current_span();
    if span.is_recording() {
        context.with_span(Span::reference(span.to_ref(), trace::Context::current()))
    } else {
        context.with_datadog_context(&trace::Context::current())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use ddtrace_core::test_support::Recorder;
    use ddtrace_core::trace::Span as Datadog;

    use super::*;

    /// Held by each test: they share the shards.
    static ALONE: Mutex<()> = Mutex::new(());

    fn found(place: &trace::Context) -> bool {
        let id = place.span_id().get();
        shard(id).is_some_and(|places| places.contains_key(&id))
    }

    #[test]
    fn a_place_is_known_as_long_as_somebody_holds_it() {
        let _alone = ALONE.lock();
        let _recorder = Recorder::new();
        let place = Datadog::builder("work").start().context();
        let (first, second) = (Registration::of(&place), Registration::of(&place));
        drop(first);
        assert!(found(&place));
        drop(second);
        assert!(!found(&place));
        assert!(Registration::of(&trace::Context::default()).is_none());
    }

    #[test]
    fn a_lock_that_does_not_open_holds_nobody_up() {
        let _alone = ALONE.lock();
        let _recorder = Recorder::new();
        let place = Datadog::builder("work").start().context();
        let id = place.span_id().get();
        let (locked, is_locked) = channel();
        let (let_go, may_go) = channel::<()>();
        // As a thread that a fork left behind.
        let holder = thread::spawn(move || {
            let _held = PLACES[id as usize % SHARDS].lock();
            locked.send(()).expect("it is awaited");
            may_go.recv().expect("it is told");
        });
        is_locked.recv().expect("it is locked");
        assert!(Registration::of(&place).is_none());
        let_go.send(()).expect("it waits");
        holder.join().expect("no panic");
        assert!(Registration::of(&place).is_some());
    }
}
