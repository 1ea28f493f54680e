//! libtest's log of results (`--logfile`): one entry per finished test, however garbled standard output is.
//!
//! ```text
//! ok NAME
//! failed NAME
//! failed: REASON NAME
//! ignored NAME
//! ignored: REASON NAME
//! ```
//!
//! A reason may hold line breaks; an entry ends where a name that was listed ends a line.

use std::collections::HashSet;

/// How libtest says that a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Logged {
    /// `ok`
    Passed,
    /// `failed`
    Failed,
    /// `ignored`
    Ignored,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The test's full name.
    pub(crate) name: String,
    /// How it ended.
    pub(crate) logged: Logged,
    /// libtest's reason.
    pub(crate) reason: String,
}

/// The longest entry that is waited for to end.
const LONGEST: usize = 64 << 10;

/// Reads entries out of lines.
#[derive(Debug)]
pub(crate) struct LogReader {
    names: HashSet<String>,
    pending: String,
}

impl LogReader {
    /// A reader for the log of these tests.
    pub(crate) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> LogReader {
        LogReader {
            names: names.into_iter().map(str::to_owned).collect(),
            pending: String::new(),
        }
    }

    /// Takes in a line without its end.
    pub(crate) fn line(&mut self, line: &str) -> Option<Entry> {
        if !self.pending.is_empty() {
            self.pending.push('\n');
        }
        self.pending.push_str(line);
        if let Some(entry) = self.entry(&self.pending) {
            self.pending.clear();
            return Some(entry);
        }
        // A reason that began and did not end, or something that is no entry: what follows may be one.
        let is_open = ["failed: ", "ignored: "]
            .iter()
            .any(|start| self.pending.starts_with(start));
        if !is_open || self.pending.len() > LONGEST {
            self.pending.clear();
        }
        None
    }

    fn entry(&self, text: &str) -> Option<Entry> {
        let plain = [
            ("ok ", Logged::Passed),
            ("failed ", Logged::Failed),
            ("ignored ", Logged::Ignored),
        ];
        for (start, logged) in plain {
            if let Some(name) = text.strip_prefix(start)
                && self.names.contains(name)
            {
                return Some(Entry {
                    name: name.to_owned(),
                    logged,
                    reason: String::new(),
                });
            }
        }
        for (start, logged) in [("failed: ", Logged::Failed), ("ignored: ", Logged::Ignored)] {
            let Some(rest) = text.strip_prefix(start) else {
                continue;
            };
            let last_line = rest.rfind('\n').map_or(0, |at| at + 1);
            // Names of some harnesses hold blanks, so the longest name that fits is looked for.
            let found = rest[last_line..]
                .match_indices(' ')
                .map(|(at, _)| last_line + at)
                .find(|at| self.names.contains(&rest[at + 1..]));
            if let Some(at) = found {
                return Some(Entry {
                    name: rest[at + 1..].to_owned(),
                    logged,
                    reason: rest[..at].to_owned(),
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_reasons_over_several_lines_too() {
        let names = ["a::ok", "a::bad", "a::wrong", "a::ign", "[kind] with blank"];
        let mut reader = LogReader::new(names);
        let text = "ok a::ok\nnoise\nfailed a::bad\nfailed: panic did not contain expected string\n      \
            panic message: \"x\"\n expected substring: \"abc\" a::wrong\nignored: why so a::ign\nok [kind] with blank\n\
            failed: time limit exceeded [kind] with blank";
        let entries: Vec<_> = text.lines().filter_map(|line| reader.line(line)).collect();
        let shown: Vec<_> = entries
            .iter()
            .map(|entry| (entry.name.as_str(), &entry.logged, entry.reason.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a::ok", &Logged::Passed, ""),
                ("a::bad", &Logged::Failed, ""),
                (
                    "a::wrong",
                    &Logged::Failed,
                    "panic did not contain expected string\n      panic message: \"x\"\n expected substring: \"abc\""
                ),
                ("a::ign", &Logged::Ignored, "why so"),
                ("[kind] with blank", &Logged::Passed, ""),
                ("[kind] with blank", &Logged::Failed, "time limit exceeded"),
            ]
        );
    }

    #[test]
    fn a_reason_that_never_ends_does_not_grow_without_bound() {
        let mut reader = LogReader::new(["a"]);
        assert_eq!(reader.line("failed: begun"), None);
        for _ in 0..100_000 {
            assert_eq!(reader.line("and more of the same"), None);
            assert!(reader.pending.len() <= LONGEST + 100);
        }
        let mut fresh = LogReader::new(["a"]);
        assert!(fresh.line("ok a").is_some());
    }
}
