//! The way of a finished chunk from the thread that made it to the worker.
//!
//! Each thread has an outbox of its own, so threads share nothing. It has two slots behind a mutex each, and the thread takes
//! whichever it gets: the worker holds at most one of them at a time, for the length of a swap, so the thread never waits.
//! It may meet the worker in one slot and, when the worker has moved on, in the other; so it tries them in turn until one is
//! free, which is at once unless the worker does nothing but change slots: no chunk is lost to a collision. A slot also brings emptied buffers back. What waits is bounded in bytes
//! ([`Outbox::set_limit`], the worker shares one budget out among the threads); what does not fit is dropped and counted.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use super::segment::Buffer;

/// Chunks in a slot at which the worker is woken before its time.
const WAKE_AT: usize = 64;

/// How often a thread tries a slot. Each time that it meets the worker, the worker has moved on to the other.
const TRIES: usize = 64;

/// Bytes that one thread may have waiting until the worker says otherwise.
const FIRST_LIMIT: usize = 16 << 20;

/// Emptied buffers that a slot keeps for its thread while it is busy, and when it is not.
///
/// As deep as a worker's tick of traffic, or a burst allocates; a thread that has calmed down gives the memory back.
const FREE_LIMIT: usize = 4096;
const FREE_WHEN_CALM: usize = 64;

/// Rounds of the worker without a chunk after which a thread counts as calm: seconds, not the pause between two bursts.
const CALM_AFTER: u32 = 16;

#[derive(Default)]
struct Slot {
    done: Vec<Box<Buffer>>,
    free: Vec<Box<Buffer>>,
    bytes: usize,
    /// Rounds without a chunk.
    quiet: u32,
}

impl Slot {
    /// Whether a chunk of this weight may wait here; counts it if so.
    ///
    /// Where threads are many the share of each is small: a chunk that is larger is taken all the same while less than half of
    /// the share is in use, and counted as half a share, so that it neither is kept out by small ones nor keeps those out.
    fn admits(&mut self, weight: usize, limit: usize) -> bool {
        if self.bytes + weight <= limit {
            self.bytes += weight;
            return true;
        }
        let is_admitted = self.bytes < limit / 2 && weight <= FIRST_LIMIT;
        if is_admitted {
            self.bytes += weight.min(limit / 2);
        }
        is_admitted
    }
}

/// One thread's queue to the worker.
pub(crate) struct Outbox {
    slots: [Mutex<Slot>; 2],
    limit: AtomicUsize,
    dropped_chunks: AtomicU64,
    dropped_spans: AtomicU64,
    /// Its thread has ended.
    closed: AtomicBool,
}

/// What became of a chunk.
pub(crate) struct HandedOver {
    /// An emptied buffer for the next segment, if one was there.
    pub(crate) free: Option<Box<Buffer>>,
    /// The worker should be woken.
    pub(crate) wake: bool,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            slots: Default::default(),
            limit: AtomicUsize::new(FIRST_LIMIT),
            dropped_chunks: AtomicU64::new(0),
            dropped_spans: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Leaves a chunk for the worker. One uncontended lock; never waits.
    pub(crate) fn put(&self, mut buffer: Box<Buffer>) -> HandedOver {
        for slot in self.slots.iter().cycle().take(TRIES) {
            let mut slot = match slot.try_lock() {
                Ok(slot) => slot,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            if !slot.admits(buffer.weight(), self.limit.load(Ordering::Relaxed)) {
                break;
            }
            slot.done.push(buffer);
            return HandedOver {
                wake: slot.done.len() == WAKE_AT,
                free: slot.free.pop(),
            };
        }
        self.count_dropped(1, buffer.span_count());
        buffer.clear();
        // The worker was woken long before the queue was full.
        HandedOver {
            free: Some(buffer),
            wake: false,
        }
    }

    /// The same for an outbox that many threads write to: waits for a slot, whose holders only swap.
    pub(crate) fn put_shared(&self, buffer: Box<Buffer>) {
        let mut slot = self.slots[0].lock().unwrap_or_else(PoisonError::into_inner);
        if !slot.admits(buffer.weight(), self.limit.load(Ordering::Relaxed)) {
            self.count_dropped(1, buffer.span_count());
            return;
        }
        slot.done.push(buffer);
    }

    /// An emptied buffer, if one was brought back.
    pub(crate) fn take_free(&self) -> Option<Box<Buffer>> {
        self.slots
            .iter()
            .find_map(|slot| slot.try_lock().ok()?.free.pop())
    }

    /// The worker's side: moves all that waits into `chunks`.
    pub(crate) fn collect(&self, chunks: &mut Vec<Box<Buffer>>) {
        for slot in &self.slots {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            chunks.append(&mut slot.done);
            slot.bytes = 0;
        }
    }

    /// The worker's side: brings emptied buffers back. Half of what a calm thread does not need is let go each time.
    pub(crate) fn give_back(&self, buffers: &mut Vec<Box<Buffer>>) {
        let is_quiet = buffers.is_empty();
        let let_go = {
            let mut slot = self.slots[0].lock().unwrap_or_else(PoisonError::into_inner);
            slot.quiet = if is_quiet {
                slot.quiet.saturating_add(1)
            } else {
                0
            };
            if is_quiet && slot.quiet < CALM_AFTER {
                Vec::new()
            } else if is_quiet {
                let kept = slot.free.len() / 2;
                if kept < FREE_WHEN_CALM {
                    Vec::new()
                } else {
                    slot.free.split_off(kept)
                }
            } else {
                let room = FREE_LIMIT.saturating_sub(slot.free.len());
                let from = buffers.len().saturating_sub(room);
                slot.free.extend(buffers.drain(from..));
                Vec::new()
            }
        };
        drop(let_go);
        buffers.clear();
    }

    /// Sets how many bytes may wait.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_dropped(&self, chunks: u64, spans: usize) {
        self.dropped_chunks.fetch_add(chunks, Ordering::Relaxed);
        self.dropped_spans
            .fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Chunks and spans that were dropped since the last call.
    pub(crate) fn take_dropped(&self) -> (u64, u64) {
        (
            self.dropped_chunks.swap(0, Ordering::Relaxed),
            self.dropped_spans.swap(0, Ordering::Relaxed),
        )
    }

    /// Says that nothing more will come.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "a site names its link section")]
mod tests {
    use super::*;
    use crate::trace::Site;

    crate::site! {
        static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!());
    }

    /// The worker goes from slot to slot as fast as it can, and so meets the thread in one and then in the other.
    #[test]
    fn a_chunk_is_not_lost_to_a_worker_that_changes_slots() {
        const CHUNKS: usize = 50_000;
        let recorder = crate::test_support::Recorder::new();
        let segment = recorder.tracer().new_segment(Default::default(), &WORK);
        let outbox = Outbox::new();
        // Room for all of them: this is about locks, and on a busy machine the worker may get no turn for long.
        outbox.set_limit(1 << 30);
        let is_done = AtomicBool::new(false);
        let mut collected = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..CHUNKS {
                    outbox.put(Buffer::new(segment.clone()));
                }
                is_done.store(true, Ordering::Release);
            });
            let mut chunks = Vec::new();
            while !is_done.load(Ordering::Acquire) {
                outbox.collect(&mut chunks);
                collected += chunks.len();
                chunks.clear();
            }
            outbox.collect(&mut chunks);
            collected += chunks.len();
        });
        assert_eq!((collected, outbox.take_dropped()), (CHUNKS, (0, 0)));
    }

    #[test]
    fn a_chunk_beyond_the_share_is_taken_while_less_than_half_of_it_is_in_use() {
        const SHARE: usize = 64 << 10;
        // What comes one after the other into a slot, and whether it is taken.
        let cases: [&[(usize, bool)]; 5] = [
            &[(SHARE, true), (1, false)],
            &[(1 << 10, true), (5 * SHARE, true), (20 << 10, true)],
            &[(SHARE / 2, true), (SHARE, false), (SHARE / 2, true)],
            &[(FIRST_LIMIT, true), (FIRST_LIMIT, false)],
            &[(FIRST_LIMIT + 1, false), (1, true)],
        ];
        for case in cases {
            let mut slot = Slot::default();
            for &(weight, is_taken) in case {
                assert_eq!(slot.admits(weight, SHARE), is_taken, "{weight} of {case:?}");
            }
        }
    }
}
