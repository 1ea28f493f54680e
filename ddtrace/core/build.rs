//! Hands the compiler's version to the crate: agents want it in `Datadog-Meta-Lang-Version`.

use std::process::Command;

fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = Command::new(rustc).arg("--version").output().ok();
    let version = printed
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=DDTRACE_RUSTC_VERSION={version}");
    println!("cargo::rerun-if-changed=build.rs");
}
