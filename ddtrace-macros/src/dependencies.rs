//! `dependencies!()`: the crates that a program is built from, put into it for telemetry to report.
//!
//! A Rust program cannot be asked what is in it, so the lock file is read when the program is compiled: from the package that
//! is being compiled on, every package that it depends on, directly or not. Its own development and build dependencies
//! are left out, as far as its manifest tells them; what others need to be built, and what other platforms need, is not told
//! apart by a lock file and stays in. The list is a text of `name version` lines: about five kilobytes for 200 packages.
//!
//! Nothing here fails a build: without a lock file nothing is embedded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Literal, TokenStream};

use crate::expand::{Mode, facade};
use crate::tokens::ours;

/// The largest lock file that is read.
const MAX_SIZE: u64 = 16 << 20;

/// The macro.
pub(crate) fn expand(mode: Mode) -> TokenStream {
    match mode {
        Mode::Plain => TokenStream::new(),
        _ => embedded(&facade(None)),
    }
}

/// An item that hands the list to the library under this path; nothing if there is none.
pub(crate) fn embedded(facade: &TokenStream) -> TokenStream {
    let Some((path, list)) = from_environment() else {
        return TokenStream::new();
    };
    let (path, list) = (Literal::string(&path), Literal::string(&list));
    let private = ours!(#facade::__private);
    ours! {
        const _: () = {
            // Has the crate compiled again when the lock file changes. Nothing of it gets into the program.
            const _: &str = ::core::include_str!(#path);
            #private::inventory::submit! { #private::EmbeddedDependencies(#list) }
        };
    }
}

/// The path of the lock file and the list, for the package that cargo is compiling.
fn from_environment() -> Option<(String, String)> {
    let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    let name = std::env::var("CARGO_PKG_NAME").ok()?;
    let version = std::env::var("CARGO_PKG_VERSION").ok()?;
    let path = folder
        .ancestors()
        .map(|folder| folder.join("Cargo.lock"))
        .find(|path| path.is_file())?;
    let manifest = read(&folder.join("Cargo.toml")).unwrap_or_default();
    let list = list(&read(&path)?, &manifest, &name, &version)?;
    Some((path.to_str()?.to_owned(), list))
}

fn read(path: &Path) -> Option<String> {
    let size = std::fs::metadata(path).ok()?.len();
    (size <= MAX_SIZE).then(|| std::fs::read_to_string(path).ok())?
}

/// A package of a lock file.
#[derive(Debug, Default)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    /// `name`, or `name version` where there are several of the name.
    dependencies: Vec<&'a str>,
}

/// The packages below one, as lines.
fn list(lock: &str, manifest: &str, name: &str, version: &str) -> Option<String> {
    let packages = packages(lock);
    let mut by_name: BTreeMap<&str, Vec<&Package<'_>>> = BTreeMap::new();
    for package in &packages {
        by_name.entry(package.name).or_default().push(package);
    }
    let find = |dependency: &str| {
        let mut words = dependency.split(' ');
        let all = by_name.get(words.next()?)?;
        match words.next() {
            Some(version) => all.iter().find(|package| package.version == version),
            None => all.first(),
        }
    };
    let root = packages
        .iter()
        .find(|package| package.name == name && package.version == version)?;
    let linked = linked_names(manifest);
    let is_linked = |dependency: &&&str| {
        let name = dependency.split(' ').next().unwrap_or_default();
        linked.is_empty() || linked.contains(name)
    };
    let mut waiting: Vec<&str> = root
        .dependencies
        .iter()
        .filter(is_linked)
        .copied()
        .collect();
    let mut seen = BTreeSet::from([(root.name, root.version)]);
    while let Some(package) = waiting.pop().map(find) {
        if let Some(package) =
            package.filter(|package| seen.insert((package.name, package.version)))
        {
            waiting.extend(&package.dependencies);
        }
    }
    let lines = seen
        .iter()
        .map(|(name, version)| format!("{name} {version}\n"));
    Some(lines.collect())
}

/// Reads the form in which cargo writes lock files: one value a line.
fn packages(lock: &str) -> Vec<Package<'_>> {
    let mut packages: Vec<Package<'_>> = Vec::new();
    let mut in_package = false;
    let mut in_dependencies = false;
    for line in lock.lines().map(str::trim) {
        if line.starts_with('[') {
            in_package = line == "[[package]]";
            if in_package {
                packages.push(Package::default());
            }
            continue;
        }
        let Some(package) = packages.last_mut().filter(|_| in_package) else {
            continue;
        };
        if in_dependencies {
            match line.trim_end_matches(',').trim_matches('"') {
                "]" => in_dependencies = false,
                dependency => package.dependencies.push(dependency),
            }
        } else if let Some(name) = line.strip_prefix("name = ") {
            package.name = name.trim_matches('"');
        } else if let Some(version) = line.strip_prefix("version = ") {
            package.version = version.trim_matches('"');
        } else if line == "dependencies = [" {
            in_dependencies = true;
        }
    }
    packages
}

/// The names of packages under `[dependencies]`, for any platform. Those under `[dev-dependencies]` and
/// `[build-dependencies]` are not in it, unless they stand under both. Empty if the manifest cannot be made sense of.
fn linked_names(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut in_list = false;
    // The key of `[dependencies.key]`.
    let mut single: Option<String> = None;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            names.extend(single.take());
            let header = header.trim_end_matches(']');
            let parts: Vec<&str> = split_header(header);
            in_list = parts.last() == Some(&"dependencies") && parts.first() != Some(&"workspace");
            if let [.., "dependencies", key] = parts.as_slice() {
                if parts.first() != Some(&"workspace") {
                    single = Some(key.trim_matches('"').to_owned());
                }
            }
            continue;
        }
        let renamed = package_of(line);
        if single.is_some() {
            if renamed.is_some() && line.starts_with("package") {
                single = renamed;
            }
        } else if in_list {
            let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let key = key.split('.').next().unwrap_or_default();
            let key = key.trim().trim_matches('"').to_owned();
            names.insert(renamed.unwrap_or(key));
        }
    }
    names.extend(single);
    names
}

/// The parts of a header, with quoted ones (`cfg(…)`) in one piece.
fn split_header(header: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut quote = None;
    for (at, c) in header.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '.') => {
                parts.push(header[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(header[start..].trim());
    parts
}

/// The value of `package = "…"` in a line.
fn package_of(line: &str) -> Option<String> {
    let at = line.find("package")?;
    let rest = line[at + "package".len()..]
        .trim_start()
        .strip_prefix('=')?;
    let mut quoted = rest.split('"');
    quoted.nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"# This file is automatically @generated by Cargo.
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = [
 "axum 0.8.4",
 "cc",
 "libc",
 "proptest",
 "sqlx 0.9.1 (registry+https://example.invalid)",
]

[[package]]
name = "axum"
version = "0.7.1"

[[package]]
name = "axum"
version = "0.8.4"
source = "registry+https://example.invalid"
checksum = "00"
dependencies = [
 "tower",
]

[[package]]
name = "cc"
version = "1.2.0"

[[package]]
name = "libc"
version = "0.2.1"

[[package]]
name = "proptest"
version = "1.0.0"
dependencies = [
 "rand",
]

[[package]]
name = "rand"
version = "0.9.0"

[[package]]
name = "sqlx"
version = "0.9.1"
dependencies = [
 "tower",
]

[[package]]
name = "tower"
version = "0.5.2"
dependencies = [
 "axum 0.8.4",
]

[metadata]
name = "no package"
"#;

    const MANIFEST: &str = r#"
[package]
name = "app"

[dependencies]
axum = { version = "0.8" } # a comment
database = { package = "sqlx", version = "0.9" }

[target.'cfg(any(unix, target_os = "x"))'.dependencies.posix]
package = "libc"
version = "0.2"

[dev-dependencies]
proptest.workspace = true

[build-dependencies]
cc = "1"
"#;

    #[test]
    fn everything_below_the_package_is_listed_but_for_what_tests_and_builds_need() {
        assert_eq!(
            list(LOCK, MANIFEST, "app", "0.1.0").unwrap(),
            "app 0.1.0\naxum 0.8.4\nlibc 0.2.1\nsqlx 0.9.1\ntower 0.5.2\n"
        );
        assert_eq!(
            list(LOCK, "", "app", "0.1.0").unwrap().lines().count(),
            8,
            "without a manifest nothing is left out"
        );
        assert_eq!(list(LOCK, MANIFEST, "moon", "0.1.0"), None);
        assert_eq!(list("", MANIFEST, "app", "0.1.0"), None);
    }

    #[test]
    fn manifests_are_read() {
        for (manifest, expected) in [
            (
                "[dependencies]\na = \"1\"\n\"b\" = \"1\"\nc.workspace = true\n# d = \"1\"\n",
                &["a", "b", "c"][..],
            ),
            (
                "[dev-dependencies]\na = \"1\"\n[workspace.dependencies]\nb = \"1\"\n",
                &[],
            ),
            (
                "[dependencies.a]\nversion = \"1\"\n[features]\nx = [\"y\"]\n",
                &["a"],
            ),
            ("[dependencies]\na={package=\"b\",version=\"1\"}\n", &["b"]),
            ("[target.\"cfg(x.y)\".dependencies]\na = \"1\"\n", &["a"]),
        ] {
            let names: Vec<_> = linked_names(manifest).into_iter().collect();
            assert_eq!(names, expected, "{manifest}");
        }
    }

    #[test]
    fn this_package_has_a_list() {
        let Some((path, list)) = from_environment() else {
            // Taken out of its workspace, the crate has no lock file.
            return;
        };
        assert!(path.ends_with("Cargo.lock"));
        assert!(
            list.contains("quote 1.") && list.contains("proc-macro2 1."),
            "{list}"
        );
        assert!(!list.contains("prettyplease"), "{list}");
    }
}
