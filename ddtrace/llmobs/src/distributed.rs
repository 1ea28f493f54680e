//! Traces across services by hand, where no integration carries them.

use std::sync::Arc;

use ddtrace_core::propagation::{Carrier, CarrierMut, Extracted};
use ddtrace_core::trace::{
    Attached, Context, InContext, Inherited, extract, inject, inject_context,
};

use crate::span::LlmSpan;
use crate::{switch, telemetry};

static ACTIVATED: Inherited<Extracted> = Inherited::new("llm observability: headers");

/// Writes the trace of a span into a request, the active one's if none is given. Decides about the trace, in tracing as in this product.
pub fn inject_distributed_headers(headers: &mut dyn CarrierMut, span: Option<&LlmSpan>) {
    let is_on = switch::is_on();
    telemetry::headers("inject_distributed_headers", !is_on);
    match span {
        Some(span) => inject_context(&span.context(), headers),
        None => inject(headers),
    }
}

/// Reads the trace that a request brings: spans that begin in its scope go on with it, unless a span of tracing is active there already.
pub fn activate_distributed_headers(headers: &dyn Carrier) -> DistributedContext {
    let extracted = extract(headers);
    telemetry::headers("activate_distributed_headers", extracted.context.is_none());
    DistributedContext(ACTIVATED.with(Context::current(), Arc::new(extracted)))
}

/// The trace of another service; made by [`activate_distributed_headers`].
#[derive(Debug)]
#[must_use = "the scope is that of `enter`, `scope` or `wrap`"]
pub struct DistributedContext(Context);

impl DistributedContext {
    /// Begins the scope on this thread; it lasts until the guard is dropped.
    pub fn enter(&self) -> Attached {
        self.0.attach()
    }

    /// Runs something in the scope.
    pub fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.enter();
        work()
    }

    /// Makes a future's polls the scope.
    pub fn wrap<F: Future>(self, future: F) -> InContext<F> {
        self.0.wrap(future)
    }
}

/// The trace to go on with, if no span is active.
pub(crate) fn activated() -> Option<Extracted> {
    if ddtrace_core::trace::active_ids().is_some() {
        return None;
    }
    ACTIVATED.get().as_deref().cloned()
}
