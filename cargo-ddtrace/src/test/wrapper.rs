//! rustc as cargo starts it for members of the workspace: with counters in what it compiles.
//!
//! Cargo is given this program as `RUSTC_WORKSPACE_WRAPPER`, which it starts for members only and counts among what makes their
//! artifacts: dependencies are not compiled again, and both kinds of artifacts lie side by side in one target folder. For that the
//! wrapper's path has to be the same each time, so it is the program itself and not a link in the session's folder.
//!
//! Build scripts and procedural macros run while others are compiled, where nobody wants counters; questions to the compiler (`-vV`,
//! `--print`, what build scripts probe) pass through. If a crate can't be compiled with counters it is compiled without, and a line says so: its
//! files then have no line that can be seen, which every test counts as touched by.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use super::link::{Invitation, VARIABLE};

/// The variable by which cargo learns of a wrapper for members.
pub(crate) const WRAPPER: &str = "RUSTC_WORKSPACE_WRAPPER";

/// Whether cargo started this program as a wrapper.
pub(crate) fn is_called(words: &[OsString]) -> bool {
    let (Some(program), Some(wrapper)) = (words.first(), std::env::var_os(WRAPPER)) else {
        return false;
    };
    *program == wrapper && words.len() > 1 && std::env::var_os(VARIABLE).is_some()
}

/// Runs the compiler: its path, then its arguments.
pub(crate) fn main(words: &[OsString]) -> ExitCode {
    let before = std::env::var(VARIABLE)
        .ok()
        .and_then(|text| serde_json::from_str::<Invitation>(&text).ok())
        .and_then(|invitation| invitation.wrapper);
    let mut program: Vec<&OsStr> = before.iter().map(OsStr::new).collect();
    program.extend(words.iter().map(OsString::as_os_str));
    let Some((program, words)) = program.split_first() else {
        return ExitCode::from(2);
    };
    let command = || {
        let mut command = Command::new(program);
        command.args(words);
        command
    };
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    if !wants_counters(&words) {
        let error = command().exec();
        return cannot_start(program, &error);
    }
    let mut counted = command();
    counted.args(["-C", "instrument-coverage"]);
    match counted.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        // Most likely it is no Rust, and the compiler has said so; then it says nothing else the second time.
        Ok(status) => match command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
        {
            Ok(without) if without.success() => {
                let name = after(&words, "--crate-name").unwrap_or_default();
                eprintln!(
                    "ddtrace: {name} can't be compiled with coverage and is compiled without"
                );
                ExitCode::SUCCESS
            }
            _ => ExitCode::from(super::runner::process::as_status(status)),
        },
        Err(error) => cannot_start(program, &error),
    }
}

fn cannot_start(program: &OsStr, error: &std::io::Error) -> ExitCode {
    let program = Path::new(program).display();
    eprintln!("ddtrace: cannot start {program}: {error}");
    ExitCode::from(127)
}

/// The word behind another.
fn after<'w, S: AsRef<str>>(words: &'w [S], name: &str) -> Option<&'w str> {
    let at = words.iter().position(|word| word.as_ref() == name)?;
    words.get(at + 1).map(AsRef::as_ref)
}

/// Whether these arguments compile a crate whose code runs in tests.
fn wants_counters<S: AsRef<str>>(words: &[S]) -> bool {
    let pairs = words.windows(2);
    let mut options = pairs
        .filter(|pair| pair[0].as_ref() == "-C")
        .map(|pair| pair[1].as_ref());
    // Cargo gives every unit a name of its own; whoever only asks something does not.
    let is_unit = options.any(|option| option.starts_with("metadata="));
    let is_counted = words
        .iter()
        .any(|word| word.as_ref().contains("instrument-coverage"));
    let runs_elsewhere = after(words, "--crate-name")
        .is_none_or(|name| name.starts_with("build_script_"))
        || after(words, "--crate-type") == Some("proc-macro")
        || words
            .iter()
            .any(|word| word.as_ref() == "--crate-type=proc-macro");
    let is_linked = words
        .iter()
        .any(|word| word.as_ref().starts_with("--emit=") && word.as_ref().contains("link"));
    is_unit && is_linked && !is_counted && !runs_elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crates_that_run_in_tests_are_counted() {
        let unit = "-C metadata=1 --emit=dep-info,metadata,link";
        for (words, expected) in [
            (
                format!("--crate-name shop src/lib.rs --crate-type lib {unit}"),
                true,
            ),
            (format!("--crate-name shop src/lib.rs --test {unit}"), true),
            (
                format!("--crate-name build_script_build build.rs --crate-type bin {unit}"),
                false,
            ),
            (
                format!("--crate-name d src/lib.rs --crate-type proc-macro {unit}"),
                false,
            ),
            (
                format!("--crate-name d src/lib.rs --crate-type=proc-macro {unit}"),
                false,
            ),
            (
                format!("--crate-name s -C instrument-coverage {unit}"),
                false,
            ),
            (
                format!("--crate-name s -Cinstrument-coverage=all {unit}"),
                false,
            ),
            (
                "--crate-name shop -C metadata=1 --emit=dep-info,metadata".into(),
                false,
            ),
            (
                "--crate-name probe0 --crate-type=lib --emit=llvm-ir -".into(),
                false,
            ),
            (
                "--crate-name ___ --print=file-names --crate-type bin -".into(),
                false,
            ),
            ("-vV".into(), false),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            assert_eq!(wants_counters(&words), expected, "{words:?}");
        }
    }
}
