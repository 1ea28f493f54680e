//! How many traces, or spans, rules may keep in a time.
//!
//! A token bucket that is refilled continuously. It is asked on the user's thread, by any of them, so it is two words
//! that are compared and swapped: nobody waits, and a `fork` cannot leave it locked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Lets so many through per second or other period, and knows which share that was.
///
/// Time is an argument: nanoseconds since some fixed moment, never going back.
///
/// ```
/// use std::time::Duration;
/// use ddtrace_core::sampling::RateLimiter;
///
/// let limiter = RateLimiter::new(1);
/// let now = Duration::from_secs(1);
/// assert!(limiter.admit(now).is_allowed);
/// assert!(!limiter.admit(now).is_allowed);
/// assert!(limiter.admit(now + Duration::from_secs(1)).is_allowed);
/// ```
#[derive(Debug)]
pub struct RateLimiter {
    limit: Limit,
    /// The period, in nanoseconds: how much the bucket holds, and how long a window is.
    period: u64,
    /// When the bucket will be full again, in nanoseconds; the further in the future, the emptier it is.
    full_at: AtomicU64,
    /// What was asked and allowed in the current window, see [`Window`].
    window: AtomicU64,
    /// The share of the window before, as the bits of an f64; [`NO_WINDOW`] before there was one.
    previous_share: AtomicU64,
}

/// No share has these bits.
const NO_WINDOW: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
enum Limit {
    None,
    Nothing,
    /// How long one token takes to come back, in nanoseconds.
    Every(u64),
}

/// The answer of a limiter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Admission {
    /// Whether this one is let through.
    pub is_allowed: bool,
    /// The share that was let through lately, this one included: `_dd.limit_psr`.
    pub effective_rate: f64,
}

impl RateLimiter {
    /// A limiter of `per_second`; negative lets everything through, 0 nothing.
    pub fn new(per_second: i64) -> Self {
        Self::per(per_second as f64, SECOND)
    }

    /// A limiter of `count` per `period`; negative lets everything through, 0 nothing. Less than one comes that rarely.
    pub(super) fn per(count: f64, period: Duration) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let limit = if count < 0.0 || count > period as f64 || count.is_nan() {
            Limit::None
        } else if count == 0.0 {
            Limit::Nothing
        } else {
            Limit::Every((period as f64 / count) as u64)
        };
        Self {
            limit,
            period,
            full_at: AtomicU64::new(0),
            window: AtomicU64::new(0),
            previous_share: AtomicU64::new(NO_WINDOW),
        }
    }

    /// Asks for one trace at `now`.
    pub fn admit(&self, now: Duration) -> Admission {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let is_allowed = match self.limit {
            Limit::None => true,
            Limit::Nothing => false,
            Limit::Every(interval) => self.take_token(now, interval),
        };
        Admission {
            is_allowed,
            effective_rate: self.count(now, is_allowed),
        }
    }

    /// Takes a token if there is one. The bucket holds a period's worth, at least one, and begins full.
    fn take_token(&self, now: u64, interval: u64) -> bool {
        let after_taking = |full_at: u64| {
            let full_at = full_at.max(now).saturating_add(interval);
            (full_at - now <= self.period.max(interval)).then_some(full_at)
        };
        let taken = self
            .full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, after_taking);
        taken.is_ok()
    }

    /// Counts an answer, and returns the share of this window and the one before.
    fn count(&self, now: u64, is_allowed: bool) -> f64 {
        // Windows are told apart by milliseconds, which wrap around after 49 days without harm. None begins at 0.
        let now = (now / 1_000_000) as u32;
        let period = (self.period / 1_000_000) as u32;
        let mut ended = None;
        let mut current = Window::default();
        let _ = self
            .window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
                let window = Window::from_bits(bits);
                let is_over = window.total > 0 && now.wrapping_sub(window.start) >= period;
                ended = is_over.then(|| window.share());
                current = if is_over || window.total == 0 {
                    Window::beginning_at(now)
                } else {
                    window
                };
                current.add(is_allowed);
                Some(current.to_bits())
            });
        if let Some(share) = ended {
            self.previous_share
                .store(share.to_bits(), Ordering::Relaxed);
        }
        match self.previous_share.load(Ordering::Relaxed) {
            NO_WINDOW => current.share(),
            share => (f64::from_bits(share) + current.share()) / 2.0,
        }
    }
}

/// The counts of one period, as they fit into one word.
#[derive(Clone, Copy, Default)]
struct Window {
    /// When it began, in milliseconds.
    start: u32,
    allowed: u16,
    total: u16,
}

impl Window {
    fn beginning_at(start: u32) -> Self {
        Self {
            start,
            allowed: 0,
            total: 0,
        }
    }

    fn from_bits(bits: u64) -> Self {
        Self {
            start: (bits >> 32) as u32,
            allowed: (bits >> 16) as u16,
            total: bits as u16,
        }
    }

    fn to_bits(self) -> u64 {
        u64::from(self.start) << 32 | u64::from(self.allowed) << 16 | u64::from(self.total)
    }

    fn add(&mut self, is_allowed: bool) {
        if self.total == u16::MAX {
            // Only the ratio is of interest.
            self.total /= 2;
            self.allowed /= 2;
        }
        self.total += 1;
        self.allowed += u16::from(is_allowed);
    }

    fn share(self) -> f64 {
        f64::from(self.allowed) / f64::from(self.total.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn admissions(limit: i64, times: &[u64]) -> Vec<(bool, f64)> {
        let limiter = RateLimiter::new(limit);
        let admissions = times.iter().map(|&time| limiter.admit(millis(time)));
        admissions
            .map(|admission| (admission.is_allowed, admission.effective_rate))
            .collect()
    }

    #[test]
    fn three_in_one_second_share_one_token() {
        let third = 1.0 / 3.0;
        let expected = [(true, 1.0), (false, 0.5), (false, third)];
        // Wherever the second begins.
        for start in [0, 999, 10_500] {
            assert_eq!(admissions(1, &[start, start, start + 1]), expected);
        }
    }

    #[test]
    fn the_rate_is_the_mean_of_two_windows() {
        assert_eq!(
            admissions(1, &[0, 0, 1000, 1000, 5000]),
            [
                (true, 1.0),
                (false, 0.5),
                (true, (0.5 + 1.0) / 2.0),
                (false, (0.5 + 0.5) / 2.0),
                (true, (0.5 + 1.0) / 2.0),
            ]
        );
    }

    #[test]
    fn tokens_come_back_one_by_one() {
        let allowed = |times: &[u64]| {
            let allowed = admissions(2, times).into_iter();
            allowed
                .map(|(is_allowed, _)| is_allowed)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            allowed(&[0, 0, 0, 499, 500, 501, 1000]),
            [true, true, false, false, true, false, true]
        );
        assert_eq!(allowed(&[0, 5000, 5000, 5000]), [true, true, true, false]);
    }

    #[test]
    fn negative_is_no_limit_and_zero_is_nothing() {
        for _ in 0..3 {
            assert_eq!(admissions(-1, &[0, 0, 0]), [(true, 1.0); 3]);
            assert_eq!(admissions(0, &[0, 0, 0]), [(false, 0.0); 3]);
        }
        assert!(
            admissions(i64::MAX, &[0; 10])
                .iter()
                .all(|&(is_allowed, _)| is_allowed)
        );
    }

    #[test]
    fn other_periods_and_less_than_one_are_possible() {
        let minute = RateLimiter::per(1.0, Duration::from_secs(60));
        let asked = [0, 0, 30_000, 60_000, 60_000].map(|time| minute.admit(millis(time)));
        assert_eq!(
            asked.map(|admission| (admission.is_allowed, admission.effective_rate)),
            [
                (true, 1.0),
                (false, 0.5),
                (false, 1.0 / 3.0),
                (true, (1.0 / 3.0 + 1.0) / 2.0),
                (false, (1.0 / 3.0 + 0.5) / 2.0),
            ]
        );
        let half = RateLimiter::per(0.5, SECOND);
        let asked = [0, 0, 1000, 2000].map(|time| half.admit(millis(time)).is_allowed);
        assert_eq!(asked, [true, false, false, true]);
    }

    #[test]
    fn the_share_stays_right_beyond_what_a_window_counts() {
        let limiter = RateLimiter::new(-1);
        for _ in 0..200_000 {
            assert_eq!(limiter.admit(millis(1)).effective_rate, 1.0);
        }
    }

    #[test]
    fn threads_share_the_tokens() {
        let limiter = RateLimiter::new(100);
        let allowed: usize = std::thread::scope(|scope| {
            let count = || {
                (0..1000)
                    .filter(|_| limiter.admit(millis(7)).is_allowed)
                    .count()
            };
            let threads = [(); 4].map(|()| scope.spawn(count));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(allowed, 100);
    }
}
