//! What `#[dsm_checkpoint]` expands to calls.
//!
//! A function with a checkpoint is a handler of one message, or sends one: the pathway that it is on is its own. [`scope`]
//! remembers the one that is in force when the function begins and puts it in force again when it ends, so that two handlers on
//! one thread do not continue each other's. What works later keeps its pathway between polls: [`within`] around the body of
//! an `async fn`, [`carried`] around a future, stream or iterator that a function returns.
//!
//! With the product off each of them is one relaxed load.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ddtrace_core::propagation::{Carrier, CarrierMut};
use ddtrace_core::trace::{Tag, Value, current_span};
use futures_core::Stream;
use pin_project_lite::pin_project;

pub use crate::checkpoint::{consume, produce};
use crate::current::{self, Shared};
use crate::offset::track_transaction;

/// Whether the product is on: one relaxed load.
#[inline]
pub fn is_on() -> bool {
    crate::switch::is_on()
}

/// A transaction passes a checkpoint, and the active span says so, as for those that are read from headers. One without an id is none.
pub fn transaction(id: &str, checkpoint: &str) {
    if id.is_empty() {
        return;
    }
    track_transaction(id, checkpoint);
    let text = |key, value| Tag {
        key,
        value: Value::Text(value),
    };
    current_span().set_tags(&[
        text("dsm.transaction.id", id),
        text("dsm.transaction.checkpoint", checkpoint),
    ]);
}

/// Whoever passes a produce checkpoint without a carrier names this, so that the compiler says something.
#[deprecated(
    note = "without `carrier = …` nothing is written into the message, and its consumer begins a pathway of its own"
)]
pub const NOTHING_IS_INJECTED_WITHOUT_A_CARRIER: () = ();

/// Puts the pathway of before in force again when it is dropped; made by [`scope`].
#[must_use = "the pathway of before is in force again when this is dropped"]
#[derive(Debug)]
pub struct Scope {
    /// Nothing if the product was off.
    before: Option<Option<Arc<Shared>>>,
    /// Not `Send`: what is in force belongs to the thread.
    thread_bound: PhantomData<*const ()>,
}

/// Remembers the pathway in force.
#[inline]
pub fn scope() -> Scope {
    Scope {
        before: is_on().then(current::shared),
        thread_bound: PhantomData,
    }
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            current::recycle(current::replace(before));
        }
    }
}

pin_project! {
    /// A future, stream or iterator that is on a pathway of its own whenever it is asked for something.
    #[must_use = "futures and iterators do nothing unless asked"]
    #[derive(Debug)]
    pub struct InPathway<T> {
        #[pin]
        inner: T,
        held: Held,
    }
}

/// What was in force when the work was left the last time, or where it was taken along. Nothing yet: what is in force where it
/// is asked.
type Held = Option<Option<Arc<Shared>>>;

/// The pathway in force where [`in_force`] was called.
#[derive(Debug)]
pub struct InForce(Held);

/// Takes the pathway in force out of the span that is active here.
pub fn in_force() -> InForce {
    InForce(is_on().then(current::shared))
}

impl InForce {
    /// Puts it in force where this is called, too.
    pub fn put_in_force(self) {
        if let Some(shared) = self.0 {
            current::replace(shared);
        }
    }
}

/// Keeps what the future puts in force to the future.
pub fn within<T>(inner: T) -> InPathway<T> {
    InPathway { inner, held: None }
}

/// Takes the pathway in force along.
pub fn carried<T>(inner: T) -> InPathway<T> {
    let held = is_on().then(current::shared);
    InPathway { inner, held }
}

/// Works with the pathway in force that was so when the work was left the last time.
fn resume<R>(held: &mut Held, work: impl FnOnce() -> R) -> R {
    if held.is_none() && !is_on() {
        return work();
    }
    let before = match held.take() {
        Some(held) => current::replace(held),
        None => current::shared(),
    };
    let mut restored = Scope {
        before: Some(before),
        thread_bound: PhantomData,
    };
    let result = work();
    *held = restored.before.take().map(current::replace);
    result
}

impl<F: Future> Future for InPathway<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        resume(this.held, || this.inner.poll(task))
    }
}

impl<S: Stream> Stream for InPathway<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        resume(this.held, || this.inner.poll_next(task))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<I: Iterator> Iterator for InPathway<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        resume(&mut self.held, || self.inner.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

/// Whatever a message's headers are read from, asked by `(expression).as_carrier()`, which takes a place, a reference, an
/// `Option` of one.
pub trait AsCarrier {
    /// The carrier.
    fn as_carrier(&self) -> &dyn Carrier;
}

impl<C: Carrier> AsCarrier for C {
    #[inline]
    fn as_carrier(&self) -> &dyn Carrier {
        self
    }
}

impl AsCarrier for dyn Carrier + '_ {
    #[inline]
    fn as_carrier(&self) -> &dyn Carrier {
        self
    }
}

/// Whatever a message's headers are written to, asked in the same way.
pub trait AsCarrierMut {
    /// The carrier.
    fn as_carrier_mut(&mut self) -> &mut dyn CarrierMut;
}

impl<C: CarrierMut> AsCarrierMut for C {
    #[inline]
    fn as_carrier_mut(&mut self) -> &mut dyn CarrierMut {
        self
    }
}

impl AsCarrierMut for dyn CarrierMut + '_ {
    #[inline]
    fn as_carrier_mut(&mut self) -> &mut dyn CarrierMut {
        self
    }
}

/// What counts as a part of a message's size: text and bytes by their length, maps by the sum over keys and values, nothing
/// else, as in the other tracers.
pub trait Payload {
    /// Bytes.
    fn size(&self) -> u64;
}

macro_rules! by_length {
    ($($bytes:ty)*) => {$(
        impl Payload for $bytes {
            fn size(&self) -> u64 {
                self.len() as u64
            }
        }
    )*};
}
by_length!(str [u8] String Vec<u8> bytes::Bytes bytes::BytesMut Cow<'_, str> Cow<'_, [u8]> Arc<str> Arc<[u8]>);

macro_rules! uncounted {
    ($($plain:ty)*) => {$(
        impl Payload for $plain {
            fn size(&self) -> u64 {
                0
            }
        }
    )*};
}
uncounted!(() bool i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64);

impl<const N: usize> Payload for [u8; N] {
    fn size(&self) -> u64 {
        N as u64
    }
}

macro_rules! pointers {
    ($($pointer:ty)*) => {$(
        impl<T: Payload + ?Sized> Payload for $pointer {
            fn size(&self) -> u64 {
                (**self).size()
            }
        }
    )*};
}
pointers!(&T &mut T Box<T>);

impl<T: Payload> Payload for Option<T> {
    fn size(&self) -> u64 {
        self.as_ref().map_or(0, Payload::size)
    }
}

impl<K: Payload, V: Payload, S> Payload for HashMap<K, V, S> {
    fn size(&self) -> u64 {
        self.iter()
            .map(|(key, value)| key.size() + value.size())
            .sum()
    }
}

impl<K: Payload, V: Payload> Payload for BTreeMap<K, V> {
    fn size(&self) -> u64 {
        self.iter()
            .map(|(key, value)| key.size() + value.size())
            .sum()
    }
}

impl Payload for serde_json::Value {
    fn size(&self) -> u64 {
        match self {
            Self::String(text) => text.len() as u64,
            Self::Object(map) => map
                .iter()
                .map(|(key, value)| key.size() + value.size())
                .sum(),
            _ => 0,
        }
    }
}

/// Asks a value for its size without asking for a bound: [`Payload`], else `AsRef<[u8]>`, else nothing.
pub fn payload<T: ?Sized>(value: &T) -> IsPayload<'_, T> {
    IsPayload(IsBytes(IsUncounted(value)))
}

/// The first that is asked.
#[derive(Debug)]
pub struct IsPayload<'a, T: ?Sized>(IsBytes<'a, T>);

/// The second.
#[derive(Debug)]
pub struct IsBytes<'a, T: ?Sized>(IsUncounted<'a, T>);

/// The last.
#[derive(Debug)]
pub struct IsUncounted<'a, T: ?Sized>(&'a T);

impl<'a, T: ?Sized> Deref for IsPayload<'a, T> {
    type Target = IsBytes<'a, T>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, T: ?Sized> Deref for IsBytes<'a, T> {
    type Target = IsUncounted<'a, T>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Payload + ?Sized> IsPayload<'_, T> {
    /// Bytes.
    pub fn size(&self) -> u64 {
        self.0.0.0.size()
    }
}

impl<T: AsRef<[u8]> + ?Sized> IsBytes<'_, T> {
    /// Bytes.
    pub fn size(&self) -> u64 {
        self.0.0.as_ref().len() as u64
    }
}

impl<T: ?Sized> IsUncounted<'_, T> {
    /// Nothing that counts.
    pub fn size(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Body([u8; 3]);

    impl AsRef<[u8]> for Body {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    /// §8 of the specification.
    #[test]
    fn payloads_are_measured_by_what_they_are() {
        let headers = BTreeMap::from([("key".to_owned(), vec![1_u8, 2])]);
        let of_numbers = HashMap::from([("key", 7)]);
        let json = serde_json::json!({"a": "für", "b": {"c": "d"}, "list": ["e"], "number": 1});
        for (found, expected) in [
            (payload("für").size(), 4),
            (payload(&"für".to_owned()).size(), 4),
            (payload(&vec![0_u8; 7]).size(), 7),
            (payload(&[0_u8; 7][..]).size(), 7),
            (payload(b"abc").size(), 3),
            (payload(&bytes::Bytes::from_static(b"abc")).size(), 3),
            (payload(&Some("abc")).size(), 3),
            (payload(&None::<&str>).size(), 0),
            (payload(&headers).size(), 5),
            (payload(&of_numbers).size(), 3),
            (payload(&json).size(), 1 + 4 + 1 + 1 + 1 + 4 + 6),
            (payload(&Body([0; 3])).size(), 3),
            (payload(&vec!["a", "b"]).size(), 0),
            (payload(&17_u64).size(), 0),
        ] {
            assert_eq!(found, expected);
        }
    }
}
