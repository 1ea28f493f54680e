//! LLM Observability: what a program asks of language models, what they answer, and what happens around it.
//!
//! Spans of kinds (a call of a model, an agent, a tool, a retrieval, …) with what went in, what came out, the numbers of tokens and what
//! they cost. They are spans of tracing as well, so they stand in the same traces as requests and queries. With `DD_LLMOBS_ENABLED=true`:
//!
//! ```
//! use ddtrace_llmobs::{self as llmobs, Annotation, Kind, Message};
//!
//! let mut workflow = llmobs::span(Kind::Workflow).name("answer").session_id("s-1").start();
//! let _active = workflow.enter();
//!
//! let call = llmobs::span(Kind::Llm).model("gpt-4o", "openai").start();
//! // … the call itself …
//! call.annotate(
//!     Annotation::new()
//!         .input(Message::new("user", "How far is the moon?"))
//!         .output(Message::new("assistant", "384,400 km on average."))
//!         .metric("input_tokens", 6)
//!         .metric("output_tokens", 9),
//! )?;
//! call.finish();
//! # Ok::<(), llmobs::AnnotateError>(())
//! ```
//!
//! Calls of models that go through a client with an integration (reqwest, async-openai, rig) are such spans by themselves: OpenAI and whatever
//! speaks its API, Anthropic, Gemini, Ollama, Bedrock, streams included. Nothing is added to a request. `DD_TRACE_OPENAI_ENABLED=false` leaves those of
//! one provider out (`ANTHROPIC`, `GOOGLE_GENAI`, `OLLAMA`, `BEDROCK`).
//!
//! Libraries that write OpenTelemetry's attributes for generative AI (`gen_ai.*`), or the kinds of OpenInference and Traceloop, on spans of `tracing` or
//! OpenTelemetry need nothing but the bridge: their spans are spans of this product, and a request below one, for the same model, is not told twice.
//!
//! ```text
//!   span, attributes, integrations ──> node (place among others, handed down by core)
//!            │                         record (what was said) ── hangs on the span of tracing
//!            │                                  │
//!            │        on the worker, when the span is sent: deferred answers, links, processor
//!            │                                  │
//!            │                  event ──┬── on the trace, as structured data
//!            │                          └── queue ──> writer ──> agent's proxy, or the intake
//!   evaluations, feedback ─────────────────> queue
//! ```
//!
//! What holds always:
//!
//! * The caller's thread keeps values; everything else, encoding and the processor included, happens on the worker.
//! * An event leaves once, on one of the two ways, and the span says which.
//! * Everything is bounded: events and bytes that wait, one event, one request, open calls of tools. What does not fit is counted.
//! * A panic in what the program hands in (a processor, an evaluator, a deferred answer) ends there.
//! * The trace has an id of its own, a decision of its own, and travels to other services on tracing's headers.

mod annotation;
mod bridged;
mod capture;
mod current;
mod distributed;
mod evaluation;
#[cfg(feature = "evaluators")]
pub mod evaluators;
mod event;
pub mod experiments;
#[cfg(test)]
mod golden_tests;
#[doc(hidden)]
pub mod instrument;
mod json_text;
mod kind;
mod links;
mod model;
mod msgpack;
mod node;
mod processor;
pub mod prompts;
mod propagation;
mod providers;
mod queue;
mod record;
mod route;
mod said;
mod sampling;
mod settings;
mod span;
#[cfg(test)]
mod span_tests;
mod switch;
mod telemetry;
pub mod test_support;
#[cfg(test)]
mod testing;
mod transport;
mod within;
mod writer;

pub use annotation::{AnnotateError, Annotation};
pub use current::{AnnotationContext, annotation_context};
pub use distributed::{
    DistributedContext, activate_distributed_headers, inject_distributed_headers,
};
pub use evaluation::{
    Assessment, Evaluation, EvaluationError, Feedback, FeedbackTarget, Metric, Scope, Submitter,
    Target,
};
pub use kind::Kind;
pub use model::{
    Agent, AgentTool, ChatItem, Content, Document, Media, Message, PlaceholderType, Prompt,
    ToolCall, ToolDefinition, ToolResult,
};
pub use processor::{ProcessedSpan, Processor};
#[doc(hidden)]
pub use providers::decode;
pub use settings::{Options, Settings};
pub use span::{Ending, ExportedSpan, Handle, LlmSpan, SpanBuilder, Start, mark_active};
pub use switch::{EnableError, disable, enable, flush, is_on, register_processor, settings};
pub use transport::CallError;

/// Describes a span of a kind.
pub fn span(kind: Kind) -> SpanBuilder {
    SpanBuilder::new(kind)
}

/// The nearest open span of this product in this flow of work. Spans of tracing in between change nothing.
pub fn current() -> Option<Handle> {
    if !is_on() {
        return None;
    }
    current::get().map(Handle)
}

/// Says something about the nearest open span.
pub fn annotate(annotation: Annotation) -> Result<(), AnnotateError> {
    if !is_on() {
        switch::warn_that_it_is_off();
        return Ok(());
    }
    match current() {
        Some(span) => span.annotate(annotation),
        None => {
            telemetry::annotated_nothing();
            Err(AnnotateError::NoActiveSpan)
        }
    }
}

/// Has the worker send what there is, without blocking whoever awaits it.
pub(crate) async fn worker_flush() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let flush = move || {
        let _ = tell.send(flush());
    };
    if std::thread::Builder::new()
        .name("ddtrace-flush".into())
        .spawn(flush)
        .is_ok()
    {
        let _ = told.await;
    }
}
