//! What waits for the worker: encoded spans, and evaluations.
//!
//! Bounded by number and by bytes; what finds no room is dropped and counted, and nobody waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use serde_json::Value;
use tokio::sync::Notify;

/// Events of one sort that wait at most.
pub(crate) const EVENTS: usize = 1000;
/// Bytes of spans that wait at most.
const BYTES: usize = 64 << 20;

static QUEUE: ArcSwapOption<Queue> = ArcSwapOption::const_empty();

/// Both sorts.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The process that it belongs to.
    process: u32,
    waiting: Mutex<Waiting>,
    dropped_spans: AtomicUsize,
    dropped_evaluations: AtomicUsize,
    is_half_full: Notify,
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) spans: Vec<Vec<u8>>,
    bytes: usize,
    pub(crate) evaluations: Vec<Value>,
}

/// What came of the queue.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) waiting: Waiting,
    pub(crate) dropped_spans: usize,
    pub(crate) dropped_evaluations: usize,
}

/// A queue for this process; what waited in the one before is lost.
pub(crate) fn make_ready() -> Arc<Queue> {
    let queue = Arc::new(Queue {
        process: std::process::id(),
        ..Queue::default()
    });
    QUEUE.store(Some(Arc::clone(&queue)));
    queue
}

/// The queue of this process. The child of a fork begins with one of its own: what waited in the parent's is the parent's to send.
pub(crate) fn of_this_process() -> Arc<Queue> {
    let queue = QUEUE.load_full();
    let queue = queue.filter(|queue| queue.process == std::process::id());
    queue.unwrap_or_else(make_ready)
}

/// Puts an encoded span into the queue.
pub(crate) fn send_span(event: Vec<u8>) {
    with(|queue, waiting| {
        if waiting.spans.len() >= EVENTS || waiting.bytes + event.len() > BYTES {
            queue.dropped_spans.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes += event.len();
        waiting.spans.push(event);
        if waiting.spans.len() == EVENTS / 2 || waiting.bytes > BYTES / 2 {
            queue.is_half_full.notify_one();
        }
    });
}

/// Puts an evaluation into the queue.
pub(crate) fn send_evaluation(event: Value) {
    with(|queue, waiting| {
        if waiting.evaluations.len() >= EVENTS {
            queue.dropped_evaluations.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.evaluations.push(event);
        if waiting.evaluations.len() == EVENTS / 2 {
            queue.is_half_full.notify_one();
        }
    });
}

fn with(put: impl FnOnce(&Queue, &mut Waiting)) {
    if let Some(queue) = QUEUE.load_full() {
        // Held for a push.
        let mut waiting = queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        put(&queue, &mut waiting);
    }
}

impl Queue {
    /// Takes everything.
    pub(crate) fn take(&self) -> Taken {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        Taken {
            waiting: std::mem::take(&mut *waiting),
            dropped_spans: self.dropped_spans.swap(0, Ordering::Relaxed),
            dropped_evaluations: self.dropped_evaluations.swap(0, Ordering::Relaxed),
        }
    }

    /// Waits until it is half full.
    pub(crate) async fn half_full(&self) {
        self.is_half_full.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let _one_at_a_time = crate::testing::lock();
        let queue = make_ready();
        for _ in 0..EVENTS + 5 {
            send_span(vec![1]);
            send_evaluation(Value::Null);
        }
        let taken = queue.take();
        assert_eq!(
            (taken.waiting.spans.len(), taken.dropped_spans),
            (EVENTS, 5)
        );
        assert_eq!(
            (taken.waiting.evaluations.len(), taken.dropped_evaluations),
            (EVENTS, 5)
        );
        send_span(vec![0; BYTES / 2 + 1]);
        send_span(vec![0; BYTES / 2 + 1]);
        let taken = queue.take();
        assert_eq!((taken.waiting.spans.len(), taken.dropped_spans), (1, 1));
        assert_eq!(queue.take().dropped_spans, 0);
    }
}
