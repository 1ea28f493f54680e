//! Follows which context of OpenTelemetry is attached on each thread, so that its span is active here as well.
//!
//! OpenTelemetry tells an observer whenever the current context of a thread changes. Going to a context with another span
//! attaches the place of that span; coming back takes it off again. Going to a context with the same span (a value was
//! added, say) changes nothing but baggage, so that a span of ours that was entered in between stays active.
//!
//! Contexts may be left in any order, and then several are left with one call. Each thread therefore keeps a list of what it entered
//! and, on the way back, drops entries until the one it returns to is on top. A context is known by the address of its *view*, which
//! is made with it and shared by its clones.
//!
//! While OpenTelemetry calls, its list of contexts is borrowed: nothing here may ask for the current context.

use std::any::Any;
use std::cell::RefCell;
use std::ptr;
use std::sync::{Arc, OnceLock};

use ddtrace_core::trace::{self, Attached};
use opentelemetry::Context;
use opentelemetry::context::{ContextObserver, GlobalContextObserver, ObserverContextView};
use opentelemetry::trace::TraceContextExt;

use crate::baggage::{self, Change};
use crate::context::lookup;

/// What is kept with every context that has a span.
struct View {
    place: Option<trace::Context>,
}

impl ObserverContextView for View {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn view(context: &Context) -> Option<&View> {
    context.observer_view().as_ref()?.as_any().downcast_ref()
}

/// The place that a context was made with; nothing if the context was made before anybody observed.
pub(crate) fn place_in_view(context: &Context) -> Option<Option<trace::Context>> {
    view(context).map(|view| view.place.clone())
}

/// Which context it is, as far as spans are concerned: those without one are all alike.
fn identity(context: &Context) -> usize {
    view(context).map_or(0, |view| ptr::from_ref(view).addr())
}

/// A context that this thread has entered.
struct Entered {
    identity: usize,
    /// Its span on our stack, if it is ours and was not active before.
    attached: Option<Attached>,
    /// For a span of another process: what was active here when it was attached.
    above: Option<u64>,
}

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

struct Observer;

impl ContextObserver for Observer {
    fn on_context_enter(&self, from: &Context, to: &Context) {
        let is_same_span = has_same_span(from, to);
        let place = if is_same_span {
            None
        } else {
            view(to).and_then(|view| view.place.clone())
        };
        let is_foreign = view(to).is_some_and(|view| view.place.is_none());
        let attached = with_changed_baggage(from, to, place).map(|place| place.attach());
        let _ = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let above = match entered.last() {
                Some(before) if is_same_span => before.above,
                _ => is_foreign.then(active_span),
            };
            entered.push(Entered {
                identity: identity(to),
                attached,
                above,
            });
        });
    }

    fn on_context_exit(&self, _from: &Context, to: &Context) {
        let target = identity(to);
        loop {
            let top = ENTERED.try_with(|entered| {
                let mut entered = entered.borrow_mut();
                let top = entered.pop();
                let is_there = entered
                    .last()
                    .is_none_or(|before| before.identity == target);
                (top, is_there)
            });
            let Ok((Some(Entered { attached, .. }), is_there)) = top else {
                return;
            };
            drop(attached);
            if is_there {
                return;
            }
        }
    }

    fn make_view(&self, context: &Context) -> Option<Arc<dyn ObserverContextView>> {
        context.has_active_span().then(|| {
            let place = lookup(context);
            Arc::new(View { place }) as Arc<dyn ObserverContextView>
        })
    }
}

/// What is to be attached: a place, or where the thread is, with the baggage that changed; nothing if nothing does.
fn with_changed_baggage(
    from: &Context,
    to: &Context,
    mut place: Option<trace::Context>,
) -> Option<trace::Context> {
    baggage::changes(from, to, |change| {
        let place = place.get_or_insert_with(trace::Context::current);
        match change {
            Change::Set(key, value) => place.set_baggage(key, value),
            Change::Remove(key) => place.remove_baggage(key),
        }
    });
    place
}

fn has_same_span(one: &Context, other: &Context) -> bool {
    let (one, other) = (one.span(), other.span());
    let (one, other) = (one.span_context(), other.span_context());
    (one.trace_id(), one.span_id()) == (other.trace_id(), other.span_id())
}

fn active_span() -> u64 {
    trace::active_ids().map_or(0, |(_, span, _)| span.get())
}

/// Observes from here on. Only one observer is possible; if there is one already, contexts are not shared.
pub(crate) fn observe() {
    static OBSERVES: OnceLock<()> = OnceLock::new();
    OBSERVES.get_or_init(|| GlobalContextObserver::set(Arc::new(Observer)));
}

/// Whose span is the newest in the current context of this thread.
pub(crate) enum Current {
    /// The one that is active here.
    Ours,
    /// The context's own.
    Theirs,
}

/// Whether the context is the current one itself, not a copy, and if so whose span counts in it.
///
/// An empty context that a program made, as a way to say "no parent", is a copy of nothing: what is active here does not
/// count in it.
pub(crate) fn current(context: &Context) -> Option<Current> {
    if !Context::map_current(|current| ptr::eq(current, context)) {
        return None;
    }
    ENTERED
        .try_with(|entered| match entered.borrow().last() {
            Some(top) if top.identity != identity(context) => None,
            Some(Entered {
                above: Some(above), ..
            }) => Some(if *above == active_span() {
                Current::Theirs
            } else {
                Current::Ours
            }),
            Some(_) => Some(Current::Ours),
            // Attached before anybody observed.
            None if context.has_active_span() => None,
            None => Some(Current::Ours),
        })
        .ok()
        .flatten()
}
