//! The coverage of a whole run: how much of it, and as an LCOV report (`spec/ci-visibility.md` §7.14).

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Bitmap, CoverageMap};
use crate::payload::FileCoverage;

/// Lines that can be run and lines that were, by file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    files: BTreeMap<String, (Bitmap, Bitmap)>,
}

impl Report {
    /// A report in which nothing was run.
    pub fn of(map: &CoverageMap) -> Report {
        let lines = map.executable_lines().into_iter();
        Report {
            files: lines
                .map(|(file, lines)| (file.to_owned(), (lines, Bitmap::new())))
                .collect(),
        }
    }

    /// Adds the lines of another binary.
    pub fn add_map(&mut self, map: &CoverageMap) {
        for (file, lines) in map.executable_lines() {
            let (all, _) = self.files.entry(file.to_owned()).or_default();
            all.merge(&lines);
        }
    }

    /// Adds lines that were run: by a test, or, as the backend says, by tests that were skipped.
    pub fn add(&mut self, file: &str, lines: &Bitmap) {
        // A file that cannot be run has no lines that were.
        if let Some((_, run)) = self.files.get_mut(file) {
            run.merge(lines);
        }
    }

    /// Adds the files of a test.
    pub fn add_all(&mut self, files: &[FileCoverage]) {
        for file in files {
            self.add(&file.file, &file.lines);
        }
    }

    /// How much of the lines that can be run was, in percent; `None` if there are none.
    pub fn lines_pct(&self) -> Option<f64> {
        let all: usize = self.files.values().map(|(all, _)| all.len()).sum();
        let run: usize = self.files.values().map(|(all, run)| all.common(run)).sum();
        (all > 0).then(|| run as f64 * 100.0 / all as f64)
    }

    /// The report as LCOV writes it; empty if there are no files.
    pub fn lcov(&self) -> String {
        let mut out = String::new();
        for (file, (all, run)) in &self.files {
            // Writing into a text does not fail.
            let _ = writeln!(out, "TN:\nSF:{file}");
            for line in all.lines() {
                let _ = writeln!(out, "DA:{line},{}", u8::from(run.contains(line)));
            }
            let _ = writeln!(
                out,
                "LF:{}\nLH:{}\nend_of_record",
                all.len(),
                all.common(run)
            );
        }
        out
    }
}
