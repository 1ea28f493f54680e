//! The record of a span: its place, and what was said about it.
//!
//! Core holds it as an [`Attachment`] of the span and asks it on the worker what the span is to carry. That is where the event is
//! built, once, and sent on its way: in the trace itself, or, if the trace does not go anywhere, through the queue of this product.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use ddtrace_core::export::FinishedSpan;
use ddtrace_core::trace::{Attachment, Settled};

use crate::annotation::{AnnotateError, Annotation};
use crate::event;
use crate::node::{Beginning, Node};
use crate::said::Said;
use crate::switch::Running;
use crate::telemetry;

/// A span's record.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) node: Arc<Node>,
    /// The name of the integration that made it.
    pub(crate) integration: Option<&'static str>,
    /// Whether an attribute made it.
    pub(crate) is_macro: bool,
    /// Whether it stands for a span of another library's.
    pub(crate) is_bridged: bool,
    /// Whether the product is on, so that it is sent.
    pub(crate) is_reported: bool,
    said: Mutex<Said>,
    settled: OnceLock<Settled>,
}

/// What a span is from the start.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    pub(crate) integration: Option<&'static str>,
    pub(crate) is_macro: bool,
    pub(crate) is_bridged: bool,
    pub(crate) is_reported: bool,
    pub(crate) said: Said,
}

impl Record {
    /// The record of a span that begins.
    pub(crate) fn begin(running: Arc<Running>, beginning: Beginning, origin: Origin) -> Arc<Self> {
        Arc::new_cyclic(|weak: &Weak<Self>| Self {
            node: Arc::new(Node::begin(running, beginning, weak.clone())),
            integration: origin.integration,
            is_macro: origin.is_macro,
            is_bridged: origin.is_bridged,
            is_reported: origin.is_reported,
            said: Mutex::new(origin.said),
            settled: OnceLock::new(),
        })
    }

    /// What was said so far.
    pub(crate) fn said(&self) -> MutexGuard<'_, Said> {
        // What may panic in there, a deferred closure, is caught.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`annotate`](Self::annotate) without being counted: nobody has called it.
    pub(crate) fn annotate_quietly(&self, annotation: Annotation) -> Result<(), AnnotateError> {
        if annotation.is_empty() {
            Ok(())
        } else {
            self.annotate(annotation)
        }
    }

    /// Takes over what is said, if it still may be said.
    pub(crate) fn annotate(&self, mut annotation: Annotation) -> Result<(), AnnotateError> {
        let result = if self.node.has_ended() {
            Err(AnnotateError::Finished)
        } else {
            let node = &self.node;
            if let Some(name) = annotation.name.take() {
                node.shared().name = name;
            }
            if let Some(app) = annotation.ml_app.take().filter(|app| !app.is_empty()) {
                node.shared().ml_app = app;
            }
            let session = annotation.session_id.take();
            let session = session.or_else(|| annotation.tags.get("session_id").cloned());
            if let Some(id) = session.filter(|id| !id.is_empty()) {
                node.set_session(id);
            }
            let settings = &node.running.settings;
            let says_prompt = annotation.prompt.is_some();
            let says_tools = !annotation.tool_definitions.is_empty();
            let mut said = self.said();
            let result = said.take(
                annotation,
                node.kind,
                &node.running.settings.ml_app,
                settings,
            );
            if says_prompt {
                node.shared().prompt.clone_from(&said.prompt);
            }
            if says_tools {
                node.shared().tool_versions = versions(&said);
            }
            result
        };
        telemetry::annotated(self, result.as_ref().err());
        result
    }

    /// Has nothing sent of it.
    pub(crate) fn retract(&self) {
        let _ = self.settled.set(Settled::default());
    }

    /// The span's tags as far as they are known.
    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        event::tags(
            self,
            &self.said(),
            &self.node.running.settings.config_service,
        )
    }
}

fn versions(said: &Said) -> BTreeMap<String, String> {
    let tools = said.tool_definitions.iter();
    let versions = tools.filter_map(|tool| Some((tool.name.clone(), tool.version.clone()?)));
    versions.collect()
}

impl Attachment for Record {
    fn weight(&self) -> usize {
        self.said().weight()
    }

    fn settle(&self, span: &FinishedSpan<'_>, is_kept: bool) -> &Settled {
        self.settled.get_or_init(|| {
            // A span that was never closed by its guard, because its future was forgotten, ends here.
            self.node.end();
            let mut said = self.said();
            let node = &self.node;
            let (name, session) = said.take_deferred(
                node.kind,
                &node.running.settings.ml_app,
                &node.running.settings,
            );
            if let Some(name) = name {
                node.shared().name = name;
            }
            if let Some(session) = session {
                node.set_session(session);
            }
            let settled = event::settle(self, &mut said, span, is_kept);
            said.forget_content();
            settled
        })
    }
}
