//! `cargo ddtrace`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_ddtrace::cli::main(std::env::args_os())
}
