//! Values that spans hand down within the process: what a product has to know about the flow of work it is in.
//!
//! A value is in force where baggage would be: for the span that it was set under, for its children that begin later, on
//! whatever thread or in whatever task they are, and for contexts that are carried from there. It goes nowhere else, and in no
//! header. With no span active it is in force for the thread. Setting one copies a short list, unless the span or thread has it
//! for itself already; looking one up walks from the active span to the first that holds any.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use super::any::AnySpan;
use super::context::Context;
use super::local;
use crate::propagation::{AnyValue, Baggage};

/// The name of a value that spans hand down, and its type. Lives in a static of the product.
///
/// ```
/// use std::sync::Arc;
///
/// use ddtrace_core::trace::{Context, Inherited};
///
/// static KETTLE: Inherited<String> = Inherited::new("kettle");
///
/// let context = KETTLE.with(Context::current(), Arc::new("blue".to_owned()));
/// assert_eq!(KETTLE.get(), None);
/// let attached = context.attach();
/// assert_eq!(KETTLE.get().as_deref().map(String::as_str), Some("blue"));
/// drop(attached);
/// assert_eq!(KETTLE.get(), None);
/// ```
#[derive(Debug)]
pub struct Inherited<T> {
    owner: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T: Any + Send + Sync> Inherited<T> {
    /// A value by the name of its owner, of which there is one in a program.
    pub const fn new(owner: &'static str) -> Self {
        Self {
            owner,
            of: PhantomData,
        }
    }

    /// The value in force on this thread.
    pub fn get(&self) -> Option<Arc<T>> {
        local::with(|local| self.find(local.active_baggage_ref())).flatten()
    }

    /// Looks at the value in force on this thread, without a copy of the `Arc`. `look` does nothing with spans: none is active to it.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        local::with(|local| {
            let value = local.active_baggage_ref().value(self.owner)?;
            value.downcast_ref().map(look)
        })
        .flatten()
    }

    /// Puts a value in force for the active span and its children that begin later, or for the thread if no span is active.
    pub fn set(&self, value: Arc<T>) {
        drop(self.replace(Some(value)));
    }

    /// Takes the value out of force.
    pub fn clear(&self) {
        drop(self.replace(None));
    }

    /// Puts a value in force as [`set`](Self::set) does, or none. Gives the one that was in force before.
    pub fn replace(&self, value: Option<Arc<T>>) -> Option<Arc<T>> {
        local::with(|local| {
            // Most who clear a value have none: nothing has to become the span's own.
            if value.is_none() && local.active_baggage_ref().value(self.owner).is_none() {
                return None;
            }
            let value = value.map(|value| value as AnyValue);
            local
                .change_active_baggage(|baggage| baggage.swap_value(self.owner, value))
                .flatten()
        })
        .flatten()?
        .downcast()
        .ok()
    }

    /// The value that goes with a context.
    pub fn of(&self, context: &Context) -> Option<Arc<T>> {
        self.find(&context.baggage())
    }

    /// Gives a span that is not active a value, which its children that begin later have as well.
    pub fn give<'a>(&self, span: impl Into<AnySpan<'a>>, value: Arc<T>) {
        let set = |baggage: &mut Baggage| drop(baggage.swap_value(self.owner, Some(value)));
        span.into().change_baggage(set);
    }

    /// The value that goes with baggage, which an [injection](super::on_injection) is told of.
    pub fn in_baggage(&self, baggage: &Baggage) -> Option<Arc<T>> {
        self.find(baggage)
    }

    /// The context with a value of its own; what it was made of does not see it.
    #[must_use]
    pub fn with(&self, mut context: Context, value: Arc<T>) -> Context {
        context.change_baggage(|baggage| drop(baggage.swap_value(self.owner, Some(value))));
        context
    }

    fn find(&self, baggage: &Baggage) -> Option<Arc<T>> {
        Arc::clone(baggage.value(self.owner)?).downcast().ok()
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "a site names its link section")]
mod tests {
    use std::pin::pin;
    use std::task::{Context as TaskContext, Poll, Waker};

    use super::*;
    use crate::test_support::Recorder;
    use crate::trace::{Site, Span, carry, enter, inject, instrument};

    crate::site! { static OUTER: Site = Site::new("outer", "outer", module_path!(), file!(), line!()); }
    crate::site! { static INNER: Site = Site::new("inner", "inner", module_path!(), file!(), line!()); }

    static NUMBER: Inherited<u32> = Inherited::new("number");

    fn number() -> Option<u32> {
        NUMBER.get().map(|number| *number)
    }

    #[test]
    fn children_have_what_their_parent_had_when_they_began() {
        let _recorder = Recorder::new();
        let outer = enter(&OUTER);
        let before = enter(&INNER);
        NUMBER.set(Arc::new(1));
        drop(before);
        assert_eq!(number(), None, "the parent does not see it");
        NUMBER.set(Arc::new(2));
        let inner = enter(&INNER);
        assert_eq!(number(), Some(2));
        NUMBER.set(Arc::new(3));
        drop(inner);
        assert_eq!(number(), Some(2));
        let context = Context::current();
        drop(outer);
        assert_eq!(number(), None);
        std::thread::spawn(move || {
            let _attached = context.attach();
            assert_eq!(number(), Some(2));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn without_a_span_it_belongs_to_the_thread_and_to_roots_that_begin_there() {
        let _recorder = Recorder::new();
        NUMBER.set(Arc::new(7));
        let root = enter(&OUTER);
        assert_eq!(number(), Some(7));
        NUMBER.set(Arc::new(8));
        drop(root);
        assert_eq!(number(), Some(7));
        assert_eq!(std::thread::spawn(number).join().unwrap(), None);
        NUMBER.clear();
        assert_eq!(number(), None);
    }

    #[test]
    fn who_replaces_a_value_is_given_the_one_before() {
        let _recorder = Recorder::new();
        let replace = |value: Option<u32>| NUMBER.replace(value.map(Arc::new)).map(|was| *was);
        let cases = || {
            for (value, before) in [
                (Some(1), None),
                (Some(2), Some(1)),
                (None, Some(2)),
                (None, None),
            ] {
                assert_eq!(replace(value), before);
                assert_eq!(number(), value);
                assert_eq!(NUMBER.read(|number| *number), value);
            }
        };
        cases();
        let outer = enter(&OUTER);
        cases();
        NUMBER.set(Arc::new(3));
        let inner = enter(&INNER);
        assert_eq!(replace(Some(4)), Some(3));
        assert_eq!(replace(None), Some(4));
        assert_eq!(number(), None);
        drop(inner);
        assert_eq!(number(), Some(3), "the parent does not see it");
        drop(outer);
    }

    #[test]
    fn tasks_on_one_thread_do_not_see_each_others() {
        let _recorder = Recorder::new();
        let task = |value: u32| async move {
            NUMBER.set(Arc::new(value));
            for _ in 0..3 {
                yield_once().await;
                assert_eq!(number(), Some(value));
                let _child = enter(&INNER);
                assert_eq!(number(), Some(value));
            }
        };
        let mut tasks = (
            pin!(instrument(Span::start(&OUTER), task(1))),
            pin!(instrument(Span::start(&OUTER), task(2))),
            pin!(carry(async {
                yield_once().await;
                assert_eq!(number(), None);
            })),
        );
        let mut context = TaskContext::from_waker(Waker::noop());
        let _ = tasks.2.as_mut().poll(&mut context);
        for _ in 0..4 {
            let _ = tasks.0.as_mut().poll(&mut context);
            let _ = tasks.1.as_mut().poll(&mut context);
        }
        let _ = tasks.2.as_mut().poll(&mut context);
        assert_eq!(number(), None);
    }

    async fn yield_once() {
        let mut is_second = false;
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut is_second, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    #[test]
    fn nothing_of_it_is_in_a_header() {
        let _recorder = Recorder::new();
        NUMBER.set(Arc::new(1));
        let mut headers = http::HeaderMap::new();
        inject(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
        let _span = enter(&OUTER);
        inject(&mut headers);
        assert_eq!(headers.get("baggage"), None);
        NUMBER.clear();
    }
}
