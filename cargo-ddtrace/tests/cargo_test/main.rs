//! `cargo ddtrace test` on a workspace with every kind of test, beside plain `cargo test`.

mod backend;
mod checkouts;
mod delivery;
mod impact;
mod intake;
mod output;
mod published;
mod sample;
mod weather;
