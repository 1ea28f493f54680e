//! `cargo ddtrace test` on a workspace with every kind of test, beside plain `cargo test`.

mod backend;
mod output;
mod sample;
mod weather;
