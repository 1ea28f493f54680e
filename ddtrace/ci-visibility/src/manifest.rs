//! The backend's answers in files, for runs without a network (`spec/ci-visibility.md` §7.15).
//!
//! A manifest says the version of the layout; beside it, in `cache/http`, lie the answers as the
//! backend gave them.

use std::path::{Path, PathBuf};

use ddtrace_core::config::Environment;

use crate::ci::Variables;

/// The largest answer that is read.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// The only version of the layout.
const VERSION: &str = "1";

/// A folder with answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    folder: PathBuf,
}

impl Manifest {
    /// The folder of this manifest; `None` if its version is not ours.
    pub(crate) fn read(path: &Path, environment: &dyn Environment) -> Option<Manifest> {
        let variables = Variables::of(environment);
        let path = of_run_files(path, &variables, environment);
        let text = environment.read(&path, 64 * 1024).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let first = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        let version = match first.split_once('=') {
            Some((name, version)) if name.trim() == "version" => version.trim(),
            _ => first,
        };
        (version == VERSION).then(|| Manifest {
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
        })
    }

    /// An answer: `settings`, `known_tests`, `skippable_tests`, `test_management`. `None`: there is none.
    pub(crate) fn answer(&self, name: &str, environment: &dyn Environment) -> Option<Vec<u8>> {
        let path = self.folder.join("cache/http").join(format!("{name}.json"));
        environment.read(&path, MAX_ANSWER).ok()
    }
}

/// Where Bazel has put a file that a test depends on.
pub(crate) fn of_run_files(
    path: &Path,
    variables: &Variables,
    environment: &dyn Environment,
) -> PathBuf {
    let is_there = |path: &Path| environment.read(path, MAX_ANSWER).is_ok();
    if is_there(path) {
        return path.to_owned();
    }
    let below = |variable: &str| {
        let path = Path::new(variables.get(variable)?).join(path);
        is_there(&path).then_some(path)
    };
    let listed = || {
        let list = Path::new(variables.get("RUNFILES_MANIFEST_FILE")?);
        let list = environment.read(list, MAX_ANSWER).ok()?;
        let list = String::from_utf8_lossy(&list).into_owned();
        let mut lines = list.lines().filter_map(|line| line.split_once(' '));
        let (_, found) = lines.find(|(name, _)| Path::new(name) == path)?;
        Some(PathBuf::from(found))
    };
    below("RUNFILES_DIR")
        .or_else(listed)
        .or_else(|| below("TEST_SRCDIR"))
        .unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace_core::config::MapEnvironment;

    #[test]
    fn only_our_version_is_read() {
        for (text, expected) in [
            ("1", true),
            ("\n  \nversion = 1\n2", true),
            ("version=1", true),
            ("2", false),
            ("version=2", false),
            ("other=1", false),
            ("", false),
        ] {
            let environment = MapEnvironment::new().file("/m/manifest.txt", text);
            let found = Manifest::read(Path::new("/m/manifest.txt"), &environment);
            assert_eq!(found.is_some(), expected, "{text:?}");
        }
    }

    #[test]
    fn answers_lie_beside_it() {
        let environment = MapEnvironment::new()
            .file("/m/manifest.txt", "1")
            .file("/m/cache/http/settings.json", "{}");
        let found = Manifest::read(Path::new("/m/manifest.txt"), &environment).expect("ours");
        assert_eq!(found.answer("settings", &environment), Some(b"{}".to_vec()));
        assert_eq!(found.answer("known_tests", &environment), None);
    }

    #[test]
    fn files_of_bazel_are_found() {
        let base = MapEnvironment::new()
            .file("/list", "a/b /real path/b\nx y")
            .file("/dir/a/b", "")
            .file("/src/a/b", "");
        for (variables, expected) in [
            (&[][..], "a/b"),
            (&[("RUNFILES_DIR", "/dir")], "/dir/a/b"),
            (
                &[("RUNFILES_DIR", "/no"), ("RUNFILES_MANIFEST_FILE", "/list")],
                "/real path/b",
            ),
            (&[("TEST_SRCDIR", "/src")], "/src/a/b"),
        ] {
            let mut environment = base.clone();
            for (name, value) in variables {
                environment = environment.variable(*name, *value);
            }
            let variables = Variables::of(&environment);
            let found = of_run_files(Path::new("a/b"), &variables, &environment);
            assert_eq!(found, Path::new(expected));
        }
    }
}
