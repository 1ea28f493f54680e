//! A crate that is listed in a manifest but never named is not linked: the facade has to name every integration.
//!
//! Here for the debug build; `tests/long/registry` does the same for release builds with and without link-time optimisation.

use crate::program::command;
use ddtrace_tests::process;
use serde_json::json;

#[test]
fn every_integration_and_every_annotated_function_is_listed() {
    let ended = process::run(&mut command(&["registry"], "http://127.0.0.1:9"));
    let expected = json!({
        "integrations": [
            "aws-sdk 1",
            "axum 0.8",
            "hyper 1",
            "kafka 0.39",
            "log 0.4",
            "opentelemetry 0.33",
            "rabbitmq 4",
            "redis 1",
            "reqwest 0.13",
            "sqlx 0.8",
            "sqlx 0.9",
            "tokio_postgres 0.7",
            "tonic 0.14",
            "tower 0.3",
            "tracing 0.1",
        ],
        "sites": 7,
    });
    assert_eq!(ended.report(), expected);
}
