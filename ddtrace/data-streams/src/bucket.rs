//! Ten seconds of checkpoints and offsets, added up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ddtrace_core::sketch::Sketch;

use crate::pathway::Point;
use crate::tags::EdgeTags;
use crate::time::Nanoseconds;
use crate::transaction::{self, Transaction};

/// Groups that one bucket holds; points of further ones are dropped and counted.
const MAX_GROUPS: usize = 10_000;

/// Offsets that one bucket holds, likewise.
const MAX_OFFSETS: usize = 10_000;

/// How far somebody is in a partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) kind: PositionKind,
    /// Of the consumers; empty for a producer.
    pub(crate) group: Box<str>,
    pub(crate) topic: Box<str>,
    pub(crate) partition: i32,
    /// Empty if it is not known.
    pub(crate) cluster: Box<str>,
}

/// In the order in which payloads list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PositionKind {
    Commit,
    Produce,
    HighWatermark,
}

/// What user threads hand over. What is rare is in a box, so that a place in the queue is no larger than a point.
#[derive(Debug)]
pub(crate) enum Observation {
    Point(Point),
    Rare(Box<Rare>),
}

#[derive(Debug)]
pub(crate) enum Rare {
    Offset(Position, i64, Nanoseconds),
    Transaction(Transaction),
}

impl From<Rare> for Observation {
    fn from(rare: Rare) -> Self {
        Self::Rare(Box::new(rare))
    }
}

/// Latencies and sizes of one pathway at one node.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) pathway_latency: Sketch,
    pub(crate) edge_latency: Sketch,
    pub(crate) payload_size: Sketch,
}

/// A pathway at a node: the hash says all, the tags are told to the backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupKey {
    pub(crate) tags: Arc<EdgeTags>,
    pub(crate) hash: u64,
    pub(crate) parent: u64,
}

/// What happened in one stretch of time.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    groups: HashMap<GroupKey, Group>,
    /// The order in which groups came: payloads keep it.
    order: Vec<GroupKey>,
    offsets: BTreeMap<Position, i64>,
    pub(crate) transactions: transaction::Records,
}

impl Bucket {
    pub(crate) fn groups(&self) -> impl ExactSizeIterator<Item = (&GroupKey, &Group)> {
        self.order.iter().map(|key| (key, &self.groups[key]))
    }

    pub(crate) fn offsets(&self) -> impl ExactSizeIterator<Item = (&Position, i64)> {
        self.offsets
            .iter()
            .map(|(position, offset)| (position, *offset))
    }

    /// False if there is no room.
    fn add_point(&mut self, point: Point) -> bool {
        let key = GroupKey {
            tags: point.tags,
            hash: point.hash,
            parent: point.parent,
        };
        if !self.groups.contains_key(&key) {
            if self.groups.len() >= MAX_GROUPS {
                return false;
            }
            self.order.push(key.clone());
        }
        let group = self.groups.entry(key).or_default();
        group.pathway_latency.add(point.pathway_latency.seconds());
        group.edge_latency.add(point.edge_latency.seconds());
        group.payload_size.add(point.payload_size as f64);
        true
    }

    fn add_offset(&mut self, position: Position, offset: i64) -> bool {
        if self.offsets.len() >= MAX_OFFSETS && !self.offsets.contains_key(&position) {
            return false;
        }
        let highest = self.offsets.entry(position).or_insert(offset);
        *highest = offset.max(*highest);
        true
    }
}

/// Buckets by the time at which they begin.
#[derive(Debug)]
pub(crate) struct Buckets {
    /// Nanoseconds.
    pub(crate) width: i64,
    buckets: BTreeMap<i64, Bucket>,
    /// Bytes about transactions of the newest bucket that was taken, which may not be over.
    newest_taken: (i64, usize),
    /// Names of checkpoints that transactions pass, for the life of the process.
    pub(crate) names: transaction::Names,
    /// Observations that found no room.
    pub(crate) dropped: u64,
}

impl Buckets {
    /// Buckets of this width in nanoseconds.
    pub(crate) fn new(width: i64) -> Self {
        Self {
            width: width.max(1),
            buckets: BTreeMap::new(),
            newest_taken: (0, 0),
            names: transaction::Names::default(),
            dropped: 0,
        }
    }

    pub(crate) fn add(&mut self, observation: Observation) {
        let has_room = match observation {
            Observation::Point(point) => self.bucket(point.at).add_point(point),
            Observation::Rare(rare) => match *rare {
                Rare::Offset(position, offset, at) => self.bucket(at).add_offset(position, offset),
                Rare::Transaction(transaction) => {
                    let mut names = std::mem::take(&mut self.names);
                    let bucket = self.bucket(transaction.at);
                    let has_room = bucket.transactions.add(&transaction, &mut names);
                    self.names = names;
                    has_room
                }
            },
        };
        self.dropped += u64::from(!has_room);
    }

    /// The bucket of a moment.
    fn bucket(&mut self, at: Nanoseconds) -> &mut Bucket {
        let start = at.get() - at.get() % self.width;
        let (newest, sent) = self.newest_taken;
        self.buckets.entry(start).or_insert_with(|| Bucket {
            transactions: transaction::Records::after(if start == newest { sent } else { 0 }),
            ..Bucket::default()
        })
    }

    /// Everything, the bucket that is under way included.
    pub(crate) fn take(&mut self) -> BTreeMap<i64, Bucket> {
        if let Some((start, bucket)) = self.buckets.last_key_value() {
            self.newest_taken = (*start, bucket.transactions.total());
        }
        std::mem::take(&mut self.buckets)
    }

    /// Whether there is so much about transactions that it had better be sent soon.
    pub(crate) fn is_heavy(&self) -> bool {
        self.buckets
            .values()
            .any(|bucket| bucket.transactions.is_heavy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Node;
    use crate::tags::{Cache, Given};

    const WIDTH: i64 = 10_000_000_000;

    fn point(topic: usize, seconds: i64) -> Point {
        let node = Node::new("s", None, None, "");
        let topic = topic.to_string();
        let given = Given {
            topic: Some(&topic),
            ..Given::default()
        };
        let passed = Cache::default().pass(&given, node, |_| 0);
        Point {
            hash: passed.hash,
            tags: passed.tags,
            parent: 0,
            at: Nanoseconds::new(seconds * 1_000_000_000),
            edge_latency: Nanoseconds::new(500_000_000),
            pathway_latency: Nanoseconds::new(1_000_000_000),
            payload_size: 10,
        }
    }

    fn position(kind: PositionKind, partition: i32) -> Position {
        Position {
            kind,
            group: "".into(),
            topic: "orders".into(),
            partition,
            cluster: "".into(),
        }
    }

    /// The queue holds 16,384 of them as soon as the product is on.
    #[test]
    fn an_observation_is_as_large_as_a_point() {
        assert_eq!(size_of::<Observation>(), size_of::<Point>());
        assert!(size_of::<Point>() <= 56);
    }

    #[test]
    fn points_are_in_the_bucket_of_their_time_and_one_group_per_pathway() {
        let mut buckets = Buckets::new(WIDTH);
        for (topic, seconds) in [(1, 9), (1, 10), (2, 11), (1, 19)] {
            buckets.add(Observation::Point(point(topic, seconds)));
        }
        let taken = buckets.take();
        let shape: Vec<_> = taken
            .iter()
            .map(|(start, bucket)| (start / 1_000_000_000, bucket.groups().len()))
            .collect();
        assert_eq!(shape, [(0, 1), (10, 2)]);
        assert!(buckets.take().is_empty());
    }

    #[test]
    fn the_highest_offset_counts() {
        let mut buckets = Buckets::new(WIDTH);
        let at = Nanoseconds::new(1);
        for (partition, offset) in [(1, 34), (1, 30), (2, 0)] {
            let position = position(PositionKind::Produce, partition);
            buckets.add(Rare::Offset(position, offset, at).into());
        }
        let taken = buckets.take();
        let offsets: Vec<_> = taken[&0]
            .offsets()
            .map(|(position, offset)| (position.partition, offset))
            .collect();
        assert_eq!(offsets, [(1, 34), (2, 0)]);
    }

    /// §12: what is sent early does not make room.
    #[test]
    fn transactions_are_bounded_for_ten_seconds_whatever_is_sent_early() {
        let mut buckets = Buckets::new(WIDTH);
        let transaction = |seconds: i64| {
            Observation::from(Rare::Transaction(Transaction {
                id: "x".repeat(255).into(),
                checkpoint: "a".into(),
                at: Nanoseconds::new(seconds * 1_000_000_000),
            }))
        };
        let mut taken = 0;
        for count in 0..10_000 {
            buckets.add(transaction(count % 10));
            if buckets.is_heavy() {
                taken += buckets.take()[&0].transactions.as_slice().len();
            }
        }
        taken += buckets.take()[&0].transactions.as_slice().len();
        assert_eq!(taken, 2_300_000 / 265 * 265);
        assert_eq!(buckets.dropped, 10_000 - taken as u64 / 265);
        buckets.add(transaction(10));
        assert_eq!(
            buckets.take()[&10_000_000_000]
                .transactions
                .as_slice()
                .len(),
            265
        );
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let mut buckets = Buckets::new(WIDTH);
        for topic in 0..MAX_GROUPS + 3 {
            buckets.add(Observation::Point(point(topic, 1)));
        }
        buckets.add(Observation::Point(point(0, 1)));
        assert_eq!(buckets.dropped, 3);
        for partition in 0..MAX_OFFSETS as i32 + 2 {
            let position = position(PositionKind::Commit, partition);
            let rare = Rare::Offset(position, 1, Nanoseconds::new(1));
            buckets.add(rare.into());
        }
        assert_eq!(buckets.dropped, 5);
    }
}
