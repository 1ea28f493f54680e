//! `ot`, the member of `tracestate` by which OpenTelemetry's samplers tell each other what a rate decided.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>. Items `key:value` joined by
//! `;`: `rv`, the randomness of the trace, 14 hexadecimal digits; `th`, the threshold, 14 digits without the zeros at their
//! end. What [`Probability`] computes is written here.
//!
//! A member that came in is sent on. An `rv` or `th` that is no number goes, other items stay as they are, as long as the member
//! has at most 256 bytes. What a decision in this process does to it is said by [`ProbabilityUpdate`].

use crate::sampling::Probability;
use crate::stack_text::StackText;
use crate::text::{split_ascii, split_once_ascii};

/// How the member begins.
pub(super) const PREFIX: &str = "ot=";

/// The longest member.
const MAX_BYTES: usize = 256;

/// Digits of a whole number.
const DIGITS: usize = 14;

const RANDOMNESS: &str = "rv";
const THRESHOLD: &str = "th";

/// What a decision in this process has to say about the probability of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProbabilityUpdate {
    /// Nothing was decided here: what came in is sent on.
    #[default]
    Unchanged,
    /// A rate decided: its numbers are sent, unless the trace came with one.
    Decided(Probability),
    /// It was not a rate that decided, but a user, a product or a limit: a threshold would say something wrong. The randomness
    /// stays: the inbound one, or that of an earlier decision by a rate.
    Overruled(Option<u64>),
}

/// The member, read.
#[derive(Clone, Copy, Default)]
pub(super) struct Probabilities<'a> {
    randomness: Option<Digits>,
    threshold: Option<Digits>,
    /// All items as they came.
    text: &'a str,
}

type Digits = StackText<DIGITS>;

impl<'a> Probabilities<'a> {
    /// Reads the member without `ot=`.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut read = Self {
            text,
            ..Self::default()
        };
        for item in split_ascii(text, b';') {
            match split_once_ascii(item, b':') {
                Some((RANDOMNESS, digits)) if digits.len() == DIGITS => {
                    read.randomness = parse_digits(digits);
                }
                Some((RANDOMNESS, _)) => read.randomness = None,
                Some((THRESHOLD, digits)) => read.threshold = parse_digits(digits),
                _ => {}
            }
        }
        read
    }

    /// The same after a decision.
    pub(super) fn after(mut self, update: ProbabilityUpdate) -> Self {
        match update {
            ProbabilityUpdate::Unchanged => {}
            ProbabilityUpdate::Decided(probability) => {
                if self.randomness.is_none() && self.threshold.is_none() {
                    self.randomness = whole(probability.randomness());
                    self.threshold = without_zeros(probability.threshold());
                }
            }
            ProbabilityUpdate::Overruled(randomness) => {
                self.threshold = None;
                if self.randomness.is_none() {
                    self.randomness = randomness.and_then(whole);
                }
            }
        }
        self
    }

    /// The member with `ot=`; empty if there is nothing to say.
    pub(super) fn member(&self) -> StackText<MAX_BYTES> {
        let mut member = StackText::new();
        let mut push = |key: &str, value: &str| {
            let before = member.len();
            let separator = if before == 0 { PREFIX } else { ";" };
            if !(member.push(separator) && member.push(key) && member.push(value)) {
                member.truncate(before);
            }
        };
        if let Some(randomness) = &self.randomness {
            push("rv:", randomness.as_str());
        }
        if let Some(threshold) = &self.threshold {
            push("th:", threshold.as_str());
        }
        if self.text.is_empty() {
            return member;
        }
        let others = split_ascii(self.text, b';').filter(|item| {
            let key = split_once_ascii(item, b':').map(|(key, _)| key);
            !item.trim().is_empty() && key != Some(RANDOMNESS) && key != Some(THRESHOLD)
        });
        others.for_each(|item| push("", item));
        // What another item stood behind may stand at the end now, where blanks mean nothing.
        let kept = member.as_str().trim_end().len();
        member.truncate(if kept > PREFIX.len() { kept } else { 0 });
        member
    }
}

/// 1 to 14 digits in lower case.
fn parse_digits(digits: &str) -> Option<Digits> {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let mut kept = Digits::new();
    (!digits.is_empty() && digits.bytes().all(is_digit) && kept.push(digits)).then_some(kept)
}

/// 14 digits.
fn whole(number: u64) -> Option<Digits> {
    let mut digits = Digits::new();
    digits.push_hex_digits::<DIGITS>(number).then_some(digits)
}

/// 14 digits without zeros at the end, but at least one.
fn without_zeros(number: u64) -> Option<Digits> {
    let mut digits = whole(number)?;
    let zeros = (number.trailing_zeros() / 4) as usize;
    digits.truncate(DIGITS - zeros.min(DIGITS - 1));
    Some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::{RuleSet, Sampler, SamplingSubject};

    fn sent_on(member: &str, update: ProbabilityUpdate) -> String {
        let member = Probabilities::parse(member).after(update).member();
        member.as_str().to_owned()
    }

    /// What dd-trace-py 4.16 sends on.
    #[test]
    fn what_is_no_number_goes_and_the_rest_is_sent_on() {
        for (inbound, outbound) in [
            ("rv:not-hex;th:not-hex", ""),
            ("rv:1234567890abcd;th:zz", "ot=rv:1234567890abcd"),
            (
                "rv:1234567890abcd;th:0;x:1;y:zz",
                "ot=rv:1234567890abcd;th:0;x:1;y:zz",
            ),
            (
                "x:1;th:8;rv:1234567890abcd",
                "ot=rv:1234567890abcd;th:8;x:1",
            ),
            ("rv:1234;th:8", "ot=th:8"),
            ("th:123456789012345", ""),
            ("th:00000000000000", "ot=th:00000000000000"),
            ("th:80", "ot=th:80"),
            ("rv:1234567890ABCD;th:C", ""),
            ("abc", "ot=abc"),
            ("th:8;th:9", "ot=th:9"),
            ("th:;rv:1234567890abcd", "ot=rv:1234567890abcd"),
            ("th:8;zzz", "ot=th:8;zzz"),
            ("x:1 ;th:8", "ot=th:8;x:1"),
            ("x:1; ;;th:8", "ot=th:8;x:1"),
            (" ", ""),
            (" th:8 ; rv:1234567890abcd", "ot= th:8 ; rv:1234567890abcd"),
        ] {
            assert_eq!(
                sent_on(inbound, ProbabilityUpdate::Unchanged),
                outbound,
                "{inbound}"
            );
        }
        let long = format!("x:{};th:8", "a".repeat(250));
        assert_eq!(sent_on(&long, ProbabilityUpdate::Unchanged), "ot=th:8");
    }

    /// Rows C34 to C36, and what the same tracer makes of a member that came in, by kind of decision.
    #[test]
    fn a_decision_says_what_a_rate_did_and_only_that() {
        let decided = |rules: &str, trace_id_low| {
            let sampler = Sampler::new(RuleSet::parse(rules).0, 100);
            let decision = sampler.decide(&SamplingSubject {
                trace_id_low,
                service: "",
                env: "",
                name: "",
                resource: "",
                tags: &(),
            });
            let probability = decision.probability.expect("a rate decided");
            (
                ProbabilityUpdate::Decided(probability),
                probability.randomness(),
            )
        };
        for (number, id, expected) in [
            ("C34", 10, "ot=rv:65cd67504a538e;th:0"),
            ("C35", 1000, "ot=rv:c43c5b5d08a38e;th:0"),
            ("C36", 263_811_222_310_854_400, "ot=rv:e6666666666666;th:0"),
        ] {
            assert_eq!(sent_on("", decided("[]", id).0), expected, "{number}");
        }
        let (by_half, randomness) = decided(r#"[{"sample_rate":0.5}]"#, 1);
        let overruled = ProbabilityUpdate::Overruled(None);
        for (inbound, update, outbound) in [
            ("", by_half, "ot=rv:f0948a54d43b8e;th:8"),
            ("x:1", by_half, "ot=rv:f0948a54d43b8e;th:8;x:1"),
            ("rv:1234567890abcd", by_half, "ot=rv:1234567890abcd"),
            ("th:c", by_half, "ot=th:c"),
            ("", overruled, ""),
            (
                "",
                ProbabilityUpdate::Overruled(Some(randomness)),
                "ot=rv:f0948a54d43b8e",
            ),
            ("th:8", overruled, ""),
            (
                "rv:1234567890abcd;th:8;x:1",
                overruled,
                "ot=rv:1234567890abcd;x:1",
            ),
        ] {
            assert_eq!(sent_on(inbound, update), outbound, "{inbound} {update:?}");
        }
        let (by_hundredth, _) = decided(r#"[{"sample_rate":0.01}]"#, 10);
        assert_eq!(
            sent_on("", by_hundredth),
            "ot=rv:65cd67504a538e;th:fd70a3d70a3d7"
        );
        let (by_tenth, _) = decided(r#"[{"sample_rate":0.1}]"#, 10);
        assert_eq!(
            sent_on("", by_tenth),
            "ot=rv:65cd67504a538e;th:e6666666666668"
        );
    }
}
