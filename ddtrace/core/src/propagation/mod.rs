//! Trace context on its way between services.
//!
//! A request that leaves carries what the next service needs to continue the trace: ids, the sampling decision, where
//! the trace began, a few tags. Several families of headers say this; each is a [`Style`] with a file of its own
//! (`datadog`, `tracecontext`, `b3multi`, `b3`), and a [`Propagator`] runs the styles that are configured, for reading and for
//! writing. A further style, `baggage`, has nothing to do with the trace: it carries what the program wants carried.
//!
//! * [`Carrier`] and [`CarrierMut`] are what is read from and written to. Integrations implement them for the headers
//!   of their library.
//! * [`SpanContext`] is what was read, [`Extracted`] all that one carrier had: with several styles there may be a
//!   second trace, which becomes a link.
//! * [`Baggage`] is what the program sends along; spans and contexts hold it.
//! * [`InjectContext`] is what is to be written, borrowed from the active segment.
//! * [`style_counts`] and [`truncation_counts`] say how often all of this happened.
//!
//! Whose headers may be believed is decided after they were read and before anything is made of them, in
//! [`Propagator::extract`]: today by [`ExtractBehavior`]; a guard that takes decision and tags from traces of other
//! organisations belongs there as well.
//!
//! To add a style: write its file with `extract` and `inject`, add it to [`Style`] and to the two `match`es below.
//!
//! Everything here runs on the user's thread, and everything that is read comes from strangers. So: nothing panics, a
//! wrong header is ignored (never an error to the caller), what is copied is bounded (512 bytes of tags and of
//! `tracestate`, 256 of origin, 8192 of baggage), numbers are formatted on the stack, and a carrier without context costs a
//! lookup per style.

mod b3;
mod b3multi;
mod baggage;
mod baggage_items;
mod carrier;
mod counts;
mod datadog;
mod error;
#[cfg(test)]
mod extraction_table;
#[cfg(test)]
mod injection_table;
mod probability;
#[cfg(test)]
mod properties;
mod span_context;
mod style;
mod tags;
mod tracecontext;
mod tracestate;

pub(crate) use baggage_items::AnyValue;
pub use baggage_items::Baggage;
pub(crate) use carrier::joined;
pub use carrier::{Carrier, CarrierMut, ReadWith, WriteWith};
pub use counts::{StyleCounts, TruncationCounts, style_counts, truncation_counts};
pub use error::PropagationError;
pub use probability::ProbabilityUpdate;
pub use span_context::{Extracted, ExtractedLink, InjectContext, SpanContext};
pub use style::{Style, StyleName};
pub use tags::PropagationTags;

use crate::config::ExtractBehavior;

/// Reads and writes context in the configured styles.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use ddtrace_core::propagation::{InjectContext, Propagator};
///
/// let propagator = Propagator::default();
/// let inbound = BTreeMap::from([
///     ("x-datadog-trace-id".to_owned(), "7".to_owned()),
///     ("x-datadog-parent-id".to_owned(), "9".to_owned()),
/// ]);
/// let context = propagator.extract(&inbound).context.expect("there are ids");
/// assert_eq!((context.trace_id.low(), context.span_id.map(|id| id.get())), (7, Some(9)));
///
/// let mut outbound = BTreeMap::new();
/// propagator.inject(&InjectContext::remote(&context), &mut outbound);
/// assert_eq!(outbound["traceparent"], "00-00000000000000000000000000000007-0000000000000009-00");
/// ```
#[derive(Clone, Debug)]
pub struct Propagator {
    extract_styles: Vec<Style>,
    inject_styles: Vec<Style>,
    max_tags_length: usize,
    extract_first: bool,
    use_128_bit_ids: bool,
    behavior: ExtractBehavior,
    old_baggage: bool,
}

impl Propagator {
    /// The default of `DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH`.
    pub const DEFAULT_MAX_TAGS_LENGTH: usize = 512;

    /// A propagator for these styles, in this order; what is listed twice is used once.
    pub fn new(extract_styles: &[Style], inject_styles: &[Style]) -> Self {
        Self {
            extract_styles: without_duplicates(extract_styles),
            inject_styles: without_duplicates(inject_styles),
            max_tags_length: Self::DEFAULT_MAX_TAGS_LENGTH,
            extract_first: false,
            use_128_bit_ids: true,
            behavior: ExtractBehavior::Continue,
            old_baggage: false,
        }
    }

    /// Sets the longest `x-datadog-tags`, in bytes; 0 switches that header off.
    #[must_use]
    pub fn with_max_tags_length(mut self, bytes: usize) -> Self {
        self.max_tags_length = bytes;
        self
    }

    /// Reads only the first style, whether or not its headers are there (`DD_TRACE_PROPAGATION_EXTRACT_FIRST`).
    #[must_use]
    pub fn with_extract_first(mut self, extract_first: bool) -> Self {
        self.extract_first = extract_first;
        self
    }

    /// Says whether `x-datadog-*` ids have 128 bits (`DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED`).
    ///
    /// If not, the upper half of an inbound id is kept as a tag and passed on.
    #[must_use]
    pub fn with_128_bit_ids(mut self, use_128_bit_ids: bool) -> Self {
        self.use_128_bit_ids = use_128_bit_ids;
        self
    }

    /// Says what becomes of inbound traces (`DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT`).
    #[must_use]
    pub fn with_behavior(mut self, behavior: ExtractBehavior) -> Self {
        self.behavior = behavior;
        self
    }

    /// Reads and writes `ot-baggage-*` beside a trace (`DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED`).
    #[must_use]
    pub fn with_old_baggage(mut self, old_baggage: bool) -> Self {
        self.old_baggage = old_baggage;
        self
    }

    /// Reads what the carrier has.
    ///
    /// The first style that finds a context decides. Another style with the same trace adds at most its `tracestate`
    /// and a nearer parent; another trace becomes a link. Baggage is read whatever the others find.
    ///
    /// Costs a lookup per style if there is nothing (about 50 ns in a `HeaderMap` with the default styles), and about a
    /// microsecond and five allocations if the default styles are there with tags and `tracestate`.
    pub fn extract(&self, carrier: &dyn Carrier) -> Extracted {
        if self.behavior == ExtractBehavior::Ignore {
            return Extracted::default();
        }
        let mut extracted = Extracted::default();
        let styles = if self.extract_first {
            self.extract_styles.get(..1)
        } else {
            Some(&self.extract_styles[..])
        };
        for &style in styles.unwrap_or_default() {
            let is_first = extracted.context.is_none();
            let Some(context) = self.extract_style(style, carrier, is_first) else {
                continue;
            };
            counts::extracted(style);
            match &mut extracted.context {
                None => {
                    extracted.context = Some(context);
                    extracted.style = Some(style);
                }
                Some(primary) if primary.full_trace_id() == context.full_trace_id() => {
                    if style == Style::TraceContext {
                        merge_trace_context(primary, context);
                    }
                }
                Some(_) => {
                    extracted
                        .links
                        .extend(ExtractedLink::new(context, style, "terminated_context"))
                }
            }
        }
        if self.extract_styles.contains(&Style::Baggage) {
            extracted.baggage = baggage::extract(carrier);
        }
        if self.old_baggage && extracted.context.is_some() && extracted.baggage.is_empty() {
            extracted.baggage = baggage::extract_old(carrier);
        }
        if self.behavior == ExtractBehavior::Restart {
            extracted = extracted.restarted();
        }
        extracted
    }

    /// Writes the context in every configured style.
    ///
    /// What comes back is for `_dd.propagation_error` on the local root; ids and priority are written all the same.
    /// Allocates nothing, baggage excepted, beside what the carrier needs to keep the values; into a `HeaderMap` both default
    /// styles cost about 800 ns, most of it for its entries.
    pub fn inject(
        &self,
        context: &InjectContext<'_>,
        carrier: &mut dyn CarrierMut,
    ) -> Option<PropagationError> {
        let mut error = None;
        if !context.trace_id.is_zero() {
            // More than the default styles have; one too many costs less than growing again.
            carrier.reserve(8);
        }
        for &style in &self.inject_styles {
            let is_written = match style {
                Style::Datadog => {
                    error = datadog::inject(context, self.max_tags_length, carrier);
                    !context.trace_id.is_zero()
                }
                Style::TraceContext => tracecontext::inject(context, carrier),
                Style::B3Multi => b3multi::inject(context, carrier),
                Style::B3 => b3::inject(context, carrier),
                Style::Baggage => context
                    .baggage
                    .is_some_and(|baggage| baggage::inject(baggage, carrier)),
            };
            if is_written {
                counts::injected(style);
            }
        }
        if let Some(baggage) = context.baggage.filter(|_| self.old_baggage) {
            if !context.trace_id.is_zero() && !self.inject_styles.is_empty() {
                baggage::inject_old(baggage, carrier);
            }
        }
        error
    }

    /// Reads one style; if it is not the `is_first` to find a context, only what is used of a second one.
    fn extract_style(
        &self,
        style: Style,
        carrier: &dyn Carrier,
        is_first: bool,
    ) -> Option<SpanContext> {
        match style {
            Style::Datadog => datadog::extract(carrier, self.max_tags_length, self.use_128_bit_ids),
            Style::TraceContext => tracecontext::extract(carrier, is_first),
            Style::B3Multi => b3multi::extract(carrier),
            Style::B3 => b3::extract(carrier),
            // Not a trace's: read on its own.
            Style::Baggage => None,
        }
    }
}

/// The default styles in the default order.
impl Default for Propagator {
    fn default() -> Self {
        let styles = [Style::Datadog, Style::TraceContext, Style::Baggage];
        Self::new(&styles, &styles)
    }
}

fn without_duplicates(styles: &[Style]) -> Vec<Style> {
    let mut once = Vec::with_capacity(styles.len());
    for style in styles {
        if !once.contains(style) {
            once.push(*style);
        }
    }
    once
}

/// Takes from W3C headers of the same trace what other styles cannot say.
///
/// If their parents differ, something between that service and this one spoke W3C only: its span is the nearer parent,
/// and the last Datadog span is remembered for the backend to bridge the gap.
fn merge_trace_context(primary: &mut SpanContext, other: SpanContext) {
    primary.tracestate = other.tracestate;
    if primary.span_id != other.span_id {
        primary.last_parent_id = other.last_parent_id.or_else(|| {
            primary
                .span_id
                .map(|span_id| format!("{span_id:016x}").into_boxed_str())
        });
        primary.span_id = other.span_id;
    }
}
