//! Where the tests of a binary stand, and what their attributes say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ddtrace_ci_visibility::model::Source;

use super::server::relative;
use super::source::{self, Tokens};
use crate::test::runner::event::Listed;

/// The largest source file that is read.
const FILE: u64 = 8 << 20;

/// A source: its tokens, and the lines that say `#[ddtrace::test(unskippable)]` or `#[ddtrace::test_unskippable]`.
struct Read {
    tokens: Tokens,
    unskippable: Vec<u32>,
}

impl Read {
    fn of(text: &str) -> Option<Read> {
        let says = |line: &str| {
            let line = line.trim_start();
            line.starts_with("#[ddtrace::test") && line.contains("unskippable")
        };
        let lines = (1..).zip(text.lines());
        Some(Read {
            tokens: Tokens::of(text)?,
            unskippable: lines
                .filter_map(|(at, line)| says(line).then_some(at))
                .collect(),
        })
    }

    /// Whether one of these lines says so.
    fn is_unskippable(&self, start: u32, end: u32) -> bool {
        let at = self.unskippable.partition_point(|line| *line < start);
        self.unskippable.get(at).is_some_and(|line| *line <= end)
    }
}

/// Where each of the tests stands, and whether it asks not to be skipped.
pub(super) fn locate(
    tests: &[Listed],
    root: &Path,
    repository: &Path,
    count: usize,
) -> Option<Vec<(Option<Source>, bool)>> {
    let mut files: HashMap<&str, (String, Option<Read>)> = HashMap::new();
    let mut sources = Vec::with_capacity(count);
    for test in tests {
        let mut is_unskippable = false;
        let place = test.source_path.as_deref().map(|path| {
            let (file, read) = files.entry(path).or_insert_with(|| {
                let whole: PathBuf = root.join(path);
                let is_readable = std::fs::metadata(&whole)
                    .is_ok_and(|file| file.is_file() && file.len() <= FILE);
                let text = is_readable.then(|| std::fs::read_to_string(&whole).ok());
                let read = text.flatten().and_then(|text| Read::of(&text));
                (relative(&whole, repository), read)
            });
            let extent = read
                .as_ref()
                .and_then(|read| read.tokens.extent(test.line, test.column));
            let (start, end) = extent.unwrap_or((test.line, test.line));
            is_unskippable = read
                .as_ref()
                .is_some_and(|read| read.is_unskippable(start, end));
            Source {
                file: file.clone(),
                start,
                end,
            }
        });
        sources.push((place, is_unskippable));
    }
    drop(files);
    source::forget();
    Some(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_may_ask_not_to_be_skipped() {
        let text = "#[test]\nfn a() {}\n#[ddtrace::test(unskippable)]\nfn b() {}\n#[ddtrace::test]\nfn unskippable() {}\n";
        let read = Read::of(text).unwrap();
        for (start, end, expected) in [(1, 2, false), (3, 4, true), (5, 6, false), (0, 0, false)] {
            assert_eq!(read.is_unskippable(start, end), expected, "{start}");
        }
    }
}
