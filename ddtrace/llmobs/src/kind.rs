//! What a span of a language-model program does.

use std::fmt;

/// The kinds of span that the product knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A call of a language model.
    Llm,
    /// Steps in an order that the program decides.
    Workflow,
    /// Steps in an order that a model decides.
    Agent,
    /// A call of something outside, often because a model asked for it.
    Tool,
    /// A step by itself that calls nothing outside.
    Task,
    /// A call that makes vectors of texts.
    Embedding,
    /// A look into a store of knowledge.
    Retrieval,
    /// A row of an experiment.
    Experiment,
}

impl Kind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Workflow => "workflow",
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Task => "task",
            Self::Embedding => "embedding",
            Self::Retrieval => "retrieval",
            Self::Experiment => "experiment",
        }
    }

    /// The kind that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        const ALL: [Kind; 8] = [
            Kind::Llm,
            Kind::Workflow,
            Kind::Agent,
            Kind::Tool,
            Kind::Task,
            Kind::Embedding,
            Kind::Retrieval,
            Kind::Experiment,
        ];
        ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether a model stands behind it, so that model, provider and tokens mean something.
    pub(crate) fn has_model(self) -> bool {
        matches!(self, Self::Llm | Self::Embedding)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
