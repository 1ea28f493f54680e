//! Answers of the back end that are made of spans: results of an experiment, and the search for spans.

use serde_json::{Value, json};

use super::Kept;
use super::backend::{Ask, Backend, Reply, missing};
use super::span::Span;

/// Spans of one answer of the search.
const PAGE: usize = 100;

/// The answer, if the request is one of these.
pub fn answer(kept: &Kept, backend: &Backend, ask: &Ask<'_>) -> Option<Reply> {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    match (ask.method, &path[..]) {
        ("GET", ["experiments", "events"]) => {
            let project = ask.parameter("filter[project_name]").unwrap_or_default();
            let name = ask.parameter("filter[experiment_name]").unwrap_or_default();
            let is_it = |experiment: &&super::backend::Experiment| {
                (experiment.name == name || experiment.experiment == name)
                    && backend.project_name(&experiment.project) == project
            };
            let found = backend.experiments().iter().rev().find(is_it);
            Some(found.map_or_else(
                || missing("this experiment"),
                |experiment| rows(kept, backend, &experiment.id, ask),
            ))
        }
        ("GET", ["experiments", id, "events"]) => Some(rows(kept, backend, id, ask)),
        ("GET", ["spans", "events"]) => Some(search(kept, ask)),
        _ => None,
    }
}

fn event(span: &Span) -> Value {
    serde_json::from_str(&span.event).unwrap_or_default()
}

/// The spans of an experiment's rows with what evaluators said of each, and of the whole.
fn rows(kept: &Kept, backend: &Backend, id: &str, ask: &Ask<'_>) -> Reply {
    let Some(experiment) = backend.experiments().iter().find(|own| own.id == id) else {
        return missing("this experiment");
    };
    let with_metrics = ask.parameter("include[eval_metrics]") == Some("true");
    let is_summary = |metric: &&Value| metric["metric_source"] == "summary";
    let spans: Vec<Value> = kept
        .spans()
        .filter(|span| span.kind == "experiment" && span.tag("experiment_id") == Some(id))
        .map(|span| {
            let mut event = event(span);
            if with_metrics {
                let own = |metric: &&Value| {
                    metric["span_id"] == span.span_id.as_str() && !is_summary(metric)
                };
                event["eval_metrics"] = experiment.metrics.iter().filter(own).cloned().collect();
            }
            event
        })
        .collect();
    let summary: Vec<&Value> = experiment.metrics.iter().filter(is_summary).collect();
    (
        200,
        json!({"data": {"id": id, "type": "experiment_events", "attributes": {"spans": spans, "summary_metrics": summary}}}),
    )
}

/// Spans by what they are and carry, newest first.
fn search(kept: &Kept, ask: &Ask<'_>) -> Reply {
    let is = |name: &str, own: &str| ask.parameter(name).is_none_or(|wanted| wanted == own);
    let tags: Vec<String> = ask
        .query
        .iter()
        .filter_map(|(key, value)| {
            let tag = key.strip_prefix("filter[tag][")?.strip_suffix(']')?;
            Some(format!("{tag}:{value}"))
        })
        .collect();
    let has = |span: &&Span| {
        is("filter[span_id]", &span.span_id)
            && is("filter[trace_id]", &span.trace_id)
            && is("filter[span_kind]", &span.kind)
            && is("filter[span_name]", &span.name)
            && is("filter[ml_app]", &span.ml_app)
            && tags.iter().all(|tag| span.tags.contains(tag))
    };
    let from: usize = ask
        .parameter("page[cursor]")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut found = kept.spans().rev().filter(has).skip(from);
    let page: Vec<Value> = found.by_ref().take(PAGE).map(show).collect();
    let after = found.next().map(|_| (from + PAGE).to_string());
    (
        200,
        json!({"data": page, "meta": {"page": {"after": after}}}),
    )
}

fn show(span: &Span) -> Value {
    let event = event(span);
    let meta = &event["meta"];
    json!({"id": span.span_id, "type": "span", "attributes": {
        "span_id": span.span_id, "trace_id": span.trace_id, "parent_id": span.parent_id, "name": span.name, "span_kind": span.kind,
        "status": event["status"], "ml_app": span.ml_app, "session_id": event["session_id"], "start_ms": span.start / 1_000_000,
        "duration": span.duration, "tags": span.tags, "metrics": event["metrics"], "model_name": meta["model_name"],
        "model_provider": meta["model_provider"], "input": meta["input"], "output": meta["output"], "metadata": meta["metadata"],
    }})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::prices::Prices;
    use crate::llm::span::Transport;

    fn ask<'a>(path: &str, query: &[(&str, &str)]) -> Ask<'a> {
        Ask {
            method: "GET",
            path: path.split('/').map(str::to_owned).collect(),
            query: query
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            body: Value::Null,
            file: None,
        }
    }

    #[test]
    fn spans_are_found_by_what_they_carry_page_by_page() {
        let llm = crate::llm::Llm::new(1 << 20, None);
        let mut kept = llm.lock();
        for number in 1..=150 {
            let kind = if number % 2 == 0 { "llm" } else { "tool" };
            let event = json!({"trace_id": "t", "span_id": number.to_string(), "name": "n", "tags": [format!("even:{}", number % 2 == 0)],
                "meta": {"span": {"kind": kind}, "input": {"value": number}}});
            kept.add(Span::read(&event, Transport::Intake, &Prices::default()));
        }
        let backend = llm.backend();
        let found = |query: &[(&str, &str)]| {
            answer(&kept, &backend, &ask("spans/events", query))
                .unwrap()
                .1
        };
        let tools = found(&[
            ("filter[span_kind]", "tool"),
            ("filter[tag][even]", "false"),
        ]);
        assert_eq!(tools["data"].as_array().unwrap().len(), 75);
        assert_eq!(found(&[("filter[tag][even]", "maybe")])["data"], json!([]));
        let first = found(&[]);
        assert_eq!(
            (
                first["data"].as_array().unwrap().len(),
                &first["data"][0]["attributes"]["span_id"]
            ),
            (100, &json!("150"))
        );
        let second = found(&[(
            "page[cursor]",
            first["meta"]["page"]["after"].as_str().unwrap(),
        )]);
        assert_eq!(
            (
                second["data"].as_array().unwrap().len(),
                &second["meta"]["page"]["after"]
            ),
            (50, &Value::Null)
        );
        assert_eq!(
            answer(&kept, &backend, &ask("experiments/none/events", &[]))
                .unwrap()
                .0,
            404
        );
        assert!(answer(&kept, &backend, &ask("prompts", &[])).is_none());
    }
}
