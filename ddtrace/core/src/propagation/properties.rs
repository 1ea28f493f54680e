//! What must hold for any input.

use http::header::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::sampling::SamplingPriority;
use crate::trace::{SpanId, TraceId};

/// A carrier that holds any bytes, several per name.
#[derive(Debug)]
struct Anything(Vec<(&'static str, Vec<u8>)>);

impl Carrier for Anything {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(candidate, _)| *candidate == name)
            .map(|(_, value)| &value[..])
    }

    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        self.0
            .iter()
            .filter(|(candidate, _)| *candidate == name)
            .for_each(|(_, value)| visit(value));
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.0.iter().for_each(|(name, _)| visit(name));
    }
}

/// Values that are close to right, so that more than the first check is reached.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[0-9]{1,21}".prop_map(String::into_bytes),
        "-?[0-3]".prop_map(String::into_bytes),
        "(00|cc|ff)-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3](-.*)?".prop_map(String::into_bytes),
        "(dd=|ot=|k[a-c]=|)([spot.a-c:;~ -]|[0-9]|\t){0,40}(,(dd=s:[0-2];p:[a-f]{16};t\\.dm:-[0-9]|foo=1|=|,)){0,40}"
            .prop_map(String::into_bytes),
        "(_dd\\.p\\.(dm|tid|[a-c])=(-[0-9]{1,4}|[0-9a-f]{16}|[a-z ]{0,9}),?){0,12}".prop_map(String::into_bytes),
        "[0-9a-f]{1,33}(-[0-9a-f]{1,17}(-[01d](-[0-9a-f]{16})?)?)?".prop_map(String::into_bytes),
        "([a-z%]{0,4}=(%[0-9A-F]{2}|[ -~]){0,6},?){0,70}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..64),
    ]
}

fn anything() -> impl Strategy<Value = Anything> {
    let name = prop::sample::select(vec![
        "x-datadog-trace-id",
        "x-datadog-parent-id",
        "x-datadog-sampling-priority",
        "x-datadog-origin",
        "x-datadog-tags",
        "traceparent",
        "tracestate",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-sampled",
        "b3",
        "baggage",
    ]);
    prop::collection::vec((name, value()), 0..12).prop_map(Anything)
}

proptest! {
    #[test]
    fn whatever_comes_in_is_bounded_and_can_be_passed_on(carrier in anything()) {
        let propagator = Propagator::default();
        let extracted = propagator.extract(&carrier);
        if let Some(context) = extracted.context {
            prop_assert!(!context.trace_id.is_zero());
            prop_assert!(context.origin.as_deref().is_none_or(|origin| origin.len() <= 1024));
            prop_assert!(context.tracestate.as_deref().is_none_or(|tracestate| tracestate.len() <= 1100));
            let mut outbound = HeaderMap::new();
            let error = propagator.inject(&InjectContext::remote(&context), &mut outbound);
            prop_assert!(error.is_none() || context.propagation_error.is_none());
            if let Some(tracestate) = outbound.get("tracestate") {
                prop_assert!(tracestate.len() <= 512);
                prop_assert!(tracestate.to_str().unwrap().split(',').count() <= 32);
            }
            let again = propagator.extract(&outbound).context.expect("what is passed on can be read");
            prop_assert_eq!((again.trace_id.low(), again.span_id), (context.trace_id.low(), context.span_id));
            // With an error the tags are not sent, and the upper half of the id is one of them.
            if context.propagation_error.is_none() {
                prop_assert_eq!(again.trace_id, context.trace_id);
            }
        }
    }

    #[test]
    fn b3_that_comes_in_can_be_passed_on(carrier in anything(), style in prop::sample::select(vec![Style::B3, Style::B3Multi])) {
        let propagator = Propagator::new(&[style], &[style]);
        if let Some(context) = propagator.extract(&carrier).context.filter(|context| context.span_id.is_some()) {
            let mut outbound = HeaderMap::new();
            prop_assert_eq!(propagator.inject(&InjectContext::remote(&context), &mut outbound), None);
            prop_assert_eq!(propagator.extract(&outbound).context, Some(context));
        }
    }

    #[test]
    fn baggage_that_is_injected_is_extracted(
        items in prop::collection::vec(("[^\\s]\\PC{0,8}[^\\s]", "[^\\s]\\PC{0,20}[^\\s]"), 0..70),
    ) {
        let baggage: Baggage = items.into_iter().collect();
        let tags = PropagationTags::default();
        let mut inject = InjectContext::new(TraceId::default(), SpanId::default(), &tags);
        inject.baggage = Some(&baggage);
        let mut outbound = HeaderMap::new();
        let propagator = Propagator::default();
        propagator.inject(&inject, &mut outbound);
        prop_assert!(outbound.get("baggage").is_none_or(|header| header.len() <= 8192));
        let read = propagator.extract(&outbound).baggage;
        prop_assert!(read.len() == baggage.len().min(64) || outbound["baggage"].len() > 8000);
        prop_assert!(read.iter().zip(baggage.iter()).all(|(read, written)| read == (written.0.trim(), written.1.trim())));
    }

    #[test]
    fn what_is_injected_is_extracted(
        trace_id in 1_u128.., span_id in 1_u64.., priority in -1..3, origin in "[a-z.-]{1,20}",
        pairs in prop::collection::btree_map("_dd\\.p\\.[a-c][a-z.]{1,6}", "[!-+--:<-}]{1,12}", 0..5),
        style in prop::sample::select(vec![Style::Datadog, Style::TraceContext]),
    ) {
        let mut tags = PropagationTags::default();
        pairs.iter().for_each(|(key, value)| tags.set(key, value));
        // An id of this kind has no upper half in `x-datadog-trace-id`, and the lower half must not be zero.
        let trace_id = TraceId::new((trace_id >> 64) as u64, (trace_id as u64).max(1));
        let mut context = InjectContext::new(trace_id, SpanId::new(span_id), &tags);
        context.priority = Some(SamplingPriority::new(priority));
        context.origin = Some(&origin);
        let mut outbound = HeaderMap::new();
        let propagator = Propagator::new(&[style], &[style]);
        prop_assert_eq!(propagator.inject(&context, &mut outbound), None);

        let read = propagator.extract(&outbound).context.unwrap();
        prop_assert_eq!(read.trace_id, trace_id);
        prop_assert_eq!(read.span_id, Some(SpanId::new(span_id)));
        prop_assert_eq!(read.priority, context.priority);
        prop_assert_eq!(read.origin.as_deref(), Some(origin.as_str()));
        prop_assert_eq!(read.tags, tags);
    }
}
