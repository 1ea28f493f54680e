//! Which lines each test ran, and what that says about the next run.
//!
//! ```text
//! a binary lists its tests ─▶ its map and those of its package's programs, read once
//! a test ran alone         ─▶ its folder of profiles: lines for the backend, functions for impact; the folder goes
//! the session ends         ─▶ all lines together: a percentage, a report
//! ```
//!
//! Only what ran in a process of its own is known, so every test does. Whatever can't be read is no coverage, never a wrong one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ddtrace_ci_visibility::coverage::{Bitmap, CoverageMap, Profile, Report, safety};
use ddtrace_ci_visibility::payload::FileCoverage;

use super::members;
use super::targets::{Module, Targets};
use crate::test::impact::{Impact, Reached, Unit, dep_infos, plain};

/// Bytes of one profile.
const PROFILE: u64 = 256 << 20;
/// Profiles that one test may leave; it may start many processes.
const PROFILES: usize = 4096;

/// What is covered in this session.
#[derive(Debug)]
pub(crate) struct Coverage {
    root: PathBuf,
    circumstances: String,
    binaries: Mutex<HashMap<PathBuf, Option<Arc<Mapped>>>>,
    total: Mutex<Report>,
    pub(super) impact: Option<Impact>,
}

/// A binary with counters.
#[derive(Debug)]
pub(super) struct Mapped {
    map: CoverageMap,
    /// What no line sees, as files of every test.
    of_every_test: Vec<FileCoverage>,
    pub(super) unit: Option<Unit>,
}

/// What a run left.
#[derive(Debug, Default)]
pub(super) struct Covered {
    pub(super) files: Vec<FileCoverage>,
    /// Where it is known whole.
    pub(super) reached: Option<Reached>,
}

impl Coverage {
    pub(crate) fn new(root: &Path, circumstances: String, impact: Option<Impact>) -> Coverage {
        Coverage {
            root: root.canonicalize().unwrap_or_else(|_| root.to_owned()),
            circumstances,
            binaries: Mutex::default(),
            total: Mutex::default(),
            impact,
        }
    }

    /// Reads the map of a binary, once. `None` if it has no counters.
    pub(super) fn of_binary(
        &self,
        binary: &Path,
        module: &Module,
        targets: &Targets,
    ) -> Option<Arc<Mapped>> {
        let mut binaries = self.binaries.lock().unwrap_or_else(PoisonError::into_inner);
        let known = binaries.entry(binary.to_owned());
        known
            .or_insert_with(|| self.read(binary, module, targets).map(Arc::new))
            .clone()
    }

    fn read(&self, binary: &Path, module: &Module, targets: &Targets) -> Option<Mapped> {
        let mut map = CoverageMap::new(&self.root);
        match map.add_binary(binary) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                crate::test::say(&format!("no coverage of {}: {error}", binary.display()));
                return None;
            }
        }
        let folder = binary.parent().and_then(Path::parent);
        for program in members::programs(targets, &module.folder) {
            if let Some(path) = folder.map(|folder| folder.join(program))
                && path.is_file()
            {
                // One that can't be read is noticed by what it leaves.
                let _ = map.add_binary(&path);
            }
        }
        let members = members::of(targets, &module.folder, &self.root);
        if let (Err(why), Some(_)) = (&members, &self.impact) {
            crate::test::say(&format!("no test is skipped: {why}"));
        }
        let of_every_test = members.as_ref().map_or_else(
            |_| Vec::new(),
            |members| {
                let infos = dep_infos(&members.crates, binary);
                let infos = infos.into_iter().chain([binary.with_extension("d")]);
                let texts = infos.filter_map(|info| std::fs::read_to_string(info).ok());
                let sources: Vec<PathBuf> = texts
                    .flat_map(|text| safety::dependencies(&text))
                    .map(|file| plain(&members.root.join(file)))
                    .filter(|file| file.is_file())
                    .collect();
                let packages: Vec<PathBuf> = members.used.iter().cloned().collect();
                let lines = map.executable_lines();
                safety::of_every_test(
                    &self.root,
                    &sources,
                    &packages,
                    &lines,
                    safety::Comparison::Files,
                )
            },
        );
        let unit = self
            .impact
            .as_ref()
            .zip(members.ok())
            .map(|(impact, members)| {
                Unit::of(
                    &impact.snapshot,
                    &members,
                    binary,
                    &map,
                    &self.circumstances,
                )
            });
        self.total
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add_map(&map);
        Some(Mapped {
            map,
            of_every_test,
            unit,
        })
    }

    /// Reads what a run left in its folder. `source` is the test's own file.
    pub(super) fn of_run(
        &self,
        mapped: &Mapped,
        folder: &Path,
        source: Option<&str>,
    ) -> Option<Covered> {
        let read = profiles_of(folder)?;
        let mut whole = Profile::default();
        for (_, profile) in &read {
            whole.merge(profile);
        }
        if whole.is_empty() {
            return None;
        }
        let mut processes: Vec<&str> = read.iter().map(|(process, _)| process.as_str()).collect();
        processes.dedup();
        let reached = mapped.map.knows(&whole).then(|| Reached {
            functions: mapped
                .map
                .functions_of(&whole)
                .into_iter()
                .map(|one| (one.file.to_owned(), one.first, one.last))
                .collect(),
            processes: processes.len(),
        });
        let mut files = mapped.map.lines_of(&whole);
        self.total
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add_all(&files);
        safety::add(&mut files, &mapped.of_every_test);
        if let Some(source) = source
            && !files.iter().any(|file| file.file == source)
        {
            files.push(FileCoverage {
                file: source.to_owned(),
                lines: Bitmap::of_file(),
            });
        }
        Some(Covered { files, reached })
    }

    /// Adds what skipped tests would have run, as the backend says it.
    pub(crate) fn add_skipped<'f>(
        &self,
        files: impl IntoIterator<Item = (&'f String, &'f Bitmap)>,
    ) {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        for (file, lines) in files {
            total.add(file, lines);
        }
    }

    /// Keeps what was learnt; gives a line if it could not.
    pub(crate) fn end(&self) -> Option<String> {
        self.impact.as_ref()?.end()
    }

    /// How much of the lines was run, in percent, and the report.
    pub(crate) fn report(&self) -> (Option<f64>, String) {
        let total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        (total.lines_pct(), total.lcov())
    }
}

/// The profiles of a run, each with its process, in the order of these. `None` if one can't be read.
fn profiles_of(folder: &Path) -> Option<Vec<(String, Profile)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).ok()? {
        let path = entry.ok()?.path();
        if path.extension().is_none_or(|end| end != "profraw") {
            continue;
        }
        let is_small = std::fs::metadata(&path).is_ok_and(|file| file.len() <= PROFILE);
        if !is_small || found.len() >= PROFILES {
            return None;
        }
        let profile = Profile::parse(&std::fs::read(&path).ok()?).ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        let process = name.split('-').next().unwrap_or_default().to_owned();
        found.push((process, profile));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Some(found)
}
