//! The rates that the agent's answers carry.
//!
//! Each answer to a payload of traces may say `{"rate_by_service": {"service:a,env:b": 0.2, …}}`; the agent computes
//! these so that the whole fleet stays within its budget. A rate that falls is obeyed at once. One that rises at most
//! doubles per interval, because every service of a fleet gets the new rate in the same moment and together they would
//! overshoot; the rest of the way is gone by [`AgentRates::update`] and [`AgentRates::advance`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::hash::SampleRate;

/// More pairs than any agent tracks; what an answer has beyond them is ignored.
const MAX_PAIRS: usize = 16 * 1024;

/// The rates in force, by service and environment.
///
/// Read on any thread without a lock and without an allocation; replaced as a whole by the worker.
///
/// ```
/// use std::time::{Duration, Instant};
/// use ddtrace_core::sampling::AgentRates;
///
/// let rates = AgentRates::new(Duration::from_secs(1));
/// rates.update([("service:shop,env:prod", 0.2), ("service:,env:", 0.5)], Instant::now());
/// assert_eq!(rates.rate("shop", "prod").map(|rate| rate.get()), Some(0.2));
/// assert_eq!(rates.rate("other", "prod").map(|rate| rate.get()), Some(0.5));
/// ```
#[derive(Debug)]
pub struct AgentRates {
    table: ArcSwap<Table>,
    raise_interval: Duration,
}

#[derive(Clone, Debug, Default)]
struct Table {
    /// There is rarely more than one environment per service.
    services: HashMap<Box<str>, Vec<(Box<str>, Entry)>>,
    /// When a rate was last raised.
    raised_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    current: SampleRate,
    /// What the agent asked for; above `current` while that is on its way.
    target: f64,
}

impl AgentRates {
    /// An empty table, whose rates at most double once per `raise_interval` (the interval of sending).
    pub fn new(raise_interval: Duration) -> Self {
        Self {
            table: ArcSwap::default(),
            raise_interval,
        }
    }

    /// The rate for a service in an environment; for an unknown pair the agent's default, the pair of empty names.
    ///
    /// `None` if the agent said nothing about either.
    pub fn rate(&self, service: &str, env: &str) -> Option<SampleRate> {
        let table = self.table.load();
        let entry = table.get(service, env).or_else(|| table.get("", ""));
        entry.map(|entry| entry.current)
    }

    /// Replaces the table by the pairs of an answer: `service:<service>,env:<env>` and a rate.
    ///
    /// Keys of another form and rates that are not numbers are ignored, and an answer without pairs changes nothing.
    pub fn update<'a>(&self, answer: impl IntoIterator<Item = (&'a str, f64)>, now: Instant) {
        let before = self.table.load();
        let may_raise = self.may_raise(&before, now);
        let mut table = Table {
            services: HashMap::new(),
            raised_at: before.raised_at,
        };
        for (key, rate) in answer.into_iter().take(MAX_PAIRS) {
            let Some((service, env)) = parse_key(key).filter(|_| rate.is_finite()) else {
                continue;
            };
            let mut entry = Entry {
                current: SampleRate::new(rate),
                target: rate.clamp(0.0, 1.0),
            };
            if let Some(old) = before.get(service, env) {
                entry.current = old.current;
                entry.approach(may_raise);
            }
            let environments = table.services.entry(service.into()).or_default();
            environments.retain(|(candidate, _)| **candidate != *env);
            environments.push((env.into(), entry));
        }
        if !table.services.is_empty() {
            self.replace(table, may_raise, now);
        }
    }

    /// Goes on raising what the last answers asked for, if the interval is over. For answers that bring nothing new.
    pub fn advance(&self, now: Instant) {
        let before = self.table.load();
        if !before.is_rising() || !self.may_raise(&before, now) {
            return;
        }
        let mut table = Table::clone(&before);
        for (_, entry) in table.services.values_mut().flatten() {
            entry.approach(true);
        }
        self.replace(table, true, now);
    }

    fn may_raise(&self, table: &Table, now: Instant) -> bool {
        let raised_at = table.raised_at;
        raised_at
            .is_none_or(|raised_at| now.saturating_duration_since(raised_at) >= self.raise_interval)
    }

    fn replace(&self, mut table: Table, may_raise: bool, now: Instant) {
        if may_raise {
            table.raised_at = Some(now);
        }
        self.table.store(Arc::new(table));
    }
}

impl Table {
    fn get(&self, service: &str, env: &str) -> Option<Entry> {
        let environments = self.services.get(service)?;
        let found = environments
            .iter()
            .find(|(candidate, _)| **candidate == *env);
        found.map(|&(_, entry)| entry)
    }

    fn is_rising(&self) -> bool {
        let mut entries = self.services.values().flatten();
        entries.any(|(_, entry)| entry.current.get() < entry.target)
    }
}

impl Entry {
    /// Moves the current rate towards the target: down all the way, up to the double, and only if it is time.
    fn approach(&mut self, may_raise: bool) {
        let current = self.current.get();
        let next = if self.target <= current || current == 0.0 {
            self.target
        } else if may_raise {
            self.target.min(current * 2.0)
        } else {
            current
        };
        self.current = SampleRate::new(next);
    }
}

fn parse_key(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("service:")?.rsplit_once(",env:")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(rates: &AgentRates) -> Option<f64> {
        rates.rate("any", "any").map(SampleRate::get)
    }

    #[test]
    fn an_increase_doubles_per_interval_and_a_decrease_is_obeyed_at_once() {
        let rates = AgentRates::new(SECOND);
        let start = Instant::now();
        assert_eq!(rate(&rates), None);
        rates.update([("service:,env:", 0.1)], start);
        for (seconds, expected) in [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.0), (5, 1.0)] {
            rates.update([("service:,env:", 1.0)], start + SECOND * seconds);
            assert_eq!(rate(&rates), Some(expected));
            // Another answer within the interval.
            rates.update([("service:,env:", 1.0)], start + SECOND * seconds);
            assert_eq!(rate(&rates), Some(expected));
        }
        rates.update([("service:,env:", 0.3)], start + SECOND * 5);
        assert_eq!(rate(&rates), Some(0.3));
    }

    #[test]
    fn a_rate_goes_on_rising_without_answers() {
        let rates = AgentRates::new(SECOND);
        let start = Instant::now();
        rates.update([("service:,env:", 0.25)], start);
        rates.update([("service:,env:", 1.0)], start);
        assert_eq!(rate(&rates), Some(0.25));
        rates.advance(start + SECOND / 2);
        assert_eq!(rate(&rates), Some(0.25));
        for (seconds, expected) in [(1, 0.5), (2, 1.0), (3, 1.0)] {
            rates.advance(start + SECOND * seconds);
            assert_eq!(rate(&rates), Some(expected));
        }
    }

    #[test]
    fn a_rate_of_zero_can_be_left() {
        let rates = AgentRates::new(SECOND);
        let start = Instant::now();
        rates.update([("service:,env:", 0.0)], start);
        rates.update([("service:,env:", 0.5)], start);
        assert_eq!(rate(&rates), Some(0.5));
    }

    #[test]
    fn an_answer_replaces_the_table_and_nonsense_does_not() {
        let rates = AgentRates::new(SECOND);
        let now = Instant::now();
        rates.update(
            [("service:a,env:b", 0.5), ("service:x,env:y,env:z", 0.25)],
            now,
        );
        assert_eq!(rates.rate("x,env:y", "z").map(SampleRate::get), Some(0.25));
        rates.update(
            [
                ("nonsense", 0.1),
                ("service:a", 0.1),
                ("service:a,env:b", f64::NAN),
            ],
            now,
        );
        assert_eq!(rates.rate("a", "b").map(SampleRate::get), Some(0.5));
        rates.update([], now);
        assert_eq!(rates.rate("a", "b").map(SampleRate::get), Some(0.5));
        rates.update([("service:c,env:", 7.0)], now);
        assert_eq!(rates.rate("a", "b"), None);
        assert_eq!(rates.rate("c", "").map(SampleRate::get), Some(1.0));
    }
}
