//! `GET /api/traces/{id}` in columns, and `…/find`.
//!
//! Rows stand in the order of display. Everything here is iterative: a trace may be one chain of a hundred thousand
//! spans, or a cycle.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::query::{Parameters, Raw};
use super::traces::show_summary;
use super::{Shared, peers};
use crate::search::{Query, trace_id};
use crate::store::Kept;
use crate::store::segment::{Row, Segment, flag};

/// Most rows that `find` names.
const FOUND: usize = 10_000;

/// The number of a trace, from the text in the path.
pub(super) fn number(store: &Kept, id: &str) -> Result<u32, ApiError> {
    let found = trace_id(id).and_then(|(high, low)| store.find_trace(high, low));
    let number = found.ok_or_else(|| ApiError::not_found("this trace"))?;
    match store.trace(number) {
        Some(summary) if summary.evicted => Err(ApiError::evicted("this trace")),
        Some(_) => Ok(number),
        None => Err(ApiError::not_found("this trace")),
    }
}

/// The spans of a trace in the order of display.
pub(super) struct Tree<'s> {
    /// In order of display.
    pub rows: Vec<(&'s Segment, &'s Row)>,
    /// By row: the row of the parent.
    pub parents: Vec<Option<usize>>,
    /// By row: how many ancestors.
    pub depths: Vec<u32>,
}

impl<'s> Tree<'s> {
    pub(super) fn new(store: &'s Kept, trace: u32) -> Tree<'s> {
        let unsorted: Vec<_> = store.rows_of(trace).collect();
        let mut places: HashMap<u64, usize> = HashMap::with_capacity(unsorted.len());
        for (at, (_, row)) in unsorted.iter().enumerate() {
            // Of a long-running span the newest counts as the parent; of real doubles the first.
            if row.is(flag::LONG_RUNNING) || !places.contains_key(&row.span_id) {
                places.insert(row.span_id, at);
            }
        }
        let parents: Vec<Option<usize>> = unsorted
            .iter()
            .enumerate()
            .map(|(at, (_, row))| match row.parent_id {
                0 => None,
                id => places.get(&id).copied().filter(|parent| *parent != at),
            })
            .collect();
        // Children in lists threaded through one array, in order of start.
        let mut by_start: Vec<usize> = (0..unsorted.len()).collect();
        by_start.sort_by_key(|at| {
            let row = unsorted[*at].1;
            (row.start, std::cmp::Reverse(row.duration), *at)
        });
        let (mut first, mut next) = (
            vec![usize::MAX; unsorted.len()],
            vec![usize::MAX; unsorted.len()],
        );
        let mut roots = Vec::new();
        for at in by_start.iter().rev().copied() {
            match parents[at] {
                Some(parent) => next[at] = std::mem::replace(&mut first[parent], at),
                None => roots.push(at),
            }
        }
        roots.reverse();
        let mut order = Vec::with_capacity(unsorted.len());
        let mut depths = Vec::with_capacity(unsorted.len());
        let mut seen = vec![false; unsorted.len()];
        let mut place = vec![usize::MAX; unsorted.len()];
        // Spans of a cycle hang on no root; the earliest of each stands in for one.
        for root in roots.into_iter().chain(by_start) {
            let mut stack = vec![(root, 0u32)];
            while let Some((at, depth)) = stack.pop() {
                if std::mem::replace(&mut seen[at], true) {
                    continue;
                }
                place[at] = order.len();
                order.push(at);
                depths.push(depth);
                let begin = stack.len();
                let mut child = first[at];
                while child != usize::MAX {
                    if !seen[child] {
                        stack.push((child, depth + 1));
                    }
                    child = next[child];
                }
                stack[begin..].reverse();
            }
        }
        let placed = |at: &usize| parents[*at].map(|parent| place[parent]);
        Tree {
            parents: order
                .iter()
                .enumerate()
                .map(|(row, at)| placed(at).filter(|parent| *parent < row))
                .collect(),
            rows: order.iter().map(|at| unsorted[*at]).collect(),
            depths,
        }
    }

    /// By row: the part of its duration that no child covers.
    pub(super) fn self_times(&self) -> Vec<i64> {
        let mut covered = vec![0i64; self.rows.len()];
        let mut reached = vec![i64::MIN; self.rows.len()];
        // Siblings stand in order of start, so one pass merges their intervals.
        for (at, (_, row)) in self.rows.iter().enumerate() {
            let Some(parent) = self.parents[at] else {
                continue;
            };
            let outer = self.rows[parent].1;
            let begin = row.start.max(outer.start).max(reached[parent]);
            let end = row.end().min(outer.end());
            if end > begin {
                covered[parent] += end - begin;
                reached[parent] = end;
            }
        }
        self.rows
            .iter()
            .zip(covered)
            .map(|((_, row), covered)| (row.duration.max(0) - covered).max(0))
            .collect()
    }
}

pub(super) async fn get(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let store = shared.store().lock();
    let number = number(&store, &id)?;
    Ok(Json(show(&store, number)))
}

#[derive(Default)]
struct Table<'s> {
    numbers: HashMap<&'s str, u32>,
    texts: Vec<&'s str>,
}

impl<'s> Table<'s> {
    fn get(&mut self, text: &'s str) -> u32 {
        let texts = &mut self.texts;
        *self.numbers.entry(text).or_insert_with(|| {
            texts.push(text);
            texts.len() as u32 - 1
        })
    }
}

fn show(store: &Kept, number: u32) -> Value {
    let Some(summary) = store.trace(number) else {
        return Value::Null;
    };
    let tree = Tree::new(store, number);
    let is_judged = !summary.unjudged;
    let mut table = Table::default();
    table.get("");
    let n = tree.rows.len();
    let mut columns: [Vec<u32>; 8] = Default::default();
    let (mut spans, mut flags, mut missing) =
        (Vec::with_capacity(n), Vec::with_capacity(n), Map::new());
    let mut has_children = vec![false; n];
    for parent in tree.parents.iter().flatten() {
        has_children[*parent] = true;
    }
    let served: std::collections::HashSet<usize> = tree
        .parents
        .iter()
        .enumerate()
        .filter_map(|(at, parent)| parent.filter(|parent| !same_service(&tree, at, *parent)))
        .collect();
    for (at, (segment, row)) in tree.rows.iter().enumerate() {
        let text = |number| segment.strings.get(number);
        let (mut kind, mut component, mut status) = ("", "", "");
        for (key, value) in segment.meta(row) {
            match text(*key) {
                "span.kind" => kind = text(*value),
                "component" => component = text(*value),
                "http.status_code" => status = text(*value),
                _ => {}
            }
        }
        let peer = if row.is(flag::OUTGOING) && !served.contains(&at) {
            peers::name(segment, row).unwrap_or("")
        } else {
            ""
        };
        let texts = [
            text(row.service),
            text(row.name),
            text(row.resource),
            text(row.span_type),
            kind,
            component,
            status,
            peer,
        ];
        for (column, text) in columns.iter_mut().zip(texts) {
            column.push(table.get(text));
        }
        spans.push(row.span_id.to_string());
        let mut bits = row.flags & flag::PUBLIC;
        if row.parent_id != 0 && tree.parents[at].is_none() {
            missing.insert(at.to_string(), row.parent_id.to_string().into());
            if row.is(flag::LOOSE) && is_judged {
                bits |= flag::ORPHAN;
            }
        }
        if tree.parents[at].is_some_and(|parent| row.end() > tree.rows[parent].1.end() + 1_000) {
            bits |= flag::FOLLOWS;
        }
        flags.push(bits);
    }
    let mut by_span: HashMap<u64, u32> = HashMap::new();
    for problem in store.problems.of_trace(number) {
        if let Some(span) = problem.span {
            *by_span.entry(span).or_default() += 1;
        }
    }
    let problems: Map<String, Value> = tree
        .rows
        .iter()
        .enumerate()
        .filter_map(|(at, (_, row))| Some((at.to_string(), (*by_span.get(&row.span_id)?).into())))
        .collect();
    // Clocks of two processes differ: nothing may start before the trace as it is shown.
    let start = tree
        .rows
        .iter()
        .map(|(_, row)| row.start)
        .min()
        .unwrap_or(summary.start);
    let end = tree
        .rows
        .iter()
        .map(|(_, row)| row.end())
        .max()
        .unwrap_or(start);
    let [
        service,
        name,
        resource,
        span_type,
        kind,
        component,
        status,
        peer,
    ] = columns;
    json!({
        "id": summary.id(),
        "rev": store.rev,
        "n": n,
        "start": start.to_string(),
        "duration": end.saturating_sub(start),
        "summary": show_summary(summary, None),
        "strings": table.texts,
        "span": spans,
        "parent": tree.parents.iter().map(|parent| parent.map_or(-1, |parent| parent as i64)).collect::<Vec<_>>(),
        "depth": tree.depths,
        "offset": tree.rows.iter().map(|(_, row)| row.start - start).collect::<Vec<_>>(),
        "duration_ns": tree.rows.iter().map(|(_, row)| row.duration.max(0)).collect::<Vec<_>>(),
        "self_ns": tree.self_times(),
        "service": service,
        "name": name,
        "resource": resource,
        "type": span_type,
        "kind": kind,
        "component": component,
        "status": status,
        "peer": peer,
        "flags": flags,
        "problems": problems,
        "missing_parent": missing,
    })
}

fn same_service(tree: &Tree<'_>, a: usize, b: usize) -> bool {
    let service = |at: usize| {
        let (segment, row) = tree.rows[at];
        segment.strings.get(row.service)
    };
    service(a) == service(b)
}

pub(super) async fn find(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    raw: Raw,
) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let query = Query::new(parameters.text("q").unwrap_or_default(), shared.store())?;
    let store = shared.store().lock();
    let number = number(&store, &id)?;
    let tree = Tree::new(&store, number);
    // Rows of one segment one after the other, so that the query is held against each segment once.
    let mut by_segment: Vec<usize> = (0..tree.rows.len()).collect();
    by_segment.sort_by_key(|at| tree.rows[*at].0.number);
    let chosen = query.select(by_segment.iter().map(|at| tree.rows[*at]));
    let mut rows: Vec<usize> = by_segment
        .into_iter()
        .zip(chosen)
        .filter(|(_, is)| *is)
        .map(|(at, _)| at)
        .collect();
    rows.sort_unstable();
    let matched = rows.len();
    rows.truncate(FOUND);
    let spans: Vec<_> = rows
        .iter()
        .map(|at| tree.rows[*at].1.span_id.to_string())
        .collect();
    Ok(Json(
        json!({"rows": rows, "spans": spans, "matched": matched}),
    ))
}
