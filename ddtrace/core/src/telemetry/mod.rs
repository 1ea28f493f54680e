//! Instrumentation telemetry: what the library tells Datadog about itself.
//!
//! Not the user's data, but: that the program started, how it is configured and why, which integrations and products are in
//! it, which crates it was built from, how many spans were made and lost, and what went wrong inside of the library.
//! `DD_INSTRUMENTATION_TELEMETRY_ENABLED=false` switches all of it off.
//!
//! ```text
//!   count, gauge, distribution ──> shards ──┐
//!   log, product_changed,                   ├─ hub ──> reporter ──────> transport
//!   integration_changed, … ──────> queue ───┘          what is due       agent, or the
//!         (any thread)                                 as requests       intake itself
//! ```
//!
//! * `hub`: where the functions of this module leave things. Nothing there waits: locks are tried, the queue is bounded, what
//!   finds no room is counted.
//! * `reporter`: knows what was reported and what has to be, and makes requests of it. It has neither a clock nor a network,
//!   so tests run it through days.
//! * `task`: turns the two on the worker: at the start, every ten seconds to close a window of metrics, at every heartbeat,
//!   and at the end.
//!
//! What holds always:
//!
//! * The first request is `app-started`, alone, and it is accepted once. Until then nothing else is sent. The last one
//!   carries `app-closing`.
//! * A request that did not arrive is sent again as it was, number included, at the next heartbeat; nothing overtakes it. So
//!   numbers have no gaps, and what came twice can be told by its number.
//! * Memory is bounded without the agent: [`MAX_ITEMS`] per store, and what is beyond is counted and reported as a log.
//! * Forked children have a session of their own below that of the parent. They report neither start nor end.
//! * No text of the user's in logs: messages are constants, backtraces show our frames only, secrets are not in the
//!   configuration.
//!
//! Source: `spec/telemetry-and-remote-config.md` §2.

mod configuration;
mod dependencies;
mod derived;
mod host;
mod hub;
mod message;
mod metric;
mod reporter;
mod shards;
mod stack;
mod stores;
mod task;
mod transport;

use std::backtrace::Backtrace;
use std::panic::Location;
use std::sync::Mutex;

use serde::{Serialize, Serializer};

pub use dependencies::EmbeddedDependencies;
pub use metric::{METRICS, Metric, MetricKind, Namespace};

pub(crate) use derived::SpanCounts;
pub(crate) use host::{os_name, os_version};
pub(crate) use task::TASK;

use crate::config::Config;
use crate::diagnostics;
use hub::{Event, Inbox};

/// The most items that wait to be sent in one store: dependencies, configuration entries, logs, series of metrics.
pub const MAX_ITEMS: usize = 5000;

/// What an integration is up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IntegrationState {
    /// Its name in settings.
    pub name: String,
    /// The version of the library.
    pub version: String,
    /// Whether it makes spans.
    pub enabled: bool,
    /// Whether it is on because the library is there, rather than because somebody asked for it.
    pub auto_enabled: bool,
    /// Whether the version of the library is one that it supports.
    pub compatible: bool,
    /// Why it does not work; empty if it does. A constant text.
    pub error: String,
}

impl IntegrationState {
    /// An integration that works, or one that is switched off.
    pub fn new(name: impl Into<String>, version: impl Into<String>, enabled: bool) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            enabled,
            auto_enabled: true,
            compatible: true,
            error: String::new(),
        }
    }
}

/// What a product is up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProductState {
    pub(crate) name: &'static str,
    pub(crate) enabled: bool,
    /// Why it does not work. A constant text.
    pub(crate) error: Option<&'static str>,
}

/// A way into the program that a web framework knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Endpoint {
    r#type: &'static str,
    /// The method, or `*`.
    pub method: String,
    /// The route.
    pub path: String,
    /// The operation name of its spans.
    pub operation_name: String,
    /// Method and route.
    pub resource_name: String,
}

impl Endpoint {
    /// A route of a web framework; `operation_name` is that of its spans.
    pub fn rest(
        method: impl Into<String>,
        path: impl Into<String>,
        operation_name: impl Into<String>,
    ) -> Self {
        let (method, path) = (method.into(), path.into());
        Self {
            r#type: "REST",
            resource_name: format!("{method} {path}"),
            method,
            path,
            operation_name: operation_name.into(),
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something is not as it should be.
    Warn,
    /// For those who look for a fault.
    Debug,
}

impl Serialize for LogLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Debug => "DEBUG",
        })
    }
}

/// Adds to a counter of [`METRICS`]; tags are few and their values come from a small set.
///
/// Never waits; costs one relaxed load when telemetry is off, and about 100 ns otherwise.
///
/// ```
/// use ddtrace_core::telemetry::{Namespace, count};
///
/// count(Namespace::Tracers, "integration_errors", &[("integration_name", "kettle"), ("error_type", "io")], 1);
/// ```
pub fn count(namespace: Namespace, name: &str, tags: &[(&'static str, &str)], n: u64) {
    if n > 0 {
        if let Some(hub) = hub::current() {
            hub.value(namespace, name, tags, n as f64);
        }
    }
}

/// Whether anything is reported at all, for numbers that cost something to gather.
pub(crate) fn is_on() -> bool {
    hub::is_on()
}

/// Sets a gauge of [`METRICS`]. See [`count`] for what it costs.
pub fn gauge(namespace: Namespace, name: &str, tags: &[(&'static str, &str)], value: f64) {
    if let Some(hub) = hub::current() {
        hub.value(namespace, name, tags, value);
    }
}

/// Adds a value to a distribution of [`METRICS`]. See [`count`] for what it costs.
pub fn distribution(namespace: Namespace, name: &str, tags: &[(&'static str, &str)], value: f64) {
    if let Some(hub) = hub::current() {
        hub.value(namespace, name, tags, value);
    }
}

/// Reports something about the library itself. The text is a constant: nothing of the user's may be in it.
///
/// Equal messages of one interval are counted and sent once. Errors of [`diagnostics`] are reported by themselves.
pub fn log(level: LogLevel, message: &'static str) {
    if let Some(hub) = hub::current() {
        hub.log(level, message, None);
    }
}

/// [`log`] with where it happened: of the backtrace only the frames of our own crates are sent, without files.
pub fn log_with_backtrace(level: LogLevel, message: &'static str, backtrace: &Backtrace) {
    if let Some(hub) = hub::current() {
        hub.log(level, message, Some(backtrace));
    }
}

/// Says that a product was switched on or off, under the name that the backend knows (`appsec`, `profiler`,
/// `dynamic_instrumentation`, `mlobs`).
pub fn product_changed(name: &'static str, enabled: bool) {
    product(name, enabled, None);
}

/// Says that a product cannot work, and why: a constant text.
pub fn product_failed(name: &'static str, error: &'static str) {
    product(name, false, Some(error));
}

fn product(name: &'static str, enabled: bool, error: Option<&'static str>) {
    if let Some(hub) = hub::current() {
        hub.send(Event::Product(ProductState {
            name,
            enabled,
            error,
        }));
    }
}

/// Says what an integration is up to, at its first use or when that changes. What is linked is reported by itself.
pub fn integration_changed(state: IntegrationState) {
    if let Some(hub) = hub::current() {
        hub.send(Event::Integration(state));
    }
}

/// Says that another configuration is in force; what differs from the last one is found here. If nothing does, what the
/// backend can change is said again.
pub fn configuration_changed(config: &Config) {
    if let Some(hub) = hub::current() {
        hub.configuration(config);
    }
}

/// Says which ways into the program there are; those that are known already are left out.
pub fn endpoints_found(endpoints: Vec<Endpoint>) {
    if let Some(hub) = hub::current() {
        hub.send(Event::Endpoints(endpoints));
    }
}

/// The inbox for the task that is about to start; made before the worker, so that nothing is missed.
static NEXT_INBOX: Mutex<Option<Inbox>> = Mutex::new(None);

/// Begins to collect for a worker that is about to start.
pub(crate) fn prepare(config: &Config, runtime_id: &str, forks: u32) {
    let inbox = if config.telemetry_enabled {
        diagnostics::observe(on_error);
        let inbox = hub::install(config, runtime_id, forks);
        if inbox.hub.session.parent.is_none() {
            derived::report_otel_variables(&inbox.hub, config);
        }
        Some(inbox)
    } else {
        hub::switch_off();
        None
    };
    // Taken only while a tracer starts, which happens once at a time.
    if let Ok(mut next) = NEXT_INBOX.try_lock() {
        *next = inbox;
    }
}

/// What was prepared last, for the one task that reports it.
fn take_prepared() -> Option<Inbox> {
    NEXT_INBOX.try_lock().ok()?.take()
}

/// An error in the library's own log. Texts with anything variable in them may hold the user's data, so of these only the
/// place in our sources is told.
fn on_error(place: &Location<'_>, constant: Option<&'static str>) {
    let Some(hub) = hub::current() else {
        return;
    };
    match constant {
        Some(message) => hub.log(LogLevel::Error, message, None),
        None => {
            let file = place.file().replace('\\', "/");
            // What comes before tells where somebody keeps the sources.
            let file = file.rsplit("src/").next().unwrap_or_default();
            let line = place.line();
            hub.log(LogLevel::Error, &format!("error at {file}:{line}"), None);
        }
    }
}

/// The beginning of a text, in whole characters.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
