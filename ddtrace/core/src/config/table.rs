//! The table: every setting, once.
//!
//! A row says the name, how the text is read, the default, who reads it, and one sentence. Parsing,
//! [documentation](super::markdown), telemetry and the start-up log are derived from it. A row
//! whose reader is a product says so in its `products`; `tracing` is the core itself.
//!
//! A `DD_` name that is read anywhere in the workspace without being here fails a test
//! (`every_name_read_in_the_sources_is_in_the_table`). Names that hold the name of a library
//! (`DD_TRACE_AXUM_ENABLED`) are a family, not rows: see [`super::IntegrationSettings`].

use super::setting::{Beyond, Kind, Setting, flag, integer, of, optional, seconds, text};

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident => $row:expr,)+) => {
        /// Names every row of the table of settings.
        #[allow(non_camel_case_types, reason = "the names are those of the environment variables")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Name {
            $($(#[doc = $doc])+ $name,)+
        }

        /// All settings, in the order in which documentation lists them.
        pub static SETTINGS: &[Setting] = &[
            $($row.described(Name::$name, stringify!($name), concat!($($doc),+)),)+
        ];
    };
}

/// Styles that `DD_TRACE_PROPAGATION_STYLE` knows.
pub(super) const STYLES: &[&str] = &[
    "datadog",
    "tracecontext",
    "b3multi",
    "b3",
    "baggage",
    "none",
];

/// Who reads what is for test runs.
const CI: &[&str] = &["ci-visibility"];

/// Who reads what is for language models.
const LLM: &[&str] = &["llm observability"];

/// How often something is repeated.
const RETRIES: Kind = Kind::Integer {
    min: 0,
    max: 1000,
    beyond: Beyond::Default,
};

/// Variables that other tracers read, or once did, with what to write instead. Setting one gives a
/// line in the log rather than silence.
pub(super) const NOT_READ: &[(&str, &str)] = &[
    (
        "DD_TRACE_SAMPLE_RATE",
        r#"DD_TRACE_SAMPLING_RULES with [{"sample_rate": <rate>}]"#,
    ),
    ("DD_TRACE_METHODS", "the attribute #[trace] on the function"),
];

settings! {
    /// The service that this program is. Inferred from the name of the executable when unset.
    DD_SERVICE => text().otel(&["OTEL_SERVICE_NAME"]),
    /// The environment it runs in, such as `prod`.
    DD_ENV => text(),
    /// The version of the service.
    DD_VERSION => text(),
    /// Tags for every span. `service`, `env`, `version`, `git.repository_url` and `git.commit.sha` in it stand in for the settings of those names.
    DD_TAGS => optional(Kind::Tags).otel(&["OTEL_RESOURCE_ATTRIBUTES"]),
    /// Renames services: spans of the first name are reported under the second.
    DD_SERVICE_MAPPING => optional(Kind::Mapping),

    /// False: no spans are made or sent, but trace context passes through.
    DD_TRACE_ENABLED => flag(true).otel(&["OTEL_TRACES_EXPORTER"]),
    /// False: traces carry other products only, and are dropped otherwise.
    DD_APM_TRACING_ENABLED => flag(true),

    /// Where the agent listens: `http://host:port` or `unix:///path`. Beats host and port.
    DD_TRACE_AGENT_URL => optional(Kind::AgentUrl),
    /// Host of the agent.
    DD_AGENT_HOST => optional(Kind::Host).aliases(&["DD_TRACE_AGENT_HOSTNAME"]),
    /// Port of the agent.
    DD_TRACE_AGENT_PORT => of(Kind::Integer { min: 1, max: 65_535, beyond: Beyond::Default }, "8126")
        .aliases(&["DD_AGENT_PORT"]),
    /// Seconds that one request to the agent may take.
    DD_TRACE_AGENT_TIMEOUT_SECONDS => seconds("2.0"),
    /// Where DogStatsD listens: `udp://host:port` or `unix:///path`.
    DD_DOGSTATSD_URL => optional(Kind::DogstatsdUrl).products(&["dogstatsd"]),
    /// Host of DogStatsD; that of the agent when unset.
    DD_DOGSTATSD_HOST => optional(Kind::Host).products(&["dogstatsd"]),
    /// Port of DogStatsD.
    DD_DOGSTATSD_PORT => of(Kind::Integer { min: 1, max: 65_535, beyond: Beyond::Default }, "8125")
        .products(&["dogstatsd"]),

    /// Format of trace payloads. `v0.5` is smaller, but has no structured metadata, links or events; `v1` is used if the agent says that it takes it.
    DD_TRACE_API_VERSION => of(Kind::Choice(&["v0.4", "v0.5", "v1"]), "v0.4"),
    /// Bytes of finished spans that wait for sending; beyond it new chunks are dropped and counted.
    DD_TRACE_WRITER_BUFFER_SIZE_BYTES => integer(1024, Beyond::Nearest, "20971520"),
    /// Largest payload in bytes; at most the size of the buffer.
    DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES => integer(1024, Beyond::Nearest, "20971520"),
    /// Seconds between two payloads.
    DD_TRACE_WRITER_INTERVAL_SECONDS => seconds("1.0"),
    /// Whether a long trace is sent in parts while it runs.
    DD_TRACE_PARTIAL_FLUSH_ENABLED => flag(true),
    /// Finished spans of an unfinished trace that make a part.
    DD_TRACE_PARTIAL_FLUSH_MIN_SPANS => integer(1, Beyond::Nearest, "300"),

    /// Sampling rules, a JSON array; the first that matches decides.
    DD_TRACE_SAMPLING_RULES => of(Kind::JsonArray, "[]").otel(&["OTEL_TRACES_SAMPLER"]),
    /// Traces per second that rules may keep: 0 keeps none, a negative number sets no limit.
    DD_TRACE_RATE_LIMIT => integer(i64::MIN, Beyond::Nearest, "100"),
    /// Rules that keep single spans of dropped traces, a JSON array.
    DD_SPAN_SAMPLING_RULES => optional(Kind::JsonArray),
    /// A file with such rules; read when the variable is unset.
    DD_SPAN_SAMPLING_RULES_FILE => text(),

    /// Styles of trace context, in the order in which they are tried.
    DD_TRACE_PROPAGATION_STYLE => of(Kind::Styles, "datadog,tracecontext,baggage").otel(&["OTEL_PROPAGATORS"]),
    /// The same for outgoing context only.
    DD_TRACE_PROPAGATION_STYLE_INJECT => optional(Kind::Styles),
    /// The same for incoming context only.
    DD_TRACE_PROPAGATION_STYLE_EXTRACT => optional(Kind::Styles),
    /// Whether only the first style is tried on incoming context.
    DD_TRACE_PROPAGATION_EXTRACT_FIRST => flag(false),
    /// What becomes of incoming context: continued, replaced by a linked new trace, or ignored.
    DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT => of(Kind::Choice(&["continue", "restart", "ignore"]), "continue"),
    /// Integrations whose incoming context becomes a link instead of a parent.
    DD_TRACE_PROPAGATION_AS_SPAN_LINKS => optional(Kind::List),
    /// Whether the older `ot-baggage-*` headers are read and written.
    DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED => flag(false),
    /// Baggage keys that become tags of the local root: `*` for all, empty for none.
    DD_TRACE_BAGGAGE_TAG_KEYS => of(Kind::List, "user.id,account.id,session.id").empty_is_value(),
    /// Longest `x-datadog-tags` header; 0 switches it off.
    DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH => integer(0, Beyond::Nearest, "512"),
    /// Whether trace ids have 128 bits.
    DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED => flag(true),
    /// Whether log lines carry all 128 bits as hexadecimal digits.
    DD_TRACE_128_BIT_TRACEID_LOGGING_ENABLED => flag(false).products(&["logs"]),

    /// Whether local roots say the name of the host.
    DD_TRACE_REPORT_HOSTNAME => flag(false),
    /// The name of the host; asked of the system when unset.
    DD_HOSTNAME => text(),
    /// Statuses that mark a span as an error.
    DD_TRACE_HTTP_SERVER_ERROR_STATUSES => of(Kind::StatusRanges, "500-599").empty_is_value(),
    /// Codes of gRPC, as numbers, that mark the span of a server as an error.
    DD_GRPC_SERVER_ERROR_STATUSES => of(Kind::StatusRanges, "1-16")
        .aliases(&["DD_TRACE_GRPC_SERVER_ERROR_STATUSES"])
        .empty_is_value(),
    /// Codes of gRPC, as numbers, that mark the span of a client as an error.
    DD_GRPC_CLIENT_ERROR_STATUSES => of(Kind::StatusRanges, "1-16")
        .aliases(&["DD_TRACE_GRPC_CLIENT_ERROR_STATUSES"])
        .empty_is_value(),
    /// Headers that become tags.
    DD_TRACE_HEADER_TAGS => optional(Kind::HeaderTags),
    /// Whether the address of the client becomes a tag.
    DD_TRACE_CLIENT_IP_ENABLED => flag(false),
    /// The only header to read that address from.
    DD_TRACE_CLIENT_IP_HEADER => text(),
    /// Whether the URL tag of server spans has the query string.
    DD_HTTP_SERVER_TAG_QUERY_STRING => flag(true).aliases(&["DD_TRACE_HTTP_SERVER_TAG_QUERY_STRING"]),
    /// Whether the URL tag of client spans has the query string.
    DD_TRACE_HTTP_CLIENT_TAG_QUERY_STRING => flag(true),
    /// What is replaced by `<redacted>` in query strings. Empty: nothing. Invalid: query strings are not tagged.
    DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP => optional(Kind::Regexp).empty_is_value(),
    /// Whether web spans without a route get a simplified path as `http.endpoint`.
    DD_TRACE_RESOURCE_RENAMING_ENABLED => flag(false),
    /// Whether they get it even when there is a route.
    DD_TRACE_RESOURCE_RENAMING_ALWAYS_SIMPLIFIED_ENDPOINT => flag(false),

    /// Naming of operations and services: `v0` keeps library names, `v1` does not.
    DD_TRACE_SPAN_ATTRIBUTE_SCHEMA => of(Kind::Choice(&["v0", "v1"]), "v0"),
    /// Whether integrations report under the service of the program.
    DD_TRACE_REMOVE_INTEGRATION_SERVICE_NAMES_ENABLED => flag(false),
    /// Whether client spans get a `peer.service`. Always so under schema `v1`.
    DD_TRACE_PEER_SERVICE_DEFAULTS_ENABLED => flag(false),
    /// Renames peer services.
    DD_TRACE_PEER_SERVICE_MAPPING => optional(Kind::Mapping),
    /// Whether headers of trace context and of data streams are written into Kafka's messages. Brokers before 0.11 refuse messages with headers.
    DD_KAFKA_PROPAGATION_ENABLED => flag(true),
    /// Whether a Kafka consumer that finds no message makes a span all the same.
    DD_KAFKA_EMPTY_POLL_ENABLED => flag(true),
    /// What SQL comments tell the database: nothing, the service, or the trace as well.
    DD_DBM_PROPAGATION_MODE => of(Kind::Choice(&["disabled", "service", "full", "dynamic_service"]), "disabled"),
    /// Whether SQL comments carry the base hash.
    DD_DBM_INJECT_SQL_BASEHASH => flag(false),
    /// Whether waiting for a connection of a pool has a span of its own.
    DD_SQLX_TRACE_POOL_ACQUIRE => flag(false),
    /// Characters kept of a Redis command in its tag.
    DD_REDIS_CMD_MAX_LENGTH => integer(0, Beyond::Default, "1000"),
    /// Whether the resource of a Redis command is its name alone, without arguments.
    DD_REDIS_RESOURCE_ONLY_COMMAND => flag(true),

    /// Whether hits, errors and durations are counted here, before sampling, if the agent agrees.
    DD_TRACE_STATS_COMPUTATION_ENABLED => flag(true).aliases(&["DD_TRACE_COMPUTE_STATS"]).products(&["stats"]),
    /// Tags that statistics are split by; at most four.
    DD_TRACE_STATS_ADDITIONAL_TAGS => optional(Kind::List).products(&["stats"]),
    /// Distinct groups in one bucket of statistics.
    DD_TRACE_STATS_CARDINALITY_LIMIT => integer(1, Beyond::Default, "7000").products(&["stats"]),
    /// Distinct resources in one bucket.
    DD_TRACE_STATS_RESOURCE_CARDINALITY_LIMIT => integer(1, Beyond::Default, "1024").products(&["stats"]),
    /// Distinct HTTP endpoints in one bucket.
    DD_TRACE_STATS_HTTP_ENDPOINT_CARDINALITY_LIMIT => integer(1, Beyond::Default, "512").products(&["stats"]),
    /// Distinct sets of peer tags in one bucket.
    DD_TRACE_STATS_PEER_TAGS_CARDINALITY_LIMIT => integer(1, Beyond::Default, "512").products(&["stats"]),
    /// Distinct values of additional tags in one bucket.
    DD_TRACE_STATS_ADDITIONAL_TAGS_CARDINALITY_LIMIT => integer(1, Beyond::Default, "100").products(&["stats"]),
    /// Whether span events are sent in their native form even if the agent does not say that it takes it.
    DD_TRACE_NATIVE_SPAN_EVENTS => flag(false),

    /// Whether log records carry the ids of the active span.
    DD_LOGS_INJECTION => flag(true).products(&["logs"]),
    /// Whether metrics of the process are sent to DogStatsD.
    DD_RUNTIME_METRICS_ENABLED => flag(false).otel(&["OTEL_METRICS_EXPORTER"]).otel_wins().products(&["runtime metrics"]),
    /// Whether these carry the runtime's id.
    DD_TRACE_EXPERIMENTAL_RUNTIME_ID_ENABLED => flag(false).products(&["runtime metrics"]),
    /// Experiments that take part, by name. `DD_RUNTIME_METRICS_ENABLED` sends metrics of the process as gauges.
    DD_TRACE_EXPERIMENTAL_FEATURES_ENABLED => optional(Kind::List).products(&["runtime metrics"]),
    /// Whether the tracer sends metrics about itself.
    DD_TRACE_HEALTH_METRICS_ENABLED => flag(false).products(&["dogstatsd"]),

    /// Whether the configuration is logged at start.
    DD_TRACE_STARTUP_LOGS => flag(false),
    /// Whether the tracer logs at level `debug`.
    DD_TRACE_DEBUG => flag(false).otel(&["OTEL_LOG_LEVEL"]),
    /// Level of the tracer's own log.
    DD_TRACE_LOG_LEVEL => optional(Kind::Choice(&["error", "critical", "warn", "warning", "info", "debug", "trace", "off"])),
    /// A file for the tracer's own log, instead of standard error.
    DD_TRACE_LOG_FILE => text(),
    /// A folder for the tracer's own log; the file in it is `ddtrace-rust-<process>.log`. DD_TRACE_LOG_FILE beats it.
    DD_TRACE_LOG_DIRECTORY => text(),
    /// Level of what goes to that file.
    DD_TRACE_LOG_FILE_LEVEL => of(Kind::Choice(&["error", "critical", "warn", "warning", "info", "debug", "trace", "off"]), "debug"),
    /// Size in bytes at which that file is renamed and begun anew; one older file is kept.
    DD_TRACE_LOG_FILE_SIZE_BYTES => integer(4096, Beyond::Nearest, "15728640"),
    /// Seconds between two equal lines of the tracer's log from one place in the source; 0 sets no limit.
    DD_TRACE_LOGGING_RATE => of(Kind::Number { min: 0.0, max: 86_400.0 }, "60"),
    /// Frames kept of a backtrace.
    DD_TRACE_SPAN_TRACEBACK_MAX_SIZE => integer(0, Beyond::Nearest, "30"),

    /// Whether spans carry repository and commit.
    DD_TRACE_GIT_METADATA_ENABLED => flag(true),
    /// URL of the repository; credentials in it are removed.
    DD_GIT_REPOSITORY_URL => optional(Kind::Url),
    /// The commit that the program was built from.
    DD_GIT_COMMIT_SHA => text(),
    /// Whether traces and statistics carry tags of the process.
    DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED => flag(true),
    /// What an admission controller says about the container; sent on verbatim.
    DD_EXTERNAL_ENV => text(),
    /// The pod's id, for metrics.
    DD_ENTITY_ID => text().products(&["dogstatsd"]),
    /// Whether metrics say which container they come from.
    DD_ORIGIN_DETECTION_ENABLED => flag(true).products(&["dogstatsd"]),

    /// Whether the tracer reports its configuration and health.
    DD_INSTRUMENTATION_TELEMETRY_ENABLED => flag(true).products(&["telemetry"]),
    /// Seconds between two signs of life.
    DD_TELEMETRY_HEARTBEAT_INTERVAL => seconds("60").products(&["telemetry"]),
    /// For tests: seconds between two signs of life that repeat the whole configuration.
    _DD_TELEMETRY_EXTENDED_HEARTBEAT_INTERVAL => seconds("86400").products(&["telemetry", "tests"]),
    /// For tests: seconds over which metrics of the library are added up; never longer than the time between two signs of life.
    DD_TELEMETRY_METRICS_AGGREGATION_INTERVAL => seconds("10").products(&["telemetry", "tests"]),
    /// Whether the tracer reports metrics of its own.
    DD_TELEMETRY_METRICS_ENABLED => flag(true).products(&["telemetry"]),
    /// Whether the tracer reports its own errors, without anything of the program's.
    DD_TELEMETRY_LOG_COLLECTION_ENABLED => flag(true).products(&["telemetry"]),
    /// Whether the crates that the program was built from are reported.
    DD_TELEMETRY_DEPENDENCY_COLLECTION_ENABLED => flag(true).products(&["telemetry"]),
    /// Whether telemetry is marked as that of a test.
    DD_INTERNAL_TELEMETRY_DEBUG_ENABLED => flag(false).products(&["telemetry"]),
    /// Set by installers: the id of the installation.
    DD_INSTRUMENTATION_INSTALL_ID => text().products(&["telemetry"]),
    /// Set by installers: how it was installed.
    DD_INSTRUMENTATION_INSTALL_TYPE => text().products(&["telemetry"]),
    /// Set by installers: when it was installed, in seconds since the epoch.
    DD_INSTRUMENTATION_INSTALL_TIME => text().products(&["telemetry"]),
    /// Set by installers: what is injected into programs of other languages. Reported, and without effect here.
    DD_INJECTION_ENABLED => text().products(&["telemetry"]),
    /// Set by installers: whether that happens against all odds. Reported, and without effect here.
    DD_INJECT_FORCE => optional(Kind::Flag).products(&["telemetry"]),
    /// Endpoints of web frameworks in one message.
    DD_API_SECURITY_ENDPOINT_COLLECTION_MESSAGE_LIMIT => of(Kind::Integer { min: 1, max: 300, beyond: Beyond::Nearest }, "300")
        .products(&["telemetry", "appsec"]),
    /// Whether the backend may change settings.
    DD_REMOTE_CONFIGURATION_ENABLED => flag(true).products(&["remote configuration"]),
    /// Seconds between two questions for remote settings.
    DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS => seconds("5.0")
        .aliases(&["DD_REMOTECONFIG_POLL_SECONDS"])
        .products(&["remote configuration"]),
    /// Names of services that this process reports under besides its own, so that it is sent what is meant for them.
    DD_EXTRA_SERVICES => optional(Kind::List).products(&["remote configuration"]),

    /// The Datadog site, for sending without an agent.
    DD_SITE => text().default_text("datadoghq.com").products(&["agentless"]),
    /// The API key, for sending without an agent.
    DD_API_KEY => optional(Kind::Secret).products(&["agentless"]),
    /// Whether data is sent without an agent.
    DD_AGENTLESS_ENABLED => flag(false).products(&["agentless"]),
    /// A proxy for sending without an agent. Requests to an agent never use one.
    DD_PROXY_HTTPS => optional(Kind::Secret).products(&["agentless"]),
    /// Whether requests are inspected for attacks. Core reads it to keep a payload format that can carry the findings.
    DD_APPSEC_ENABLED => optional(Kind::Flag).products(&["appsec", "tracing"]),
    /// Whether the backend looks for vulnerable versions among the crates that are reported.
    DD_APPSEC_SCA_ENABLED => optional(Kind::Flag).products(&["appsec", "telemetry"]),
    /// Whether profiles are taken.
    DD_PROFILING_ENABLED => flag(false).products(&["profiling"]),
    /// Whether the paths of messages through queues are measured.
    DD_DATA_STREAMS_ENABLED => flag(false).products(&["data streams"]),
    /// Whether requests are checkpoints of these paths, too: those that HTTP and gRPC servers answer, and those that clients send. In Java they are whenever data streams are.
    DD_DATA_STREAMS_HTTP_ENABLED => flag(false).products(&["data streams"]),
    /// Headers whose values are ids of transactions: a JSON array of objects with `name` (the checkpoint), `type` (`HTTP_IN_HEADERS`, `HTTP_OUT_HEADERS`, `KAFKA_CONSUME_HEADERS`, `KAFKA_PRODUCE_HEADERS`) and `value` (the header).
    DD_DATA_STREAMS_TRANSACTION_EXTRACTORS => optional(Kind::JsonArray).products(&["data streams"]),
    /// For tests: seconds that data streams are added up before they are sent.
    _DD_TRACE_STATS_WRITER_INTERVAL => seconds("10.0").products(&["data streams", "tests"]),
    /// Whether calls of language models, tools and agents are reported. False also refuses that in code.
    DD_LLMOBS_ENABLED => flag(false).products(LLM),
    /// The application that spans of language models belong to; the service when unset.
    DD_LLMOBS_ML_APP => text().products(LLM),
    /// Whether they are sent without an agent; when unset, only if there is no agent that could.
    DD_LLMOBS_AGENTLESS_ENABLED => optional(Kind::Flag).products(LLM),
    /// Share of their traces that the backend keeps.
    DD_LLMOBS_SAMPLE_RATE => of(Kind::Number { min: 0.0, max: 1.0 }, "1.0").products(LLM),
    /// Rules for that share by tags of the root, a JSON array; the first that matches decides.
    DD_LLMOBS_SAMPLING_RULES => text().products(LLM),
    /// One address for every intake and interface of the product; a path in it is kept.
    DD_LLMOBS_OVERRIDE_ORIGIN => optional(Kind::Url).products(LLM),
    /// The project that experiments and datasets belong to.
    DD_LLMOBS_PROJECT_NAME => text().default_text("default-project").products(LLM),
    /// Addresses of proxies before language models: calls to them are workflows.
    DD_LLMOBS_INSTRUMENTED_PROXY_URLS => optional(Kind::List).products(LLM),
    /// Bytes of one span at which its input and output are left out.
    DD_LLMOBS_EVENT_SIZE_BYTES => integer(1024, Beyond::Default, "5000000").products(LLM),
    /// Bytes of one request.
    DD_LLMOBS_PAYLOAD_SIZE_BYTES => integer(1024, Beyond::Default, "5242880").products(LLM),
    /// Rules for evaluators that run in the program, a JSON array.
    DD_LLMOBS_EVALUATOR_SAMPLING_RULES => text().products(LLM),
    /// Seconds for which a managed prompt is fresh.
    DD_LLMOBS_PROMPTS_CACHE_TTL => seconds("60").products(LLM),
    /// Seconds that fetching a managed prompt may take.
    DD_LLMOBS_PROMPTS_TIMEOUT => seconds("5.0").products(LLM),
    /// Whether managed prompts are kept in files as well.
    DD_LLMOBS_PROMPTS_FILE_CACHE_ENABLED => flag(true).products(LLM),
    /// The folder of these files; one of the user's cache when unset.
    DD_LLMOBS_PROMPTS_CACHE_DIR => text().products(LLM),
    /// False keeps what goes into and comes out of models and tools out of everything that is sent.
    DD_LLMOBS_CAPTURE_IO => flag(true).products(LLM),
    /// Whether requests to OpenAI that stream are changed to ask for the numbers of tokens.
    DD_LLMOBS_OPENAI_INJECT_USAGE => flag(false).products(LLM),
    /// For tests: seconds between two payloads of the product.
    _DD_LLMOBS_WRITER_INTERVAL => seconds("1.0").products(&["llm observability", "tests"]),
    /// For tests: seconds that one of its requests may take.
    _DD_LLMOBS_WRITER_TIMEOUT => seconds("5.0").products(&["llm observability", "tests"]),
    /// The application key, for interfaces that read or change something: experiments, datasets, prompts.
    DD_APP_KEY => optional(Kind::Secret).products(LLM),
    /// Whether probes may be set while the program runs.
    DD_DYNAMIC_INSTRUMENTATION_ENABLED => flag(false).products(&["dynamic instrumentation"]),

    /// Whether test runs are reported. Without it `cargo ddtrace test` is `cargo test`.
    DD_CIVISIBILITY_ENABLED => flag(true).products(CI),
    /// Whether test runs are reported without an agent.
    DD_CIVISIBILITY_AGENTLESS_ENABLED => flag(false).products(CI),
    /// One address for every intake and interface, for tests.
    DD_CIVISIBILITY_AGENTLESS_URL => optional(Kind::Url).products(CI),
    /// Milliseconds that one request about tests may take.
    DD_CIVISIBILITY_BACKEND_API_TIMEOUT_MILLIS => of(Kind::Integer { min: 1, max: 300_000, beyond: Beyond::Default }, "30000")
        .products(CI),
    /// The name of the test session; made of the job's name and the command when unset.
    DD_TEST_SESSION_NAME => text().products(CI),
    /// False: no test is skipped because a change cannot affect it.
    DD_CIVISIBILITY_ITR_ENABLED => flag(true).products(CI),
    /// Whether whole suites are skipped instead of tests.
    _DD_CIVISIBILITY_ITR_SUITE_MODE => flag(false).products(CI),
    /// Whether coverage is taken of each test whatever the backend says.
    _DD_CIVISIBILITY_ITR_FORCE_ENABLE_COVERAGE => flag(false).products(CI),
    /// Whether no test is skipped whatever the backend says.
    _DD_CIVISIBILITY_ITR_PREVENT_TEST_SKIPPING => flag(false).products(CI),
    /// Whether coverage tells files apart, but not lines.
    _DD_COVERAGE_FILE_LEVEL => flag(false).products(CI),
    /// False: new tests are run once.
    DD_CIVISIBILITY_EARLY_FLAKE_DETECTION_ENABLED => flag(true).products(CI),
    /// How often a new test is repeated, instead of what the backend says.
    DD_TEST_EARLY_FLAKE_DETECTION_RETRY_COUNT => optional(RETRIES).products(CI),
    /// False: failed tests are not run again.
    DD_CIVISIBILITY_FLAKY_RETRY_ENABLED => flag(true).products(CI),
    /// How often a failed test is run again.
    DD_CIVISIBILITY_FLAKY_RETRY_COUNT => of(RETRIES, "5").products(CI),
    /// How many tests of a session may be run again.
    DD_CIVISIBILITY_TOTAL_FLAKY_RETRY_COUNT => of(Kind::Integer { min: 0, max: 1_000_000, beyond: Beyond::Default }, "1000")
        .products(CI),
    /// Whether tests that failed after all retries are run once more at the end.
    _DD_CIVISIBILITY_OUT_OF_SESSION_RETRIES_ENABLED => flag(false).products(CI),
    /// False: quarantined and disabled tests are as others.
    DD_TEST_MANAGEMENT_ENABLED => flag(true).products(CI),
    /// How often a test that is said to be fixed is repeated, instead of what the backend says.
    DD_TEST_MANAGEMENT_ATTEMPT_TO_FIX_RETRIES => optional(RETRIES).products(CI),
    /// Whether only flaky tests are run, each as an attempt to fix.
    _DD_TEST_MANAGEMENT_ATF_ALL_FLAKY => flag(false).products(CI),
    /// False: tests that a change touches are as others.
    DD_CIVISIBILITY_IMPACTED_TESTS_DETECTION_ENABLED => flag(true).products(CI),
    /// Pages of known tests beyond which the answer is void.
    _DD_CIVISIBILITY_KNOWN_TESTS_MAX_PAGES => integer(1, Beyond::Default, "10000").products(CI),
    /// Whether commits that the backend does not have are sent to it.
    DD_CIVISIBILITY_GIT_UPLOAD_ENABLED => flag(true).products(CI),
    /// Whether a month of history is fetched into a shallow clone.
    DD_CIVISIBILITY_GIT_UNSHALLOW_ENABLED => flag(true).products(CI),
    /// Whether a coverage report is uploaded, instead of what the backend says.
    DD_CIVISIBILITY_CODE_COVERAGE_REPORT_UPLOAD_ENABLED => optional(Kind::Flag).products(CI),
    /// Flags of the coverage report; at most 32.
    DD_CODE_COVERAGE_FLAGS => optional(Kind::List).products(CI),
    /// Whether what tests print is sent as logs, without an agent.
    DD_AGENTLESS_LOG_SUBMISSION_ENABLED => flag(false).products(CI),
    /// Events that make a payload, instead of a number that grows with the tests.
    _DD_CIVISIBILITY_PARTIAL_FLUSH_MIN_SPANS => optional(Kind::Integer { min: 1, max: 1_000_000, beyond: Beyond::Default })
        .products(CI),
    /// What set this up, for telemetry.
    DD_CIVISIBILITY_AUTO_INSTRUMENTATION_PROVIDER => text().products(CI),
    /// Whether tests share a process: `shared`, `isolated`, or `auto`, which isolates them for coverage.
    DD_CIVISIBILITY_RUST_EXECUTION => of(Kind::Choice(&["auto", "shared", "isolated"]), "auto").products(CI),
    /// Whether runners without a coordinator start one.
    DD_CIVISIBILITY_RUST_COORDINATOR => of(Kind::Choice(&["on", "off"]), "on").products(CI),
    /// Set by the coordinator of a run, so that runners find it; tests do not see it.
    _DD_TEST_SESSION => text().products(CI),
    /// Set by the runner for a test that runs alone: the folder for what it says about itself.
    _DD_TEST_RUN => text().products(CI),
    /// The same: trace and span of the test.
    _DD_TEST_SPAN => text().products(CI),
    /// A manifest beside which the backend's answers lie in files.
    DD_TEST_OPTIMIZATION_MANIFEST_FILE => text().products(CI),
    /// Whether payloads are written to files instead of sent.
    DD_TEST_OPTIMIZATION_PAYLOADS_IN_FILES => flag(false).products(CI),
    /// A file with the tags of the environment, for runs in a sandbox.
    DD_TEST_OPTIMIZATION_ENV_DATA_FILE => text().products(CI),
    /// Whether tests are listed instead of run.
    DD_TEST_OPTIMIZATION_DISCOVERY_ENABLED => flag(false).products(CI),
    /// Where that list goes.
    DD_TEST_OPTIMIZATION_DISCOVERY_FILE => text()
        .default_text(".testoptimization/tests-discovery/tests.json")
        .products(CI),
    /// The subdomain of an organisation, for links.
    DD_SUBDOMAIN => text().products(CI),
    /// The branch that is tested.
    DD_GIT_BRANCH => text().products(CI),
    /// The tag that is tested.
    DD_GIT_TAG => text().products(CI),
    /// The message of the commit.
    DD_GIT_COMMIT_MESSAGE => text().products(CI),
    /// Who wrote the commit.
    DD_GIT_COMMIT_AUTHOR_NAME => text().products(CI),
    /// The address of who wrote the commit.
    DD_GIT_COMMIT_AUTHOR_EMAIL => text().products(CI),
    /// When the commit was written.
    DD_GIT_COMMIT_AUTHOR_DATE => text().products(CI),
    /// Who committed it.
    DD_GIT_COMMIT_COMMITTER_NAME => text().products(CI),
    /// The address of who committed it.
    DD_GIT_COMMIT_COMMITTER_EMAIL => text().products(CI),
    /// When it was committed.
    DD_GIT_COMMIT_COMMITTER_DATE => text().products(CI),
    /// The head of the pull request, where the commit is a merge made for testing.
    DD_GIT_COMMIT_HEAD_SHA => text().products(CI),
    /// The branch that a pull request goes to.
    DD_GIT_PULL_REQUEST_BASE_BRANCH => text().products(CI),
    /// The commit at which the pull request left that branch.
    DD_GIT_PULL_REQUEST_BASE_BRANCH_SHA => text().products(CI),
    /// The execution of an AWS CodePipeline, which has to be handed in.
    DD_PIPELINE_EXECUTION_ID => text().products(CI),
    /// The action of an AWS CodePipeline, which has to be handed in.
    DD_ACTION_EXECUTION_ID => text().products(CI),
    /// Set by the plugin for Jenkins.
    DD_CUSTOM_TRACE_ID => text().products(CI),
    /// Set by the plugin for Jenkins.
    DD_CUSTOM_PARENT_ID => text().products(CI),

    /// Whether spans of the OpenTelemetry interface become ours.
    DD_TRACE_OTEL_ENABLED => flag(false).otel(&["OTEL_SDK_DISABLED"]).products(&["opentelemetry"]),
    /// Where traces go: `otlp` sends them to an OpenTelemetry collector instead of the agent.
    OTEL_TRACES_EXPORTER => text().products(&["opentelemetry"]),
    /// Address for traces over OTLP, used as it is.
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT => optional(Kind::Url).products(&["opentelemetry"]),
    /// Address for OTLP; `/v1/traces` is appended for traces.
    OTEL_EXPORTER_OTLP_ENDPOINT => optional(Kind::Url).products(&["opentelemetry"]),
    /// Protocol of traces over OTLP.
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL => of(Kind::Choice(&["http/protobuf", "http/json"]), "http/protobuf")
        .aliases(&["OTEL_EXPORTER_OTLP_PROTOCOL"])
        .products(&["opentelemetry"]),
    /// Headers of requests over OTLP: `key=value` items separated by commas.
    OTEL_EXPORTER_OTLP_TRACES_HEADERS => optional(Kind::Secret)
        .aliases(&["OTEL_EXPORTER_OTLP_HEADERS"])
        .products(&["opentelemetry"]),
    /// Milliseconds that a request over OTLP may take.
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT => integer(1, Beyond::Default, "10000")
        .aliases(&["OTEL_EXPORTER_OTLP_TIMEOUT"])
        .products(&["opentelemetry"]),

    /// For tests: another place for the local configuration file.
    _DD_SC_LOCAL_FILE_OVERRIDE => text().products(&["tests"]),
    /// For tests: another place for the fleet's configuration file.
    _DD_SC_MANAGED_FILE_OVERRIDE => text().products(&["tests"]),
    /// For tests: another intake for traces that are sent without an agent.
    _DD_TRACE_INTAKE_URL => optional(Kind::Url).products(&["tests"]),
    /// For tests: the session of the test agent that requests belong to.
    _DD_TRACE_TEST_SESSION_TOKEN => text().products(&["tests"]),
}

impl Name {
    /// The row of the table.
    pub fn setting(self) -> &'static Setting {
        // Rows and variants come from one macro, in one order.
        &SETTINGS[self as usize]
    }

    /// The row with this canonical name or alias.
    pub fn find(name: &str) -> Option<Name> {
        let found = SETTINGS
            .iter()
            .find(|row| row.name == name || row.aliases.contains(&name));
        found.map(|row| row.id)
    }
}
