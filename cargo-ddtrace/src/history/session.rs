//! A test session, put together from the events that came for it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Characters of one text that are kept; senders cut at 5000.
const TEXT: usize = 8000;
/// Tests of one session that are kept.
pub(super) const TESTS: usize = 200_000;
/// Files of one test's coverage that are kept.
const FILES: usize = 2000;

/// One invocation of a test command.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Session {
    /// As a decimal number.
    pub id: String,
    /// Nanoseconds since 1970.
    pub start: i64,
    /// Nanoseconds; 0 until it has ended.
    pub duration: i64,
    /// `pass`, `fail` or `skip`; empty until it has ended.
    pub status: String,
    /// What was typed.
    pub command: String,
    /// The service that is tested.
    pub service: String,
    /// The environment.
    pub env: String,
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: String,
    /// Where the code comes from.
    pub repository: String,
    /// Whether a signal ended it early.
    pub interrupted: bool,
    /// Runs that were left out because there were too many.
    pub left_out: u64,
    /// Every run of every test, in the order in which they came.
    #[serde(skip)]
    pub runs: Vec<Run>,
    /// Where the runs are that came while it went on, by their ids.
    #[serde(skip)]
    pub(super) places: HashMap<String, usize>,
}

/// One run of one test.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Run {
    /// As a decimal number.
    pub span_id: String,
    /// The binary.
    pub module: String,
    /// The path within it.
    pub suite: String,
    /// The test.
    pub name: String,
    /// Of a parameterised test.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub parameters: String,
    /// `pass`, `fail` or `skip`.
    pub status: String,
    /// What all its runs came to; only on the last one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub final_status: String,
    /// Nanoseconds since 1970.
    pub start: i64,
    /// Nanoseconds.
    pub duration: i64,
    /// Why it is a retry.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub retry_reason: String,
    /// Marks such as `is_new`, by the last part of their tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<String>,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub skip_reason: String,
    /// What kind of failure it was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_type: String,
    /// What it said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_message: String,
    /// Where it happened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_stack: String,
    /// The file, relative to the repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Its first line.
    #[serde(default)]
    pub line: u32,
    /// Its last line.
    #[serde(default)]
    pub end_line: u32,
    /// Whose it is, as JSON.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owners: String,
    /// `shared` or `isolated`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub execution: String,
    /// Lines that it reached, by file: pairs of first and last line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub coverage: BTreeMap<String, Vec<(u32, u32)>>,
}

/// What identifies a test over sessions.
pub type Key<'r> = (&'r str, &'r str, &'r str, &'r str);

impl Run {
    /// Its identity.
    pub fn key(&self) -> Key<'_> {
        (&self.module, &self.suite, &self.name, &self.parameters)
    }

    /// Reads the content of a `test` event.
    pub(super) fn read(content: &Value) -> Run {
        let meta = |key: &str| text(&content["meta"][key]);
        let line = |key: &str| {
            let number = &content["metrics"][key];
            let number = number
                .as_f64()
                .or_else(|| content["meta"][key].as_str()?.parse().ok());
            number.unwrap_or(0.0) as u32
        };
        const MARKS: [&str; 9] = [
            "test.is_new",
            "test.is_modified",
            "test.has_failed_all_retries",
            "test.test_management.is_quarantined",
            "test.test_management.is_test_disabled",
            "test.test_management.is_attempt_to_fix",
            "test.skipped_by_itr",
            "test.itr.unskippable",
            "test.itr.forced_run",
        ];
        let marks = MARKS
            .iter()
            .filter(|key| content["meta"][**key] == "true")
            .map(|key| key.rsplit('.').next().unwrap_or(key).to_owned())
            .collect();
        let retry_reason = match meta("test.retry_reason") {
            reason if reason.is_empty() && content["meta"]["test.is_retry"] == "true" => {
                "unknown".to_owned()
            }
            reason => reason,
        };
        Run {
            span_id: id(&content["span_id"]),
            module: meta("test.module"),
            suite: meta("test.suite"),
            name: meta("test.name"),
            parameters: meta("test.parameters"),
            status: meta("test.status"),
            final_status: meta("test.final_status"),
            start: integer(&content["start"]),
            duration: integer(&content["duration"]),
            retry_reason,
            marks,
            skip_reason: meta("test.skip_reason"),
            error_type: meta("error.type"),
            error_message: meta("error.message"),
            error_stack: meta("error.stack"),
            file: meta("test.source.file"),
            line: line("test.source.start"),
            end_line: line("test.source.end"),
            owners: meta("test.codeowners"),
            execution: meta("test.rust.execution_mode"),
            coverage: BTreeMap::new(),
        }
    }

    /// Takes in what a coverage payload says of a file.
    pub(super) fn cover(&mut self, file: &str, bitmap: &[u8]) {
        if self.coverage.len() < FILES {
            let file = cut(file.trim_start_matches('/'));
            self.coverage.insert(file, lines(bitmap));
        }
    }
}

impl Session {
    /// Takes in the metadata of a payload, where this does not know better.
    pub(super) fn describe(&mut self, metadata: &Value) {
        let all = &metadata["*"];
        for (field, key) in [
            (&mut self.command, "test.command"),
            (&mut self.service, "service.name"),
            (&mut self.env, "env"),
            (&mut self.branch, "git.branch"),
            (&mut self.commit, "git.commit.sha"),
            (&mut self.repository, "git.repository_url"),
        ] {
            if field.is_empty() {
                *field = text(&all[key]);
            }
        }
    }

    /// Takes in its end.
    pub(super) fn end(&mut self, content: &Value) {
        if let start @ 1.. = integer(&content["start"]) {
            self.start = start;
        }
        self.duration = integer(&content["duration"]);
        self.status = text(&content["meta"]["test.status"]);
        self.interrupted = content["meta"]["test.session.interrupted"] == "true";
        for (field, key) in [
            (&mut self.command, "test.command"),
            (&mut self.branch, "git.branch"),
        ] {
            if field.is_empty() {
                *field = text(&content["meta"][key]);
            }
        }
        if self.service.is_empty() {
            self.service = text(&content["service"]);
        }
    }

    /// Takes in a run.
    pub(super) fn add(&mut self, run: Run) {
        if self.runs.len() >= TESTS {
            self.left_out += 1;
            return;
        }
        if self.start == 0 || run.start < self.start {
            self.start = run.start;
        }
        self.places.insert(run.span_id.clone(), self.runs.len());
        self.runs.push(run);
    }

    /// The run with this id.
    pub(super) fn run(&mut self, span: &str) -> Option<&mut Run> {
        let place = *self.places.get(span)?;
        self.runs.get_mut(place)
    }

    /// Its tests, each with all its runs, in the order in which they first came.
    pub fn tests(&self) -> Vec<Test<'_>> {
        let mut places = std::collections::HashMap::new();
        let mut tests: Vec<Test<'_>> = Vec::new();
        for run in &self.runs {
            let place = *places.entry(run.key()).or_insert_with(|| {
                tests.push(Test { runs: Vec::new() });
                tests.len() - 1
            });
            tests[place].runs.push(run);
        }
        tests
    }
}

/// A test of a session.
#[derive(Debug)]
pub struct Test<'s> {
    /// At least one.
    pub runs: Vec<&'s Run>,
}

impl Test<'_> {
    /// What it came to.
    pub fn status(&self) -> &str {
        self.runs
            .iter()
            .rev()
            .find(|run| !run.final_status.is_empty())
            .map(|run| run.final_status.as_str())
            .or_else(|| self.runs.last().map(|run| run.status.as_str()))
            .unwrap_or_default()
    }

    /// Whether it both passed and failed.
    pub fn is_flaky(&self) -> bool {
        let any = |status: &str| self.runs.iter().any(|run| run.status == status);
        any("pass") && any("fail")
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((at, _)) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map(cut).unwrap_or_default()
}

/// Identifiers are 64 bits, which JavaScript's numbers do not hold; the reader gives such numbers as texts.
pub(super) fn id(value: &Value) -> String {
    match value {
        Value::Number(number) => number.as_u64().map(|id| id.to_string()),
        Value::String(text) => text.parse::<u64>().ok().map(|id| id.to_string()),
        _ => None,
    }
    .unwrap_or_default()
}

fn integer(value: &Value) -> i64 {
    value
        .as_i64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap_or(0)
}

/// The lines of a bitmap, in ranges: line *n* is bit `0x80 >> (n mod 8)` of byte n/8.
fn lines(bitmap: &[u8]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for (byte, bits) in (0_u32..).zip(bitmap.iter().take(1 << 16)) {
        for bit in 0..8 {
            if bits & (0x80 >> bit) == 0 {
                continue;
            }
            let line = byte * 8 + bit;
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == line => *last = line,
                _ => ranges.push((line, line)),
            }
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_are_read_as_the_format_says() {
        // The vectors of spec/ci-visibility.md §15 B.
        for (bitmap, expected) in [
            (&[0x71][..], &[(1, 3), (7, 7)][..]),
            (&[0x00, 0x80], &[(8, 8)]),
            (&[0, 0, 0, 0, 0, 0, 0, 0, 0x1c], &[(67, 69)]),
            (&[0x00, 0x01, 0x80], &[(15, 16)]),
        ] {
            assert_eq!(lines(bitmap), expected);
        }
    }

    #[test]
    fn a_test_is_what_its_last_run_says() {
        let run = |status: &str, last: &str| Run {
            status: status.into(),
            final_status: last.into(),
            ..Run::default()
        };
        let mut session = Session::default();
        session.add(run("fail", ""));
        session.add(run("pass", "pass"));
        let tests = session.tests();
        assert_eq!(
            (tests.len(), tests[0].status(), tests[0].is_flaky()),
            (1, "pass", true)
        );
    }
}
