//! The event hub: integrations publish facts, products subscribe.
//!
//! An integration knows a library; a product knows what it wants to learn. Neither knows the other, and both know only
//! this module. When a request arrives, the axum integration opens the span through core and then says
//! [`HttpServerRequest`]: who listens, and whether anybody does, is not its concern. Every kind of fact is a type of its
//! own, so a wrong payload does not compile; the documentation of that type is the contract between the two sides.
//!
//! # Publishing
//!
//! [`dispatch`] takes a closure that builds the payload. With no listener it costs one relaxed load and the closure is
//! not called. The payload may borrow whatever the integration has at hand, nothing is copied for the hub's sake.
//!
//! ```
//! use ddtrace_core::events::{self, Event, Listeners, Phase};
//!
//! /// A cup was filled.
//! pub struct CupFilled<'a> {
//!     pub owner: &'a str,
//! }
//!
//! impl Event for CupFilled<'static> {
//!     type Payload<'a> = CupFilled<'a>;
//!     const NAME: &'static str = "CupFilled";
//!     fn listeners() -> &'static Listeners<Self> {
//!         static LISTENERS: Listeners<CupFilled<'static>> = Listeners::new();
//!         &LISTENERS
//!     }
//! }
//!
//! # use std::sync::atomic::{AtomicUsize, Ordering};
//! # static SEEN: AtomicUsize = AtomicUsize::new(0);
//! events::on::<CupFilled<'_>>(Phase::Product, "kitchen", |event| {
//!     SEEN.fetch_add(event.owner.len(), Ordering::Relaxed);
//! });
//!
//! let owner = String::from("ada");
//! events::dispatch::<CupFilled<'_>>(|| CupFilled { owner: &owner });
//! # assert_eq!(SEEN.load(Ordering::Relaxed), 3);
//! ```
//!
//! # Adding an event
//!
//! 1. Write a struct with a lifetime for what it borrows, in the file of its family (`http.rs`, `sql.rs`, …; a new family
//!    is a new file). Say in its documentation when it is dispatched, by whom, on which thread, and what a listener may
//!    change. Give it a `span` if products should add tags, a [`Verdict`] if they may answer.
//! 2. Implement [`Event`] for its `'static` form, as above.
//! 3. Dispatch it. An event that nobody dispatches does not belong here.
//!
//! # Adding a product
//!
//! Subscribe in the start function of the product's [`Product`](crate::instrument::Product) descriptor, once per
//! event, with [`on`]: the phase says when, the name of the product says who. Subscriptions last for the life of the program, and a product that
//! subscribes again to the same event replaces itself, so that a second `init()` or a change of configuration does not
//! double its work. A product that can be switched off at run time looks at its own switch first thing in the listener.
//!
//! # Invariants
//!
//! * Listeners run on the thread that dispatches, in the order of [`Phase`]; the order within a phase is not promised.
//! * The list is swapped as a whole: dispatching takes no lock, and a listener that subscribes or dispatches from inside
//!   a call neither deadlocks nor changes the call that is under way.
//! * A panic in a listener ends with that listener: the others run, the integration goes on, [`panics`] counts it, and
//!   the first one of each listener is written to the log.
//! * An answer is given in the payload, which [`dispatch`] hands back: the first [`Block`] wins.

mod answer;
mod bridged;
mod error;
mod exchange;
mod http;
mod listeners;
mod messaging;
mod rpc;
mod sql;
mod tapped;

pub use answer::{Block, Verdict};
pub use bridged::{Attribute, BridgedSpan, FOLLOWERS, Follower, Followers};
pub use error::HandledError;
pub use exchange::{End, HttpClientExchange, TAPS, Tap, Taps};
pub use http::{
    HttpClientRequest, HttpClientResponse, HttpServerRequest, HttpServerResponse, OutgoingHeaders,
};
pub use listeners::{Listeners, Phase, panics};
pub use messaging::{
    MessageCommit, MessageConsume, MessageDelivered, MessageHeaders, MessageProcess,
    MessageProduce, MessageWatermark,
};
pub use rpc::RpcServerRequest;
pub use sql::{SqlQueryFinished, SqlQueryStarted};
pub use tapped::{Describe, Tapped};

/// A kind of fact that integrations dispatch and products listen to.
///
/// Implemented for the `'static` form of the payload's struct; see the [module](self) for an example.
pub trait Event: Sized + 'static {
    /// What a listener gets: it may borrow from the caller of [`dispatch`].
    type Payload<'a>;

    /// The name of the type, for the log and for telemetry.
    const NAME: &'static str;

    /// The event's own list. Every implementation returns a static of its own.
    fn listeners() -> &'static Listeners<Self>;
}

/// Subscribes `product` to an event for the life of the program.
///
/// A product has at most one listener per event: subscribing again replaces it, also when the phase differs. The listener
/// runs on the thread that dispatches, often that of a user's request, so it must be short and must not block.
pub fn on<E: Event>(
    phase: Phase,
    product: &'static str,
    listener: impl for<'a> Fn(&mut E::Payload<'a>) + Send + Sync + 'static,
) {
    E::listeners().add(phase, product, Box::new(listener));
}

/// Tells everybody who listens, and hands the payload back with the answers in it.
///
/// `None` means that nobody listens; then `payload` was not called and the cost was one relaxed load.
///
/// ```
/// # use ddtrace_core::events::{self, Event, Listeners, Phase, Verdict};
/// # struct Knock<'a> { name: &'a str, verdict: Verdict }
/// # impl Event for Knock<'static> {
/// #     type Payload<'a> = Knock<'a>;
/// #     const NAME: &'static str = "Knock";
/// #     fn listeners() -> &'static Listeners<Self> {
/// #         static LISTENERS: Listeners<Knock<'static>> = Listeners::new();
/// #         &LISTENERS
/// #     }
/// # }
/// let event = events::dispatch::<Knock<'_>>(|| Knock { name: "wolf", verdict: Verdict::default() });
/// if let Some(block) = event.and_then(|event| event.verdict.into_block()) {
///     // answer with `block` instead of going on
/// # let _ = block;
/// }
/// ```
#[inline]
pub fn dispatch<'a, E: Event>(payload: impl FnOnce() -> E::Payload<'a>) -> Option<E::Payload<'a>> {
    let listeners = E::listeners();
    if listeners.is_empty() {
        return None;
    }
    let mut payload = payload();
    listeners.call(&mut payload);
    Some(payload)
}
