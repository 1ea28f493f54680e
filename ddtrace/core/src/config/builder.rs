//! Configuration in code.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::agent_url::AgentUrl;
use super::effective::Config;
use super::environment::{Environment, ProcessEnvironment};
use super::problem::Problem;
use super::sources::{CodeValue, Origin};
use super::table::Name;
use super::value::Value;
use crate::diagnostics::Level;

/// Builds a [`Config`]. What is set here beats environment and files.
///
/// ```
/// use ddtrace_core::config::Config;
///
/// let config = Config::builder().service("shop").tag("team", "checkout").build();
/// assert_eq!(config.service, "shop");
/// ```
#[derive(Clone, Default)]
pub struct ConfigBuilder<'a> {
    environment: Option<&'a dyn Environment>,
    values: BTreeMap<Name, CodeValue>,
    problems: Vec<Problem>,
}

impl fmt::Debug for ConfigBuilder<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.values.keys().collect();
        out.debug_struct("ConfigBuilder")
            .field("set", &names)
            .finish_non_exhaustive()
    }
}

impl<'a> ConfigBuilder<'a> {
    /// Reads variables and files from here instead of the process.
    #[must_use]
    pub fn environment<'b>(self, environment: &'b dyn Environment) -> ConfigBuilder<'b> {
        let environment = Some(environment);
        ConfigBuilder {
            environment,
            values: self.values,
            problems: self.problems,
        }
    }

    /// Sets any setting by the name of its variable; the text is parsed as the variable's would be.
    #[must_use]
    pub fn set(mut self, name: &str, text: impl Into<String>) -> Self {
        match Name::find(name) {
            Some(id) => {
                self.values.insert(id, CodeValue::Text(text.into()));
            }
            None => self.problems.push(Problem {
                level: Level::Warn,
                origin: Origin::Code,
                name: name.to_owned(),
                value: None,
                expected: "the name of a setting".to_owned(),
                used: "nothing".to_owned(),
            }),
        }
        self
    }

    fn put(mut self, name: Name, value: Value) -> Self {
        self.values.insert(name, CodeValue::Parsed(value));
        self
    }

    fn text(self, name: Name, text: impl Into<String>) -> Self {
        self.put(name, Value::Text(text.into()))
    }

    /// For values with bounds: checked like a variable's text.
    fn checked(mut self, name: Name, text: impl fmt::Display) -> Self {
        self.values.insert(name, CodeValue::Text(text.to_string()));
        self
    }

    /// The service that this program is (`DD_SERVICE`).
    #[must_use]
    pub fn service(self, service: impl Into<String>) -> Self {
        self.text(Name::DD_SERVICE, service)
    }

    /// The environment that it runs in (`DD_ENV`).
    #[must_use]
    pub fn env(self, env: impl Into<String>) -> Self {
        self.text(Name::DD_ENV, env)
    }

    /// The version of the service (`DD_VERSION`).
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Self {
        self.text(Name::DD_VERSION, version)
    }

    /// Adds a tag to every span. Tags set in code take the place of `DD_TAGS` as a whole.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        let mut pairs = match self.values.remove(&Name::DD_TAGS) {
            Some(CodeValue::Parsed(Value::Pairs(pairs))) => pairs,
            _ => Vec::new(),
        };
        pairs.retain(|(known, _)| *known != key);
        pairs.push((key, value));
        self.put(Name::DD_TAGS, Value::Pairs(pairs))
    }

    /// Reports spans of the service `from` under `to` (`DD_SERVICE_MAPPING`).
    #[must_use]
    pub fn service_mapping(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        let mut pairs = match self.values.remove(&Name::DD_SERVICE_MAPPING) {
            Some(CodeValue::Parsed(Value::Pairs(pairs))) => pairs,
            _ => Vec::new(),
        };
        pairs.push((from.into(), to.into()));
        self.put(Name::DD_SERVICE_MAPPING, Value::Pairs(pairs))
    }

    /// Whether spans are made (`DD_TRACE_ENABLED`).
    #[must_use]
    pub fn trace_enabled(self, enabled: bool) -> Self {
        self.put(Name::DD_TRACE_ENABLED, Value::Flag(enabled))
    }

    /// Whether pathways of messages are measured (`DD_DATA_STREAMS_ENABLED`), if that product is linked.
    #[must_use]
    pub fn data_streams(self, enabled: bool) -> Self {
        self.put(Name::DD_DATA_STREAMS_ENABLED, Value::Flag(enabled))
    }

    /// Whether requests of HTTP and gRPC are a part of these pathways (`DD_DATA_STREAMS_HTTP_ENABLED`).
    #[must_use]
    pub fn data_streams_http(self, enabled: bool) -> Self {
        self.put(Name::DD_DATA_STREAMS_HTTP_ENABLED, Value::Flag(enabled))
    }

    /// Where the agent listens (`DD_TRACE_AGENT_URL`), as a URL.
    #[must_use]
    pub fn agent_url(self, url: impl fmt::Display) -> Self {
        self.checked(Name::DD_TRACE_AGENT_URL, url)
    }

    /// Where the agent listens, as a value.
    #[must_use]
    pub fn agent(self, url: AgentUrl) -> Self {
        self.put(Name::DD_TRACE_AGENT_URL, Value::Agent(url))
    }

    /// How long one request to the agent may take (`DD_TRACE_AGENT_TIMEOUT_SECONDS`).
    #[must_use]
    pub fn agent_timeout(self, timeout: Duration) -> Self {
        self.checked(Name::DD_TRACE_AGENT_TIMEOUT_SECONDS, timeout.as_secs_f64())
    }

    /// The time between two payloads (`DD_TRACE_WRITER_INTERVAL_SECONDS`).
    #[must_use]
    pub fn writer_interval(self, interval: Duration) -> Self {
        self.checked(
            Name::DD_TRACE_WRITER_INTERVAL_SECONDS,
            interval.as_secs_f64(),
        )
    }

    /// Finished spans of an unfinished trace that are sent; `None` switches partial flush off.
    #[must_use]
    pub fn partial_flush(self, min_spans: Option<usize>) -> Self {
        let this = self.put(
            Name::DD_TRACE_PARTIAL_FLUSH_ENABLED,
            Value::Flag(min_spans.is_some()),
        );
        match min_spans {
            Some(min) => this.checked(Name::DD_TRACE_PARTIAL_FLUSH_MIN_SPANS, min),
            None => this,
        }
    }

    /// Sampling rules as a JSON array (`DD_TRACE_SAMPLING_RULES`).
    #[must_use]
    pub fn sampling_rules(self, json: impl fmt::Display) -> Self {
        self.checked(Name::DD_TRACE_SAMPLING_RULES, json)
    }

    /// Traces per second that rules may keep; negative for no limit (`DD_TRACE_RATE_LIMIT`).
    #[must_use]
    pub fn rate_limit(self, per_second: i64) -> Self {
        self.put(Name::DD_TRACE_RATE_LIMIT, Value::Integer(per_second))
    }

    /// Styles of trace context in both directions (`DD_TRACE_PROPAGATION_STYLE`).
    #[must_use]
    pub fn propagation_styles<S: AsRef<str>>(self, styles: &[S]) -> Self {
        let styles: Vec<&str> = styles.iter().map(AsRef::as_ref).collect();
        self.checked(Name::DD_TRACE_PROPAGATION_STYLE, styles.join(","))
    }

    /// Whether the tracer logs at level `debug` (`DD_TRACE_DEBUG`).
    #[must_use]
    pub fn debug(self, debug: bool) -> Self {
        self.put(Name::DD_TRACE_DEBUG, Value::Flag(debug))
    }

    /// Whether the configuration is logged at start (`DD_TRACE_STARTUP_LOGS`).
    #[must_use]
    pub fn startup_logs(self, enabled: bool) -> Self {
        self.put(Name::DD_TRACE_STARTUP_LOGS, Value::Flag(enabled))
    }

    /// Reads every source and interprets it. Never fails: see [`Config::problems`].
    pub fn build(self) -> Config {
        let environment = self.environment.unwrap_or(&ProcessEnvironment);
        Config::read(environment, &self.values, self.problems)
    }
}
