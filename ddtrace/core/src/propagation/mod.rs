//! Trace context on its way between services.
//!
//! A request that leaves carries what the next service needs to continue the trace: ids, the sampling decision, where
//! the trace began, a few tags. Several families of headers say this; each is a [`Style`] with a file of its own
//! (`datadog`, `tracecontext`), and a [`Propagator`] runs the styles that are configured, for reading and for writing.
//!
//! * [`Carrier`] and [`CarrierMut`] are what is read from and written to. Integrations implement them for the headers
//!   of their library.
//! * [`SpanContext`] is what was read, [`Extracted`] all that one carrier had: with several styles there may be a
//!   second trace, which becomes a link.
//! * [`InjectContext`] is what is to be written, borrowed from the active segment.
//!
//! To add a style: write its file with `extract` and `inject`, add it to [`Style`] and to the two `match`es below.
//!
//! Everything here runs on the user's thread, and everything that is read comes from strangers. So: nothing panics, a
//! wrong header is ignored (never an error to the caller), what is copied is bounded (512 bytes of tags and of
//! `tracestate`, 256 of origin), numbers are formatted on the stack, and a carrier without context costs two lookups.

mod carrier;
mod datadog;
mod error;
#[cfg(test)]
mod extraction_table;
#[cfg(test)]
mod injection_table;
#[cfg(test)]
mod properties;
mod span_context;
mod style;
mod tags;
mod tracecontext;
mod tracestate;

pub(crate) use carrier::joined;
pub use carrier::{Carrier, CarrierMut};
pub use error::PropagationError;
pub use span_context::{Extracted, ExtractedLink, InjectContext, SpanContext};
pub use style::{Style, StyleName};
pub use tags::PropagationTags;

use crate::sampling::SamplingPriority;

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

    /// Reads what the carrier has.
    ///
    /// The first style that finds a context decides. Another style with the same trace adds at most its `tracestate`
    /// and a nearer parent; another trace becomes a link.
    ///
    /// Costs two lookups with the default styles if there is nothing (about 50 ns in a `HeaderMap`), and about a
    /// microsecond and four allocations if both styles are there with tags and `tracestate`.
    pub fn extract(&self, carrier: &dyn Carrier) -> Extracted {
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
            match &mut extracted.context {
                None => extracted.context = Some(context),
                Some(primary) if primary.full_trace_id() == context.full_trace_id() => {
                    if style == Style::TraceContext {
                        merge_trace_context(primary, context);
                    }
                }
                Some(_) => extracted.links.extend(link_to(context, style)),
            }
        }
        extracted
    }

    /// Writes the context in every configured style.
    ///
    /// What comes back is for `_dd.propagation_error` on the local root; ids and priority are written all the same.
    /// Costs about 300 ns for both styles and no allocation, beside what the carrier needs to keep seven values.
    pub fn inject(
        &self,
        context: &InjectContext<'_>,
        carrier: &mut dyn CarrierMut,
    ) -> Option<PropagationError> {
        let mut error = None;
        for style in &self.inject_styles {
            match style {
                Style::Datadog => error = datadog::inject(context, self.max_tags_length, carrier),
                Style::TraceContext => tracecontext::inject(context, carrier),
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
        }
    }
}

/// Both styles that this version has, in the default order.
impl Default for Propagator {
    fn default() -> Self {
        let styles = [Style::Datadog, Style::TraceContext];
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

fn link_to(context: SpanContext, style: Style) -> Option<ExtractedLink> {
    Some(ExtractedLink {
        trace_id: context.full_trace_id(),
        span_id: context.span_id?,
        flags: u32::from(context.priority.is_some_and(SamplingPriority::is_kept)),
        tracestate: context.tracestate,
        reason: "terminated_context",
        context_headers: style.name(),
    })
}
