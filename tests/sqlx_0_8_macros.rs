//! The checked macros of sqlx 0.8.
//!
//! A test binary of its own: the macros name the crate `sqlx`, which means the other line in `behaviour`.

extern crate sqlx_0_8 as sqlx;

use ddtrace::sqlx_0_8::Traced;

#[path = "sqlx_macros/cases.rs"]
mod cases;
