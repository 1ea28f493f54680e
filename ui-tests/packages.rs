//! Programs that depend on `ddtrace` under another name, through a library, or without the feature `enabled`. They are
//! packages of their own (`packages/`), built here with the same cargo into the same target directory.

use std::path::Path;
use std::process::Command;

fn test(packages: &[&str]) {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("packages/Cargo.toml");
    // The directory of the workspace, from where this very test is.
    let here = std::env::current_exe().expect("a test knows where it is");
    let target = here.ancestors().nth(3).expect("target/debug/deps/test");
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["test", "--quiet", "--locked", "--lib", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(target.join("ui-packages"));
    for package in packages {
        command.args(["--package", package]);
    }
    let output = command.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn other_names_and_re_exports_work() {
    test(&["renamed", "through"]);
}

#[test]
fn without_the_feature_nothing_is_recorded() {
    test(&["disabled"]);
}
