//! A JUnit file of a run (`spec/ci-visibility.md` §7.17).
//!
//! One `testsuite` for each module; a test's suite is its `classname`. A test that failed and then
//! passed has a `flakyFailure` for each failed run; one that failed in the end a `failure` for the
//! first run and a `rerunFailure` for each other. A failure that does not count is `skipped`, with
//! the reason.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::{Attempt, Failure, Source, Status, TestIdentity};
use crate::selection::Verdict;

/// The most of a test's output that is written, in characters.
const MAX_OUTPUT: usize = 1024 * 1024;

/// What a test printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// To standard output.
    pub stdout: String,
    /// To standard error.
    pub stderr: String,
}

/// Gathers runs, and writes the file.
#[derive(Clone, Debug, Default)]
pub struct Report {
    modules: BTreeMap<String, BTreeMap<TestIdentity, Test>>,
}

#[derive(Clone, Debug, Default)]
struct Test {
    start: Option<SystemTime>,
    duration: Duration,
    failures: Vec<Failure>,
    skip_reason: Option<String>,
    source: Option<Source>,
    verdict: Option<Verdict>,
    output: Output,
    tags: Vec<(String, String)>,
}

impl Report {
    /// Adds a run; the last one of a test has a verdict. Tags become properties `dd_tags[…]`.
    pub fn add(
        &mut self,
        attempt: &Attempt,
        verdict: Option<&Verdict>,
        output: Output,
        tags: &[(String, String)],
    ) {
        let module = self
            .modules
            .entry(attempt.identity.module.clone())
            .or_default();
        let test = module.entry(attempt.identity.clone()).or_default();
        test.start.get_or_insert(attempt.start);
        test.duration = attempt.duration;
        if attempt.status == Status::Fail {
            test.failures
                .push(attempt.failure.clone().unwrap_or_default());
        }
        test.skip_reason.clone_from(&attempt.skip_reason);
        test.source.clone_from(&attempt.source);
        test.verdict = verdict.copied().or(test.verdict);
        test.output = output;
        test.tags = tags.to_vec();
    }

    /// The file.
    pub fn to_xml(&self, name: &str) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let all = self.modules.values().flat_map(BTreeMap::values);
        let total = Totals::of(all);
        let _ = writeln!(out, "<testsuites name=\"{}\" {total}>", escaped(name));
        for (module, tests) in &self.modules {
            let total = Totals::of(tests.values());
            let start = tests.values().filter_map(|test| test.start).min();
            let start = start.map(timestamp).unwrap_or_default();
            let _ = writeln!(
                out,
                "  <testsuite name=\"{}\" {total} timestamp=\"{start}\">",
                escaped(module)
            );
            for (identity, test) in tests {
                test.write(identity, &mut out);
            }
            out.push_str("  </testsuite>\n");
        }
        out.push_str("</testsuites>\n");
        out
    }
}

/// Attributes of a suite, and of all of them.
#[derive(Default)]
struct Totals {
    tests: usize,
    failures: usize,
    skipped: usize,
    time: Duration,
}

impl Totals {
    fn of<'a>(tests: impl Iterator<Item = &'a Test>) -> Totals {
        let mut total = Totals::default();
        for test in tests {
            total.tests += 1;
            total.failures += usize::from(test.outcome() == Outcome::Failed);
            total.skipped += usize::from(test.outcome() == Outcome::Skipped);
            total.time += test.duration;
        }
        total
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = self.time.as_secs_f64();
        write!(
            out,
            "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{time:.3}\"",
            self.tests, self.failures, self.skipped
        )
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Test {
    fn outcome(&self) -> Outcome {
        match &self.verdict {
            Some(verdict) if verdict.is_masked || verdict.status == Status::Skip => {
                Outcome::Skipped
            }
            Some(verdict) if verdict.status == Status::Pass => Outcome::Passed,
            Some(_) => Outcome::Failed,
            // A run that was broken off.
            None if self.failures.is_empty() => Outcome::Skipped,
            None => Outcome::Failed,
        }
    }

    fn write(&self, identity: &TestIdentity, out: &mut String) {
        let time = self.duration.as_secs_f64();
        let _ = write!(
            out,
            "    <testcase name=\"{}\" classname=\"{}\" time=\"{time:.3}\"",
            escaped(&identity.name),
            escaped(&identity.suite)
        );
        if let Some(source) = &self.source {
            let _ = write!(out, " file=\"{}\"", escaped(&source.file));
            if source.start > 0 {
                let _ = write!(out, " line=\"{}\"", source.start);
            }
        }
        out.push_str(">\n");
        if !self.tags.is_empty() {
            out.push_str("      <properties>\n");
            for (key, value) in &self.tags {
                let (key, value) = (escaped(key), escaped(value));
                let _ = writeln!(
                    out,
                    "        <property name=\"dd_tags[{key}]\" value=\"{value}\"/>"
                );
            }
            out.push_str("      </properties>\n");
        }
        match self.outcome() {
            Outcome::Passed => {
                for failure in &self.failures {
                    element(out, "flakyFailure", failure);
                }
            }
            Outcome::Failed => {
                for (index, failure) in self.failures.iter().enumerate() {
                    let name = if index == 0 {
                        "failure"
                    } else {
                        "rerunFailure"
                    };
                    element(out, name, failure);
                }
            }
            Outcome::Skipped => {
                let reason = self.skip_reason.as_deref();
                let masked = self.verdict.is_some_and(|verdict| verdict.is_masked);
                let reason = match (masked, self.failures.last()) {
                    (true, Some(failure)) => {
                        format!("Quarantined by Datadog, failed: {}", failure.message)
                    }
                    _ => reason.unwrap_or_default().to_owned(),
                };
                let _ = writeln!(out, "      <skipped message=\"{}\"/>", escaped(&reason));
            }
        }
        let outputs = [
            ("system-out", &self.output.stdout),
            ("system-err", &self.output.stderr),
        ];
        for (name, text) in outputs {
            if !text.is_empty() {
                // The end of a long output says more than its beginning.
                let length = text.chars().count();
                let end: String = text
                    .chars()
                    .skip(length.saturating_sub(MAX_OUTPUT))
                    .collect();
                let _ = writeln!(out, "      <{name}>{}</{name}>", escaped(&end));
            }
        }
        out.push_str("    </testcase>\n");
    }
}

fn element(out: &mut String, name: &str, failure: &Failure) {
    let _ = writeln!(
        out,
        "      <{name} type=\"{}\" message=\"{}\">{}</{name}>",
        escaped(&failure.kind),
        escaped(&failure.message),
        escaped(&failure.stack)
    );
}

/// A text that can stand in an attribute or an element. Characters that XML does not have are
/// replaced, and colours and line ends in attributes survive as they can.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

/// A point in time as ISO 8601 writes it, in UTC.
fn timestamp(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since the first of March of the year 0, when years end with their leap day.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::{Decision, Next, Retries, RetryBudget, RetryPlan};

    fn report() -> Report {
        let mut report = Report::default();
        let budget = RetryBudget::new(100);
        let decision = |is_quarantined| Decision {
            retries: RetryPlan::AutoTestRetries { retries: 2 },
            is_quarantined,
            ..Decision::default()
        };
        let (pass, fail, skip) = (Status::Pass, Status::Fail, Status::Skip);
        for (name, quarantined, runs) in [
            ("passes", false, &[pass][..]),
            ("fails", false, &[fail, fail, fail]),
            ("flaky", false, &[fail, pass]),
            ("quarantined", true, &[fail, fail, fail]),
            ("ignored", false, &[skip]),
        ] {
            let mut retries = Retries::new(&decision(quarantined));
            for (number, status) in runs.iter().enumerate() {
                let identity = TestIdentity::new("shop", "cart::tests", name);
                let start = UNIX_EPOCH + Duration::from_secs(1_709_210_096);
                let mut attempt =
                    Attempt::new(identity, *status, start, Duration::from_millis(1500));
                attempt.source = Some(Source {
                    file: "src/cart.rs".into(),
                    start: 3,
                    end: 9,
                });
                attempt.failure = (*status == fail).then(|| Failure {
                    kind: "panic".into(),
                    message: format!("1 < 2 & \"x\" {number}"),
                    stack: "line\nline\u{1b}[0m".into(),
                });
                attempt.skip_reason = (*status == skip).then(|| "slow".into());
                let verdict = match retries.after(*status, Duration::ZERO, &budget) {
                    Next::Again { .. } => None,
                    Next::Done(verdict) => Some(verdict),
                };
                let output = Output {
                    stdout: if name == "passes" {
                        "said <it>".into()
                    } else {
                        String::new()
                    },
                    stderr: String::new(),
                };
                let tags = [("team".to_owned(), "core".to_owned())];
                let tags = if name == "passes" { &tags[..] } else { &[] };
                report.add(&attempt, verdict.as_ref(), output, tags);
            }
        }
        report
    }

    /// Written by hand after the dossier and the schema of Maven Surefire, which has the reruns.
    #[test]
    fn every_outcome_has_its_element() {
        let case = |name: &str, inside: &str| {
            format!(
                "    <testcase name=\"{name}\" classname=\"cart::tests\" time=\"1.500\" file=\"src/cart.rs\" line=\"3\">\n{inside}    </testcase>\n"
            )
        };
        let failure = |element: &str, number: usize| {
            format!(
                "      <{element} type=\"panic\" message=\"1 &lt; 2 &amp; &quot;x&quot; {number}\">line&#10;line\u{fffd}[0m</{element}>\n"
            )
        };
        let totals = "tests=\"5\" failures=\"1\" errors=\"0\" skipped=\"2\" time=\"7.500\"";
        let expected = [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(),
            format!("<testsuites name=\"run\" {totals}>\n"),
            format!("  <testsuite name=\"shop\" {totals} timestamp=\"2024-02-29T12:34:56Z\">\n"),
            case(
                "fails",
                &(failure("failure", 0)
                    + &failure("rerunFailure", 1)
                    + &failure("rerunFailure", 2)),
            ),
            case("flaky", &failure("flakyFailure", 0)),
            case("ignored", "      <skipped message=\"slow\"/>\n"),
            case(
                "passes",
                "      <properties>\n        <property name=\"dd_tags[team]\" value=\"core\"/>\n      </properties>\n      <system-out>said &lt;it&gt;</system-out>\n",
            ),
            case(
                "quarantined",
                "      <skipped message=\"Quarantined by Datadog, failed: 1 &lt; 2 &amp; &quot;x&quot; 2\"/>\n",
            ),
            "  </testsuite>\n</testsuites>\n".to_owned(),
        ];
        assert_eq!(report().to_xml("run"), expected.concat());
    }

    #[test]
    fn points_in_time_are_written_in_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(timestamp(time), expected);
        }
    }
}
