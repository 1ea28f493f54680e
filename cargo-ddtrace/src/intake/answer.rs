//! Answers of the intake, the wrong ones included.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::faults::Do;
use crate::api::Shared;
use crate::validate::Rule;

pub(super) const AGENT_STATE: header::HeaderName =
    header::HeaderName::from_static("datadog-agent-state");
pub(super) const RATES_VERSION: header::HeaderName =
    header::HeaderName::from_static("datadog-rates-payload-version");

/// An answer before it is written.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
    pub(super) rates_version: Option<String>,
}

impl Answer {
    pub(super) fn ok(body: &str) -> Answer {
        Answer {
            status: StatusCode::OK,
            body: body.to_owned(),
            rates_version: None,
        }
    }

    pub(super) fn error(
        status: StatusCode,
        rule: &Rule,
        detail: &str,
        at: Option<usize>,
    ) -> Answer {
        let sentence = if detail.is_empty() {
            rule.sentence.to_owned()
        } else {
            format!("{}: {detail}", rule.sentence)
        };
        let body = serde_json::json!({"error": sentence, "rule": rule.id, "at": at}).to_string();
        Answer {
            status,
            body,
            rates_version: None,
        }
    }
}

pub(super) fn write(answer: Answer, shared: &Shared) -> Response {
    let mut response = (
        answer.status,
        [
            (header::CONTENT_TYPE, "application/json"),
            (AGENT_STATE, shared.info().state.as_str()),
        ],
        answer.body,
    )
        .into_response();
    if let Some(version) = answer
        .rates_version
        .and_then(|version| HeaderValue::from_str(&version).ok())
    {
        response.headers_mut().insert(RATES_VERSION, version);
    }
    response
}

/// Does what a fault says instead of answering.
pub(super) async fn faulty(fault: &Do, shared: &Shared) -> Response {
    let json = (header::CONTENT_TYPE, "application/json");
    let state = (AGENT_STATE, shared.info().state.as_str());
    match fault {
        Do::Status(status, body) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [json, state], body.clone()).into_response()
        }
        Do::Garbage => {
            ([json, state], Bytes::from_static(b"\xff\xfe{]garbage\0\0")).into_response()
        }
        // The server closes a connection whose body ends before its announced length; for a client both are a body that
        // breaks off, once at once and once after a part of it.
        Do::WrongLength => (
            [json, state, (header::CONTENT_LENGTH, "4096")],
            short_body(b"{}"),
        )
            .into_response(),
        Do::Close => ([json, state], short_body(b"{\"rate_by_ser")).into_response(),
        // Ends when the client leaves: the connection drops this future.
        Do::Hang | Do::Delay(_) => std::future::pending().await,
    }
}

/// A body that breaks off after these bytes.
fn short_body(bytes: &'static [u8]) -> Body {
    let (mut sender, body) = http_body_util::channel::Channel::<Bytes, std::io::Error>::new(1);
    tokio::spawn(async move {
        // What fails here fails because the client left, which is what the fault is about.
        let _ = sender.send_data(Bytes::from_static(bytes)).await;
        // What is not written yet would be lost with the connection.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        sender.abort(std::io::Error::other(
            "this answer breaks off, as was asked",
        ));
    });
    Body::new(body)
}
