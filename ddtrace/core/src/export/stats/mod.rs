//! Statistics made here: hits, errors and durations of all spans, before sampling drops any.
//!
//! ```text
//!   pipeline ──span──> Concentrator ──closed buckets──> payload ──> task on the worker ──> POST /v0.6/stats
//!      │                  Key, Obfuscator, Sketch
//!      └── chunks that sampling rejects end here: counted, not sent
//! ```
//!
//! An agent computes statistics from the traces that it gets, so a library that sends all traces need not. One that counts itself may keep the
//! traces that nobody wants: they are most of the volume. Both sides have to agree, or everything is counted twice or not at
//! all. So [`Stats`] is **active** only if the setting says so, traces go to an agent, and that agent's `/info` has both
//! `client_drop_p0s` and `/v0.6/stats`; and every payload of traces says in its head whether what is in it was counted here.
//! When that changes, the payload in hand is sent as it is before another begins.
//!
//! Everything here runs on the worker. The pipeline holds the lock for a round, the task for a moment every ten seconds.

mod concentrator;
mod key;
mod obfuscation;
mod payload;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::agent::{AgentInfo, DroppedUnsampled};
use super::agent_filters::AgentFilters;
use super::finished::FinishedSpan;
use crate::config::{Config, TraceExporter};
use crate::telemetry::{self, Namespace::Tracers};
use concentrator::{Concentrator, Rules};
use payload::Sender;

/// The version of the obfuscation's rules, for the header `Datadog-Obfuscation-Version`.
pub(crate) const OBFUSCATION_VERSION: u64 = obfuscation::VERSION;

/// The path of the agent's endpoint.
pub(crate) const PATH: &str = "/v0.6/stats";

/// The most additional tags.
const MOST_ADDITIONAL: usize = 4;

/// The statistics of a tracer.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    state: Mutex<State>,
    /// What was counted and not sent since the last payload of traces.
    dropped_traces: AtomicU64,
    dropped_spans: AtomicU64,
}

/// What the pipeline has in hand for a round.
pub(crate) type Counting<'a> = MutexGuard<'a, State>;

/// The counting itself.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// `None` before it was active for the first time.
    concentrator: Option<Concentrator>,
    is_active: bool,
    filters: AgentFilters,
    sequence: u64,
}

/// One request.
#[derive(Debug)]
pub(crate) struct StatsPayload {
    pub(crate) body: Vec<u8>,
    /// Whether resources were obfuscated here, so that the agent need not.
    pub(crate) is_obfuscated: bool,
}

impl Stats {
    /// Takes the lock for a round of chunks.
    pub(crate) fn lock(&self) -> Counting<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes spans that are counted and not sent: a whole chunk, or all of it but spans that were sampled on their own.
    pub(crate) fn note_dropped(&self, is_whole: bool, spans: u64) {
        self.dropped_traces
            .fetch_add(u64::from(is_whole), Ordering::Relaxed);
        self.dropped_spans.fetch_add(spans, Ordering::Relaxed);
    }

    /// What was noted since the last call, for the next payload of traces.
    pub(crate) fn take_dropped(&self) -> DroppedUnsampled {
        DroppedUnsampled {
            traces: self.dropped_traces.swap(0, Ordering::Relaxed),
            spans: self.dropped_spans.swap(0, Ordering::Relaxed),
        }
    }
}

impl State {
    /// Switches on or off, and groups, as settings and agent say. `now` in nanoseconds since the epoch.
    pub(crate) fn follow(&mut self, config: &Config, info: Option<&AgentInfo>, now: u64) {
        let info = info.filter(|info| {
            config.stats_computation
                && config.apm_tracing_enabled
                && config.trace_exporter == TraceExporter::Agent
                && info.client_drop_p0s
                && info.has_endpoint(PATH)
        });
        self.is_active = info.is_some();
        let Some(info) = info else {
            return;
        };
        self.filters = AgentFilters::of(info);
        let rules = rules(config, info);
        match &mut self.concentrator {
            Some(concentrator) if concentrator.has_rules(&rules) => {}
            Some(concentrator) => concentrator.set_rules(rules),
            None => self.concentrator = Some(Concentrator::new(rules, now)),
        }
    }

    /// What the agent would throw away at once, so that it is neither counted nor sent.
    pub(crate) fn filters(&self) -> Option<&AgentFilters> {
        (self.is_active && !self.filters.is_empty()).then_some(&self.filters)
    }

    /// Whether spans are counted here.
    pub(crate) fn is_active(&self) -> bool {
        self.is_active
    }

    /// Counts a span, if they are counted here. `now` in nanoseconds since the epoch.
    #[inline]
    pub(crate) fn add(&mut self, span: &FinishedSpan<'_>, now: u64) {
        if !self.is_active {
            return;
        }
        if let Some(concentrator) = &mut self.concentrator {
            concentrator.add(span, now);
        }
    }

    /// What is to be sent: closed buckets, or with `all` every one. `now` in nanoseconds since the epoch.
    pub(crate) fn take(
        &mut self,
        config: &Config,
        runtime_id: &str,
        now: u64,
        all: bool,
    ) -> Vec<StatsPayload> {
        let Some(concentrator) = &mut self.concentrator else {
            return Vec::new();
        };
        let buckets = concentrator.take(now, all);
        let collapsed = concentrator.take_collapsed();
        if collapsed > 0 {
            let kind = [("collapsed_spans", "whole_key")];
            telemetry::count(Tracers, "stats_collapsed_spans", &kind, collapsed);
            crate::diagnostics::debug(format_args!(
                "statistics of {collapsed} spans share one group: there were more groups than DD_TRACE_STATS_CARDINALITY_LIMIT"
            ));
        }
        if buckets.is_empty() {
            return Vec::new();
        }
        let sender = sender(config, runtime_id);
        let (obfuscated, plain): (Vec<_>, Vec<_>) =
            buckets.into_iter().partition(|bucket| bucket.is_obfuscated);
        let mut payloads = Vec::new();
        for (buckets, is_obfuscated) in [(obfuscated, true), (plain, false)] {
            if !buckets.is_empty() {
                self.sequence += 1;
                payloads.push(StatsPayload {
                    body: payload::encode(&sender, self.sequence, &buckets),
                    is_obfuscated,
                });
            }
        }
        payloads
    }
}

/// Counts spans as the worker does, for benches and for whoever wants to see a payload without an agent.
///
/// ```
/// use ddtrace_core::config::Config;
/// use ddtrace_core::export::agent::AgentInfo;
/// use ddtrace_core::export::{FinishedSpan, Statistics};
///
/// let info = r#"{"client_drop_p0s": true, "endpoints": ["/v0.6/stats"]}"#;
/// let info = AgentInfo::parse(info.as_bytes()).unwrap();
/// let mut statistics = Statistics::new(Config::builder().build(), &info);
/// let mut span = FinishedSpan::default();
/// span.set_metric("_dd.top_level", 1.0);
/// statistics.count(&span);
/// assert!(statistics.take().is_some());
/// assert!(statistics.take().is_none());
/// ```
#[derive(Debug)]
pub struct Statistics {
    config: Config,
    state: State,
    now: u64,
}

impl Statistics {
    /// Statistics for an agent that says this. An agent that wants none gets none.
    pub fn new(config: Config, info: &AgentInfo) -> Self {
        let now = u64::try_from(crate::trace::clock::wall()).unwrap_or(0);
        let mut state = State::default();
        state.follow(&config, Some(info), now);
        Self { config, state, now }
    }

    /// Counts a span, if it is one that counts.
    pub fn count(&mut self, span: &FinishedSpan<'_>) {
        self.state.add(span, self.now);
    }

    /// The body of a request with all that was counted since the last one.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let mut payloads = self.state.take(&self.config, "", self.now, true);
        Some(payloads.pop()?.body)
    }
}

fn rules(config: &Config, info: &AgentInfo) -> Rules {
    let mut additional = config.stats_additional_tags.clone();
    additional.sort_unstable();
    additional.dedup();
    if additional.len() > MOST_ADDITIONAL {
        crate::diagnostics::warn(format_args!(
            "DD_TRACE_STATS_ADDITIONAL_TAGS has {} keys, expected at most {MOST_ADDITIONAL}; the first ones are used",
            additional.len()
        ));
        additional.truncate(MOST_ADDITIONAL);
    }
    let mut peer_tags = info.peer_tags.clone();
    peer_tags.sort_unstable();
    peer_tags.dedup();
    Rules {
        kinds: Rules::kinds_of(&info.span_kinds_stats_computed),
        peer_tags,
        additional,
        limits: config.stats_limits,
        obfuscate: info.obfuscation_version == OBFUSCATION_VERSION,
    }
}

fn sender(config: &Config, runtime_id: &str) -> Sender {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Sender {
        hostname: text(&config.hostname),
        env: text(&config.env),
        version: text(&config.version),
        service: config.service.clone(),
        runtime_id: runtime_id.to_owned(),
        git_commit_sha: text(&config.git_commit_sha),
        process_tags: crate::process_tags::ProcessTags::of(config)
            .as_str()
            .to_owned(),
    }
}

#[cfg(test)]
mod stats_tests;
