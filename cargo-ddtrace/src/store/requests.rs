//! The newest requests, with their bytes as long as there is room.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;

use super::problems::Problem;
use crate::validate::Level;

/// How many requests are listed, their bytes aside.
const LISTED: usize = 10_000;
/// A body over this share of the room is not kept: it would push out all others.
const SHARE: usize = 4;

/// What became of the bytes of a request.
#[derive(Debug, Clone)]
pub enum Raw {
    /// They are here, after decompression.
    Kept(Bytes),
    /// They made room for newer ones.
    Evicted,
    /// They held something that looks like a secret.
    Secret,
    /// There were none.
    Empty,
    /// They are too many.
    TooLarge,
}

impl Raw {
    /// Its name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Raw::Kept(_) => "kept",
            Raw::Evicted => "evicted",
            Raw::Secret => "secret",
            Raw::Empty => "empty",
            Raw::TooLarge => "too_large",
        }
    }
}

/// One request to the intake.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named as in API.md
pub struct Request {
    pub n: u32,
    pub time: i64,
    pub method: String,
    pub path: String,
    pub kind: &'static str,
    pub status: u16,
    pub bytes: usize,
    pub inflated: usize,
    pub content_type: String,
    pub encoding: String,
    pub micros: u64,
    pub language: String,
    pub tracer_version: String,
    pub runtime_id: String,
    pub chunks: usize,
    pub spans: usize,
    pub traces: Vec<String>,
    pub problems: usize,
    pub worst: Option<Level>,
    pub raw: Raw,
    pub fault: Option<&'static str>,
    pub forwarded: Option<u16>,
    pub headers: Vec<(String, String)>,
    pub answer: String,
    pub findings: Vec<Arc<Problem>>,
}

/// The newest requests.
#[derive(Debug)]
pub struct Requests {
    list: VecDeque<Request>,
    /// The first in `list` that still has bytes may not stand before this place.
    oldest_raw: usize,
    raw_bytes: usize,
    room: usize,
    /// How many are no longer listed.
    pub evicted: u64,
}

impl Requests {
    /// With room for that many bytes of bodies.
    pub fn new(room: usize) -> Requests {
        Requests {
            list: VecDeque::new(),
            oldest_raw: 0,
            raw_bytes: 0,
            room,
            evicted: 0,
        }
    }

    /// Adds one.
    pub fn push(&mut self, mut request: Request) {
        if let Raw::Kept(bytes) = &request.raw {
            if bytes.len() > self.room / SHARE {
                request.raw = Raw::TooLarge;
            } else {
                self.raw_bytes += bytes.len();
            }
        }
        self.list.push_back(request);
        while self.raw_bytes > self.room && self.oldest_raw < self.list.len() {
            let old = &mut self.list[self.oldest_raw];
            if let Raw::Kept(bytes) = &old.raw {
                self.raw_bytes -= bytes.len();
                old.raw = Raw::Evicted;
            }
            self.oldest_raw += 1;
        }
        if self.list.len() > LISTED {
            if let Some(Request {
                raw: Raw::Kept(bytes),
                ..
            }) = self.list.pop_front()
            {
                self.raw_bytes -= bytes.len();
            }
            self.oldest_raw = self.oldest_raw.saturating_sub(1);
            self.evicted += 1;
        }
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Request> {
        self.list.iter()
    }

    /// By number.
    pub fn get(&self, n: u32) -> Option<&Request> {
        self.list
            .binary_search_by_key(&n, |request| request.n)
            .ok()
            .map(|at| &self.list[at])
    }

    /// By number.
    pub fn get_mut(&mut self, n: u32) -> Option<&mut Request> {
        self.list
            .binary_search_by_key(&n, |request| request.n)
            .ok()
            .map(|at| &mut self.list[at])
    }

    /// How many are listed.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether none came yet.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.raw_bytes + self.list.len() * (size_of::<Request>() + 1024)
    }
}
