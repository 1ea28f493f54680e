//! What another service said about the trace, and what is said to the next one.

use super::baggage_items::Baggage;
use super::error::PropagationError;
use super::probability::ProbabilityUpdate;
use super::style::Style;
use super::tags::PropagationTags;
use crate::sampling::{SamplingPriority, TraceSource};
use crate::trace::{SpanId, TraceId};

/// A position in a trace as it came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanContext {
    /// The trace; zero if only a decision came along, for the trace that begins here.
    pub trace_id: TraceId,
    /// The parent of the span that continues the trace; `None` continues the trace with a span that has no parent.
    pub span_id: Option<SpanId>,
    /// The decision of the service that began the trace; `None` leaves it to this process.
    pub priority: Option<SamplingPriority>,
    /// Where the trace began, like `synthetics` or `rum`; goes onto every span as `_dd.origin`.
    pub origin: Option<Box<str>>,
    /// The `_dd.p.*` tags.
    ///
    /// `_dd.p.tid` is among them only if 128-bit ids are switched off; otherwise it is part of `trace_id`.
    pub tags: PropagationTags,
    /// The members of `tracestate`, cleaned and bounded, Datadog's own first; the others are sent on unchanged.
    pub tracestate: Option<Box<str>>,
    /// The last Datadog span of a W3C trace, for `_dd.parent_id` on the local root. As it came in: not always 16 digits.
    pub last_parent_id: Option<Box<str>>,
    /// What was wrong with the inbound tags, for `_dd.propagation_error` on the local root.
    pub propagation_error: Option<PropagationError>,
    /// [`Extracted::baggage`], once a segment begins with it: here, so that one without any pays nothing.
    pub(crate) baggage: Baggage,
}

impl SpanContext {
    /// A context with nothing but ids.
    pub fn new(trace_id: TraceId, span_id: Option<SpanId>) -> Self {
        Self {
            trace_id,
            span_id,
            ..Self::default()
        }
    }

    /// The products that marked the trace, if any did.
    pub(crate) fn trace_source(&self) -> Option<TraceSource> {
        let source = TraceSource::parse(self.tags.get(PropagationTags::TRACE_SOURCE)?)?;
        (!source.is_none()).then_some(source)
    }

    /// The trace id with all its bits, also where 128-bit ids are switched off.
    pub(crate) fn full_trace_id(&self) -> TraceId {
        full_trace_id(self.trace_id, &self.tags)
    }
}

fn full_trace_id(trace_id: TraceId, tags: &PropagationTags) -> TraceId {
    if trace_id.high() != 0 {
        return trace_id;
    }
    let high = tags
        .get(PropagationTags::TRACE_ID_HIGH)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok());
    TraceId::new(high.unwrap_or(0), trace_id.low())
}

/// All that was found in a carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extracted {
    /// The trace to continue; `None` begins a new one.
    pub context: Option<SpanContext>,
    /// What the sender's program sent along, with a trace or without.
    pub baggage: Baggage,
    /// Traces that other headers of the same carrier name, or that are not to be continued; links of the first local span.
    pub links: Vec<ExtractedLink>,
    /// The style that the context was found in.
    pub(super) style: Option<Style>,
}

impl Extracted {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.context.is_none() && self.baggage.is_empty() && self.links.is_empty()
    }

    /// The same with a link in the place of the trace to continue. Baggage stays.
    ///
    /// This is what `DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT=restart` does to everything that is extracted, and
    /// `DD_TRACE_PROPAGATION_AS_SPAN_LINKS` to single integrations.
    #[must_use]
    pub fn restarted(mut self) -> Self {
        let (context, style) = (self.context.take(), self.style.take());
        self.links.clear();
        if let (Some(context), Some(style)) = (context, style) {
            self.links.extend(ExtractedLink::new(
                context,
                style,
                "propagation_behavior_extract",
            ));
        }
        self
    }
}

/// A link to a trace that came along but is not continued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtractedLink {
    /// The trace that is linked to.
    pub trace_id: TraceId,
    /// The span that is linked to; never zero.
    pub span_id: SpanId,
    /// The W3C trace flags: 1 if that trace is kept, else 0.
    pub flags: u32,
    /// Its `tracestate`, if it came by W3C headers.
    pub tracestate: Option<Box<str>>,
    /// Why the trace is linked to and not continued; attribute `reason`.
    pub reason: &'static str,
    /// The style of the headers that named it; attribute `context_headers`.
    pub context_headers: &'static str,
}

impl ExtractedLink {
    /// A link to a context; nothing if it names no span of a trace.
    pub(super) fn new(context: SpanContext, style: Style, reason: &'static str) -> Option<Self> {
        let trace_id = context.full_trace_id();
        let span_id = context.span_id.filter(|_| !trace_id.is_zero())?;
        Some(Self {
            trace_id,
            span_id,
            flags: u32::from(context.priority.is_some_and(SamplingPriority::is_kept)),
            tracestate: context.tracestate.filter(|_| style == Style::TraceContext),
            reason,
            context_headers: style.name(),
        })
    }

    /// The attributes of the link.
    pub fn attributes(&self) -> [(&'static str, &'static str); 2] {
        [
            ("reason", self.reason),
            ("context_headers", self.context_headers),
        ]
    }
}

/// What is to be told to the next service, borrowed from the active segment for the time of the call.
#[derive(Clone, Copy, Debug)]
pub struct InjectContext<'a> {
    /// The trace. A zero id writes nothing.
    pub trace_id: TraceId,
    /// The span that becomes the parent on the other side.
    pub span_id: Option<SpanId>,
    /// The sampling decision; `None` if there is none.
    pub priority: Option<SamplingPriority>,
    /// `_dd.p.dm` of a decision made in this process; takes the place of an inbound one.
    ///
    /// An inbound value outlives the sampler, and gives way only to a manual decision: leave this `None` if the sampler
    /// decided and `tags` hold one.
    pub decision_maker: Option<&'a str>,
    /// `_dd.p.ksr` of a decision made in this process; takes the place of an inbound one, so leave it `None` if there is.
    pub keep_rate: Option<&'a str>,
    /// `_dd.p.ts`, if a product of this process marked the trace; takes the place of an inbound one, whose bits it has too.
    pub trace_source: Option<&'a str>,
    /// What a decision made in this process says in `tracestate`.
    pub probability: ProbabilityUpdate,
    /// Where the trace began.
    pub origin: Option<&'a str>,
    /// The tags that travel. Keys without `_dd.p.` are ignored.
    pub tags: &'a PropagationTags,
    /// What [`SpanContext::tracestate`] held.
    pub tracestate: Option<&'a str>,
    /// Whether `span_id` is the inbound one, because no span was made in this process.
    pub is_remote: bool,
    /// What [`SpanContext::last_parent_id`] held; only used if `is_remote`.
    pub last_parent_id: Option<&'a str>,
    /// An error that the segment has already; then `x-datadog-tags` is left out.
    pub propagation_error: Option<&'a PropagationError>,
    /// What the program sends along; written even if the trace id is zero.
    pub baggage: Option<&'a Baggage>,
}

impl<'a> InjectContext<'a> {
    /// The context of a local span, with nothing but ids.
    pub fn new(trace_id: TraceId, span_id: SpanId, tags: &'a PropagationTags) -> Self {
        Self {
            trace_id,
            span_id: Some(span_id),
            priority: None,
            decision_maker: None,
            keep_rate: None,
            trace_source: None,
            probability: ProbabilityUpdate::Unchanged,
            origin: None,
            tags,
            tracestate: None,
            is_remote: false,
            last_parent_id: None,
            propagation_error: None,
            baggage: None,
        }
    }

    /// Passes an inbound context on without a span in between, as with tracing switched off.
    pub fn remote(context: &'a SpanContext) -> Self {
        Self {
            trace_id: context.trace_id,
            span_id: context.span_id,
            priority: context.priority,
            decision_maker: None,
            keep_rate: None,
            trace_source: None,
            probability: ProbabilityUpdate::Unchanged,
            origin: context.origin.as_deref(),
            tags: &context.tags,
            tracestate: context.tracestate.as_deref(),
            is_remote: true,
            last_parent_id: context.last_parent_id.as_deref(),
            propagation_error: context.propagation_error.as_ref(),
            baggage: None,
        }
    }

    /// The upper half of the trace id, wherever it is kept: in the id or, with 128-bit ids off, in the tags; 0 if nowhere.
    pub(super) fn trace_id_high(&self) -> u64 {
        full_trace_id(self.trace_id, self.tags).high()
    }

    /// Hands every tag but `_dd.p.tid` to `visit`: the inbound ones in order, local decisions in the place of inbound
    /// ones or at the end.
    pub(super) fn for_each_tag(&self, mut visit: impl FnMut(&'a str, &'a str)) {
        let mut decision_maker = self.decision_maker;
        let mut keep_rate = self.keep_rate;
        let mut trace_source = self.trace_source;
        for (key, value) in self.tags.iter() {
            match key {
                PropagationTags::TRACE_ID_HIGH => {}
                PropagationTags::DECISION_MAKER => {
                    visit(key, decision_maker.take().unwrap_or(value))
                }
                PropagationTags::KEEP_RATE => visit(key, keep_rate.take().unwrap_or(value)),
                PropagationTags::TRACE_SOURCE => visit(key, trace_source.take().unwrap_or(value)),
                _ if key.starts_with(super::tags::PREFIX) => visit(key, value),
                _ => {}
            }
        }
        if let Some(decision_maker) = decision_maker {
            visit(PropagationTags::DECISION_MAKER, decision_maker);
        }
        if let Some(keep_rate) = keep_rate {
            visit(PropagationTags::KEEP_RATE, keep_rate);
        }
        if let Some(trace_source) = trace_source {
            visit(PropagationTags::TRACE_SOURCE, trace_source);
        }
    }
}
