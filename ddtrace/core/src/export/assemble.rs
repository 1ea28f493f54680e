//! From raw records to finished spans: everything about a span that did not have to be settled on the user's thread.
//!
//! Ticks become nanoseconds, numbers of services names; defaults, limits and keys with a meaning are applied; the chunk's tags
//! go onto its first span. One [`FinishedSpan`] is filled at a time, in vectors that are used again and again.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::decide_early::{BAGGAGE_PREFIX, baggage_tags, decide_early};
use super::finished::{FinishedSpan, SpanHead};
use super::settle::settle;
use crate::config::Config;
use crate::process_tags::ProcessTags;
use crate::propagation::{PropagationError, PropagationTags};
use crate::sampling::{Decision, SamplingPriority, SamplingSubject, SpanDecision, SpanRules};
use crate::stack_text::StackText;
use crate::text::floor_char_boundary;
use crate::trace::clock::TickConverter;
use crate::trace::open::{Open, Record, flags};
use crate::trace::segment::{Buffer, LateTag, Sampling, Segment};
use crate::trace::service::{ServiceId, ServiceNames};
use crate::trace::{StoredValue, Tags};

/// The agent cuts longer services, names and types; so do we, that a user sees what will be stored.
const NAME_LIMIT: usize = 100;
/// Likewise for resources.
const RESOURCE_LIMIT: usize = 5000;
/// A text above this becomes its first [`CUT_TEXT`] bytes and a mark.
const TEXT_LIMIT: usize = 25_000;
const CUT_TEXT: usize = 2_486;
const CUT_MARK: &str = "<truncated>...";

/// Up to this many tags a key is looked for one by one.
const FEW_TAGS: usize = 32;

/// What all chunks of a tracer have in common.
pub(crate) struct Assembler {
    config: Arc<Config>,
    clock: TickConverter,
    names: ServiceNames,
    process_id: f64,
    pub(crate) runtime_id: String,
    process_tags: ProcessTags,
    /// `_dd.tracer_kr`: the share of chunks that was not dropped lately.
    pub(crate) keep_rate: f64,
}

/// Texts that are made for one chunk.
pub(crate) struct ChunkTexts {
    trace_id_high: StackText<16>,
    priority: SamplingPriority,
    sampling: Sampling,
    /// `_dd.p.ts`, if a product of this process marked the trace.
    source: Option<String>,
    partial: Option<f64>,
    pub(super) late: Vec<LateTag>,
    /// Keys of the local root's tags that are baggage.
    baggage_keys: Vec<String>,
    /// What was decided about single spans.
    alone: RefCell<HashMap<u64, Option<SpanDecision>>>,
}

impl ChunkTexts {
    /// Whether a rule asks for the trace to vanish, this chunk and later ones.
    pub(crate) fn is_discarded(&self) -> bool {
        self.sampling
            .decision
            .as_ref()
            .is_some_and(|decision| decision.discard)
    }

    /// Whether the trace is kept.
    pub(crate) fn is_sampled(&self) -> bool {
        self.priority.is_kept()
    }

    /// Whether a user or a rule rejected it, so that nothing else may keep it.
    pub(crate) fn is_rejected_by_hand(&self) -> bool {
        self.priority < SamplingPriority::AUTO_REJECT
    }

    /// What the rules for single spans say about one of a trace that is dropped. They are asked once per span, however often
    /// the chunk is gone through, for they may have limits.
    fn decide_alone(&self, span: &FinishedSpan<'_>, rules: &SpanRules) -> Option<SpanDecision> {
        if self.is_sampled() || rules.is_empty() {
            return None;
        }
        let mut alone = self.alone.borrow_mut();
        let decide = || rules.sample(span.span_id, span.service, span.name);
        *alone.entry(span.span_id).or_insert_with(decide)
    }
}

impl Assembler {
    pub(crate) fn new(config: Arc<Config>, runtime_id: String) -> Self {
        Self {
            process_tags: ProcessTags::of(&config),
            config,
            clock: TickConverter::new(),
            names: ServiceNames::default(),
            process_id: f64::from(std::process::id()),
            runtime_id,
            keep_rate: 1.0,
        }
    }

    /// Brings configuration, clock and names up to date; once before a round of chunks.
    pub(crate) fn refresh(&mut self, config: Arc<Config>) {
        if !Arc::ptr_eq(&self.config, &config) {
            self.process_tags = ProcessTags::of(&config);
            self.config = config;
        }
        self.clock.refit();
        self.names.refresh();
        crate::trace::tracer::set_seconds(crate::trace::clock::wall());
    }

    /// Decides what is undecided about a chunk and prepares what its spans refer to.
    pub(crate) fn prepare(&self, buffer: &Buffer) -> ChunkTexts {
        let segment = &buffer.segment;
        let late = segment.take_late(|id| records(buffer).any(|record| record.open.id == id));
        let mut texts = ChunkTexts {
            trace_id_high: StackText::new(),
            priority: SamplingPriority::AUTO_KEEP,
            sampling: Sampling::default(),
            source: None,
            partial: buffer.partial.then(|| buffer.span_count() as f64),
            late,
            baggage_keys: baggage_tags(segment, &self.config)
                .map(|(key, _)| format!("{BAGGAGE_PREFIX}{key}"))
                .collect(),
            alone: RefCell::default(),
        };
        if segment.trace_id.high() != 0 {
            let _ = write!(texts.trace_id_high, "{:016x}", segment.trace_id.high());
        }
        let priority = segment
            .priority()
            .unwrap_or_else(|| segment.decide(|| self.decide(buffer, &texts)));
        texts.priority = priority;
        texts.sampling = segment.sampling();
        texts.source = segment
            .own_source(&texts.sampling)
            .map(|source| source.to_string());
        texts
    }

    /// The sampler's decision on the local root: as it ended if it is here, else as far as it is known.
    fn decide(&self, buffer: &Buffer, texts: &ChunkTexts) -> Decision {
        let segment = &buffer.segment;
        let root = if segment.tracer.sampler.needs_tags() {
            records(buffer).find(|record| record.open.flags & flags::ROOT != 0)
        } else {
            // Service and name are known without a look at the root's tags.
            None
        };
        let Some(root) = root else {
            return decide_early(segment, &self.config);
        };
        let mut span = FinishedSpan::default();
        self.fill(&mut span, root, segment, &texts.late);
        add_baggage_tags(&mut span, segment, texts);
        segment.tracer.sampler.decide(&SamplingSubject {
            trace_id_low: segment.trace_id.low(),
            service: span.service,
            env: self.config.env.as_deref().unwrap_or_default(),
            name: span.name,
            resource: span.resource,
            tags: &span,
        })
    }

    /// Gives each span of the chunk to `emit`, the local root first if it is there, parents before children.
    pub(crate) fn for_each<'a>(
        &'a self,
        buffer: &'a Buffer,
        texts: &'a ChunkTexts,
        span: &mut FinishedSpan<'a>,
        emit: &mut dyn FnMut(&FinishedSpan<'a>),
    ) {
        self.for_each_of(buffer, texts, span, &|_| true, emit);
    }

    /// The same for the spans that are wanted; the chunk's tags are on the first of these.
    pub(crate) fn for_each_of<'a>(
        &'a self,
        buffer: &'a Buffer,
        texts: &'a ChunkTexts,
        span: &mut FinishedSpan<'a>,
        wanted: &dyn Fn(&FinishedSpan<'a>) -> bool,
        emit: &mut dyn FnMut(&FinishedSpan<'a>),
    ) {
        let is_root = |record: &&Record| record.open.flags & flags::ROOT != 0;
        let root = records(buffer).find(is_root);
        let others = records(buffer).filter(|record| !is_root(record));
        let span_rules = &buffer.segment.tracer.span_rules;
        self.settle_in_order(buffer, texts, span);
        let mut is_first = true;
        for record in root.into_iter().chain(others) {
            self.fill(span, record, &buffer.segment, &texts.late);
            if span.is_local_root {
                add_baggage_tags(span, &buffer.segment, texts);
            }
            if let Some(decision) = texts.decide_alone(span, span_rules) {
                add_span_decision(span, decision);
            }
            settle(span, record, texts);
            if !wanted(span) {
                continue;
            }
            if is_first {
                self.add_chunk_tags(span, &buffer.segment, texts);
                is_first = false;
            }
            emit(span);
        }
    }

    /// Makes the local root of a chunk, if it is there.
    pub(crate) fn fill_root<'a>(
        &'a self,
        buffer: &'a Buffer,
        texts: &'a ChunkTexts,
        span: &mut FinishedSpan<'a>,
    ) -> bool {
        let root = records(buffer).find(|record| record.open.flags & flags::ROOT != 0);
        if let Some(root) = root {
            self.fill(span, root, &buffer.segment, &texts.late);
            add_baggage_tags(span, &buffer.segment, texts);
        }
        root.is_some()
    }

    /// Makes a finished span of a record.
    pub(super) fn fill<'a>(
        &'a self,
        span: &mut FinishedSpan<'a>,
        record: &'a Record,
        segment: &'a Segment,
        late: &'a [LateTag],
    ) {
        span.clear();
        let open = &record.open;
        let site = open.site;
        let config = &*self.config;
        span.name = site.name();
        span.resource = site.resource().unwrap_or_default();
        span.span_type = site.span_type().unwrap_or_default();
        span.trace_id = segment.trace_id;
        span.span_id = open.id;
        span.parent_id = open.parent;
        span.start = self.clock.wall_time(open.start);
        span.duration = self.clock.duration(open.start, record.end);
        span.error = open.flags & flags::ERROR != 0;
        span.is_local_root = open.flags & flags::ROOT != 0;
        let mut service = open.service;
        let mut service_text = None;
        let mut version = None;
        let mut apply = |span: &mut FinishedSpan<'a>, tags: &'a Tags| {
            write_tags(span, tags, &mut version, &mut service_text);
            if let Some(resource) = tags.resource() {
                span.resource = resource;
            }
            if let Some(rare) = &tags.rare {
                if let Some(name) = &rare.name {
                    span.name = name;
                }
                if let Some(span_type) = &rare.span_type {
                    span.span_type = span_type;
                }
                if let Some(name) = &rare.service {
                    service_text = Some(&**name);
                }
                span.links.extend(&rare.links);
                span.events.extend(&rare.events);
                span.meta_struct.extend(
                    rare.meta_struct
                        .iter()
                        .map(|(key, value)| (&**key, &**value)),
                );
                if let Some(start) = rare.start {
                    // The length stays what the clock said, unless the end is given as well.
                    span.start = start;
                }
                if let Some(end) = rare.end {
                    span.duration = end.saturating_sub(span.start).max(0);
                }
                if rare.left_out > 0 {
                    span.metrics
                        .push(("ddtrace.left_out", f64::from(rare.left_out)));
                }
                if rare.events.iter().any(|event| event.name == "exception") {
                    span.set_meta("_dd.span_events.has_exception", "true");
                }
            }
        };
        if let Some(tags) = &open.tags {
            apply(span, tags);
        }
        for late in late.iter().filter(|late| late.span == open.id) {
            apply(span, &late.tags);
            span.error |= late.flags & flags::ERROR != 0;
            if late.service != 0 {
                service = late.service;
            }
        }
        if let Some(component) = site
            .component()
            .filter(|_| span.meta("component").is_none())
        {
            span.meta.push(("component", component.into()));
        }
        if let Some(kind) = site.kind().filter(|_| span.meta("span.kind").is_none()) {
            span.meta.push(("span.kind", kind.as_str().into()));
        }
        if open.flags & flags::CANCELLED != 0 {
            span.set_meta("ddtrace.cancelled", "true");
        }
        if span.resource.is_empty() {
            span.resource = span.name;
        }
        let is_plain = service_text.is_none()
            && std::ptr::eq(span.name, site.name())
            && std::ptr::eq(span.span_type, site.span_type().unwrap_or_default())
            && std::ptr::eq(span.resource, site.resource().unwrap_or(site.name()));
        span.head = if is_plain {
            SpanHead::new(site, service)
        } else {
            SpanHead::NONE
        };
        self.set_service(span, open, ServiceId(service), service_text);
        span.name = cut(span.name, NAME_LIMIT);
        span.span_type = cut(span.span_type, NAME_LIMIT);
        span.resource = cut(span.resource, RESOURCE_LIMIT);
        for (key, value) in &config.tags {
            if span.meta(key).is_none() && span.metric(key).is_none() {
                span.meta.push((key, cut_text(value)));
            }
        }
        if let Some(env) = config.env.as_deref().filter(|_| span.meta("env").is_none()) {
            span.meta.push(("env", env.into()));
        }
        super::derived_tags::add(span, config);
        let is_global = span.service == config.service;
        if let Some(version) = version {
            span.set_meta("version", version);
        } else if let Some(version) = config
            .version
            .as_deref()
            .filter(|_| is_global && span.meta("version").is_none())
        {
            span.meta.push(("version", version.into()));
        }
        if let Some(origin) = segment
            .remote
            .as_ref()
            .and_then(|remote| remote.origin.as_deref())
        {
            span.set_meta("_dd.origin", origin);
        }
        if !config.apm_tracing_enabled {
            span.set_metric("_dd.apm.enabled", 0.0);
        }
        if span.is_local_root {
            self.add_root_tags(span, segment);
        }
    }

    /// The service, mapped, and what is said about a service that is not the tracer's own.
    fn set_service<'a>(
        &'a self,
        span: &mut FinishedSpan<'a>,
        open: &'a Open,
        id: ServiceId,
        text: Option<&'a str>,
    ) {
        let config = &*self.config;
        let is_inherited = open.parent_service == id.0 && text.is_none();
        if span.is_local_root || !is_inherited {
            span.metrics.push(("_dd.top_level", 1.0));
        }
        if id == ServiceId::GLOBAL && text.is_none() && config.service_mapping.is_empty() {
            span.service = cut(&config.service, NAME_LIMIT);
            return;
        }
        let name = |id: ServiceId| match id {
            ServiceId::GLOBAL => Some(&*config.service),
            ServiceId::OVERFLOW => open.site.service(),
            id => self.names.get(id),
        };
        let own = text.or_else(|| name(id)).unwrap_or(&config.service);
        let mapped = config.service_mapping.get(own).map_or(own, |to| &**to);
        span.service = cut(mapped, NAME_LIMIT);
        if !span.service.eq_ignore_ascii_case(&config.service) {
            span.meta
                .push(("_dd.base_service", Cow::Borrowed(&*config.service)));
            let source = if mapped.len() != own.len() || mapped != own {
                "opt.service_mapping"
            } else {
                open.site.component().unwrap_or("m")
            };
            span.meta.push(("_dd.svc_src", source.into()));
        }
    }

    /// What local roots say about their process and about the decision.
    fn add_root_tags<'a>(&'a self, span: &mut FinishedSpan<'a>, segment: &'a Segment) {
        span.meta
            .push(("runtime-id", Cow::Borrowed(&self.runtime_id)));
        span.metrics.push(("process_id", self.process_id));
        if let Some(hostname) = self
            .config
            .hostname
            .as_deref()
            .filter(|_| self.config.report_hostname)
        {
            span.meta.push(("_dd.hostname", hostname.into()));
        }
        if let Some(remote) = &segment.remote {
            if let Some(last) = &remote.last_parent_id {
                span.meta.push(("_dd.parent_id", Cow::Borrowed(last)));
            }
            if let Some(error) = &remote.propagation_error {
                span.meta.push((PropagationError::TAG, error.tag_value()));
            }
        }
    }

    /// What the first span of a chunk says about its trace.
    fn add_chunk_tags<'a>(
        &'a self,
        span: &mut FinishedSpan<'a>,
        segment: &'a Segment,
        texts: &'a ChunkTexts,
    ) {
        if !texts.trace_id_high.is_empty() {
            span.set_meta(PropagationTags::TRACE_ID_HIGH, texts.trace_id_high.as_str());
        }
        span.meta.push(("language", "rust".into()));
        let priority = f64::from(texts.priority.get());
        span.metrics.push(("_sampling_priority_v1", priority));
        span.metrics.push(("_dd.tracer_kr", self.keep_rate));
        if let Some(count) = texts.partial {
            span.metrics.push(("_dd.rs.partial_flush", count));
        }
        for (key, value) in segment.remote.iter().flat_map(|remote| remote.tags.iter()) {
            // With 128-bit ids off it is a tag that came in; otherwise it was written above.
            if key != PropagationTags::TRACE_ID_HIGH || texts.trace_id_high.is_empty() {
                span.set_meta(key, value);
            }
        }
        if let Some(source) = &texts.source {
            span.set_meta(PropagationTags::TRACE_SOURCE, source);
        }
        let Sampling {
            decision, manual, ..
        } = &texts.sampling;
        if let Some(mechanism) = manual {
            span.set_meta(PropagationTags::DECISION_MAKER, mechanism.decision_maker());
        }
        if let Some(decision) = decision {
            if span.meta(PropagationTags::DECISION_MAKER).is_none() {
                span.set_meta(
                    PropagationTags::DECISION_MAKER,
                    decision.mechanism.decision_maker(),
                );
            }
            if let Some(rate) = decision
                .keep_rate
                .as_ref()
                .filter(|_| span.meta(PropagationTags::KEEP_RATE).is_none())
            {
                span.set_meta(PropagationTags::KEEP_RATE, rate.as_str());
            }
            for (key, rate) in [
                ("_dd.rule_psr", decision.rule_rate),
                ("_dd.limit_psr", decision.limit_rate),
                ("_dd.agent_psr", decision.agent_rate),
            ] {
                if let Some(rate) = rate {
                    span.set_metric(key, rate);
                }
            }
        }
        if !self.process_tags.as_str().is_empty() {
            span.set_meta("_dd.tags.process", self.process_tags.as_str());
        }
        if self.config.git_metadata {
            if let Some(url) = &self.config.git_repository_url {
                span.set_meta("_dd.git.repository_url", url);
            }
            if let Some(sha) = &self.config.git_commit_sha {
                span.set_meta("_dd.git.commit.sha", sha);
            }
        }
    }
}

/// Says why a span is kept although its trace is not.
fn add_span_decision(span: &mut FinishedSpan<'_>, decision: SpanDecision) {
    span.set_metric(SpanDecision::MECHANISM_TAG, SpanDecision::MECHANISM);
    span.set_metric(SpanDecision::RATE_TAG, decision.rule_rate);
    if let Some(limit) = decision.max_per_second {
        span.set_metric(SpanDecision::LIMIT_TAG, limit);
    }
}

fn add_baggage_tags<'a>(span: &mut FinishedSpan<'a>, segment: &'a Segment, texts: &'a ChunkTexts) {
    for key in &texts.baggage_keys {
        let value = segment.baggage().get(&key[BAGGAGE_PREFIX.len()..]);
        if let Some(value) = value.filter(|_| span.meta(key).is_none()) {
            span.meta.push((key, cut_text(value)));
        }
    }
}

/// All records of a chunk, parents before children within a buffer.
pub(super) fn records(buffer: &Buffer) -> impl Iterator<Item = &Record> {
    let rest = buffer
        .rest
        .iter()
        .flat_map(|buffer| buffer.spans.iter().rev());
    buffer.spans.iter().rev().chain(rest)
}

/// Copies tags over; the last value of a key wins, and keys with a meaning do what they mean.
fn write_tags<'a>(
    span: &mut FinishedSpan<'a>,
    tags: &'a Tags,
    version: &mut Option<&'a str>,
    service: &mut Option<&'a str>,
) {
    let entries = &tags.entries;
    // Keys of one source are distinct below; against an earlier source they have to be looked for.
    let is_first = span.meta.is_empty() && span.metrics.is_empty();
    // Which entry is the last of its key, where one by one would take long.
    let last: Option<HashMap<&str, usize>> = (entries.len() > FEW_TAGS).then(|| {
        entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.value.is_sendable())
            .map(|(at, entry)| (tags.text(entry.key), at))
            .collect()
    });
    for (at, entry) in entries.iter().enumerate() {
        if !entry.value.is_sendable() {
            continue;
        }
        let key = tags.text(entry.key);
        let is_superseded = match &last {
            Some(last) => last.get(key) != Some(&at),
            None => entries[at + 1..]
                .iter()
                .any(|later| is_same(tags.text(later.key), key) && later.value.is_sendable()),
        };
        if is_superseded {
            continue;
        }
        match entry.value {
            StoredValue::Text(text) => {
                let text = tags.text(text);
                match key {
                    "service.name" if !text.is_empty() => *service = Some(text),
                    "resource.name" => span.resource = text,
                    "operation.name" => span.name = text,
                    "span.type" => span.span_type = text,
                    "service.version" => {
                        *version = Some(text);
                        span.set_meta(key, cut_text(text));
                    }
                    "measured" => set_measured(span, text == "true" || text == "1"),
                    "error" => span.error = text == "true" || text == "1",
                    "manual.keep" | "manual.drop" => {}
                    _ if is_first => span.meta.push((key, cut_text(text))),
                    _ => span.set_meta(key, cut_text(text)),
                }
            }
            StoredValue::Nothing => {}
            StoredValue::Number(number) => match key {
                "http.status_code" => span.set_meta(key, format!("{number}")),
                "measured" => set_measured(span, number != 0.0),
                "error" => span.error = number != 0.0,
                "manual.keep" | "manual.drop" => {}
                _ if is_first => span.metrics.push((key, number)),
                _ => span.set_metric(key, number),
            },
        }
    }
}

/// Compares two keys, literals by address first.
#[inline]
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && (std::ptr::eq(one, other) || one == other)
}

fn set_measured(span: &mut FinishedSpan<'_>, is_measured: bool) {
    span.set_metric("_dd.measured", f64::from(u8::from(is_measured)));
}

/// The text up to a limit, cut between characters.
#[inline]
fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        text
    } else {
        &text[..floor_char_boundary(text, limit)]
    }
}

/// A tag's text as it is sent.
#[inline]
fn cut_text(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_LIMIT || text.chars().count() <= TEXT_LIMIT {
        return Cow::Borrowed(text);
    }
    let end = text
        .char_indices()
        .nth(CUT_TEXT)
        .map_or(text.len(), |(at, _)| at);
    Cow::Owned(format!("{}{CUT_MARK}", &text[..end]))
}
