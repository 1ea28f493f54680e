//! A published crate as it is: the package of `strsim` that this workspace depends on, with its tests and doctests.

use std::path::{Path, PathBuf};

use crate::output::comparable;
use crate::sample::{ddtrace_in, plain, run};

/// The package's folder in cargo's registry.
fn package(name: &str) -> PathBuf {
    let output = std::process::Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == name)
        .unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if !target.exists() {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

#[test]
fn a_published_crate_prints_the_same_and_is_counted_the_same() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cargo-test-strsim");
    copy(&package("strsim"), &folder);
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    if !manifest.contains("[workspace]") {
        std::fs::write(
            folder.join("Cargo.toml"),
            format!("{manifest}\n[workspace]\n"),
        )
        .unwrap();
    }
    let words = ["test", "--offline", "--", "--test-threads=1"];
    let mut cargo = plain(&folder);
    cargo.args(words);
    let cargo = run(cargo);
    assert_eq!(cargo.code(), Some(0), "{}", cargo.err);
    let mut ours = words.to_vec();
    ours.splice(1..1, ["--summary", "json"]);
    let ours = run(ddtrace_in(&folder, &ours));
    assert_eq!(ours.code(), Some(0), "{}", ours.err);
    let summary = ours.summary();
    let mut printed = comparable(&ours.text());
    printed.pop();
    assert_eq!(printed, comparable(&cargo.text()));
    let passed: u64 = cargo
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("test result: ok. "))
        .map(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert!(passed > 80, "{passed}");
    assert_eq!(summary["passed"], passed);
}
