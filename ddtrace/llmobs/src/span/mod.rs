//! Spans of this product, as values and as what others may hold of them.

mod beginning;
mod builder;
mod handle;

pub(crate) use beginning::mark_bridged;
pub use beginning::{Start, mark_active};
pub use builder::SpanBuilder;
pub use handle::{ExportedSpan, Handle};

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::SystemTime;

use ddtrace_core::trace::{Context, Instrumented, Span, instrument};

use crate::annotation::{AnnotateError, Annotation};
use crate::record::Record;

/// A span of this product, which is one of tracing as well. It ends when it is finished or dropped.
///
/// It is not active by itself: [`enter`](Self::enter) makes it so on this thread, [`instrument`](Self::instrument) whenever a future is polled. When the
/// product is off all of it does nothing.
#[derive(Debug)]
pub struct LlmSpan {
    span: Span,
    record: Option<Arc<Record>>,
}

impl LlmSpan {
    /// A span that does nothing.
    pub(crate) fn off() -> Self {
        Self {
            span: Span::off(),
            record: None,
        }
    }

    /// Whether what is said about it is kept: ask before doing anything costly for it.
    pub fn is_recording(&self) -> bool {
        self.record.is_some()
    }

    /// Says something about it.
    pub fn annotate(&self, annotation: Annotation) -> Result<(), AnnotateError> {
        match &self.record {
            Some(record) => record.annotate(annotation),
            None => Ok(()),
        }
    }

    /// Marks it as failed. Input and output stay.
    pub fn set_error(&mut self, kind: &str, message: &str, stack: Option<&str>) {
        self.span.set_error_message(kind, message, stack);
        let error = Annotation::new().error(kind, message, stack.unwrap_or_default());
        let _ = self.annotate(error);
    }

    /// Makes it active on this thread while the guard lives.
    pub fn enter(&mut self) -> ddtrace_core::trace::Entered<'_> {
        self.span.enter()
    }

    /// Runs something with it active.
    pub fn in_scope<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let _entered = self.enter();
        work()
    }

    /// Makes it active whenever the future is polled, and ends it when that is done.
    pub fn instrument<F: Future>(mut self, future: F) -> Instrumented<Ending<F>> {
        let ending = Ending {
            future,
            record: Open(self.record.take()),
        };
        instrument(std::mem::replace(&mut self.span, Span::off()), ending)
    }

    /// Its place, to be carried elsewhere.
    pub fn context(&self) -> Context {
        self.span.context()
    }

    /// What others may hold of it.
    pub fn handle(&self) -> Option<Handle> {
        let record = self.record.as_ref()?;
        Some(Handle(Arc::clone(&record.node)))
    }

    /// The span of tracing.
    pub fn apm(&mut self) -> &mut Span {
        &mut self.span
    }

    /// What it is called in evaluations and in links.
    pub fn export(&self) -> Option<ExportedSpan> {
        self.handle().map(|handle| handle.export())
    }

    /// Has something said about it when it is sent, on the worker: what is costly to find out goes in there. May panic, may not block.
    pub fn defer(&self, say: impl FnOnce() -> Annotation + Send + 'static) {
        if let Some(record) = &self.record {
            record.said().deferred.push(Box::new(say));
        }
    }

    /// Ends it, with something to be said when it is sent.
    pub fn finish_with(self, say: impl FnOnce() -> Annotation + Send + 'static) {
        self.defer(say);
    }

    /// Ends it.
    pub fn finish(self) {}

    /// Ends it at a moment of the caller's.
    pub fn finish_at(mut self, time: SystemTime) {
        if let Some(record) = self.record.take() {
            record.node.end();
        }
        std::mem::replace(&mut self.span, Span::off()).finish_at(time);
    }

    /// Forgets that it is a span of this product: what is left is the span of tracing.
    pub fn into_plain(mut self) -> Span {
        if let Some(record) = self.record.take() {
            record.node.end();
            record.retract();
        }
        std::mem::replace(&mut self.span, Span::off())
    }
}

impl Drop for LlmSpan {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            if std::thread::panicking() && record.said().error.is_none() {
                let _ = record.annotate(Annotation::new().error("panic", "panicked", ""));
            }
            record.node.end();
        }
    }
}

pin_project_lite::pin_project! {
    /// A future whose span of this product ends with it.
    #[derive(Debug)]
    pub struct Ending<F> {
        #[pin]
        future: F,
        record: Open,
    }
}

/// Ends a span when it is dropped.
#[derive(Debug)]
struct Open(Option<Arc<Record>>);

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(record) = self.0.take() {
            record.node.end();
        }
    }
}

impl<F: Future> Future for Ending<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.future.poll(context);
        if polled.is_ready() {
            this.record.0.take().inspect(|record| {
                record.node.end();
            });
        }
        polled
    }
}
