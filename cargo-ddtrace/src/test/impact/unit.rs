//! A test binary, and what its tests depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use ddtrace_ci_visibility::coverage::{CoverageMap, Extent, safety};

use super::memory::Record;
use super::outline::{Hash, Hints, hash};
use super::snapshot::{File, Snapshot};

/// What is known of the members of a workspace, for one of their binaries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Members {
    /// Folders of all members.
    pub(crate) all: Vec<PathBuf>,
    /// Folders of the binary's package and of the members that this depends on.
    pub(crate) used: BTreeSet<PathBuf>,
    /// Folders of members whose code runs while others are compiled.
    pub(crate) host: BTreeSet<PathBuf>,
    /// Build scripts.
    pub(crate) scripts: Vec<PathBuf>,
    /// Libraries and programs of the used ones, as they stand in file names.
    pub(crate) crates: BTreeSet<String>,
    /// Their tests, examples and benchmarks.
    pub(crate) others: BTreeSet<String>,
    /// The directory that the compiler ran in.
    pub(crate) root: PathBuf,
}

/// What a test entered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reached {
    /// File, first and last line of each function.
    pub(crate) functions: BTreeSet<(String, u32, u32)>,
    /// How many processes left counts.
    pub(crate) processes: usize,
}

/// What the tests of a binary depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    /// All of them.
    global: Hash,
    /// Those that enter it: bodies by file.
    bodies: BTreeMap<String, Vec<Seen>>,
    /// Hints of skeletons, by file.
    hints: BTreeMap<String, Hints>,
    /// Files that nobody wrote, which all depend on.
    made: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    key: String,
    first: u32,
    last: u32,
    hash: Hash,
    hints: Hints,
}

impl Unit {
    /// Gathers what a binary depends on. `map` sees the functions of it and of the programs that its tests start.
    pub(crate) fn of(
        snapshot: &Snapshot,
        members: &Members,
        binary: &Path,
        map: &CoverageMap,
        circumstances: &str,
    ) -> Unit {
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = writeln!(text, "2 {circumstances}");
        let _ = writeln!(
            text,
            "{}",
            binary.file_name().unwrap_or_default().to_string_lossy()
        );
        let mut made = BTreeMap::new();
        let mut functions: BTreeMap<&str, Vec<Extent<'_>>> = BTreeMap::new();
        for extent in map.functions() {
            functions.entry(extent.file).or_default().push(extent);
        }
        let own = compiled(snapshot, members, [binary.with_extension("d")], &mut made);
        let compiled = compiled(
            snapshot,
            members,
            dep_infos(&members.crates, binary),
            &mut made,
        );
        let elsewhere = {
            let others = dep_infos(&members.others, binary);
            self::compiled(snapshot, members, others, &mut BTreeMap::new())
        };
        let scripts = scripts(snapshot.root(), members, binary);
        for (name, made) in &made {
            let _ = writeln!(text, "{name} {made}");
        }
        let files: Vec<(&PathBuf, &File)> = snapshot
            .files
            .iter()
            .filter(|(name, file)| {
                let is_compiled = own.contains(*name) || compiled.contains(*name);
                // The source of another test target is no part of this one.
                let belongs =
                    || members.uses(&snapshot.root().join(name)) && !elsewhere.contains(*name);
                file.outline.is_none() || is_compiled || belongs()
            })
            .collect();
        let is_rust = |file: &&(&PathBuf, &File)| file.1.outline.is_some();
        let with_lines = files.iter().filter(is_rust).any(|(_, file)| {
            file.outline
                .as_ref()
                .is_some_and(|outline| outline.asks_for_lines)
        });
        let mut unit = Unit {
            global: Hash::new(),
            bodies: BTreeMap::new(),
            hints: BTreeMap::new(),
            made: made.into_keys().collect(),
        };
        for (path, file) in files {
            let name = path.to_string_lossy().replace('\\', "/");
            let whole = snapshot.root().join(path);
            let functions = functions.get(name.as_str());
            let outline = file.outline.as_ref().filter(|outline| {
                !members.is_host(&whole) && !scripts.contains(path) && !outline.asks_for_lines
            });
            let (Some(outline), Some(functions)) = (outline, functions) else {
                let _ = writeln!(text, "{name} {}", file.hash);
                if let Some(outline) = &file.outline {
                    unit.see(
                        &name,
                        outline,
                        functions.map_or(&[], Vec::as_slice),
                        with_lines,
                    );
                }
                continue;
            };
            let _ = writeln!(text, "{name} {}", outline.skeleton);
            // `cfg(test)` holds in the crate of the binary itself.
            let is_own = own.contains(path);
            if is_own {
                let _ = writeln!(text, "{}", outline.tests);
            }
            unit.see(&name, outline, functions, with_lines);
            let seen: BTreeSet<&str> = unit
                .bodies
                .get(&name)
                .into_iter()
                .flatten()
                .map(|body| body.key.as_str())
                .collect();
            for body in &outline.bodies {
                let is_there = !body.in_tests || is_own;
                if is_there && !seen.contains(body.key.as_str()) {
                    let _ = writeln!(text, "{} {}", body.key, body.hash);
                }
            }
        }
        unit.global = hash(text.as_bytes());
        unit
    }

    /// Notes the bodies of a file that a counter sees.
    fn see(
        &mut self,
        name: &str,
        outline: &super::outline::Outline,
        functions: &[Extent<'_>],
        with_lines: bool,
    ) {
        let bodies = outline.bodies.iter().filter(|body| {
            functions
                .iter()
                .any(|one| one.first <= body.last && body.first <= one.last)
        });
        let bodies = bodies.map(|body| Seen {
            key: body.key.clone(),
            first: body.first,
            last: body.last,
            hash: if with_lines {
                format!("{} {}", body.first, body.hash)
            } else {
                body.hash.clone()
            },
            hints: body.hints,
        });
        self.bodies.insert(name.to_owned(), bodies.collect());
        self.hints.insert(name.to_owned(), outline.hints);
    }

    /// What to remember of a test; `None` if what it depends on is not known.
    pub(super) fn record(&self, reached: &Reached) -> Option<Record> {
        let mut hints = Hints::default();
        let mut bodies: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for (file, first, last) in &reached.functions {
            // A file that the snapshot does not have cannot be compared.
            let Some(seen) = self.bodies.get(file) else {
                if self.made.contains(file) {
                    continue;
                }
                return None;
            };
            hints.add(self.hints.get(file).copied().unwrap_or_default());
            for body in seen
                .iter()
                .filter(|body| *first <= body.last && body.first <= *last)
            {
                hints.add(body.hints);
                bodies.insert((file, &body.key), &body.hash);
            }
        }
        let is_known = !hints.reads_sources && (!hints.starts_programs || reached.processes > 1);
        // A process that entered nothing did not count.
        if !is_known || reached.functions.is_empty() {
            return None;
        }
        let names = bodies
            .keys()
            .map(|(file, key)| format!("{file}\n{key}"))
            .collect();
        let text: Vec<&str> = bodies.values().copied().collect();
        Some(Record {
            global: self.global.clone(),
            bodies: names,
            hash: hash(text.join("\n").as_bytes()),
        })
    }

    /// Whether all that a test depended on is as it was.
    pub(super) fn holds(&self, record: &Record) -> bool {
        if record.global != self.global {
            return false;
        }
        let mut text = Vec::with_capacity(record.bodies.len());
        for name in &record.bodies {
            let body = name.split_once('\n').and_then(|(file, key)| {
                let seen = self.bodies.get(file)?;
                seen.iter().find(|body| body.key == key)
            });
            let Some(body) = body else { return false };
            text.push(body.hash.as_str());
        }
        hash(text.join("\n").as_bytes()) == record.hash
    }
}

impl Members {
    /// The member that a file belongs to: the one with the deepest folder.
    fn of(&self, path: &Path) -> Option<&PathBuf> {
        let around = self.all.iter().filter(|folder| path.starts_with(folder));
        around.max_by_key(|folder| folder.components().count())
    }

    /// Whether a source may be compiled into the binary; one that is no member's may be anything.
    fn uses(&self, path: &Path) -> bool {
        self.of(path)
            .is_none_or(|folder| self.used.contains(folder))
    }

    /// Whether a source may run while others are compiled.
    fn is_host(&self, path: &Path) -> bool {
        self.of(path)
            .is_some_and(|folder| self.host.contains(folder))
    }
}

/// The files of the snapshot that crates were compiled from, by the compiler's notes. What they were compiled from besides (generated
/// files, variables) goes with its hash into `made`.
fn compiled(
    snapshot: &Snapshot,
    members: &Members,
    infos: impl IntoIterator<Item = PathBuf>,
    made: &mut BTreeMap<String, Hash>,
) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for info in infos {
        let Ok(info) = std::fs::read_to_string(info) else {
            continue;
        };
        for variable in info.lines().filter(|line| line.starts_with("# env-dep:")) {
            made.insert(variable.to_owned(), Hash::new());
        }
        for file in safety::dependencies(&info) {
            let path = plain(&members.root.join(file));
            let name = path.strip_prefix(snapshot.root()).unwrap_or(&path);
            if snapshot.files.contains_key(name) {
                found.insert(name.to_owned());
            } else {
                let content = std::fs::read(&path).unwrap_or_default();
                made.insert(name.to_string_lossy().into_owned(), hash(&content));
            }
        }
    }
    found
}

/// Sources of build scripts.
fn scripts(repository: &Path, members: &Members, binary: &Path) -> BTreeSet<PathBuf> {
    let mut found: BTreeSet<PathBuf> = members
        .scripts
        .iter()
        .filter_map(|script| Some(script.strip_prefix(repository).ok()?.to_owned()))
        .collect();
    let Some(build) = binary
        .parent()
        .and_then(Path::parent)
        .map(|folder| folder.join("build"))
    else {
        return found;
    };
    for folder in entries(&build) {
        for info in entries(&folder)
            .into_iter()
            .filter(|path| path.extension().is_some_and(|end| end == "d"))
        {
            let text = std::fs::read_to_string(info).unwrap_or_default();
            let files = safety::dependencies(&text).into_iter();
            let files = files.map(|file| plain(&members.root.join(file)));
            found.extend(
                files.filter_map(|file| Some(file.strip_prefix(repository).ok()?.to_owned())),
            );
        }
    }
    found
}

/// The compiler's notes on crates of these names beside a binary, old ones included.
pub(crate) fn dep_infos(crates: &BTreeSet<String>, binary: &Path) -> Vec<PathBuf> {
    let Some(folder) = binary.parent() else {
        return Vec::new();
    };
    let is_used = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "d")
            && path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .is_some_and(|stem| {
                    let name = stem.rsplit_once('-').map_or(stem, |(name, _)| name);
                    crates.contains(name)
                })
    };
    entries(folder).into_iter().filter(is_used).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).collect()
}

/// A path without `.` and `..`.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
