//! What lists say of LLM traces, sessions and prompts, added up from their spans.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Kept;
use super::evaluation::{Evaluation, Target};
use super::span::{Cost, Span};

/// Sums over spans.
#[derive(Debug, Default, Clone)]
#[allow(missing_docs)] // named as in API.md
pub struct Sums {
    pub spans: usize,
    pub errors: usize,
    pub input_tokens: f64,
    pub output_tokens: f64,
    pub total_tokens: f64,
    pub cost: Option<Cost>,
    pub calls: usize,
    pub tools: usize,
}

impl Sums {
    /// Adds a span; only calls of models count tokens, since spans above them may repeat what is below.
    pub fn add(&mut self, span: &Span) {
        self.spans += 1;
        self.errors += usize::from(span.is_error);
        self.tools += usize::from(span.kind == "tool");
        if let Some(cost) = span.cost {
            let sum = self.cost.get_or_insert(Cost {
                total: 0.0,
                is_estimated: false,
            });
            sum.total += cost.total;
            sum.is_estimated |= cost.is_estimated;
        }
        if !matches!(span.kind.as_str(), "llm" | "embedding") {
            return;
        }
        self.calls += 1;
        let (input, output) = (span.metric("input_tokens"), span.metric("output_tokens"));
        self.input_tokens += input.unwrap_or(0.0);
        self.output_tokens += output.unwrap_or(0.0);
        let sum = input.unwrap_or(0.0) + output.unwrap_or(0.0);
        self.total_tokens += span.metric("total_tokens").unwrap_or(sum);
    }
}

/// A trace.
#[derive(Debug)]
#[allow(missing_docs)] // named as in API.md
pub struct Trace<'k> {
    pub id: &'k str,
    /// The root, or what began first while the root has not come.
    pub root: &'k Span,
    pub is_root_missing: bool,
    pub start: i64,
    pub duration: i64,
    pub sums: Sums,
    pub models: BTreeSet<&'k str>,
    pub prompts: BTreeSet<&'k (String, String)>,
    /// Nanoseconds until the first token of the first call that says so.
    pub first_token: Option<f64>,
    pub session_id: &'k str,
    /// What the root, or else the first span that failed, says went wrong.
    pub error: &'k str,
    pub evaluations: Vec<&'k Evaluation>,
}

impl<'k> Trace<'k> {
    /// Of the spans of a trace; `None` if there are none.
    pub fn of(id: &'k str, spans: &[&'k Span], by: &Evaluations<'k>) -> Option<Trace<'k>> {
        // Spans come in the order of their end.
        let mut spans = spans.to_vec();
        spans.sort_by_key(|span| span.start);
        let first = spans.first()?;
        let root = spans.iter().find(|span| span.is_root());
        let start = first.start;
        let end = spans
            .iter()
            .map(|span| span.start.saturating_add(span.duration))
            .max()?;
        let mut trace = Trace {
            id,
            root: root.unwrap_or(first),
            is_root_missing: root.is_none(),
            start,
            duration: end.saturating_sub(start),
            sums: Sums::default(),
            models: BTreeSet::new(),
            prompts: BTreeSet::new(),
            first_token: None,
            session_id: "",
            error: "",
            evaluations: Vec::new(),
        };
        for span in &spans {
            trace.sums.add(span);
            if !span.model.is_empty() {
                trace.models.insert(&span.model);
            }
            trace.prompts.extend(&span.prompt);
            if trace.error.is_empty() {
                trace.error = &span.error;
            }
            if trace.session_id.is_empty() {
                trace.session_id = &span.session_id;
            }
            if trace.first_token.is_none() {
                trace.first_token = span
                    .metric("time_to_first_token")
                    .map(|seconds| seconds * 1e9);
            }
            trace.evaluations.extend(by.of(span));
        }
        Some(trace)
    }
}

/// Evaluations by what they are of.
#[derive(Debug, Default)]
pub struct Evaluations<'k> {
    by_span: HashMap<&'k str, Vec<&'k Evaluation>>,
    by_trace: HashMap<&'k str, Vec<&'k Evaluation>>,
    by_session: HashMap<&'k str, Vec<&'k Evaluation>>,
    by_tag: HashMap<String, Vec<&'k Evaluation>>,
}

impl<'k> Evaluations<'k> {
    /// Of everything that is kept.
    pub fn of_all(kept: &'k Kept) -> Evaluations<'k> {
        let mut all = Evaluations::default();
        for evaluation in kept.evaluations() {
            let list = match &evaluation.target {
                Target::Span { span, .. } => all.by_span.entry(span).or_default(),
                Target::Trace(trace) => all.by_trace.entry(trace).or_default(),
                Target::Session(session) => all.by_session.entry(session).or_default(),
                Target::Tag { key, value } => {
                    all.by_tag.entry(format!("{key}:{value}")).or_default()
                }
                Target::Nothing => continue,
            };
            list.push(evaluation);
        }
        all
    }

    /// Those of a span.
    pub fn of(&self, span: &Span) -> Vec<&'k Evaluation> {
        let mut lists = vec![self.by_span.get(span.span_id.as_str())];
        if span.is_root() {
            lists.push(self.by_trace.get(span.trace_id.as_str()));
            lists.push(self.by_session.get(span.session_id.as_str()));
        }
        if !self.by_tag.is_empty() {
            lists.extend(span.tags.iter().map(|tag| self.by_tag.get(tag)));
        }
        let all = lists.into_iter().flatten().flatten().copied();
        all.filter(|evaluation| evaluation.is_of(span)).collect()
    }
}

impl Kept {
    /// All traces, newest first.
    pub fn traces<'k>(&'k self, by: &Evaluations<'k>) -> Vec<Trace<'k>> {
        let mut traces: Vec<Trace<'k>> = self
            .trace_ids()
            .filter_map(|id| Trace::of(id, &self.of_trace(id).collect::<Vec<_>>(), by))
            .collect();
        traces.sort_by(|a, b| b.start.cmp(&a.start).then_with(|| a.id.cmp(b.id)));
        traces
    }
}

/// A version of a prompt, as calls used it.
#[derive(Debug, Default)]
#[allow(missing_docs)] // named as in API.md
pub struct Used<'k> {
    pub sums: Sums,
    pub duration: i64,
    pub first: i64,
    pub last: i64,
    /// The newest call.
    pub newest: Option<&'k Span>,
    pub evaluations: Vec<&'k Evaluation>,
}

/// Prompts by id and version.
pub fn prompts<'k>(
    kept: &'k Kept,
    by: &Evaluations<'k>,
) -> BTreeMap<&'k (String, String), Used<'k>> {
    let mut prompts: BTreeMap<&(String, String), Used<'k>> = BTreeMap::new();
    for span in kept.spans() {
        let Some(prompt) = &span.prompt else { continue };
        let used = prompts.entry(prompt).or_default();
        used.sums.add(span);
        used.duration = used.duration.saturating_add(span.duration);
        used.first = if used.first == 0 {
            span.start
        } else {
            used.first.min(span.start)
        };
        if span.start >= used.last {
            used.last = span.start;
            used.newest = Some(span);
        }
        used.evaluations.extend(by.of(span));
    }
    prompts
}
