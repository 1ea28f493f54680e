//! What this product counts about itself: namespace `civisibility` (`spec/ci-visibility.md` §12).
//!
//! Counts and distributions are kept here, bounded, and handed to core's telemetry when a session
//! ends ([`Taken::report`]), which sends them if it is on. Names and tags are those of the other
//! tracers, so that one dashboard shows all.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ddtrace_core::telemetry::{self, Namespace};

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
}
