//! Where the tests of a binary stand, and what their attributes say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ddtrace_ci_visibility::model::Source;

use super::server::relative;
use super::source::{self, Tokens};
use crate::test::runner::event::Listed;

/// The largest source file that is read.
const FILE: u64 = 8 << 20;

/// Whether the lines of a test say `#[ddtrace::test(unskippable)]` or `#[ddtrace::test_unskippable]`.
fn says_unskippable(text: &str, start: u32, end: u32) -> bool {
    let (start, end) = (start as usize, end as usize);
    let lines = text.lines().skip(start.saturating_sub(1));
    let mut lines = lines
        .take((end + 1).saturating_sub(start))
        .map(str::trim_start);
    lines.any(|line| line.starts_with("#[ddtrace::test") && line.contains("unskippable"))
}

/// A source and its tokens.
type Read = (String, Tokens);

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
                let tokens = is_readable
                    .then(|| std::fs::read_to_string(&whole).ok())
                    .flatten()
                    .and_then(|text| {
                        let tokens = Tokens::of(&text)?;
                        Some((text, tokens))
                    });
                (relative(&whole, repository), tokens)
            });
            let extent = read
                .as_ref()
                .and_then(|(_, tokens)| tokens.extent(test.line, test.column));
            let (start, end) = extent.unwrap_or((test.line, test.line));
            is_unskippable = read
                .as_ref()
                .is_some_and(|(text, _)| says_unskippable(text, start, end));
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
        for (start, end, expected) in [(1, 2, false), (3, 4, true), (5, 6, false), (0, 0, false)] {
            assert_eq!(says_unskippable(text, start, end), expected, "{start}");
        }
    }
}
