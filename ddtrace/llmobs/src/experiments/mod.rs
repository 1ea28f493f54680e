//! Experiments: the same task over every row of a dataset, and what is thought of its answers.
//!
//! * [`Dataset`]: the rows, kept by the backend.
//! * [`Experiment`]: the task, who looks at its answers, and how it is run.
//! * [`ExperimentResult`]: what came of it, as values, as a table, and as a JUnit file by which CI can stop.
//!
//! Everything here needs `DD_APP_KEY`, or an agent that has one, and a tracer that runs; nothing here is in the way of a program's
//! requests. Futures of this module run anywhere: [`wait`] waits for them without a runtime.

mod api;
mod csv;
mod dataset;
mod evaluator;
mod experiment;
mod result;
mod several;

use std::collections::BTreeMap;
use std::sync::Arc;

use ddtrace_core::trace::Context;

use crate::node::Node;

pub(crate) use api::quoted;
pub use api::{ApiError, Project, SpanSearch, search_spans, wait};
pub use dataset::{Dataset, Push, Record, RecordUpdate};
pub use evaluator::{
    BoxError, BoxFuture, Evaluator, EvaluatorContext, EvaluatorResult, Outcome, SummaryContext,
    async_evaluator, evaluator,
};
pub use experiment::Experiment;
pub use result::{ExperimentResult, Failure, Judgement, Row, Run};

/// What travels as baggage, and the tags that it becomes.
pub(crate) const BAGGAGE: [(&str, &str); 8] = [
    ("_ml_obs.experiment_id", "experiment_id"),
    ("_ml_obs.experiment_run_id", "run_id"),
    ("_ml_obs.experiment_run_iteration", "run_iteration"),
    ("_ml_obs.experiment_dataset_name", "dataset_name"),
    ("_ml_obs.experiment_dataset_id", "dataset_id"),
    ("_ml_obs.experiment_project_id", "project_id"),
    ("_ml_obs.experiment_project_name", "project_name"),
    ("_ml_obs.experiment_name", "experiment_name"),
];

/// The experiment that a span is part of because a service that called says so.
pub(crate) fn of_baggage(
    parent: Option<&Arc<Node>>,
    place: &Context,
) -> Option<Arc<BTreeMap<String, String>>> {
    if parent.is_some() {
        // It inherits what its parent has.
        return None;
    }
    let baggage = place.baggage();
    baggage.get(BAGGAGE[0].0)?;
    let tags = BAGGAGE
        .iter()
        .filter_map(|(key, tag)| Some(((*tag).to_owned(), baggage.get(key)?.to_owned())));
    Some(Arc::new(tags.collect()))
}

/// Where people look at things: the page of the site that is set.
pub(crate) fn page() -> String {
    let site = crate::switch::peek()
        .as_ref()
        .map(|running| running.settings.site.clone());
    match site.as_deref() {
        None | Some("datadoghq.com") => "https://app.datadoghq.com".to_owned(),
        Some(site @ ("datadoghq.eu" | "ddog-gov.com")) => format!("https://app.{site}"),
        Some("datad0g.com") => "https://dd.datad0g.com".to_owned(),
        Some(site) => format!("https://{site}"),
    }
}
