//! Behaviour across crates, against real peers: one module per subject.

mod bad_weather;
mod dependencies;
mod disabled;
mod dogstatsd;
mod program;
mod python;
mod registry;
mod remote_config;
mod sending;
mod shop;
mod soak;
mod sqlx_postgres;
mod telemetry;
mod test_agent;
