//! One conversation: a binary says hello, lists its tests, gets a plan, and tells each run.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ddtrace_ci_visibility::model::{
    Attempt, ExecutionMode, Failure, RetryReason, Source, Status, TestIdentity, TestKind,
};
use ddtrace_ci_visibility::selection::{
    self, Action, Candidate, Decision, Retries, SkipCause, Verdict as Judged,
};
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter,
};
use tokio::net::UnixStream;

use super::Coordinator;
use super::again::Exhausted;
use super::coverage::{Covered, Mapped};
use super::identity::{DoctestName, Doctests, of_test};
use super::inside::Inside;
use super::place::locate;
use super::targets::Module;
use crate::test::impact::{Impact, Unit};
use crate::test::link::{Doctest, Hello, LONGEST, Names, ToCoordinator, ToRunner, Welcome};
use crate::test::runner::event::{Choice, Listed, Next, Outcome, Ran, Verdict};
use crate::test::runner::harness::Harness;

/// Speaks with one runner until it leaves.
pub(super) async fn converse(coordinator: &Coordinator, stream: UnixStream) {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut writer = BufWriter::new(writer);
    let mut conversation = Conversation {
        coordinator,
        module: None,
        harness: Harness::Libtest,
        hello: None,
        mapped: None,
        tests: HashMap::new(),
        doctests: Vec::new(),
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        // Answers are held together while more is there to be read.
        if reader.buffer().is_empty() && writer.flush().await.is_err() {
            break;
        }
        match (&mut reader)
            .take(LONGEST)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let Ok(message) = serde_json::from_slice(&line) else {
            break;
        };
        if let ToCoordinator::End { interrupted } = message {
            coordinator.count(|counts| counts.interrupted |= interrupted);
            break;
        }
        let Some(answer) = conversation.answer(message).await else {
            continue;
        };
        let Ok(mut text) = serde_json::to_vec(&answer) else {
            break;
        };
        text.push(b'\n');
        if writer.write_all(&text).await.is_err() {
            break;
        }
    }
    conversation.end();
}

struct Conversation<'c> {
    coordinator: &'c Coordinator,
    module: Option<Module>,
    harness: Harness,
    hello: Option<Hello>,
    /// What the binary's counters stand for.
    mapped: Option<Arc<Mapped>>,
    tests: HashMap<String, Test>,
    /// Kept until all are known: they are numbered in the order of their lines.
    doctests: Vec<(DoctestName, Ran)>,
}

/// A test between its plan and its verdict.
struct Test {
    identity: TestIdentity,
    source: Option<Source>,
    decision: Decision,
    retries: Retries,
    /// Why the next run takes place, and its number.
    next: Option<(RetryReason, u32)>,
    is_done: bool,
}

impl Conversation<'_> {
    async fn answer(&mut self, message: ToCoordinator) -> Option<ToRunner> {
        match message {
            ToCoordinator::Hello(hello) => {
                let targets = self.coordinator.targets().await;
                let module = if hello.is_doctest {
                    targets.doctests(&hello.binary)?
                } else {
                    targets.module(&hello.binary, hello.package.as_deref())
                };
                let manner = &self.coordinator.manner;
                let coverage = self.coordinator.coverage.as_ref();
                let coverage = coverage.filter(|_| !hello.is_doctest);
                if let Some(coverage) = coverage {
                    let read = || coverage.of_binary(&hello.binary, &module, targets);
                    self.mapped = tokio::task::block_in_place(read);
                }
                let is_covered = self.mapped.is_some();
                let session = self.coordinator.library.session_id();
                let names = session.filter(|_| !hello.is_doctest).map(|session| Names {
                    session,
                    module: module.name.clone(),
                    crate_name: module.crate_name.clone(),
                    earlier: hello
                        .nextest_attempt
                        .map_or(0, |number| number.saturating_sub(1)),
                });
                let welcome = Welcome {
                    declared: module.declared,
                    isolate: manner.isolate || is_covered,
                    timeout: manner.timeout,
                    runs: (names.is_some() || is_covered)
                        .then(|| self.coordinator.manner.runs.clone()),
                    names,
                };
                self.module = Some(module);
                self.coordinator.runners().push(hello.pid);
                self.hello = Some(hello);
                Some(ToRunner::Welcome(welcome))
            }
            ToCoordinator::Tests { harness, tests } => {
                self.harness = harness;
                Some(ToRunner::Plan(self.plan(tests).await?))
            }
            ToCoordinator::Ran(ran) => Some(ToRunner::Next(self.ran(*ran))),
            ToCoordinator::Doctest(Doctest { name, ran }) => {
                let name = DoctestName::read(&name)?;
                self.doctests.push((name, ran));
                None
            }
            ToCoordinator::End { .. } => None,
        }
    }

    async fn plan(&mut self, tests: Vec<Listed>) -> Option<Vec<Choice>> {
        let module = self.module.clone()?;
        let root = self.coordinator.targets().await.root().to_owned();
        let repository = self.coordinator.repository.clone();
        let located = tokio::task::spawn_blocking(move || {
            locate(&tests, &root, &repository, tests.len()).map(|sources| (tests, sources))
        });
        let (tests, sources) = located.await.ok()??;
        let candidates: Vec<Candidate> = tests
            .iter()
            .zip(&sources)
            .map(|(test, source)| {
                let mut candidate =
                    Candidate::new(of_test(&module.name, &module.crate_name, &test.name));
                candidate.source.clone_from(&source.0);
                candidate.is_unskippable = source.1 || is_named(&module.unskippable, &test.name);
                candidate
            })
            .collect();
        let mut decisions = self.coordinator.library.plan(&candidates).await;
        for (candidate, decision) in candidates.iter().zip(&mut decisions) {
            self.leave_out_untouched(candidate, decision);
        }
        let mut choices = Vec::with_capacity(tests.len());
        for ((listed, candidate), decision) in tests.into_iter().zip(candidates).zip(decisions) {
            let test = Test {
                identity: candidate.identity,
                source: candidate.source,
                decision,
                retries: Retries::new(&decision),
                next: None,
                is_done: false,
            };
            choices.push(match decision.action {
                Action::Run => Choice::Run,
                Action::Skip(cause) => {
                    self.left_out(&test, cause);
                    Choice::LeaveOut(cause.reason().to_owned())
                }
            });
            self.tests.insert(listed.name, test);
        }
        Some(choices)
    }

    /// The unit of the binary and what is remembered of its tests.
    fn impact(&self) -> Option<(&Impact, &Unit)> {
        let impact = self.coordinator.coverage.as_ref()?.impact.as_ref()?;
        Some((impact, self.mapped.as_ref()?.unit.as_ref()?))
    }

    fn leave_out_untouched(&self, candidate: &Candidate, decision: &mut Decision) {
        let Some((impact, unit)) = self.impact() else {
            return;
        };
        if decision.action != Action::Run
            || decision.is_attempt_to_fix
            || !impact.is_untouched(unit, &candidate.identity)
        {
            return;
        }
        if candidate.is_unskippable {
            decision.is_forced_run = true;
        } else {
            decision.action = Action::Skip(SkipCause::Impact);
        }
    }

    /// A test that failed however often it was tried may be tried once more in the end.
    fn note_exhausted(&self, test: &Test, name: &str, attempt: &Attempt, verdict: &Judged) {
        let Some(hello) = &self.hello else { return };
        let Some(surroundings) = hello.surroundings.as_ref() else {
            return;
        };
        let is_auto = attempt.retry_reason == Some(RetryReason::AutoTestRetry);
        if verdict.has_failed_all_retries && is_auto && self.harness != Harness::Foreign {
            self.coordinator.exhausted(Exhausted {
                binary: hello.binary.clone(),
                surroundings: surroundings.clone(),
                name: name.to_owned(),
                last: attempt.clone(),
                decision: test.decision,
            });
        }
    }

    /// Benchmarks with a harness of their own have left what they measured.
    fn report_benchmarks(&self, since: SystemTime) {
        let (Some(module), Some(hello)) = (&self.module, &self.hello) else {
            return;
        };
        if !module.is_bench || self.harness != Harness::Foreign {
            return;
        }
        let measured = || super::bench::measured(&hello.binary, &module.name, since);
        for mut attempt in tokio::task::block_in_place(measured) {
            attempt.module_path = relative(&module.folder, &self.coordinator.repository);
            let rustc = self.coordinator.toolchain.rustc.clone();
            attempt.framework = Some(("criterion".to_owned(), rustc));
            let verdict = Judged::of_single(Status::Pass, &Decision::default());
            self.coordinator
                .count(|counts| counts.settle(&verdict, false));
            self.coordinator
                .report(&attempt, &Decision::default(), Some(&verdict), &[]);
        }
    }

    /// What a run left behind.
    fn covered(&self, test: &Test, ran: &Ran) -> Option<Covered> {
        let coverage = self.coordinator.coverage.as_ref()?;
        let (mapped, folder) = (self.mapped.as_ref()?, ran.folder.as_ref()?);
        let source = test.source.as_ref().map(|source| source.file.as_str());
        coverage.of_run(mapped, folder, source)
    }

    fn left_out(&self, test: &Test, cause: SkipCause) {
        if cause == SkipCause::NotAttemptedToFix {
            return;
        }
        let mut attempt = self.attempt(test, Status::Skip, SystemTime::now(), Duration::ZERO);
        attempt.skip_reason = Some(cause.reason().to_owned());
        let verdict = Judged::of_single(Status::Skip, &test.decision);
        self.coordinator.count(|counts| {
            counts.settle(&verdict, false);
            counts.skipped_by_impact += u64::from(cause == SkipCause::Impact);
        });
        self.coordinator
            .report(&attempt, &test.decision, Some(&verdict), &[]);
    }

    fn attempt(
        &self,
        test: &Test,
        status: Status,
        start: SystemTime,
        duration: Duration,
    ) -> Attempt {
        let mut attempt = Attempt::new(test.identity.clone(), status, start, duration);
        attempt.source.clone_from(&test.source);
        if let Some(module) = &self.module {
            attempt.module_path = relative(&module.folder, &self.coordinator.repository);
            if module.is_bench {
                attempt.kind = TestKind::Benchmark;
            }
        }
        let rustc = self.coordinator.toolchain.rustc.clone();
        let is_doctest = self.hello.as_ref().is_some_and(|hello| hello.is_doctest);
        let framework = match self.harness {
            _ if is_doctest => "rustdoc",
            _ if self.coordinator.manner.is_nextest => "nextest",
            Harness::Libtest => "libtest",
            Harness::LibtestLike => "libtest-mimic",
            Harness::Foreign => "custom",
        };
        attempt.framework = Some((framework.to_owned(), rustc));
        attempt
    }

    fn ran(&mut self, mut ran: Ran) -> Next {
        let Some(mut test) = self.tests.remove(&ran.name) else {
            // A test that was not listed: it counts as it ended.
            return Next::Done(Verdict::plainly(ran.outcome));
        };
        let status = status(ran.outcome);
        // Nobody else's files are read, and nothing else is removed.
        let runs = Some(self.coordinator.manner.runs.as_path());
        ran.folder.take_if(|folder| folder.parent() != runs);
        let covered = self.covered(&test, &ran);
        let inside = ran.folder.as_deref().map(Inside::read).unwrap_or_default();
        if let Some(folder) = &ran.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
        let mut attempt = self.attempt(&test, status, ran.started, ran.took);
        describe(&mut attempt, &ran);
        attempt.meta.extend(inside.tags.iter().cloned());
        match test.next.take() {
            Some((reason, number)) => {
                attempt.number = number;
                attempt.retry_reason = Some(reason);
            }
            // nextest's own retry.
            None => {
                let external = self.hello.as_ref().and_then(|hello| hello.nextest_attempt);
                if let Some(number) = external.filter(|number| *number > 1) {
                    attempt.number = number - 1;
                    attempt.retry_reason = Some(RetryReason::External);
                }
            }
        }
        let coordinator = self.coordinator;
        coordinator.library.report_spans(&attempt, inside.spans);
        let next = test
            .retries
            .after(status, ran.took, coordinator.library.budget());
        let answer = match next {
            selection::Next::Again { reason, number, of } => {
                test.next = Some((reason, number));
                coordinator.report(&attempt, &test.decision, None, &ran.output);
                Next::Again {
                    number,
                    of,
                    why: in_words(reason).to_owned(),
                }
            }
            selection::Next::Done(verdict) => {
                test.is_done = true;
                coordinator.count(|counts| counts.settle(&verdict, attempt.number > 0));
                coordinator.report(&attempt, &test.decision, Some(&verdict), &ran.output);
                self.report_benchmarks(ran.started);
                self.note_exhausted(&test, &ran.name, &attempt, &verdict);
                if let Some((impact, unit)) = self.impact() {
                    let passed = verdict.status == Status::Pass && !verdict.is_flaky;
                    let reached = covered.as_ref().filter(|_| passed);
                    let reached = reached.and_then(|covered| covered.reached.as_ref());
                    impact.remember(unit, &test.identity, reached);
                }
                if let Some(covered) = covered {
                    let library = &coordinator.library;
                    library.report_coverage(&test.identity, attempt.number, covered.files);
                }
                Next::Done(Verdict {
                    outcome: match verdict.status {
                        Status::Pass => Outcome::Passed,
                        Status::Fail => Outcome::Failed,
                        Status::Skip => Outcome::Ignored,
                    },
                    flaky: verdict.is_flaky,
                    quarantined: verdict.is_masked,
                    fails_build: verdict.fails_build,
                })
            }
        };
        self.tests.insert(ran.name, test);
        answer
    }

    fn end(&mut self) {
        if let Some(hello) = &self.hello {
            let mut runners = self.coordinator.runners();
            if let Some(at) = runners.iter().position(|pid| *pid == hello.pid) {
                runners.swap_remove(at);
            }
        }
        let Some(module) = self.module.clone() else {
            return;
        };
        self.report_doctests(&module);
        // Under nextest other binaries of the module follow.
        if !self.coordinator.manner.is_nextest {
            self.coordinator.library.close_module(&module.name);
        }
    }

    fn report_doctests(&mut self, module: &Module) {
        let mut numbers = Doctests::default();
        numbers.meet(self.doctests.iter().map(|(name, _)| name));
        for (name, ran) in std::mem::take(&mut self.doctests) {
            // rustdoc ran in the workspace's root.
            let root = self
                .coordinator
                .targets
                .get()
                .map(|targets| targets.root().to_owned());
            let file = root.unwrap_or_default().join(&name.file);
            let of_package = relative(&file, &module.folder);
            let test = Test {
                identity: numbers.identity(&module.name, &of_package, &name),
                source: Some(Source {
                    file: relative(&file, &self.coordinator.repository),
                    start: name.line,
                    end: name.line,
                }),
                decision: Decision::default(),
                retries: Retries::new(&Decision::default()),
                next: None,
                is_done: true,
            };
            let status = status(ran.outcome);
            let mut attempt = self.attempt(&test, status, ran.started, ran.took);
            describe(&mut attempt, &ran);
            attempt.execution_mode = None;
            let verdict = Judged::of_single(status, &test.decision);
            self.coordinator
                .count(|counts| counts.settle(&verdict, false));
            self.coordinator
                .report(&attempt, &test.decision, Some(&verdict), &ran.output);
        }
    }
}

pub(super) fn describe(attempt: &mut Attempt, ran: &Ran) {
    attempt.execution_mode = Some(if ran.isolated {
        ExecutionMode::Isolated
    } else {
        ExecutionMode::Shared
    });
    attempt.should_panic = ran.should_panic;
    attempt.exit_signal.clone_from(&ran.signal);
    attempt.failure = ran.cause.as_ref().map(|cause| Failure {
        kind: cause.kind.clone(),
        message: cause.message.clone(),
        stack: cause.stack.clone(),
    });
    if ran.outcome == Outcome::Ignored && !ran.ignore_message.is_empty() {
        attempt.skip_reason = Some(ran.ignore_message.clone());
    }
    if ran.leaked {
        attempt
            .meta
            .push(("test.rust.leaked_output".to_owned(), "true".to_owned()));
    }
}

pub(super) fn status(outcome: Outcome) -> Status {
    match outcome {
        Outcome::Passed => Status::Pass,
        Outcome::Failed => Status::Fail,
        Outcome::Ignored => Status::Skip,
    }
}

fn in_words(reason: RetryReason) -> &'static str {
    match reason {
        RetryReason::EarlyFlakeDetection => "early flake detection",
        RetryReason::AutoTestRetry => "auto test retry",
        RetryReason::AttemptToFix => "attempt to fix",
        RetryReason::OutOfSession => "out of session",
        _ => "external",
    }
}

/// Whether one of the patterns (`path::prefix*`, or a whole name) names a test.
fn is_named(patterns: &[String], name: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        })
}

/// A path under a folder with `/` between its parts, or the path itself.
pub(super) fn relative(path: &Path, folder: &Path) -> String {
    let under = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> = under
        .components()
        .filter(|part| !matches!(part, std::path::Component::CurDir))
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    parts.join("/").replace("//", "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_and_have_slashes() {
        for (path, folder, expected) in [
            ("/w/a/src/lib.rs", "/w", "a/src/lib.rs"),
            ("/w/./src/lib.rs", "/w", "src/lib.rs"),
            ("/w", "/w", ""),
            ("/other/x.rs", "/w", "/other/x.rs"),
        ] {
            assert_eq!(relative(Path::new(path), Path::new(folder)), expected);
        }
    }

    #[test]
    fn unskippable_tests_are_named_whole_or_by_their_beginning() {
        let patterns = ["smoke::*".to_owned(), "a::b".to_owned()];
        for (name, expected) in [
            ("smoke::x", true),
            ("a::b", true),
            ("a::bc", false),
            ("smoke", false),
        ] {
            assert_eq!(is_named(&patterns, name), expected, "{name}");
        }
    }
}
