//! Which modules and suites there are, and how they fare.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::coverage::Bitmap;
use crate::model::{Attempt, Source, Status};
use crate::payload::FileCoverage;
use crate::selection::{Decision, FaultySession, Verdict};

/// From the first attempt to the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: SystemTime,
    end: SystemTime,
}

impl Span {
    fn of(attempt: &Attempt) -> Span {
        let end = attempt.start.checked_add(attempt.duration);
        Span {
            start: attempt.start,
            end: end.unwrap_or(attempt.start),
        }
    }

    fn extend(&mut self, other: Span) {
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
    }

    pub(super) fn duration(&self) -> Duration {
        self.end.duration_since(self.start).unwrap_or_default()
    }
}

/// Where the tests of a suite stand.
#[derive(Clone, Debug)]
enum Place {
    Unknown,
    One(Source),
    Several,
}

impl Place {
    fn add(&mut self, source: Option<&Source>) {
        let Some(source) = source else {
            return;
        };
        match self {
            Place::Unknown => *self = Place::One(source.clone()),
            Place::One(known) if known.file == source.file => {
                // A line that is not known makes no range smaller or larger.
                if source.start > 0 && (known.start == 0 || source.start < known.start) {
                    known.start = source.start;
                }
                known.end = known.end.max(source.end);
            }
            Place::One(_) => *self = Place::Several,
            Place::Several => {}
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Suite {
    pub(super) span: Span,
    statuses: Vec<Status>,
    place: Place,
    is_skipped_by_impact: bool,
    pub(super) coverage: BTreeMap<String, Bitmap>,
}

impl Suite {
    pub(super) fn status(&self) -> Status {
        Status::of_all(self.statuses.iter().copied())
    }

    /// Where it stands, if all its tests stand in one file. The first line is 1 if it is unknown.
    pub(super) fn source(&self) -> Option<Source> {
        match &self.place {
            Place::One(source) => Some(Source {
                start: source.start.max(1),
                ..source.clone()
            }),
            Place::Unknown | Place::Several => None,
        }
    }

    pub(super) fn is_skipped_by_impact(&self) -> bool {
        self.is_skipped_by_impact && !self.statuses.is_empty()
    }

    pub(super) fn files(&self) -> Vec<FileCoverage> {
        let file = |(file, lines): (&String, &Bitmap)| FileCoverage {
            file: file.clone(),
            lines: lines.clone(),
        };
        self.coverage.iter().map(file).collect()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Module {
    pub(super) span: Span,
    pub(super) path: String,
    pub(super) suites: BTreeMap<String, Suite>,
    /// Whether something came since it was closed.
    pub(super) is_open: bool,
}

impl Module {
    pub(super) fn status(&self) -> Status {
        Status::of_all(self.suites.values().map(Suite::status))
    }
}

/// Everything that was reported, as far as it is needed for ends.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) modules: BTreeMap<String, Module>,
    pub(super) faulty: FaultySession,
    /// Tests that were planned.
    pub(super) planned: usize,
    pub(super) skipped_by_impact: u64,
    pub(super) is_finished: bool,
}

impl Record {
    /// Takes an attempt; with a verdict it is the last of its test.
    pub(super) fn add(
        &mut self,
        attempt: &Attempt,
        decision: &Decision,
        verdict: Option<&Verdict>,
    ) {
        let test = &attempt.identity;
        let span = Span::of(attempt);
        let module = self
            .modules
            .entry(test.module.clone())
            .or_insert_with(|| Module {
                span,
                path: attempt.module_path.clone(),
                suites: BTreeMap::new(),
                is_open: true,
            });
        module.is_open = true;
        module.span.extend(span);
        let suite = module
            .suites
            .entry(test.suite.clone())
            .or_insert_with(|| Suite {
                span,
                statuses: Vec::new(),
                place: Place::Unknown,
                is_skipped_by_impact: true,
                coverage: BTreeMap::new(),
            });
        suite.span.extend(span);
        suite.place.add(attempt.source.as_ref());
        suite.is_skipped_by_impact &= decision.is_skipped_by_impact();
        if let Some(verdict) = verdict {
            suite.statuses.push(verdict.status);
            self.skipped_by_impact += u64::from(decision.is_skipped_by_impact());
        }
    }

    /// Adds coverage to a suite that something was reported of.
    pub(super) fn cover(&mut self, module: &str, suite: &str, files: Vec<FileCoverage>) {
        let module = self.modules.get_mut(module);
        if let Some(suite) = module.and_then(|module| module.suites.get_mut(suite)) {
            for file in files {
                suite
                    .coverage
                    .entry(file.file)
                    .or_default()
                    .merge(&file.lines);
            }
        }
    }
}
