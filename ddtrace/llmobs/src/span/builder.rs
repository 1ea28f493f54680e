//! How a span of this product is described before it starts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use ddtrace_core::propagation::Extracted;
use ddtrace_core::trace::{Attachment, Context, Span, current_root_span};
use serde_json::Value;

use super::LlmSpan;
use super::beginning::{begin, mark_root, remote};
use crate::annotation::Annotation;
use crate::current;
use crate::kind::Kind;
use crate::node::Beginning;
use crate::record::Origin;
use crate::said::Said;
use crate::switch;

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
