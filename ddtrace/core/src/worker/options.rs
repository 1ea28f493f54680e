//! Settings in code, on top of what the environment says.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use super::Guard;
use crate::config::{Config, ConfigBuilder};
use crate::export::TraceFilter;

/// What a tracer is started with; kept for a forked child.
pub(super) struct Options {
    pub(super) config: Arc<Config>,
    pub(super) filters: Vec<Arc<dyn TraceFilter>>,
    pub(super) output: Output,
}

/// Where finished traces go.
#[derive(Clone, Default)]
#[non_exhaustive]
pub(super) enum Output {
    /// To the agent that the configuration names.
    #[default]
    Agent,
    /// As JSON lines to a file, a pipe or standard output, for environments without an agent.
    JsonLines(SharedWriter),
}

/// What JSON lines are written to; also by a forked child.
#[derive(Clone)]
pub(super) struct SharedWriter(Arc<Mutex<dyn Write + Send>>);

impl Write for SharedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock()?.flush()
    }
}

impl SharedWriter {
    /// Never waits: only workers lock it, one per process, and what a fork left locked stays so.
    fn lock(&self) -> io::Result<MutexGuard<'_, dyn Write + Send + 'static>> {
        match self.0.try_lock() {
            Ok(writer) => Ok(writer),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Agent => "Agent",
            Self::JsonLines(_) => "JsonLines",
        })
    }
}

/// Configures the tracer in code; what is not set here comes from the environment and the stable configuration files.
///
/// ```no_run
/// let _ddtrace = ddtrace_core::worker::Builder::new().service("checkout").env("staging").init();
/// ```
#[must_use = "nothing happens before `init()`"]
pub struct Builder {
    config: ConfigBuilder<'static>,
    filters: Vec<Arc<dyn TraceFilter>>,
    output: Output,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Nothing set yet.
    pub fn new() -> Self {
        Self {
            config: Config::builder(),
            filters: Vec::new(),
            output: Output::default(),
        }
    }

    /// The service: what this program is called. `DD_SERVICE`.
    pub fn service(self, service: impl Into<String>) -> Self {
        self.configure(|config| config.service(service))
    }

    /// The environment, for example `production`. `DD_ENV`.
    pub fn env(self, env: impl Into<String>) -> Self {
        self.configure(|config| config.env(env))
    }

    /// The program's version. `DD_VERSION`.
    pub fn version(self, version: impl Into<String>) -> Self {
        self.configure(|config| config.version(version))
    }

    /// A tag on every span. `DD_TAGS`.
    pub fn tag(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configure(|config| config.tag(key, value))
    }

    /// Where the agent listens: `http://host:port` or `unix:///path`. `DD_TRACE_AGENT_URL`.
    pub fn agent_url(self, url: impl std::fmt::Display) -> Self {
        self.configure(|config| config.agent_url(url))
    }

    /// Switches tracing on or off; off, contexts still pass through. `DD_TRACE_ENABLED`.
    pub fn trace_enabled(self, enabled: bool) -> Self {
        self.configure(|config| config.trace_enabled(enabled))
    }

    /// Switches the measuring of messages' pathways on or off, if the program has that product. `DD_DATA_STREAMS_ENABLED`.
    pub fn data_streams(self, enabled: bool) -> Self {
        self.configure(|config| config.data_streams(enabled))
    }

    /// Has requests of HTTP and gRPC be a part of these pathways, or not. `DD_DATA_STREAMS_HTTP_ENABLED`.
    pub fn data_streams_http(self, enabled: bool) -> Self {
        self.configure(|config| config.data_streams_http(enabled))
    }

    /// Sampling rules as JSON. `DD_TRACE_SAMPLING_RULES`.
    pub fn sampling_rules(self, json: impl std::fmt::Display) -> Self {
        self.configure(|config| config.sampling_rules(json))
    }

    /// How often payloads are sent. `DD_TRACE_WRITER_INTERVAL_SECONDS`.
    pub fn writer_interval(self, interval: Duration) -> Self {
        self.configure(|config| config.writer_interval(interval))
    }

    /// Any setting by its name, as text.
    pub fn set(self, name: &str, text: impl Into<String>) -> Self {
        self.configure(|config| config.set(name, text))
    }

    /// Everything else that [`ConfigBuilder`] has.
    pub fn configure(
        mut self,
        change: impl FnOnce(ConfigBuilder<'static>) -> ConfigBuilder<'static>,
    ) -> Self {
        self.config = change(self.config);
        self
    }

    /// Adds a filter over finished traces; filters run in the order in which they are added.
    pub fn filter(mut self, filter: impl TraceFilter + 'static) -> Self {
        self.filters.push(Arc::new(filter));
        self
    }

    /// Writes traces as JSON lines instead of sending them to an agent: `{"traces":[[{…}]]}`, at most 256 KiB each.
    pub fn json_lines(mut self, to: impl Write + Send + 'static) -> Self {
        self.output = Output::JsonLines(SharedWriter(Arc::new(Mutex::new(to))));
        self
    }

    /// Starts the tracer for the whole program.
    ///
    /// Takes well under two milliseconds and sends nothing by itself. Bad settings give one line each on standard error and
    /// their defaults are used. A second call while the first tracer runs warns and gives a guard onto the first.
    pub fn init(self) -> Guard {
        let Self {
            config,
            filters,
            output,
        } = self;
        let config = config.build();
        let output = match output {
            // Whoever collects standard output there hands traces on.
            Output::Agent if config.log_writer => {
                Output::JsonLines(SharedWriter(Arc::new(Mutex::new(io::stdout()))))
            }
            output => output,
        };
        super::init(Options {
            config: Arc::new(config),
            filters,
            output,
        })
    }
}
