//! The cases that both lines of sqlx share, for this one.

use ddtrace_sqlx_0_8::Traced;

#[path = "../../sqlx-lines/cases/sqlite.rs"]
mod cases;

/// The text of a statement to prepare.
fn text(statement: &'static str) -> &'static str {
    statement
}
