//! Which target of which package a test binary belongs to.
//!
//! Cargo tells a runner the package but not the target. The compiler's dep-info beside the binary names the target's
//! root file, and `cargo metadata` the target of that file. Whether the target has libtest's harness stands
//! only in the manifest, which is read when a target is asked for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::Value;

use crate::test::runner::harness::Declared;

/// Targets of a workspace.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    packages: Vec<Package>,
    root: PathBuf,
    manifests: Mutex<HashMap<PathBuf, Option<toml::Table>>>,
}

#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) targets: Vec<Target>,
    /// Folders of packages that it depends on by their paths.
    pub(super) needs: Vec<Need>,
    /// Its build script.
    pub(super) script: Option<PathBuf>,
}

/// A dependency in a folder.
#[derive(Debug)]
pub(super) struct Need {
    pub(super) folder: PathBuf,
    pub(super) is_build: bool,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) kind: Kind,
    root: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Library,
    ProcMacro,
    Test,
    Binary,
    Example,
    Bench,
}

/// What is known of a binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    /// nextest's id of the binary.
    pub(crate) name: String,
    /// The suite of tests at the root of the crate.
    pub(crate) crate_name: String,
    /// The package's folder.
    pub(crate) folder: PathBuf,
    /// What the manifest says of its harness.
    pub(crate) declared: Declared,
    /// Beginnings of names of tests that must never be skipped.
    pub(crate) unskippable: Vec<String>,
    /// Whether it is a benchmark.
    pub(crate) is_bench: bool,
}

impl Targets {
    /// Reads the output of `cargo metadata --format-version 1 --no-deps`.
    pub(crate) fn read(metadata: &Value) -> Targets {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let packages = metadata["packages"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        Targets {
            root: PathBuf::from(text(&metadata["workspace_root"])),
            packages: packages
                .iter()
                .map(|package| Package {
                    name: text(&package["name"]),
                    folder: Path::new(&text(&package["manifest_path"]))
                        .parent()
                        .map_or_else(PathBuf::new, Path::to_owned),
                    targets: package["targets"]
                        .as_array()
                        .map_or(&[][..], Vec::as_slice)
                        .iter()
                        .filter_map(|target| {
                            Some(Target {
                                name: text(&target["name"]),
                                kind: kind(target["kind"][0].as_str()?)?,
                                root: PathBuf::from(text(&target["src_path"])),
                            })
                        })
                        .collect(),
                    needs: package["dependencies"]
                        .as_array()
                        .map_or(&[][..], Vec::as_slice)
                        .iter()
                        .filter_map(|need| {
                            Some(Need {
                                folder: PathBuf::from(need["path"].as_str()?),
                                is_build: need["kind"] == "build",
                            })
                        })
                        .collect(),
                    script: package["targets"]
                        .as_array()
                        .map_or(&[][..], Vec::as_slice)
                        .iter()
                        .find(|target| target["kind"][0] == "custom-build")
                        .map(|target| PathBuf::from(text(&target["src_path"]))),
                })
                .collect(),
            manifests: Mutex::default(),
        }
    }

    /// The directory that the compiler ran in.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The packages of the workspace.
    pub(super) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// What a binary is, by its dep-info, or by its name where there is none.
    pub(crate) fn module(&self, binary: &Path, package: Option<&Path>) -> Module {
        let stem = binary
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let stem = stem
            .rsplit_once('-')
            .map_or(stem.as_str(), |(stem, _)| stem);
        let roots = sources(binary);
        let in_package =
            |candidate: &&Package| package.is_none_or(|folder| same(folder, &candidate.folder));
        let of_root = self.packages.iter().filter(in_package).find_map(|package| {
            // The first file is the root; two targets may share a file, and then the name decides.
            let root = self.root.join(roots.first()?);
            let named = |target: &&Target| target.name.replace('-', "_") == stem;
            let mut fitting = package
                .targets
                .iter()
                .filter(|target| same(&target.root, &root));
            let first = fitting.clone().find(named).or_else(|| fitting.next())?;
            Some((package, first))
        });
        let of_name = || {
            self.packages.iter().filter(in_package).find_map(|package| {
                let named = |target: &&Target| target.name.replace('-', "_") == stem;
                Some((package, package.targets.iter().find(named)?))
            })
        };
        match of_root.or_else(of_name) {
            Some((package, target)) => self.describe(package, target),
            None => Module {
                name: stem.to_owned(),
                crate_name: stem.to_owned(),
                folder: package.map_or_else(PathBuf::new, Path::to_owned),
                declared: Declared::default(),
                unskippable: Vec::new(),
                is_bench: false,
            },
        }
    }

    /// The module of a library's doctests, by its root file.
    pub(crate) fn doctests(&self, root: &Path) -> Option<Module> {
        self.packages.iter().find_map(|package| {
            let target = package.targets.iter().find(|target| {
                matches!(target.kind, Kind::Library | Kind::ProcMacro) && same(&target.root, root)
            })?;
            let mut module = self.describe(package, target);
            module.name = format!("{}::doctest/{}", package.name, target.name);
            Some(module)
        })
    }

    fn describe(&self, package: &Package, target: &Target) -> Module {
        let name = match target.kind {
            Kind::Library => package.name.clone(),
            Kind::ProcMacro => format!("{}::proc-macro/{}", package.name, target.name),
            Kind::Test => format!("{}::{}", package.name, target.name),
            Kind::Binary => format!("{}::bin/{}", package.name, target.name),
            Kind::Example => format!("{}::example/{}", package.name, target.name),
            Kind::Bench => format!("{}::bench/{}", package.name, target.name),
        };
        let (declared, unskippable) = self.manifest(package, target);
        Module {
            name,
            crate_name: target.name.replace('-', "_"),
            folder: package.folder.clone(),
            declared,
            unskippable,
            is_bench: target.kind == Kind::Bench,
        }
    }

    fn manifest(&self, package: &Package, target: &Target) -> (Declared, Vec<String>) {
        let mut manifests = self
            .manifests
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let manifest = manifests.entry(package.folder.clone()).or_insert_with(|| {
            let text = std::fs::read_to_string(package.folder.join("Cargo.toml")).ok()?;
            text.parse::<toml::Table>().ok()
        });
        let Some(manifest) = manifest else {
            return Default::default();
        };
        let section = match target.kind {
            Kind::Library | Kind::ProcMacro => "lib",
            Kind::Test => "test",
            Kind::Binary => "bin",
            Kind::Example => "example",
            Kind::Bench => "bench",
        };
        let tables: Vec<&toml::Table> = match manifest.get(section) {
            Some(toml::Value::Table(table)) => vec![table],
            Some(toml::Value::Array(tables)) => {
                tables.iter().filter_map(toml::Value::as_table).collect()
            }
            _ => Vec::new(),
        };
        let is_it = |table: &&&toml::Table| {
            section == "lib"
                || table.get("name").and_then(toml::Value::as_str) == Some(target.name.as_str())
        };
        let no_harness = tables
            .iter()
            .find(is_it)
            .and_then(|table| table.get("harness"))
            .and_then(toml::Value::as_bool)
            == Some(false);
        let ours = manifest
            .get("package")
            .and_then(|package| package.get("metadata")?.get("ddtrace"));
        let libtest_like = ours.and_then(|ours| {
            ours.get("test")?
                .get(&target.name)?
                .get("harness")?
                .as_str()
        }) == Some("libtest-like");
        let unskippable = ours
            .and_then(|ours| ours.get("unskippable")?.as_array())
            .map(|names| {
                let names = names.iter().filter_map(toml::Value::as_str);
                names.map(str::to_owned).collect()
            })
            .unwrap_or_default();
        let declared = Declared {
            no_harness,
            libtest_like,
        };
        (declared, unskippable)
    }
}

fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "lib" | "rlib" | "dylib" | "cdylib" | "staticlib" => Kind::Library,
        "proc-macro" => Kind::ProcMacro,
        "test" => Kind::Test,
        "bin" => Kind::Binary,
        "example" => Kind::Example,
        "bench" => Kind::Bench,
        _ => return None,
    })
}

fn same(a: &Path, b: &Path) -> bool {
    a == b
        || a.canonicalize()
            .ok()
            .is_some_and(|a| b.canonicalize().ok() == Some(a))
}

/// The files of which a binary was made, root first.
fn sources(binary: &Path) -> Vec<PathBuf> {
    let Ok(text) = std::fs::read_to_string(binary.with_extension("d")) else {
        return Vec::new();
    };
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(_, files)| words(files))
        .next()
        .unwrap_or_default()
}

/// The words of a rule; a blank within a word stands behind a backslash.
fn words(files: &str) -> Vec<PathBuf> {
    let mut words = vec![String::new()];
    let mut characters = files.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&' ') => {
                characters.next();
                if let Some(word) = words.last_mut() {
                    word.push(' ');
                }
            }
            ' ' => words.push(String::new()),
            other => {
                if let Some(word) = words.last_mut() {
                    word.push(other);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words.into_iter().map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_have_nextests_ids() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("deps")).unwrap();
        std::fs::write(
            root.join("Cargo.toml"),
            "[package]\nname = \"my-shop\"\nmetadata.ddtrace.unskippable = [\"smoke::*\"]\n[package.metadata.ddtrace.test.like]\nharness = \"libtest-like\"\n[[test]]\nname = \"own\"\nharness = false\n[[test]]\nname = \"like\"\nharness = false\n",
        )
        .unwrap();
        let target = |name: &str, kind: &str, path: &str| serde_json::json!({"name": name, "kind": [kind], "src_path": root.join(path)});
        let metadata = serde_json::json!({
            "workspace_root": root,
            "packages": [{"name": "my-shop", "manifest_path": root.join("Cargo.toml"), "targets": [
                target("my_shop", "lib", "src/lib.rs"),
                target("my-shop", "bin", "src/main.rs"),
                target("own", "test", "tests/own.rs"),
                target("like", "test", "tests/like.rs"),
                target("speed", "bench", "benches/speed.rs"),
                target("derive", "proc-macro", "derive/lib.rs"),
                target("demo", "example", "examples/demo.rs"),
            ]}],
        });
        let targets = Targets::read(&metadata);
        for (stem, source, name, crate_name, no_harness, libtest_like) in [
            ("my_shop", "src/lib.rs", "my-shop", "my_shop", false, false),
            (
                "my_shop",
                "src/main.rs",
                "my-shop::bin/my-shop",
                "my_shop",
                false,
                false,
            ),
            ("own", "tests/own.rs", "my-shop::own", "own", true, false),
            ("like", "tests/like.rs", "my-shop::like", "like", true, true),
            (
                "speed",
                "benches/speed.rs",
                "my-shop::bench/speed",
                "speed",
                false,
                false,
            ),
            (
                "derive",
                "derive/lib.rs",
                "my-shop::proc-macro/derive",
                "derive",
                false,
                false,
            ),
            (
                "demo",
                "examples/demo.rs",
                "my-shop::example/demo",
                "demo",
                false,
                false,
            ),
        ] {
            let binary = root.join(format!("deps/{stem}-0123456789abcdef"));
            let rule = format!(
                "{}: {source} src/more\\ files.rs\n\n{source}:\n",
                binary.display()
            );
            std::fs::write(binary.with_extension("d"), rule).unwrap();
            let module = targets.module(&binary, Some(root));
            assert_eq!(
                (module.name.as_str(), module.crate_name.as_str()),
                (name, crate_name)
            );
            assert_eq!(
                module.declared,
                Declared {
                    no_harness,
                    libtest_like
                },
                "{name}"
            );
            assert_eq!(module.unskippable, ["smoke::*"]);
        }
        let doctests = targets.doctests(&root.join("src/lib.rs")).unwrap();
        assert_eq!(doctests.name, "my-shop::doctest/my_shop");
        let unknown = targets.module(&root.join("deps/other-0123456789abcdef"), None);
        assert_eq!(unknown.name, "other");
    }
}
