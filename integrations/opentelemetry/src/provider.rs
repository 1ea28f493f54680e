//! Where OpenTelemetry gets its tracers from.

use std::time::Duration;

use ddtrace_core::trace::{self, Site, Span as Datadog, current_config};
use ddtrace_core::worker;
use opentelemetry::trace::SpanBuilder;
use opentelemetry::{Context, InstrumentationScope, global};

use crate::context::Parent;
use crate::observer;
use crate::propagator::Propagator;
use crate::span::Span;

ddtrace_core::site! {
    static SPAN: Site = Site::new("internal", "", module_path!(), file!(), line!());
}

/// Makes tracers whose spans are ours.
///
/// ```
/// opentelemetry::global::set_tracer_provider(ddtrace_opentelemetry::TracerProvider::new());
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TracerProvider {}

impl TracerProvider {
    /// A provider for the tracer that `init()` starts. Without it, spans do nothing.
    pub fn new() -> Self {
        observer::observe();
        Self {}
    }

    /// Sends everything that is finished. True if that was done within the time.
    pub fn force_flush(&self, timeout: Duration) -> bool {
        worker::flush_within(timeout)
    }
}

impl opentelemetry::trace::TracerProvider for TracerProvider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        Tracer { scope }
    }
}

/// Starts spans of ours for OpenTelemetry.
#[derive(Clone, Debug)]
pub struct Tracer {
    scope: InstrumentationScope,
}

impl Tracer {
    /// Which library it was made for.
    pub fn scope(&self) -> &InstrumentationScope {
        &self.scope
    }
}

impl opentelemetry::trace::Tracer for Tracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        if parent.is_telemetry_suppressed() {
            return Span::nothing(parent);
        }
        let span = match Parent::of(parent) {
            Parent::Active => Datadog::start(&SPAN),
            Parent::Place(place) => Datadog::start_child_of(&SPAN, &place),
            Parent::Elsewhere(extracted) => Datadog::start_from(&SPAN, extracted),
            Parent::Root => Datadog::start_root(&SPAN),
        };
        if span.is_recording() {
            Span::begin(span, builder)
        } else if trace::Context::is_none(&span.context()) {
            Span::nothing(parent)
        } else {
            // Tracing is off, and what came in passes through.
            Span::from(span)
        }
    }
}

/// Makes provider and propagator OpenTelemetry's global ones.
///
/// `init()` does so if `DD_TRACE_OTEL_ENABLED` says so; a program may as well call it itself.
pub fn install() {
    global::set_tracer_provider(TracerProvider::new());
    global::set_text_map_propagator(Propagator::new());
}

pub(crate) fn install_if_enabled() {
    if current_config().is_some_and(|config| config.otel_enabled) {
        install();
    }
}
