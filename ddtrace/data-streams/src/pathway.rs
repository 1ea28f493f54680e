//! A pathway, and what a checkpoint does to it.
//!
//! A message passes checkpoints: where it is produced, where it is consumed, where something is produced because of it. Its
//! pathway is a hash of all checkpoints so far, with the time at which it began and the time of the last one. Consuming and
//! then producing goes on; producing again goes on from what was consumed, so every branch of a fan-out has the same parent.
//! Source: dd-trace-py, `DataStreamsCtx` in `ddtrace/internal/datastreams/processor.py`.

use std::sync::Arc;
use std::time::SystemTime;

use ddtrace_core::propagation::{Carrier, CarrierMut};

use crate::encoding::Travelling;
use crate::hash::Node;
use crate::tags::{Cache, Direction, EdgeTags, Given};
use crate::time::Nanoseconds;

/// Where a message is in the flow of messages.
///
/// Cheap to copy. The one of the message that was consumed last is in force where its consumer works, see
/// [`current_pathway`](crate::current_pathway), and goes along with contexts that are carried from there; in headers it travels
/// by [`inject`](Self::inject) and [`extract`](Self::extract).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pathway {
    hash: u64,
    pathway_start: Nanoseconds,
    edge_start: Nanoseconds,
    previous: Direction,
    closest_opposite_hash: u64,
    closest_opposite_edge_start: Nanoseconds,
}

/// One passage of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) tags: Arc<EdgeTags>,
    pub(crate) hash: u64,
    pub(crate) parent: u64,
    pub(crate) at: Nanoseconds,
    /// Since the checkpoint before.
    pub(crate) edge_latency: Nanoseconds,
    /// Since the pathway began.
    pub(crate) pathway_latency: Nanoseconds,
    /// Bytes.
    pub(crate) payload_size: u64,
}

/// What is said about one passage.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passage {
    pub(crate) payload_size: u64,
    /// Whether the header that is about to be added counts, too.
    pub(crate) adds_header: bool,
    pub(crate) edge_start: Option<Nanoseconds>,
    pub(crate) pathway_start: Option<Nanoseconds>,
}

impl Pathway {
    /// A pathway that begins at a moment, without a checkpoint yet.
    pub(crate) fn begin(now: Nanoseconds) -> Self {
        Self {
            hash: 0,
            pathway_start: now,
            edge_start: now,
            previous: Direction::None,
            closest_opposite_hash: 0,
            closest_opposite_edge_start: now,
        }
    }

    fn arrived(travelling: Travelling) -> Self {
        Self {
            hash: travelling.hash,
            pathway_start: travelling.pathway_start,
            edge_start: travelling.edge_start,
            previous: Direction::None,
            closest_opposite_hash: 0,
            closest_opposite_edge_start: travelling.edge_start,
        }
    }

    /// The pathway of a message, by its headers: `dd-pathway-ctx-base64`, or the older `dd-pathway-ctx`. One that begins now if
    /// there is none, or none that can be read.
    pub fn extract(carrier: &dyn Carrier) -> Self {
        match Travelling::extract(carrier) {
            Some(travelling) => Self::arrived(travelling),
            None => Self::begin(Nanoseconds::now()),
        }
    }

    /// The same for who has looked at the clock.
    pub(crate) fn extract_at(carrier: &dyn Carrier, now: Nanoseconds) -> Self {
        Travelling::extract(carrier).map_or_else(|| Self::begin(now), Self::arrived)
    }

    /// Writes the pathway into the headers of a message, as `dd-pathway-ctx-base64`. One without a checkpoint is not written.
    pub fn inject(&self, carrier: &mut dyn CarrierMut) {
        if let Some(travelling) = self.travelling() {
            travelling.inject(carrier);
        }
    }

    /// The value of the header `dd-pathway-ctx-base64`, for transports that hold headers in other ways.
    pub fn to_header(&self) -> Option<String> {
        self.travelling().map(Travelling::to_text)
    }

    fn travelling(&self) -> Option<Travelling> {
        (self.hash != 0).then_some(Travelling {
            hash: self.hash,
            pathway_start: self.pathway_start,
            edge_start: self.edge_start,
        })
    }

    /// The hash of all checkpoints so far; 0 before the first.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// When the pathway began.
    pub fn pathway_start(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(self.pathway_start.get() as u64)
    }

    /// When the last checkpoint was passed.
    pub fn edge_start(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(self.edge_start.get() as u64)
    }

    /// One of the pathways of several messages, for something that is produced because of all of them.
    ///
    /// A pathway has one parent, so one message has to stand for all: it is picked at random, each with the same chance, and
    /// over many batches the shares come out right. Nothing if there are none.
    pub fn merge(pathways: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut random = Random::new();
        let mut chosen = None;
        for (at, pathway) in pathways.into_iter().enumerate() {
            if at == 0 || random.below(at as u64 + 1) == 0 {
                chosen = Some(pathway);
            }
        }
        chosen
    }

    /// Bytes that the header adds to a message that is about to be produced: name and value, as the pathway is now.
    pub(crate) fn header_size(&self) -> u64 {
        const NAME: u64 = "dd-pathway-ctx-base64".len() as u64;
        let travelling = Travelling {
            hash: self.hash,
            pathway_start: self.pathway_start,
            edge_start: self.edge_start,
        };
        let bytes = travelling.length() as u64;
        NAME + bytes.div_ceil(3) * 4
    }

    /// Passes a checkpoint.
    pub(crate) fn pass(
        &mut self,
        node: Node,
        cache: &mut Cache,
        given: &Given<'_>,
        passage: Passage,
        now: Nanoseconds,
    ) -> Point {
        let mut payload_size = passage.payload_size;
        if passage.adds_header {
            payload_size += self.header_size();
        }
        let passed = cache.pass(given, node, |direction| {
            self.turn(direction, now);
            self.hash
        });
        self.edge_start = passage.edge_start.unwrap_or(self.edge_start);
        self.pathway_start = passage.pathway_start.unwrap_or(self.pathway_start);
        let point = Point {
            tags: passed.tags,
            hash: passed.hash,
            parent: passed.parent,
            at: now,
            edge_latency: now.since(self.edge_start),
            pathway_latency: now.since(self.pathway_start),
            payload_size,
        };
        self.hash = passed.hash;
        self.edge_start = now;
        point
    }

    /// Goes to where a checkpoint of this direction goes on from.
    #[inline]
    fn turn(&mut self, direction: Direction, now: Nanoseconds) {
        if direction != self.previous {
            self.previous = direction;
            self.closest_opposite_hash = self.hash;
            self.closest_opposite_edge_start = now;
            return;
        }
        self.hash = self.closest_opposite_hash;
        if self.hash == 0 {
            // Producing without having consumed, or consuming without looking where from: every time begins anew.
            self.edge_start = now;
            self.pathway_start = now;
        } else {
            self.edge_start = self.closest_opposite_edge_start;
        }
    }
}

/// Random numbers for picking one of several.
struct Random(u64);

impl Random {
    fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(RandomState::new().hash_one(0u8))
    }

    /// Less than `bound`, each with the same chance but for a part in 2⁶⁴.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
#[path = "pathway_tests.rs"]
mod tests;
