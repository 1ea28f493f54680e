//! What was found wrong: counted by rule, with the newest examples of each, and by trace for the page of a trace.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::validate::{Finding, Level, Rule};

/// How many examples of a rule are kept.
pub const EXAMPLES: usize = 20;
/// How many problems of one trace are kept.
const PER_TRACE: usize = 100;
/// How many problems of traces are kept in all.
const ALL_TRACES: usize = 20_000;

/// One thing found wrong.
#[derive(Debug)]
pub struct Problem {
    /// The rule.
    pub rule: &'static Rule,
    /// The pointer into the request.
    pub at: String,
    /// What was found.
    pub detail: String,
    /// The trace, as the API writes it.
    pub trace: Option<String>,
    /// The span.
    pub span: Option<u64>,
    /// The request's number.
    pub request: u32,
    /// When it was found.
    pub time: i64,
}

impl Problem {
    /// Of a finding in a request.
    pub fn of(
        finding: &Finding,
        trace: Option<String>,
        span: Option<u64>,
        request: u32,
        time: i64,
    ) -> Arc<Problem> {
        Arc::new(Problem {
            rule: finding.rule,
            at: finding.pointer(),
            detail: finding.detail.clone(),
            trace,
            span,
            request,
            time,
        })
    }
}

/// All that one rule found.
#[derive(Debug)]
pub struct Group {
    /// The rule.
    pub rule: &'static Rule,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: i64,
    /// When last.
    pub last: i64,
    /// The newest, oldest first.
    pub examples: VecDeque<Arc<Problem>>,
    /// The revision of the last one.
    pub rev: u64,
}

/// Everything found.
#[derive(Debug, Default)]
pub struct Problems {
    groups: Vec<Group>,
    by_trace: HashMap<u32, Vec<Arc<Problem>>>,
    of_traces: usize,
}

impl Problems {
    /// Adds one; `trace` is the number of the summary it belongs to.
    pub fn add(&mut self, problem: Arc<Problem>, trace: Option<u32>, rev: u64) {
        let group = match self
            .groups
            .iter_mut()
            .position(|group| std::ptr::eq(group.rule, problem.rule))
        {
            Some(at) => &mut self.groups[at],
            None => {
                self.groups.push(Group {
                    rule: problem.rule,
                    count: 0,
                    first: problem.time,
                    last: problem.time,
                    examples: VecDeque::new(),
                    rev,
                });
                self.groups.last_mut().expect("one was pushed")
            }
        };
        group.count += 1;
        group.last = problem.time;
        group.rev = rev;
        if group.examples.len() == EXAMPLES {
            group.examples.pop_front();
        }
        group.examples.push_back(problem.clone());
        if let Some(trace) = trace {
            let list = self.by_trace.entry(trace).or_default();
            if list.len() < PER_TRACE && self.of_traces < ALL_TRACES {
                list.push(problem);
                self.of_traces += 1;
            }
        }
    }

    /// Counts findings of a rule beyond those that were kept one by one.
    pub fn add_uncounted(&mut self, rule: &'static Rule, more: u64) {
        if let Some(group) = self
            .groups
            .iter_mut()
            .find(|group| std::ptr::eq(group.rule, rule))
        {
            group.count += more;
        }
    }

    /// By rule; worst level first, then the most frequent.
    pub fn groups(&self) -> Vec<&Group> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by(|a, b| a.rule.level.cmp(&b.rule.level).then(b.count.cmp(&a.count)));
        groups
    }

    /// Of one trace.
    pub fn of_trace(&self, trace: u32) -> &[Arc<Problem>] {
        self.by_trace.get(&trace).map_or(&[], Vec::as_slice)
    }

    /// How many of a level.
    pub fn total(&self, level: Level) -> u64 {
        self.groups
            .iter()
            .filter(|group| group.rule.level == level)
            .map(|group| group.count)
            .sum()
    }

    /// Forgets a trace that is no longer listed.
    pub fn forget(&mut self, trace: u32) {
        if let Some(list) = self.by_trace.remove(&trace) {
            self.of_traces -= list.len();
        }
    }
}
