//! The list of listeners of one event.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::Event;
use crate::diagnostics;

/// When a listener runs relative to those of other products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Products that may stop what is happening: they see the fact first.
    Security,
    /// What belongs to traces themselves.
    Tracing,
    /// Everybody else.
    Product,
}

type Call<E> = Box<dyn for<'a> Fn(&mut <E as Event>::Payload<'a>) + Send + Sync>;

struct Listener<E: Event> {
    phase: Phase,
    product: &'static str,
    reported: AtomicBool,
    call: Call<E>,
}

/// Who listens to one event. Lives in the static that [`Event::listeners`] returns.
pub struct Listeners<E: Event> {
    /// Whether `list` has anything in it: all that a dispatch without listeners reads.
    any: AtomicBool,
    /// Sorted by phase; replaced as a whole, never changed in place.
    list: ArcSwapOption<Vec<Arc<Listener<E>>>>,
}

/// Listeners that panicked so far, in all events of the process.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// How often a listener has panicked in this process.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

impl<E: Event> Listeners<E> {
    /// An empty list.
    #[allow(clippy::new_without_default)] // it is the initial value of a static and nothing else
    pub const fn new() -> Self {
        Self {
            any: AtomicBool::new(false),
            list: ArcSwapOption::const_empty(),
        }
    }

    /// Whether nobody listens: one relaxed load.
    #[inline]
    pub fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, phase: Phase, product: &'static str, call: Call<E>) {
        let listener = Arc::new(Listener {
            phase,
            product,
            reported: AtomicBool::new(false),
            call,
        });
        // `rcu` tries again when another thread was faster, so no subscription is lost.
        self.list.rcu(|current| {
            let mut list: Vec<_> = current
                .iter()
                .flat_map(|list| list.iter())
                .filter(|other| other.product != product)
                .cloned()
                .collect();
            let at = list.partition_point(|other| other.phase <= phase);
            list.insert(at, listener.clone());
            Some(Arc::new(list))
        });
        self.any.store(true, Ordering::Relaxed);
    }

    #[inline(never)]
    pub(super) fn call(&self, payload: &mut E::Payload<'_>) {
        let list = self.list.load();
        for listener in list.iter().flat_map(|list| list.iter()) {
            // A listener that panicked half way may leave its own state broken, never ours: the payload is only borrowed.
            if catch_unwind(AssertUnwindSafe(|| (listener.call)(payload))).is_err() {
                listener.panicked();
            }
        }
    }
}

/// Calls what follows an exchange or a span. A panic in it is counted and ends there.
pub(super) fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(call));
    if result.is_err() {
        follower_panicked();
    }
    result.ok()
}

#[cold]
fn follower_panicked() {
    PANICS.fetch_add(1, Ordering::Relaxed);
    diagnostics::error(format_args!(
        "a product panicked while it followed what a library does; the library does not notice"
    ));
}

impl<E: Event> Listener<E> {
    #[cold]
    fn panicked(&self) {
        PANICS.fetch_add(1, Ordering::Relaxed);
        if !self.reported.swap(true, Ordering::Relaxed) {
            diagnostics::error(format_args!(
                "the listener of {} to {} panicked; it stays subscribed, further panics are only counted",
                self.product,
                E::NAME
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::super::{Block, Verdict, dispatch, on};
    use super::*;

    /// Declares an event of the test's own, so that no test sees the listeners of another.
    macro_rules! event {
        ($name:ident) => {
            #[allow(dead_code)] // most tests give no answer
            struct $name<'a> {
                seen: &'a Mutex<Vec<&'static str>>,
                verdict: Verdict,
            }

            impl<'a> $name<'a> {
                #[allow(dead_code)]
                fn new(seen: &'a Mutex<Vec<&'static str>>) -> Self {
                    Self {
                        seen,
                        verdict: Verdict::default(),
                    }
                }
            }

            impl Event for $name<'static> {
                type Payload<'a> = $name<'a>;
                const NAME: &'static str = stringify!($name);
                fn listeners() -> &'static Listeners<Self> {
                    static LISTENERS: Listeners<$name<'static>> = Listeners::new();
                    &LISTENERS
                }
            }
        };
    }

    #[test]
    fn without_listeners_the_payload_is_not_built() {
        event!(Quiet);
        assert!(Quiet::listeners().is_empty());
        let event = dispatch::<Quiet<'_>>(|| unreachable!("nobody asked for it"));
        assert!(event.is_none());
    }

    #[test]
    fn listeners_run_in_the_order_of_their_phases() {
        event!(Ordered);
        on::<Ordered<'_>>(Phase::Product, "c", |e| e.seen.lock().unwrap().push("c"));
        on::<Ordered<'_>>(Phase::Security, "a", |e| e.seen.lock().unwrap().push("a"));
        on::<Ordered<'_>>(Phase::Tracing, "b", |e| e.seen.lock().unwrap().push("b"));
        let seen = Mutex::new(Vec::new());
        dispatch::<Ordered<'_>>(|| Ordered::new(&seen));
        assert_eq!(*seen.lock().unwrap(), ["a", "b", "c"]);
    }

    #[test]
    fn the_same_product_replaces_itself() {
        event!(Replaced);
        on::<Replaced<'_>>(Phase::Product, "p", |e| e.seen.lock().unwrap().push("old"));
        on::<Replaced<'_>>(Phase::Product, "q", |e| {
            e.seen.lock().unwrap().push("other")
        });
        on::<Replaced<'_>>(Phase::Security, "p", |e| e.seen.lock().unwrap().push("new"));
        let seen = Mutex::new(Vec::new());
        dispatch::<Replaced<'_>>(|| Replaced::new(&seen));
        assert_eq!(*seen.lock().unwrap(), ["new", "other"]);
    }

    #[test]
    fn a_panicking_listener_is_counted_and_the_others_still_run() {
        event!(Fragile);
        on::<Fragile<'_>>(Phase::Security, "broken", |_| panic!("by design"));
        on::<Fragile<'_>>(Phase::Product, "sound", |e| {
            e.seen.lock().unwrap().push("sound")
        });
        let seen = Mutex::new(Vec::new());
        let before = panics();
        for _ in 0..2 {
            assert!(dispatch::<Fragile<'_>>(|| Fragile::new(&seen)).is_some());
        }
        assert_eq!(*seen.lock().unwrap(), ["sound", "sound"]);
        // Other tests may panic on purpose in the meantime.
        assert!(panics() >= before + 2);
    }

    #[test]
    fn the_first_block_is_the_answer() {
        event!(Answered);
        on::<Answered<'_>>(Phase::Product, "late", |e| {
            assert!(!e.verdict.block(Block::new(http::StatusCode::NOT_FOUND)));
        });
        on::<Answered<'_>>(Phase::Security, "early", |e| {
            assert!(e.verdict.block(Block::new(http::StatusCode::FORBIDDEN)));
        });
        let seen = Mutex::new(Vec::new());
        let event = dispatch::<Answered<'_>>(|| Answered::new(&seen)).unwrap();
        let block = event.verdict.into_block().unwrap();
        assert_eq!(block.status, http::StatusCode::FORBIDDEN);
    }

    #[test]
    fn a_listener_may_subscribe_and_dispatch_from_inside() {
        event!(Nested);
        static DEPTH: AtomicUsize = AtomicUsize::new(0);
        on::<Nested<'_>>(Phase::Product, "outer", |e| {
            if DEPTH.fetch_add(1, Ordering::Relaxed) == 0 {
                on::<Nested<'_>>(Phase::Product, "inner", |e| {
                    e.seen.lock().unwrap().push("inner")
                });
                dispatch::<Nested<'_>>(|| Nested::new(e.seen));
                e.seen.lock().unwrap().push("outer");
            }
        });
        let seen = Mutex::new(Vec::new());
        dispatch::<Nested<'_>>(|| Nested::new(&seen));
        // The call under way keeps the list that it began with: "inner" ran once, in the nested dispatch.
        assert_eq!(*seen.lock().unwrap(), ["inner", "outer"]);
    }

    #[test]
    fn threads_register_and_dispatch_at_once() {
        event!(Busy);
        const PRODUCTS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
        let seen = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for half in PRODUCTS.chunks(4) {
                scope.spawn(move || {
                    for &product in half {
                        on::<Busy<'_>>(Phase::Product, product, move |e| {
                            e.seen.lock().unwrap().push(product)
                        });
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    let ignored = Mutex::new(Vec::new());
                    for _ in 0..1000 {
                        dispatch::<Busy<'_>>(|| Busy::new(&ignored));
                    }
                });
            }
        });
        dispatch::<Busy<'_>>(|| Busy::new(&seen));
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, PRODUCTS);
    }
}
