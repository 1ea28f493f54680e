//! What this product counts about itself: namespace `civisibility` (`spec/ci-visibility.md` §12).
//!
//! Counts and distributions are kept here, bounded, and handed to core's telemetry when a session
//! ends ([`Taken::report`]), which sends them if it is on. Names and tags are those of the other
//! tracers, so that one dashboard shows all.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ddtrace_core::telemetry::{self, Namespace};
use serde_json::{Value, json};

/// The most series of one kind.
const MAX_SERIES: usize = 1024;

/// The most values of one distribution; later ones replace none.
const MAX_VALUES: usize = 4096;

/// A tag of a metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(
    /// Its name.
    pub &'static str,
    /// Its value.
    pub Cow<'static, str>,
);

type Key = (&'static str, Vec<Tag>);

/// Metrics since the last time they were taken.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Taken>);

/// Metrics as they were taken.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Taken {
    /// Sums by name and tags.
    pub counts: BTreeMap<Key, u64>,
    /// Values by name and tags.
    pub distributions: BTreeMap<Key, Vec<f64>>,
}

impl Metrics {
    /// Adds to a count.
    pub fn count(&self, name: &'static str, tags: &[Tag], value: u64) {
        let mut taken = self.lock();
        if taken.counts.len() < MAX_SERIES || taken.counts.contains_key(&(name, tags.to_vec())) {
            *taken.counts.entry((name, tags.to_vec())).or_default() += value;
        }
    }

    /// Adds to a distribution.
    pub fn distribution(&self, name: &'static str, tags: &[Tag], value: f64) {
        let mut taken = self.lock();
        let key = (name, tags.to_vec());
        if taken.distributions.len() < MAX_SERIES || taken.distributions.contains_key(&key) {
            let values = taken.distributions.entry(key).or_default();
            if values.len() < MAX_VALUES {
                values.push(value);
            }
        }
    }

    /// Everything so far; what comes later begins anew.
    pub fn take(&self) -> Taken {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Hands everything to core's telemetry.
    pub fn report(&self) {
        for ((name, tags), value) in &self.counts {
            telemetry::count(Namespace::CiVisibility, name, &pairs(tags), *value);
        }
        for ((name, tags), values) in &self.distributions {
            let tags = pairs(tags);
            for value in values {
                telemetry::distribution(Namespace::CiVisibility, name, &tags, *value);
            }
        }
    }

    /// The requests by which telemetry would send it, for runs whose payloads go to files.
    pub fn files(&self, now: SystemTime) -> Vec<Value> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let series = |name: &str, tags: &[Tag]| {
            let tags = tags.iter().map(|Tag(key, value)| format!("{key}:{value}"));
            json!({"metric": name, "common": true, "namespace": "civisibility", "tags": tags.collect::<Vec<_>>()})
        };
        let counts = self.counts.iter().map(|((name, tags), value)| {
            let mut one = series(name, tags);
            one["type"] = json!("count");
            one["points"] = json!([[now, value]]);
            one
        });
        let distributions = self.distributions.iter().map(|((name, tags), values)| {
            let mut one = series(name, tags);
            one["points"] = json!(values);
            one
        });
        let request = |kind: &str, series: Vec<Value>| {
            let payload = json!({"namespace": "civisibility", "series": series});
            json!({"api_version": "v2", "request_type": kind, "tracer_time": now, "payload": payload})
        };
        [
            ("generate-metrics", counts.collect::<Vec<_>>()),
            ("distributions", distributions.collect()),
        ]
        .into_iter()
        .filter(|(_, series)| !series.is_empty())
        .map(|(kind, series)| request(kind, series))
        .collect()
    }

    /// The sum of a count over all its tags.
    pub fn total(&self, name: &str) -> u64 {
        let of_name = self.counts.iter().filter(|((found, _), _)| *found == name);
        of_name.map(|(_, value)| value).sum()
    }
}

fn pairs(tags: &[Tag]) -> Vec<(&'static str, &str)> {
    tags.iter()
        .map(|Tag(name, value)| (*name, &**value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_told_apart_by_tags_and_bounded() {
        let metrics = Metrics::default();
        let ok = [Tag("command", "diff".into())];
        metrics.count("git.command", &ok, 1);
        metrics.count("git.command", &ok, 1);
        for index in 0..2 * MAX_SERIES {
            let tag = Tag("command", index.to_string().into());
            metrics.count("git.command", &[tag], 1);
        }
        for _ in 0..2 * MAX_VALUES {
            metrics.distribution("git.command_ms", &[], 1.0);
        }
        let taken = metrics.take();
        assert_eq!(taken.counts[&("git.command", ok.to_vec())], 2);
        assert_eq!(taken.counts.len(), MAX_SERIES);
        assert_eq!(taken.total("git.command"), 1 + MAX_SERIES as u64);
        let values = taken.distributions.values().next().expect("one");
        assert_eq!(values.len(), MAX_VALUES);
        assert_eq!(metrics.take(), Taken::default());
    }

    #[test]
    fn files_hold_what_telemetry_would_send() {
        let metrics = Metrics::default();
        metrics.count("git.command", &[Tag("command", "diff".into())], 2);
        metrics.distribution("git.command_ms", &[], 1.5);
        let at = UNIX_EPOCH + std::time::Duration::from_secs(7);
        let files = metrics.take().files(at);
        assert_eq!(
            files,
            [
                json!({"api_version": "v2", "request_type": "generate-metrics", "tracer_time": 7, "payload": {"namespace": "civisibility", "series": [
                    {"metric": "git.command", "common": true, "namespace": "civisibility", "tags": ["command:diff"], "type": "count", "points": [[7, 2]]},
                ]}}),
                json!({"api_version": "v2", "request_type": "distributions", "tracer_time": 7, "payload": {"namespace": "civisibility", "series": [
                    {"metric": "git.command_ms", "common": true, "namespace": "civisibility", "tags": [], "points": [1.5]},
                ]}}),
            ]
        );
        assert!(Metrics::default().take().files(at).is_empty());
    }
}
