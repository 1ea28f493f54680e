//! Where a trace crosses into this process, and out of it.
//!
//! The only work that a span causes on the user's thread beyond its own start and end: reading and writing headers, and the
//! sampling decision that has to be known before the trace leaves.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::context::Context;
use super::id::{SpanContextId, SpanId, TraceId};
use super::local;
use super::open::flags;
use super::segment::Segment;
use super::span::Span;
use crate::config::Config;
use crate::export::decide_early;
use crate::propagation::{
    Baggage, Carrier, CarrierMut, Extracted, InjectContext, ProbabilityUpdate, PropagationError,
    PropagationTags, Propagator,
};
use crate::sampling::SamplingPriority;

/// Reads the context and the baggage that a request or message brings. Empty if there is none, or no tracer.
///
/// Never fails: what is wrong in the headers is left out, see [`propagation`](crate::propagation).
pub fn extract(carrier: &dyn Carrier) -> Extracted {
    let tracer = local::with_current(|local| local.tracer().map(Arc::clone)).flatten();
    tracer
        .map(|tracer| tracer.propagator.extract(carrier))
        .unwrap_or_default()
}

/// The same for an integration, by its name in lower case: if the user has listed it in `DD_TRACE_PROPAGATION_AS_SPAN_LINKS`,
/// the trace that the carrier names comes back as a link, and is not continued.
pub fn extract_for(integration: &str, carrier: &dyn Carrier) -> Extracted {
    let tracer = local::with_current(|local| local.tracer().map(Arc::clone)).flatten();
    let Some(tracer) = tracer else {
        return Extracted::default();
    };
    let extracted = tracer.propagator.extract(carrier);
    let linked = &tracer.config().propagation_as_span_links;
    if linked
        .iter()
        .any(|name| name.eq_ignore_ascii_case(integration))
        && extracted.context.is_some()
    {
        extracted.restarted()
    } else {
        extracted
    }
}

/// Writes the active span's context and baggage into a request or message.
///
/// If no span is active, only baggage is written: that of an attached [`Context`], if there is any. If a span is, and it is
/// still open whether the trace is kept, that is decided now: the decision goes along and stays.
pub fn inject(carrier: &mut dyn CarrierMut) {
    let place = local::with(|local| match (local.stack.last(), local.segment()) {
        (Some(top), Some(segment)) => {
            let is_context = top.flags & flags::CONTEXT != 0;
            let segment = Arc::clone(segment);
            Ok((segment, top.id, is_context, local.active_baggage()))
        }
        _ => Err(local.ambient.clone()),
    });
    match place {
        Some(Ok((segment, id, is_context, baggage))) => {
            let is_remote = is_context && segment.root_id() == 0;
            let propagator = &segment.tracer.propagator;
            inject_place(&segment, id, is_remote, &baggage, propagator, carrier);
        }
        Some(Err(baggage)) => inject_baggage(&baggage, carrier),
        None => {}
    }
}

/// Does what [`inject`] does while this span is entered, without entering it.
pub fn inject_span(span: &Span, carrier: &mut dyn CarrierMut) {
    let segment = span.segment();
    let Some(segment) = segment.filter(|segment| segment.forks == super::tracer::forks()) else {
        return inject(carrier);
    };
    let open = span.open();
    let is_remote = open.flags & flags::CONTEXT != 0 && segment.root_id() == 0;
    let baggage = super::baggage::detached(open, segment);
    let propagator = &segment.tracer.propagator;
    inject_place(segment, open.id, is_remote, &baggage, propagator, carrier);
}

/// Writes a carried context and its baggage into a request or message.
pub fn inject_context(context: &Context, carrier: &mut dyn CarrierMut) {
    match context.place() {
        Some(place) => inject_context_with(context, &place.segment.tracer.propagator, carrier),
        None => inject_baggage(&context.baggage(), carrier),
    }
}

/// Writes a carried context in the styles of a propagator of the caller's, whatever is configured.
pub fn inject_context_with(
    context: &Context,
    propagator: &Propagator,
    carrier: &mut dyn CarrierMut,
) {
    if let Some(place) = context.place() {
        let is_remote = place.segment.root_id() == 0;
        let baggage = context.baggage();
        inject_place(
            &place.segment,
            place.span,
            is_remote,
            &baggage,
            propagator,
            carrier,
        );
    }
}

/// Passes on what came in, without a span of this process in between. Writes nothing without a tracer.
pub fn inject_extracted(extracted: &Extracted, carrier: &mut dyn CarrierMut) {
    let Some(context) = &extracted.context else {
        return inject_baggage(&extracted.baggage, carrier);
    };
    if let Some(tracer) = local::with_current(|local| local.tracer().map(Arc::clone)).flatten() {
        let context = InjectContext {
            baggage: Some(&extracted.baggage),
            ..InjectContext::remote(context)
        };
        tracer.propagator.inject(&context, carrier);
    }
}

/// Writes what needs no trace.
fn inject_baggage(baggage: &Baggage, carrier: &mut dyn CarrierMut) {
    if baggage.is_empty() {
        return;
    }
    if let Some(tracer) = local::with_current(|local| local.tracer().map(Arc::clone)).flatten() {
        let tags = PropagationTags::default();
        let context = InjectContext {
            baggage: Some(baggage),
            ..InjectContext::new(TraceId::default(), SpanId::default(), &tags)
        };
        tracer.propagator.inject(&context, carrier);
    }
}

/// Adds a product's tags to those that travel with a trace, when it leaves this process.
///
/// The function is given the baggage in force, in which the product finds its [`Inherited`](super::Inherited) values, and
/// the tags that would travel. It gives these as they are to be, or nothing if they are right. It runs on the thread that injects and
/// must not inject itself.
pub fn on_injection(contribute: Contribute) {
    CONTRIBUTORS.rcu(|list| {
        let mut list = list.as_deref().cloned().unwrap_or_default();
        if !list
            .iter()
            .any(|other| std::ptr::fn_addr_eq(*other, contribute))
        {
            list.push(contribute);
        }
        Some(Arc::new(list))
    });
}

type Contribute = fn(&Baggage, &PropagationTags) -> Option<PropagationTags>;

static CONTRIBUTORS: ArcSwapOption<Vec<Contribute>> = ArcSwapOption::const_empty();

/// The tags after all products, if any has changed them. `own` goes along as well and is shown to them, so that they know
/// what room is left.
fn contributed(
    baggage: &Baggage,
    tags: &PropagationTags,
    own: &[(&str, Option<&str>)],
) -> Option<PropagationTags> {
    let list = CONTRIBUTORS.load();
    let list = list.as_deref()?;
    let mut shown = tags.clone();
    for (key, value) in own {
        if let Some(value) = value {
            shown.set(key, value);
        }
    }
    let mut is_changed = false;
    for contribute in list {
        if let Some(Some(after)) = crate::text::guarded(|| contribute(baggage, &shown)) {
            shown = after;
            is_changed = true;
        }
    }
    if !is_changed {
        return None;
    }
    for (key, _) in own {
        match tags.get(key) {
            Some(before) => shown.set(key, before),
            None => shown.remove(key),
        }
    }
    Some(shown)
}

/// `is_remote`: no span was made in this process, the id is the inbound one.
fn inject_place(
    segment: &Arc<Segment>,
    id: u64,
    is_remote: bool,
    baggage: &Baggage,
    propagator: &Propagator,
    carrier: &mut dyn CarrierMut,
) {
    let priority = if is_remote {
        segment.priority()
    } else {
        Some(decide(segment))
    };
    let sampling = segment.sampling();
    let remote = segment.remote.as_deref();
    let empty = PropagationTags::default();
    let tags = remote.map_or(&empty, |remote| &remote.tags);
    let by_hand = sampling.manual.map(|mechanism| mechanism.decision_maker());
    let inherits = |key| tags.get(key).is_some();
    let decision = sampling.decision.as_ref();
    let own = decision
        .filter(|_| !inherits(PropagationTags::DECISION_MAKER))
        .map(|own| own.mechanism.decision_maker());
    let keep_rate = decision
        .and_then(|own| own.keep_rate.as_ref())
        .filter(|_| !inherits(PropagationTags::KEEP_RATE));
    let probability = match (decision, sampling.manual) {
        (None, None) => ProbabilityUpdate::Unchanged,
        (Some(decision), None) => match decision.probability {
            Some(probability) => ProbabilityUpdate::Decided(probability),
            None => ProbabilityUpdate::Overruled(None),
        },
        (_, Some(_)) => ProbabilityUpdate::Overruled(sampling.randomness),
    };
    let source = segment.own_source(&sampling).map(|own| own.to_string());
    let own_tags = [
        (PropagationTags::DECISION_MAKER, by_hand.or(own)),
        (
            PropagationTags::KEEP_RATE,
            keep_rate.map(|rate| rate.as_str()),
        ),
        (PropagationTags::TRACE_SOURCE, source.as_deref()),
    ];
    let added = contributed(baggage, tags, &own_tags);
    let tags = added.as_ref().unwrap_or(tags);
    let is_marked = source.is_some() || remote.is_some_and(|it| it.trace_source().is_some());
    // A program without tracing of its own passes on only what another product needs.
    let trace_id = if is_marked || !segment.tracer.sampler.is_standalone() {
        segment.trace_id
    } else {
        TraceId::default()
    };
    let context = InjectContext {
        priority,
        decision_maker: by_hand.or(own),
        keep_rate: keep_rate.map(|rate| rate.as_str()),
        trace_source: source.as_deref(),
        probability,
        origin: remote.and_then(|remote| remote.origin.as_deref()),
        tracestate: remote.and_then(|remote| remote.tracestate.as_deref()),
        is_remote,
        last_parent_id: remote.and_then(|remote| remote.last_parent_id.as_deref()),
        propagation_error: remote.and_then(|remote| remote.propagation_error.as_ref()),
        baggage: Some(baggage),
        ..InjectContext::new(trace_id, SpanId::new(id), tags)
    };
    if let Some(error) = propagator.inject(&context, carrier) {
        note_error(segment, &error);
    }
}

/// Puts what went wrong onto the local root.
fn note_error(segment: &Arc<Segment>, error: &PropagationError) {
    super::guard::SpanRef::root_of(segment).set_tag(PropagationError::TAG, error.tag_value());
}

/// The priority, decided now if it is not.
pub(crate) fn decide(segment: &Segment) -> SamplingPriority {
    segment.decide(|| decide_early(segment, &segment.tracer.config()))
}

/// Trace id, span id and sampling priority of the active span, for logs and headers of one's own.
///
/// Does not decide about the trace.
pub fn active_ids() -> Option<(TraceId, SpanId, Option<SamplingPriority>)> {
    local::with(|local| {
        let id = local.stack.last()?.id;
        let segment = local.segment()?;
        Some((segment.trace_id, SpanId::new(id), segment.priority()))
    })
    .flatten()
}

/// The W3C `traceparent` of a carried context, for what is no carrier: a comment in a statement. Decides about the trace.
pub(crate) fn traceparent(context: &Context) -> Option<String> {
    let segment = &context.place()?.segment;
    let sampled = u8::from(decide(segment).is_kept());
    let SpanContextId { trace_id, span_id } = context.id()?;
    Some(format!("00-{trace_id}-{span_id:016x}-{sampled:02x}"))
}

/// The configuration that is in force for the calling thread, remote values included; none before `init()`.
///
/// Remote configuration replaces it as a whole: ask again instead of keeping it.
pub fn current_config() -> Option<Arc<Config>> {
    local::with_current(|local| local.tracer().map(|tracer| tracer.config())).flatten()
}

/// The number of the configuration in force: as long as it stays the same, so does the configuration. About fifteen instructions.
#[inline]
pub(crate) fn current_config_number() -> Option<u64> {
    local::with_current(|local| local.tracer().map(|tracer| tracer.config_number())).flatten()
}
