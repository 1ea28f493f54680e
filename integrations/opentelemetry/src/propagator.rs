//! Our headers for libraries that propagate through OpenTelemetry.

use std::sync::LazyLock;

use ddtrace_core::propagation::{Carrier, CarrierMut};
use ddtrace_core::trace;
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

use crate::context::{ContextExt, Parent};

/// Reads and writes the headers that `DD_TRACE_PROPAGATION_STYLE` names.
///
/// What it reads is kept whole in the context that it gives (origin, tags, links to other traces), and is continued by the span that
/// OpenTelemetry starts in that context.
///
/// ```
/// opentelemetry::global::set_text_map_propagator(ddtrace_opentelemetry::Propagator::new());
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Propagator;

/// What is asked for before a carrier is read or written, as a hint.
static FIELDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = [
        "x-datadog-trace-id",
        "x-datadog-parent-id",
        "x-datadog-sampling-priority",
        "x-datadog-origin",
        "x-datadog-tags",
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-sampled",
        "x-b3-flags",
    ];
    names.map(str::to_owned).to_vec()
});

impl Propagator {
    /// The propagator; its settings are those of the tracer.
    pub fn new() -> Self {
        Self
    }
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let mut carrier = Outbound(injector);
        match Parent::of(context) {
            Parent::Active => trace::inject(&mut carrier),
            Parent::Place(place) => trace::inject_context(&place, &mut carrier),
            Parent::Elsewhere(extracted) => trace::inject_extracted(&extracted, &mut carrier),
            Parent::Root => {}
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        let extracted = trace::extract(&Inbound(extractor));
        if extracted.is_empty() {
            return context.clone();
        }
        context.with_extracted(extracted)
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&FIELDS)
    }
}

struct Outbound<'a>(&'a mut dyn Injector);

impl CarrierMut for Outbound<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        if let Ok(value) = std::str::from_utf8(value) {
            self.0.set(name, value.to_owned());
        }
    }
}

struct Inbound<'a>(&'a dyn Extractor);

impl Carrier for Inbound<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(str::as_bytes)
    }

    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        for value in self.0.get_all(name).unwrap_or_default() {
            visit(value.as_bytes());
        }
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.0.keys().into_iter().for_each(visit);
    }
}
