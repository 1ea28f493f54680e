//! The options of `#[llm]` and its kin.

use proc_macro2::{Ident, Span, TokenStream};

use super::trace::{ErrCapture, path};
use super::{Entry, Expr, Tag, Value, parse, tags};
use crate::error::{Error, Errors, Result};

/// Every option, in the order in which the documentation lists them.
const OPTIONS: &[&str] = &[
    "name",
    "session_id",
    "ml_app",
    "model_name",
    "model_provider",
    "version",
    "io",
    "skip",
    "input",
    "output",
    "metrics",
    "metadata",
    "tags",
    "stream",
    "err",
    "propagate",
    "crate",
];

/// What kind of work a span of LLM Observability stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LlmKind {
    Llm,
    Workflow,
    Agent,
    Tool,
    Task,
    Embedding,
    Retrieval,
}

impl LlmKind {
    const ALL: [LlmKind; 7] = [
        Self::Llm,
        Self::Workflow,
        Self::Agent,
        Self::Tool,
        Self::Task,
        Self::Embedding,
        Self::Retrieval,
    ];

    /// The kind of this name.
    pub(crate) fn named(name: &str) -> Option<LlmKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The attribute's name, which is also what the kind is called in Datadog.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Workflow => "workflow",
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Task => "task",
            Self::Embedding => "embedding",
            Self::Retrieval => "retrieval",
        }
    }

    /// The variant of `ddtrace::llmobs::Kind`.
    pub(crate) fn variant(self) -> &'static str {
        match self {
            Self::Llm => "Llm",
            Self::Workflow => "Workflow",
            Self::Agent => "Agent",
            Self::Tool => "Tool",
            Self::Task => "Task",
            Self::Embedding => "Embedding",
            Self::Retrieval => "Retrieval",
        }
    }

    fn default_io(self) -> Io {
        match self {
            Self::Llm => Io::OUTPUT,
            Self::Embedding => Io::NONE,
            Self::Retrieval => Io::INPUT,
            Self::Workflow | Self::Agent | Self::Tool | Self::Task => Io::BOTH,
        }
    }
}

/// What is captured without being asked for one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Io {
    pub(crate) input: bool,
    pub(crate) output: bool,
}

impl Io {
    const NONE: Io = Io::new(false, false);
    const INPUT: Io = Io::new(true, false);
    const OUTPUT: Io = Io::new(false, true);
    const BOTH: Io = Io::new(true, true);

    const fn new(input: bool, output: bool) -> Io {
        Io { input, output }
    }
}

/// What a value that was given is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// What the kind makes of it.
    Given,
    Messages,
    Documents,
    Prompt,
}

/// What is kept of the items of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Items {
    Text,
    Json,
    Off,
}

/// What `#[llm(…)]` says.
pub(crate) struct LlmArgs {
    pub(crate) kind: LlmKind,
    pub(crate) name: Option<Expr>,
    pub(crate) session_id: Option<Expr>,
    pub(crate) ml_app: Option<Expr>,
    pub(crate) model_name: Option<Expr>,
    pub(crate) model_provider: Option<Expr>,
    pub(crate) version: Option<Expr>,
    pub(crate) io: Io,
    pub(crate) skip: Vec<Ident>,
    pub(crate) input: Option<(Form, Expr)>,
    pub(crate) output: Option<(Form, Expr)>,
    pub(crate) metrics: Option<Expr>,
    pub(crate) metadata: Vec<Tag>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) stream: Option<(Items, Span)>,
    pub(crate) err: ErrCapture,
    pub(crate) propagate: Option<bool>,
    /// Where the facade is, if not at `::ddtrace`.
    pub(crate) path: Option<TokenStream>,
}

impl LlmArgs {
    pub(crate) fn parse(kind: LlmKind, tokens: TokenStream, attribute: Span) -> Result<LlmArgs> {
        let mut args = LlmArgs {
            kind,
            name: None,
            session_id: None,
            ml_app: None,
            model_name: None,
            model_provider: None,
            version: None,
            io: kind.default_io(),
            skip: Vec::new(),
            input: None,
            output: None,
            metrics: None,
            metadata: Vec::new(),
            tags: Vec::new(),
            stream: None,
            err: ErrCapture::default(),
            propagate: None,
            path: None,
        };
        let mut errors = Errors::default();
        for entry in parse(tokens, attribute)? {
            errors.note(args.take(entry));
        }
        errors.finish()?;
        Ok(args)
    }

    fn take(&mut self, entry: Entry) -> Result<()> {
        let span = entry.span();
        let kind = self.kind;
        match entry.key.to_string().as_str() {
            "name" => self.name = Some(entry.expr("\"answer\"")?),
            "session_id" => self.session_id = Some(entry.expr("session.id")?),
            "ml_app" => self.ml_app = Some(entry.expr("\"shop\"")?),
            "model_name" | "model_provider"
                if !matches!(kind, LlmKind::Llm | LlmKind::Embedding) =>
            {
                return Err(Error::at(
                    span,
                    format!(
                        "only `#[llm]` and `#[embedding]` call a model: remove `{}` from `#[{}]`",
                        entry.key,
                        kind.name()
                    ),
                ));
            }
            "model_name" => self.model_name = Some(entry.expr("\"gpt-4o\"")?),
            "model_provider" => self.model_provider = Some(entry.expr("\"openai\"")?),
            "version" if !matches!(kind, LlmKind::Agent | LlmKind::Tool) => {
                return Err(Error::at(
                    span,
                    format!(
                        "only `#[agent]` and `#[tool]` have a version: for `#[{}]` write `tags(version = …)`",
                        kind.name()
                    ),
                ));
            }
            "version" => self.version = Some(entry.expr("\"2\"")?),
            "io" => self.io = io(&entry.expr("\"both\"")?)?,
            "skip" => self.skip = entry.idents("the names of parameters")?,
            "input" => {
                let expr = entry.expr("question")?;
                self.input = Some(formed(&expr, FORMS_OF_INPUT));
            }
            "output" => {
                let expr = entry.expr("|answer| answer.text()")?;
                let (form, function) = formed(&expr, FORMS_OF_OUTPUT);
                self.output = Some((form, function));
            }
            "metrics" => {
                self.metrics =
                    Some(entry.expr("|answer| [(\"input_tokens\", answer.usage.input)]")?);
            }
            "metadata" => self.metadata = pairs(entry, "metadata(temperature = 0.2)")?,
            "tags" => self.tags = pairs(entry, "tags(team = \"ml\")")?,
            "stream" => {
                let expr = entry.expr("\"text\"")?;
                let items = match expr.tokens().to_string().trim_matches('"') {
                    "text" => Items::Text,
                    "json" => Items::Json,
                    "off" => Items::Off,
                    _ => {
                        return Err(Error::over(
                            expr.tokens(),
                            "expected one of `\"text\"`, `\"json\"`, `\"off\"`",
                        ));
                    }
                };
                self.stream = Some((items, expr.span()));
            }
            "err" => self.err = ErrCapture::parse(entry)?,
            "propagate" => self.propagate = Some(entry.boolean()?),
            "crate" => self.path = Some(path(&entry.expr("path::to::ddtrace")?)?),
            unknown => return Err(Error::at(span, unknown_option(unknown))),
        }
        Ok(())
    }

    /// Options that look at the result, with the words that ask for it.
    pub(crate) fn asks_result(&self) -> impl Iterator<Item = (&'static str, Span)> {
        let closure = |expr: &Option<Expr>| {
            let expr = expr.as_ref().filter(|expr| expr.is_closure());
            expr.map(Expr::span)
        };
        let of_tags = |tags: &[Tag]| {
            let tag = tags.iter().find(|tag| tag.value.is_closure());
            tag.map(|tag| tag.value.span())
        };
        [
            ("output", self.output.as_ref().map(|(_, expr)| expr.span())),
            ("metrics", self.metrics.as_ref().map(Expr::span)),
            ("model_name", closure(&self.model_name)),
            ("model_provider", closure(&self.model_provider)),
            ("metadata", of_tags(&self.metadata)),
            ("tags", of_tags(&self.tags)),
        ]
        .into_iter()
        .filter_map(|(name, span)| Some((name, span?)))
    }
}

const FORMS_OF_INPUT: &[(&str, Form)] = &[
    ("messages", Form::Messages),
    ("documents", Form::Documents),
    ("prompt", Form::Prompt),
];

const FORMS_OF_OUTPUT: &[(&str, Form)] =
    &[("messages", Form::Messages), ("documents", Form::Documents)];

/// `messages(e)` and its like, or the expression as it is.
fn formed(expr: &Expr, forms: &[(&str, Form)]) -> (Form, Expr) {
    let wrapped = forms
        .iter()
        .find_map(|(name, form)| Some((*form, expr.wrapped_in(name)?)));
    wrapped.unwrap_or_else(|| (Form::Given, expr.clone()))
}

fn io(expr: &Expr) -> Result<Io> {
    Ok(match expr.tokens().to_string().trim_matches('"') {
        "input" => Io::INPUT,
        "output" => Io::OUTPUT,
        "both" => Io::BOTH,
        "none" => Io::NONE,
        _ => {
            return Err(Error::over(
                expr.tokens(),
                "expected one of `\"input\"`, `\"output\"`, `\"both\"`, `\"none\"`",
            ));
        }
    })
}

fn pairs(entry: Entry, example: &str) -> Result<Vec<Tag>> {
    match entry.value {
        Value::List(list) => tags::parse(list.stream(), list.span()),
        _ => Err(Error::at(
            entry.key.span(),
            format!("`{}` needs a list: `{example}`", entry.key),
        )),
    }
}

/// Says which options there are, and which of them was probably meant.
fn unknown_option(unknown: &str) -> String {
    let hint = match unknown {
        "error" | "errors" => Some("errors are `err`, `err = false`, `err(handled)`"),
        "model" => Some("the model is `model_name`"),
        "provider" => Some("the provider is `model_provider`"),
        "capture" | "ret" | "args" => Some("`io = \"both\"` captures arguments and result"),
        "agent_service" => Some("it is written `ml_app`"),
        "service" | "resource" | "kind" => {
            Some("add `#[trace(…)]` for options of the trace's span")
        }
        _ => None,
    };
    super::unknown_option(unknown, hint, OPTIONS)
}
