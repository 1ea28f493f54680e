//! From a list of tests to their verdicts.
//!
//! ```text
//! list ─▶ plan ─▶ shared process ─▶ tests without a result ─┐
//!            └──────────────────── isolated ────────────────┴─▶ alone ─▶ verdict ─▶ again, alone
//! ```
//!
//! The engine starts processes and asks the policy; it prints nothing. Retries always run alone, so that state which
//! another test left behind cannot decide. A test that got no result because its process ended runs
//! alone, too: the one that ends its own process again is the one that failed.
//!
//! The exit status is libtest's, unless a decision changed what ran or what counts. A process that ended badly
//! although no test can be blamed for it fails the run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::event::{
    Cause, Choice, Event, Listed, Next, Outcome, Policy, Ran, Reporter, Totals, Verdict,
};
use super::harness::Harness;
use super::output::filtered_out;
use super::process::{Binary, as_status, in_words, interrupted, signal_of};
use super::{isolated, os, shared};
use crate::test::link::Names;

/// The status of failed tests.
pub(crate) const FAILED: u8 = 101;

/// A test binary and how to run it.
#[derive(Debug)]
pub(crate) struct Engine<'e> {
    pub(crate) binary: &'e Binary,
    pub(crate) arguments: &'e Arguments,
    pub(crate) harness: Harness,
    pub(crate) tests: &'e [Listed],
    /// Every test in a process of its own.
    pub(crate) isolate: bool,
    /// How long a test may take that runs alone.
    pub(crate) timeout: Option<Duration>,
    /// Below it each run of a test gets a folder.
    pub(crate) runs: Option<&'e Path>,
    /// By what the spans of tests are told.
    pub(crate) names: Option<&'e Names>,
    /// Whether standard output is a terminal.
    pub(crate) colour: bool,
}

/// A run that is to come.
#[derive(Debug)]
struct Job {
    test: usize,
    attempt: u32,
    retry: Option<(u32, u32, String)>,
}

/// What has been found so far.
#[derive(Debug, Default)]
struct Found {
    totals: Totals,
    /// Failures that libtest has not shown itself.
    failures: Vec<Ran>,
    shown: HashSet<String>,
}

impl Found {
    fn settle(&mut self, ran: Ran, verdict: Verdict) {
        let totals = &mut self.totals;
        totals.flaky += usize::from(verdict.flaky);
        if verdict.fails_build {
            totals.failed += 1;
            if !self.shown.contains(&ran.name) {
                self.failures.push(ran);
            }
        } else if verdict.quarantined {
            totals.quarantined += 1;
        } else {
            match verdict.outcome {
                Outcome::Passed => totals.passed += 1,
                Outcome::Ignored => totals.ignored += 1,
                Outcome::Failed => totals.failed += 1,
            }
        }
    }
}

impl Engine<'_> {
    /// Runs the tests and gives the status to end with.
    pub(crate) fn run(
        &self,
        policy: &mut dyn Policy,
        reporter: &mut dyn Reporter,
    ) -> std::io::Result<u8> {
        let begun = Instant::now();
        let choices = policy.plan(self.tests);
        let runs = |at: usize| matches!(choices.get(at), Some(Choice::Run) | None);
        let names = |wanted: bool| -> Vec<&str> {
            let listed = self.tests.iter().enumerate();
            listed
                .filter(|(at, _)| runs(*at) == wanted)
                .map(|(_, test)| test.name.as_str())
                .collect()
        };
        let (wanted, left_out) = (names(true), names(false));
        let mut found = Found::default();
        found.totals.left_out = left_out.len();

        let words = if left_out.is_empty() {
            Some(self.arguments.whole(self.colour))
        } else {
            self.arguments.part(self.colour, &wanted, &left_out)
        };
        let nothing_is_left = wanted.is_empty() && !left_out.is_empty();
        let mut queue = VecDeque::new();
        let mut plain = None;
        let mut blame = None;
        match words {
            Some(words) if !self.isolate && !nothing_is_left => {
                let shared =
                    self.shared(&words, &runs, policy, reporter, &mut found, &mut queue)?;
                // A process that was cut off has no last line, or one that does not know of the failure.
                let is_whole = !shared.last_line.is_empty() && found.failures.is_empty();
                if left_out.is_empty() && queue.is_empty() && is_whole {
                    plain = Some(shared.last_line);
                }
                blame = shared.blame;
            }
            _ => {
                reporter.event(&Event::Begun {
                    tests: wanted.len(),
                });
                queue.extend(
                    (0..self.tests.len())
                        .filter(|at| runs(*at))
                        .map(|test| Job {
                            test,
                            attempt: 0,
                            retry: None,
                        }),
                );
            }
        }
        let attempts = self.alone(queue, policy, reporter, &mut found);
        if interrupted() != 0 {
            return Ok(128 + interrupted() as u8);
        }
        if let Some((status, how)) = blame
            && !attempts.any_failed
        {
            // Whatever ended the process badly did not show itself again.
            reporter.event(&Event::Lost {
                how: &how,
                tests: 0,
            });
            found.totals.failed += usize::from(found.totals.failed == 0);
            self.finish(reporter, &mut found, begun, None);
            return Ok(status);
        }
        let changed = found.totals.quarantined > 0 || found.totals.flaky > 0;
        self.finish(reporter, &mut found, begun, plain.filter(|_| !changed));
        Ok(if found.totals.failed > 0 { FAILED } else { 0 })
    }

    fn finish(
        &self,
        reporter: &mut dyn Reporter,
        found: &mut Found,
        begun: Instant,
        plain: Option<Vec<u8>>,
    ) {
        found.failures.sort_by(|a, b| a.name.cmp(&b.name));
        reporter.event(&Event::Finished {
            totals: &found.totals,
            failures: &found.failures,
            took: begun.elapsed(),
            plain: plain.as_deref(),
        });
    }

    fn shared(
        &self,
        words: &[std::ffi::OsString],
        runs: &dyn Fn(usize) -> bool,
        policy: &mut dyn Policy,
        reporter: &mut dyn Reporter,
        found: &mut Found,
        queue: &mut VecDeque<Job>,
    ) -> std::io::Result<SharedEnd> {
        let tests: Vec<&Listed> = self
            .tests
            .iter()
            .enumerate()
            .filter(|(at, _)| runs(*at))
            .map(|(_, test)| test)
            .collect();
        let places: HashMap<&str, usize> = self
            .tests
            .iter()
            .enumerate()
            .map(|(at, test)| (test.name.as_str(), at))
            .collect();
        let mut ended = shared::run(
            self.binary,
            words,
            &tests,
            self.arguments.concurrency(),
            reporter,
            &mut |ran| policy.ran(ran),
        )?;
        if interrupted() != 0 {
            return Ok(SharedEnd::default());
        }
        let with_result: HashSet<&str> = ended.runs.iter().map(|ran| ran.name.as_str()).collect();
        let mut missing: Vec<usize> = tests
            .iter()
            .filter(|test| !with_result.contains(test.name.as_str()))
            .filter_map(|test| places.get(test.name.as_str()).copied())
            .collect();
        let any_failed = ended.runs.iter().any(|ran| ran.outcome == Outcome::Failed);
        let how = in_words(ended.status);
        let ended_badly = !ended.status.success()
            && (signal_of(ended.status).is_some() || !any_failed || !missing.is_empty());
        // One test without a result is the one that ended the process.
        if let ([only], true) = (&missing[..], ended_badly) {
            let mut ran = Ran::new(
                &self.tests[*only].name,
                Outcome::Failed,
                ended.started,
                ended.started.elapsed().unwrap_or_default(),
            );
            ran.signal = signal_of(ended.status).map(os::signal_name);
            ran.cause = Some(Cause {
                kind: ran.signal.clone().unwrap_or_else(|| "failure".to_owned()),
                message: match &ran.signal {
                    Some(signal) => format!("the test was ended by {signal}"),
                    None => format!("the test ended its process with {how}"),
                },
                stack: String::new(),
            });
            reporter.event(&Event::Ended {
                ran: &ran,
                retry: None,
            });
            policy.ran(&ran);
            ended.runs.push(ran);
            missing.clear();
        } else {
            let is_shown_by_libtest = |ran: &&Ran| ran.outcome == Outcome::Failed;
            found.shown = ended
                .runs
                .iter()
                .filter(is_shown_by_libtest)
                .map(|ran| ran.name.clone())
                .collect();
        }
        if !missing.is_empty() {
            reporter.event(&Event::Lost {
                how: &how,
                tests: missing.len(),
            });
        }
        queue.extend(missing.iter().map(|test| Job {
            test: *test,
            attempt: 0,
            retry: None,
        }));
        found.totals.filtered_out = filtered_out(&ended.last_line)
            .unwrap_or(0)
            .saturating_sub(found.totals.left_out);
        for ran in ended.runs {
            match policy.next() {
                Next::Done(verdict) => found.settle(ran, verdict),
                Next::Again { number, of, why } => queue.push_back(Job {
                    test: places.get(ran.name.as_str()).copied().unwrap_or_default(),
                    attempt: ran.attempt + 1,
                    retry: Some((number, of, why)),
                }),
            }
        }
        let is_explained = any_failed && signal_of(ended.status).is_none();
        let one_is_blamed =
            ended_badly && missing.is_empty() && found.totals.failed + found.totals.quarantined > 0;
        Ok(SharedEnd {
            last_line: ended.last_line,
            blame: (ended_badly && !is_explained && !one_is_blamed)
                .then(|| (as_status(ended.status), how)),
        })
    }

    /// Runs what is in the queue, and what the policy wants again.
    fn alone(
        &self,
        mut queue: VecDeque<Job>,
        policy: &mut dyn Policy,
        reporter: &mut dyn Reporter,
        found: &mut Found,
    ) -> Attempts {
        let most = self.arguments.concurrency();
        let (sender, receiver) = mpsc::sync_channel::<Alone>(64);
        let mut attempts = Attempts::default();
        let mut running = 0;
        std::thread::scope(|scope| {
            loop {
                while running < most && interrupted() == 0 {
                    let Some(job) = queue.pop_front() else { break };
                    let sender = sender.clone();
                    running += 1;
                    scope.spawn(move || {
                        let shows = self.arguments.no_capture;
                        let mut uncaptured = |bytes: &[u8]| {
                            if shows {
                                let _ = sender.send(Alone::Wrote(bytes.to_vec()));
                            }
                        };
                        let test = &self.tests[job.test];
                        let folder = self.runs.and_then(isolated::folder);
                        let alone = isolated::Alone {
                            binary: self.binary,
                            arguments: self.arguments,
                            test,
                            timeout: self.timeout,
                            folder: folder.as_deref(),
                            ids: self.names.map(|names| names.ids(&test.name, job.attempt)),
                        };
                        let mut ran = alone.run(&mut uncaptured);
                        ran.folder = folder;
                        ran.attempt = job.attempt;
                        let _ = sender.send(Alone::Ran(job, Box::new(ran)));
                    });
                }
                if running == 0 {
                    break;
                }
                let Ok(message) = receiver.recv() else { break };
                let (job, ran) = match message {
                    Alone::Wrote(bytes) => {
                        reporter.event(&Event::Uncaptured(&bytes));
                        continue;
                    }
                    Alone::Ran(job, ran) => (job, *ran),
                };
                running -= 1;
                // What was ended by our own signal says nothing about the test.
                if interrupted() != 0 {
                    continue;
                }
                attempts.any_failed |= ran.outcome == Outcome::Failed;
                found.totals.retries += usize::from(job.attempt > 0);
                let filtered = filtered_out(&ran.output).unwrap_or(0);
                found.totals.filtered_out = found.totals.filtered_out.max(filtered);
                reporter.event(&Event::Ended {
                    ran: &ran,
                    retry: job
                        .retry
                        .as_ref()
                        .map(|(number, of, why)| (*number, *of, why.as_str())),
                });
                policy.ran(&ran);
                match policy.next() {
                    Next::Done(verdict) => found.settle(ran, verdict),
                    // Before others, so that a test's runs stay together.
                    Next::Again { number, of, why } => queue.push_front(Job {
                        test: job.test,
                        attempt: job.attempt + 1,
                        retry: Some((number, of, why)),
                    }),
                }
            }
        });
        attempts
    }

    /// Runs a binary of which nothing is known, as it is, as one test.
    pub(crate) fn foreign(
        &self,
        policy: &mut dyn Policy,
        reporter: &mut dyn Reporter,
    ) -> std::io::Result<u8> {
        debug_assert_eq!(self.harness, Harness::Foreign);
        if let Some(Choice::LeaveOut(why)) = policy.plan(self.tests).first() {
            reporter.event(&Event::Lost { how: why, tests: 0 });
            return Ok(0);
        }
        let mut attempt = 0;
        loop {
            let started = std::time::SystemTime::now();
            let begun = Instant::now();
            let mut command = self.binary.command();
            let folder = self.runs.and_then(isolated::folder);
            let ids = self
                .names
                .map(|names| names.ids(&self.tests[0].name, attempt));
            isolated::lead(&mut command, folder.as_deref(), ids);
            let mut child = command.args(&self.arguments.original).spawn()?;
            let registered = super::process::Registered::new(child.id(), false);
            let status = child.wait()?;
            drop(registered);
            if interrupted() != 0 {
                return Ok(128 + interrupted() as u8);
            }
            let outcome = if status.success() {
                Outcome::Passed
            } else {
                Outcome::Failed
            };
            let mut ran = Ran::new(&self.tests[0].name, outcome, started, begun.elapsed());
            ran.attempt = attempt;
            ran.isolated = true;
            ran.folder = folder;
            ran.signal = signal_of(status).map(os::signal_name);
            if outcome == Outcome::Failed {
                ran.cause = Some(Cause {
                    kind: ran.signal.clone().unwrap_or_else(|| "failure".to_owned()),
                    message: format!("the program ended with {}", in_words(status)),
                    stack: String::new(),
                });
            }
            policy.ran(&ran);
            match policy.next() {
                Next::Again { .. } => attempt += 1,
                Next::Done(verdict) if verdict.fails_build => {
                    return Ok(match as_status(status) {
                        0 => FAILED,
                        status => status,
                    });
                }
                Next::Done(_) => return Ok(0),
            }
        }
    }
}

#[derive(Debug, Default)]
struct SharedEnd {
    last_line: Vec<u8>,
    /// How the process ended, if no test is to blame yet.
    blame: Option<(u8, String)>,
}

#[derive(Debug, Default)]
struct Attempts {
    any_failed: bool,
}

enum Alone {
    Wrote(Vec<u8>),
    Ran(Job, Box<Ran>),
}
