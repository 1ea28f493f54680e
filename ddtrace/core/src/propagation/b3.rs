//! `b3`: what the style `x-b3-*` says, in one header.
//!
//! Source: <https://github.com/openzipkin/b3-propagation>. The value is `<trace id>-<span id>`, then, once it is decided,
//! `-0`, `-1` or `-d`, then perhaps a dash and the parent's id, which is not read. A sender that has a decision but no
//! trace writes the decision alone: the trace that begins here takes it over.

use super::b3multi::{ids, parse_span_id, parse_trace_id, state};
use super::carrier::{Carrier, CarrierMut};
use super::span_context::{InjectContext, SpanContext};
use crate::sampling::SamplingPriority;
use crate::stack_text::StackText;
use crate::trace::TraceId;

const B3: &str = "b3";

/// 32 digits, 16 digits and a letter, with dashes.
const LONGEST: usize = 32 + 1 + 16 + 2;

/// Reads a context; allocates nothing. Its trace id is zero if there is a decision only.
pub(super) fn extract(carrier: &dyn Carrier) -> Option<SpanContext> {
    let value = carrier.get(B3)?.trim_ascii();
    let mut parts = value.split(|&byte| byte == b'-');
    let first = parts.next()?;
    let Some(span_id) = parts.next() else {
        let mut context = SpanContext::new(TraceId::default(), None);
        context.priority = Some(parse_state(first)?);
        return Some(context);
    };
    let (trace_id, span_id) = (parse_trace_id(first)?, parse_span_id(span_id)?);
    let mut context = SpanContext::new(trace_id, (!span_id.is_zero()).then_some(span_id));
    context.priority = parts.next().and_then(parse_state);
    Some(context)
}

/// Writes a context; allocates nothing beyond what the carrier does. False if there is nothing to write.
pub(super) fn inject(context: &InjectContext<'_>, carrier: &mut dyn CarrierMut) -> bool {
    let (Some(trace_id), Some(span_id)) = ids(context) else {
        return false;
    };
    let mut value = StackText::<LONGEST>::new();
    let mut fits = value.push(trace_id.as_str()) && value.push("-") && value.push(span_id.as_str());
    if let Some(state) = state(context) {
        fits &= value.push("-") && value.push(state);
    }
    debug_assert!(fits, "the parts have fixed lengths");
    carrier.set(B3, value.as_bytes());
    true
}

fn parse_state(state: &[u8]) -> Option<SamplingPriority> {
    match state {
        b"0" => Some(SamplingPriority::AUTO_REJECT),
        b"1" => Some(SamplingPriority::AUTO_KEEP),
        b"d" => Some(SamplingPriority::USER_KEEP),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn parts_are_ids_and_a_state() {
        for (value, expected) in [
            ("1-2", Some((1, Some(2), None))),
            ("1-2-0", Some((1, Some(2), Some(0)))),
            (" 1-2-d-3 ", Some((1, Some(2), Some(2)))),
            ("1-2-true", Some((1, Some(2), None))),
            ("1-0-1", Some((1, None, Some(1)))),
            ("0", Some((0, None, Some(0)))),
            ("1", Some((0, None, Some(1)))),
            ("2", None),
            ("0-2-1", None),
            ("1-", None),
            ("-2", None),
            ("1-x-1", None),
            ("", None),
        ] {
            let headers = BTreeMap::from([("b3".to_owned(), value.to_owned())]);
            let found = extract(&headers).map(|context| {
                (
                    context.trace_id.low(),
                    context.span_id.map(|id| id.get()),
                    context.priority.map(SamplingPriority::get),
                )
            });
            assert_eq!(found, expected, "{value:?}");
        }
    }
}
