//! From what sources said to the typed fields of [`Config`]: fallbacks between settings, and what
//! one setting forces on another.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::agent_url::{AgentUrl, DogstatsdAddress, METRIC_SOCKET, TRACE_SOCKET, without_userinfo};
use super::effective::{
    ApiVersion, Config, DbmMode, ExtractBehavior, Facts, InstallSignature, QueryObfuscation,
    StatsLimits, TelemetrySettings, TraceExporter, UNNAMED,
};
use super::environment::Environment;
use super::otel;
use super::parse::is_regexp;
use super::problem::Problem;
use super::secret::Secret;
use super::sources::{Origin, Sources};
use super::table::Name;
use super::value::Value;
use crate::diagnostics::Level;

impl Config {
    pub(super) fn interpret(sources: Sources, facts: Facts, mut problems: Vec<Problem>) -> Config {
        use Name::*;
        let values = Values(&sources);
        let mut tags = values.pairs(DD_TAGS);
        let tag = |key: &str| {
            let found = tags
                .iter()
                .find(|(known, value)| known == key && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        let named = values.text(DD_SERVICE).or_else(|| tag("service"));
        let env = values.text(DD_ENV).or_else(|| tag("env"));
        let version = values.text(DD_VERSION).or_else(|| tag("version"));
        let git_repository_url = values
            .text(DD_GIT_REPOSITORY_URL)
            .or_else(|| tag("git.repository_url").map(|url| without_userinfo(&url)))
            .or_else(crate::git_metadata::repository_url);
        let git_commit_sha = values
            .text(DD_GIT_COMMIT_SHA)
            .or_else(|| tag("git.commit.sha"))
            .or_else(crate::git_metadata::commit_sha);
        // These stand where the settings of these names would.
        let moved = ["service", "version", "git.repository_url", "git.commit.sha"];
        tags.retain(|(key, _)| !moved.contains(&&**key));

        let appsec_enabled = values.maybe_flag(DD_APPSEC_ENABLED);
        let appsec = appsec_enabled == Some(true);
        let agentless = values.flag(DD_AGENTLESS_ENABLED);
        let api_key = values.secret(DD_API_KEY);
        let mut trace_enabled = values.flag(DD_TRACE_ENABLED);
        if agentless && api_key.is_none() {
            trace_enabled = false;
            problems.push(Problem {
                level: Level::Error,
                origin: values.origin(DD_AGENTLESS_ENABLED),
                name: "DD_AGENTLESS_ENABLED".to_owned(),
                value: Some("true".to_owned()),
                expected: "DD_API_KEY to be set as well".to_owned(),
                used: "no tracing at all".to_owned(),
            });
        }

        let agent_url = agent_url(&values, &facts);
        let agent_host = values
            .text(DD_AGENT_HOST)
            .unwrap_or_else(|| "localhost".to_owned());
        let mut otlp = values
            .text(OTEL_TRACES_EXPORTER)
            .is_some_and(|word| word.eq_ignore_ascii_case("otlp"));
        let version_origin = values.origin(DD_TRACE_API_VERSION);
        if otlp && version_origin > Origin::Default {
            otlp = false;
            problems.push(Problem {
                level: Level::Warn,
                origin: values.origin(OTEL_TRACES_EXPORTER),
                name: "OTEL_TRACES_EXPORTER".to_owned(),
                value: Some("otlp".to_owned()),
                expected: "DD_TRACE_API_VERSION to be unset, since it asks for an agent".to_owned(),
                used: "the agent".to_owned(),
            });
        }
        let trace_exporter = if otlp {
            let own = values.text(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
            let general = values.text(OTEL_EXPORTER_OTLP_ENDPOINT);
            TraceExporter::Otlp {
                endpoint: otel::traces_endpoint(own, general, &agent_host),
                protocol: values
                    .text(OTEL_EXPORTER_OTLP_TRACES_PROTOCOL)
                    .unwrap_or_default(),
                timeout: Duration::from_millis(
                    values.size(OTEL_EXPORTER_OTLP_TRACES_TIMEOUT) as u64
                ),
            }
        } else {
            TraceExporter::Agent
        };

        let wants_v05 = values.text(DD_TRACE_API_VERSION).as_deref() == Some("v0.5");
        let needs_structs = appsec || values.flag(DD_LLMOBS_ENABLED);
        let api_version = if wants_v05 && (needs_structs || cfg!(windows)) {
            problems.push(Problem {
                level: Level::Warn,
                origin: values.origin(DD_TRACE_API_VERSION),
                name: "DD_TRACE_API_VERSION".to_owned(),
                value: Some("v0.5".to_owned()),
                expected: "a format that can carry what other settings ask for".to_owned(),
                used: "v0.4".to_owned(),
            });
            ApiVersion::V04
        } else if wants_v05 {
            ApiVersion::V05
        } else if values.text(DD_TRACE_API_VERSION).as_deref() == Some("v1") {
            ApiVersion::V1
        } else {
            ApiVersion::V04
        };

        let writer_buffer_size = values.size(DD_TRACE_WRITER_BUFFER_SIZE_BYTES);
        let mut max_payload_size = values.size(DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES);
        if max_payload_size > writer_buffer_size {
            if values.origin(DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES) > Origin::Default {
                problems.push(Problem {
                    level: Level::Warn,
                    origin: values.origin(DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES),
                    name: "DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES".to_owned(),
                    value: Some(max_payload_size.to_string()),
                    expected: "at most DD_TRACE_WRITER_BUFFER_SIZE_BYTES".to_owned(),
                    used: writer_buffer_size.to_string(),
                });
            }
            max_payload_size = writer_buffer_size;
        }

        let styles = values.list(DD_TRACE_PROPAGATION_STYLE);
        let direction = |name| values.maybe_list(name).unwrap_or_else(|| styles.clone());
        let schema_v1 = values.text(DD_TRACE_SPAN_ATTRIBUTE_SCHEMA).as_deref() == Some("v1");
        let debug = values.flag(DD_TRACE_DEBUG);
        let log_level = match values.text(DD_TRACE_LOG_LEVEL) {
            _ if debug => Some(Level::Debug),
            Some(word) => Level::parse(&word),
            None => Some(Level::Warn),
        };
        let log_file_level = values.text(DD_TRACE_LOG_FILE_LEVEL);

        Config {
            service_is_inferred: named.is_none(),
            service: named
                .or(facts.executable.clone())
                .unwrap_or_else(|| UNNAMED.to_owned()),
            env,
            version,
            tags,
            service_mapping: values.pairs(DD_SERVICE_MAPPING).into_iter().collect(),
            trace_enabled,
            apm_tracing_enabled: values.flag(DD_APM_TRACING_ENABLED),

            dogstatsd: dogstatsd(&values, &facts),
            agent_url,
            agent_timeout: values.seconds(DD_TRACE_AGENT_TIMEOUT_SECONDS),
            trace_exporter,

            api_version,
            writer_buffer_size,
            max_payload_size,
            writer_interval: values.seconds(DD_TRACE_WRITER_INTERVAL_SECONDS),
            partial_flush: values.flag(DD_TRACE_PARTIAL_FLUSH_ENABLED),
            partial_flush_min_spans: values.size(DD_TRACE_PARTIAL_FLUSH_MIN_SPANS),

            sampling_rules: values
                .text(DD_TRACE_SAMPLING_RULES)
                .unwrap_or_else(|| "[]".to_owned()),
            sampling_rules_origin: values.origin(DD_TRACE_SAMPLING_RULES),
            rate_limit: values.integer(DD_TRACE_RATE_LIMIT),
            span_sampling_rules: values
                .text(DD_SPAN_SAMPLING_RULES)
                .or_else(|| facts.span_rules_file.clone()),

            propagation_extract: direction(DD_TRACE_PROPAGATION_STYLE_EXTRACT),
            propagation_inject: direction(DD_TRACE_PROPAGATION_STYLE_INJECT),
            propagation_extract_first: values.flag(DD_TRACE_PROPAGATION_EXTRACT_FIRST),
            propagation_behavior: match values
                .text(DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT)
                .as_deref()
            {
                Some("restart") => ExtractBehavior::Restart,
                Some("ignore") => ExtractBehavior::Ignore,
                _ => ExtractBehavior::Continue,
            },
            propagation_as_span_links: values.list(DD_TRACE_PROPAGATION_AS_SPAN_LINKS),
            http_baggage_enabled: values.flag(DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED),
            baggage_tag_keys: values.list(DD_TRACE_BAGGAGE_TAG_KEYS),
            x_datadog_tags_max_length: values.size(DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH),
            trace_id_128_bit: values.flag(DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED),
            trace_id_128_bit_logging: values.flag(DD_TRACE_128_BIT_TRACEID_LOGGING_ENABLED),

            report_hostname: values.flag(DD_TRACE_REPORT_HOSTNAME),
            hostname: values.text(DD_HOSTNAME).or_else(|| facts.hostname.clone()),
            http_server_error_statuses: values.ranges(DD_TRACE_HTTP_SERVER_ERROR_STATUSES),
            grpc_server_error_statuses: values.ranges(DD_GRPC_SERVER_ERROR_STATUSES),
            grpc_client_error_statuses: values.ranges(DD_GRPC_CLIENT_ERROR_STATUSES),
            header_tags: values.pairs(DD_TRACE_HEADER_TAGS),
            client_ip_enabled: values.flag(DD_TRACE_CLIENT_IP_ENABLED) || appsec,
            client_ip_header: values.text(DD_TRACE_CLIENT_IP_HEADER),
            http_server_tag_query_string: values.flag(DD_HTTP_SERVER_TAG_QUERY_STRING),
            http_client_tag_query_string: values.flag(DD_TRACE_HTTP_CLIENT_TAG_QUERY_STRING),
            query_obfuscation: match values.text(DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP) {
                None => QueryObfuscation::BuiltIn,
                Some(text) if text.is_empty() => QueryObfuscation::Off,
                Some(text) if is_regexp(&text) => QueryObfuscation::Pattern(text),
                Some(_) => QueryObfuscation::Invalid,
            },
            resource_renaming: values.flag(DD_TRACE_RESOURCE_RENAMING_ENABLED)
                || (appsec && values.origin(DD_TRACE_RESOURCE_RENAMING_ENABLED) == Origin::Default),
            resource_renaming_always: values
                .flag(DD_TRACE_RESOURCE_RENAMING_ALWAYS_SIMPLIFIED_ENDPOINT),

            span_attribute_schema: u8::from(schema_v1),
            remove_integration_service_names: values
                .flag(DD_TRACE_REMOVE_INTEGRATION_SERVICE_NAMES_ENABLED),
            peer_service_defaults: values.flag(DD_TRACE_PEER_SERVICE_DEFAULTS_ENABLED) || schema_v1,
            peer_service_mapping: values
                .pairs(DD_TRACE_PEER_SERVICE_MAPPING)
                .into_iter()
                .collect(),
            dbm_propagation_mode: match values.text(DD_DBM_PROPAGATION_MODE).as_deref() {
                Some("service") => DbmMode::Service,
                Some("full") => DbmMode::Full,
                Some("dynamic_service") => DbmMode::DynamicService,
                _ => DbmMode::Disabled,
            },
            dbm_inject_base_hash: values.flag(DD_DBM_INJECT_SQL_BASEHASH),
            pool_acquire_spans: values.flag(DD_SQLX_TRACE_POOL_ACQUIRE),
            redis_command_length: values.size(DD_REDIS_CMD_MAX_LENGTH),
            redis_resource_only_command: values.flag(DD_REDIS_RESOURCE_ONLY_COMMAND),

            stats_computation: values.flag(DD_TRACE_STATS_COMPUTATION_ENABLED),
            stats_additional_tags: values.list(DD_TRACE_STATS_ADDITIONAL_TAGS),
            stats_limits: StatsLimits {
                groups: values.size(DD_TRACE_STATS_CARDINALITY_LIMIT),
                resources: values.size(DD_TRACE_STATS_RESOURCE_CARDINALITY_LIMIT),
                http_endpoints: values.size(DD_TRACE_STATS_HTTP_ENDPOINT_CARDINALITY_LIMIT),
                peer_tags: values.size(DD_TRACE_STATS_PEER_TAGS_CARDINALITY_LIMIT),
                additional_tags: values.size(DD_TRACE_STATS_ADDITIONAL_TAGS_CARDINALITY_LIMIT),
            },
            native_span_events: values.flag(DD_TRACE_NATIVE_SPAN_EVENTS),

            logs_injection: values.flag(DD_LOGS_INJECTION),
            runtime_metrics: values.flag(DD_RUNTIME_METRICS_ENABLED),
            runtime_metrics_runtime_id: values.flag(DD_TRACE_EXPERIMENTAL_RUNTIME_ID_ENABLED),
            runtime_metrics_as_gauges: values
                .list(DD_TRACE_EXPERIMENTAL_FEATURES_ENABLED)
                .iter()
                .any(|name| name == "DD_RUNTIME_METRICS_ENABLED"),
            health_metrics: values.flag(DD_TRACE_HEALTH_METRICS_ENABLED),

            startup_logs: values.flag(DD_TRACE_STARTUP_LOGS),
            debug,
            log_level,
            log_file: log_file(&values),
            log_file_level: log_file_level.and_then(|word| Level::parse(&word)),
            log_file_size: values.size(DD_TRACE_LOG_FILE_SIZE_BYTES) as u64,
            logging_rate: values.seconds(DD_TRACE_LOGGING_RATE),
            traceback_max_size: values.size(DD_TRACE_SPAN_TRACEBACK_MAX_SIZE),

            git_metadata: values.flag(DD_TRACE_GIT_METADATA_ENABLED),
            git_repository_url,
            git_commit_sha,
            process_tags: values.flag(DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED),
            external_env: values.text(DD_EXTERNAL_ENV),
            entity_id: values.text(DD_ENTITY_ID),
            origin_detection: values.flag(DD_ORIGIN_DETECTION_ENABLED),

            telemetry_enabled: values.flag(DD_INSTRUMENTATION_TELEMETRY_ENABLED),
            telemetry: telemetry(&values),
            remote_config_enabled: values.flag(DD_REMOTE_CONFIGURATION_ENABLED),
            remote_config_poll_interval: values.seconds(DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS),
            extra_services: values.list(DD_EXTRA_SERVICES),
            site: values.text(DD_SITE).unwrap_or_default(),
            api_key,
            agentless,
            intake_url: values.text(_DD_TRACE_INTAKE_URL),
            log_writer: facts.is_bare_lambda
                && [DD_AGENT_HOST, DD_TRACE_AGENT_URL]
                    .iter()
                    .all(|name| values.origin(*name) == Origin::Default),
            proxy_https: values.secret(DD_PROXY_HTTPS),
            appsec_enabled,
            profiling_enabled: values.flag(DD_PROFILING_ENABLED),
            data_streams_enabled: values.flag(DD_DATA_STREAMS_ENABLED),
            data_streams_http: values.flag(DD_DATA_STREAMS_HTTP_ENABLED),
            data_streams_interval: values.seconds(_DD_TRACE_STATS_WRITER_INTERVAL),
            data_streams_transaction_extractors: values
                .text(DD_DATA_STREAMS_TRANSACTION_EXTRACTORS),
            kafka_propagation: values.flag(DD_KAFKA_PROPAGATION_ENABLED),
            kafka_empty_poll: values.flag(DD_KAFKA_EMPTY_POLL_ENABLED),
            dynamic_instrumentation_enabled: values.flag(DD_DYNAMIC_INSTRUMENTATION_ENABLED),
            otel_enabled: values.flag(DD_TRACE_OTEL_ENABLED),
            otlp_headers: values.secret(OTEL_EXPORTER_OTLP_TRACES_HEADERS),
            test_session_token: values.text(_DD_TRACE_TEST_SESSION_TOKEN),

            sources,
            facts,
            problems,
        }
    }
}

impl Facts {
    pub(super) fn gather(
        environment: &dyn Environment,
        sources: &Sources,
        problems: &mut Vec<Problem>,
    ) -> Facts {
        let file = Values(sources).text(Name::DD_SPAN_SAMPLING_RULES_FILE);
        Facts {
            executable: environment.executable().filter(|stem| !stem.is_empty()),
            hostname: environment.hostname(),
            has_trace_socket: environment.is_socket(Path::new(TRACE_SOCKET)),
            has_metric_socket: environment.is_socket(Path::new(METRIC_SOCKET)),
            is_bare_lambda: is_bare_lambda(environment),
            span_rules_file: file.and_then(|path| read_rules(environment, &path, problems)),
        }
    }
}

fn telemetry(values: &Values<'_>) -> TelemetrySettings {
    use Name::*;
    let install = InstallSignature {
        id: values.text(DD_INSTRUMENTATION_INSTALL_ID),
        kind: values.text(DD_INSTRUMENTATION_INSTALL_TYPE),
        time: values.text(DD_INSTRUMENTATION_INSTALL_TIME),
    };
    let is_signed = install.id.is_some() || install.kind.is_some() || install.time.is_some();
    TelemetrySettings {
        heartbeat_interval: values.seconds(DD_TELEMETRY_HEARTBEAT_INTERVAL),
        extended_heartbeat_interval: values.seconds(_DD_TELEMETRY_EXTENDED_HEARTBEAT_INTERVAL),
        metrics_interval: values.seconds(DD_TELEMETRY_METRICS_AGGREGATION_INTERVAL),
        metrics: values.flag(DD_TELEMETRY_METRICS_ENABLED),
        logs: values.flag(DD_TELEMETRY_LOG_COLLECTION_ENABLED),
        dependencies: values.flag(DD_TELEMETRY_DEPENDENCY_COLLECTION_ENABLED),
        debug: values.flag(DD_INTERNAL_TELEMETRY_DEBUG_ENABLED),
        install_signature: is_signed.then_some(install),
        endpoints_per_message: values.size(DD_API_SECURITY_ENDPOINT_COLLECTION_MESSAGE_LIMIT),
    }
}

/// The file that is named, or one of our own name in the folder that is.
fn log_file(values: &Values<'_>) -> Option<PathBuf> {
    let file = values.text(Name::DD_TRACE_LOG_FILE).map(PathBuf::from);
    let in_folder = || {
        let folder = values.text(Name::DD_TRACE_LOG_DIRECTORY)?;
        Some(Path::new(&folder).join(format!("ddtrace-rust-{}.log", std::process::id())))
    };
    file.or_else(in_folder)
}

/// Whether this is a function of AWS Lambda without Datadog's extension, which would be an agent.
fn is_bare_lambda(environment: &dyn Environment) -> bool {
    /// Names the function.
    const FUNCTION: &str = "AWS_LAMBDA_FUNCTION_NAME";
    /// Where the extension is, if it is there.
    const EXTENSION: &str = "/opt/extensions/datadog-agent";

    let is_lambda = environment
        .variables()
        .iter()
        .any(|(name, value)| name == FUNCTION && !value.is_empty());
    // Too large to be read, or a folder: that is an answer, too.
    let is_missing = |error: std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    is_lambda
        && environment
            .read(Path::new(EXTENSION), 1)
            .is_err_and(is_missing)
}

fn agent_url(values: &Values<'_>, facts: &Facts) -> AgentUrl {
    if let Some(Value::Agent(url)) = values.value(Name::DD_TRACE_AGENT_URL) {
        return url.clone();
    }
    let host = values.text(Name::DD_AGENT_HOST);
    let port = values.integer(Name::DD_TRACE_AGENT_PORT) as u16;
    let explicit = host.is_some() || values.origin(Name::DD_TRACE_AGENT_PORT) > Origin::Default;
    if facts.has_trace_socket && !explicit {
        return AgentUrl::Unix(PathBuf::from(TRACE_SOCKET));
    }
    AgentUrl::http(host.unwrap_or_else(|| "localhost".to_owned()), port)
}

fn dogstatsd(values: &Values<'_>, facts: &Facts) -> DogstatsdAddress {
    if let Some(Value::Dogstatsd(address)) = values.value(Name::DD_DOGSTATSD_URL) {
        return address.clone();
    }
    let host = values
        .text(Name::DD_DOGSTATSD_HOST)
        .or_else(|| values.text(Name::DD_AGENT_HOST));
    let port = values.integer(Name::DD_DOGSTATSD_PORT) as u16;
    let explicit = host.is_some() || values.origin(Name::DD_DOGSTATSD_PORT) > Origin::Default;
    if facts.has_metric_socket && !explicit {
        return DogstatsdAddress::Unix(PathBuf::from(METRIC_SOCKET));
    }
    DogstatsdAddress::Udp {
        host: host.unwrap_or_else(|| "localhost".to_owned()),
        port,
    }
}

/// Reads the file that holds single-span sampling rules.
fn read_rules(
    environment: &dyn Environment,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let bytes = environment.read(Path::new(path), 1 << 20);
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let is_array = |text: &String| serde_json::from_str::<Vec<serde::de::IgnoredAny>>(text).is_ok();
    let text = text.filter(is_array);
    if text.is_none() {
        problems.push(Problem {
            level: Level::Warn,
            origin: Origin::Environment,
            name: "DD_SPAN_SAMPLING_RULES_FILE".to_owned(),
            value: Some(path.to_owned()),
            expected: "a file with a JSON array".to_owned(),
            used: "nothing".to_owned(),
        });
    }
    text
}

/// Typed access to effective values. A row has the type that its kind parses to; a test reads
/// every row through here, so that a mismatch cannot pass.
struct Values<'a>(&'a Sources);

impl Values<'_> {
    fn value(&self, name: Name) -> Option<&Value> {
        self.0.resolved[name as usize].effective().value.as_ref()
    }

    fn origin(&self, name: Name) -> Origin {
        self.0.resolved[name as usize].effective().origin
    }

    fn maybe_flag(&self, name: Name) -> Option<bool> {
        match self.value(name) {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    fn flag(&self, name: Name) -> bool {
        self.maybe_flag(name).unwrap_or_default()
    }

    fn integer(&self, name: Name) -> i64 {
        match self.value(name) {
            Some(Value::Integer(integer)) => *integer,
            _ => 0,
        }
    }

    fn size(&self, name: Name) -> usize {
        usize::try_from(self.integer(name).max(0)).unwrap_or(usize::MAX)
    }

    fn seconds(&self, name: Name) -> Duration {
        match self.value(name) {
            Some(Value::Number(seconds)) => {
                Duration::try_from_secs_f64(*seconds).unwrap_or_default()
            }
            _ => Duration::ZERO,
        }
    }

    /// Empty texts of settings that may not be empty do not get here.
    fn text(&self, name: Name) -> Option<String> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    fn secret(&self, name: Name) -> Option<Secret> {
        match self.value(name) {
            Some(Value::Secret(secret)) => Some(secret.clone()),
            _ => None,
        }
    }

    fn maybe_list(&self, name: Name) -> Option<Vec<String>> {
        match self.value(name) {
            Some(Value::List(items)) => Some(items.clone()),
            _ => None,
        }
    }

    fn list(&self, name: Name) -> Vec<String> {
        self.maybe_list(name).unwrap_or_default()
    }

    fn pairs(&self, name: Name) -> Vec<(String, String)> {
        match self.value(name) {
            Some(Value::Pairs(pairs)) => pairs.clone(),
            _ => Vec::new(),
        }
    }

    fn ranges(&self, name: Name) -> Vec<(u16, u16)> {
        match self.value(name) {
            Some(Value::Ranges(ranges)) => ranges.clone(),
            _ => Vec::new(),
        }
    }
}
