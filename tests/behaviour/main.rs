//! Behaviour across crates, against real peers: one module per subject.

mod bad_weather;
mod ci_environment;
mod dependencies;
mod disabled;
mod program;
mod python;
mod registry;
mod sending;
mod shop;
mod soak;
mod sqlx_postgres;
mod test_agent;
