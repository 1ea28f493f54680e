//! `GET /api/wait`: answers when enough has come, so that tests and scripts need not sleep.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Shared;
use super::error::ApiError;
use super::query::{Parameters, Raw};
use crate::search::Query;

const LONGEST: Duration = Duration::from_secs(60);

pub(super) async fn get(State(shared): State<Shared>, raw: Raw) -> Result<Response, ApiError> {
    let parameters = Parameters::from(raw);
    let wanted: [u64; 3] = [
        parameters.number("traces")?.unwrap_or(0),
        parameters.number("spans")?.unwrap_or(0),
        parameters.number("requests")?.unwrap_or(0),
    ];
    let q = parameters.text("q").unwrap_or_default();
    let time = parameters
        .duration("timeout", Duration::from_secs(5))?
        .min(LONGEST);
    let deadline = tokio::time::Instant::now() + time;
    let mut changes = shared.store().changes();
    loop {
        changes.mark_unchanged();
        let (there, rev) = count(&shared, q)?;
        let shown =
            json!({"traces": there[0], "spans": there[1], "requests": there[2], "rev": rev});
        if there
            .iter()
            .zip(wanted)
            .all(|(there, wanted)| *there >= wanted)
        {
            return Ok(Json(shown).into_response());
        }
        if tokio::time::timeout_at(deadline, changes.changed())
            .await
            .is_err()
        {
            return Ok((StatusCode::REQUEST_TIMEOUT, Json(late(shown))).into_response());
        }
    }
}

fn late(mut shown: Value) -> Value {
    shown["error"] = "not enough came in time".into();
    shown["code"] = "timeout".into();
    shown
}

fn count(shared: &Shared, q: &str) -> Result<([u64; 3], u64), ApiError> {
    let query = Query::new(q, shared.store())?;
    if query.is_empty() {
        let store = shared.store().lock();
        return Ok((
            [
                store.counts.traces,
                store.counts.spans,
                store.counts.requests,
            ],
            store.rev,
        ));
    }
    Ok(query.count(shared.store(), |counts, store| {
        let (traces, spans) = counts.totals();
        ([traces, spans, store.counts.requests], store.rev)
    }))
}
