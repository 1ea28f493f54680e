//! Spans of this product, as values and as what others may hold of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::SystemTime;

use ddtrace_core::propagation::Extracted;
use ddtrace_core::trace::{
    AnySpan, Attachment, Context, Instrumented, Span, SpanRef, TraceId, current_root_span,
    current_span, instrument,
};
use serde_json::Value;

use crate::annotation::{AnnotateError, Annotation};
use crate::current;
use crate::kind::Kind;
use crate::node::{Beginning, Node};
use crate::propagation::Remote;
use crate::record::{Origin, Record};
use crate::said::Said;
use crate::switch::{self, Running};
use crate::telemetry;

/// Describes a span and starts it; made by [`span`](crate::span()).
#[derive(Debug)]
#[must_use = "the span starts with `start()`"]
pub struct SpanBuilder {
    kind: Kind,
    name: Option<Cow<'static, str>>,
    session_id: Option<String>,
    ml_app: Option<String>,
    annotation: Annotation,
    integration: Option<(&'static str, Cow<'static, str>)>,
    parent: Option<Context>,
    extracted: Option<Box<Extracted>>,
    is_root: bool,
    start_time: Option<SystemTime>,
    pub(crate) experiment: Option<Arc<BTreeMap<String, String>>>,
    pub(crate) expected_output: Option<Value>,
    pub(crate) config: Option<Value>,
}

impl SpanBuilder {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            name: None,
            session_id: None,
            ml_app: None,
            annotation: Annotation::new(),
            integration: None,
            parent: None,
            extracted: None,
            is_root: false,
            start_time: None,
            experiment: None,
            expected_output: None,
            config: None,
        }
    }

    /// Gives it a name; without one it is called by its kind.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Says which model is called, and who runs it.
    pub fn model(self, name: impl Into<String>, provider: impl Into<String>) -> Self {
        self.model_name(name).model_provider(provider)
    }

    /// Says which model is called.
    pub fn model_name(mut self, name: impl Into<String>) -> Self {
        self.annotation = self.annotation.model_name(name);
        self
    }

    /// Says who runs the model.
    pub fn model_provider(mut self, name: impl Into<String>) -> Self {
        self.annotation = self.annotation.model_provider(name);
        self
    }

    /// Says which session it belongs to; without, it is the parent's.
    pub fn session_id(mut self, id: impl Into<String>) -> Self {
        self.session_id = Some(id.into());
        self
    }

    /// Says which application it belongs to; without, it is the parent's, or the one that is set.
    pub fn ml_app(mut self, name: impl Into<String>) -> Self {
        self.ml_app = Some(name.into());
        self
    }

    /// Says which version of an agent or a tool it is.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.annotation = self.annotation.version(version);
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, key: impl Into<String>, value: impl fmt::Display) -> Self {
        self.annotation = self.annotation.tag(key, value);
        self
    }

    /// For integrations: their name, and the operation name of the span in tracing. Such a span exists in tracing whether the product is on or not.
    pub fn integration(
        mut self,
        name: &'static str,
        operation: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.integration = Some((name, operation.into()));
        self
    }

    /// Makes it a child of a span that may be elsewhere.
    pub fn child_of(mut self, parent: &Context) -> Self {
        self.parent = Some(parent.clone());
        self
    }

    /// Makes it go on with a trace that began in another service.
    pub fn continuing(mut self, extracted: Extracted) -> Self {
        self.extracted = Some(Box::new(extracted));
        self
    }

    /// Makes it the root of a new trace, here and in tracing, whatever is active.
    pub fn root(mut self) -> Self {
        self.is_root = true;
        self
    }

    /// Gives the start a moment of the caller's.
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.start_time = Some(time);
        self
    }

    /// Starts it.
    pub fn start(self) -> LlmSpan {
        let is_on = switch::is_on();
        let running = switch::running();
        let (Some(running), true) = (running, is_on || self.integration.is_some()) else {
            switch::warn_that_it_is_off();
            return LlmSpan::off();
        };
        let name = self.name.unwrap_or(Cow::Borrowed(self.kind.as_str()));
        let (integration, operation) = match self.integration {
            Some((integration, operation)) => (Some(integration), operation),
            None => (None, name.clone()),
        };
        let mut builder = Span::builder(operation).resource(match integration {
            Some(_) => name.clone().into_owned(),
            None => self.kind.as_str().to_owned(),
        });
        builder = builder.span_type("llm");
        if self.is_root {
            builder = builder.root();
        } else if let Some(parent) = &self.parent {
            builder = builder.child_of(parent);
        } else if let Some(extracted) = self
            .extracted
            .map(|it| *it)
            .or_else(crate::distributed::activated)
        {
            builder = builder.continuing(extracted);
        }
        if let Some(time) = self.start_time {
            builder = builder.start_time(time);
        }
        let mut span = builder.start();
        if !span.is_recording() {
            return LlmSpan::off();
        }
        let place = span.context();
        let (parent, annotations) = match &self.parent {
            _ if self.is_root => (None, current::annotations()),
            Some(context) => (current::of(context), current::annotations_of(context)),
            None => (current::get(), current::annotations()),
        };
        let beginning = Beginning {
            kind: self.kind,
            name: name.into_owned(),
            span_id: place.span_id().get(),
            apm_trace_id: place.trace_id(),
            session_id: self.session_id,
            ml_app: self.ml_app,
            remote: remote(parent.as_ref(), &place),
            experiment: self
                .experiment
                .or_else(|| crate::experiments::of_baggage(parent.as_ref(), &place)),
            parent,
        };
        let said = Said {
            expected_output: self.expected_output,
            config: self.config,
            ..Said::default()
        };
        let origin = Origin {
            integration,
            is_reported: is_on,
            said,
            ..Origin::default()
        };
        let record = begin(
            running,
            beginning,
            origin,
            self.annotation,
            annotations.as_deref(),
        );
        span.attach(Arc::clone(&record) as Arc<dyn Attachment>);
        current::give(&mut span, Arc::clone(&record.node));
        if is_on && record.node.parent.is_none() {
            let _active = span.enter();
            mark_root(&current_root_span(), &record.node);
        }
        LlmSpan {
            span,
            record: Some(record),
        }
    }
}

fn remote(parent: Option<&Arc<Node>>, place: &Context) -> Option<Remote> {
    match parent {
        Some(_) => None,
        None => Remote::of(place),
    }
}

/// The record of a span that begins, with what is said about it already.
fn begin(
    running: Arc<Running>,
    beginning: Beginning,
    origin: Origin,
    annotation: Annotation,
    contexts: Option<&Vec<Annotation>>,
) -> Arc<Record> {
    let record = Record::begin(running, beginning, origin);
    let all = contexts.into_iter().flatten().cloned();
    for annotation in [annotation].into_iter().chain(all) {
        if let Err(error) = record.annotate_quietly(annotation) {
            ddtrace_core::diagnostics::debug(format_args!(
                "annotation at the start of a span: {error}"
            ));
        }
    }
    record
}

/// Says on the local root of the trace which trace of this product is in it: the first one.
fn mark_root(root: &SpanRef, node: &Node) {
    if !root.has_tag("llmobs_trace_id") {
        root.set_tag("llmobs_trace_id", &*node.trace.id);
        root.set_tag("llmobs_parent_id", node.span_id.to_string());
    }
}

/// How a span of tracing becomes one of this product: for attributes, which make the span themselves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Start {
    /// What it does.
    pub kind: Kind,
    /// What it is called.
    pub name: Cow<'static, str>,
}

impl Start {
    /// A span of a kind, by its name.
    pub fn new(kind: Kind, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

/// Makes the active span of tracing, which has just begun and was made by an attribute, one of this product. Nothing if the product is off or no span is
/// active. Whoever calls it calls [`Handle::end`] before that span ends.
pub fn mark_active(start: &Start) -> Option<Handle> {
    if !switch::is_on() {
        return None;
    }
    let running = switch::running()?;
    let active = current_span();
    if active.span_id().get() == 0 {
        return None;
    }
    let place = Context::current();
    let parent = current::get();
    let beginning = Beginning {
        kind: start.kind,
        name: start.name.clone().into_owned(),
        span_id: place.span_id().get(),
        apm_trace_id: place.trace_id(),
        session_id: None,
        ml_app: None,
        remote: remote(parent.as_ref(), &place),
        experiment: crate::experiments::of_baggage(parent.as_ref(), &place),
        parent,
    };
    let origin = Origin {
        is_macro: true,
        is_reported: true,
        ..Origin::default()
    };
    let annotations = current::annotations();
    let record = begin(
        running,
        beginning,
        origin,
        Annotation::new(),
        annotations.as_deref(),
    );
    active.attach(Arc::clone(&record) as Arc<dyn Attachment>);
    current::set(Arc::clone(&record.node));
    if record.node.parent.is_none() {
        mark_root(&current_root_span(), &record.node);
    }
    Some(Handle(Arc::clone(&record.node)))
}

/// Makes a span of tracing that stands for another library's one of this product. Whoever calls it ends the record's node before the span ends.
pub(crate) fn mark_bridged(
    span: &mut AnySpan<'_>,
    kind: Kind,
    name: String,
    bridge: &'static str,
) -> Option<Arc<Record>> {
    let running = switch::running().filter(|_| switch::is_on())?;
    let place = span.context();
    if place.span_id().get() == 0 {
        return None;
    }
    let parent = current::of(&place);
    let beginning = Beginning {
        kind,
        name,
        span_id: place.span_id().get(),
        apm_trace_id: place.trace_id(),
        session_id: None,
        ml_app: None,
        remote: remote(parent.as_ref(), &place),
        experiment: crate::experiments::of_baggage(parent.as_ref(), &place),
        parent,
    };
    let origin = Origin {
        integration: Some(bridge),
        is_bridged: true,
        is_reported: true,
        ..Origin::default()
    };
    let annotations = current::annotations_of(&place);
    let record = begin(
        running,
        beginning,
        origin,
        Annotation::new(),
        annotations.as_deref(),
    );
    span.attach(Arc::clone(&record) as Arc<dyn Attachment>);
    current::give(span.reborrow(), Arc::clone(&record.node));
    if record.node.parent.is_none() {
        let _attached = place.attach();
        mark_root(&current_root_span(), &record.node);
    }
    Some(record)
}

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

impl Record {
    /// [`annotate`](Self::annotate) without being counted: nobody has called it.
    pub(crate) fn annotate_quietly(&self, annotation: Annotation) -> Result<(), AnnotateError> {
        let is_empty = annotation.is_empty();
        if is_empty {
            Ok(())
        } else {
            self.annotate(annotation)
        }
    }
}

impl Annotation {
    fn is_empty(&self) -> bool {
        let Self {
            input,
            output,
            metadata,
            metrics,
            tags,
            cost_tags,
            prompt,
            tool_definitions,
            agent,
            name,
            model_name,
            model_provider,
            session_id,
            tool_version,
            agent_version,
            ml_app,
            intent,
            error,
            links,
            tool_call,
            is_from_context: _,
        } = self;
        let texts = [
            name,
            model_name,
            model_provider,
            session_id,
            tool_version,
            agent_version,
            ml_app,
            intent,
        ];
        texts.into_iter().all(Option::is_none)
            && input.is_none()
            && output.is_none()
            && metadata.is_empty()
            && metrics.is_empty()
            && tags.is_empty()
            && cost_tags.is_none()
            && prompt.is_none()
            && tool_definitions.is_empty()
            && agent.is_none()
            && error.is_none()
            && links.is_empty()
            && tool_call.is_none()
    }
}
