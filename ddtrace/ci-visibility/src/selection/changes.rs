//! The lines that a change touches, from `git diff -U0` (`spec/ci-visibility.md` §7.9).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Source;

/// Changed lines on the new side, by file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedLines {
    files: BTreeMap<String, Vec<(u32, u32)>>,
}

impl ChangedLines {
    /// Reads the output of `git diff -U0`, in whatever word format. A file that is deleted has none.
    pub fn parse(diff: &str) -> ChangedLines {
        let mut changes = ChangedLines::default();
        let mut file: Option<String> = None;
        // Between a file's `diff` line and its first `@@` stand headers; after that, contents,
        // which may look like headers.
        let mut is_header = false;
        for line in diff.lines() {
            if line.starts_with("diff --git ") {
                (file, is_header) = (None, true);
            } else if let Some(path) = is_header.then(|| new_path(line)).flatten() {
                file = path;
            } else if let Some(lines) = line.strip_prefix("@@ ").and_then(new_side) {
                is_header = false;
                if let Some(file) = &file {
                    let of_file = changes.files.entry(file.clone()).or_default();
                    // A hunk without new lines only removes some: it touches the line before.
                    let (start, count) = lines;
                    let end = start.saturating_add(count.max(1) - 1);
                    of_file.push((start, end));
                }
            }
        }
        changes
    }

    /// Whether a change touches a test: one of its lines changed.
    pub fn touches(&self, source: &Source) -> bool {
        let Some(lines) = self.files.get(&source.file) else {
            return false;
        };
        let end = source.end.max(source.start);
        source.start > 0
            && lines
                .iter()
                .any(|(first, last)| *first <= end && source.start <= *last)
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files with changes.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

/// The path in a line `+++ b/<path>`: `Some(None)` if the file is gone, `None` if it is another line.
fn new_path(line: &str) -> Option<Option<String>> {
    // Git ends a path that has a blank in it with a tab.
    let path = line.strip_prefix("+++ ")?.trim_end_matches('\t');
    let path = unquoted(path).unwrap_or_else(|| path.to_owned());
    Some(match path.as_str() {
        "/dev/null" => None,
        path => Some(path.strip_prefix("b/").unwrap_or(path).to_owned()),
    })
}

/// The text of a path that git quotes because of its characters; `None` if it is not quoted.
fn unquoted(path: &str) -> Option<String> {
    let quoted = path.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::new();
    let mut rest = quoted.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            first @ b'0'..=b'3' => {
                let digit = |byte: u8| matches!(byte, b'0'..=b'7').then(|| byte - b'0');
                let (second, third) = (digit(rest.next()?)?, digit(rest.next()?)?);
                (first - b'0') * 64 + second * 8 + third
            }
            other => other,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Start and length of the new side of a hunk, from what follows `@@ `.
fn new_side(header: &str) -> Option<(u32, u32)> {
    let new = header.split(' ').find_map(|word| word.strip_prefix('+'))?;
    let (start, count) = new.split_once(',').unwrap_or((new, "1"));
    Some((start.parse().ok()?, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIFF: &str = "\
diff --git a/src/lib.rs b/src/lib.rs
index 1..2 100644
--- a/src/lib.rs
+++ b/src/lib.rs
@@ -3 +3,2 @@ fn a() {
-++ b/not/a/path.rs
+x
~
@@ -20,4 +21,0 @@ fn b() {
-y
diff --git a/gone.rs b/gone.rs
deleted file mode 100644
--- a/gone.rs
+++ /dev/null
@@ -1,9 +0,0 @@
-z
diff --git \"a/\\303\\274 x.rs\" \"b/\\303\\274 x.rs\"
--- \"a/\\303\\274 x.rs\"
+++ \"b/\\303\\274 x.rs\"
@@ -0,0 +1 @@
+w
";

    #[test]
    fn a_test_is_touched_if_one_of_its_lines_changed() {
        let changes = ChangedLines::parse(DIFF);
        assert_eq!(
            changes.files().collect::<Vec<_>>(),
            ["src/lib.rs", "ü x.rs"]
        );
        for (file, start, end, expected) in [
            ("src/lib.rs", 1, 2, false),
            ("src/lib.rs", 1, 3, true),
            ("src/lib.rs", 4, 9, true),
            ("src/lib.rs", 5, 20, false),
            ("src/lib.rs", 21, 0, true),
            ("src/lib.rs", 0, 99, false),
            ("gone.rs", 1, 9, false),
            ("ü x.rs", 1, 1, true),
            ("other.rs", 1, 99, false),
        ] {
            let source = Source {
                file: file.into(),
                start,
                end,
            };
            assert_eq!(changes.touches(&source), expected, "{source:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(diff in "(diff --git a b\n|\\+\\+\\+ .{0,9}\n|@@ .{0,12}\n|.{0,9}\n){0,8}") {
            let _ = ChangedLines::parse(&diff);
        }
    }
}
