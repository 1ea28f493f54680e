//! The hash by which all Datadog tracers agree on what a rate keeps.

use crate::stack_text::StackText;

/// Knuth's multiplicative constant as Datadog uses it.
const FACTOR: u64 = 1_111_111_111_111_111_111;

/// The hash of an id; small ones are kept.
pub(super) const fn product(id: u64) -> u64 {
    id.wrapping_mul(FACTOR)
}

/// A share of traces, 0 to 1, with the bound that the hash of an id is compared with.
///
/// Services that sample the same trace at the same rate decide alike, whichever tracer they run, because the decision
/// depends on nothing but the lower 64 bits of the id.
///
/// ```
/// use ddtrace_core::sampling::SampleRate;
///
/// let half = SampleRate::new(0.5);
/// assert!(half.keeps(1));
/// assert!(!half.keeps(u64::MAX));
/// assert_eq!(SampleRate::new(7.0).get(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRate {
    rate: f64,
    /// The largest hash that is kept.
    bound: u64,
}

impl SampleRate {
    /// Keeps everything.
    pub const ALL: Self = Self {
        rate: 1.0,
        bound: u64::MAX,
    };

    /// Takes a rate; what is outside of 0 to 1 is the nearer of both, and what is not a number keeps everything.
    pub fn new(rate: f64) -> Self {
        if rate.is_nan() || rate >= 1.0 {
            return Self::ALL;
        }
        let rate = rate.max(0.0);
        // The conversion saturates. 2^64 - 1 is not an f64; the nearest is 2^64.
        let bound = (rate * u64::MAX as f64) as u64;
        Self { rate, bound }
    }

    /// The share itself.
    pub const fn get(self) -> f64 {
        self.rate
    }

    /// Whether this rate keeps the trace (or span) whose id has these lower 64 bits. Costs a multiplication.
    pub fn keeps(self, id: u64) -> bool {
        self.rate > 0.0 && product(id) <= self.bound
    }

    /// The rate as `_dd.p.ksr` has it: at most six decimals, halves rounded up, no trailing zeros.
    pub fn text(self) -> RateText {
        RateText::new(self.rate)
    }
}

/// A rate as text, by value: `0.123457` is as long as it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateText {
    bytes: [u8; Self::MAX_BYTES],
    len: u8,
}

impl RateText {
    const MAX_BYTES: usize = 8;

    fn new(rate: f64) -> Self {
        const MILLION: u64 = 1_000_000;
        let millionths = (rate * MILLION as f64 + 0.5) as u64;
        let mut text = StackText::<{ Self::MAX_BYTES }>::new();
        let mut fits = text.push_decimal(millionths / MILLION);
        let mut rest = millionths % MILLION;
        if rest > 0 {
            fits &= text.push_ascii(b'.');
            let mut place = MILLION;
            while rest > 0 {
                place /= 10;
                fits &= text.push_decimal(rest / place);
                rest %= place;
            }
        }
        debug_assert!(fits, "a rate has one digit before the dot and six after it");
        let mut bytes = [0; Self::MAX_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self {
            bytes,
            len: text.len() as u8,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows C1 to C12.
    #[test]
    fn half_of_all_ids_are_kept_as_the_table_says() {
        for (number, id, is_kept) in [
            ("C1", 1, true),
            ("C2", 100, true),
            ("C3", 18_444_899_399_302_180_860, false),
            ("C4", 18_444_899_399_302_180_862, true),
            ("C5", 18_446_744_073_709_551_615, false),
            ("C6", 9_223_372_036_854_775_807, true),
            ("C7", 4_611_686_018_427_387_903, false),
            ("C8", 1_882_305_164_521_835_798, true),
            ("C9", 6_272_545_487_220_484_606, true),
            ("C10", 10_197_320_802_478_874_805, true),
            ("C11", 12_078_589_664_685_934_330, false),
            ("C12", 14_629_469_446_186_818_297, false),
        ] {
            assert_eq!(SampleRate::new(0.5).keeps(id), is_kept, "{number}");
        }
    }

    #[test]
    fn the_ends_of_the_scale_need_no_hash() {
        for id in [0, 1, u64::MAX, 1 << 63] {
            assert!(SampleRate::new(1.0).keeps(id) && SampleRate::new(2.0).keeps(id));
            assert!(SampleRate::new(f64::NAN).keeps(id));
            assert!(!SampleRate::new(0.0).keeps(id) && !SampleRate::new(-1.0).keeps(id));
        }
    }

    /// Row C14, and the rules of rounding.
    #[test]
    fn rates_are_written_with_six_decimals_at_most() {
        for (rate, text) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (0.0, "0"),
            (0.1234567, "0.123457"),
            (0.7654321, "0.765432"),
            (0.0000005, "0.000001"),
            (0.0000004, "0"),
            (0.000001, "0.000001"),
            (0.9999999, "1"),
            (0.100001, "0.100001"),
            (0.05, "0.05"),
        ] {
            assert_eq!(SampleRate::new(rate).text().as_str(), text, "{rate}");
        }
    }
}
