//! What has to be known of cargo and the compiler before `cargo test` starts, and how it is started.
//!
//! The runner is given to cargo by `CARGO_TARGET_<TRIPLE>_RUNNER`, which wins over any that the configuration names;
//! so that one is looked up first and chained. Cargo answers for its own configuration (`cargo config get`, unstable, hence with
//! `RUSTC_BOOTSTRAP=1` in that process only), so its files are not read a second way. rustdoc is reached through
//! `RUSTDOC`: the outcomes of doctests are known to nobody else.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::test::link::{Invitation, VARIABLE};
use crate::test::runner::PROFILE;
use crate::test::runner::isolated::OTHERS;
use crate::test::wrapper::WRAPPER;

/// How long one question may take; the first use of a toolchain may install it.
const TIME: Duration = Duration::from_secs(60);

/// The tools, and what they say of themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Toolchain {
    /// `1.95.0`
    pub(crate) rustc: String,
    /// The target that tests are compiled for.
    pub(crate) triple: String,
    /// The runner that the user has.
    pub(crate) runner: Vec<String>,
    /// The wrapper around rustc that the user has for members.
    pub(crate) wrapper: Option<String>,
    /// Everything that decides about artifacts besides the sources, as one text: the compiler, cargo's configuration, variables.
    pub(crate) circumstances: String,
}

/// The value of an option of cargo's.
fn option<'w>(words: &'w [OsString], name: &str) -> Option<&'w str> {
    let mut words = words
        .iter()
        .take_while(|word| *word != "--")
        .map(|word| word.to_str().unwrap_or_default());
    while let Some(word) = words.next() {
        if word == name {
            return words.next();
        }
        if let Some(value) = word
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
        {
            return Some(value);
        }
    }
    None
}

async fn output(mut command: Command) -> Option<String> {
    command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(TIME, command.output())
        .await
        .ok()?
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Cargo as it was started, or from the path.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn rustc() -> OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// Asks the tools.
pub(crate) async fn toolchain(words: &[OsString]) -> Toolchain {
    let mut version = Command::new(rustc());
    version.arg("-vV");
    let mut config = Command::new(cargo());
    config
        .args([
            "-Z",
            "unstable-options",
            "config",
            "get",
            "--format",
            "json",
        ])
        .env("RUSTC_BOOTSTRAP", "1");
    let (version, config) = tokio::join!(output(version), output(config));
    let line = |start: &str| {
        let line = version
            .as_deref()
            .unwrap_or_default()
            .lines()
            .find_map(|line| line.strip_prefix(start));
        line.unwrap_or_default().trim().to_owned()
    };
    let circumstances = circumstances(version.as_deref(), config.as_deref());
    let config: Value = config
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let triple = option(words, "--target")
        .map(str::to_owned)
        .or_else(|| std::env::var("CARGO_BUILD_TARGET").ok())
        .or_else(|| match &config["build"]["target"] {
            Value::String(target) => Some(target.clone()),
            Value::Array(targets) => targets.first()?.as_str().map(str::to_owned),
            _ => None,
        })
        .map(|target| {
            // A specification in a file is named by its stem.
            Path::new(&target)
                .file_stem()
                .filter(|_| target.ends_with(".json"))
                .map_or(target.clone(), |stem| stem.to_string_lossy().into_owned())
        })
        .unwrap_or_else(|| line("host: "));
    let runner = match std::env::var(runner_variable(&triple)) {
        Ok(runner) => runner.split_whitespace().map(str::to_owned).collect(),
        Err(_) => configured_runner(&config["target"], &triple).await,
    };
    Toolchain {
        rustc: line("release: "),
        runner: without_us(runner),
        triple,
        wrapper: std::env::var(WRAPPER).ok().or_else(|| {
            let configured = &config["build"]["rustc-workspace-wrapper"];
            configured.as_str().map(str::to_owned)
        }),
        circumstances,
    }
}

/// What besides the sources decides how things are compiled. Words of the command that choose features, profile or target show in
/// the names that cargo gives to binaries.
fn circumstances(version: Option<&str>, config: Option<&str>) -> String {
    let decides = |name: &str| {
        [
            "CARGO_BUILD_",
            "CARGO_PROFILE_",
            "CARGO_TARGET_",
            "CARGO_UNSTABLE_",
        ]
        .iter()
        .any(|start| name.starts_with(start) && name != "CARGO_TARGET_DIR")
            || [
                "RUSTFLAGS",
                "CARGO_ENCODED_RUSTFLAGS",
                "RUSTC",
                "RUSTC_WRAPPER",
                "RUSTUP_TOOLCHAIN",
            ]
            .contains(&name)
    };
    let mut variables: Vec<String> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| decides(name))
        .map(|(name, value)| format!("{name}={}", value.to_string_lossy()))
        .collect();
    variables.sort();
    let (version, config) = (version.unwrap_or_default(), config.unwrap_or_default());
    format!("{version}\n{config}\n{}", variables.join("\n"))
}

/// A user may have configured this very runner.
fn without_us(runner: Vec<String>) -> Vec<String> {
    let is_ours = runner.first().is_some_and(|word| {
        Path::new(word)
            .file_stem()
            .is_some_and(|stem| stem == "cargo-ddtrace")
    }) && runner.get(1).is_some_and(|word| word == "runner");
    if !is_ours {
        return runner;
    }
    runner[2..]
        .iter()
        .filter(|word| *word != "--")
        .cloned()
        .collect()
}

async fn configured_runner(targets: &Value, triple: &str) -> Vec<String> {
    let words = |value: &Value| -> Vec<String> {
        match &value["runner"] {
            Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
            Value::Array(words) => words
                .iter()
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    };
    let named = words(&targets[triple]);
    if !named.is_empty() {
        return named;
    }
    let Some(targets) = targets.as_object() else {
        return Vec::new();
    };
    let mut conditional = targets
        .iter()
        .filter(|(name, value)| name.starts_with("cfg(") && !words(value).is_empty())
        .peekable();
    if conditional.peek().is_none() {
        return Vec::new();
    }
    let mut command = Command::new(rustc());
    command.args(["--print", "cfg", "--target", triple]);
    let facts = output(command).await.unwrap_or_default();
    let facts: Vec<&str> = facts.lines().collect();
    conditional
        .find(|(name, _)| super::cfg::holds(name, &facts))
        .map_or_else(Vec::new, |(_, value)| words(value))
}

/// The variable that names the runner for a target.
pub(crate) fn runner_variable(triple: &str) -> String {
    let name = triple.to_ascii_uppercase().replace(['-', '.'], "_");
    format!("CARGO_TARGET_{name}_RUNNER")
}

/// Asks cargo for the workspace's targets.
pub(crate) async fn metadata(words: &[OsString], folder: Option<&Path>) -> Option<Value> {
    let mut command = Command::new(cargo());
    command.args(["metadata", "--format-version", "1", "--no-deps"]);
    if let Some(path) = option(words, "--manifest-path") {
        command.args(["--manifest-path", path]);
    }
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    serde_json::from_str(&output(command).await?).ok()
}

/// Variables that make cargo compile members with counters. What runs by itself, as doctests do, leaves what it counted in the
/// session's folder, with which it goes.
pub(crate) fn counting(folder: &Path) -> Option<[(&'static str, OsString); 2]> {
    let program = std::env::current_exe().ok()?;
    let others = folder.join(OTHERS).join("%p-%m.profraw");
    Some([(WRAPPER, program.into()), (PROFILE, others.into())])
}

/// Variables that lead cargo's children to the coordinator; `folder` holds the socket and links to this program.
pub(crate) fn environment(toolchain: &Toolchain, folder: &Path) -> Vec<(String, String)> {
    let runner = runner_variable(&toolchain.triple);
    let before = |name: &str| (name.to_owned(), std::env::var(name).ok());
    let invitation = Invitation {
        socket: folder.join("socket"),
        chain: toolchain.runner.clone(),
        wrapper: toolchain.wrapper.clone(),
        restore: vec![
            before(&runner),
            before(WRAPPER),
            before("RUSTDOC"),
            (VARIABLE.to_owned(), None),
        ],
    };
    let text = serde_json::to_string(&invitation).unwrap_or_default();
    vec![
        (
            runner,
            format!("{} runner", folder.join("cargo-ddtrace").display()),
        ),
        (
            "RUSTDOC".to_owned(),
            folder.join("rustdoc").display().to_string(),
        ),
        (VARIABLE.to_owned(), text),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_options_are_found_before_the_two_dashes() {
        let words: Vec<OsString> = [
            "-p",
            "a",
            "--target=x",
            "--manifest-path",
            "m",
            "--",
            "--target",
            "y",
        ]
        .iter()
        .map(OsString::from)
        .collect();
        assert_eq!(option(&words, "--target"), Some("x"));
        assert_eq!(option(&words, "--manifest-path"), Some("m"));
        assert_eq!(option(&words[5..], "--target"), None);
    }

    #[test]
    fn the_variable_is_spelt_as_cargo_spells_it() {
        assert_eq!(
            runner_variable("thumbv8m.main-none-eabi"),
            "CARGO_TARGET_THUMBV8M_MAIN_NONE_EABI_RUNNER"
        );
    }

    #[test]
    fn a_runner_of_ours_is_not_chained_to_itself() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            without_us(words("/x/cargo-ddtrace runner qemu -L /x --")),
            words("qemu -L /x")
        );
        assert_eq!(without_us(words("qemu -L /x")), words("qemu -L /x"));
        assert!(without_us(words("cargo-ddtrace runner")).is_empty());
    }

    #[tokio::test]
    async fn a_configured_runner_is_found_by_name_before_condition() {
        let targets = serde_json::json!({
            "cfg(all())": {"runner": "by condition"},
            "a-b": {"runner": ["by", "name"]},
        });
        assert_eq!(configured_runner(&targets, "a-b").await, ["by", "name"]);
        assert_eq!(
            configured_runner(&targets, env_triple().as_str()).await,
            ["by", "condition"]
        );
        assert!(configured_runner(&Value::Null, "a-b").await.is_empty());
    }

    fn env_triple() -> String {
        format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
    }
}
