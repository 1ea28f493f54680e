//! The keys that are known, and what says which kind a span is of.
//!
//! Sources: `spec/llmobs.md` §18; OpenTelemetry's semantic conventions for generative AI.

use ddtrace_core::events::Attribute;

use crate::kind::Kind;

/// A key that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Operation,
    OpenInferenceKind,
    TraceloopKind,
    RequestModel,
    ResponseModel,
    Provider,
    /// What `Provider` was called before.
    System,
    InputTokens,
    OutputTokens,
    CacheReadTokens,
    CacheWriteTokens,
    ReasoningTokens,
    FinishReasons,
    TimeToFirstChunk,
    InputMessages,
    OutputMessages,
    SystemInstructions,
    ToolDefinitions,
    Conversation,
    ToolName,
    ToolCallId,
    ToolCallArguments,
    ToolCallResult,
}

impl Key {
    /// The key that a text is.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        // Most keys of most spans are none of these.
        let Some(name) = key.strip_prefix("gen_ai.") else {
            return match key {
                "openinference.span.kind" => Some(Self::OpenInferenceKind),
                "traceloop.span.kind" => Some(Self::TraceloopKind),
                _ => None,
            };
        };
        Some(match name {
            "operation.name" => Self::Operation,
            "request.model" => Self::RequestModel,
            "response.model" => Self::ResponseModel,
            "provider.name" => Self::Provider,
            "system" => Self::System,
            "usage.input_tokens" => Self::InputTokens,
            "usage.output_tokens" => Self::OutputTokens,
            "usage.cache_read.input_tokens" => Self::CacheReadTokens,
            "usage.cache_creation.input_tokens" => Self::CacheWriteTokens,
            // The second is rig's.
            "usage.reasoning.output_tokens" | "usage.reasoning_tokens" => Self::ReasoningTokens,
            "response.finish_reasons" => Self::FinishReasons,
            "response.time_to_first_chunk" => Self::TimeToFirstChunk,
            "input.messages" => Self::InputMessages,
            "output.messages" => Self::OutputMessages,
            "system_instructions" => Self::SystemInstructions,
            "tool.definitions" => Self::ToolDefinitions,
            "conversation.id" => Self::Conversation,
            "tool.name" => Self::ToolName,
            "tool.call.id" => Self::ToolCallId,
            "tool.call.arguments" => Self::ToolCallArguments,
            "tool.call.result" => Self::ToolCallResult,
            _ => return None,
        })
    }

    /// The kind of span that this attribute makes it, if it is one that does.
    pub(crate) fn kind(self, value: Attribute<'_>) -> Option<Kind> {
        let Attribute::Text(word) = value else {
            return None;
        };
        // A text that was formatted with `Debug` is in quotes.
        let word = word.trim_matches('"').to_ascii_lowercase();
        match self {
            Self::Operation => match &*word {
                "chat" | "text_completion" | "generate_content" => Some(Kind::Llm),
                "embeddings" => Some(Kind::Embedding),
                "execute_tool" => Some(Kind::Tool),
                "invoke_agent" | "create_agent" => Some(Kind::Agent),
                "invoke_workflow" => Some(Kind::Workflow),
                _ => None,
            },
            Self::OpenInferenceKind => match &*word {
                "llm" => Some(Kind::Llm),
                "embedding" => Some(Kind::Embedding),
                "chain" => Some(Kind::Workflow),
                "retriever" => Some(Kind::Retrieval),
                "tool" => Some(Kind::Tool),
                "agent" => Some(Kind::Agent),
                "reranker" | "guardrail" | "evaluator" => Some(Kind::Task),
                _ => None,
            },
            Self::TraceloopKind => match &*word {
                "workflow" => Some(Kind::Workflow),
                "task" => Some(Kind::Task),
                "agent" => Some(Kind::Agent),
                "tool" => Some(Kind::Tool),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether spans below have to know of it when they begin.
    pub(crate) fn is_for_children(self) -> bool {
        matches!(
            self,
            Self::RequestModel
                | Self::ResponseModel
                | Self::Provider
                | Self::System
                | Self::Conversation
                | Self::ToolName
        )
    }
}
