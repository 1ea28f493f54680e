//! `GET /api/traces/{id}/spans/{span}`: everything of one span.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};

use super::Shared;
use super::error::ApiError;
use super::problems::show_problem;
use super::query::{Parameters, Raw};
use super::trace::{Tree, number};
use crate::intake::msgpack::float_as_json;
use crate::intake::v04::show_struct;
use crate::store::Kept;
use crate::store::segment::{Row, Segment};
use crate::validate::normalise::{Fields, differences};

pub(super) async fn get(
    State(shared): State<Shared>,
    Path((id, span)): Path<(String, String)>,
    raw: Raw,
) -> Result<Json<Value>, ApiError> {
    let nth: usize = Parameters::from(raw).number("nth")?.unwrap_or(0);
    let span: u64 = span
        .parse()
        .map_err(|_| ApiError::parameter("span", "a decimal span id"))?;
    let store = shared.store().lock();
    let trace = number(&store, &id)?;
    let tree = Tree::new(&store, trace);
    let found = (0..tree.rows.len())
        .filter(|at| tree.rows[*at].1.span_id == span)
        .nth(nth);
    let at = found.ok_or_else(|| ApiError::not_found("this span"))?;
    let (segment, row) = tree.rows[at];
    let mut shown = show_span(&store, trace, segment, row);
    let object = shown.as_object_mut().expect("a span is shown as an object");
    object.insert(
        "parent_known".into(),
        (row.parent_id == 0 || tree.parents[at].is_some()).into(),
    );
    object.insert("self".into(), tree.self_times()[at].into());
    object.insert(
        "children".into(),
        tree.parents
            .iter()
            .filter(|parent| **parent == Some(at))
            .count()
            .into(),
    );
    object.insert("normalised".into(), normalised(&store, trace, segment, row));
    let problems = store
        .problems
        .of_trace(trace)
        .iter()
        .filter(|problem| problem.span == Some(span));
    object.insert(
        "problems".into(),
        problems.map(|problem| show_problem(problem)).collect(),
    );
    Ok(Json(shown))
}

/// A span with its tags.
pub(super) fn show_span(store: &Kept, trace: u32, segment: &Segment, row: &Row) -> Value {
    let text = |number| segment.strings.get(number);
    let mut meta = Map::new();
    let mut decoded = Map::new();
    for (key, value) in segment.meta(row) {
        let (key, value) = (text(*key), text(*value));
        meta.insert(key.to_owned(), value.into());
        if value.starts_with(['{', '['])
            && let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(value)
        {
            decoded.insert(key.to_owned(), value);
        }
    }
    let metrics: Map<_, _> = segment
        .metrics(row)
        .map(|(key, value)| (text(key).to_owned(), float_as_json(value)))
        .collect();
    let extra = segment.extra(row);
    let meta_struct: Map<_, _> = extra
        .into_iter()
        .flat_map(|extra| &extra.meta_struct)
        .map(|(key, bytes)| (key.clone(), show_struct(bytes)))
        .collect();
    let links = match extra {
        Some(extra) if !extra.links.is_empty() => extra.links.clone(),
        _ => decoded
            .get("_dd.span_links")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(link)
            .collect(),
    };
    let events = match extra {
        Some(extra) if !extra.events.is_empty() => extra.events.clone(),
        _ => decoded
            .get("events")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(event)
            .collect(),
    };
    let received = store
        .requests
        .get(row.request)
        .map(|request| request.time.to_string());
    json!({
        "trace": store.trace(trace).map(|summary| summary.id()),
        "span": row.span_id.to_string(),
        "parent": row.parent_id.to_string(),
        "service": text(row.service),
        "name": text(row.name),
        "resource": text(row.resource),
        "type": text(row.span_type),
        "start": row.start.to_string(),
        "end": row.end().to_string(),
        "duration": row.duration,
        "error": row.error,
        "meta": meta,
        "metrics": metrics,
        "meta_struct": meta_struct,
        "links": links,
        "events": events,
        "decoded": decoded,
        "received": received,
        "request": row.request,
        "chunk": row.chunk,
        "index": row.index,
    })
}

/// A link of `_dd.span_links`, whose span id is hexadecimal.
fn link(link: &Value) -> Value {
    let span = link["span_id"]
        .as_str()
        .and_then(|id| u64::from_str_radix(id, 16).ok())
        .unwrap_or(0);
    let flags = link["flags"].as_u64().unwrap_or(0) & 0x7fff_ffff;
    let attributes = link.get("attributes").cloned().unwrap_or_else(|| json!({}));
    json!({
        "trace": link["trace_id"],
        "span": span.to_string(),
        "attributes": attributes,
        "tracestate": link["tracestate"].as_str().unwrap_or_default(),
        "flags": flags,
    })
}

fn event(event: &Value) -> Value {
    let attributes = event
        .get("attributes")
        .cloned()
        .unwrap_or_else(|| json!({}));
    json!({
        "time": event["time_unix_nano"].as_u64().unwrap_or(0).to_string(),
        "name": event["name"],
        "attributes": attributes,
    })
}

fn normalised(store: &Kept, trace: u32, segment: &Segment, row: &Row) -> Value {
    let text = |number| segment.strings.get(number);
    let fields = Fields {
        service: text(row.service),
        name: text(row.name),
        resource: text(row.resource),
        span_type: text(row.span_type),
        trace_id: store.trace(trace).map_or(0, |summary| summary.low),
        span_id: row.span_id,
        parent_id: row.parent_id,
        start: row.start,
        duration: row.duration,
        env: segment.tag(row, "env"),
        status_code: segment.tag(row, "http.status_code"),
        received: store
            .requests
            .get(row.request)
            .map_or(0, |request| request.time),
    };
    differences(&fields)
        .into_iter()
        .map(|change| json!({"field": change.field, "sent": change.sent, "stored": change.stored, "why": change.why}))
        .collect()
}
