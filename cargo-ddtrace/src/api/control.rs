//! Calls that change something: faults, rates, clear. The token was checked before they are reached.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Value, json};

use super::Shared;
use super::error::ApiError;

pub(super) fn read(body: &Bytes) -> Result<Value, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::body(format!("no JSON: {error}")))
}

pub(super) async fn faults(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.faults().show())
}

pub(super) async fn put_faults(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    shared
        .faults()
        .replace(&read(&body)?)
        .map_err(ApiError::body)?;
    Ok(Json(shared.faults().show()))
}

pub(super) async fn rates(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.rates().show())
}

pub(super) async fn put_rates(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    shared
        .rates()
        .replace(&read(&body)?)
        .map_err(ApiError::body)?;
    Ok(Json(shared.rates().show()))
}

pub(super) async fn clear(State(shared): State<Shared>) -> Json<Value> {
    shared.data_streams().clear();
    shared.llm().clear();
    Json(json!({"rev": shared.store().clear()}))
}
