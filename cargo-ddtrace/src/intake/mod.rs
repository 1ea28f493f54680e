//! What the Datadog Agent would take, taken here.
//!
//! ```text
//! connection ─▶ security ─▶ read (limits) ─▶ fault? ─▶ inflate ─▶ decode ─▶ check ─▶ store ─▶ answer ─▶ forward
//! ```
//!
//! One file per payload; [`handle`] is the way through them. Everything up to the answer happens on the task of the
//! connection, and the store is changed before the answer is written. Paths that nobody knows are answered with
//! 404 and kept, so that nothing vanishes in silence.

mod answer;
pub mod body;
mod endpoint;
pub mod faults;
pub mod info;
pub mod json;
mod llm;
pub mod model;
pub mod msgpack;
mod multipart;
pub mod pipeline_stats;
pub mod rates;
pub mod sha256;
pub mod sketch;
pub mod stats;
mod streams;
mod take;
pub mod telemetry;
mod tests;
pub mod v04;
pub mod v05;
pub mod v07;
pub mod v1;

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::Shared;
use crate::store::requests::Raw;
use crate::validate::Findings;
use answer::{AGENT_STATE, Answer, faulty, write};
use endpoint::Endpoint;
pub use endpoint::is_intake_api;
use faults::Do;
use take::{finish, kept, raw, refuse, take};

/// `GET /info`.
pub async fn info(State(shared): State<Shared>) -> Response {
    shared
        .inner()
        .info_asked
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    match shared.faults().next("/info") {
        None => {}
        Some(Do::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(fault) => return faulty(&fault, &shared).await,
    }
    let info = shared.info();
    (
        [
            (header::CONTENT_TYPE, "application/json"),
            (AGENT_STATE, info.state.as_str()),
        ],
        info.body.clone(),
    )
        .into_response()
}

/// Everything that is not the page and not the API.
pub async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let endpoint = if shared.hides(&path) {
        Endpoint::Unknown
    } else {
        Endpoint::of(&path)
    };
    let takes = match endpoint {
        Endpoint::Llm(llm::Llm::Question) => true,
        Endpoint::RemoteConfig if parts.method == Method::GET => true,
        _ => matches!(parts.method, Method::POST | Method::PUT),
    };
    let length = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let mut held = shared.in_hand().hold();
    let read = body::read(body, length, &mut held).await;
    let delay = match shared.faults().next(&path) {
        None => None,
        Some(Do::Delay(delay)) => Some(delay),
        Some(fault) => {
            let mut kept = kept(&parts.method, &path, endpoint, &parts.headers);
            kept.fault = Some(fault.name());
            kept.status = if let Do::Status(status, _) = fault {
                status
            } else {
                200
            };
            kept.bytes = read.as_ref().map_or(0, Bytes::len);
            kept.raw = read.map_or(Raw::Empty, raw);
            shared
                .store()
                .change(|store| store.keep_request(kept, None, &Findings::default()));
            return faulty(&fault, &shared).await;
        }
    };
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }

    let mut kept = kept(&parts.method, &path, endpoint, &parts.headers);
    let answer = match read.and_then(|body| {
        kept.bytes = body.len();
        body::inflate(&body, &kept.encoding).map(|inflated| (body, inflated))
    }) {
        Err(error) => refuse(&shared, kept, &error, begun),
        Ok((body, inflated)) => {
            kept.inflated = inflated.len();
            let (answer, number) = if let (true, Endpoint::Llm(llm)) = (takes, endpoint) {
                llm::take(&shared, llm, kept, &parts, &inflated, begun)
            } else if takes {
                take(
                    &shared,
                    endpoint,
                    kept,
                    &parts.headers,
                    length,
                    &inflated,
                    begun,
                )
            } else {
                let status = if endpoint == Endpoint::Unknown {
                    StatusCode::NOT_FOUND
                } else {
                    StatusCode::METHOD_NOT_ALLOWED
                };
                kept.raw = raw(inflated);
                finish(
                    &shared,
                    kept,
                    Answer {
                        status,
                        ..Answer::ok("{}")
                    },
                    None,
                    &Findings::default(),
                    begun,
                )
            };
            if endpoint != Endpoint::RemoteConfig {
                // What another agent answered to a question for settings would reach nobody.
                shared.forward(&parts, &body, number);
            }
            answer
        }
    };
    drop(held);
    write(answer, &shared)
}
