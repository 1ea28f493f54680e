//! What can only be said after waiting: whose parent, which root never came.

use std::collections::HashSet;

use super::problems::Problem;
use super::segment::{Row, flag};
use super::{Change, Kept, Store};
use crate::validate::{Rule, structure};

/// Orphans of one trace that are reported one by one.
const REPORTED: usize = 20;

impl Store {
    /// Judges the traces that were silent long enough. Call it about once a second.
    pub fn judge(&self, now: i64) {
        if self
            .lock()
            .judging
            .front()
            .is_some_and(|(due, _)| *due <= now)
        {
            self.change(|kept| kept.judge(now, false));
        }
    }

    /// Judges everything, because nothing will come any more.
    pub fn judge_all(&self, now: i64) {
        self.change(|kept| kept.judge(now, true));
    }
}

impl Kept {
    fn judge(&mut self, now: i64, all: bool) {
        let patience = self.limits.orphan_after_ms as i64 * 1_000_000;
        for _ in 0..self.judging.len() {
            let Some(&(due, trace)) = self.judging.front() else {
                break;
            };
            if due > now && !all {
                break;
            }
            self.judging.pop_front();
            let Some(summary) = self.trace_mut(trace) else {
                continue;
            };
            let due = summary.updated + patience;
            if due > now && !all {
                self.judging.push_back((due, trace));
                continue;
            }
            summary.unjudged = false;
            if !summary.evicted {
                self.judge_trace(trace, now);
            }
        }
    }

    fn judge_trace(&mut self, trace: u32, now: i64) {
        let Some(summary) = self.trace(trace) else {
            return;
        };
        let id = summary.id();
        let there: HashSet<u64> = self.rows_of(trace).map(|(_, row)| row.span_id).collect();
        let is_missing = |row: &Row| row.parent_id != 0 && !there.contains(&row.parent_id);
        let is_rooted = summary.has_root()
            || self
                .rows_of(trace)
                .any(|(_, row)| is_missing(row) && !row.is(flag::LOOSE));
        let problem = |rule: &'static Rule, row: &Row, span: bool| Problem {
            rule,
            at: match span {
                true => format!("chunk {}, span {}, parent_id", row.chunk, row.index),
                false => format!("chunk {}", row.chunk),
            },
            detail: if span {
                format!("parent {}", row.parent_id)
            } else {
                String::new()
            },
            trace: Some(id.clone()),
            span: span.then_some(row.span_id),
            request: row.request,
            time: now,
        };
        let mut found: Vec<Problem> = self
            .rows_of(trace)
            .filter(|(_, row)| row.is(flag::LOOSE) && is_missing(row))
            .take(REPORTED)
            .map(|(_, row)| problem(&structure::ORPHAN, row, true))
            .collect();
        if !is_rooted {
            let first = self.rows_of(trace).next();
            found.extend(first.map(|(_, row)| problem(&structure::NO_ROOT, row, false)));
        }
        // Even without a problem the columns change: what is missing is now known to be.
        for problem in found {
            self.add_problem(problem.into(), Some(trace));
        }
        self.note(Change::Trace(trace));
    }
}
