//! `/api/remote-config`: what is pushed, to whom, and what became of it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Value, json};

use super::Shared;
use super::control::read;
use super::error::ApiError;
use crate::rc::{Push, Refused};
use crate::store::Change;

pub(super) async fn get(State(shared): State<Shared>) -> Json<Value> {
    let mut shown = shared.remote_config().show();
    shown["rev"] = shared.store().lock().rev.into();
    Json(shown)
}

pub(super) async fn push(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let refused = |refused| match refused {
        Refused::Body(sentence) => ApiError::body(sentence),
        Refused::Unfit(sentence) => ApiError::refused(sentence),
    };
    let push = Push::read(&read(&body)?).map_err(refused)?;
    let pushed = shared.remote_config().push(push).map_err(refused)?;
    shared
        .store()
        .change(|store| store.note(Change::RemoteConfig));
    Ok(Json(pushed))
}

pub(super) async fn withdraw(
    State(shared): State<Shared>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let body = read(&body)?;
    let withdrawn = match (&body["path"], &body["all"]) {
        (Value::String(path), Value::Null) => {
            let count = shared.remote_config().withdraw(Some(path));
            if count == 0 {
                return Err(ApiError::not_found("this file"));
            }
            count
        }
        (Value::Null, Value::Bool(true)) => shared.remote_config().withdraw(None),
        _ => return Err(ApiError::body("expected `path`, or `all`: true")),
    };
    shared
        .store()
        .change(|store| store.note(Change::RemoteConfig));
    Ok(Json(json!({"withdrawn": withdrawn})))
}
