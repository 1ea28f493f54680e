//! `GET /api/traces/{id}/export`: one trace as a document.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Shared;
use super::error::ApiError;
use super::span::show_span;
use super::trace::{Tree, number};

pub(super) async fn get(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let store = shared.store().lock();
    let trace = number(&store, &id)?;
    let tree = Tree::new(&store, trace);
    let spans: Vec<Value> = tree
        .rows
        .iter()
        .map(|(segment, row)| show_span(&store, trace, segment, row))
        .collect();
    let id = store
        .trace(trace)
        .map(|summary| summary.id())
        .unwrap_or_default();
    drop(tree);
    drop(store);
    let name = format!("attachment; filename=\"trace-{id}.json\"");
    let body = json!({"trace": id, "spans": spans}).to_string();
    Ok((
        [
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (header::CONTENT_DISPOSITION, name),
        ],
        body,
    )
        .into_response())
}
