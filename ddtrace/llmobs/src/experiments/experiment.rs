//! Running an experiment.
//!
//! Rows are worked on several at a time, on whatever runtime the caller awaits [`Experiment::run`], in one task of it. Every row is a
//! span of kind `experiment` with the tags of the experiment, which spans under it have as well, also in other services. Then
//! evaluators look at every answer, then summary evaluators at all of them, and what they think is sent.
//!
//! Source: dd-trace-py `ddtrace/llmobs/_experiment.py` (`Experiment`); `spec/llmobs.md` §16.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Map, Value, json};

use super::api::{Api, ApiError, text_at};
use super::dataset::{Dataset, Record, new_id};
use super::evaluator::{BoxError, BoxFuture, Evaluator, EvaluatorContext, Outcome, SummaryContext};
use super::result::{ExperimentResult, Failure, Judgement, Row, Run};
use super::several::{guarded, several};
use crate::annotation::Annotation;
use crate::evaluation::now;
use crate::kind::Kind;
use crate::model::Content;
use crate::span::SpanBuilder;
use crate::writer::{envelope, pause};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Judgements in one request.
const BATCH: usize = 500;

type Task = dyn Fn(Record, Value) -> BoxFuture<Result<Value, BoxError>> + Send + Sync;
type Summary = dyn Fn(&SummaryContext) -> Result<Outcome, BoxError> + Send + Sync;

/// An experiment, to be described and [run](Self::run).
///
/// ```no_run
/// use ddtrace_llmobs::experiments::{BoxError, Dataset, EvaluatorContext, Experiment, Record, evaluator};
///
/// # async fn ask(question: &str) -> Result<String, BoxError> { Ok(question.to_owned()) }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let dataset = Dataset::pull("capitals", None, None, &[]).await?;
/// let result = Experiment::new("capitals with a short prompt", &dataset)
///     .task("answer", |row: Record, _config| async move { ask(row.input.as_str().unwrap_or_default()).await })
///     .evaluator(evaluator("exact", |row: &EvaluatorContext| Ok(row.output == row.expected_output)))
///     .summary("accuracy", |all| {
///         let exact = &all.evaluations["exact"];
///         let right = exact.iter().filter(|value| **value == true).count();
///         Ok(right as f64 / exact.len() as f64)
///     })
///     .run()
///     .await?;
/// println!("{result}");
/// # Ok(())
/// # }
/// ```
#[must_use = "an experiment does nothing before it is run"]
pub struct Experiment<'a> {
    name: String,
    dataset: &'a Dataset,
    description: String,
    project: Option<String>,
    config: Value,
    tags: BTreeMap<String, String>,
    task: Option<(String, Arc<Task>)>,
    evaluators: Vec<Arc<dyn Evaluator>>,
    summaries: Vec<(String, Arc<Summary>)>,
    jobs: usize,
    runs: usize,
    sample_size: Option<usize>,
    max_retries: u32,
    raises_errors: bool,
    shows_progress: bool,
}

impl std::fmt::Debug for Experiment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Experiment")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What is the same for all rows of a run.
struct Setting {
    experiment_id: String,
    project_id: String,
    run_id: String,
    iteration: usize,
}

impl<'a> Experiment<'a> {
    /// An experiment by its name, over a dataset.
    pub fn new(name: impl Into<String>, dataset: &'a Dataset) -> Self {
        Self {
            name: name.into(),
            dataset,
            description: String::new(),
            project: None,
            config: json!({}),
            tags: BTreeMap::new(),
            task: None,
            evaluators: Vec::new(),
            summaries: Vec::new(),
            jobs: 10,
            runs: 1,
            sample_size: None,
            max_retries: 0,
            raises_errors: false,
            shows_progress: std::io::stderr().is_terminal(),
        }
    }

    /// Says what is done with every row: a function of the row and the configuration.
    pub fn task<F, T, V>(mut self, name: impl Into<String>, task: F) -> Self
    where
        F: Fn(Record, Value) -> T + Send + Sync + 'static,
        T: Future<Output = Result<V, BoxError>> + Send + 'static,
        V: Into<Value>,
    {
        let task = move |record, config| -> BoxFuture<Result<Value, BoxError>> {
            let future = task(record, config);
            Box::pin(async move { future.await.map(Into::into) })
        };
        self.task = Some((name.into(), Arc::new(task)));
        self
    }

    /// Adds somebody who looks at every answer.
    pub fn evaluator(mut self, evaluator: Arc<dyn Evaluator>) -> Self {
        self.evaluators.push(evaluator);
        self
    }

    /// Adds somebody who looks at all answers at once.
    pub fn summary<F, R>(mut self, name: impl Into<String>, function: F) -> Self
    where
        F: Fn(&SummaryContext) -> Result<R, BoxError> + Send + Sync + 'static,
        R: Into<Outcome>,
    {
        let function = move |context: &SummaryContext| function(context).map(Into::into);
        self.summaries.push((name.into(), Arc::new(function)));
        self
    }

    /// Says what it is about.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Says which project it belongs to; without, the one that is set.
    pub fn project(mut self, name: impl Into<String>) -> Self {
        self.project = Some(name.into());
        self
    }

    /// Gives the task a configuration, which is kept with the experiment: model, temperature, …
    pub fn config(mut self, config: impl Into<Value>) -> Self {
        self.config = config.into();
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// How many rows are worked on at a time; 10.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// How often all rows are gone through; once.
    pub fn runs(mut self, runs: usize) -> Self {
        self.runs = runs.max(1);
        self
    }

    /// Takes the first rows only.
    pub fn sample_size(mut self, rows: usize) -> Self {
        self.sample_size = Some(rows);
        self
    }

    /// How often a task or evaluator that fails is tried again, 0.1 s later, then 0.2 s, …; never.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Has the experiment end with the first error, instead of going on with the other rows.
    pub fn raise_errors(mut self, raise: bool) -> Self {
        self.raises_errors = raise;
        self
    }

    /// Whether a line on standard error says how far it is; by default if that is a terminal.
    pub fn progress(mut self, show: bool) -> Self {
        self.shows_progress = show;
        self
    }

    /// [`run`](Self::run) for programs without a runtime. A task that needs one has to be awaited on it.
    pub fn run_blocking(self) -> Result<ExperimentResult, ApiError> {
        super::wait(self.run())
    }

    /// Runs it. What goes wrong in rows is in the result; an error means that there is none.
    pub async fn run(self) -> Result<ExperimentResult, ApiError> {
        let Some((task_name, _)) = &self.task else {
            return Err(ApiError::Invalid("expected a task".into()));
        };
        for name in self
            .evaluators
            .iter()
            .map(|it| it.name())
            .chain(self.summaries.iter().map(|(name, _)| &**name))
        {
            let is_fine = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
            if name.is_empty() || !name.chars().all(is_fine) {
                let what = format!(
                    "expected letters, digits, `_` and `-` in the name of an evaluator, found {name}"
                );
                return Err(ApiError::Invalid(what));
            }
        }
        let api = Api::new()?;
        let project = api.project(self.project.as_deref()).await?;
        let mut tags = self.tags.clone();
        tags.insert("project_id".into(), project.id.clone());
        tags.insert("dataset_name".into(), self.dataset.name.clone());
        let listed: Vec<_> = tags
            .iter()
            .map(|(key, value)| format!("{key}:{value}"))
            .collect();
        let body = envelope(
            "experiments",
            json!({
                "name": self.name, "description": self.description, "dataset_id": self.dataset.id(),
                "project_id": project.id, "dataset_version": self.dataset.version(), "config": self.config,
                "metadata": { "tags": listed }, "ensure_unique": true, "run_count": self.runs,
            }),
        );
        const WHAT: &str = "new experiment";
        let answer = api
            .post(WHAT, "/api/unstable/llm-obs/v1/experiments", body)
            .await?;
        let id = text_at(WHAT, &answer, "/data/id", "an id")?;
        tags.insert("experiment_id".into(), id.clone());
        let mut under_way = UnderWay {
            id: id.clone(),
            is_over: false,
        };
        set_status(&api, &id, "running", None).await;
        let mut result = ExperimentResult {
            id: id.clone(),
            name: self.name.clone(),
            task: task_name.clone(),
            runs: Vec::new(),
            url: format!("{}/llm/experiments/{id}", super::page()),
        };
        for iteration in 1..=self.runs {
            let setting = Setting {
                experiment_id: id.clone(),
                project_id: project.id.clone(),
                run_id: new_id(),
                iteration,
            };
            let run = match self.run_once(&setting, &tags).await {
                Ok(run) => run,
                Err(error) => {
                    under_way.is_over = true;
                    set_status(&api, &id, "failed", Some(error.to_string())).await;
                    return Err(error);
                }
            };
            self.send(&api, &id, &tags, &run).await?;
            result.runs.push(run);
        }
        crate::worker_flush().await;
        under_way.is_over = true;
        match result.error_summary() {
            None => set_status(&api, &id, "completed", None).await,
            Some(text) => set_status(&api, &id, "failed", Some(text)).await,
        }
        Ok(result)
    }

    async fn run_once(
        &self,
        setting: &Setting,
        tags: &BTreeMap<String, String>,
    ) -> Result<Run, ApiError> {
        let began = Instant::now();
        let limit = self.sample_size.unwrap_or(usize::MAX);
        let records: Vec<_> = self.dataset.records().iter().take(limit).collect();
        let done = AtomicUsize::new(0);
        let progress = |is_last: bool| {
            if self.shows_progress {
                let (done, all) = (done.load(Ordering::Relaxed), records.len());
                let end = if is_last { "\n" } else { "" };
                let mut out = std::io::stderr().lock();
                let _ = write!(out, "\r{}: {done} of {all} rows{end}", self.name);
            }
        };
        let rows = records.iter().enumerate().map(|(index, record)| {
            let done = &done;
            async move {
                let mut row = self.work(setting, tags, index, record).await;
                row.judgements = self.judge(record, &row).await;
                done.fetch_add(1, Ordering::Relaxed);
                row
            }
        });
        let rows = several(rows.collect(), self.jobs, || progress(false)).await;
        progress(true);
        let mut run = Run {
            id: setting.run_id.clone(),
            iteration: setting.iteration,
            rows,
            summaries: Vec::new(),
            took: began.elapsed(),
        };
        if self.raises_errors {
            if let Some(failure) = run.first_failure() {
                return Err(ApiError::Invalid(failure));
            }
        }
        run.summaries = self.summarise(&run);
        run.took = began.elapsed();
        Ok(run)
    }

    /// Does the task for one row.
    async fn work(
        &self,
        setting: &Setting,
        tags: &BTreeMap<String, String>,
        index: usize,
        record: &Record,
    ) -> Row {
        let Some((task_name, task)) = self.task.clone() else {
            return Row::default();
        };
        let experiment = BTreeMap::from(
            [
                ("experiment_id", setting.experiment_id.clone()),
                ("run_id", setting.run_id.clone()),
                ("run_iteration", setting.iteration.to_string()),
                ("dataset_name", self.dataset.name.clone()),
                ("dataset_id", self.dataset.id().to_owned()),
                ("project_id", setting.project_id.clone()),
                ("experiment_name", self.name.clone()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        let mut builder = SpanBuilder::new(Kind::Experiment).name(task_name.clone());
        builder.expected_output = record.expected_output.clone();
        builder.config = Some(self.config.clone()).filter(|config| config != &json!({}));
        builder.experiment = Some(Arc::new(experiment.clone()));
        let mut span = builder.root().start();
        for (key, tag) in super::BAGGAGE {
            if let Some(value) = experiment.get(tag) {
                span.apm().set_baggage(key, value);
            }
        }
        let exported = span.export().unwrap_or_default();
        let context = span.context();
        let mut own = tags.clone();
        own.insert("dataset_record_id".into(), record.record_id.clone());
        if let Some(id) = &record.canonical_id {
            own.insert("dataset_record_canonical_id".into(), id.clone());
        }
        let of_record = record.tags.iter().filter_map(|tag| tag.split_once(':'));
        own.extend(of_record.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let (started, began) = (now(), Instant::now());
        let attempt = || {
            context
                .clone()
                .wrap(guarded(task(record.clone(), self.config.clone())))
        };
        let (result, retries) = self.again(attempt).await;
        if retries > 0 {
            own.insert("retries".into(), retries.to_string());
        }
        let mut said = Annotation::new().input(Content::from(record.input.clone()));
        for (key, value) in own {
            said = said.tag(key, value);
        }
        for (key, value) in record.metadata.iter().flatten() {
            said = said.metadata(key, value.clone());
        }
        let mut row = Row {
            index,
            span_id: exported.span_id,
            trace_id: exported.trace_id,
            timestamp_ms: started,
            duration: began.elapsed(),
            input: record.input.clone(),
            expected_output: record.expected_output.clone().unwrap_or_default(),
            ..Row::default()
        };
        match result {
            Ok(output) => {
                said = said.output(Content::from(output.clone()));
                row.output = output;
            }
            Err(failure) => {
                span.set_error(&failure.kind, &failure.message, None);
                row.error = Some(failure);
            }
        }
        let _ = span.annotate(said);
        span.finish();
        row
    }

    /// Has all evaluators look at one answer.
    async fn judge(&self, record: &Record, row: &Row) -> Vec<Judgement> {
        let mut metadata = record.metadata.clone().unwrap_or_default();
        metadata.insert("experiment_config".into(), self.config.clone());
        let mut all: Vec<Judgement> = Vec::new();
        for evaluator in &self.evaluators {
            let attempt = || {
                guarded(evaluator.evaluate(EvaluatorContext {
                    input: row.input.clone(),
                    output: row.output.clone(),
                    expected_output: row.expected_output.clone(),
                    metadata: metadata.clone(),
                    span_id: row.span_id.clone(),
                    trace_id: row.trace_id.clone(),
                }))
            };
            let (result, _) = self.again(attempt).await;
            for judgement in judgements(evaluator.name(), result) {
                // The last one of a label counts, as in the reference.
                all.retain(|other| other.label != judgement.label);
                all.push(judgement);
            }
        }
        all
    }

    /// Tries until it works, or was tried often enough. Gives the number of failures before.
    async fn again<T, F>(&self, attempt: impl Fn() -> F) -> (Result<T, Failure>, u32)
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut failed = 0;
        loop {
            let result = attempt().await;
            if result.is_ok() || failed == self.max_retries {
                return (result, failed);
            }
            pause(Duration::from_millis(100) * (failed + 1)).await;
            failed += 1;
        }
    }

    fn summarise(&self, run: &Run) -> Vec<Judgement> {
        let mut context = SummaryContext::default();
        for row in &run.rows {
            let record = &self.dataset.records()[row.index];
            let mut metadata = record.metadata.clone().unwrap_or_default();
            metadata.insert("experiment_config".into(), self.config.clone());
            context.inputs.push(row.input.clone());
            context.outputs.push(row.output.clone());
            context.expected_outputs.push(row.expected_output.clone());
            context.metadata.push(metadata);
            for judgement in &row.judgements {
                let column = context
                    .evaluations
                    .entry(judgement.label.clone())
                    .or_default();
                column.push(judgement.result.value.clone());
            }
        }
        let summaries = self.summaries.iter().flat_map(|(name, function)| {
            let result = catch_unwind(AssertUnwindSafe(|| function(&context)));
            let result = match result {
                Ok(result) => result.map_err(|error| Failure::of(&error)),
                Err(_) => Err(Failure::panicked()),
            };
            judgements(name, result)
        });
        summaries.collect()
    }

    /// Sends what was thought.
    async fn send(
        &self,
        api: &Api,
        id: &str,
        tags: &BTreeMap<String, String>,
        run: &Run,
    ) -> Result<(), ApiError> {
        let last = run
            .rows
            .iter()
            .map(|row| row.timestamp_ms)
            .max()
            .unwrap_or_default();
        let of_rows = run.rows.iter().flat_map(|row| {
            let judgements = row.judgements.iter();
            judgements
                .map(|it| it.metric("custom", id, &row.span_id, &row.trace_id, row.timestamp_ms))
        });
        let of_all = run
            .summaries
            .iter()
            .map(|it| it.metric("summary", id, "", "", last));
        let metrics: Vec<Value> = of_rows.chain(of_all).collect();
        let mut tags: Vec<_> = tags
            .iter()
            .map(|(key, value)| format!("{key}:{value}"))
            .collect();
        tags.push(format!("run_id:{}", run.id));
        tags.push(format!("run_iteration:{}", run.iteration));
        let path = format!("/api/unstable/llm-obs/v1/experiments/{id}/events");
        for metrics in metrics.chunks(BATCH) {
            let attributes = json!({ "scope": "experiments", "metrics": metrics, "tags": tags });
            let body = envelope("experiments", attributes);
            let call = api.call(
                "results of an experiment",
                &[200, 202],
                Method::POST,
                &path,
                Some(body),
                TIMEOUT,
            );
            call.await?;
        }
        Ok(())
    }
}

/// What came of one evaluator.
fn judgements(name: &str, result: Result<Outcome, Failure>) -> Vec<Judgement> {
    match result {
        Ok(outcome) => outcome
            .labelled(name)
            .into_iter()
            .map(|(label, result)| Judgement {
                label,
                result,
                error: None,
            })
            .collect(),
        Err(error) => vec![Judgement {
            label: name.to_owned(),
            error: Some(error),
            ..Judgement::default()
        }],
    }
}

/// Says how an experiment is. That nobody hears it is no reason to lose its results.
async fn set_status(api: &Api, id: &str, status: &str, error: Option<String>) {
    let mut attributes = Map::from_iter([("status".to_owned(), json!(status))]);
    if let Some(error) = error {
        attributes.insert("error".into(), error.into());
    }
    let path = format!("/api/unstable/llm-obs/v1/experiments/{id}");
    let body = envelope("experiments", attributes.into());
    let call = api.call(
        "status of an experiment",
        &[200],
        Method::PATCH,
        &path,
        Some(body),
        TIMEOUT,
    );
    if let Err(error) = call.await {
        ddtrace_core::diagnostics::debug(format_args!("{error}"));
    }
}

/// An experiment that has begun. One that is given up half-way, because its future is dropped, says so.
struct UnderWay {
    id: String,
    is_over: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let id = std::mem::take(&mut self.id);
        let tell = move || {
            if let Ok(api) = Api::new() {
                super::wait(set_status(&api, &id, "interrupted", None));
            }
        };
        // Nobody waits for it.
        let _ = std::thread::Builder::new()
            .name("ddtrace-experiment".into())
            .spawn(tell);
    }
}
