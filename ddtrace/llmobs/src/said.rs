//! What has been said about one span so far.

use std::collections::BTreeMap;

use ddtrace_core::diagnostics;
use serde_json::{Map, Value};

use crate::annotation::{AnnotateError, Annotation, ErrorText, Link};
use crate::kind::Kind;
use crate::model::{
    CheckedPrompt, Content, Document, Message, ToolDefinition, documents_of, messages_of,
};
use crate::settings::Settings;

/// Input or output as it will be sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Io {
    #[default]
    Nothing,
    /// A value that becomes a text when it is sent.
    Value(Value),
    Messages(Vec<Message>),
    Documents(Vec<Document>),
    /// A value that stays what it is.
    Raw(Value),
}

impl Io {
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// The same without what anybody has said.
    fn emptied(self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Value(_) => Self::Value(Value::String(String::new())),
            Self::Messages(messages) => {
                Self::Messages(messages.into_iter().map(Message::emptied).collect())
            }
            Self::Documents(documents) => {
                let documents = documents.into_iter().map(|document| Document {
                    text: String::new(),
                    ..document
                });
                Self::Documents(documents.collect())
            }
            Self::Raw(_) => Self::Raw(Value::Null),
        }
    }

    /// Roughly the bytes held.
    fn weight(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Value(value) | Self::Raw(value) => weight(value),
            Self::Messages(messages) => messages.iter().map(|it| 256 + it.content.len()).sum(),
            Self::Documents(documents) => documents.iter().map(|it| 128 + it.text.len()).sum(),
        }
    }
}

fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => 32 + text.len(),
        Value::Array(items) => 32 + items.iter().map(weight).sum::<usize>(),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| key.len() + weight(value));
            64 + entries.sum::<usize>()
        }
        _ => 32,
    }
}

/// Something that is said when the span is sent, on the worker.
pub(crate) type Deferred = Box<dyn FnOnce() -> Annotation + Send>;

/// What has been said about a span.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) input: Io,
    pub(crate) output: Io,
    pub(crate) prompt: Option<CheckedPrompt>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) cost_tags: Vec<String>,
    pub(crate) manifest: Map<String, Value>,
    pub(crate) agent_version: Option<String>,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) tool_definitions: Vec<ToolDefinition>,
    pub(crate) tool_version: Option<String>,
    pub(crate) tool_call: Option<(String, String)>,
    pub(crate) model_name: Option<String>,
    pub(crate) model_provider: Option<String>,
    pub(crate) intent: Option<String>,
    pub(crate) error: Option<ErrorText>,
    pub(crate) links: Vec<Link>,
    pub(crate) expected_output: Option<Value>,
    pub(crate) config: Option<Value>,
    pub(crate) deferred: Vec<Deferred>,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Said").finish_non_exhaustive()
    }
}

/// Tags that every span has without being told.
pub(crate) const BASE_TAGS: [&str; 3] = ["service", "ml_app", "agent_service"];

impl Said {
    /// Takes over an annotation; what is wrong in it is left out, and the first of that is the error. What concerns other spans as well, name and
    /// session, is the caller's to take.
    pub(crate) fn take(
        &mut self,
        annotation: Annotation,
        kind: Kind,
        ml_app: &str,
        settings: &Settings,
    ) -> Result<(), AnnotateError> {
        let mut result = Ok(());
        let mut note = |error: AnnotateError| {
            if result.is_ok() {
                result = Err(error);
            }
        };
        self.metadata.extend(annotation.metadata);
        for (key, value) in annotation.metrics {
            if value.is_finite() {
                self.metrics.insert(metric_key(key), value);
            } else {
                note(AnnotateError::InvalidMetrics(format!("{key} is {value}")));
            }
        }
        let says_method = annotation.tags.contains_key(PROMPT_METHOD);
        self.tags.extend(annotation.tags);
        if let Some(agent) = annotation.agent {
            self.manifest.extend(agent.manifest());
            if agent.version.is_some() {
                self.agent_version = agent.version;
            }
        }
        if let Some(keys) = annotation.cost_tags {
            self.take_cost_tags(keys, settings, annotation.is_from_context);
        }
        let definitions = annotation.tool_definitions.into_iter();
        let definitions: Vec<_> = definitions
            .filter(|tool| {
                if tool.name.is_empty() {
                    diagnostics::warn(format_args!(
                        "expected a name in a tool definition, found none: it is left out"
                    ));
                }
                !tool.name.is_empty()
            })
            .collect();
        if !definitions.is_empty() {
            self.tool_definitions = definitions;
        }
        if let Some(prompt) = annotation.prompt {
            match prompt.checked(ml_app) {
                Ok(checked) => {
                    let checked = if settings.capture_io {
                        checked
                    } else {
                        checked.emptied()
                    };
                    match &mut self.prompt {
                        Some(before) => before.merge(checked),
                        none => *none = Some(checked),
                    }
                    if !says_method {
                        let method = if prompt.is_automatic {
                            "auto"
                        } else {
                            "annotated"
                        };
                        self.tags.insert(PROMPT_METHOD.into(), method.into());
                    }
                }
                Err(error) => note(error),
            }
        }
        for (slot, value) in [
            (&mut self.model_name, annotation.model_name),
            (&mut self.model_provider, annotation.model_provider),
            (&mut self.tool_version, annotation.tool_version),
            (&mut self.agent_version, annotation.agent_version),
            (&mut self.intent, annotation.intent),
        ] {
            if value.is_some() {
                *slot = value;
            }
        }
        if annotation.error.is_some() {
            self.error = annotation.error;
        }
        if annotation.tool_call.is_some() {
            self.tool_call = annotation.tool_call;
        }
        self.links.extend(annotation.links);
        for (content, is_input) in [(annotation.input, true), (annotation.output, false)] {
            let Some(content) = content else { continue };
            match shaped(content, kind, is_input) {
                Ok(Io::Nothing) => {}
                Ok(io) => {
                    let io = if settings.capture_io {
                        io
                    } else {
                        io.emptied()
                    };
                    *(if is_input {
                        &mut self.input
                    } else {
                        &mut self.output
                    }) = io;
                }
                Err(error) => note(error),
            }
        }
        result
    }

    fn take_cost_tags(&mut self, keys: Vec<String>, settings: &Settings, is_from_context: bool) {
        let source = if is_from_context {
            "annotation_context"
        } else {
            "annotate"
        };
        let mut missing = 0;
        let mut taken = 0;
        for key in keys {
            let is_there = self.tags.contains_key(&key)
                || settings.tags.contains_key(&key)
                || BASE_TAGS.contains(&key.as_str());
            if !is_there {
                missing += 1;
                diagnostics::warn(format_args!(
                    "expected the name of one of the span's tags as cost tag, found {key}: it is left out"
                ));
            } else if !self.cost_tags.contains(&key) {
                taken += 1;
                self.cost_tags.push(key);
            }
        }
        crate::telemetry::cost_tags(source, taken, missing);
    }

    /// Says what was put off.
    pub(crate) fn take_deferred(
        &mut self,
        kind: Kind,
        ml_app: &str,
        settings: &Settings,
    ) -> (Option<String>, Option<String>) {
        let (mut name, mut session) = (None, None);
        for deferred in std::mem::take(&mut self.deferred) {
            let annotation = std::panic::catch_unwind(std::panic::AssertUnwindSafe(deferred));
            let Ok(mut annotation) = annotation else {
                diagnostics::warn(format_args!(
                    "reading an answer of a language model panicked: the span goes without it"
                ));
                continue;
            };
            name = annotation.name.take().or(name);
            session = annotation.session_id.take().or(session);
            if let Err(error) = self.take(annotation, kind, ml_app, settings) {
                diagnostics::debug(format_args!("annotation: {error}"));
            }
        }
        (name, session)
    }

    /// Roughly the bytes held.
    pub(crate) fn weight(&self) -> usize {
        let metadata: usize = self
            .metadata
            .iter()
            .map(|(key, it)| key.len() + weight(it))
            .sum();
        1024 + self.input.weight() + self.output.weight() + metadata
    }

    /// Frees what is not needed once the span is encoded.
    pub(crate) fn forget_content(&mut self) {
        self.input = Io::Nothing;
        self.output = Io::Nothing;
        self.metadata = Map::new();
        self.prompt = None;
    }
}

const PROMPT_METHOD: &str = "prompt_tracking_instrumentation_method";

fn metric_key(key: String) -> String {
    if key.contains('.') {
        diagnostics::warn(format_args!(
            "the metric {key} is sent with `_` in place of dots, which the product cannot read"
        ));
        key.replace('.', "_")
    } else {
        key
    }
}

/// Content in the form that a kind of span has it in.
fn shaped(content: Content, kind: Kind, is_input: bool) -> Result<Io, AnnotateError> {
    let documents = |content| {
        documents_of(content).map(|documents| match documents.is_empty() {
            true => Io::Nothing,
            false => Io::Documents(documents),
        })
    };
    match (kind, is_input) {
        (Kind::Llm, _) => match messages_of(content) {
            Ok(messages) if messages.is_empty() => Ok(Io::Nothing),
            Ok(messages) => Ok(Io::Messages(messages)),
            Err(error) => Err(AnnotateError::InvalidMessages(error.0)),
        },
        (Kind::Embedding, true) => {
            documents(content).map_err(|error| AnnotateError::InvalidEmbedding(error.0))
        }
        (Kind::Retrieval, false) => {
            documents(content).map_err(|error| AnnotateError::InvalidRetrieval(error.0))
        }
        (Kind::Experiment, _) => Ok(Io::Raw(content.into())),
        _ => Ok(Io::Value(content.into())),
    }
}
