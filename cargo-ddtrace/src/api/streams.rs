//! `GET /api/streams`: the map of pathways, and how far consumers are behind.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::{Parameters, Raw};
use super::{Shared, apart};
use crate::intake::sketch::Sketch;
use crate::store::now;
use crate::streams::map::{Edge, Map, Measured, Node, Pathway};
use crate::streams::offsets::Lag;
use crate::streams::{Bucket, Step};

/// Bounds of the histogram, in seconds: from a tenth of a millisecond to a hundred seconds, four per decade.
const BOUNDS: [f64; 25] = [
    1e-4, 1.8e-4, 3.2e-4, 5.6e-4, 1e-3, 1.8e-3, 3.2e-3, 5.6e-3, 1e-2, 1.8e-2, 3.2e-2, 5.6e-2, 0.1,
    0.18, 0.32, 0.56, 1.0, 1.8, 3.2, 5.6, 10.0, 18.0, 32.0, 56.0, 100.0,
];

pub(super) async fn get(State(shared): State<Shared>, raw: Raw) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let window = parameters.window()?;
    let shown = apart(move || {
        let rev = shared.store().lock().rev;
        let now = now();
        let kept = shared.data_streams().lock();
        let oldest = kept.buckets.iter().map(|bucket| bucket.start).min();
        let from = match window {
            Some(window) => {
                now.saturating_sub(i64::try_from(window.as_nanos()).unwrap_or(i64::MAX))
            }
            None => oldest.unwrap_or(now).min(now),
        };
        let is_in = |bucket: &&Bucket| bucket.start.saturating_add(bucket.duration) > from;
        let map = Map::of(kept.buckets.iter().filter(is_in));
        let seconds = (now - from).max(1) as f64 / 1e9;
        let lags = kept.offsets.lags();
        json!({
            "rev": rev,
            "window_ms": (now - from) / 1_000_000,
            "from": from.to_string(),
            "to": now.to_string(),
            "counts": {
                "payloads": kept.counts.payloads,
                "points": kept.counts.points,
                "offsets": kept.counts.offsets,
                "transactions": kept.counts.transactions,
                "evicted": kept.counts.evicted,
            },
            "nodes": map.nodes.iter().map(|(id, node)| show_node(id, node, seconds)).collect::<Vec<_>>(),
            "edges": map.edges.iter().map(|((from, to), edge)| show_edge(from, to, edge, seconds)).collect::<Vec<_>>(),
            "pathways": map.pathways.iter().map(|pathway| show_pathway(pathway, seconds)).collect::<Vec<_>>(),
            "more_pathways": map.more,
            "lag": lags.iter().map(show_lag).collect::<Vec<_>>(),
        })
    });
    Ok(Json(shown.await))
}

fn show_node(id: &str, node: &Node, seconds: f64) -> Value {
    json!({
        "id": id,
        "label": node.label,
        "kind": if node.is_service { "service" } else { "queue" },
        "type": node.kind,
        "env": node.env,
        "language": node.language,
        "version": node.version,
        "consumed": node.consumed,
        "produced": node.produced,
        "consumed_rate": node.consumed / seconds,
        "produced_rate": node.produced / seconds,
    })
}

fn show_edge(from: &str, to: &str, edge: &Edge, seconds: f64) -> Value {
    let mut shown = show_measured(&edge.measured, seconds);
    shown["from"] = json!(from);
    shown["to"] = json!(to);
    shown["direction"] = json!(edge.direction);
    shown["groups"] = json!(edge.groups);
    shown["histogram"] = json!({
        "bounds_ns": BOUNDS.map(|bound| (bound * 1e9) as i64),
        "counts": edge.measured.edge.histogram(&BOUNDS),
    });
    shown
}

fn show_measured(measured: &Measured, seconds: f64) -> Value {
    let messages = measured.messages();
    json!({
        "messages": messages,
        "rate": messages / seconds,
        "latency": quantiles(&measured.edge, 1e9),
        "pathway": quantiles(&measured.pathway, 1e9),
        "size": quantiles(&measured.size, 1.0),
        "bytes": measured.size.sum(),
    })
}

/// Quantiles as whole numbers, after multiplication.
fn quantiles(sketch: &Sketch, by: f64) -> Value {
    let at = |share| sketch.quantile(share).map(|value| (value * by).round());
    json!({"p50": at(0.5), "p95": at(0.95), "p99": at(0.99)})
}

fn show_pathway(pathway: &Pathway<'_>, seconds: f64) -> Value {
    let mut shown = show_measured(&pathway.measured, seconds);
    shown["hash"] = json!(pathway.hash.to_string());
    shown["parent"] = json!(pathway.parent.to_string());
    shown["service"] = json!(pathway.sender.service);
    shown["env"] = json!(pathway.sender.env);
    shown["tags"] = json!(pathway.tags);
    shown["direction"] = json!(pathway.at.direction);
    shown["type"] = json!(pathway.at.kind);
    shown["name"] = json!(pathway.at.name);
    shown["group"] = json!(pathway.at.group);
    shown["manual"] = json!(pathway.at.is_manual);
    shown["last"] = json!(pathway.last.to_string());
    shown
}

fn show_lag(lag: &Lag) -> Value {
    json!({
        "cluster": lag.cluster,
        "topic": lag.topic,
        "partition": lag.partition,
        "group": lag.group,
        "service": lag.service,
        "produced": lag.produced,
        "high_watermark": lag.high_watermark,
        "committed": lag.committed,
        "lag": lag.lag,
        "updated": lag.updated.to_string(),
    })
}

/// Transactions, newest first.
pub(super) async fn transactions(
    State(shared): State<Shared>,
    raw: Raw,
) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let limit = parameters.limit()?;
    let wanted = parameters.text("q").unwrap_or_default().to_lowercase();
    let kept = shared.data_streams().lock();
    let matches = |id: &str, steps: &[Step]| {
        wanted.is_empty()
            || id.to_lowercase().contains(&wanted)
            || steps
                .iter()
                .any(|step| step.checkpoint.to_lowercase().contains(&wanted))
    };
    let found: Vec<(&str, &[Step])> = kept
        .transactions()
        .filter(|(id, steps)| matches(id, steps))
        .collect();
    let shown: Vec<Value> = found
        .iter()
        .take(limit)
        .map(|(id, steps)| {
            let steps: Vec<Value> = steps
                .iter()
                .map(|step| json!({"checkpoint": *step.checkpoint, "service": *step.service, "time": step.time.to_string()}))
                .collect();
            json!({"id": id, "steps": steps})
        })
        .collect();
    Ok(Json(json!({"matched": found.len(), "transactions": shown})))
}
