//! What a decision by a rate says to samplers of OpenTelemetry: the member `ot` of `tracestate`.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>. Two numbers of 56 bits: the
//! *randomness* of the trace (`rv`) and the *threshold* below which it is dropped (`th`). A trace is kept if its randomness
//! is not below the threshold, so every service that knows both can tell what another rate would have done.
//!
//! Ours come from the hash by which Datadog's tracers agree ([`SampleRate`]): it keeps *small* products, so the randomness
//! is the upper end of the complement. Both roundings can disagree at the border; then the randomness gives way, because
//! the decision is made.

use super::hash::{SampleRate, product};

const BITS: u32 = 56;
const MAX: u64 = (1 << BITS) - 1;

/// Randomness and threshold of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probability {
    randomness: u64,
    threshold: u64,
}

impl Probability {
    /// What says that this rate decided so about the trace whose id has these lower 64 bits.
    ///
    /// Nothing for a rate of 0, for which there is no threshold.
    pub(super) fn new(rate: SampleRate, trace_id_low: u64, is_kept: bool) -> Option<Self> {
        if rate.get() <= 0.0 {
            return None;
        }
        let scale = (1_u64 << BITS) as f64;
        let threshold = (((1.0 - rate.get()) * scale).round() as u64).min(MAX);
        let randomness = !product(trace_id_low) >> (u64::BITS - BITS);
        Some(Self {
            randomness: if is_kept {
                randomness.max(threshold)
            } else {
                randomness.min(threshold.saturating_sub(1))
            },
            threshold,
        })
    }

    /// `rv`: always 14 digits.
    pub const fn randomness(self) -> u64 {
        self.randomness
    }

    /// `th`: 14 digits, of which zeros at the end are left out.
    pub const fn threshold(self) -> u64 {
        self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rate: f64, id: u64) -> (bool, String) {
        let rate = SampleRate::new(rate);
        let is_kept = rate.keeps(id);
        let probability = Probability::new(rate, id, is_kept).unwrap();
        let threshold = format!("{:014x}", probability.threshold());
        let threshold = match threshold.trim_end_matches('0') {
            "" => "0",
            digits => digits,
        };
        (
            is_kept,
            format!("rv:{:014x};th:{threshold}", probability.randomness()),
        )
    }

    /// Rows C34 to C36 and C40, and what dd-trace-py 4.16 answers close to the border.
    #[test]
    fn decisions_are_told_as_the_reference_tells_them() {
        for (rate, id, is_kept, member) in [
            (1.0, 10, true, "rv:65cd67504a538e;th:0"),
            (1.0, 1000, true, "rv:c43c5b5d08a38e;th:0"),
            (1.0, 263_811_222_310_854_400, true, "rv:e6666666666666;th:0"),
            (0.5, 1, true, "rv:f0948a54d43b8e;th:8"),
            (
                0.5,
                18_444_899_399_302_180_860,
                false,
                "rv:1d6aabcffddf37;th:8",
            ),
            (
                0.5,
                18_444_899_399_302_180_862,
                true,
                "rv:fe93c079a65653;th:8",
            ),
            (
                0.5,
                4_694_596_747_775_707_788,
                true,
                "rv:80000000000001;th:8",
            ),
            (
                0.5,
                9_223_372_036_854_775_808,
                true,
                "rv:80000000000000;th:8",
            ),
            (
                0.5,
                12_620_371_034_665_123_831,
                false,
                "rv:7fffffffffffff;th:8",
            ),
            (
                0.5,
                18_280_922_615_012_911_848,
                false,
                "rv:7ffffffffffffd;th:8",
            ),
            // The randomness was moved to the side of the decision.
            (
                0.1,
                16_816_551_982_041_505_932,
                true,
                "rv:e6666666666668;th:e6666666666668",
            ),
            (
                0.1,
                2_898_583_197_411_022_336,
                true,
                "rv:e6666666666668;th:e6666666666668",
            ),
            (
                0.1,
                6_295_582_195_221_370_359,
                false,
                "rv:e6666666666665;th:e6666666666668",
            ),
            (
                0.2,
                1_268_391_105_742_976_652,
                true,
                "rv:ccccccccccccd0;th:ccccccccccccd",
            ),
            (
                0.2,
                9_194_165_392_632_392_695,
                false,
                "rv:cccccccccccccb;th:ccccccccccccd",
            ),
            (
                0.01,
                17_287_227_288_544_933_280,
                true,
                "rv:fd70a3d70a3d70;th:fd70a3d70a3d7",
            ),
            (
                0.01,
                2_237_482_212_645_729_687,
                false,
                "rv:fd70a3d70a3d6f;th:fd70a3d70a3d7",
            ),
            (
                0.3,
                3_426_205_642_032_731_136,
                true,
                "rv:b3333333333333;th:b333333333333",
            ),
            (
                0.3,
                6_823_204_639_843_079_159,
                false,
                "rv:b333333333332f;th:b333333333333",
            ),
            (
                0.9,
                2_370_960_752_789_313_536,
                true,
                "rv:19999999999998;th:19999999999998",
            ),
            (
                0.9,
                5_767_959_750_599_661_559,
                false,
                "rv:19999999999997;th:19999999999998",
            ),
            (0.99, 1, true, "rv:f0948a54d43b8e;th:028f5c28f5c29"),
            (0.333_333_3, 10, false, "rv:65cd67504a538e;th:aaaaab39d50de"),
            (1e-16, 1, false, "rv:f0948a54d43b8e;th:fffffffffffff8"),
            (1e-18, 1, false, "rv:f0948a54d43b8e;th:ffffffffffffff"),
            (
                1.0 - f64::EPSILON / 2.0,
                10,
                true,
                "rv:65cd67504a538e;th:00000000000008",
            ),
        ] {
            assert_eq!(shown(rate, id), (is_kept, member.to_owned()), "{rate} {id}");
        }
        assert_eq!(Probability::new(SampleRate::new(0.0), 1, false), None);
    }
}
