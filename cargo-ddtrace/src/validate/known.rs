//! The tags that rules and the store ask for, gathered in one pass over a span's tags.

use crate::intake::model::{Payload, Span};

/// Well-known tags of one span; what it lacks is `None`.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)] // each field is the tag of its name
pub struct Known<'a> {
    pub base_service: Option<&'a str>,
    pub component: Option<&'a str>,
    pub decision_maker: Option<&'a str>,
    pub env: Option<&'a str>,
    pub error_message: Option<&'a str>,
    pub error_type: Option<&'a str>,
    pub events: Option<&'a str>,
    pub high_half: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub language: Option<&'a str>,
    pub links: Option<&'a str>,
    pub method: Option<&'a str>,
    pub parent_marker: Option<&'a str>,
    pub peer_service: Option<&'a str>,
    pub peer_source: Option<&'a str>,
    pub propagation_error: Option<&'a str>,
    pub runtime_id: Option<&'a str>,
    pub status_code: Option<&'a str>,
    pub cancelled: bool,

    pub agent_rate: Option<f64>,
    pub keep_rate: Option<f64>,
    pub limit_rate: Option<f64>,
    pub long_running: bool,
    pub measured: bool,
    pub priority: Option<f64>,
    pub process_id: Option<f64>,
    pub rule_rate: Option<f64>,
    pub single_span: bool,
    pub status_metric: Option<f64>,
    pub top_level: bool,
}

impl<'a> Known<'a> {
    /// A span without tags.
    pub const NONE: Known<'static> = Known {
        base_service: None,
        component: None,
        decision_maker: None,
        env: None,
        error_message: None,
        error_type: None,
        events: None,
        high_half: None,
        kind: None,
        language: None,
        links: None,
        method: None,
        parent_marker: None,
        peer_service: None,
        peer_source: None,
        propagation_error: None,
        runtime_id: None,
        status_code: None,
        cancelled: false,
        agent_rate: None,
        keep_rate: None,
        limit_rate: None,
        long_running: false,
        measured: false,
        priority: None,
        process_id: None,
        rule_rate: None,
        single_span: false,
        status_metric: None,
        top_level: false,
    };

    /// Gathers a span's.
    pub fn of(payload: &'a Payload<'a>, span: &Span<'a>) -> Known<'a> {
        let mut known = Known::NONE;
        for (key, value) in payload.meta_of(span) {
            let value = Some(value.as_ref());
            match key.as_ref() {
                "_dd.base_service" => known.base_service = value,
                "component" => known.component = value,
                "_dd.p.dm" => known.decision_maker = value,
                "env" => known.env = value,
                "error.message" | "error.msg" => known.error_message = value,
                "error.type" => known.error_type = value,
                "events" => known.events = value,
                "_dd.p.tid" => known.high_half = value,
                "span.kind" => known.kind = value,
                "language" => known.language = value,
                "_dd.span_links" => known.links = value,
                "http.method" => known.method = value,
                "_dd.parent_id" => known.parent_marker = value,
                "peer.service" => known.peer_service = value,
                "_dd.peer.service.source" => known.peer_source = value,
                "_dd.propagation_error" => known.propagation_error = value,
                "runtime-id" => known.runtime_id = value,
                "http.status_code" => known.status_code = value,
                "cancelled" | "ddtrace.cancelled" => known.cancelled = value != Some("false"),
                _ => {}
            }
        }
        for (key, value) in payload.metrics_of(span) {
            match key.as_ref() {
                "_sampling_priority_v1" => known.priority = Some(*value),
                "_dd.top_level" => known.top_level = *value == 1.0,
                "_dd.measured" => known.measured = *value == 1.0,
                "process_id" => known.process_id = Some(*value),
                "_dd.agent_psr" => known.agent_rate = Some(*value),
                "_dd.rule_psr" => known.rule_rate = Some(*value),
                "_dd.limit_psr" => known.limit_rate = Some(*value),
                "_dd.tracer_kr" => known.keep_rate = Some(*value),
                "_dd.span_sampling.mechanism" => known.single_span = true,
                "_dd.partial_version" | "_dd.was_long_running" => known.long_running = true,
                "http.status_code" => known.status_metric = Some(*value),
                _ => {}
            }
        }
        known
    }

    /// Whether a parent that is not in the chunk is one in another process.
    pub fn has_remote_marker(&self) -> bool {
        self.parent_marker.is_some()
            || self.propagation_error.is_some()
            || matches!(self.kind, Some("server" | "consumer"))
    }

    /// Whether the span begins the local part of a trace whose parent is elsewhere. Every tracer writes the process on
    /// the local root.
    pub fn is_local_root(&self) -> bool {
        self.has_remote_marker() || self.process_id.is_some()
    }
}
