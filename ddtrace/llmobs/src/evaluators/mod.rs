//! Evaluators that run inside the program: feature `evaluators`.
//!
//! Each is an [`Evaluator`], for experiments as for spans: [`register`] has one look at every call of a model that ends here.
//! That happens on a thread of its own, which waits for nobody's request: what does not fit into its queue is dropped, and
//! `DD_LLMOBS_EVALUATOR_SAMPLING_RULES` says for which share of the calls, by label and span name, it is done at all.
//!
//! All of these are functions of the answer, except [`LlmJudge`], which asks a model through a trait: which client it uses is the
//! program's choice.
//!
//! Source: dd-trace-py `ddtrace/llmobs/_evaluators`; `spec/llmobs.md` §17.

mod judge;
mod runner;
mod text;

pub use judge::{JudgeClient, LlmJudge, StructuredOutput};
pub(crate) use runner::consider;
pub use runner::register;
pub use text::{
    Count, JsonCheck, Length, Matching, RegexMatch, SemanticSimilarity, StringCheck,
    StringOperation,
};

use crate::Assessment;
use crate::experiments::{BoxError, BoxFuture, EvaluatorResult, Outcome};

/// A result that is there already.
fn ready(result: Result<EvaluatorResult, BoxError>) -> BoxFuture<Result<Outcome, BoxError>> {
    Box::pin(std::future::ready(result.map(Outcome::from)))
}

fn passed(is_good: bool) -> EvaluatorResult {
    EvaluatorResult::new(is_good).assessment(assessment(is_good))
}

fn assessment(is_good: bool) -> Assessment {
    if is_good {
        Assessment::Pass
    } else {
        Assessment::Fail
    }
}
