//! `GET /api/traces`: the list, from summaries alone unless a search needs the spans.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::{Parameters, Raw};
use super::{Shared, apart};
use crate::search::{Counts, Query};
use crate::store::Kept;
use crate::store::summary::{Entry, Summary};

/// The most steps of the timeline.
const BUCKETS: usize = 200;

struct Filter {
    service: Option<String>,
    error: bool,
    min: Option<i64>,
    max: Option<i64>,
    root: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
    problems: bool,
}

impl Filter {
    fn read(parameters: &Parameters) -> Result<Filter, ApiError> {
        let ms = |name| {
            let ms: Option<f64> = parameters.number(name)?;
            Ok::<_, ApiError>(ms.map(|ms| (ms * 1e6) as i64))
        };
        Ok(Filter {
            service: parameters.text("service").map(str::to_owned),
            error: parameters.flag("error")?,
            min: ms("min_ms")?,
            max: ms("max_ms")?,
            root: parameters.text("root").map(str::to_lowercase),
            from: parameters.number("from")?,
            to: parameters.number("to")?,
            problems: parameters.flag("problems")?,
        })
    }

    fn passes(&self, summary: &Summary) -> bool {
        let root = |wanted: &String| {
            summary.entry.as_ref().is_some_and(|entry| {
                entry.resource.to_lowercase().contains(wanted.as_str())
                    || entry.name.to_lowercase().contains(wanted.as_str())
            })
        };
        self.service
            .as_ref()
            .is_none_or(|wanted| summary.services.iter().any(|service| **service == **wanted))
            && (!self.error || summary.errors > 0)
            && self.min.is_none_or(|min| summary.duration() >= min)
            && self.max.is_none_or(|max| summary.duration() <= max)
            && self.from.is_none_or(|from| summary.start >= from)
            && self.to.is_none_or(|to| summary.start < to)
            && (!self.problems || summary.problems > 0)
            && self.root.as_ref().is_none_or(root)
    }
}

pub(super) async fn list(State(shared): State<Shared>, raw: Raw) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let filter = Filter::read(&parameters)?;
    let limit = parameters.limit()?;
    let buckets = parameters.number("buckets")?.unwrap_or(0).min(BUCKETS);
    let cursor =
        match parameters.text("cursor") {
            None => None,
            Some(text) => {
                let read = text
                    .split_once('.')
                    .and_then(|(start, n)| Some((start.parse().ok()?, n.parse().ok()?)));
                Some(read.ok_or_else(|| {
                    ApiError::parameter("cursor", "the cursor of an earlier answer")
                })?)
            }
        };
    let q = parameters.text("q").map(str::to_owned);
    let answer = apart(move || -> Result<Value, ApiError> {
        let query = q
            .map(|q| Query::new(&q, shared.store()))
            .transpose()?
            .filter(|q| !q.is_empty());
        Ok(match query {
            None => show(
                &shared.store().lock(),
                None,
                &filter,
                limit,
                cursor,
                buckets,
            ),
            Some(query) => query.count(shared.store(), |counts, store| {
                show(store, Some(counts), &filter, limit, cursor, buckets)
            }),
        })
    });
    Ok(Json(answer.await?))
}

fn show(
    store: &Kept,
    counts: Option<&Counts>,
    filter: &Filter,
    limit: usize,
    cursor: Option<(i64, u32)>,
    buckets: usize,
) -> Value {
    let mut found: Vec<(i64, u32)> = store
        .traces()
        .filter(|(number, summary)| {
            summary.spans > 0
                && counts.is_none_or(|counts| counts.get(*number) > 0)
                && filter.passes(summary)
        })
        .map(|(number, summary)| (summary.start, number))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    let begin = cursor.map_or(0, |cursor| found.partition_point(|place| *place >= cursor));
    let page = &found[begin..found.len().min(begin + limit)];
    let traces: Vec<_> = page
        .iter()
        .filter_map(|(_, number)| {
            let matched = counts.map(|counts| counts.get(*number));
            store
                .trace(*number)
                .map(|summary| show_summary(summary, matched))
        })
        .collect();
    let more = begin + page.len() < found.len();
    let mut durations: Vec<u64> = found
        .iter()
        .filter_map(|(_, number)| {
            store
                .trace(*number)
                .map(|summary| summary.duration() as u64)
        })
        .collect();
    json!({
        "rev": store.rev,
        "total": store.traces().len(),
        "matched": found.len(),
        "cursor": page.last().filter(|_| more).map(|(start, number)| format!("{start}.{number}")),
        "traces": traces,
        "duration": percentiles(&mut durations),
        "timeline": timeline(store, &found, filter, buckets),
    })
}

fn timeline(store: &Kept, found: &[(i64, u32)], filter: &Filter, buckets: usize) -> Value {
    let (Some(newest), Some(oldest), true) = (found.first(), found.last(), buckets > 0) else {
        return Value::Null;
    };
    let from = filter.from.unwrap_or(oldest.0);
    let to = filter.to.unwrap_or(newest.0 + 1).max(from + 1);
    let (mut requests, mut errors) = (vec![0u32; buckets], vec![0u32; buckets]);
    for (start, number) in found {
        let at = ((i128::from(start - from)) * buckets as i128 / i128::from(to - from)) as usize;
        let at = at.min(buckets - 1);
        requests[at] += 1;
        errors[at] += u32::from(
            store
                .trace(*number)
                .is_some_and(|summary| summary.errors > 0),
        );
    }
    json!({"from": from.to_string(), "to": to.to_string(), "requests": requests, "errors": errors})
}

/// `{"p50", "p95", "p99"}` of durations, which are sorted on the way; zeros for none.
pub(super) fn percentiles(durations: &mut [u64]) -> Value {
    durations.sort_unstable();
    let [p50, p95, p99] = [0.50, 0.95, 0.99].map(|share| percentile(durations, share));
    json!({"p50": p50, "p95": p95, "p99": p99})
}

/// The nearest rank in a sorted list.
pub(super) fn percentile(sorted: &[u64], share: f64) -> u64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// A summary as the API writes it.
pub(crate) fn show_summary(summary: &Summary, matched: Option<u32>) -> Value {
    json!({
        "id": summary.id(),
        "start": summary.start.to_string(),
        "duration": summary.duration(),
        "updated": summary.updated.to_string(),
        "root": summary.entry.as_ref().map(show_entry),
        "root_missing": !summary.has_root(),
        "spans": summary.spans,
        "errors": summary.errors,
        "services": summary.services.iter().map(|service| service.to_string()).collect::<Vec<_>>(),
        "env": *summary.env,
        "priority": summary.priority,
        "problems": summary.problems,
        "worst": summary.worst.map(|level| level.name()),
        "late": summary.late,
        "evicted": summary.evicted,
        "matched": matched,
    })
}

fn show_entry(entry: &Entry) -> Value {
    json!({
        "span": entry.span.to_string(),
        "service": *entry.service,
        "name": *entry.name,
        "resource": *entry.resource,
        "type": *entry.span_type,
        "kind": *entry.kind,
        "method": *entry.method,
        "status": *entry.status,
        "duration": entry.duration.max(0),
        "error": entry.error,
    })
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let durations: Vec<u64> = (1..=100).collect();
        assert_eq!(
            [0.5, 0.95, 0.99].map(|share| percentile(&durations, share)),
            [50, 95, 99]
        );
        assert_eq!(percentile(&[7], 0.99), 7);
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
