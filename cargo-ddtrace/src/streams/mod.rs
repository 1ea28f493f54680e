//! Data streams: what passed the checkpoints of pathways, how far consumers are behind, which way transactions went.
//!
//! ```text
//! pipeline_stats ─▶ buckets (newest, bounded by bytes) ─▶ map, pathways
//!                ─▶ offsets (the last of each)         ─▶ lag
//!                ─▶ transactions (newest 20,000)       ─▶ transactions
//! ```
//!
//! Sketches stay as they came, ten seconds each, and are merged when somebody looks: so a window can be chosen
//! afterwards, and the oldest can go bucket by bucket. A checkpoint whose parent was never seen is reported once it was
//! waited for long enough, since producer and consumer send on their own.

pub mod map;
pub mod offsets;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::intake::pipeline_stats::{Payload, Point, Transaction};
use crate::validate::{Finding, streams as rules};
use offsets::Offsets;

/// Transactions that are kept.
const TRANSACTIONS: usize = 20_000;
/// Checkpoints of one transaction that are kept.
const STEPS: usize = 100;
/// Checkpoints of all transactions that are kept.
const ALL_STEPS: usize = 200_000;
/// Characters of a name that are kept.
const NAME: usize = 400;
/// Checkpoints whose parent is waited for.
const AWAITED: usize = 10_000;
/// Hashes that are remembered.
const HASHES: usize = 200_000;

/// Who sent a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // named as in API.md
pub struct Sender {
    pub service: String,
    pub env: String,
    pub version: String,
    pub language: String,
    pub hostname: String,
}

/// What one process saw within a time.
#[derive(Debug)]
pub struct Bucket {
    /// Who saw it.
    pub sender: Arc<Sender>,
    /// Nanoseconds since the epoch.
    pub start: i64,
    /// Nanoseconds.
    pub duration: i64,
    /// By pathway.
    pub points: Vec<Point>,
    bytes: usize,
}

/// A transaction at a checkpoint.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named as in API.md
pub struct Step {
    pub checkpoint: Arc<str>,
    pub service: Arc<str>,
    pub time: i64,
}

/// What came.
#[derive(Debug)]
pub struct Streams {
    kept: Mutex<Kept>,
}

/// The content of [`Streams`].
#[derive(Debug)]
pub struct Kept {
    room: usize,
    bytes: usize,
    /// In the order of their coming.
    pub buckets: VecDeque<Bucket>,
    /// The last of each.
    pub offsets: Offsets,
    transactions: HashMap<String, Vec<Step>>,
    /// Their ids, by their first coming.
    order: VecDeque<String>,
    steps: usize,
    hashes: HashSet<u64>,
    awaited: VecDeque<Awaited>,
    /// Counts since the start.
    pub counts: Counts,
}

/// Counts that are never evicted.
#[derive(Debug, Default, Clone, Copy)]
#[allow(missing_docs)] // named as in API.md
pub struct Counts {
    pub payloads: u64,
    pub points: u64,
    pub offsets: u64,
    pub transactions: u64,
    pub evicted: u64,
}

/// A checkpoint whose parent has not come.
#[derive(Debug)]
struct Awaited {
    due: i64,
    parent: u64,
    request: u32,
    at: String,
}

/// What is to be reported after waiting: a finding, and the request it was in.
pub type Late = (Finding, u32);

impl Streams {
    /// Nothing yet, and room for that many bytes.
    pub fn new(room: usize) -> Streams {
        Streams {
            kept: Mutex::new(Kept::new(room)),
        }
    }

    /// What is kept, locked.
    pub fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut kept = self.lock();
        *kept = Kept::new(kept.room);
    }
}

impl Kept {
    fn new(room: usize) -> Kept {
        Kept {
            room,
            bytes: 0,
            buckets: VecDeque::new(),
            offsets: Offsets::default(),
            transactions: HashMap::new(),
            order: VecDeque::new(),
            steps: 0,
            hashes: HashSet::new(),
            awaited: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes in a payload of a request; parents that are missing are waited for until `due`.
    pub fn take(&mut self, payload: Payload, request: u32, now: i64, due: i64) {
        let sender = Arc::new(Sender {
            service: cut(&payload.service),
            env: cut(&payload.env),
            version: cut(&payload.version),
            language: cut(&payload.language),
            hostname: cut(&payload.hostname),
        });
        let service: Arc<str> = sender.service.as_str().into();
        self.counts.payloads += 1;
        for (number, bucket) in payload.buckets.into_iter().enumerate() {
            self.counts.points += bucket.points.len() as u64;
            self.counts.offsets += bucket.backlogs.len() as u64;
            for (at, point) in bucket.points.iter().enumerate() {
                self.meet(point, request, due, || {
                    format!("Stats[{number}].Stats[{at}].ParentHash")
                });
            }
            for backlog in &bucket.backlogs {
                self.offsets.note(backlog, &sender.service, now);
            }
            for transaction in bucket.transactions {
                self.track(transaction, &service);
            }
            if bucket.points.is_empty() {
                continue;
            }
            let bytes = size_of::<Bucket>() + bucket.points.iter().map(memory).sum::<usize>();
            self.bytes += bytes;
            self.buckets.push_back(Bucket {
                sender: sender.clone(),
                start: i64::try_from(bucket.start).unwrap_or(now),
                duration: i64::try_from(bucket.duration).unwrap_or(0),
                points: bucket.points,
                bytes,
            });
        }
        while self.bytes > self.room {
            let Some(gone) = self.buckets.pop_front() else {
                break;
            };
            self.bytes -= gone.bytes;
            self.counts.evicted += gone.points.len() as u64;
        }
    }

    fn meet(&mut self, point: &Point, request: u32, due: i64, at: impl Fn() -> String) {
        if self.hashes.len() >= HASHES {
            // What is forgotten here could at worst be called missing, which is a hint.
            self.hashes.clear();
            self.awaited.clear();
        }
        self.hashes.insert(point.hash);
        let parent = point.parent_hash;
        if parent != 0 && !self.hashes.contains(&parent) && self.awaited.len() < AWAITED {
            self.awaited.push_back(Awaited {
                due,
                parent,
                request,
                at: at(),
            });
        }
    }

    fn track(&mut self, transaction: Transaction, service: &Arc<str>) {
        self.counts.transactions += 1;
        if !self.transactions.contains_key(&transaction.id) {
            self.order.push_back(transaction.id.clone());
        }
        while self.order.len() > TRANSACTIONS || self.steps >= ALL_STEPS {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.steps -= self
                .transactions
                .remove(&oldest)
                .map_or(0, |steps| steps.len());
        }
        let steps = self.transactions.entry(transaction.id).or_default();
        if steps.len() < STEPS {
            self.steps += 1;
            let at = steps.partition_point(|step| step.time <= transaction.time);
            steps.insert(
                at,
                Step {
                    checkpoint: transaction.checkpoint,
                    service: service.clone(),
                    time: transaction.time,
                },
            );
        }
    }

    /// The transactions, newest first.
    pub fn transactions(&self) -> impl Iterator<Item = (&str, &[Step])> {
        self.order.iter().rev().filter_map(|id| {
            let steps = self.transactions.get(id)?;
            Some((id.as_str(), steps.as_slice()))
        })
    }

    /// What was waited for in vain; everything that is still waited for counts if nothing will come any more.
    pub fn judge(&mut self, now: i64, all: bool) -> Vec<Late> {
        let mut late = Vec::new();
        while let Some(first) = self.awaited.front() {
            if first.due > now && !all {
                break;
            }
            let Some(awaited) = self.awaited.pop_front() else {
                break;
            };
            if !self.hashes.contains(&awaited.parent) {
                let finding = Finding {
                    rule: &rules::PARENT,
                    chunk: None,
                    span: None,
                    field: awaited.at,
                    detail: format!("parent {}", awaited.parent),
                };
                late.push((finding, awaited.request));
            }
        }
        late
    }

    /// Bytes of memory, about.
    pub fn memory(&self) -> usize {
        let transactions = self.steps * size_of::<Step>() + self.order.len() * 200;
        self.bytes + self.offsets.memory() + self.hashes.len() * 16 + transactions
    }
}

fn cut(name: &str) -> String {
    name.chars().take(NAME).collect()
}

fn memory(point: &Point) -> usize {
    let tags: usize = point
        .edge_tags
        .iter()
        .map(|tag| size_of::<String>() + tag.capacity())
        .sum();
    let sketches = [
        &point.pathway_latency,
        &point.edge_latency,
        &point.payload_size,
    ];
    size_of::<Point>() + tags + sketches.map(|sketch| sketch.memory()).iter().sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::pipeline_stats::{Bucket as Sent, read, tests::golden};
    use crate::validate::Findings;

    pub(super) fn payload() -> Payload {
        read(&golden(), &mut Findings::default()).unwrap()
    }

    #[test]
    fn the_oldest_go_when_the_room_is_full() {
        let streams = Streams::new(20_000);
        let mut kept = streams.lock();
        for request in 0..100 {
            kept.take(payload(), request, 0, 0);
        }
        assert!(kept.bytes <= 20_000);
        assert_eq!(kept.counts.points, 200);
        let here: usize = kept.buckets.iter().map(|bucket| bucket.points.len()).sum();
        assert_eq!(kept.counts.evicted + here as u64, 200);
        assert!(here > 0);
    }

    #[test]
    fn a_parent_that_comes_later_is_not_missing() {
        let streams = Streams::new(1 << 20);
        let mut kept = streams.lock();
        let mut consumer = payload();
        let producer = consumer.buckets[0].points.remove(0);
        kept.take(consumer, 1, 0, 10);
        assert!(kept.judge(9, false).is_empty());
        let mut sent = payload();
        sent.buckets[0].points = vec![producer];
        kept.take(sent, 2, 5, 15);
        assert!(kept.judge(20, false).is_empty());
        let mut orphan = payload();
        orphan.buckets[0].points[0].parent_hash = 7;
        kept.take(orphan, 3, 20, 30);
        let late = kept.judge(21, true);
        assert_eq!(late.len(), 1);
        assert_eq!((late[0].0.rule.id, late[0].1), ("streams.parent", 3));
        assert_eq!(late[0].0.field, "Stats[0].Stats[0].ParentHash");
    }

    #[test]
    fn transactions_are_put_together_by_their_id() {
        let streams = Streams::new(1 << 20);
        let mut kept = streams.lock();
        for (service, checkpoint, time) in [("warehouse", "packed", 20), ("shop", "ordered", 10)] {
            let transaction = Transaction {
                checkpoint: checkpoint.into(),
                time,
                id: "tx-1".into(),
            };
            let bucket = Sent {
                transactions: vec![transaction],
                ..Sent::default()
            };
            let payload = Payload {
                service: service.into(),
                buckets: vec![bucket],
                ..Payload::default()
            };
            kept.take(payload, 1, 0, 0);
        }
        let all: Vec<_> = kept.transactions().collect();
        let (id, steps) = all[0];
        assert_eq!((all.len(), id), (1, "tx-1"));
        let names: Vec<_> = steps.iter().map(|step| &*step.checkpoint).collect();
        assert_eq!(names, ["ordered", "packed"]);
    }
}
