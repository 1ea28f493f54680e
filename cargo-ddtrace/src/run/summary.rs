//! What a run came to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::child::Ended;
use crate::api::Shared;
use crate::store::counts::Counts;
use crate::validate::Level;

/// Counts of a run.
#[derive(Debug)]
pub struct Summary {
    counts: Counts,
    problems: BTreeMap<&'static str, u64>,
    levels: [u64; 4],
    streams: crate::streams::Counts,
    llm: crate::llm::Counts,
    products: Vec<&'static str>,
    ended: Ended,
    took: Duration,
}

impl Summary {
    /// Takes the counts of an agent.
    pub fn of(shared: &Shared, ended: Ended, took: Duration) -> Summary {
        let streams = shared.data_streams().lock().counts;
        let llm = shared.llm().lock().counts;
        let store = shared.store().lock();
        let seen = |beginning: &str| {
            store
                .counts
                .paths
                .keys()
                .any(|path| path.starts_with(beginning))
        };
        let products = [
            ("tracing", store.counts.spans > 0),
            ("stats", seen("/v0.6/stats")),
            ("telemetry", seen("/telemetry/proxy/")),
            ("data_streams", seen("/v0.1/pipeline_stats")),
            ("llmobs", llm.spans + llm.evaluations > 0),
            ("profiling", seen("/profiling/")),
            ("debugging", seen("/debugger/")),
            ("remote_config", seen("/v0.7/config")),
            ("evp", seen("/evp_proxy/")),
        ];
        Summary {
            counts: store.counts.clone(),
            streams,
            llm,
            problems: store
                .problems
                .groups()
                .into_iter()
                .map(|group| (group.rule.id, group.count))
                .collect(),
            levels: Level::ALL.map(|level| store.problems.total(level)),
            products: products
                .into_iter()
                .filter(|(_, seen)| *seen)
                .map(|(name, _)| name)
                .collect(),
            ended,
            took,
        }
    }

    /// Whether nothing was received at all.
    pub fn is_empty(&self) -> bool {
        self.counts.requests == 0
    }

    /// Whether something was found that `--strict` does not forgive.
    pub fn is_faulty(&self) -> bool {
        let [rejected, dropped, violations, _] = self.levels;
        rejected + dropped + violations > 0
    }

    /// One object; keys are never removed.
    pub fn json(&self) -> Value {
        let counts = &self.counts;
        let (exit, signal) = match self.ended {
            Ended::Code(code) => (Some(code), None),
            Ended::Signal(signal) => (None, Some(signal)),
            Ended::TimedOut => (None, None),
        };
        json!({
            "traces": counts.traces,
            "spans": counts.spans,
            "services": counts.services,
            "errors": counts.errors,
            "rejected_payloads": counts.rejected_payloads,
            "dropped_chunks": counts.dropped_chunks,
            "dropped": counts.dropped,
            "sampled_out": counts.sampled_out_traces,
            "problems": self.problems,
            "evicted": counts.evicted_spans,
            "requests": counts.paths,
            "products": self.products,
            "llmobs": {
                "spans": self.llm.spans,
                "traces": self.llm.traces,
                "errors": self.llm.errors,
                "evaluations": self.llm.evaluations,
            },
            "data_streams": {
                "payloads": self.streams.payloads,
                "points": self.streams.points,
                "offsets": self.streams.offsets,
                "transactions": self.streams.transactions,
            },
            "exit": exit,
            "signal": signal,
            "duration_ms": self.took.as_millis() as u64,
        })
    }

    /// A few lines for people.
    pub fn lines(&self) -> Vec<String> {
        let counts = &self.counts;
        let services: Vec<&str> = counts.services.iter().map(String::as_str).collect();
        let mut lines = vec![
            format!(
                "program ended with {} after {:.1} s",
                self.ended.shown(),
                self.took.as_secs_f64()
            ),
            format!(
                "{} traces, {} spans, {} errors from {}",
                counts.traces,
                counts.spans,
                counts.errors,
                if services.is_empty() {
                    "nobody".to_owned()
                } else {
                    services.join(", ")
                }
            ),
        ];
        if let Some((duration, service, resource)) = &counts.slowest {
            lines.push(format!(
                "slowest: {service} {resource}, {:.1} ms",
                *duration as f64 / 1e6
            ));
        }
        if let Some((kind, count)) = counts.error_types.iter().max_by_key(|(_, count)| **count) {
            lines.push(format!("most frequent error: {kind}, {count} times"));
        }
        let [rejected, dropped, violations, hints] = self.levels;
        if rejected + dropped + violations + hints + counts.dropped > 0 {
            let rules: Vec<String> = self
                .problems
                .iter()
                .map(|(rule, count)| format!("{rule} {count}"))
                .collect();
            lines.push(format!(
                "{} payloads rejected, {} chunks dropped, {violations} violations, {hints} hints; lost by the library: {}; {}",
                counts.rejected_payloads,
                counts.dropped_chunks,
                counts.dropped,
                rules.join(", ")
            ));
        }
        lines
    }
}
