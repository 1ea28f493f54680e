//! The reporter that writes to the terminal, in libtest's grammar.
//!
//! What libtest writes itself passes through. Lines are added only where tests ran alone or where the last line is not
//! true as libtest wrote it, and they are written so that tools which read the output of `cargo test` understand them.

use std::io::Write;

use super::event::{Event, Outcome, Ran, Reporter, Totals};

/// Dots in a row of the quiet form.
const ROW: usize = 88;

/// Writes what happens.
#[derive(Debug)]
pub(crate) struct Terminal<O, E> {
    out: O,
    err: E,
    colour: bool,
    quiet: bool,
    /// Whether an empty line has to stand before the last one.
    owes_line: bool,
    /// Whether libtest was cut off in the middle of a line.
    within_line: bool,
    dots: usize,
    tests: usize,
}

impl<O: Write, E: Write> Terminal<O, E> {
    /// A reporter over standard output and error.
    pub(crate) fn new(out: O, err: E, colour: bool, quiet: bool) -> Terminal<O, E> {
        Terminal {
            out,
            err,
            colour,
            quiet,
            owes_line: false,
            within_line: false,
            dots: 0,
            tests: 0,
        }
    }

    fn painted(&self, text: &str, colour: u8) -> String {
        if self.colour {
            format!("\x1b[{colour}m{text}\x1b[m")
        } else {
            text.to_owned()
        }
    }

    fn outcome(&self, ran: &Ran) -> String {
        match ran.outcome {
            Outcome::Passed => self.painted("ok", 32),
            Outcome::Failed => self.painted("FAILED", 31),
            Outcome::Ignored => {
                let ignored = self.painted("ignored", 33);
                if ran.ignore_message.is_empty() {
                    ignored
                } else {
                    format!("{ignored}, {}", ran.ignore_message)
                }
            }
        }
    }

    fn ended(&mut self, ran: &Ran, retry: Option<(u32, u32, &str)>) -> std::io::Result<()> {
        if self.quiet && retry.is_none() && ran.isolated {
            let dot = match ran.outcome {
                Outcome::Passed => self.painted(".", 32),
                Outcome::Ignored => self.painted("i", 33),
                Outcome::Failed => {
                    let failed = self.painted("FAILED", 31);
                    self.dots = 0;
                    return writeln!(self.out, "\n{} --- {failed}", ran.name);
                }
            };
            write!(self.out, "{dot}")?;
            self.dots += 1;
            if self.dots.is_multiple_of(ROW) {
                writeln!(self.out, " {}/{}", self.dots, self.tests)?;
            }
            return self.out.flush();
        }
        let panics = if ran.should_panic {
            " - should panic"
        } else {
            ""
        };
        let outcome = self.outcome(ran);
        write!(self.out, "test {}{panics} ... {outcome}", ran.name)?;
        if let Some((number, of, why)) = retry {
            write!(self.out, " (retry {number}/{of}, {why})")?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    fn failures(&mut self, failures: &[Ran]) -> std::io::Result<()> {
        writeln!(self.out, "\nfailures:")?;
        let mut is_first = true;
        for ran in failures {
            let mut shown = ran.output.clone();
            if shown.is_empty() {
                let Some(cause) = &ran.cause else { continue };
                shown = format!("{}\n", cause.message).into_bytes();
            } else if let Some(cause) = ran
                .cause
                .as_ref()
                .filter(|cause| cause.kind == "timeout" || cause.kind.starts_with("SIG"))
            {
                shown.extend_from_slice(format!("{}\n", cause.message).as_bytes());
            }
            if std::mem::take(&mut is_first) {
                writeln!(self.out)?;
            }
            writeln!(self.out, "---- {} stdout ----", ran.name)?;
            self.out.write_all(&shown)?;
            writeln!(self.out)?;
        }
        writeln!(self.out, "\nfailures:")?;
        for ran in failures {
            writeln!(self.out, "    {}", ran.name)?;
        }
        Ok(())
    }

    fn result(&mut self, totals: &Totals, took: std::time::Duration) -> std::io::Result<()> {
        let outcome = if totals.failed > 0 {
            self.painted("FAILED", 31)
        } else {
            self.painted("ok", 32)
        };
        write!(
            self.out,
            "test result: {outcome}. {} passed; {} failed; {} ignored; 0 measured; {} filtered out",
            totals.passed, totals.failed, totals.ignored, totals.filtered_out
        )?;
        for (count, what) in [
            (totals.left_out, "skipped by Datadog"),
            (totals.quarantined, "quarantined"),
            (totals.flaky, "flaky"),
        ] {
            if count > 0 {
                write!(self.out, "; {count} {what}")?;
            }
        }
        writeln!(self.out, "; finished in {:.2}s\n", took.as_secs_f64())
    }

    fn write(&mut self, event: &Event<'_>) -> std::io::Result<()> {
        match event {
            Event::Begun { tests } => {
                self.tests = *tests;
                self.owes_line = true;
                let noun = if *tests == 1 { "test" } else { "tests" };
                writeln!(self.out, "\nrunning {tests} {noun}")
            }
            Event::Output(bytes) => {
                self.owes_line = false;
                self.within_line = !bytes.ends_with(b"\n");
                self.out.write_all(bytes)?;
                self.out.flush()
            }
            Event::Uncaptured(bytes) => {
                self.out.write_all(bytes)?;
                self.out.flush()
            }
            Event::ErrorOutput(bytes) => self.err.write_all(bytes),
            Event::Lost { how, tests: 0 } => writeln!(self.err, "ddtrace: the test binary: {how}"),
            Event::Lost { how, tests } => writeln!(
                self.err,
                "ddtrace: the test binary ended with {how}; {tests} without a result run alone"
            ),
            Event::Ended { ran, retry } => {
                self.owes_line = true;
                if std::mem::take(&mut self.within_line) {
                    writeln!(self.out)?;
                }
                self.ended(ran, *retry)
            }
            Event::Finished {
                plain: Some(line), ..
            } => {
                self.out.write_all(line)?;
                self.out.flush()
            }
            Event::Finished {
                totals,
                failures,
                took,
                plain: None,
            } => {
                if !failures.is_empty() {
                    self.failures(failures)?;
                    self.owes_line = true;
                }
                if std::mem::take(&mut self.owes_line) {
                    writeln!(self.out)?;
                }
                self.result(totals, *took)?;
                self.out.flush()
            }
        }
    }
}

impl<O: Write, E: Write> Reporter for Terminal<O, E> {
    fn event(&mut self, event: &Event<'_>) {
        // A terminal that is gone must not end the tests.
        let _ = self.write(event);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn written(quiet: bool, events: &[Event<'_>]) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut terminal = Terminal::new(&mut out, &mut err, false, quiet);
        for event in events {
            terminal.event(event);
        }
        (
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    }

    fn ran(name: &str, outcome: Outcome) -> Ran {
        let mut ran = Ran::new(name, outcome, SystemTime::UNIX_EPOCH, Duration::ZERO);
        ran.isolated = true;
        ran
    }

    #[test]
    fn tests_that_ran_alone_are_shown_as_libtest_shows_them() {
        let mut failed = ran("t::bad", Outcome::Failed);
        failed.output = b"thread 't::bad' panicked at a.rs:1:1:\nno\n".to_vec();
        let mut ignored = ran("t::ign", Outcome::Ignored);
        ignored.ignore_message = "why".to_owned();
        let mut panics = ran("t::sp", Outcome::Passed);
        panics.should_panic = true;
        let totals = Totals {
            passed: 1,
            failed: 1,
            ignored: 1,
            ..Totals::default()
        };
        let events = [
            Event::Begun { tests: 3 },
            Event::Ended {
                ran: &failed,
                retry: None,
            },
            Event::Ended {
                ran: &ignored,
                retry: None,
            },
            Event::Ended {
                ran: &panics,
                retry: None,
            },
            Event::Finished {
                totals: &totals,
                failures: std::slice::from_ref(&failed),
                took: Duration::from_millis(20),
                plain: None,
            },
        ];
        // What rustc 1.95 prints for such a suite.
        let expected = "\nrunning 3 tests\ntest t::bad ... FAILED\ntest t::ign ... ignored, why\ntest t::sp - should panic ... ok\n\nfailures:\n\n---- t::bad stdout ----\nthread 't::bad' panicked at a.rs:1:1:\nno\n\n\nfailures:\n    t::bad\n\ntest result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s\n\n";
        assert_eq!(
            written(false, &events),
            (expected.to_owned(), String::new())
        );
    }

    #[test]
    fn what_decisions_changed_stands_before_the_time() {
        let totals = Totals {
            passed: 86,
            ignored: 1,
            left_out: 2,
            quarantined: 1,
            flaky: 1,
            ..Totals::default()
        };
        let again = ran("t::a", Outcome::Passed);
        let events = [
            Event::Output(b"\nrunning 88 tests\n...\n\n"),
            Event::Ended {
                ran: &again,
                retry: Some((1, 5, "auto test retry")),
            },
            Event::Finished {
                totals: &totals,
                failures: &[],
                took: Duration::from_millis(420),
                plain: None,
            },
        ];
        let (out, _) = written(false, &events);
        assert!(
            out.contains("test t::a ... ok (retry 1/5, auto test retry)\n\n"),
            "{out}"
        );
        assert!(out.ends_with("test result: ok. 86 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; 2 skipped by Datadog; 1 quarantined; 1 flaky; finished in 0.42s\n\n"), "{out}");
    }

    #[test]
    fn a_line_that_libtest_did_not_end_is_ended() {
        let failed = ran("t::b", Outcome::Failed);
        let events = [
            Event::Output(b"test t::a ... "),
            Event::Ended {
                ran: &failed,
                retry: None,
            },
        ];
        assert_eq!(
            written(false, &events).0,
            "test t::a ... \ntest t::b ... FAILED\n"
        );
    }

    #[test]
    fn the_quiet_form_has_dots() {
        let passed = ran("t::a", Outcome::Passed);
        let mut events = vec![Event::Begun { tests: 90 }];
        events.extend((0..90).map(|_| Event::Ended {
            ran: &passed,
            retry: None,
        }));
        let (out, _) = written(true, &events);
        assert_eq!(
            out,
            format!("\nrunning 90 tests\n{} 88/90\n..", ".".repeat(88))
        );
    }
}
