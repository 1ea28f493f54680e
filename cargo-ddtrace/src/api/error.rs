//! What the API answers when it cannot.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::search::BadQuery;

/// An answer of 400 and above.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    sentence: String,
    at: Option<usize>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, sentence: impl Into<String>) -> ApiError {
        ApiError {
            status,
            code,
            sentence: sentence.into(),
            at: None,
        }
    }

    /// A parameter that cannot be understood.
    pub fn parameter(name: &str, expected: &str) -> ApiError {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "bad_parameter",
            format!("{name}: expected {expected}"),
        )
    }

    /// A body that cannot be understood.
    pub fn body(sentence: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_body", sentence)
    }

    /// Nothing of that name.
    pub fn not_found(what: &str) -> ApiError {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("{what} is not known"),
        )
    }

    /// It was there.
    pub fn evicted(what: &str) -> ApiError {
        ApiError::new(
            StatusCode::GONE,
            "evicted",
            format!("{what} made room for newer data"),
        )
    }

    /// Not from there, or not so.
    pub fn forbidden(sentence: &str) -> ApiError {
        ApiError::new(StatusCode::FORBIDDEN, "forbidden", sentence)
    }

    /// Only with the token.
    pub fn token_required() -> ApiError {
        let sentence =
            "the token is missing or wrong; it is in the page and in the line of --announce json";
        ApiError::new(StatusCode::FORBIDDEN, "token_required", sentence)
    }

    /// For another host.
    pub fn misdirected(sentence: String) -> ApiError {
        ApiError::new(StatusCode::MISDIRECTED_REQUEST, "forbidden", sentence)
    }

    /// More headers than any client needs.
    pub fn headers_too_large() -> ApiError {
        let sentence = "the headers are over 32 KiB";
        ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "too_large",
            sentence,
        )
    }

    /// It would be for nothing.
    pub fn refused(sentence: String) -> ApiError {
        ApiError::new(StatusCode::CONFLICT, "refused", sentence)
    }

    /// Too many at once.
    pub fn busy(sentence: &str) -> ApiError {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "busy", sentence)
    }
}

impl From<BadQuery> for ApiError {
    fn from(bad: BadQuery) -> ApiError {
        ApiError {
            status: StatusCode::BAD_REQUEST,
            code: "bad_query",
            sentence: bad.sentence,
            at: Some(bad.at),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"error": self.sentence, "code": self.code});
        if let Some(at) = self.at {
            body["at"] = at.into();
        }
        (self.status, axum::Json(body)).into_response()
    }
}
