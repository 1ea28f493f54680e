//! What the product says about itself.

use ddtrace_core::export::FinishedSpan;
use ddtrace_core::telemetry::{Namespace, count, distribution};

use crate::annotation::AnnotateError;
use crate::node::NO_PARENT;
use crate::record::Record;
use crate::route::Mode;

const NS: Namespace = Namespace::MlObs;

fn flag(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}

pub(crate) fn annotated(record: &Record, error: Option<&AnnotateError>) {
    let tags = [
        ("error", flag(error.is_some())),
        ("error_type", error.map_or("", AnnotateError::label)),
        ("is_root_span", flag(record.node.parent_id == NO_PARENT)),
        ("span_kind", record.node.kind.as_str()),
    ];
    // Without an error there is no type of it.
    let tags: Vec<_> = tags
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    count(NS, "annotations", &tags, 1);
}

pub(crate) fn annotated_nothing() {
    let tags = [
        ("error", "1"),
        ("error_type", AnnotateError::NoActiveSpan.label()),
    ];
    count(NS, "annotations", &tags, 1);
}

pub(crate) fn cost_tags(source: &str, taken: u64, missing: u64) {
    count(NS, "cost_tags.annotated", &[("source", source)], 1);
    let submitted = |state: &str, n| {
        let tags = [("source", source), ("state", state)];
        count(NS, "cost_tags.submitted", &tags, n);
    };
    submitted("success", taken);
    if missing > 0 {
        let tags = [
            ("source", source),
            ("state", "error"),
            ("reason", "missing_span_tag"),
        ];
        count(NS, "cost_tags.submitted", &tags, missing);
    }
}

pub(crate) fn finished(record: &Record, span: &FinishedSpan<'_>, mode: Mode) {
    let node = &record.node;
    let has_session = node.shared().session_id.is_some();
    let ml_app = node.ml_app();
    let integration = record.integration.unwrap_or("N/A");
    let tags = [
        ("autoinstrumented", flag(record.integration.is_some())),
        ("has_session_id", flag(has_session)),
        ("is_root_span", flag(node.parent_id == NO_PARENT)),
        ("span_kind", node.kind.as_str()),
        ("integration", integration),
        ("ml_app", &ml_app),
        ("error", flag(span.error)),
        ("intake", mode.as_str()),
        ("decorator", flag(record.is_macro)),
    ];
    count(NS, "span.start", &[], 1);
    count(NS, "span.finished", &tags, 1);
}

pub(crate) fn sizes(record: &Record, raw: usize, sent: usize, is_shortened: bool) {
    let kind = record.node.kind.as_str();
    distribution(NS, "span.raw_size", &[("span_kind", kind)], raw as f64);
    let tags = [("span_kind", kind), ("truncated", flag(is_shortened))];
    distribution(NS, "span.size", &tags, sent as f64);
}

pub(crate) fn processor_called(is_failed: bool) {
    count(
        NS,
        "user_processor_called",
        &[("error", flag(is_failed))],
        1,
    );
}

pub(crate) fn enabled(is_automatic: bool, mode: Mode, error: Option<&str>) {
    let tags = [
        ("auto", flag(is_automatic)),
        ("intake", mode.as_str()),
        ("error", flag(error.is_some())),
    ];
    count(NS, "product_enabled", &tags, 1);
}

pub(crate) fn started_in(seconds: f64) {
    distribution(NS, "init_time", &[], seconds * 1000.0);
}

/// Events that did not get through: `metric` is one of `dropped_span_events` and `dropped_eval_events`.
pub(crate) fn dropped(metric: &str, reason: &str, n: u64) {
    count(NS, metric, &[("error", reason)], n);
}

pub(crate) fn exported(is_failed: bool) {
    count(NS, "spans_exported", &[("error", flag(is_failed))], 1);
}

pub(crate) fn flushed() {
    count(NS, "user_flush", &[("error", "0")], 1);
}

pub(crate) fn headers(metric: &str, is_failed: bool) {
    count(NS, metric, &[("error", flag(is_failed))], 1);
}

pub(crate) fn evaluated(metric: &str, kind: &str, error: Option<&str>) {
    let mut tags = vec![("metric_type", kind), ("error", flag(error.is_some()))];
    tags.extend(error.map(|error| ("error_type", error)));
    count(NS, metric, &tags, 1);
}

pub(crate) fn prompt_source(source: &str) {
    count(NS, "prompt.source", &[("source", source)], 1);
}

pub(crate) fn prompt_error(metric: &str, error: &str) {
    count(NS, metric, &[("error_type", error)], 1);
}
