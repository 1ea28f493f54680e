//! What is thought of an answer, and by whom.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::evaluation::Assessment;

/// Why a task or an evaluator could not do its work.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A future of a task or an evaluator.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What an evaluator looks at: one row with its answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EvaluatorContext {
    /// What went in.
    pub input: Value,
    /// What came out; null if the task has failed.
    pub output: Value,
    /// What should have come out.
    pub expected_output: Value,
    /// The row's metadata, and the experiment's configuration as `experiment_config`.
    pub metadata: Map<String, Value>,
    /// The row's span.
    pub span_id: String,
    /// Its trace.
    pub trace_id: String,
}

impl EvaluatorContext {
    /// A row by its answer, for evaluators that are used without an experiment.
    pub fn new(
        input: impl Into<Value>,
        output: impl Into<Value>,
        expected_output: impl Into<Value>,
    ) -> Self {
        Self {
            input: input.into(),
            output: output.into(),
            expected_output: expected_output.into(),
            ..Self::default()
        }
    }
}

/// What a summary evaluator looks at: whole columns.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SummaryContext {
    /// What went in, row by row.
    pub inputs: Vec<Value>,
    /// What came out.
    pub outputs: Vec<Value>,
    /// What should have come out.
    pub expected_outputs: Vec<Value>,
    /// Metadata.
    pub metadata: Vec<Map<String, Value>>,
    /// What evaluators thought, by their labels.
    pub evaluations: BTreeMap<String, Vec<Value>>,
}

/// What an evaluator thinks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvaluatorResult {
    /// A number, yes or no, a word, or an object.
    pub value: Value,
    /// Why.
    pub reasoning: Option<String>,
    /// Whether that is good enough.
    pub assessment: Option<Assessment>,
    /// What else there is to know.
    pub metadata: Map<String, Value>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it comes from the backend, and what that says about it.
    pub(crate) managed: Option<String>,
}

impl EvaluatorResult {
    /// A result by its value.
    pub fn new(value: impl Into<Value>) -> Self {
        Self {
            value: value.into(),
            ..Self::default()
        }
    }

    /// Says why.
    #[must_use]
    pub fn reasoning(mut self, reasoning: impl Into<String>) -> Self {
        self.reasoning = Some(reasoning.into());
        self
    }

    /// Says whether that is good enough.
    #[must_use]
    pub fn assessment(mut self, assessment: Assessment) -> Self {
        self.assessment = Some(assessment);
        self
    }
}

/// All that one evaluator thinks of one row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// One thing, under the evaluator's name.
    One(EvaluatorResult),
    /// Several, each under a name of its own.
    Several {
        /// They.
        results: Vec<(String, EvaluatorResult)>,
        /// Whether the evaluator's name stands before theirs: `evaluator-name`.
        with_prefix: bool,
    },
}

impl Outcome {
    /// Several results, labelled `evaluator-name`.
    pub fn several<N: Into<String>, R: Into<EvaluatorResult>>(
        results: impl IntoIterator<Item = (N, R)>,
    ) -> Self {
        let results = results
            .into_iter()
            .map(|(name, result)| (name.into(), result.into()));
        Self::Several {
            results: results.collect(),
            with_prefix: true,
        }
    }

    pub(crate) fn labelled(self, name: &str) -> Vec<(String, EvaluatorResult)> {
        match self {
            Self::One(result) => vec![(name.to_owned(), result)],
            Self::Several {
                results,
                with_prefix,
            } => results
                .into_iter()
                .map(|(sub, result)| match with_prefix {
                    true => (format!("{name}-{sub}"), result),
                    false => (sub, result),
                })
                .collect(),
        }
    }
}

impl From<EvaluatorResult> for Outcome {
    fn from(result: EvaluatorResult) -> Self {
        Self::One(result)
    }
}

macro_rules! from_values {
    ($($type:ty),+) => {$(
        impl From<$type> for EvaluatorResult {
            fn from(value: $type) -> Self {
                Self::new(value)
            }
        }

        impl From<$type> for Outcome {
            fn from(value: $type) -> Self {
                Self::One(EvaluatorResult::new(value))
            }
        }
    )+};
}
from_values!(bool, f64, i64, &str, String, Value, Map<String, Value>);

/// Somebody who thinks something of answers.
pub trait Evaluator: Send + Sync {
    /// The label of what it thinks: letters, digits, `_` and `-`.
    fn name(&self) -> &str;

    /// Thinks about one row.
    fn evaluate(&self, context: EvaluatorContext) -> BoxFuture<Result<Outcome, BoxError>>;
}

/// An evaluator that is a function. An error of it is an error of the row.
///
/// ```
/// use ddtrace_llmobs::experiments::{EvaluatorContext, evaluator};
///
/// let exact = evaluator("exact", |row: &EvaluatorContext| Ok(row.output == row.expected_output));
/// # let _ = exact;
/// ```
pub fn evaluator<F, R>(name: impl Into<String>, function: F) -> Arc<dyn Evaluator>
where
    F: Fn(&EvaluatorContext) -> Result<R, BoxError> + Send + Sync + 'static,
    R: Into<Outcome>,
{
    let function = move |context: EvaluatorContext| -> BoxFuture<Result<Outcome, BoxError>> {
        let result = function(&context).map(Into::into);
        Box::pin(std::future::ready(result))
    };
    Arc::new(Function {
        name: name.into(),
        function,
    })
}

/// An evaluator that is an asynchronous function.
pub fn async_evaluator<F, T, R>(name: impl Into<String>, function: F) -> Arc<dyn Evaluator>
where
    F: Fn(EvaluatorContext) -> T + Send + Sync + 'static,
    T: Future<Output = Result<R, BoxError>> + Send + 'static,
    R: Into<Outcome>,
{
    let function = move |context| -> BoxFuture<Result<Outcome, BoxError>> {
        let future = function(context);
        Box::pin(async move { future.await.map(Into::into) })
    };
    Arc::new(Function {
        name: name.into(),
        function,
    })
}

struct Function<F> {
    name: String,
    function: F,
}

impl<F> Evaluator for Function<F>
where
    F: Fn(EvaluatorContext) -> BoxFuture<Result<Outcome, BoxError>> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn evaluate(&self, context: EvaluatorContext) -> BoxFuture<Result<Outcome, BoxError>> {
        (self.function)(context)
    }
}
