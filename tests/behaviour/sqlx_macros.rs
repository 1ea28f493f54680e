//! The checked macros of sqlx 0.9.

use ddtrace::sqlx::Traced;

#[path = "../sqlx_macros/cases.rs"]
mod cases;
