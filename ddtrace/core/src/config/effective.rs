//! The effective configuration: what sources said, interpreted once, as typed fields.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::agent_url::{AgentUrl, DogstatsdAddress};
use super::builder::ConfigBuilder;
use super::environment::Environment;
use super::integration::{self, IntegrationSettings};
use super::otel::OtelFinding;
use super::problem::Problem;
use super::secret::Secret;
use super::sources::{CodeValue, Origin, Resolved, Sources};
use super::table::Name;
use crate::diagnostics::{self, Level};

/// The service of a program whose executable has no name.
pub(super) const UNNAMED: &str = "unnamed-rust-service";

/// Format of trace payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiVersion {
    /// Maps of named fields.
    V04,
    /// Arrays over a table of strings.
    V05,
    /// Maps with integer keys, over texts that are written once.
    V1,
    /// JSON, for an intake: no setting, but what comes of sending without an agent.
    Intake,
}

/// What becomes of incoming context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtractBehavior {
    /// It is continued.
    Continue,
    /// A new trace is begun, with a link to it.
    Restart,
    /// It is not looked at.
    Ignore,
}

/// What SQL comments tell the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DbmMode {
    /// Nothing.
    Disabled,
    /// The service.
    Service,
    /// The service and the trace.
    Full,
    /// The service, with the base hash.
    DynamicService,
}

/// What is removed from query strings before they become tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryObfuscation {
    /// What the built-in expression covers.
    BuiltIn,
    /// What this expression matches. It compiles with `regex::bytes`, Unicode off.
    Pattern(String),
    /// Nothing: the setting is empty on purpose.
    Off,
    /// Everything: the setting is no valid expression, so query strings are not tagged.
    Invalid,
}

/// Where finished traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceExporter {
    /// The Datadog agent.
    Agent,
    /// An OpenTelemetry collector.
    Otlp {
        /// The full URL.
        endpoint: String,
        /// `http/protobuf` or `http/json`.
        protocol: String,
        /// How long one request may take.
        timeout: Duration,
    },
}

/// How many distinct groups statistics keep in one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsLimits {
    /// Groups in all.
    pub groups: usize,
    /// Resources.
    pub resources: usize,
    /// HTTP endpoints.
    pub http_endpoints: usize,
    /// Sets of peer tags.
    pub peer_tags: usize,
    /// Values of additional tags.
    pub additional_tags: usize,
}

/// What the library reports about itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TelemetrySettings {
    /// The time between two signs of life.
    pub heartbeat_interval: Duration,
    /// The time between two that repeat everything.
    pub extended_heartbeat_interval: Duration,
    /// How long metrics are added up at most.
    pub metrics_interval: Duration,
    /// Whether metrics are reported.
    pub metrics: bool,
    /// Whether errors of the library are.
    pub logs: bool,
    /// Whether the crates of the program are.
    pub dependencies: bool,
    /// Whether it is marked as that of a test.
    pub debug: bool,
    /// Who installed the library, if an installer said so.
    pub install_signature: Option<InstallSignature>,
    /// Endpoints of web frameworks in one message; 1 to 300.
    pub endpoints_per_message: usize,
}

impl TelemetrySettings {
    /// How long metrics are added up: no longer than until they are sent.
    pub fn metrics_window(&self) -> Duration {
        self.metrics_interval.min(self.heartbeat_interval)
    }
}

/// What an installer says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstallSignature {
    /// Which installation.
    pub id: Option<String>,
    /// How.
    pub kind: Option<String>,
    /// When, in seconds since the epoch.
    pub time: Option<String>,
}

/// The configuration of one tracer. Immutable; see the [module](super) for where values come from.
#[derive(Clone)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each field is a row of the table, which documents it"
)]
pub struct Config {
    pub service: String,
    /// Whether nobody named the service, so that it is the executable's name.
    pub service_is_inferred: bool,
    pub env: Option<String>,
    pub version: Option<String>,
    /// Tags for every span; `service` and `version` are taken out, `env` stays in.
    pub tags: Vec<(String, String)>,
    pub service_mapping: BTreeMap<String, String>,
    pub trace_enabled: bool,
    pub apm_tracing_enabled: bool,

    pub agent_url: AgentUrl,
    pub agent_timeout: Duration,
    pub dogstatsd: DogstatsdAddress,
    pub trace_exporter: TraceExporter,

    pub api_version: ApiVersion,
    pub writer_buffer_size: usize,
    /// At most `writer_buffer_size`.
    pub max_payload_size: usize,
    pub writer_interval: Duration,
    pub partial_flush: bool,
    /// At least 1.
    pub partial_flush_min_spans: usize,

    /// A JSON array.
    pub sampling_rules: String,
    /// Where the rules came from: remote rules have a mechanism of their own.
    pub sampling_rules_origin: Origin,
    /// Traces per second; 0 keeps none, negative sets no limit.
    pub rate_limit: i64,
    /// A JSON array, from the setting or the file that it names.
    pub span_sampling_rules: Option<String>,

    /// Names among `datadog`, `tracecontext`, `b3multi`, `b3` and `baggage`, in order, each once.
    pub propagation_extract: Vec<String>,
    /// As `propagation_extract`.
    pub propagation_inject: Vec<String>,
    pub propagation_extract_first: bool,
    pub propagation_behavior: ExtractBehavior,
    pub propagation_as_span_links: Vec<String>,
    pub http_baggage_enabled: bool,
    /// `*` means all.
    pub baggage_tag_keys: Vec<String>,
    /// 0 switches the header off.
    pub x_datadog_tags_max_length: usize,
    pub trace_id_128_bit: bool,
    pub trace_id_128_bit_logging: bool,

    pub report_hostname: bool,
    /// From the setting, else from the system.
    pub hostname: Option<String>,
    /// Both ends included.
    pub http_server_error_statuses: Vec<(u16, u16)>,
    /// Both ends included.
    pub grpc_server_error_statuses: Vec<(u16, u16)>,
    /// Both ends included.
    pub grpc_client_error_statuses: Vec<(u16, u16)>,
    /// Header names in lower case, each with its tag; an empty tag means the usual name.
    pub header_tags: Vec<(String, String)>,
    /// Also true with AppSec.
    pub client_ip_enabled: bool,
    pub client_ip_header: Option<String>,
    pub http_server_tag_query_string: bool,
    pub http_client_tag_query_string: bool,
    pub query_obfuscation: QueryObfuscation,
    /// Also true with AppSec, unless set.
    pub resource_renaming: bool,
    pub resource_renaming_always: bool,

    /// 0 or 1.
    pub span_attribute_schema: u8,
    pub remove_integration_service_names: bool,
    /// Also true under schema 1.
    pub peer_service_defaults: bool,
    pub peer_service_mapping: BTreeMap<String, String>,
    pub dbm_propagation_mode: DbmMode,
    pub dbm_inject_base_hash: bool,
    pub pool_acquire_spans: bool,
    pub redis_command_length: usize,
    pub redis_resource_only_command: bool,

    pub stats_computation: bool,
    pub stats_additional_tags: Vec<String>,
    pub stats_limits: StatsLimits,
    pub native_span_events: bool,

    pub logs_injection: bool,
    pub runtime_metrics: bool,
    pub runtime_metrics_runtime_id: bool,
    /// An experiment of `DD_TRACE_EXPERIMENTAL_FEATURES_ENABLED`.
    pub runtime_metrics_as_gauges: bool,
    pub health_metrics: bool,

    pub startup_logs: bool,
    pub debug: bool,
    /// `None`: the log is off.
    pub log_level: Option<Level>,
    pub log_file: Option<PathBuf>,
    /// `None`: nothing goes to the file.
    pub log_file_level: Option<Level>,
    pub log_file_size: u64,
    /// Zero: no limit.
    pub logging_rate: Duration,
    pub traceback_max_size: usize,

    pub git_metadata: bool,
    /// Without credentials.
    pub git_repository_url: Option<String>,
    pub git_commit_sha: Option<String>,
    pub process_tags: bool,
    pub external_env: Option<String>,
    pub entity_id: Option<String>,
    pub origin_detection: bool,

    pub telemetry_enabled: bool,
    pub telemetry: TelemetrySettings,
    pub remote_config_enabled: bool,
    pub remote_config_poll_interval: Duration,
    pub extra_services: Vec<String>,
    pub site: String,
    pub api_key: Option<Secret>,
    pub agentless: bool,
    /// For tests: another intake.
    pub intake_url: Option<String>,
    /// Whether this is a function of AWS Lambda without Datadog's extension, and no agent is named: traces go to standard output.
    pub log_writer: bool,
    pub proxy_https: Option<Secret>,
    pub appsec_enabled: Option<bool>,
    pub profiling_enabled: bool,
    pub data_streams_enabled: bool,
    pub data_streams_http: bool,
    pub data_streams_interval: Duration,
    /// A JSON array, not looked into.
    pub data_streams_transaction_extractors: Option<String>,
    pub kafka_propagation: bool,
    pub kafka_empty_poll: bool,
    pub dynamic_instrumentation_enabled: bool,
    pub otel_enabled: bool,
    pub otlp_headers: Option<Secret>,
    /// For tests against the test agent.
    pub test_session_token: Option<String>,

    pub(super) sources: Sources,
    pub(super) facts: Facts,
    pub(super) problems: Vec<Problem>,
}

/// Shows the identity and the address only: a whole configuration is the business of telemetry.
impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Config")
            .field("service", &self.service)
            .field("env", &self.env)
            .field("version", &self.version)
            .field("agent_url", &self.agent_url.to_string())
            .finish_non_exhaustive()
    }
}

/// What was found out about the host, so that a later `Config` need not ask again.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) executable: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) has_trace_socket: bool,
    pub(super) has_metric_socket: bool,
    /// Whether this is a function of AWS Lambda that has no agent beside it.
    pub(super) is_bare_lambda: bool,
    pub(super) span_rules_file: Option<String>,
}

impl Config {
    /// Begins a configuration in code; without further calls it is that of the process.
    pub fn builder() -> ConfigBuilder<'static> {
        ConfigBuilder::default()
    }

    pub(super) fn read(
        environment: &dyn Environment,
        code: &BTreeMap<Name, CodeValue>,
        mut problems: Vec<Problem>,
    ) -> Config {
        let sources = Sources::collect(environment, code, &mut problems);
        let facts = Facts::gather(environment, &sources, &mut problems);
        Config::interpret(sources, facts, problems)
    }

    /// All settings in the order of the table, each with what every source said.
    pub fn settings(&self) -> &[Resolved] {
        &self.sources.resolved
    }

    /// One setting with what every source said.
    pub fn setting(&self, name: Name) -> &Resolved {
        &self.sources.resolved[name as usize]
    }

    /// What telemetry counts about OpenTelemetry variables.
    pub fn otel_findings(&self) -> &[OtelFinding] {
        &self.sources.findings
    }

    /// The service of a program that nobody named.
    pub fn default_service(&self) -> &str {
        self.facts.executable.as_deref().unwrap_or(UNNAMED)
    }

    /// What is wrong with values that were found.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Prints each problem as one line. For whoever starts a tracer, once, after
    /// [`diagnostics::configure`] has been given [`log_settings`](Config::log_settings).
    pub fn report_problems(&self) {
        for problem in &self.problems {
            diagnostics::log_always(problem.level, format_args!("{problem}"));
        }
    }

    /// How the tracer's own log is to behave.
    pub fn log_settings(&self) -> diagnostics::Settings {
        diagnostics::Settings {
            level: self.log_level,
            rate: self.logging_rate,
            file: self.log_file.clone(),
            file_level: self.log_file_level,
            file_size: self.log_file_size,
        }
    }

    /// The settings of an integration, by its name in lower case (`axum`).
    pub fn integration(&self, name: &str) -> IntegrationSettings {
        integration::read(name, &self.sources.families)
    }
}
