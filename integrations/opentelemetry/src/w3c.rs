//! Our contexts in OpenTelemetry's words, and the other way round. Both are W3C trace context in the end, so our own reader and writer
//! of those headers do the work.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ddtrace_core::propagation::{CarrierMut, Propagator, SpanContext as Inbound, Style};
use ddtrace_core::trace::{self, inject_context_with};
use opentelemetry::trace::{SpanContext, TraceState};
use opentelemetry::{SpanId, TraceFlags, TraceId};

/// Writes and reads W3C headers whatever is configured.
static W3C: LazyLock<Propagator> =
    LazyLock::new(|| Propagator::new(&[Style::TraceContext], &[Style::TraceContext]));

#[derive(Default)]
struct Headers {
    traceparent: String,
    tracestate: String,
}

impl CarrierMut for Headers {
    fn set(&mut self, name: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        match name {
            "traceparent" => self.traceparent = value,
            "tracestate" => self.tracestate = value,
            _ => {}
        }
    }
}

/// A place in one of our traces as OpenTelemetry sees it. Decides about the trace.
pub(crate) fn of_place(place: &trace::Context) -> SpanContext {
    let Some(id) = place.id().filter(|id| !id.trace_id.is_zero()) else {
        return SpanContext::NONE;
    };
    let mut headers = Headers::default();
    inject_context_with(place, &W3C, &mut headers);
    let flags = if headers.traceparent.ends_with("01") {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::NOT_SAMPLED
    };
    SpanContext::new(
        TraceId::from(u128::from(id.trace_id)),
        SpanId::from(id.span_id.get()),
        flags,
        false,
        trace_state(&headers.tracestate),
    )
}

/// A context that came in, as OpenTelemetry sees it.
pub(crate) fn of_inbound(context: &Inbound) -> SpanContext {
    let flags = if context.priority.is_some_and(|priority| priority.is_kept()) {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::NOT_SAMPLED
    };
    SpanContext::new(
        TraceId::from(u128::from(context.trace_id)),
        SpanId::from(context.span_id.map_or(0, |id| id.get())),
        flags,
        true,
        trace_state(context.tracestate.as_deref().unwrap_or_default()),
    )
}

/// What a parent that is not ours says about its trace.
pub(crate) fn to_inbound(context: &SpanContext) -> Option<Inbound> {
    let headers = BTreeMap::from([
        (
            "traceparent".to_owned(),
            format!(
                "00-{}-{}-{:02x}",
                context.trace_id(),
                context.span_id(),
                context.trace_flags().to_u8() & 1
            ),
        ),
        ("tracestate".to_owned(), context.trace_state().header()),
    ]);
    W3C.extract(&headers).context
}

/// Reads a header. OpenTelemetry's reader is stricter than W3C's grammar: what it refuses is left out one by one.
fn trace_state(header: &str) -> TraceState {
    if header.is_empty() {
        return TraceState::NONE;
    }
    header.parse().unwrap_or_else(|_| {
        let members = header
            .split(',')
            .filter_map(|member| member.trim().split_once('='));
        // Inserting puts a member first, so the last one is inserted first.
        members.rev().fold(TraceState::NONE, |state, (key, value)| {
            state.insert(key, value).unwrap_or(state)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_is_refused_leaves_the_others() {
        let state = trace_state("dd=s:1;o:rum,UPPER=1,foo=1");
        assert_eq!(state.header(), "dd=s:1;o:rum,foo=1");
        assert_eq!(trace_state("dd=s:1,foo=1").header(), "dd=s:1,foo=1");
        assert_eq!(trace_state(""), TraceState::NONE);
    }

    #[test]
    fn a_foreign_parent_keeps_what_its_trace_state_says() {
        let state = trace_state("dd=s:2;o:synthetics;t.dm:-4,foo=1");
        let parent = SpanContext::new(
            TraceId::from(42u128),
            SpanId::from(3),
            TraceFlags::SAMPLED,
            true,
            state,
        );
        let inbound = to_inbound(&parent).expect("it is valid");
        assert_eq!(
            (inbound.trace_id.low(), inbound.span_id.map(|id| id.get())),
            (42, Some(3))
        );
        assert_eq!(inbound.priority.map(|priority| priority.get()), Some(2));
        assert_eq!(inbound.origin.as_deref(), Some("synthetics"));
        assert_eq!(of_inbound(&inbound).trace_id(), parent.trace_id());
        assert!(to_inbound(&SpanContext::NONE).is_none());
    }
}
