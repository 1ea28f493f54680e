//! The test programs, started with the settings of a test.

use ddtrace_tests::process::{self, Ended, Process};
use serde_json::Value;
use std::process::Command;

/// A subcommand of the test program, to be sent to this agent, with no other settings.
pub(crate) fn command(arguments: &[&str], agent_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddtrace-test-program"));
    command.args(arguments);
    for (name, _) in std::env::vars() {
        if name.starts_with("DD_") || name.starts_with("_DD_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
        .env("DD_TRACE_AGENT_URL", agent_url)
        .env("DD_SERVICE", "tests")
        .env("RUST_BACKTRACE", "1");
    command
}

/// Runs one to its end and gives its last line.
#[track_caller]
pub(crate) fn run(arguments: &[&str], agent_url: &str) -> (Value, Ended) {
    let ended = process::run(&mut command(arguments, agent_url));
    (ended.report(), ended)
}

/// Starts one that listens.
#[track_caller]
pub(crate) fn start(arguments: &[&str], agent_url: &str) -> Process {
    Process::start(&mut command(arguments, agent_url))
}

/// A number of a report.
#[track_caller]
pub(crate) fn number(report: &Value, key: &str) -> u64 {
    report[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} is no number: {report}"))
}

/// Fails the test unless every span that was made was sent, counted as dropped, or rejected by sampling.
#[track_caller]
pub(crate) fn assert_balanced(report: &Value) {
    let number = |key| number(report, key);
    assert_eq!(
        number("made"),
        number("sent") + number("dropped") + number("unsampled"),
        "{report}"
    );
}
