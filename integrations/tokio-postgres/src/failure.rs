//! What an error says.

use std::error::Error as _;

use ddtrace_core::sql::Failure;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// What the span of a failed statement says about the error.
pub(crate) fn failure(error: &Error) -> Failure {
    let Some(database) = error.as_db_error() else {
        let kind = if error.is_closed() {
            "closed"
        } else {
            kind(error)
        };
        let mut message = error.to_string();
        if let Some(cause) = error.source() {
            message.push_str(": ");
            message.push_str(&cause.to_string());
        }
        return Failure::with_message(kind, message, None);
    };
    let code = database.code();
    let kind = match code {
        code if *code == SqlState::UNIQUE_VIOLATION => "database.unique_violation",
        code if *code == SqlState::FOREIGN_KEY_VIOLATION => "database.foreign_key_violation",
        code if *code == SqlState::NOT_NULL_VIOLATION => "database.not_null_violation",
        code if *code == SqlState::CHECK_VIOLATION => "database.check_violation",
        _ => "database",
    };
    // The error's own text is no more than `db error`, and that of its cause has the details, which hold values.
    let message = format!("{}: {}", database.severity(), database.message());
    Failure::with_message(kind, message, Some(code.code()))
}

/// The library does not say what kind an error is, but what caused it.
fn kind(error: &Error) -> &'static str {
    match error.source() {
        Some(cause) if cause.is::<std::io::Error>() => "io",
        _ => "client",
    }
}
