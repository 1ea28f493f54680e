//! `cargo-ddtrace runner [USER'S RUNNER… --] BINARY ARGUMENTS…`: what cargo starts in place of a test binary.
//!
//! ```text
//!                 ┌ policy: the coordinator (link), or nobody
//! list ─▶ engine ─┤
//!                 └ events ─▶ terminal
//! ```
//!
//! The engine runs tests and tells what happens; reporters consume events: the terminal here, CI Visibility and JUnit in the
//! coordinator, which learns of every run because it decides what follows. Nothing of ours is linked into the
//! tests' process, and nothing of ours may fail them: wherever the runner does not understand what it sees, it
//! replaces itself by the binary.

pub(crate) mod arguments;
mod engine;
pub mod event;
pub(crate) mod failure;
pub mod harness;
pub(crate) mod isolated;
mod list;
mod log;
pub(crate) mod os;
pub(crate) mod output;
pub(crate) mod process;
mod shared;
mod terminal;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arguments::{Arguments, Colour, Wish};
use engine::Engine;
use event::{Listed, Plainly, Policy};
use harness::Harness;
pub(crate) use isolated::PROFILE;
use process::Binary;
use terminal::Terminal;

use super::link::{Hello, Invitation, Link, Linked, Surroundings, VARIABLE, Welcome};

/// Runs a binary in place of cargo.
pub fn main(words: Vec<OsString>) -> ExitCode {
    let Some((chain, binary, words)) = split(words) else {
        eprintln!(
            "ddtrace: runner needs the path of a test binary: cargo-ddtrace runner [RUNNER… --] BINARY ARGUMENTS…"
        );
        return ExitCode::from(2);
    };
    let invitation = std::env::var(VARIABLE)
        .ok()
        .and_then(|text| serde_json::from_str::<Invitation>(&text).ok());
    let mut binary = Binary {
        path: binary,
        chain,
        restore: Vec::new(),
        surroundings: None,
    };
    if let Some(invitation) = &invitation {
        binary
            .chain
            .extend(invitation.chain.iter().map(OsString::from));
        binary.restore.clone_from(&invitation.restore);
    }
    binary.restore.push((VARIABLE.to_owned(), None));

    if is_doctest(&binary.path) {
        return replace(&binary, &words, true);
    }
    let wish = Wish::read(&words);
    let Wish::Run(arguments) = wish else {
        return replace(&binary, &words, false);
    };
    if !is_enabled() {
        return replace(&binary, &words, false);
    }
    let socket = match &invitation {
        Some(invitation) => Some(invitation.socket.clone()),
        // `cargo run` comes here as well if the user configured this runner.
        None if !is_test_binary(&binary.path) => return replace(&binary, &words, false),
        None => super::coordinator::detached::find_or_start(),
    };
    process::pass_signals();
    // Where no process may stay behind, each binary has a session of its own.
    let own = match &socket {
        None => super::Own::of_this_runner(),
        Some(_) => None,
    };
    let socket = socket.or_else(|| own.as_ref().map(super::Own::socket));
    let hello = Hello {
        binary: binary.path.clone(),
        package: std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from),
        is_doctest: false,
        pid: std::process::id(),
        nextest_attempt: std::env::var("NEXTEST_ATTEMPT")
            .ok()
            .and_then(|attempt| attempt.parse().ok()),
        surroundings: surroundings(&binary),
    };
    match socket.and_then(|socket| Link::connect(&socket, hello)) {
        Some((mut link, welcome)) => {
            let (status, was_run) = run(&binary, &arguments, &welcome, Some(&mut link));
            if was_run && !link.is_alive() {
                eprintln!(
                    "ddtrace: the coordinator does not answer; {} ended as plain cargo test would",
                    shown(&binary.path)
                );
            }
            link.end(process::interrupted() != 0);
            if let Some(own) = own {
                own.end();
            }
            if was_run {
                status
            } else {
                replace(&binary, &words, false)
            }
        }
        None => replace(&binary, &words, false),
    }
}

/// Runs the tests. False: the binary can't be understood, and nothing was started.
fn run(
    binary: &Binary,
    arguments: &Arguments,
    welcome: &Welcome,
    link: Option<&mut Link>,
) -> (ExitCode, bool) {
    let harness = Harness::of(&binary.path, welcome.declared);
    let tests = match harness {
        Harness::Foreign => Some(vec![Listed {
            name: "main".to_owned(),
            ..Listed::default()
        }]),
        _ => list::list(binary, arguments, harness),
    };
    let Some(tests) = tests else {
        return (ExitCode::FAILURE, false);
    };
    let is_terminal = std::io::stdout().is_terminal();
    let engine = Engine {
        binary,
        arguments,
        harness,
        tests: &tests,
        isolate: welcome.isolate,
        timeout: welcome.timeout,
        runs: welcome.runs.as_deref(),
        names: welcome.names.as_ref(),
        colour: is_terminal,
    };
    let colour = match arguments.colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => is_terminal,
    };
    let mut terminal = Terminal::new(
        std::io::stdout(),
        std::io::stderr(),
        colour,
        arguments.quiet,
    );
    let mut plainly = Plainly::default();
    let mut linked;
    let policy: &mut dyn Policy = match link {
        Some(link) => {
            linked = Linked { link, harness };
            &mut linked
        }
        None => &mut plainly,
    };
    let ended = if harness == Harness::Foreign {
        engine.foreign(policy, &mut terminal)
    } else {
        engine.run(policy, &mut terminal)
    };
    match ended {
        Ok(status) => (ExitCode::from(status), true),
        Err(error) => {
            eprintln!("ddtrace: {} could not be run: {error}", shown(&binary.path));
            (ExitCode::from(engine::FAILED), true)
        }
    }
}

/// What the coordinator needs to run a test once more when cargo, which sets the variables, has ended.
fn surroundings(binary: &Binary) -> Option<Surroundings> {
    let is_wanted = std::env::var("_DD_CIVISIBILITY_OUT_OF_SESSION_RETRIES_ENABLED")
        .is_ok_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let restored = binary.restore.iter().find(|(one, _)| *one == name);
        let value = match restored {
            Some((_, before)) => before.clone()?,
            None => value.into_string().ok()?,
        };
        Some((name, value))
    });
    let chain = binary
        .chain
        .iter()
        .map(|word| word.to_string_lossy().into_owned());
    is_wanted.then(|| Surroundings {
        folder: std::env::current_dir().unwrap_or_default(),
        chain: chain.collect(),
        variables: variables.collect(),
    })
}

fn shown(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
}

/// The user's own runner, the binary and its arguments.
fn split(mut words: Vec<OsString>) -> Option<(Vec<OsString>, PathBuf, Vec<OsString>)> {
    let mut chain = Vec::new();
    // Cargo gives the binary's absolute path; anything else in its place is a runner of the user's own.
    if !words
        .first()
        .is_some_and(|word| Path::new(word).is_absolute() && Path::new(word).is_file())
        || words
            .iter()
            .position(|word| word == "--")
            .is_some_and(|at| {
                words.get(at + 1).is_some_and(|next| {
                    is_test_binary(Path::new(next)) && Path::new(next).is_file()
                })
            })
    {
        let at = words.iter().position(|word| word == "--")?;
        let rest = words.split_off(at + 1);
        words.pop();
        chain = words;
        words = rest;
    }
    let mut words = words.into_iter();
    let binary = PathBuf::from(words.next()?);
    Some((chain, binary, words.collect()))
}

/// rustdoc names its binaries so.
fn is_doctest(binary: &Path) -> bool {
    binary
        .file_stem()
        .is_some_and(|stem| stem.to_string_lossy().starts_with("rust_out"))
}

/// Whether cargo named a binary as it names those of tests: `name-` and 16 hexadecimal digits.
fn is_test_binary(binary: &Path) -> bool {
    binary
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .and_then(|stem| {
            let (_, hash) = stem.rsplit_once('-')?;
            Some(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
        })
        .unwrap_or(false)
}

/// `DD_CIVISIBILITY_ENABLED`, on by default.
pub(crate) fn is_enabled() -> bool {
    std::env::var("DD_CIVISIBILITY_ENABLED").map_or(true, |value| {
        value.is_empty() || value == "1" || value.eq_ignore_ascii_case("true")
    })
}

/// Becomes the binary.
fn replace(binary: &Binary, words: &[OsString], is_doctest: bool) -> ExitCode {
    let mut command = binary.command();
    command.args(words);
    // With a runner rustdoc leaves this out, and merged doctests would all run in one process and warn.
    if is_doctest && std::env::var_os("RUSTDOC_DOCTEST_BIN_PATH").is_none() {
        command.env("RUSTDOC_DOCTEST_BIN_PATH", &binary.path);
    }
    let error = command.exec();
    eprintln!("ddtrace: cannot start {}: {error}", binary.path.display());
    ExitCode::from(127)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_of_the_users_own_stands_before_two_dashes() {
        let own = std::env::current_exe().unwrap();
        let own = own.to_str().unwrap();
        let words = |text: &str| text.split_whitespace().map(OsString::from).collect();
        let (chain, binary, rest) = split(words(&format!("{own} --exact -- a"))).unwrap();
        assert_eq!(
            (chain.len(), binary.to_str(), rest.len()),
            (0, Some(own), 3)
        );
        let (chain, binary, rest) = split(words(&format!("qemu -L /x -- {own} a"))).unwrap();
        assert_eq!(
            (chain.len(), binary.to_str(), rest.len()),
            (3, Some(own), 1)
        );
        let (chain, binary, _) = split(words(&format!("/bin/sh -c -- {own} a"))).unwrap();
        assert_eq!((chain.len(), binary.to_str()), (2, Some(own)));
        assert!(split(words("qemu -L /x")).is_none());
    }

    #[test]
    fn binaries_of_tests_are_told_by_their_names() {
        for (name, is_test) in [
            ("/t/debug/deps/shop-e6daf73c296d6df0", true),
            ("/t/debug/shop", false),
            ("/t/debug/my-tool", false),
            ("/tmp/rustdoctest1/rust_out", false),
        ] {
            assert_eq!(is_test_binary(Path::new(name)), is_test, "{name}");
        }
        assert!(is_doctest(Path::new("/tmp/rustdoctest1/rust_out")));
    }
}
