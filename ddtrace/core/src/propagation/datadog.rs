//! `x-datadog-*`: the style of every Datadog tracer.
//!
//! | header | content |
//! |---|---|
//! | `x-datadog-trace-id` | lower 64 bits of the trace id, decimal |
//! | `x-datadog-parent-id` | span id, decimal |
//! | `x-datadog-sampling-priority` | integer, left out while undecided |
//! | `x-datadog-origin` | text |
//! | `x-datadog-tags` | `_dd.p.*` pairs `k=v` joined by commas, the upper 64 bits of the trace id among them |
//!
//! Ids or a priority that are no numbers lose the whole context; anything wrong with origin or tags loses only these.

use super::carrier::{Carrier, CarrierMut};
use super::error::PropagationError;
use super::span_context::{InjectContext, SpanContext};
use super::tags::{PREFIX, PropagationTags};
use crate::sampling::SamplingPriority;
use crate::stack_text::StackText;
use crate::text::{split_ascii, split_once_ascii};
use crate::trace::{SpanId, TraceId};

const TRACE_ID: &str = "x-datadog-trace-id";
const PARENT_ID: &str = "x-datadog-parent-id";
const SAMPLING_PRIORITY: &str = "x-datadog-sampling-priority";
const ORIGIN: &str = "x-datadog-origin";
const TAGS: &str = "x-datadog-tags";

/// Origins are words like `synthetics-browser`; a longer one is not worth copying into every span.
const MAX_ORIGIN_BYTES: usize = 256;

/// A tag of old tracers that must not travel on.
const UPSTREAM_SERVICES: &str = "_dd.p.upstream_services";

/// What fits into the header without an allocation; the default limit is the same.
const TAGS_ON_STACK: usize = 512;

/// Reads a context. Allocates only for an origin and for tags.
///
/// `use_128_bits` is `DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED`: if false, the upper half stays a tag.
pub(super) fn extract(
    carrier: &dyn Carrier,
    max_tags_length: usize,
    use_128_bits: bool,
) -> Option<SpanContext> {
    let low = parse_u64(carrier.get(TRACE_ID)?).filter(|&low| low != 0)?;
    let span_id = match carrier.get(PARENT_ID) {
        None => SpanId::default(),
        Some(value) => SpanId::new(parse_u64(value)?),
    };
    let priority = match carrier.get(SAMPLING_PRIORITY) {
        None => None,
        Some(value) => Some(SamplingPriority::new(parse_i32(value)?)),
    };
    let mut context = SpanContext::new(
        TraceId::new(0, low),
        (!span_id.is_zero()).then_some(span_id),
    );
    context.priority = priority;
    context.origin = carrier
        .get(ORIGIN)
        .and_then(printable)
        .filter(|origin| is_origin(origin))
        .map(Box::from);
    if let Some(tags) = carrier
        .get(TAGS)
        .filter(|tags| max_tags_length > 0 && !tags.is_empty())
    {
        if tags.len() > max_tags_length {
            context.propagation_error = Some(PropagationError::ExtractMaxSize);
        } else if let Some(tags) = parse_tags(tags) {
            context.tags = tags;
            check_tags(&mut context, use_128_bits);
        } else {
            context.propagation_error = Some(PropagationError::Decoding);
        }
    }
    Some(context)
}

/// Writes a context; allocates nothing beyond what the carrier does, unless tags are allowed to exceed 512 bytes.
///
/// A span id that is missing is written as 0: an inbound trace without a parent is passed on as one.
pub(super) fn inject(
    context: &InjectContext<'_>,
    max_tags_length: usize,
    carrier: &mut dyn CarrierMut,
) -> Option<PropagationError> {
    if context.trace_id.is_zero() {
        return None;
    }
    set_decimal(carrier, TRACE_ID, false, context.trace_id.low());
    set_decimal(
        carrier,
        PARENT_ID,
        false,
        context.span_id.unwrap_or_default().get(),
    );
    if let Some(priority) = context.priority {
        let priority = i64::from(priority.get());
        set_decimal(
            carrier,
            SAMPLING_PRIORITY,
            priority < 0,
            priority.unsigned_abs(),
        );
    }
    if let Some(origin) = context
        .origin
        .filter(|origin| printable(origin.as_bytes()).is_some_and(is_origin))
    {
        carrier.set(ORIGIN, origin.as_bytes());
    }
    inject_tags(context, max_tags_length, carrier).err()
}

fn inject_tags(
    context: &InjectContext<'_>,
    max_length: usize,
    carrier: &mut dyn CarrierMut,
) -> Result<(), PropagationError> {
    if context.propagation_error.is_some() {
        return Ok(());
    }
    let high = context.trace_id_high();
    let mut length = if high == 0 {
        0
    } else {
        PropagationTags::TRACE_ID_HIGH.len() + 18
    };
    let mut is_sendable = true;
    context.for_each_tag(|key, value| {
        length += key.len() + value.len() + 2;
        is_sendable &= is_key(key) && is_value(value);
    });
    // Each pair was counted with a comma; the last has none.
    let length = length.saturating_sub(1);
    if length == 0 {
        return Ok(());
    }
    if max_length == 0 {
        return Err(PropagationError::Disabled);
    }
    if !is_sendable {
        return Err(PropagationError::Encoding);
    }
    if length > max_length {
        return Err(PropagationError::InjectMaxSize);
    }
    let mut high_digits = StackText::<16>::new();
    let high_digits = if high != 0 && high_digits.push_hex(high) {
        Some(high_digits.as_str())
    } else {
        None
    };
    let write_to = |push: &mut dyn FnMut(&str)| {
        let mut separator = "";
        let mut push_pair = |key: &str, value: &str| {
            for part in [separator, key, "=", value] {
                push(part);
            }
            separator = ",";
        };
        context.for_each_tag(&mut push_pair);
        if let Some(digits) = high_digits {
            push_pair(PropagationTags::TRACE_ID_HIGH, digits);
        }
    };
    if length <= TAGS_ON_STACK {
        let mut header = StackText::<TAGS_ON_STACK>::new();
        write_to(&mut |part| {
            let fits = header.push(part);
            debug_assert!(fits, "the length was counted");
        });
        carrier.set(TAGS, header.as_bytes());
    } else {
        let mut header = String::with_capacity(length);
        write_to(&mut |part| header.push_str(part));
        carrier.set(TAGS, header.as_bytes());
    }
    Ok(())
}

fn set_decimal(carrier: &mut dyn CarrierMut, name: &str, is_negative: bool, number: u64) {
    let mut text = StackText::<21>::new();
    if (!is_negative || text.push_ascii(b'-')) && text.push_decimal(number) {
        carrier.set(name, text.as_bytes());
    }
}

/// The pairs that travel; `None` if the header breaks its grammar anywhere, for then no pair can be trusted.
fn parse_tags(header: &[u8]) -> Option<PropagationTags> {
    let commas = header.iter().filter(|&&byte| byte == b',').count();
    let mut tags = PropagationTags::with_capacity(header.len(), commas + 1);
    let mut items = split_ascii(printable(header)?, b',').peekable();
    while let Some(item) = items.next() {
        if item.trim().is_empty() && items.peek().is_none() {
            break;
        }
        let (key, value) = split_once_ascii(item, b'=')?;
        let (key, value) = (key.trim(), value.trim());
        // What could not be sent on must not come in either: it would take the other tags with it.
        if key.is_empty() || !is_key(key) || !is_value(value) {
            return None;
        }
        if key.starts_with(PREFIX) && key != UPSTREAM_SERVICES {
            tags.set(key, value);
        }
    }
    Some(tags)
}

/// Takes the tags out that mean something to the tracer itself, and finds fault with them.
fn check_tags(context: &mut SpanContext, use_128_bits: bool) {
    if context
        .tags
        .get(PropagationTags::DECISION_MAKER)
        .is_some_and(|value| !is_decision_maker(value))
    {
        context.tags.remove(PropagationTags::DECISION_MAKER);
        context.propagation_error = Some(PropagationError::Decoding);
    }
    let Some(digits) = context.tags.get(PropagationTags::TRACE_ID_HIGH) else {
        return;
    };
    match parse_high(digits) {
        Some(high) if use_128_bits => {
            context.trace_id = TraceId::new(high, context.trace_id.low());
            context.tags.remove(PropagationTags::TRACE_ID_HIGH);
        }
        Some(_) => {}
        None => {
            context.propagation_error = Some(PropagationError::MalformedTraceIdHigh(digits.into()));
            context.tags.remove(PropagationTags::TRACE_ID_HIGH);
        }
    }
}

/// Whether a value is `-0` to `-255`.
pub(super) fn is_decision_maker(value: &str) -> bool {
    let Some(digits) = value.strip_prefix('-') else {
        return false;
    };
    let is_canonical = digits == "0"
        || (!digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit()));
    is_canonical && digits.parse::<u8>().is_ok()
}

fn parse_high(digits: &str) -> Option<u64> {
    let is_lower_hex = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 16 || !digits.bytes().all(is_lower_hex) {
        return None;
    }
    u64::from_str_radix(digits, 16)
        .ok()
        .filter(|&high| high != 0)
}

fn is_key(key: &str) -> bool {
    key.bytes()
        .all(|byte| matches!(byte, 0x21..=0x7e) && byte != b',' && byte != b'=')
}

fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| matches!(byte, 0x20..=0x7e) && byte != b',')
}

fn is_origin(origin: &str) -> bool {
    !origin.is_empty() && origin.len() <= MAX_ORIGIN_BYTES
}

fn printable(bytes: &[u8]) -> Option<&str> {
    if !bytes.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

fn parse_u64(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() {
        return None;
    }
    // Digits alone: no sign, as `parse` would take, and no text made first.
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn parse_i32(value: &[u8]) -> Option<i32> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decision_makers_are_small_negative_numbers() {
        for (value, expected) in [
            ("-0", true),
            ("-4", true),
            ("-11", true),
            ("-255", true),
            ("-256", false),
            ("-04", false),
            ("4", false),
            ("-", false),
            ("--1", false),
            ("-+1", false),
            ("934086a686-4", false),
        ] {
            assert_eq!(is_decision_maker(value), expected, "{value}");
        }
    }

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        for (value, expected) in [
            ("1", Some(1)),
            (" 1\t", Some(1)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("+1", None),
            ("-1", None),
            ("1_0", None),
            ("0x1", None),
            ("1.0", None),
            ("", None),
        ] {
            assert_eq!(parse_u64(value.as_bytes()), expected, "{value:?}");
        }
        assert_eq!(parse_i32(b" -1 "), Some(-1));
        assert_eq!(parse_i32(b"9999999999"), None);
    }

    #[test]
    fn one_bad_pair_loses_all_tags() {
        let parsed = |header: &str| {
            parse_tags(header.as_bytes()).map(|tags| {
                tags.iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect::<Vec<_>>()
            })
        };
        for (header, expected) in [
            ("_dd.p.a=1,_dd.p.b=2", Some(vec!["_dd.p.a=1", "_dd.p.b=2"])),
            (
                " _dd.p.a = 1 2 , _dd.p.b=YQ==,",
                Some(vec!["_dd.p.a=1 2", "_dd.p.b=YQ=="]),
            ),
            ("other=1,_dd.p.a=1", Some(vec!["_dd.p.a=1"])),
            ("_dd.p.a=1,,_dd.p.b=2", None),
            ("_dd.p.a b=1,_dd.p.b=2", None),
            ("_dd.p.a", None),
            ("_dd.p.a=", None),
            ("=1", None),
            ("_dd.p.a=1\t", None),
            ("_dd.p.a=\u{e9}", None),
        ] {
            assert_eq!(
                parsed(header),
                expected.map(|pairs| pairs.into_iter().map(str::to_owned).collect()),
                "{header}"
            );
        }
    }
}
