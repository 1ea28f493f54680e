//! Which span of this product is in force here, and what is to be said about those that begin.
//!
//! Both are handed down by core like baggage, along spans, tasks and carried contexts, so they survive an `.await` and do not leak to a
//! sibling. The span in force is kept beside the active span of tracing: other spans in between change nothing.

use std::sync::Arc;

use ddtrace_core::propagation::Baggage;
use ddtrace_core::trace::{AnySpan, Attached, Context, InContext, Inherited};

use crate::annotation::Annotation;
use crate::node::{Node, nearest_open};

static CURRENT: Inherited<Node> = Inherited::new("llm observability");
static CONTEXTS: Inherited<Vec<Annotation>> = Inherited::new("llm observability: annotations");

/// The nearest open span.
pub(crate) fn get() -> Option<Arc<Node>> {
    CURRENT.get().and_then(nearest_open)
}

/// The nearest open span of a place elsewhere.
pub(crate) fn of(context: &Context) -> Option<Arc<Node>> {
    CURRENT.of(context).and_then(nearest_open)
}

/// The nearest open span of whatever is injected.
pub(crate) fn in_baggage(baggage: &Baggage) -> Option<Arc<Node>> {
    CURRENT.in_baggage(baggage).and_then(nearest_open)
}

/// Puts a span in force for the active span of tracing, which is its own.
pub(crate) fn set(node: Arc<Node>) {
    CURRENT.set(node);
}

/// Puts a span in force for its own span of tracing, which is not active.
pub(crate) fn give<'a>(span: impl Into<AnySpan<'a>>, node: Arc<Node>) {
    CURRENT.give(span, node);
}

/// What is to be said about a span that begins here.
pub(crate) fn annotations() -> Option<Arc<Vec<Annotation>>> {
    CONTEXTS.get()
}

/// The same for a place elsewhere.
pub(crate) fn annotations_of(context: &Context) -> Option<Arc<Vec<Annotation>>> {
    CONTEXTS.of(context)
}

/// Says something about every span that begins in a scope; made by [`annotation_context`].
#[derive(Debug)]
#[must_use = "the scope is that of `enter`, `scope` or `wrap`"]
pub struct AnnotationContext(Context);

/// Has something said about every span that begins in a scope, here and in what is called and spawned from it: tags, prompt, name, cost
/// tags, agent. Contexts nest; the inner one is applied last. Cost tags see the tags that a span has when it begins.
///
/// ```
/// use ddtrace_llmobs::{Annotation, Prompt, annotation_context};
///
/// let prompt = Prompt::of_template("Answer {{question}}").id("answer").version("3");
/// annotation_context(Annotation::new().prompt(prompt).tag("team", "support")).scope(|| {
///     // spans that begin in here
/// });
/// ```
pub fn annotation_context(annotation: Annotation) -> AnnotationContext {
    let context = Context::current();
    let mut all = CONTEXTS
        .of(&context)
        .as_deref()
        .cloned()
        .unwrap_or_default();
    all.push(Annotation {
        is_from_context: true,
        ..annotation
    });
    AnnotationContext(CONTEXTS.with(context, Arc::new(all)))
}

impl AnnotationContext {
    /// Begins the scope on this thread; it lasts until the guard is dropped. In asynchronous code use [`wrap`](Self::wrap).
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
