//! One row per trace: what the list and the live view show, and what rules over several chunks remember.

use std::collections::HashMap;
use std::sync::Arc;

use crate::validate::Level;

/// A run of rows of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The segment's number.
    pub segment: u32,
    /// Its first row of the trace.
    pub begin: u32,
    /// How many follow.
    pub len: u32,
}

/// The span by which a trace is known.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // fields of a span
pub struct Entry {
    pub span: u64,
    pub service: Arc<str>,
    pub name: Arc<str>,
    pub resource: Arc<str>,
    pub span_type: Arc<str>,
    pub kind: Arc<str>,
    pub method: Arc<str>,
    pub status: Arc<str>,
    pub start: i64,
    pub duration: i64,
    pub error: bool,
    /// It has no parent.
    pub is_root: bool,
    /// Its parent is, as it says itself, in another process.
    pub is_remote: bool,
}

/// What one process said of a trace first; its later chunks are held against it.
#[derive(Debug, Clone)]
pub struct Said {
    /// Whose word it is.
    pub process: Arc<str>,
    /// The sampling priority.
    pub priority: Option<i32>,
    /// `_dd.p.dm`.
    pub decision_maker: Option<Arc<str>>,
}

/// A trace.
#[derive(Debug)]
#[allow(missing_docs)] // named as in API.md
pub struct Summary {
    pub low: u64,
    pub high: u64,
    pub start: i64,
    pub end: i64,
    pub entry: Option<Entry>,
    pub spans: u32,
    pub errors: u32,
    pub services: Vec<Arc<str>>,
    pub env: Arc<str>,
    pub priority: Option<i32>,
    pub said: Vec<Said>,
    pub problems: u32,
    pub worst: Option<Level>,
    pub late: bool,
    pub evicted: bool,
    pub first_seen: i64,
    pub updated: i64,
    pub rev: u64,
    pub pieces: Vec<Piece>,
    /// Some chunk had `_dd.p.tid`, some had not.
    pub high_seen: (bool, bool),
    /// Orphans are still to be judged.
    pub unjudged: bool,
}

impl Summary {
    /// A trace of which nothing is known but its id.
    pub fn new(low: u64, high: u64, now: i64) -> Summary {
        Summary {
            low,
            high,
            start: i64::MAX,
            end: i64::MIN,
            entry: None,
            spans: 0,
            errors: 0,
            services: Vec::new(),
            env: Arc::from(""),
            priority: None,
            said: Vec::new(),
            problems: 0,
            worst: None,
            late: false,
            evicted: false,
            first_seen: now,
            updated: now,
            rev: 0,
            pieces: Vec::new(),
            high_seen: (false, false),
            unjudged: false,
        }
    }

    /// The id as the API writes it.
    pub fn id(&self) -> String {
        format!("{:016x}{:016x}", self.high, self.low)
    }

    /// From the first start to the last end.
    pub fn duration(&self) -> i64 {
        self.end.saturating_sub(self.start).max(0)
    }

    /// Whether a span without a parent came.
    pub fn has_root(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.is_root)
    }

    /// Bytes of memory, shared texts left out.
    pub fn memory(&self) -> usize {
        size_of::<Summary>()
            + self.services.capacity() * size_of::<Arc<str>>()
            + self.said.capacity() * size_of::<Said>()
            + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Takes another span as a candidate for the entry: a root wins over others, then an earlier start.
    pub fn wants_entry(&self, is_root: bool, start: i64) -> bool {
        match &self.entry {
            None => true,
            Some(entry) if entry.is_root != is_root => is_root,
            Some(entry) => start < entry.start,
        }
    }
}

/// Texts of summaries, shared between them; those that nobody uses any more are swept.
#[derive(Debug, Default)]
pub struct Shelf {
    texts: HashMap<Arc<str>, ()>,
    bytes: usize,
    swept_at: usize,
}

impl Shelf {
    /// The shared copy of a text.
    pub fn get(&mut self, text: &str) -> Arc<str> {
        if let Some((found, ())) = self.texts.get_key_value(text) {
            return found.clone();
        }
        if self.texts.len() > self.swept_at.max(1000) * 2 {
            let mut bytes = 0;
            self.texts.retain(|text, ()| {
                let used = Arc::strong_count(text) > 1;
                bytes += if used { cost(text) } else { 0 };
                used
            });
            (self.swept_at, self.bytes) = (self.texts.len(), bytes);
        }
        let text: Arc<str> = Arc::from(text);
        self.bytes += cost(&text);
        self.texts.insert(text.clone(), ());
        text
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.bytes
    }
}

fn cost(text: &str) -> usize {
    text.len() + 48
}
