//! `GET /api/llm/…`: traces, sessions, evaluations, prompts, experiments of LLM Observability.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::query::{Parameters, Raw};
use super::{Shared, apart};
use crate::llm::Kept;
use crate::llm::backend::{Dataset, Experiment};
use crate::llm::evaluation::{Evaluation, Target};
use crate::llm::prices::LISTED;
use crate::llm::span::{Cost, Span};
use crate::llm::traces::{Evaluations, Sums, Trace, prompts as used_prompts};

/// Characters of a text within a trace; the rest comes with its span.
const TEXT: usize = 8000;
/// Spans of one trace that are shown.
const SPANS: usize = 5000;
/// Rows of one experiment that are shown.
const ROWS: usize = 5000;
/// Evaluations of one answer.
const EVALUATIONS: usize = 500;

/// Traces, newest first.
pub(super) async fn traces(
    State(shared): State<Shared>,
    raw: Raw,
) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let limit = parameters.limit()?;
    let from: usize = parameters.number("cursor")?.unwrap_or(0);
    let only_errors = parameters.flag("error")?;
    let with_experiments = parameters.flag("experiments")?;
    let text = |name: &str| parameters.text(name).map(str::to_owned);
    let (app, session, model, prompt) = (
        text("ml_app"),
        text("session"),
        text("model"),
        text("prompt"),
    );
    let wanted = text("q").unwrap_or_default().to_lowercase();
    let shown = apart(move || {
        let rev = shared.store().lock().rev;
        let kept = shared.llm().lock();
        let by = Evaluations::of_all(&kept);
        let mut all = kept.traces(&by);
        // Rows of experiments stand with their experiment.
        all.retain(|trace| with_experiments || trace.root.kind != "experiment");
        let total = all.len();
        let apps: BTreeSet<&str> = all.iter().map(|trace| trace.root.ml_app.as_str()).collect();
        let is = |wanted: &Option<String>, own: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == own)
        };
        let has_text = |trace: &Trace<'_>| {
            wanted.is_empty()
                || trace.id.contains(&wanted)
                || kept
                    .of_trace(trace.id)
                    .any(|span| span.event.to_lowercase().contains(&wanted))
        };
        let matching: Vec<&Trace<'_>> = all
            .iter()
            .filter(|trace| is(&app, &trace.root.ml_app) && is(&session, trace.session_id))
            .filter(|trace| {
                model
                    .as_deref()
                    .is_none_or(|model| trace.models.contains(model))
            })
            .filter(|trace| {
                prompt
                    .as_deref()
                    .is_none_or(|id| trace.prompts.iter().any(|(own, _)| own == id))
            })
            .filter(|trace| !only_errors || trace.sums.errors > 0)
            .filter(|trace| has_text(trace))
            .collect();
        let page: Vec<Value> = matching
            .iter()
            .skip(from)
            .take(limit)
            .map(|trace| show_trace(trace))
            .collect();
        let next = (from + limit < matching.len()).then(|| (from + limit).to_string());
        json!({"rev": rev, "total": total, "matched": matching.len(), "cursor": next, "ml_apps": apps, "traces": page,
            "prices": LISTED, "evicted": kept.counts.evicted})
    });
    Ok(Json(shown.await))
}

fn show_trace(trace: &Trace<'_>) -> Value {
    let root = trace.root;
    json!({
        "id": trace.id,
        "name": root.name,
        "kind": root.kind,
        "ml_app": root.ml_app,
        "service": root.service,
        "env": root.env,
        "session": trace.session_id,
        "start": trace.start.to_string(),
        "duration": trace.duration,
        "root_missing": trace.is_root_missing,
        "apm_trace": root.apm_trace_id,
        "models": trace.models,
        "prompts": trace.prompts.iter().map(|(id, version)| json!({"id": id, "version": version})).collect::<Vec<_>>(),
        "first_token": trace.first_token,
        "input": root.input,
        "output": root.output,
        "error_text": trace.error,
        "sums": show_sums(&trace.sums),
        "evaluations": trace.evaluations.iter().take(50).map(|one| show_evaluation(one)).collect::<Vec<_>>(),
    })
}

fn show_sums(sums: &Sums) -> Value {
    json!({
        "spans": sums.spans, "errors": sums.errors, "calls": sums.calls, "tools": sums.tools,
        "input_tokens": sums.input_tokens, "output_tokens": sums.output_tokens, "total_tokens": sums.total_tokens,
        "cost": show_cost(sums.cost),
    })
}

fn show_cost(cost: Option<Cost>) -> Value {
    cost.map_or(
        Value::Null,
        |cost| json!({"usd": cost.total, "estimated": cost.is_estimated}),
    )
}

fn show_evaluation(one: &Evaluation) -> Value {
    let (trace, span) = match &one.target {
        Target::Span { trace, span } => (Some(trace), Some(span)),
        Target::Trace(trace) => (Some(trace), None),
        _ => (None, None),
    };
    json!({
        "label": one.label, "type": one.kind, "value": one.value, "assessment": one.assessment, "reasoning": one.reasoning,
        "time": one.time_ms.saturating_mul(1_000_000).to_string(), "ml_app": one.ml_app, "scope": one.scope, "tags": one.tags,
        "event": one.event, "submitter": one.submitter, "error": one.error, "trace": trace, "span": span,
        "session": match &one.target { Target::Session(session) => Some(session), _ => None },
        "tag": match &one.target { Target::Tag { key, value } => Some(format!("{key}:{value}")), _ => None },
    })
}

/// One trace with its spans, in the order of their begin.
pub(super) async fn trace(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let shown = apart(move || {
        let kept = shared.llm().lock();
        let by = Evaluations::of_all(&kept);
        let mut spans: Vec<&Span> = kept.of_trace(&id).collect();
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.duration)));
        let trace = Trace::of(&id, &spans, &by)?;
        let mut shown = show_trace(&trace);
        let more = spans.len().saturating_sub(SPANS);
        let list: Vec<Value> = spans
            .iter()
            .take(SPANS)
            .map(|span| {
                let mut shown = show_span(span, trace.start, &by);
                shown["cut"] = json!(cut(&mut shown["event"]));
                shown
            })
            .collect();
        shown["spans"] = json!(list);
        shown["more"] = json!(more);
        Some(shown)
    });
    shown
        .await
        .map(Json)
        .ok_or_else(|| ApiError::not_found("this LLM trace"))
}

fn show_span(span: &Span, begin: i64, by: &Evaluations<'_>) -> Value {
    json!({
        "span": span.span_id, "parent": span.parent_id, "name": span.name, "kind": span.kind,
        "offset": span.start.saturating_sub(begin), "duration": span.duration, "error": span.is_error, "error_text": span.error,
        "model": span.model, "provider": span.provider, "cost": show_cost(span.cost),
        "metrics": span.metrics.iter().map(|(key, value)| (key.clone(), json!(value))).collect::<Map<_, _>>(),
        "tags": span.tags, "input": span.input, "output": span.output,
        "transport": span.transport.name(), "request": span.request, "apm_trace": span.apm_trace_id,
        "evaluations": by.of(span).into_iter().take(50).map(show_evaluation).collect::<Vec<_>>(),
        "event": serde_json::from_str::<Value>(&span.event).unwrap_or_default(),
    })
}

/// Cuts long texts; says whether there was one.
fn cut(value: &mut Value) -> bool {
    match value {
        Value::String(text) => match text.char_indices().nth(TEXT) {
            Some((at, _)) => {
                text.truncate(at);
                text.push('…');
                true
            }
            None => false,
        },
        Value::Array(list) => list.iter_mut().fold(false, |any, value| cut(value) | any),
        Value::Object(map) => map.values_mut().fold(false, |any, value| cut(value) | any),
        _ => false,
    }
}

/// One span, whole.
pub(super) async fn span(
    State(shared): State<Shared>,
    Path((id, span)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let shown = apart(move || {
        let kept = shared.llm().lock();
        let by = Evaluations::of_all(&kept);
        let begin = kept.of_trace(&id).map(|span| span.start).min()?;
        let found = kept.of_trace(&id).find(|own| own.span_id == span)?;
        let mut shown = show_span(found, begin, &by);
        shown["cut"] = json!(false);
        Some(shown)
    });
    shown
        .await
        .map(Json)
        .ok_or_else(|| ApiError::not_found("this LLM span"))
}

/// Sessions, that of the newest trace first.
pub(super) async fn sessions(State(shared): State<Shared>) -> Json<Value> {
    let shown = apart(move || {
        let kept = shared.llm().lock();
        let by = Evaluations::of_all(&kept);
        let traces = kept.traces(&by);
        let mut order: Vec<(&str, &str)> = Vec::new();
        let mut sessions: BTreeMap<(&str, &str), Vec<&Trace<'_>>> = BTreeMap::new();
        for trace in traces.iter().filter(|trace| !trace.session_id.is_empty()) {
            let key = (trace.session_id, trace.root.ml_app.as_str());
            let list = sessions.entry(key).or_insert_with(|| {
                order.push(key);
                Vec::new()
            });
            list.push(trace);
        }
        let shown: Vec<Value> = order
            .iter()
            .take(1000)
            .map(|key| {
                let list = &sessions[key];
                let mut sums = Sums::default();
                for trace in list {
                    kept.of_trace(trace.id).for_each(|span| sums.add(span));
                }
                json!({
                    "session": key.0, "ml_app": key.1, "turns": list.len(), "sums": show_sums(&sums),
                    "first": list.iter().map(|trace| trace.start).min().unwrap_or(0).to_string(),
                    "last": list.iter().map(|trace| trace.start).max().unwrap_or(0).to_string(),
                    "input": list.last().map(|trace| trace.root.input.as_str()),
                })
            })
            .collect();
        json!({"total": order.len(), "sessions": shown})
    });
    Json(shown.await)
}

/// Evaluations by label, and the newest of them.
pub(super) async fn evaluations(State(shared): State<Shared>, raw: Raw) -> Json<Value> {
    let parameters = Parameters::from(raw);
    let label = parameters.text("label").map(str::to_owned);
    let shown = apart(move || {
        let kept = shared.llm().lock();
        let list: Vec<&Evaluation> = kept.evaluations().collect();
        let labels = labels(list.iter().copied());
        let newest: Vec<Value> = list
            .iter()
            .rev()
            .filter(|one| label.as_deref().is_none_or(|label| one.label == label))
            .take(EVALUATIONS)
            .map(|one| {
                let mut shown = show_evaluation(one);
                let of = spans_of(&kept, one);
                shown["of"] = json!(of.as_ref().map(|span| json!({"trace": span.trace_id, "span": span.span_id, "name": span.name, "kind": span.kind})));
                shown
            })
            .collect();
        json!({"total": list.len(), "labels": labels, "evaluations": newest})
    });
    Json(shown.await)
}

/// The span that an evaluation is of, if it is one of those that are named by an id.
fn spans_of<'k>(kept: &'k Kept, one: &Evaluation) -> Option<&'k Span> {
    match &one.target {
        Target::Span { trace, span } => kept.of_trace(trace).find(|own| own.span_id == *span),
        Target::Trace(trace) => kept.of_trace(trace).find(|own| own.is_root()),
        _ => None,
    }
}

/// What the evaluations of each label come to.
fn labels<'e>(list: impl Iterator<Item = &'e Evaluation>) -> Vec<Value> {
    #[derive(Default)]
    struct Label {
        count: u64,
        passed: u64,
        failed: u64,
        errors: u64,
        sum: f64,
        scores: u64,
        values: BTreeMap<String, u64>,
    }
    let mut labels: BTreeMap<(&str, &str), Label> = BTreeMap::new();
    for one in list {
        let label = labels.entry((&one.label, &one.kind)).or_default();
        label.count += 1;
        label.passed += u64::from(one.assessment == "pass");
        label.failed += u64::from(one.assessment == "fail");
        label.errors += u64::from(one.error.is_some());
        match &one.value {
            Value::Number(number) => {
                label.sum += number.as_f64().unwrap_or(0.0);
                label.scores += 1;
            }
            Value::String(_) | Value::Bool(_) => {
                let value = match &one.value {
                    Value::String(text) => text.chars().take(100).collect(),
                    other => other.to_string(),
                };
                if label.values.len() < 50 || label.values.contains_key(&value) {
                    *label.values.entry(value).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    let show = |((label, kind), sums): ((&str, &str), Label)| {
        json!({"label": label, "type": kind, "count": sums.count, "passed": sums.passed, "failed": sums.failed, "errors": sums.errors,
            "mean": (sums.scores > 0).then(|| sums.sum / sums.scores as f64), "values": sums.values})
    };
    labels.into_iter().map(show).collect()
}

/// Prompts: how calls used them, version by version, and what is managed here.
pub(super) async fn prompts(State(shared): State<Shared>) -> Json<Value> {
    let shown = apart(move || {
        let kept = shared.llm().lock();
        let by = Evaluations::of_all(&kept);
        let used: Vec<Value> = used_prompts(&kept, &by)
            .into_iter()
            .map(|((id, version), used)| {
                let event: Value = used.newest.and_then(|span| serde_json::from_str(&span.event).ok()).unwrap_or_default();
                let mut prompt = event["meta"]["input"]["prompt"].clone();
                cut(&mut prompt);
                json!({
                    "id": id, "version": version, "calls": used.sums.spans, "sums": show_sums(&used.sums),
                    "mean_duration": used.duration / i64::try_from(used.sums.spans.max(1)).unwrap_or(1),
                    "first": used.first.to_string(), "last": used.last.to_string(), "prompt": prompt,
                    "trace": used.newest.map(|span| &span.trace_id), "span": used.newest.map(|span| &span.span_id),
                    "evaluations": labels(used.evaluations.iter().copied()),
                })
            })
            .collect();
        let backend = shared.llm().backend();
        let managed: Vec<Value> = backend
            .prompts()
            .iter()
            .map(|prompt| {
                let versions: Vec<Value> = prompt
                    .versions
                    .iter()
                    .map(|version| json!({"version": version.number, "user_version": version.user_version, "labels": version.labels,
                        "environments": version.environments, "template": version.template, "description": version.description,
                        "created": version.created_ms.saturating_mul(1_000_000).to_string()}))
                    .collect();
                json!({"id": prompt.id, "title": prompt.title, "description": prompt.description, "versions": versions})
            })
            .collect();
        json!({"prompts": used, "managed": managed})
    });
    Json(shown.await)
}

/// Experiments and datasets, newest first.
pub(super) async fn experiments(State(shared): State<Shared>) -> Json<Value> {
    let shown = apart(move || {
        let kept = shared.llm().lock();
        let rows = rows_by_experiment(&kept);
        let backend = shared.llm().backend();
        let dataset_name = |id: &str| {
            backend
                .datasets()
                .iter()
                .find(|dataset| dataset.id == id)
                .map(|dataset| dataset.name.clone())
        };
        let experiments: Vec<Value> = backend
            .experiments()
            .iter()
            .rev()
            .take(1000)
            .map(|experiment| {
                let own = rows
                    .get(experiment.id.as_str())
                    .map_or(&[][..], Vec::as_slice);
                show_experiment(
                    experiment,
                    own,
                    dataset_name(&experiment.dataset),
                    backend.project_name(&experiment.project),
                )
            })
            .collect();
        let datasets: Vec<Value> = backend
            .datasets()
            .iter()
            .rev()
            .take(1000)
            .map(|dataset| show_dataset(dataset, backend.project_name(&dataset.project)))
            .collect();
        json!({"experiments": experiments, "datasets": datasets})
    });
    Json(shown.await)
}

/// Spans of rows, by the experiment that their tags name.
fn rows_by_experiment(kept: &Kept) -> BTreeMap<&str, Vec<&Span>> {
    let mut rows: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in kept.spans().filter(|span| span.kind == "experiment") {
        if let Some(id) = span.tag("experiment_id") {
            rows.entry(id).or_default().push(span);
        }
    }
    rows
}

fn show_dataset(dataset: &Dataset, project: &str) -> Value {
    json!({"id": dataset.id, "name": dataset.name, "description": dataset.description, "project": project, "version": dataset.version,
        "records": dataset.at(dataset.version).count(), "created": dataset.created_ms.saturating_mul(1_000_000).to_string()})
}

fn show_experiment(
    experiment: &Experiment,
    rows: &[&Span],
    dataset: Option<String>,
    project: &str,
) -> Value {
    let metrics: Vec<Evaluation> = experiment.metrics.iter().map(Evaluation::read).collect();
    let of = |source: &str| {
        let list = experiment.metrics.iter().zip(&metrics);
        labels(
            list.filter(|(raw, _)| (raw["metric_source"] == "summary") == (source == "summary"))
                .map(|(_, metric)| metric),
        )
    };
    json!({
        "id": experiment.id, "name": experiment.name, "experiment": experiment.experiment, "project": project,
        "dataset": dataset, "dataset_version": experiment.dataset_version, "description": experiment.description,
        "config": experiment.config, "runs": experiment.runs, "parent": experiment.parent,
        "status": experiment.status, "error": experiment.error,
        "created": experiment.created_ms.saturating_mul(1_000_000).to_string(),
        "updated": experiment.updated_ms.saturating_mul(1_000_000).to_string(),
        "rows": rows.len(), "errors": rows.iter().filter(|row| row.is_error).count(),
        "labels": of("custom"), "summary": of("summary"),
    })
}

/// One experiment with its rows: what went in, what came out, what was expected, what evaluators said.
pub(super) async fn experiment(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let shown = apart(move || {
        let kept = shared.llm().lock();
        let backend = shared.llm().backend();
        let experiment = backend.experiments().iter().find(|own| own.id == id)?;
        let rows = rows_by_experiment(&kept)
            .remove(id.as_str())
            .unwrap_or_default();
        let dataset = backend
            .datasets()
            .iter()
            .find(|dataset| dataset.id == experiment.dataset);
        let name = dataset.map(|dataset| dataset.name.clone());
        let mut shown = show_experiment(
            experiment,
            &rows,
            name,
            backend.project_name(&experiment.project),
        );
        let mut by_span: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for metric in &experiment.metrics {
            if let Some(span) = metric["span_id"]
                .as_str()
                .filter(|_| metric["metric_source"] != "summary")
            {
                by_span
                    .entry(span)
                    .or_default()
                    .push(show_evaluation(&Evaluation::read(metric)));
            }
        }
        shown["more"] = json!(rows.len().saturating_sub(ROWS));
        let list: Vec<Value> = rows
            .iter()
            .take(ROWS)
            .map(|row| {
                let mut event: Value = serde_json::from_str(&row.event).unwrap_or_default();
                cut(&mut event);
                json!({
                    "record": row.tag("dataset_record_id"), "run": row.tag("run_id"), "iteration": row.tag("run_iteration"),
                    "trace": row.trace_id, "span": row.span_id, "duration": row.duration, "error": row.is_error, "error_text": row.error,
                    "input": event["meta"]["input"], "output": event["meta"]["output"], "expected": event["meta"]["expected_output"],
                    "evaluations": by_span.remove(row.span_id.as_str()).unwrap_or_default(),
                })
            })
            .collect();
        shown["list"] = json!(list);
        Some(shown)
    });
    shown
        .await
        .map(Json)
        .ok_or_else(|| ApiError::not_found("this experiment"))
}
