//! Which peers are there.
//!
//! `tests/run` starts or installs them all, names them in the environment, and sets `DDTRACE_TESTS_SERVICES=required`. Under
//! a plain `cargo test` a test whose peer is missing says so and ends.

use std::env;
use std::path::PathBuf;

/// The value of `variable`, or a line on standard error if it is not set and may be missing.
#[track_caller]
pub fn named(variable: &str) -> Option<String> {
    match env::var(variable) {
        Ok(value) => Some(value),
        Err(_) if env::var("DDTRACE_TESTS_SERVICES").as_deref() == Ok("required") => {
            panic!(
                "{variable} is not set, and DDTRACE_TESTS_SERVICES says that every service is there"
            )
        }
        Err(_) => {
            eprintln!("left out: {variable} is not set; `bash tests/run` sets it");
            None
        }
    }
}

/// The Python of the environment with the Python tracer.
#[track_caller]
pub fn python() -> Option<PathBuf> {
    named("PYTHON").map(PathBuf::from)
}
