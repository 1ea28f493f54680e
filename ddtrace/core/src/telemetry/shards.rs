//! Where threads leave the values of metrics until the worker fetches them.
//!
//! Eight maps, each behind a lock that is only ever tried: a thread begins with the one that its id points to and takes the
//! next when that is busy. If all are busy, or its map is full, the value is lost and counted. Nobody waits, and a lock that
//! a fork left taken costs one try.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use super::metric::{Metric, MetricKind};

const SHARDS: usize = 8;

/// Series of one shard between two visits of the worker.
const MAX_SERIES: usize = 1024;

/// Values of one distribution between two visits of the worker.
const MAX_VALUES: usize = 1000;

/// Tags as callers write them.
pub(super) type Tags<'a> = &'a [(&'static str, &'a str)];

/// A metric with tags, and what was reported since the last visit.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) metric: &'static Metric,
    pub(super) tags: Vec<(&'static str, Box<str>)>,
    pub(super) value: Value,
}

#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Sum(f64),
    Last(f64),
    All(Vec<f64>),
}

impl Value {
    fn new(kind: MetricKind, value: f64) -> Self {
        match kind {
            MetricKind::Count | MetricKind::Rate => Self::Sum(value),
            MetricKind::Gauge => Self::Last(value),
            MetricKind::Distribution => Self::All(vec![value]),
        }
    }

    /// False if there is no room.
    fn add(&mut self, value: f64) -> bool {
        match self {
            Self::Sum(sum) => *sum += value,
            Self::Last(last) => *last = value,
            Self::All(all) if all.len() < MAX_VALUES => all.push(value),
            Self::All(_) => return false,
        }
        true
    }
}

/// By the hash of metric and tags; of equal hashes, the second takes the next number.
type Map = HashMap<u64, Series>;

#[derive(Debug, Default)]
pub(super) struct Shards {
    maps: [Mutex<Map>; SHARDS],
    lost: AtomicU64,
}

fn try_lock(map: &Mutex<Map>) -> Option<MutexGuard<'_, Map>> {
    match map.try_lock() {
        Ok(map) => Some(map),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The shard that this thread begins with.
fn own() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    OWN.try_with(|own| *own).unwrap_or(0)
}

impl Shards {
    pub(super) fn add(&self, metric: &'static Metric, tags: Tags<'_>, value: f64) {
        if !value.is_finite() {
            return;
        }
        let first = own();
        let free = (0..SHARDS).find_map(|step| try_lock(&self.maps[(first + step) % SHARDS]));
        let added = free.is_some_and(|mut map| add(&mut map, metric, tags, value));
        if !added {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Everything that was reported since the last call; what is being written at the moment waits for the next.
    pub(super) fn take(&self) -> Vec<Series> {
        let mut all = Vec::new();
        for map in &self.maps {
            if let Some(mut map) = try_lock(map) {
                // Without allocating where nothing happened.
                if !map.is_empty() {
                    all.extend(std::mem::take(&mut *map).into_values());
                }
            }
        }
        all
    }

    /// Values that found no room since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

fn add(map: &mut Map, metric: &'static Metric, tags: Tags<'_>, value: f64) -> bool {
    let mut hasher = DefaultHasher::new();
    (metric.namespace, metric.name, tags).hash(&mut hasher);
    let mut key = hasher.finish();
    let is_full = map.len() >= MAX_SERIES;
    loop {
        match map.get_mut(&key) {
            Some(series) if is_same(series, metric, tags) => return series.value.add(value),
            Some(_) => key = key.wrapping_add(1),
            None if is_full => return false,
            None => break,
        }
    }
    let series = Series {
        metric,
        tags: tags
            .iter()
            .map(|(key, value)| (*key, Box::from(*value)))
            .collect(),
        value: Value::new(metric.kind, value),
    };
    map.insert(key, series);
    true
}

fn is_same(series: &Series, metric: &Metric, tags: Tags<'_>) -> bool {
    std::ptr::eq(series.metric, metric)
        && series.tags.len() == tags.len()
        && series
            .tags
            .iter()
            .zip(tags)
            .all(|((key, value), (other_key, other))| key == other_key && **value == **other)
}

#[cfg(test)]
mod tests {
    use super::super::metric::{Namespace, find};
    use super::*;

    fn metric(name: &str) -> &'static Metric {
        find(Namespace::Tracers, name).unwrap()
    }

    #[test]
    fn values_are_put_together_by_metric_and_tags() {
        let shards = Shards::default();
        let requests = metric("trace_api.requests");
        for tags in [&[("a", "1")][..], &[("a", "1")], &[("a", "2")], &[]] {
            shards.add(requests, tags, 2.0);
        }
        shards.add(metric("trace_api.bytes"), &[], 7.0);
        shards.add(metric("trace_api.bytes"), &[], 9.0);
        shards.add(requests, &[], f64::NAN);
        let mut found: Vec<_> = shards
            .take()
            .into_iter()
            .map(|series| {
                format!(
                    "{} {:?} {:?}",
                    series.metric.name, series.tags, series.value
                )
            })
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                r#"trace_api.bytes [] All([7.0, 9.0])"#,
                r#"trace_api.requests [("a", "1")] Sum(4.0)"#,
                r#"trace_api.requests [("a", "2")] Sum(2.0)"#,
                r#"trace_api.requests [] Sum(2.0)"#,
            ]
        );
        assert!(shards.take().is_empty());
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let shards = Shards::default();
        for number in 0..MAX_SERIES + 5 {
            shards.add(metric("spans_created"), &[("n", &number.to_string())], 1.0);
        }
        for _ in 0..MAX_VALUES {
            shards.add(metric("trace_api.bytes"), &[], 1.0);
        }
        assert_eq!(
            (shards.take().len(), shards.take_lost()),
            (MAX_SERIES, 5 + MAX_VALUES as u64),
            "no series was left for the distribution"
        );
        for _ in 0..MAX_VALUES + 3 {
            shards.add(metric("trace_api.bytes"), &[], 1.0);
        }
        assert_eq!((shards.take().len(), shards.take_lost()), (1, 3));
    }

    #[test]
    fn threads_never_wait_for_each_other() {
        let shards = Shards::default();
        let taken: Vec<_> = shards.maps.iter().map(|map| map.lock().unwrap()).collect();
        shards.add(metric("spans_created"), &[], 1.0);
        assert!(shards.take().is_empty());
        drop(taken);
        assert_eq!((shards.take().len(), shards.take_lost()), (0, 1));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        shards.add(metric("spans_created"), &[], 1.0);
                    }
                });
            }
        });
        let sum: f64 = shards
            .take()
            .iter()
            .map(|series| match series.value {
                Value::Sum(sum) => sum,
                _ => 0.0,
            })
            .sum();
        assert_eq!(sum + shards.take_lost() as f64, 4000.0);
    }
}
