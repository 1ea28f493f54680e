//! Moments, as nanoseconds since the epoch.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment, or the time between two. Never before the epoch, so that every difference fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nanoseconds(i64);

impl Nanoseconds {
    pub(crate) const fn new(nanoseconds: i64) -> Self {
        Self(if nanoseconds < 0 { 0 } else { nanoseconds })
    }

    pub(crate) fn now() -> Self {
        SystemTime::now().into()
    }

    /// Milliseconds of a header. Those beyond what nanoseconds can say are as late as can be said.
    pub(crate) const fn of_milliseconds(milliseconds: i64) -> Self {
        Self::new(milliseconds.saturating_mul(1_000_000))
    }

    pub(crate) const fn get(self) -> i64 {
        self.0
    }

    /// Whole milliseconds, cut.
    pub(crate) const fn milliseconds(self) -> i64 {
        self.0 / 1_000_000
    }

    /// The time since an earlier moment; none since a later one.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self::new(self.0 - earlier.0)
    }

    /// As seconds.
    pub(crate) fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl From<SystemTime> for Nanoseconds {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}
