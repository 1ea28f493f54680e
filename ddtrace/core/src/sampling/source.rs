//! Which products a trace is kept for: `_dd.p.ts`.

use std::ops::BitOr;

use super::priority::SamplingMechanism;

/// The products that marked a trace, one bit each.
///
/// The mark travels with the trace. With `DD_APM_TRACING_ENABLED=false` only traces that carry one are kept and continued.
///
/// ```
/// use ddtrace_core::sampling::TraceSource;
///
/// let both = TraceSource::APPSEC | TraceSource::AI_GUARD;
/// assert_eq!(both.to_string(), "22");
/// assert_eq!(TraceSource::parse("02"), Some(TraceSource::APPSEC));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceSource(u32);

impl TraceSource {
    /// No product.
    pub const NONE: Self = Self(0);
    /// Application security.
    pub const APPSEC: Self = Self(0x02);
    /// Data streams.
    pub const DATA_STREAMS: Self = Self(0x04);
    /// Data jobs.
    pub const DATA_JOBS: Self = Self(0x08);
    /// Database monitoring.
    pub const DATABASE_MONITORING: Self = Self(0x10);
    /// The guard of AI conversations.
    pub const AI_GUARD: Self = Self(0x20);

    /// Reads the tag: 2 to 8 hexadecimal digits of which any bit may be set.
    pub fn parse(digits: &str) -> Option<Self> {
        let is_mask = (2..=8).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let mask = u32::from_str_radix(digits, 16).ok().filter(|_| is_mask)?;
        Some(Self(mask))
    }

    /// Whether no product marked the trace.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Who is said to have decided if a product keeps the trace.
    pub const fn mechanism(self) -> SamplingMechanism {
        if self.0 == Self::AI_GUARD.0 {
            SamplingMechanism::AiGuard
        } else {
            SamplingMechanism::AppSec
        }
    }
}

impl BitOr for TraceSource {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// As the tag has it: at least two digits in lower case.
impl std::fmt::Display for TraceSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_two_digits_or_more() {
        for (digits, expected) in [
            ("02", Some(0x02)),
            ("22", Some(0x22)),
            ("3F", Some(0x3f)),
            ("00000100", Some(0x100)),
            ("00", Some(0)),
            ("2", None),
            ("000000002", None),
            ("0x", None),
            ("+2", None),
            ("", None),
        ] {
            assert_eq!(
                TraceSource::parse(digits).map(|mask| mask.0),
                expected,
                "{digits}"
            );
        }
        assert_eq!(TraceSource::APPSEC.mechanism().decision_maker(), "-5");
        assert_eq!(TraceSource::AI_GUARD.mechanism().decision_maker(), "-13");
    }
}
