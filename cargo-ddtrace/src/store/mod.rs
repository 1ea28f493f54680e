//! What was received, in memory, within a bound of bytes.
//!
//! ```text
//! segments   [sealed][sealed][sealed][open]     rows of spans, each run with a string table of its own
//! summaries  one row per trace                   what lists and the live view read
//! requests   the newest, with their bytes        problems   by rule, with examples
//! ```
//!
//! A request is decoded and checked outside, then stored under one lock *before it is answered*: what has been answered can be
//! read, so tests never sleep. Readers that walk all spans take the sealed segments by `Arc` and look at them
//! without the lock; only the open one is read under it. Every change gets a revision; a bounded list of changes
//! serves the event stream.
//!
//! Invariants: a row's `trace` is a summary's number (numbers below `first` are of traces that are no longer listed); a
//! summary's pieces name only segments that exist; the bytes of all segments stay under their share after every request.

pub mod counts;
pub mod ingest;
pub mod judge;
pub mod problems;
pub mod requests;
pub mod segment;
pub mod strings;
pub mod summary;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use counts::{Client, Counts};
use problems::Problems;
use requests::Requests;
use segment::{Row, Segment};
use summary::{Shelf, Summary};

/// How many summaries are kept at most.
const TRACES: usize = 100_000;
/// How many changes the event stream can go back.
const CHANGES: usize = 8192;

/// How large the store may become, and how patient it is.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes in all.
    pub memory: usize,
    /// How long a parent is waited for before its child is called an orphan.
    pub orphan_after_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: 256 << 20,
            orphan_after_ms: 30_000,
        }
    }
}

impl Limits {
    // Shares of the products that are still to come (snapshots, profiles) belong to the spans until then.
    fn spans(&self) -> usize {
        self.memory / 100 * 60
    }

    fn requests(&self) -> usize {
        self.memory / 100 * 10
    }

    fn summaries(&self) -> usize {
        self.memory / 100 * 15
    }

    pub(crate) fn llm(&self) -> usize {
        self.memory / 100 * 10
    }

    pub(crate) fn streams(&self) -> usize {
        self.memory / 100 * 5
    }
}

/// What changed with a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The trace of that number.
    Trace(u32),
    /// The request of that number.
    Request(u32),
    /// Problems.
    Problems,
    /// Counts, or clients.
    Status,
    /// Test sessions.
    Tests,
    /// Data streams.
    Streams,
    /// Spans of LLM Observability, evaluations, experiments.
    Llm,
    /// Pushed files, or what became of them.
    RemoteConfig,
    /// Everything is gone.
    Cleared,
}

/// The store; shared by reference.
#[derive(Debug)]
pub struct Store {
    kept: Mutex<Kept>,
    changed: watch::Sender<u64>,
}

/// What the store holds, behind its lock.
#[derive(Debug)]
pub struct Kept {
    /// Bounds.
    pub limits: Limits,
    /// Grows with every change.
    pub rev: u64,
    sealed: VecDeque<Arc<Segment>>,
    sealed_bytes: usize,
    open: Segment,
    /// Number of the first summary.
    first: u32,
    summaries: VecDeque<Summary>,
    summary_bytes: usize,
    shelf: Shelf,
    index: HashMap<u64, u32>,
    /// The newest requests.
    pub requests: Requests,
    next_request: u32,
    /// What was found wrong.
    pub problems: Problems,
    /// Who sends.
    pub clients: Vec<Client>,
    /// What is counted and never evicted.
    pub counts: Counts,
    changes: VecDeque<(u64, Change)>,
    judging: VecDeque<(i64, u32)>,
}

impl Store {
    /// An empty store.
    pub fn new(limits: Limits) -> Store {
        Store {
            kept: Mutex::new(Kept::new(limits, 0)),
            changed: watch::Sender::new(0),
        }
    }

    /// The content, locked. Hold it briefly: intake waits for it.
    pub fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic while it was held left at worst a summary half updated; going on is better than never answering.
        self.kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes the content and wakes those who wait for changes.
    pub fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        let mut kept = self.lock();
        let result = change(&mut kept);
        let rev = kept.rev;
        drop(kept);
        self.changed
            .send_if_modified(|seen| std::mem::replace(seen, rev) != rev);
        result
    }

    /// Tells of changes: the newest revision.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Shows `look` every segment, oldest first, and then `finish` the rest, under the lock that the open segment was
    /// looked at with: both see the same state.
    pub fn scan<A, T>(
        &self,
        scratch: &mut A,
        mut look: impl FnMut(&mut A, &Segment),
        finish: impl FnOnce(&mut A, &mut Kept) -> T,
    ) -> T {
        let sealed: Vec<_> = self.lock().sealed.iter().cloned().collect();
        for segment in &sealed {
            look(scratch, segment);
        }
        let next = sealed.last().map_or(0, |segment| segment.number + 1);
        drop(sealed);
        let mut kept = self.lock();
        for segment in kept.sealed.iter().filter(|segment| segment.number >= next) {
            look(scratch, segment);
        }
        look(scratch, &kept.open);
        finish(scratch, &mut kept)
    }

    /// Throws everything away.
    pub fn clear(&self) -> u64 {
        self.change(|kept| {
            let (limits, rev) = (kept.limits.clone(), kept.rev);
            // Numbers go on, so that nothing that somebody still holds means something else afterwards.
            let next = (
                kept.next_request,
                kept.first + kept.summaries.len() as u32,
                kept.open.number + 1,
            );
            let clients = std::mem::take(&mut kept.clients);
            *kept = Kept::new(limits, rev);
            (kept.next_request, kept.first) = (next.0, next.1);
            kept.open.number = next.2;
            kept.clients = clients;
            kept.note(Change::Cleared);
            kept.rev
        })
    }
}

impl Kept {
    fn new(limits: Limits, rev: u64) -> Kept {
        Kept {
            rev,
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            open: Segment::new(0, now()),
            first: 0,
            summaries: VecDeque::new(),
            summary_bytes: 0,
            shelf: Shelf::default(),
            index: HashMap::new(),
            requests: Requests::new(limits.requests()),
            next_request: 1,
            problems: Problems::default(),
            clients: Vec::new(),
            counts: Counts::default(),
            changes: VecDeque::new(),
            judging: VecDeque::new(),
            limits,
        }
    }

    /// Gives a change its revision.
    pub fn note(&mut self, change: Change) -> u64 {
        self.rev += 1;
        if self.changes.len() == CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back((self.rev, change));
        self.rev
    }

    /// What changed after a revision; `None` if that is too long ago, or is still to come.
    pub fn changes_after(&self, rev: u64) -> Option<impl Iterator<Item = Change>> {
        let reachable = self.rev - self.changes.len() as u64;
        (reachable..=self.rev).contains(&rev).then(|| {
            self.changes
                .iter()
                .skip((rev - reachable) as usize)
                .map(|(_, change)| *change)
        })
    }

    /// The summaries, oldest first, with their numbers.
    pub fn traces(&self) -> impl DoubleEndedIterator<Item = (u32, &Summary)> + ExactSizeIterator {
        let first = self.first;
        self.summaries
            .iter()
            .enumerate()
            .map(move |(at, summary)| (first + at as u32, summary))
    }

    /// The number of the oldest trace that is listed.
    pub fn first_trace(&self) -> u32 {
        self.first
    }

    /// A summary by number.
    pub fn trace(&self, number: u32) -> Option<&Summary> {
        self.summaries.get(number.checked_sub(self.first)? as usize)
    }

    fn trace_mut(&mut self, number: u32) -> Option<&mut Summary> {
        self.summaries
            .get_mut(number.checked_sub(self.first)? as usize)
    }

    /// The number of a trace, by the low half of its id; a high half that is given must fit.
    pub fn find_trace(&self, high: Option<u64>, low: u64) -> Option<u32> {
        let number = *self.index.get(&low)?;
        let summary = self.trace(number)?;
        (high.is_none() || high == Some(summary.high) || summary.high == 0).then_some(number)
    }

    /// The spans of a trace in the order of their coming, with the segments that hold their texts.
    pub fn rows_of(&self, trace: u32) -> impl Iterator<Item = (&Segment, &Row)> {
        self.trace(trace)
            .into_iter()
            .flat_map(|summary| &summary.pieces)
            .flat_map(move |piece| {
                let rows = piece.begin as usize..(piece.begin + piece.len) as usize;
                let segment = self.segment(piece.segment);
                // A piece may hold rows of other traces that came in between.
                segment.into_iter().flat_map(move |segment| {
                    segment.rows[rows.clone()]
                        .iter()
                        .filter(move |row| row.trace == trace)
                        .map(move |row| (segment, row))
                })
            })
    }

    /// A segment by number.
    pub fn segment(&self, number: u32) -> Option<&Segment> {
        if number == self.open.number {
            return Some(&self.open);
        }
        let at = self
            .sealed
            .binary_search_by_key(&number, |segment| segment.number)
            .ok()?;
        Some(&self.sealed[at])
    }

    /// Bytes of segments, of requests, of summaries.
    pub fn memory(&self) -> (usize, usize, usize) {
        (
            self.sealed_bytes + self.open.memory(),
            self.requests.memory(),
            self.summary_memory(),
        )
    }

    fn summary_memory(&self) -> usize {
        // Table entries of the index and of the problems by trace are small beside the summaries themselves.
        self.summary_bytes + self.shelf.memory() + self.index.capacity() * 17
    }

    /// When the oldest kept span came, if older ones are gone.
    pub fn kept_since(&self) -> Option<i64> {
        (self.counts.evicted_spans > 0).then(|| {
            self.sealed
                .front()
                .map_or(self.open.received_first, |segment| segment.received_first)
        })
    }

    fn seal_if_full(&mut self, now: i64) {
        if self.open.is_full() {
            let next = Segment::new(self.open.number + 1, now);
            let mut full = std::mem::replace(&mut self.open, next);
            full.seal();
            self.sealed_bytes += full.memory();
            self.sealed.push_back(Arc::new(full));
        }
    }

    /// Throws away the oldest segments and summaries until the rest fits.
    fn evict(&mut self) {
        let room = self.limits.spans();
        while self.sealed_bytes + self.open.memory() > room {
            let Some(segment) = self.sealed.pop_front() else {
                break;
            };
            self.sealed_bytes -= segment.memory();
            self.counts.evicted_spans += segment.rows.len() as u64;
            let mut last = None;
            for row in &segment.rows {
                if last.replace(row.trace) == Some(row.trace) {
                    continue;
                }
                if let Some(summary) = self.trace_mut(row.trace) {
                    summary
                        .pieces
                        .retain(|piece| piece.segment != segment.number);
                    if summary.pieces.is_empty() && !summary.evicted {
                        summary.evicted = true;
                        self.counts.evicted_traces += 1;
                    }
                }
            }
        }
        while self.summaries.len() > TRACES || self.summary_memory() > self.limits.summaries() {
            let Some(summary) = self.summaries.pop_front() else {
                break;
            };
            self.summary_bytes -= summary.memory();
            if self.index.get(&summary.low) == Some(&self.first) {
                self.index.remove(&summary.low);
            }
            self.problems.forget(self.first);
            self.counts.evicted_traces += u64::from(!summary.evicted);
            self.first += 1;
        }
    }
}

/// Nanoseconds since the epoch.
pub fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64)
}
