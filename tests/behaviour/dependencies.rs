//! What a user takes on with us: how many crates, for which compiler, under which licences.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The crates that promise the project's minimum compiler.
const PUBLISHED: [&str; 3] = ["ddtrace", "ddtrace-core", "ddtrace-macros"];

/// That compiler.
const RUST_VERSION: (u32, u32) = (1, 85);

/// The most crates that the default build may have, its own included.
const MOST_CRATES: usize = 55;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

/// What a user of these packages compiles, as `name version`, build scripts and procedural macros included.
fn tree(package: &str) -> BTreeSet<String> {
    let text = cargo(&[
        "tree",
        "--package",
        package,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let crates = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some(format!(
            "{} {}",
            words.next()?,
            words.next()?.trim_start_matches('v')
        ))
    });
    crates.collect()
}

/// Every package of the lock file, as `name version`.
fn packages() -> BTreeMap<String, Value> {
    let metadata: Value = serde_json::from_str(&cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--all-features",
    ]))
    .expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let named = |package: &Value| {
        let text = |key: &str| package[key].as_str().expect("a text").to_owned();
        (
            format!("{} {}", text("name"), text("version")),
            package.clone(),
        )
    };
    packages.iter().map(named).collect()
}

#[test]
fn no_dependency_of_a_published_crate_wants_a_newer_compiler() {
    let packages = packages();
    let mut newer = Vec::new();
    for package in PUBLISHED {
        for name in tree(package) {
            let declared = packages[&name]["rust_version"].as_str().unwrap_or("1.0");
            let mut numbers = declared
                .split('.')
                .map(|number| number.parse::<u32>().expect("a number"));
            let version = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(0));
            if version > RUST_VERSION {
                newer.push(format!("{package} <- {name} wants {declared}"));
            }
        }
    }
    assert_eq!(newer, [""; 0]);
}

#[test]
fn the_default_build_is_small_and_has_nothing_twice() {
    let crates = tree("ddtrace");
    assert!(
        crates.len() <= MOST_CRATES,
        "{} crates: {crates:#?}",
        crates.len()
    );
    let mut versions = BTreeMap::<_, Vec<_>>::new();
    for name in &crates {
        let (name, version) = name.split_once(' ').expect("name and version");
        versions.entry(name).or_default().push(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "{versions:?}");
    for native in ["cc", "cmake", "bindgen", "pkg-config"] {
        assert!(
            !crates
                .iter()
                .any(|name| name.starts_with(&format!("{native} "))),
            "{native}: only Rust is compiled"
        );
    }
}

/// The first quoted text of each line of a list in `deny.toml`, from `key = [` to the `]` that ends it. Lines that allow
/// a crate below certain others are left out: that is for `cargo deny`.
fn list(toml: &str, key: &str) -> Vec<String> {
    let begin = toml
        .find(&format!("\n{key} = ["))
        .unwrap_or_else(|| panic!("{key} is in deny.toml"));
    let rest = &toml[begin..];
    let rest = &rest[..rest.find("\n]").expect("the list ends")];
    let lines = rest.lines().filter(|line| !line.contains("wrappers ="));
    lines
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn licences_and_banned_crates_are_as_deny_toml_says() {
    let toml = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    let allowed = list(&toml, "allow");
    let banned = list(&toml, "deny");
    assert!(
        allowed.contains(&"MIT".to_owned()) && banned.contains(&"openssl-sys".to_owned()),
        "deny.toml was read"
    );
    let mut wrong = Vec::new();
    for (name, package) in packages() {
        let crate_name = name.split(' ').next().expect("a name");
        if banned.iter().any(|banned| banned == crate_name) {
            wrong.push(format!("{name} is banned"));
        }
        let licence = package["license"].as_str().unwrap_or("");
        if !is_allowed(licence, &allowed) {
            wrong.push(format!("{name}: {licence:?}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// Whether a licence expression can be satisfied with the allowed licences.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    // Old manifests write a choice with a slash.
    let expression = expression.replace('/', " OR ");
    let tokens = expression.replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<_> = tokens.split_whitespace().collect();
    let (result, rest) = choice(&tokens, allowed);
    result && rest.is_empty()
}

fn choice<'a>(tokens: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut result, mut rest) = all(tokens, allowed);
    while rest.first() == Some(&"OR") {
        let (other, after) = all(&rest[1..], allowed);
        (result, rest) = (result | other, after);
    }
    (result, rest)
}

fn all<'a>(tokens: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut result, mut rest) = one(tokens, allowed);
    while rest.first() == Some(&"AND") {
        let (other, after) = one(&rest[1..], allowed);
        (result, rest) = (result & other, after);
    }
    (result, rest)
}

fn one<'a>(tokens: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    match tokens {
        ["(", rest @ ..] => {
            let (result, rest) = choice(rest, allowed);
            (result, rest.strip_prefix(&[")"]).unwrap_or(rest))
        }
        [licence, "WITH", exception, rest @ ..] => (
            allowed.contains(&format!("{licence} WITH {exception}")),
            rest,
        ),
        [licence, rest @ ..] => (allowed.iter().any(|it| it == licence), rest),
        [] => (false, tokens),
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("ISC AND (GPL-3.0 OR LGPL-3.0)", false),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}
