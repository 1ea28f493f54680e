//! Behaviour across crates, against real peers: one module per subject.

mod bad_weather;
mod ci_environment;
mod data_streams;
mod dependencies;
mod disabled;
mod dogstatsd;
mod flare;
mod journey;
mod kafka;
mod llmobs;
mod logging;
mod opentelemetry;
mod program;
mod python;
mod registry;
mod remote_config;
mod sending;
mod shop;
mod soak;
mod sqlx_macros;
mod sqlx_mysql;
mod sqlx_postgres;
mod startup;
mod statistics;
mod telemetry;
mod test_agent;
