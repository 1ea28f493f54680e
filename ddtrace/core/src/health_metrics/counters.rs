//! Numbers that only rise, one set per process. A forked child goes on from its parent's; only differences are sent.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    WriterAcceptedTraces,
    BufferAcceptedTraces,
    BufferAcceptedSpans,
    DroppedFullTraces,
    DroppedFullBytes,
    DroppedTooBigTraces,
    DroppedTooBigBytes,
    HttpRequests,
    HttpErrors,
    HttpSentBytes,
    HttpSentTraces,
    HttpDroppedBytes,
    HttpDroppedTraces,
}

/// Each with its name and tag, in the order of the type.
const NAMES: [(&str, Option<&str>); 13] = [
    ("writer.accepted.traces", None),
    ("buffer.accepted.traces", None),
    ("buffer.accepted.spans", None),
    ("buffer.dropped.traces", Some("reason:full")),
    ("buffer.dropped.bytes", Some("reason:full")),
    ("buffer.dropped.traces", Some("reason:t_too_big")),
    ("buffer.dropped.bytes", Some("reason:t_too_big")),
    ("http.requests", None),
    ("http.errors", Some("type:err")),
    ("http.sent.bytes", None),
    ("http.sent.traces", None),
    ("http.dropped.bytes", None),
    ("http.dropped.traces", None),
];

/// Statuses that are counted each by itself.
const STATUSES: std::ops::Range<u16> = 300..600;

const COUNTED: usize = NAMES.len() + (STATUSES.end - STATUSES.start) as usize;

static COUNTERS: [AtomicU64; COUNTED] = [const { AtomicU64::new(0) }; COUNTED];

pub(crate) fn add(counter: Counter, by: u64) {
    COUNTERS[counter as usize].fetch_add(by, Ordering::Relaxed);
}

/// Counts an answer: an error unless it is a success.
pub(crate) fn answered(status: u16) {
    if STATUSES.contains(&status) {
        let at = NAMES.len() + usize::from(status - STATUSES.start);
        COUNTERS[at].fetch_add(1, Ordering::Relaxed);
    }
}

/// Where the counters stood the last time.
pub(super) struct Since([u64; COUNTED]);

impl Since {
    pub(super) fn now() -> Self {
        Self(std::array::from_fn(|at| {
            COUNTERS[at].load(Ordering::Relaxed)
        }))
    }

    /// Calls `with` for what has risen, with name, tag and difference, and remembers where it stands.
    pub(super) fn for_each(&mut self, with: impl Fn(&str, Option<&str>, u64)) {
        for (at, before) in self.0.iter_mut().enumerate() {
            let now = COUNTERS[at].load(Ordering::Relaxed);
            let risen = now - std::mem::replace(before, now);
            if risen == 0 {
                continue;
            }
            match NAMES.get(at) {
                Some((name, tag)) => with(name, *tag, risen),
                None => {
                    let status = usize::from(STATUSES.start) + at - NAMES.len();
                    with("http.errors", Some(&format!("type:{status}")), risen);
                }
            }
        }
    }
}
