//! Who is the last: the count of what is open in a segment, and what ended visits left behind.
//!
//! **Park before counting down.** Who ends the base of a visit tries to take the count from one to zero. If that works it
//! is alone, and collects what is parked. If not, it parks its own and *then* counts down; whoever reaches zero collects.
//! The other order would lose what is parked after the collection. A context that is attached after zero raises the count
//! again, and the same holds for what it leaves.
//!
//! Small and generic so that loom can try every order of it: `tests/long/loom`.

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard, atomic::AtomicU32};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard, atomic::AtomicU32};

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// The count and the parked things of one segment.
pub(crate) struct Visits<T> {
    open: AtomicU32,
    parked: Mutex<Vec<T>>,
}

/// What the end of a visit leads to.
pub(crate) enum Closed<T> {
    /// Nothing is open: this, and all that was parked, is complete.
    Last(T, Vec<T>),
    /// Nothing is open, and what this visit left was parked with the rest.
    LastOfParked(Vec<T>),
    /// Others are open, but so much is parked that it goes on its own.
    Overflow(Vec<T>),
    /// Others are open.
    Parked,
}

impl<T> Visits<T> {
    /// A count of one.
    pub(crate) fn new() -> Self {
        Self {
            open: AtomicU32::new(1),
            parked: Mutex::new(Vec::new()),
        }
    }

    /// Makes it that of another segment.
    #[cfg(not(loom))]
    pub(crate) fn reset(&mut self) {
        *self.open.get_mut() = 1;
        self.parked
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Counts one more that may outlive its visit.
    pub(crate) fn count_up(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts down what ended inside a visit of the same segment, which is itself counted.
    pub(crate) fn count_down_inside(&self) {
        self.open.fetch_sub(1, Ordering::Release);
    }

    /// Leaves something for whoever ends the segment; for callers inside a visit.
    pub(crate) fn park(&self, left: T) {
        self.lock().push(left);
    }

    /// Ends a visit that leaves `left` behind. `is_much` says whether what is parked by then should go on its own.
    #[inline]
    pub(crate) fn close(&self, left: T, is_much: impl FnOnce(&[T]) -> bool) -> Closed<T> {
        if self
            .open
            .compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            return Closed::Last(left, self.collect());
        }
        let mut ready = {
            let mut parked = self.lock();
            parked.push(left);
            if is_much(&parked) {
                std::mem::take(&mut *parked)
            } else {
                Vec::new()
            }
        };
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            ready.append(&mut self.collect());
            return Closed::LastOfParked(ready);
        }
        if ready.is_empty() {
            Closed::Parked
        } else {
            Closed::Overflow(ready)
        }
    }

    fn collect(&self) -> Vec<T> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32 as Counter, Ordering};
    use loom::thread;

    use super::*;

    fn count(closed: Closed<u32>) -> u32 {
        match closed {
            Closed::Last(_, rest) => 1 + rest.len() as u32,
            Closed::LastOfParked(all) | Closed::Overflow(all) => all.len() as u32,
            Closed::Parked => 0,
        }
    }

    /// Every order with at most three interruptions: known bugs of this kind need two.
    fn model(work: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(work);
    }

    /// Every order in which a root ends while another thread attaches its context, and a task that was counted before
    /// ends on a third: nothing is lost, nothing comes twice.
    fn three_visits(much: usize) {
        model(move || {
            let visits = Arc::new(Visits::<u32>::new());
            let seen = Arc::new(Counter::new(0));
            // A task that was started inside the root's visit.
            visits.count_up();
            let task = {
                let (visits, seen) = (Arc::clone(&visits), Arc::clone(&seen));
                thread::spawn(move || {
                    let closed = visits.close(1, |parked| parked.len() >= much);
                    seen.fetch_add(count(closed), Ordering::Relaxed);
                })
            };
            // A context that was carried elsewhere and is attached whenever it may be.
            let attached = {
                let (visits, seen) = (Arc::clone(&visits), Arc::clone(&seen));
                thread::spawn(move || {
                    visits.count_up();
                    let closed = visits.close(2, |parked| parked.len() >= much);
                    seen.fetch_add(count(closed), Ordering::Relaxed);
                })
            };
            let closed = visits.close(0, |parked| parked.len() >= much);
            seen.fetch_add(count(closed), Ordering::Relaxed);
            task.join().unwrap();
            attached.join().unwrap();
            assert_eq!(seen.load(Ordering::Relaxed), 3);
            assert_eq!(visits.open.load(Ordering::Relaxed), 0);
            assert!(visits.lock().is_empty());
        });
    }

    #[test]
    fn no_order_of_ends_loses_a_buffer() {
        three_visits(usize::MAX);
    }

    #[test]
    fn no_order_of_ends_loses_a_buffer_when_much_is_parked() {
        three_visits(1);
    }

    #[test]
    fn a_span_that_ends_inside_a_visit_never_ends_the_segment() {
        model(|| {
            let visits = Arc::new(Visits::<u32>::new());
            visits.count_up();
            let other = {
                let visits = Arc::clone(&visits);
                thread::spawn(move || count(visits.close(1, |_| false)))
            };
            // The root's visit: a counted child begins and ends inside it, and leaves an earlier visit's records.
            visits.count_up();
            visits.park(2);
            visits.count_down_inside();
            let here = count(visits.close(0, |_| false));
            assert_eq!(here + other.join().unwrap(), 3);
        });
    }
}
