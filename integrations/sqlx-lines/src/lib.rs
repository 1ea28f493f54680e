//! What the wrappers of sqlx's lines have in common, as macros.
//!
//! sqlx 0.8 and 0.9 have traits and types of the same names that the compiler takes for different ones, and most of a
//! wrapper implements the ones for the others: no function or type can be written once for both. What does not touch
//! sqlx's types is in `ddtrace_core::sql`. The rest is shared as text: each macro here is a module, or a part of one, that a
//! line's crate has, and its paths (`sqlx_core`, `crate::driver`) are those of the crate that it is written out in. What a
//! line spells differently is an argument; what it does differently stays with it.
//!
//! | macro | in the module | what it is |
//! | --- | --- | --- |
//! | [`database!`] | `database` | settings, what is known about each database, taking a connection from a pool |
//! | [`failure!`] | `failure` | what an error says |
//! | [`traced!`] | `traced` | the wrapper |
//! | [`executors!`] | `executor` | `Executor` for whatever the wrapper wraps |
//! | [`runs!`] | `driver` | handing queries on to sqlx |
//!
//! A crate that uses them depends on `ddtrace-core`, `futures-core`, and on `sqlx-core` and the drivers under these names; it has
//! the features `_sqlite`, `mysql` and `postgres`, modules of the names in the table, and `execute`, which is all its own.

// The paths are meant for the crate that they are written out in.
#![allow(clippy::crate_in_macro_def)]

mod database;
mod executor;
mod failure;
mod runs;
mod traced;
