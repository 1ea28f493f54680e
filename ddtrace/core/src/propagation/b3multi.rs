//! `x-b3-*`: the style of Zipkin and its relatives.
//!
//! Source: <https://github.com/openzipkin/b3-propagation>.
//!
//! | header | content |
//! |---|---|
//! | `x-b3-traceid` | 32 or 16 hexadecimal digits |
//! | `x-b3-spanid` | 16 hexadecimal digits |
//! | `x-b3-sampled` | `0` or `1`, left out while undecided |
//! | `x-b3-flags` | `1`: kept by a user; beats `x-b3-sampled`, and stands in its place |
//!
//! Ids are read leniently: shorter ones, since some senders leave leading zeros out, and in either case. An id that is no
//! number loses the whole context. `x-b3-parentspanid` is not read: the span of the caller is the parent.

use super::carrier::{Carrier, CarrierMut};
use super::span_context::{InjectContext, SpanContext};
use crate::sampling::SamplingPriority;
use crate::stack_text::StackText;
use crate::trace::{SpanId, TraceId};

const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// Reads a context; allocates nothing.
pub(super) fn extract(carrier: &dyn Carrier) -> Option<SpanContext> {
    let trace_id = parse_trace_id(carrier.get(TRACE_ID)?)?;
    let span_id = match carrier.get(SPAN_ID) {
        None => SpanId::default(),
        Some(value) => parse_span_id(value)?,
    };
    let mut context = SpanContext::new(trace_id, (!span_id.is_zero()).then_some(span_id));
    let is = |name, wanted| carrier.get(name).map(<[u8]>::trim_ascii) == Some(wanted);
    context.priority = if is(FLAGS, b"1") {
        Some(SamplingPriority::USER_KEEP)
    } else if is(SAMPLED, b"1") {
        Some(SamplingPriority::AUTO_KEEP)
    } else if is(SAMPLED, b"0") {
        Some(SamplingPriority::AUTO_REJECT)
    } else {
        None
    };
    Some(context)
}

/// Writes a context; allocates nothing beyond what the carrier does. False if there is nothing to write.
///
/// Without a span id nothing is written: the style has no word for a trace without a parent.
pub(super) fn inject(context: &InjectContext<'_>, carrier: &mut dyn CarrierMut) -> bool {
    let (Some(trace_id), Some(span_id)) = ids(context) else {
        return false;
    };
    carrier.set(TRACE_ID, trace_id.as_bytes());
    carrier.set(SPAN_ID, span_id.as_bytes());
    match state(context) {
        Some("d") => carrier.set(FLAGS, b"1"),
        Some(state) => carrier.set(SAMPLED, state.as_bytes()),
        None => {}
    }
    true
}

/// Both ids as they are written; nothing in the place of one that is missing.
pub(super) fn ids(context: &InjectContext<'_>) -> (Option<StackText<32>>, Option<StackText<16>>) {
    let trace_id = context.trace_id;
    let mut long = StackText::new();
    let fits =
        (trace_id.high() == 0 || long.push_hex(trace_id.high())) && long.push_hex(trace_id.low());
    let span_id = context.span_id.unwrap_or_default();
    let mut short = StackText::new();
    let has_span = !span_id.is_zero() && short.push_hex(span_id.get());
    (
        (fits && !trace_id.is_zero()).then_some(long),
        has_span.then_some(short),
    )
}

/// The decision in a word, as the style with one header has it.
pub(super) fn state(context: &InjectContext<'_>) -> Option<&'static str> {
    let priority = context.priority?;
    Some(match priority {
        _ if !priority.is_kept() => "0",
        SamplingPriority::AUTO_KEEP => "1",
        _ => "d",
    })
}

/// 1 to 32 digits that are not all zero.
pub(super) fn parse_trace_id(digits: &[u8]) -> Option<TraceId> {
    let digits = digits.trim_ascii();
    let (high, low) = digits.split_at(digits.len().saturating_sub(16));
    let high = if high.is_empty() { 0 } else { parse_hex(high)? };
    let id = TraceId::new(high, parse_hex(low)?);
    (!id.is_zero()).then_some(id)
}

/// 1 to 16 digits; zero says that there is no span.
pub(super) fn parse_span_id(digits: &[u8]) -> Option<SpanId> {
    parse_hex(digits.trim_ascii()).map(SpanId::new)
}

fn parse_hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |number, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some((number << 4) | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal_numbers_of_their_size() {
        for (digits, expected) in [
            ("1", Some(1)),
            (" 7B ", Some(0x7b)),
            ("80f198ee56343ba8", Some(0x80f1_98ee_5634_3ba8)),
            (
                "80f198ee56343ba864fe8b2a57d3eff7",
                Some(0x80f1_98ee_5634_3ba8_64fe_8b2a_57d3_eff7),
            ),
            ("180f198ee56343ba864fe8b2a57d3eff7", None),
            ("0", None),
            ("", None),
            ("0x1", None),
            ("+1", None),
            ("1_1", None),
            ("g", None),
            ("\u{e9}", None),
        ] {
            let expected = expected.map(TraceId::from);
            assert_eq!(parse_trace_id(digits.as_bytes()), expected, "{digits:?}");
        }
        assert_eq!(parse_span_id(b"0"), Some(SpanId::default()));
        assert_eq!(parse_span_id(b"b"), Some(SpanId::new(11)));
        assert_eq!(parse_span_id(b"10000000000000000"), None);
        assert_eq!(parse_span_id(b""), None);
    }
}
