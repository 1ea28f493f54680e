//! What is done for every span that begins, and how a span of tracing that somebody else made becomes one of this product.

use std::borrow::Cow;
use std::sync::Arc;

use ddtrace_core::trace::{AnySpan, Attachment, Context, SpanRef, current_root_span, current_span};

use super::Handle;
use crate::annotation::Annotation;
use crate::current;
use crate::kind::Kind;
use crate::node::{Beginning, Node};
use crate::propagation::Remote;
use crate::record::{Origin, Record};
use crate::switch::{self, Running};

pub(super) fn remote(parent: Option<&Arc<Node>>, place: &Context) -> Option<Remote> {
    match parent {
        Some(_) => None,
        None => Remote::of(place),
    }
}

/// The record of a span that begins, with what is said about it already.
pub(super) fn begin(
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
pub(super) fn mark_root(root: &SpanRef, node: &Node) {
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
