//! Taking in a checked payload.

use std::collections::HashMap;
use std::sync::Arc;

use super::counts::{CLIENTS, Client, Counts, NAMES};
use super::problems::Problem;
use super::requests::Request;
use super::segment::{Place, flag};
use super::summary::{Entry, Piece, Said, Summary};
use super::{Change, Kept};
use crate::intake::model::{Chunk, Payload, Span};
use crate::validate::known::Known;
use crate::validate::{Finding, Findings, Rule, chunk, ids, link_parents, request, structure};

/// Spans of one trace up to which a span that comes again is looked for.
const COMPARED: u32 = 10_000;
/// Requests of one client to one endpoint within ten seconds that are fine.
const CALM: usize = 10;

/// What the store made of a payload.
#[derive(Debug, Default)]
pub struct Taken {
    /// The traces, as the API writes their ids; at most 10.
    pub traces: Vec<String>,
    /// Spans stored.
    pub spans: usize,
    /// What rules over several payloads found.
    pub findings: Findings,
}

impl Kept {
    /// The number that the next request will have.
    pub fn next_request(&self) -> u32 {
        self.next_request
    }

    /// Keeps a request, and what was found in it.
    pub fn keep_request(
        &mut self,
        mut request: Request,
        payload: Option<&Payload<'_>>,
        findings: &Findings,
    ) -> u32 {
        request.n = self.next_request;
        self.next_request += 1;
        self.counts.requests += 1;
        Counts::count(&mut self.counts.paths, &request.path);
        request.problems += findings.list.len() + findings.more;
        request.worst = [request.worst, findings.worst()]
            .into_iter()
            .flatten()
            .min();
        let n = request.n;
        let time = request.time;
        for finding in &findings.list {
            let span = finding.chunk.zip(finding.span).and_then(|(chunk, span)| {
                let payload = payload?;
                payload
                    .spans
                    .get(payload.chunks.get(chunk)?.spans.start + span)
            });
            let chunk = finding.chunk.and_then(|chunk| payload?.chunks.get(chunk));
            let trace = chunk.and_then(|chunk| self.number_of(payload?, chunk));
            let id = trace.and_then(|trace| self.trace(trace)).map(Summary::id);
            let problem = Problem::of(finding, id, span.map(|span| span.span_id), n, time);
            if request.findings.len() < 200 {
                request.findings.push(problem.clone());
            }
            self.add_problem(problem, trace);
        }
        if let (true, Some(last)) = (findings.more > 0, findings.list.last()) {
            self.problems.add_uncounted(last.rule, findings.more as u64);
        }
        self.requests.push(request);
        self.note(Change::Request(n));
        n
    }

    /// Adds a problem, and marks its trace.
    pub fn add_problem(&mut self, problem: Arc<Problem>, trace: Option<u32>) {
        let rev = self.note(Change::Problems);
        let level = problem.rule.level;
        self.problems.add(problem, trace, rev);
        if let Some(summary) = trace.and_then(|trace| self.trace_mut(trace)) {
            summary.problems += 1;
            summary.worst = Some(summary.worst.map_or(level, |worst| worst.min(level)));
        }
    }

    fn number_of(&self, payload: &Payload<'_>, chunk: &Chunk<'_>) -> Option<u32> {
        let first = payload.spans.get(chunk.spans.clone())?.first()?;
        self.find_trace(None, first.trace_id)
    }

    /// Stores the chunks of a payload, those excepted that the Agent would throw away.
    pub fn take_payload(
        &mut self,
        payload: &Payload<'_>,
        checked: &Findings,
        mut client: Client,
        now: i64,
    ) -> Taken {
        let mut taken = Taken::default();
        let request = self.next_request;
        self.counts.chunks += payload.chunks.len() as u64;
        self.counts.dropped_chunks += checked.dropped_chunks() as u64;
        let mut known = Vec::new();
        for (number, chunk) in payload.chunks.iter().enumerate() {
            if checked.drops(number) || chunk.spans.is_empty() {
                continue;
            }
            let spans = &payload.spans[chunk.spans.clone()];
            known.clear();
            known.extend(spans.iter().map(|span| Known::of(payload, span)));
            self.seal_if_full(now);
            let trace = self.take_chunk(
                payload, chunk, number, spans, &known, request, now, &mut taken,
            );
            see(&mut client, payload, spans, &known);
            if taken.traces.len() < 10 {
                let id = self.trace(trace).map(Summary::id).unwrap_or_default();
                if !taken.traces.contains(&id) {
                    taken.traces.push(id);
                }
            }
        }
        if !payload.chunks.is_empty() {
            client.traces += payload.chunks.len() as u64;
            self.meet(client, Some(&mut taken.findings), now);
        }
        self.evict();
        taken
    }

    #[allow(clippy::too_many_arguments)]
    fn take_chunk(
        &mut self,
        payload: &Payload<'_>,
        chunk: &Chunk<'_>,
        number: usize,
        spans: &[Span<'_>],
        known: &[Known<'_>],
        request: u32,
        now: i64,
        taken: &mut Taken,
    ) -> u32 {
        let low = spans[0].trace_id;
        let high = payload.high_bits(chunk);
        let trace = match self.find_trace(high, low) {
            Some(trace) => trace,
            None => {
                let trace = self.first + self.summaries.len() as u32;
                let summary = Summary::new(low, high.unwrap_or(0), now);
                self.summary_bytes += summary.memory();
                self.summaries.push_back(summary);
                self.index.insert(low, trace);
                self.counts.traces += 1;
                trace
            }
        };
        let find =
            |rule: &'static Rule, span: Option<usize>, field: &str, detail: String| Finding {
                rule,
                chunk: Some(number),
                span,
                field: field.to_owned(),
                detail,
            };
        let mut found = Vec::new();
        self.compare_again(trace, payload, spans, known, |span| {
            found.push(find(
                &ids::DIFFERS,
                Some(span),
                "span_id",
                format!("found {}", spans[span].span_id),
            ));
        });

        let place = Place {
            trace,
            request,
            chunk: number as u32,
        };
        let begin = self.open.rows.len() as u32;
        let mut loose = false;
        let mut parents = Vec::new();
        link_parents(spans, &mut parents);
        for (index, span) in spans.iter().enumerate() {
            let parent = parents[index];
            let entry = parent.is_none_or(|parent| spans[parent].service != span.service);
            let is_loose =
                span.parent_id != 0 && parent.is_none() && !known[index].has_remote_marker();
            loose |= is_loose;
            let flags =
                if entry { flag::ENTRY } else { 0 } | if is_loose { flag::LOOSE } else { 0 };
            self.open
                .push(payload, span, &known[index], flags, index as u32, place);
        }
        taken.spans += spans.len();
        self.counts.spans += spans.len() as u64;

        // From here on only the summary and the counts.
        let rev = self.note(Change::Trace(trace));
        let at = (trace - self.first) as usize;
        let (shelf, counts) = (&mut self.shelf, &mut self.counts);
        let segment = self.open.number;
        let summary = &mut self.summaries[at];
        let before = summary.memory();
        summary.rev = rev;
        summary.late |= now - summary.first_seen > 10_000_000_000;
        summary.updated = now;
        let piece = Piece {
            segment,
            begin,
            len: spans.len() as u32,
        };
        match summary.pieces.last_mut() {
            Some(last) if last.segment == segment && last.begin + last.len == begin => {
                last.len += piece.len
            }
            _ => summary.pieces.push(piece),
        }
        if summary.evicted {
            summary.evicted = false;
            counts.evicted_traces = counts.evicted_traces.saturating_sub(1);
        }

        // The high half stands on the first span of every chunk, or of none.
        match high {
            Some(high) if summary.high == 0 => summary.high = high,
            _ => {}
        }
        let had_both = summary.high_seen == (true, true);
        if high.is_some_and(|high| high != 0) {
            summary.high_seen.0 = true;
        } else {
            summary.high_seen.1 = true;
        }
        if summary.high_seen == (true, true) && !had_both {
            found.push(find(
                &ids::HIGH_MISSING,
                Some(0),
                "meta[\"_dd.p.tid\"]",
                String::new(),
            ));
        }

        let was_small = summary.spans <= COMPARED;
        summary.spans += spans.len() as u32;
        if was_small && summary.spans > COMPARED {
            found.push(find(
                &structure::LARGE,
                None,
                "",
                format!("{} spans so far", summary.spans),
            ));
        }
        update(summary, spans, known, shelf, counts);
        compare_said(
            summary,
            payload,
            chunk,
            spans,
            known,
            shelf,
            |rule, field, detail| {
                found.push(find(rule, Some(0), field, detail));
            },
        );
        self.summary_bytes += summary.memory();
        self.summary_bytes -= before;
        let rootless = summary
            .entry
            .as_ref()
            .is_none_or(|entry| !entry.is_root && !entry.is_remote);
        if (loose || rootless) && !summary.unjudged {
            summary.unjudged = true;
            self.judging
                .push_back((now + self.limits.orphan_after_ms as i64 * 1_000_000, trace));
        }
        for finding in found {
            taken.findings.add(finding);
        }
        trace
    }

    /// Looks for spans of the chunk that the trace already has, with another content.
    fn compare_again(
        &self,
        trace: u32,
        payload: &Payload<'_>,
        spans: &[Span<'_>],
        known: &[Known<'_>],
        mut differs: impl FnMut(usize),
    ) {
        let Some(summary) = self.trace(trace) else {
            return;
        };
        if summary.spans == 0 || summary.spans > COMPARED {
            return;
        }
        let places: HashMap<u64, usize> = spans
            .iter()
            .enumerate()
            .map(|(at, span)| (span.span_id, at))
            .collect();
        for (segment, row) in self.rows_of(trace) {
            let Some(&at) = places.get(&row.span_id) else {
                continue;
            };
            let span = &spans[at];
            // A long-running span is sent again and again until it ends; that is no mistake.
            if row.is(flag::LONG_RUNNING) || known[at].long_running {
                continue;
            }
            let same = row.start == span.start
                && row.duration == span.duration
                && row.parent_id == span.parent_id
                && segment.strings.get(row.name) == span.name
                && segment.strings.get(row.resource) == span.resource
                && segment.meta(row).len() == payload.meta_of(span).len();
            if !same {
                differs(at);
            }
        }
    }

    /// Remembers who sent; with `found`, it was a payload of traces.
    pub fn meet(&mut self, seen: Client, found: Option<&mut Findings>, now: i64) {
        // Statistics and the like of nobody in particular introduce nobody.
        if seen.runtime_id.is_empty() && seen.service.is_empty() && seen.language.is_empty() {
            return;
        }
        let same =
            |client: &Client| match (client.runtime_id.is_empty(), seen.runtime_id.is_empty()) {
                (false, false) => client.runtime_id == seen.runtime_id,
                (true, true) => client.language == seen.language && client.service == seen.service,
                _ => false,
            };
        let at = match self.clients.iter().position(same) {
            Some(at) => at,
            None => {
                if self.clients.len() == CLIENTS {
                    let oldest = (0..CLIENTS)
                        .min_by_key(|at| self.clients[*at].last_seen)
                        .unwrap_or(0);
                    self.clients.swap_remove(oldest);
                }
                self.clients.push(Client {
                    runtime_id: seen.runtime_id.clone(),
                    first_seen: now,
                    ..Client::default()
                });
                self.note(Change::Status);
                self.clients.len() - 1
            }
        };
        let client = &mut self.clients[at];
        for (field, value) in [
            (&mut client.service, seen.service),
            (&mut client.env, seen.env),
            (&mut client.app_version, seen.app_version),
            (&mut client.language, seen.language),
            (&mut client.language_version, seen.language_version),
            (&mut client.tracer_version, seen.tracer_version),
        ] {
            if !value.is_empty() {
                *field = value;
            }
        }
        client.pid = seen.pid.or(client.pid);
        client.telemetry |= seen.telemetry;
        client.traces += seen.traces;
        client.last_seen = now;
        let Some(findings) = found else { return };
        client.recent.push_back(now);
        while client
            .recent
            .front()
            .is_some_and(|time| now - time > 10_000_000_000)
        {
            client.recent.pop_front();
        }
        if client.recent.len() > CALM + 5 && !client.told_often && !client.runtime_id.is_empty() {
            client.told_often = true;
            let detail = format!(
                "{} requests in 10 s from {}",
                client.recent.len(),
                client.runtime_id
            );
            findings.add(Finding {
                rule: &request::OFTEN,
                chunk: None,
                span: None,
                field: String::new(),
                detail,
            });
        }
        let most = CALM + 6;
        while client.recent.len() > most {
            client.recent.pop_front();
        }
    }
}

/// Adds what the spans of a chunk say about the process.
fn see(client: &mut Client, payload: &Payload<'_>, spans: &[Span<'_>], known: &[Known<'_>]) {
    if client.runtime_id.is_empty() {
        let id = known
            .iter()
            .find_map(|known| known.runtime_id)
            .unwrap_or(&payload.process.runtime_id);
        client.runtime_id = id.to_owned();
    }
    if client.service.is_empty() {
        client.service = known[0]
            .base_service
            .unwrap_or(&spans[0].service)
            .to_owned();
    }
    if client.env.is_empty() {
        client.env = known[0].env.unwrap_or(&payload.process.env).to_owned();
    }
    if client.app_version.is_empty() {
        let version = payload
            .tag(&spans[0], "version")
            .unwrap_or(&payload.process.app_version);
        client.app_version = version.to_owned();
    }
    client.pid = client.pid.or_else(|| {
        known
            .iter()
            .find_map(|known| known.process_id)
            .map(|pid| pid as u64)
    });
}

fn update(
    summary: &mut Summary,
    spans: &[Span<'_>],
    known: &[Known<'_>],
    shelf: &mut super::summary::Shelf,
    counts: &mut Counts,
) {
    /// Services of one trace that are listed.
    const SERVICES: usize = 50;
    for (span, known) in spans.iter().zip(known) {
        summary.start = summary.start.min(span.start);
        summary.end = summary
            .end
            .max(span.start.saturating_add(span.duration.max(0)));
        if span.error != 0 {
            summary.errors += 1;
            counts.errors += 1;
            if let Some(kind) = known.error_type {
                Counts::count(&mut counts.error_types, kind);
            }
        }
        let is_listed = summary
            .services
            .iter()
            .any(|service| **service == *span.service);
        if !is_listed && summary.services.len() < SERVICES {
            summary.services.push(shelf.get(&span.service));
            if counts.services.len() < NAMES && !counts.services.contains(span.service.as_ref()) {
                counts.services.insert(span.service.to_string());
            }
        }
        let is_root = span.parent_id == 0;
        if is_root
            && counts
                .slowest
                .as_ref()
                .is_none_or(|(duration, ..)| span.duration > *duration)
        {
            counts.slowest = Some((
                span.duration,
                span.service.to_string(),
                span.resource.to_string(),
            ));
        }
        if summary.wants_entry(is_root, span.start) {
            let is_remote = known.has_remote_marker();
            summary.entry = Some(Entry {
                span: span.span_id,
                service: shelf.get(&span.service),
                name: shelf.get(&span.name),
                resource: shelf.get(&span.resource),
                span_type: shelf.get(&span.span_type),
                kind: shelf.get(known.kind.unwrap_or_default()),
                method: shelf.get(known.method.unwrap_or_default()),
                status: shelf.get(known.status_code.unwrap_or_default()),
                start: span.start,
                duration: span.duration,
                error: span.error != 0,
                is_root,
                is_remote,
            });
        }
        if summary.env.is_empty()
            && let Some(env) = known.env
        {
            summary.env = shelf.get(env);
        }
    }
}

/// Holds a chunk's priority and decision maker against what the same process said before.
fn compare_said(
    summary: &mut Summary,
    payload: &Payload<'_>,
    chunk: &Chunk<'_>,
    spans: &[Span<'_>],
    known: &[Known<'_>],
    shelf: &mut super::summary::Shelf,
    mut differs: impl FnMut(&'static Rule, &str, String),
) {
    /// Processes of one trace that are remembered.
    const PROCESSES: usize = 16;
    let priority = payload.priority(chunk);
    let maker = known.iter().find_map(|known| known.decision_maker);
    summary.priority = match (summary.priority, priority) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    };
    // A chunk without its local root does not carry the runtime id; the service it is in stands for the process.
    let process = known[0].base_service.unwrap_or(&spans[0].service);
    if let Some(said) = summary
        .said
        .iter_mut()
        .find(|said| *said.process == *process)
    {
        match (said.priority, priority) {
            (Some(before), Some(after)) if before != after => {
                let detail = format!("{before}, then {after}");
                differs(
                    &chunk::PRIORITY_DIFFERS,
                    "metrics[\"_sampling_priority_v1\"]",
                    detail,
                );
            }
            (None, _) => said.priority = priority,
            _ => {}
        }
        match (&said.decision_maker, maker) {
            (Some(before), Some(after)) if **before != *after => {
                let detail = format!("{before:?}, then {after:?}");
                differs(&chunk::DECISION_MAKER_CHANGED, "meta[\"_dd.p.dm\"]", detail);
            }
            (None, Some(after)) => said.decision_maker = Some(shelf.get(after)),
            _ => {}
        }
    } else if summary.said.len() < PROCESSES {
        summary.said.push(Said {
            process: shelf.get(process),
            priority,
            decision_maker: maker.map(|maker| shelf.get(maker)),
        });
    }
}
