//! `traceparent` and `tracestate`: the style of the W3C recommendation.
//!
//! Source: <https://www.w3.org/TR/trace-context/>. `traceparent` is `00-<trace id>-<span id>-<flags>` in lower-case
//! hexadecimal digits; of the flags only bit 0, "sampled", is read. What Datadog adds is a member of `tracestate`.

use super::carrier::{Carrier, CarrierMut, joined};
use super::span_context::{InjectContext, SpanContext};
use super::tags::PropagationTags;
use super::tracestate::{self, Member};
use crate::sampling::{SamplingMechanism, SamplingPriority};
use crate::stack_text::StackText;
use crate::trace::{SpanId, TraceId};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// `00-` + 32 + `-` + 16 + `-` + 2.
const TRACEPARENT_BYTES: usize = 55;

/// A longer `tracestate` is not read; the recommendation asks for 512 bytes.
const MAX_TRACESTATE_BYTES: usize = 16 * 1024;

/// Reads a context. `traceparent` alone costs no allocation; `tracestate` costs one, an origin one, and tags two.
///
/// Origin and tags are left out unless `with_tags`: they are not asked for if another style has found the trace.
pub(super) fn extract(carrier: &dyn Carrier, with_tags: bool) -> Option<SpanContext> {
    let mut values = 0;
    let mut traceparent: &[u8] = b"";
    carrier.get_all(TRACEPARENT, &mut |value| {
        values += 1;
        traceparent = value;
    });
    if values != 1 {
        return None;
    }
    let parent = parse_traceparent(traceparent)?;
    let mut context = SpanContext::new(parent.trace_id, Some(parent.span_id));
    let tracestate = joined(carrier, TRACESTATE, MAX_TRACESTATE_BYTES);
    let tracestate = tracestate
        .as_deref()
        .filter(|bytes| bytes.len() <= MAX_TRACESTATE_BYTES);
    let mut own = None;
    if let Some(members) = tracestate.and_then(tracestate::Members::parse) {
        own = members.datadog();
        context.tracestate = members.to_bounded_text();
    }
    match own.and_then(Member::parse) {
        Some(member) => take_member(&mut context, parent.is_sampled, &member, with_tags),
        None => {
            context.priority = Some(flag_priority(parent.is_sampled));
            // Only others were at work on this trace, and one of them keeps it.
            let is_foreign = own.is_none() && context.tracestate.is_some();
            if is_foreign && parent.is_sampled && with_tags {
                let by_default = SamplingMechanism::Default.decision_maker();
                context
                    .tags
                    .set(PropagationTags::DECISION_MAKER, by_default);
            }
        }
    }
    Some(context)
}

/// Writes both headers; allocates nothing beyond what the carrier does. False if there is nothing to write.
///
/// Without a span id nothing is written: the recommendation has no word for a trace without a parent.
pub(super) fn inject(context: &InjectContext<'_>, carrier: &mut dyn CarrierMut) -> bool {
    let Some(span_id) = context
        .span_id
        .filter(|span_id| !span_id.is_zero() && !context.trace_id.is_zero())
    else {
        return false;
    };
    let is_kept = context.priority.is_some_and(SamplingPriority::is_kept);
    let mut traceparent = StackText::<TRACEPARENT_BYTES>::new();
    let fits = traceparent.push("00-")
        && traceparent.push_hex(context.trace_id.high())
        && traceparent.push_hex(context.trace_id.low())
        && traceparent.push("-")
        && traceparent.push_hex(span_id.get())
        && traceparent.push(if is_kept { "-01" } else { "-00" });
    debug_assert!(fits, "the parts have fixed lengths");
    carrier.set(TRACEPARENT, traceparent.as_bytes());

    let tracestate = tracestate::build(context, span_id);
    if !tracestate.is_empty() {
        carrier.set(TRACESTATE, tracestate.as_bytes());
    }
    true
}

/// What Datadog's member says, as far as the flag does not overrule it.
fn take_member(context: &mut SpanContext, is_sampled: bool, member: &Member<'_>, with_tags: bool) {
    context.priority = match member.priority {
        None if member.is_from_browser() => None,
        Some(priority) if priority.is_kept() == is_sampled => Some(priority),
        _ => Some(flag_priority(is_sampled)),
    };
    context.last_parent_id = member.last_parent_id.map(Box::from);
    if !with_tags {
        return;
    }
    context.origin = member.origin();
    context.tags = member.tags();
    // The flag is another vendor's decision: whoever decided before is not the one who decided this.
    match member.priority.map(SamplingPriority::is_kept) {
        Some(false) if is_sampled => {
            let by_default = SamplingMechanism::Default.decision_maker();
            context
                .tags
                .set(PropagationTags::DECISION_MAKER, by_default);
        }
        Some(true) if !is_sampled => context.tags.remove(PropagationTags::DECISION_MAKER),
        _ => {}
    }
}

const fn flag_priority(is_sampled: bool) -> SamplingPriority {
    if is_sampled {
        SamplingPriority::AUTO_KEEP
    } else {
        SamplingPriority::AUTO_REJECT
    }
}

struct Traceparent {
    trace_id: TraceId,
    span_id: SpanId,
    is_sampled: bool,
}

/// Reads `traceparent`; versions above 00 may have more after another dash.
fn parse_traceparent(value: &[u8]) -> Option<Traceparent> {
    let value = trim_blanks(value);
    let (known, more) = value.split_at_checked(TRACEPARENT_BYTES)?;
    if [2, 35, 52].into_iter().any(|dash| known[dash] != b'-') {
        return None;
    }
    let version = parse_hex(&known[..2])?;
    let may_continue = version != 0;
    if version == 0xff || !(more.is_empty() || (may_continue && more[0] == b'-')) {
        return None;
    }
    let trace_id = TraceId::new(parse_hex(&known[3..19])?, parse_hex(&known[19..35])?);
    let span_id = SpanId::new(parse_hex(&known[36..52])?);
    let flags = parse_hex(&known[53..])?;
    if trace_id.is_zero() || span_id.is_zero() {
        return None;
    }
    Some(Traceparent {
        trace_id,
        span_id,
        is_sampled: flags & 1 == 1,
    })
}

/// Up to 16 digits; lower case only, as the recommendation has it.
fn parse_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u64::from(digit))
    })
}

/// Without the blanks that HTTP allows around a value: spaces and tabs.
fn trim_blanks(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = value.iter().position(is_text).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(is_text)
        .map_or(start, |last| last + 1);
    &value[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparent_is_read_strictly() {
        let valid = "00-12345678901234567890123456789012-1234567890123456-01";
        for (value, expected) in [
            (valid.to_owned(), true),
            (format!(" \t{valid}\t "), true),
            (format!("{valid}."), false),
            (format!("{valid}-"), false),
            (format!("{valid}-what"), false),
            (valid.replacen("00", "cc", 1), true),
            (valid.replacen("00", "cc", 1) + "-", true),
            (valid.replacen("00", "cc", 1) + "-what", true),
            (valid.replacen("00", "cc", 1) + ".what", false),
            (valid.replacen("00", "ff", 1), false),
            (valid.replacen("00", ".0", 1), false),
            (valid.replacen("00", "0", 1), false),
            (valid.replacen("00", "000", 1), false),
            (
                valid.replace("12345678901234567890123456789012", &"0".repeat(32)),
                false,
            ),
            (
                valid.replace("-1234567890123456-", "-0000000000000000-"),
                false,
            ),
            (
                valid.replace("-1234567890123456-", "-123456789012345.-"),
                false,
            ),
            (
                valid.replace("-1234567890123456-", "-12345678901234567-"),
                false,
            ),
            (
                valid.replace("-1234567890123456-", "_1234567890123456-"),
                false,
            ),
            (valid.replace("-01", "-0."), false),
            (valid.replace("-01", "-1"), false),
            (
                valid.replace(
                    "12345678901234567890123456789012",
                    "ABCDEF78901234567890123456789012",
                ),
                false,
            ),
            (String::new(), false),
        ] {
            assert_eq!(
                parse_traceparent(value.as_bytes()).is_some(),
                expected,
                "{value:?}"
            );
        }
    }

    /// The table of priorities in which the flag of `traceparent` and the `s` of `tracestate` meet.
    #[test]
    fn the_flag_overrules_a_priority_that_disagrees() {
        let extracted = |flags: &str, tracestate: &str| {
            let mut headers = http::HeaderMap::new();
            let parent = format!("00-12345678901234567890123456789012-1234567890123456-{flags}");
            headers.insert(TRACEPARENT, parent.parse().unwrap());
            headers.insert(TRACESTATE, tracestate.parse().unwrap());
            let context = extract(&headers, true).unwrap();
            let decision_maker = context
                .tags
                .get(PropagationTags::DECISION_MAKER)
                .map(str::to_owned);
            (context.priority.map(SamplingPriority::get), decision_maker)
        };
        for (flags, tracestate, priority, decision_maker) in [
            ("01", "dd=t.x:1", Some(1), None),
            ("01", "dd=t.dm:-4", Some(1), Some("-4")),
            ("01", "dd=s:0;t.dm:-4", Some(1), Some("-0")),
            ("01", "dd=s:-1", Some(1), Some("-0")),
            ("01", "dd=s:2;t.dm:-4", Some(2), Some("-4")),
            ("00", "dd=t.x:1", Some(0), None),
            ("00", "dd=s:2;t.dm:-4", Some(0), None),
            ("00", "dd=s:-1;t.dm:-3", Some(-1), Some("-3")),
            ("00", "dd=s:0", Some(0), None),
            ("00", "dd=o:rum", None, None),
            ("01", "dd=o:rum", None, None),
            ("01", "dd=o:rum;s:2", Some(2), None),
        ] {
            let expected = (priority, decision_maker.map(str::to_owned));
            assert_eq!(
                extracted(flags, tracestate),
                expected,
                "{flags} {tracestate}"
            );
        }
    }

    #[test]
    fn several_traceparents_are_none_and_several_tracestates_are_one() {
        let parent = "00-12345678901234567890123456789012-1234567890123456-01";
        let mut headers = http::HeaderMap::new();
        headers.append(TRACEPARENT, parent.parse().unwrap());
        for members in ["foo=1,bar=2", "", "rojo=1"] {
            headers.append(TRACESTATE, members.parse().unwrap());
        }
        assert_eq!(
            extract(&headers, true).unwrap().tracestate.as_deref(),
            Some("foo=1,bar=2,rojo=1")
        );
        headers.append(TRACEPARENT, parent.parse().unwrap());
        assert_eq!(extract(&headers, true), None);
    }
}
