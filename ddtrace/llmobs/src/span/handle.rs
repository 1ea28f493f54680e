//! What others than its owner may hold of a span.

use std::fmt;
use std::sync::Arc;

use ddtrace_core::trace::TraceId;

use crate::annotation::{AnnotateError, Annotation};
use crate::kind::Kind;
use crate::node::Node;
use crate::telemetry;

/// What others than its owner may hold of a span. Does not keep it open.
#[derive(Clone)]
pub struct Handle(pub(crate) Arc<Node>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("kind", &self.0.kind)
            .finish_non_exhaustive()
    }
}

/// Whether both mean the same span.
impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Handle {}

impl Handle {
    /// Whether what is said about it is kept.
    pub fn is_recording(&self) -> bool {
        !self.0.has_ended()
    }

    /// What it does.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What it is called.
    pub fn name(&self) -> String {
        self.0.shared().name.clone()
    }

    /// Says something about it.
    pub fn annotate(&self, annotation: Annotation) -> Result<(), AnnotateError> {
        match self.0.record() {
            Some(record) => record.annotate(annotation),
            None => Err(AnnotateError::Finished),
        }
    }

    /// Marks it as failed. Input and output stay.
    pub fn set_error(&self, kind: &str, message: &str, stack: Option<&str>) {
        let error = Annotation::new().error(kind, message, stack.unwrap_or_default());
        let _ = self.annotate(error);
    }

    /// Whether somebody has said what came out of it.
    pub fn has_output(&self) -> bool {
        let record = self.0.record();
        record.is_some_and(|record| !record.said().output.is_nothing())
    }

    /// Whether somebody has said what went into it.
    pub fn has_input(&self) -> bool {
        let record = self.0.record();
        record.is_some_and(|record| !record.said().input.is_nothing())
    }

    /// Whether it has a number.
    pub fn has_metric(&self, key: &str) -> bool {
        let record = self.0.record();
        record.is_some_and(|record| record.said().metrics.contains_key(key))
    }

    /// The model that it calls, as far as it is known.
    pub fn model_name(&self) -> Option<String> {
        self.0.record()?.said().model_name.clone()
    }

    /// Ends it, before its span of tracing ends.
    pub fn end(&self) {
        self.0.end();
    }

    /// What it is called in evaluations and in links.
    pub fn export(&self) -> ExportedSpan {
        telemetry::exported(false);
        ExportedSpan {
            span_id: self.0.span_id.to_string(),
            trace_id: self.0.trace.id.clone(),
        }
    }

    /// The id of its trace in tracing.
    pub fn apm_trace_id(&self) -> TraceId {
        self.0.apm_trace_id
    }
}

/// What a span is called in evaluations.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExportedSpan {
    /// The span, in decimal.
    pub span_id: String,
    /// Its trace in this product.
    pub trace_id: String,
}
