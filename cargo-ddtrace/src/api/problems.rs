//! `GET /api/problems`.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Shared;
use super::error::ApiError;
use super::query::{Parameters, Raw};
use super::status::totals;
use super::trace::number;
use crate::store::problems::{Group, Problem};

pub(super) async fn get(State(shared): State<Shared>, raw: Raw) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let (level, rule) = (parameters.text("level"), parameters.text("rule"));
    let store = shared.store().lock();
    let trace = parameters
        .text("trace")
        .map(|id| number(&store, id))
        .transpose()?;
    let wanted = |group: &&Group| {
        level.is_none_or(|level| group.rule.level.name() == level)
            && rule.is_none_or(|rule| group.rule.id == rule)
    };
    let groups: Vec<Value> = store
        .problems
        .groups()
        .into_iter()
        .filter(wanted)
        .filter_map(|group| {
            let Some(trace) = trace else {
                return Some(show_group(group, group.examples.iter().rev().map(|p| &**p)));
            };
            let of_trace = store
                .problems
                .of_trace(trace)
                .iter()
                .filter(|p| std::ptr::eq(p.rule, group.rule));
            let count = of_trace.clone().count();
            let mut shown = show_group(group, of_trace.map(|problem| &**problem));
            shown["count"] = count.into();
            (count > 0).then_some(shown)
        })
        .collect();
    Ok(Json(
        json!({"rev": store.rev, "totals": totals(&store), "groups": groups}),
    ))
}

/// A rule with what it found.
pub(super) fn show_group<'p>(group: &Group, examples: impl Iterator<Item = &'p Problem>) -> Value {
    json!({
        "rule": group.rule.id,
        "area": group.rule.area(),
        "level": group.rule.level.name(),
        "sentence": group.rule.sentence,
        "advice": group.rule.advice,
        "count": group.count,
        "first": group.first.to_string(),
        "last": group.last.to_string(),
        "examples": examples.map(show_problem).collect::<Vec<_>>(),
    })
}

/// One thing found.
pub(super) fn show_problem(problem: &Problem) -> Value {
    json!({
        "rule": problem.rule.id,
        "level": problem.rule.level.name(),
        "sentence": problem.rule.sentence,
        "advice": problem.rule.advice,
        "at": problem.at,
        "detail": problem.detail,
        "trace": problem.trace,
        "span": problem.span.map(|span| span.to_string()),
        "request": problem.request,
        "time": problem.time.to_string(),
    })
}
