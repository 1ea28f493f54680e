//! `GET /api/requests`, one of them, and its bytes.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Shared;
use super::error::ApiError;
use super::problems::show_problem;
use super::query::{Parameters, Raw};
use crate::intake::msgpack::Reader;
use crate::store::requests::{Raw as RawBytes, Request};

/// A body over this size is not decoded for the page.
const DECODED: usize = 4 << 20;

pub(super) async fn list(State(shared): State<Shared>, raw: Raw) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let limit = parameters.limit()?;
    let before: Option<u32> = parameters.number("cursor")?;
    let problems = parameters.flag("problems")?;
    let path = parameters.text("path");
    let status = parameters.text("status");
    let store = shared.store().lock();
    let mut matching = store.requests.iter().rev().filter(|request| {
        path.is_none_or(|path| request.path.starts_with(path))
            && (!problems || request.problems > 0)
            && status.is_none_or(|status| fits(request.status, status))
            && before.is_none_or(|before| request.n < before)
    });
    let page: Vec<&Request> = matching.by_ref().take(limit).collect();
    let more = matching.next().is_some();
    Ok(Json(json!({
        "rev": store.rev,
        "total": store.requests.len(),
        "cursor": page.last().filter(|_| more).map(|request| request.n.to_string()),
        "requests": page.into_iter().map(show).collect::<Vec<_>>(),
    })))
}

/// `404` or `4xx`.
fn fits(status: u16, wanted: &str) -> bool {
    let text = status.to_string();
    text == wanted || (wanted.ends_with("xx") && wanted.len() == 3 && text[..1] == wanted[..1])
}

/// A request as the list shows it.
pub(super) fn show(request: &Request) -> Value {
    json!({
        "n": request.n,
        "time": request.time.to_string(),
        "method": request.method,
        "path": request.path,
        "kind": request.kind,
        "status": request.status,
        "bytes": request.bytes,
        "inflated": request.inflated,
        "content_type": request.content_type,
        "encoding": request.encoding,
        "micros": request.micros,
        "language": request.language,
        "tracer_version": request.tracer_version,
        "runtime_id": request.runtime_id,
        "chunks": request.chunks,
        "spans": request.spans,
        "traces": request.traces,
        "problems": request.problems,
        "worst": request.worst.map(|level| level.name()),
        "raw": request.raw.name(),
        "fault": request.fault,
        "forwarded": request.forwarded,
    })
}

pub(super) async fn get(
    State(shared): State<Shared>,
    Path(n): Path<u32>,
) -> Result<Json<Value>, ApiError> {
    let request = find(&shared, n)?;
    let mut shown = show(&request);
    let headers: Map<_, _> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let (decoded, error) = match &request.raw {
        RawBytes::Kept(bytes) if bytes.len() <= DECODED => {
            match decode(&request.content_type, bytes) {
                Ok(value) => (value, None),
                Err(error) => (Value::Null, Some(error)),
            }
        }
        _ => (Value::Null, None),
    };
    let object = shown
        .as_object_mut()
        .expect("a request is shown as an object");
    object.insert("headers".into(), headers.into());
    object.insert("answer".into(), request.answer.as_str().into());
    object.insert("decoded".into(), decoded);
    object.insert("decode_error".into(), error.into());
    object.insert(
        "problems_list".into(),
        request
            .findings
            .iter()
            .map(|problem| show_problem(problem))
            .collect(),
    );
    Ok(Json(shown))
}

fn decode(content_type: &str, bytes: &[u8]) -> Result<Value, String> {
    if content_type.contains("json") {
        return serde_json::from_slice(bytes).map_err(|error| error.to_string());
    }
    let mut reader = Reader::new(bytes);
    let value = reader.json().map_err(|error| error.to_string())?;
    reader.finish().map_err(|error| error.to_string())?;
    Ok(value)
}

pub(super) async fn raw(
    State(shared): State<Shared>,
    Path(n): Path<u32>,
) -> Result<Response, ApiError> {
    match find(&shared, n)?.raw {
        RawBytes::Kept(bytes) => {
            let name = format!("attachment; filename=\"request-{n}\"");
            let kind = "application/octet-stream".to_owned();
            Ok((
                [
                    (header::CONTENT_TYPE, kind),
                    (header::CONTENT_DISPOSITION, name),
                ],
                bytes,
            )
                .into_response())
        }
        RawBytes::Empty => Ok(().into_response()),
        _ => Err(ApiError::evicted("the bytes of this request")),
    }
}

fn find(shared: &Shared, n: u32) -> Result<Request, ApiError> {
    let store = shared.store().lock();
    match store.requests.get(n) {
        Some(request) => Ok(request.clone()),
        None if n < store.next_request() && n > 0 => Err(ApiError::evicted("this request")),
        None => Err(ApiError::not_found("this request")),
    }
}
