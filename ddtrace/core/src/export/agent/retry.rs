//! How often to try again, and how long to wait in between.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Tries and the pauses between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included; at least one is made.
    pub tries: u32,
    /// The first pause; later ones grow as the Fibonacci numbers do.
    pub pause: Duration,
    /// The longest pause.
    pub max_pause: Duration,
}

impl Default for RetryPolicy {
    /// Three tries within about half a second besides the requests themselves: a payload that does
    /// not get through gives way to fresher ones.
    fn default() -> Self {
        let millis = Duration::from_millis;
        RetryPolicy {
            tries: 3,
            pause: millis(100),
            max_pause: millis(2000),
        }
    }
}

impl RetryPolicy {
    /// The pause after try number `tried` (counted from 1), before jitter.
    fn full_pause(&self, tried: u32) -> Duration {
        let (mut this, mut next) = (1u32, 1u32);
        for _ in 1..tried.min(40) {
            (this, next) = (next, this.saturating_add(next));
        }
        self.pause.saturating_mul(this).min(self.max_pause)
    }

    /// The pause after try number `tried`: between half and all of the full one, so that the
    /// processes of a host do not come back to a restarted agent in the same moment.
    pub(crate) fn pause_after(&self, tried: u32) -> Duration {
        // Each hasher has random keys of its own: enough randomness for a pause.
        let random = RandomState::new().build_hasher().finish();
        let fraction = 0.5 + 0.5 * (random as f64 / u64::MAX as f64);
        self.full_pause(tried).mul_f64(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_one() {
        let policy = RetryPolicy {
            tries: 9,
            pause: Duration::from_millis(10),
            max_pause: Duration::from_millis(100),
        };
        let pauses: Vec<u128> = (1..=8)
            .map(|tried| policy.full_pause(tried).as_millis())
            .collect();
        assert_eq!(pauses, [10, 10, 20, 30, 50, 80, 100, 100]);
        assert_eq!(policy.full_pause(u32::MAX), policy.max_pause);
        for tried in 1..=8 {
            let (pause, full) = (policy.pause_after(tried), policy.full_pause(tried));
            assert!(pause <= full && pause >= full / 2, "{pause:?} of {full:?}");
        }
    }
}
