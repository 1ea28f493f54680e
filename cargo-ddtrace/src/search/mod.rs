//! The search language of the page, and how it is answered.
//!
//! [`mod@parse`] makes a tree of a query; an error points at the character. For each segment [`plan`] turns the
//! tree into one that knows only numbers: every term becomes the set of texts of the segment's string table that satisfy it, so
//! a text is looked at once however many spans carry it, and rows are then compared by bit. A segment whose
//! table cannot satisfy the query is passed over. There is no index: walking a million spans takes some tens of
//! milliseconds, and nothing has to be kept up to date.
//!
//! One span must satisfy the whole query; a trace matches if any of its spans does. `root(…)` holds for the spans of
//! those traces whose root satisfies what stands in it; it is answered by a walk of its own beforehand.

pub mod parse;
pub mod plan;
pub mod tree;

use std::collections::HashSet;

use crate::store::segment::{Row, Segment, flag};
use crate::store::{Kept, Store};
use plan::Plan;
use tree::{Field, Node, Test};

pub use parse::{BadQuery, parse};

/// Matching spans by trace.
#[derive(Debug)]
pub struct Counts {
    /// The trace of the first count; those before it are no longer listed.
    first: u32,
    counts: Vec<u32>,
}

impl Counts {
    fn from(first: u32) -> Counts {
        Counts {
            first,
            counts: Vec::new(),
        }
    }

    fn add(&mut self, trace: u32) {
        let Some(at) = trace.checked_sub(self.first) else {
            return;
        };
        let at = at as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
    }

    /// Of one trace.
    pub fn get(&self, trace: u32) -> u32 {
        let at = trace.checked_sub(self.first);
        at.and_then(|at| self.counts.get(at as usize).copied())
            .unwrap_or(0)
    }

    /// How many traces, and how many spans.
    pub fn totals(&self) -> (u64, u64) {
        let traces = self.counts.iter().filter(|count| **count > 0).count();
        (
            traces as u64,
            self.counts.iter().map(|count| u64::from(*count)).sum(),
        )
    }
}

/// A parsed query, with the traces that each of its `root(…)` holds for.
#[derive(Debug)]
pub struct Query {
    node: Node,
    roots: Vec<HashSet<u32>>,
}

impl Query {
    /// Parses a query and answers its `root(…)` parts.
    pub fn new(text: &str, store: &Store) -> Result<Query, BadQuery> {
        let (node, roots) = parse(text)?;
        let mut query = Query {
            node,
            roots: Vec::new(),
        };
        for root in roots {
            // What stands within `root(…)` has no `root(…)` of its own.
            let mut found = HashSet::new();
            store.scan(
                &mut found,
                |found, segment| {
                    let Some(plan) = Plan::new(&root, segment) else {
                        return;
                    };
                    for row in segment.rows.iter().filter(|row| row.is(flag::ROOT)) {
                        if plan.matches(segment, row, &[]) {
                            found.insert(row.trace);
                        }
                    }
                },
                |_, _| (),
            );
            query.roots.push(found);
        }
        resolve_traces(&mut query.node, &mut query.roots, store);
        Ok(query)
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        matches!(self.node, Node::All)
    }

    /// Counts the matching spans by trace, and shows the result to `finish` under the store's lock.
    pub fn count<T>(&self, store: &Store, finish: impl FnOnce(&Counts, &mut Kept) -> T) -> T {
        let mut counts = Counts::from(store.lock().first_trace());
        store.scan(
            &mut counts,
            |counts, segment| {
                let Some(plan) = Plan::new(&self.node, segment) else {
                    return;
                };
                for row in &segment.rows {
                    if plan.matches(segment, row, &self.roots) {
                        counts.add(row.trace);
                    }
                }
            },
            |counts, kept| finish(counts, kept),
        )
    }

    /// Which of these rows match; `rows` come grouped by segment.
    pub fn select<'s>(&self, rows: impl Iterator<Item = (&'s Segment, &'s Row)>) -> Vec<bool> {
        let mut current: Option<(u32, Option<Plan>)> = None;
        rows.map(|(segment, row)| {
            if current
                .as_ref()
                .is_none_or(|(number, _)| *number != segment.number)
            {
                current = Some((segment.number, Plan::new(&self.node, segment)));
            }
            let plan = current.as_ref().and_then(|(_, plan)| plan.as_ref());
            plan.is_some_and(|plan| plan.matches(segment, row, &self.roots))
        })
        .collect()
    }
}

/// Puts the set of the one trace that it names in place of each `trace_id:…`: segments know no ids of traces.
fn resolve_traces(node: &mut Node, roots: &mut Vec<HashSet<u32>>, store: &Store) {
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes
            .iter_mut()
            .for_each(|node| resolve_traces(node, roots, store)),
        Node::Not(node) => resolve_traces(node, roots, store),
        Node::Term(Field::TraceId, test) => {
            let found = match test {
                Test::Exact(text) => {
                    trace_id(text).and_then(|(high, low)| store.lock().find_trace(high, low))
                }
                _ => None,
            };
            roots.push(found.into_iter().collect());
            *node = Node::Root(roots.len() - 1);
        }
        _ => {}
    }
}

/// Reads a trace id: hexadecimal with 32 digits or with a letter in it, otherwise the low half in decimal.
pub fn trace_id(text: &str) -> Option<(Option<u64>, u64)> {
    let is_decimal = text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
    if is_decimal {
        return Some((None, text.parse().ok()?));
    }
    if text.len() > 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let id = u128::from_str_radix(text, 16).ok()?;
    Some(((text.len() == 32).then_some((id >> 64) as u64), id as u64))
}
