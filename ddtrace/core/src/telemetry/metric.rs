//! The metrics that the library may report: namespaces, kinds, and the closed list of names.
//!
//! The backend keeps a central list of names and drops what is not on it, so a name that is missing here is dropped at once.

use serde::{Serialize, Serializer};

/// The part of the library that a metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of the products")]
pub enum Namespace {
    Tracers,
    General,
    Telemetry,
    Appsec,
    Iast,
    Rum,
    Profilers,
    LiveDebugger,
    CiVisibility,
    MlObs,
    DdTraceApi,
    Sidecar,
}

impl Namespace {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tracers => "tracers",
            Self::General => "general",
            Self::Telemetry => "telemetry",
            Self::Appsec => "appsec",
            Self::Iast => "iast",
            Self::Rum => "rum",
            Self::Profilers => "profilers",
            Self::LiveDebugger => "live_debugger",
            Self::CiVisibility => "civisibility",
            Self::MlObs => "mlobs",
            Self::DdTraceApi => "ddtraceapi",
            Self::Sidecar => "sidecar",
        }
    }
}

impl Serialize for Namespace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How values of a metric are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// Values of a window are added up.
    Count,
    /// The last value of a window counts.
    Gauge,
    /// Values of a window are added up and divided by its length in seconds.
    Rate,
    /// Every value is kept.
    Distribution,
}

impl MetricKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Gauge => "gauge",
            Self::Rate => "rate",
            Self::Distribution => "distribution",
        }
    }
}

/// One name that may be reported.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The part of the library.
    pub namespace: Namespace,
    /// The name.
    pub name: &'static str,
    /// How values are put together.
    pub kind: MetricKind,
}

const fn count(namespace: Namespace, name: &'static str) -> Metric {
    let kind = MetricKind::Count;
    Metric {
        namespace,
        name,
        kind,
    }
}

const fn distribution(namespace: Namespace, name: &'static str) -> Metric {
    let kind = MetricKind::Distribution;
    Metric {
        namespace,
        name,
        kind,
    }
}

/// Every name that this library reports; products add theirs here.
pub static METRICS: &[Metric] = {
    use Namespace::{CiVisibility, General, MlObs, Telemetry, Tracers};
    &[
        count(Tracers, "spans_created"),
        count(Tracers, "spans_finished"),
        count(Tracers, "spans_enqueued_for_serialization"),
        count(Tracers, "spans_dropped"),
        count(Tracers, "trace_segments_created"),
        count(Tracers, "trace_segments_closed"),
        count(Tracers, "trace_chunks_enqueued_for_serialization"),
        count(Tracers, "trace_chunks_sent"),
        count(Tracers, "trace_chunks_dropped"),
        count(Tracers, "trace_api.requests"),
        count(Tracers, "trace_api.responses"),
        count(Tracers, "trace_api.errors"),
        distribution(Tracers, "trace_api.bytes"),
        count(Tracers, "stats_collapsed_spans"),
        count(Tracers, "context_header_style.injected"),
        count(Tracers, "context_header_style.extracted"),
        count(Tracers, "context_header_style.malformed"),
        count(Tracers, "context_header.truncated"),
        count(Tracers, "otel.env.hiding"),
        count(Tracers, "otel.env.invalid"),
        count(Tracers, "otel.env.unsupported"),
        count(Tracers, "integration_errors"),
        count(Tracers, "dropped_points"),
        count(Tracers, "span_pointer_calculation"),
        count(Tracers, "span_pointer_calculation.issue"),
        count(Tracers, "otel.log_records"),
        count(Tracers, "otel.metrics_export_attempts"),
        count(Tracers, "otel.metrics_export_successes"),
        count(Tracers, "otel.metrics_export_failures"),
        count(General, "logs_created"),
        count(Telemetry, "telemetry_api.requests"),
        count(Telemetry, "telemetry_api.responses"),
        count(Telemetry, "telemetry_api.errors"),
        count(CiVisibility, "event_created"),
        count(CiVisibility, "event_finished"),
        count(CiVisibility, "code_coverage.is_empty"),
        count(CiVisibility, "itr_skipped"),
        count(CiVisibility, "itr_unskippable"),
        count(CiVisibility, "itr_forced_run"),
        count(CiVisibility, "git.command"),
        count(CiVisibility, "git.command_errors"),
        count(CiVisibility, "git.commit_sha_match"),
        count(CiVisibility, "git.commit_sha_discrepancy"),
        count(CiVisibility, "git_requests.settings"),
        count(CiVisibility, "git_requests.settings_errors"),
        count(CiVisibility, "git_requests.settings_response"),
        count(CiVisibility, "git_requests.search_commits"),
        count(CiVisibility, "git_requests.search_commits_errors"),
        count(CiVisibility, "git_requests.objects_pack"),
        count(CiVisibility, "git_requests.objects_pack_errors"),
        count(CiVisibility, "known_tests.request"),
        count(CiVisibility, "known_tests.request_errors"),
        count(CiVisibility, "test_management_tests.request"),
        count(CiVisibility, "test_management_tests.request_errors"),
        count(CiVisibility, "itr_skippable_tests.request"),
        count(CiVisibility, "itr_skippable_tests.request_errors"),
        count(CiVisibility, "itr_skippable_tests.response_tests"),
        count(CiVisibility, "itr_skippable_tests.response_suites"),
        count(CiVisibility, "coverage_upload.request"),
        count(CiVisibility, "coverage_upload.request_errors"),
        count(CiVisibility, "endpoint_payload.requests"),
        count(CiVisibility, "endpoint_payload.requests_errors"),
        count(CiVisibility, "endpoint_payload.dropped"),
        count(MlObs, "product_enabled"),
        count(MlObs, "span.start"),
        count(MlObs, "span.finished"),
        count(MlObs, "dropped_span_events"),
        count(MlObs, "dropped_eval_events"),
        count(MlObs, "annotations"),
        count(MlObs, "evals_submitted"),
        count(MlObs, "feedback_submitted"),
        count(MlObs, "spans_exported"),
        count(MlObs, "user_flush"),
        count(MlObs, "inject_distributed_headers"),
        count(MlObs, "activate_distributed_headers"),
        count(MlObs, "user_processor_called"),
        count(MlObs, "cost_tags.annotated"),
        count(MlObs, "cost_tags.submitted"),
        count(MlObs, "prompt.source"),
        count(MlObs, "prompt.fetch.error"),
        count(MlObs, "prompt.crud.error"),
        count(MlObs, "evaluators.rule_sample_rate"),
        distribution(MlObs, "init_time"),
        distribution(MlObs, "span.raw_size"),
        distribution(MlObs, "span.size"),
        distribution(CiVisibility, "code_coverage.files"),
        distribution(CiVisibility, "git.command_ms"),
        distribution(CiVisibility, "git_requests.settings_ms"),
        distribution(CiVisibility, "git_requests.search_commits_ms"),
        distribution(CiVisibility, "git_requests.objects_pack_ms"),
        distribution(CiVisibility, "git_requests.objects_pack_files"),
        distribution(CiVisibility, "git_requests.objects_pack_bytes"),
        distribution(CiVisibility, "known_tests.request_ms"),
        distribution(CiVisibility, "known_tests.response_bytes"),
        distribution(CiVisibility, "known_tests.response_tests"),
        distribution(CiVisibility, "test_management_tests.request_ms"),
        distribution(CiVisibility, "test_management_tests.response_bytes"),
        distribution(CiVisibility, "test_management_tests.response_tests"),
        distribution(CiVisibility, "itr_skippable_tests.request_ms"),
        distribution(CiVisibility, "itr_skippable_tests.response_bytes"),
        distribution(CiVisibility, "coverage_upload.request_ms"),
        distribution(CiVisibility, "coverage_upload.request_bytes"),
        distribution(CiVisibility, "endpoint_payload.bytes"),
        distribution(CiVisibility, "endpoint_payload.requests_ms"),
        distribution(CiVisibility, "endpoint_payload.events_count"),
        distribution(CiVisibility, "endpoint_payload.events_serialization_ms"),
    ]
};

/// The row of a name, if it may be reported.
pub(super) fn find(namespace: Namespace, name: &str) -> Option<&'static Metric> {
    METRICS
        .iter()
        .find(|metric| metric.namespace == namespace && metric.name == name)
}
