//! Where lines of all threads wait for the worker.
//!
//! A few shards, each a lock around one list of bytes. Lines of one name always go to one shard, so that values of a gauge stay in
//! the order in which they were sent. The lock is held for copying a line or for swapping the list; who does not get it
//! after many tries, because its holder was put to sleep, loses the line and counts it.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// Bytes of lines that may wait, in all.
pub(super) const LIMIT: usize = 2 << 20;

const SHARDS: usize = 8;

/// Bytes in one shard from which on the worker is asked to hurry.
const HURRY_AT: usize = LIMIT / SHARDS / 8;

/// How often a thread asks for a shard before it gives up.
const LOCK_TRIES: usize = 1000;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It waits with others.
    Waits,
    /// It is the first of its shard: somebody has to come for it.
    First,
    /// So many wait that they should be sent at once.
    Hurry,
    /// There was no room.
    Dropped,
}

pub(super) struct Buffer {
    shards: [Mutex<Vec<u8>>; SHARDS],
    hasher: RandomState,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
        }
    }

    /// Adds a line, with a line end behind it.
    pub(super) fn add(&self, name: &str, line: &str) -> Added {
        let shard = self.hasher.hash_one(name) as usize % SHARDS;
        let Some(mut waiting) = lock_soon(&self.shards[shard]) else {
            return Added::Dropped;
        };
        let before = waiting.len();
        let after = before + line.len() + 1;
        if after > LIMIT / SHARDS {
            return Added::Dropped;
        }
        waiting.extend_from_slice(line.as_bytes());
        waiting.push(b'\n');
        match before {
            0 => Added::First,
            before if before < HURRY_AT && after >= HURRY_AT => Added::Hurry,
            _ => Added::Waits,
        }
    }

    /// Swaps what waits in each shard for an empty list, and gives it to `take`.
    pub(super) fn drain(&self, spare: &mut Vec<u8>, mut take: impl FnMut(&[u8])) {
        for shard in &self.shards {
            spare.clear();
            if let Some(mut waiting) = lock_soon(shard) {
                std::mem::swap(&mut *waiting, spare);
            }
            if !spare.is_empty() {
                take(spare);
            }
        }
        spare.clear();
    }
}

fn lock_soon(shard: &Mutex<Vec<u8>>) -> Option<MutexGuard<'_, Vec<u8>>> {
    for _ in 0..LOCK_TRIES {
        match shard.try_lock() {
            Ok(waiting) => return Some(waiting),
            Err(TryLockError::Poisoned(error)) => return Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}

/// Packs lines into datagrams of at most `limit` bytes, as many as fit into each. A line that is longer goes alone.
pub(super) struct Datagrams<'a> {
    rest: &'a [u8],
    limit: usize,
}

impl<'a> Datagrams<'a> {
    /// `lines` end with a line end each.
    pub(super) fn new(lines: &'a [u8], limit: usize) -> Self {
        Self { rest: lines, limit }
    }
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        // The line end of the last line need not fit.
        let window = &self.rest[..self.rest.len().min(self.limit + 1)];
        let end = match window.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end,
            None => self
                .rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(self.rest.len()),
        };
        let datagram = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn datagrams_hold_as_many_whole_lines_as_fit() {
        let cases: [(&str, usize, &[&str]); 5] = [
            ("", 4, &[]),
            ("ab\ncd\n", 5, &["ab\ncd"]),
            ("ab\ncd\n", 4, &["ab", "cd"]),
            ("ab\nlonger\ncd\n", 4, &["ab", "longer", "cd"]),
            ("ab\nc\nde\n", 4, &["ab\nc", "de"]),
        ];
        for (lines, limit, expected) in cases {
            let datagrams: Vec<_> = Datagrams::new(lines.as_bytes(), limit)
                .map(|datagram| std::str::from_utf8(datagram).unwrap())
                .collect();
            assert_eq!(datagrams, expected, "{lines:?} {limit}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_lost_torn_or_packed_beyond_the_limit(lines in proptest::collection::vec("[a-z]{1,20}", 0..40), limit in 1usize..60) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut seen = Vec::new();
            for datagram in Datagrams::new(text.as_bytes(), limit) {
                let datagram = std::str::from_utf8(datagram).unwrap();
                let held: Vec<_> = datagram.split('\n').map(str::to_owned).collect();
                prop_assert!(datagram.len() <= limit || held.len() == 1);
                seen.extend(held);
            }
            prop_assert_eq!(seen, lines);
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_the_rest_stays_whole() {
        let buffer = Buffer::new();
        let line = "x".repeat(1000);
        let mut kept = 0;
        let mut outcomes = Vec::new();
        loop {
            match buffer.add("name", &line) {
                Added::Dropped => break,
                outcome => {
                    kept += 1;
                    if outcome != Added::Waits {
                        outcomes.push(outcome);
                    }
                }
            }
        }
        assert_eq!(kept, LIMIT / SHARDS / 1001);
        assert_eq!(outcomes, [Added::First, Added::Hurry]);
        let (mut spare, mut bytes) = (Vec::new(), 0);
        buffer.drain(&mut spare, |lines| bytes += lines.len());
        assert_eq!(bytes, kept * 1001);
        assert_eq!(buffer.add("name", &line), Added::First);
    }

    #[test]
    fn a_shard_that_stays_locked_costs_the_line_only() {
        let buffer = Buffer::new();
        let held: Vec<_> = buffer
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap())
            .collect();
        assert_eq!(buffer.add("name", "line"), Added::Dropped);
        drop(held);
        assert_eq!(buffer.add("name", "line"), Added::First);
    }
}
