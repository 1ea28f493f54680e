//! The local agent, its viewer, and the commands `cargo ddtrace agent | run | exec`.

pub mod api;
pub mod viewer;
