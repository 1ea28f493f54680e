//! What a program says about a span.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::model::{Agent, Content, Prompt, ToolDefinition};

/// What is said about a span: made with the methods, handed over to `annotate`.
///
/// Everything adds to what was said before, key by key, except input and output, which replace it.
///
/// ```
/// use ddtrace_llmobs::{Annotation, Message};
///
/// let annotation = Annotation::new()
///     .input(Message::new("user", "How far is the moon?"))
///     .output(Message::new("assistant", "384,400 km on average."))
///     .metadata("temperature", 0.2)
///     .metric("input_tokens", 6)
///     .tag("team", "science");
/// # let _ = annotation;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "an annotation says nothing before it is given to a span"]
pub struct Annotation {
    pub(crate) input: Option<Content>,
    pub(crate) output: Option<Content>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) metrics: Vec<(String, f64)>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) cost_tags: Option<Vec<String>>,
    pub(crate) prompt: Option<Prompt>,
    pub(crate) tool_definitions: Vec<ToolDefinition>,
    pub(crate) agent: Option<Agent>,
    pub(crate) name: Option<String>,
    pub(crate) model_name: Option<String>,
    pub(crate) model_provider: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) tool_version: Option<String>,
    pub(crate) agent_version: Option<String>,
    pub(crate) ml_app: Option<String>,
    pub(crate) intent: Option<String>,
    pub(crate) error: Option<ErrorText>,
    pub(crate) links: Vec<Link>,
    pub(crate) tool_call: Option<(String, String)>,
    /// Whether a context says it, at the start of the span.
    pub(crate) is_from_context: bool,
}

/// What went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorText {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) stack: String,
}

/// A link from what another span has given to what this one was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) span_id: String,
    pub(crate) trace_id: String,
}

impl Annotation {
    /// An annotation that says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what went in.
    pub fn input(mut self, content: impl Into<Content>) -> Self {
        self.input = Some(content.into());
        self
    }

    /// Says what came out.
    pub fn output(mut self, content: impl Into<Content>) -> Self {
        self.output = Some(content.into());
        self
    }

    /// Adds something that is worth knowing.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds a number: tokens, seconds, dollars. Dots in the key become `_`, since they break what reads them. A number that is none
    /// (infinite, or not a number) is left out.
    pub fn metric(mut self, key: impl Into<String>, value: impl Into<f64>) -> Self {
        self.metrics.push((key.into(), value.into()));
        self
    }

    /// Adds a tag. The tag `session_id` says which session the span belongs to.
    pub fn tag(mut self, key: impl Into<String>, value: impl fmt::Display) -> Self {
        self.tags.insert(key.into(), value.to_string());
        self
    }

    /// Names tags of the span by which its costs are split. One that the span does not have is left out.
    pub fn cost_tags<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter().map(Into::into);
        self.cost_tags.get_or_insert_default().extend(keys);
        self
    }

    /// Says which prompt a model was given.
    pub fn prompt(mut self, prompt: Prompt) -> Self {
        self.prompt = Some(prompt);
        self
    }

    /// Says which tools a model may ask for.
    pub fn tool_definitions(mut self, tools: Vec<ToolDefinition>) -> Self {
        self.tool_definitions = tools;
        self
    }

    /// Declares what the agent is made of. Means something on agents only.
    pub fn agent(mut self, agent: Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Gives the span another name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Says which model it was.
    pub fn model_name(mut self, name: impl Into<String>) -> Self {
        self.model_name = Some(name.into());
        self
    }

    /// Says who runs the model.
    pub fn model_provider(mut self, name: impl Into<String>) -> Self {
        self.model_provider = Some(name.into());
        self
    }

    /// Says which session the span belongs to.
    pub fn session_id(mut self, id: impl Into<String>) -> Self {
        self.session_id = Some(id.into());
        self
    }

    /// Says which version of the agent or the tool it is. Means nothing on other kinds.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        let version = version.into();
        self.tool_version = Some(version.clone());
        self.agent_version = Some(version);
        self
    }

    /// Says which application the span belongs to. Spans that began under it before have the one that it had.
    pub fn ml_app(mut self, name: impl Into<String>) -> Self {
        self.ml_app = Some(name.into());
        self
    }

    /// Says what a tool was called for.
    pub fn intent(mut self, intent: impl Into<String>) -> Self {
        self.intent = Some(intent.into());
        self
    }

    /// Says what went wrong; the span counts as failed. `stack` may be empty.
    pub fn error(
        mut self,
        kind: impl Into<String>,
        message: impl Into<String>,
        stack: impl Into<String>,
    ) -> Self {
        self.error = Some(ErrorText {
            kind: kind.into(),
            message: message.into(),
            stack: stack.into(),
        });
        self
    }

    /// Links what another span has given to what this one was given, by the ids that [`export`](crate::Handle::export) gives.
    pub fn link(mut self, span_id: impl Into<String>, trace_id: impl Into<String>) -> Self {
        self.links.push(Link {
            span_id: span_id.into(),
            trace_id: trace_id.into(),
        });
        self
    }

    /// Says by which id a model asked for this call of a tool, so that the two spans are linked.
    pub fn answers_tool_call(
        mut self,
        tool_id: impl Into<String>,
        tool: impl Into<String>,
    ) -> Self {
        self.tool_call = Some((tool_id.into(), tool.into()));
        self
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
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

/// Why an annotation was refused, or a part of it: the rest was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotateError {
    /// There is no span to annotate.
    #[error("expected an active span of LLM Observability, found none")]
    NoActiveSpan,
    /// The span has ended.
    #[error("expected a span that is open, found one that has ended")]
    Finished,
    /// Metrics are not numbers.
    #[error("expected numbers as metrics: {0}")]
    InvalidMetrics(String),
    /// The prompt contradicts itself.
    #[error("prompt: {0}")]
    InvalidPrompt(String),
    /// Input or output of a model is no list of messages.
    #[error("messages: {0}")]
    InvalidMessages(String),
    /// Input of an embedding is no list of documents.
    #[error("documents: {0}")]
    InvalidEmbedding(String),
    /// Output of a retrieval is no list of documents.
    #[error("documents: {0}")]
    InvalidRetrieval(String),
}

impl AnnotateError {
    /// The word in telemetry.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::NoActiveSpan => "invalid_span_no_active_spans",
            Self::Finished => "invalid_finished_span",
            Self::InvalidMetrics(_) => "invalid_metrics",
            Self::InvalidPrompt(_) => "invalid_prompt",
            Self::InvalidMessages(_) => "invalid_io_messages",
            Self::InvalidEmbedding(_) => "invalid_embedding_io",
            Self::InvalidRetrieval(_) => "invalid_retrieval_io",
        }
    }
}
