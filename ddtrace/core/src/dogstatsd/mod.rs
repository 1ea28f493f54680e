//! DogStatsD: metrics, events and service checks of the program's own, sent to the agent.
//!
//! ```no_run
//! use ddtrace_core::dogstatsd;
//!
//! dogstatsd::increment("cart.checkouts", 1, &["currency:eur"]);
//! dogstatsd::gauge("queue.depth", 17, &[]);
//! dogstatsd::timing("cart.price", std::time::Duration::from_millis(3), &[]);
//! ```
//!
//! ```text
//!   line      one metric, event or check as text; characters that would break the protocol are replaced
//!     │
//!   buffer    lines of all threads, in a few shards; bounded; what does not fit is dropped and counted
//!     │       ── the user's thread ends here; the worker goes on ──
//!   delivery  a task: packs lines into datagrams, resolves the address, sends
//! ```
//!
//! What holds always:
//!
//! * Calling costs formatting one line and copying it under a lock that is tried, never waited for. No system call, except for
//!   waking the worker, at most some ten times a second; no name is resolved on the user's thread.
//! * At most 2 MiB wait. An agent that is away or slow costs metrics, which [`counts`] counts, nothing else.
//! * A name, tag or value from outside can't forge another metric: separators in it become `_`.
//!
//! Lines carry `env`, `service` and `version` as far as they were set, and say which container they come from:
//! `c:` with the container, or the tag `dd.internal.entity_id` if `DD_ENTITY_ID` names the pod, and `e:` with what
//! `DD_EXTERNAL_ENV` says. `DD_ORIGIN_DETECTION_ENABLED=false` leaves the container out.
//!
//! The functions here use the client that `init()` starts; without one they do nothing. After a `fork` the first line of the
//! child starts worker and client anew, and what the parent had buffered is the parent's to send.
//!
//! Protocol: `spec/telemetry-and-remote-config.md` §4.

mod buffer;
mod client;
mod delivery;
mod event;
mod line;
mod metric;
mod origin;
mod socket;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

pub use client::{Client, Counts};
pub(crate) use delivery::start;
pub use event::{AlertType, Event, EventPriority, ServiceCheck, ServiceStatus};
pub use metric::{Metric, MetricValue};

use crate::trace::tracer;

/// How long lines wait for others that may share their datagram.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

static GLOBAL: ArcSwapOption<Client> = ArcSwapOption::const_empty();

/// Makes a client the one that the functions of this module use, or none.
pub(crate) fn install(client: Option<Client>) {
    let before = GLOBAL.swap(client.map(Arc::new));
    if before
        .as_ref()
        .is_some_and(|before| before.forks() != tracer::forks())
    {
        // The parent's is left alone, locks and all.
        std::mem::forget(before);
    }
}

/// The client that `init()` started, to be kept or handed around. `None` without one.
pub fn client() -> Option<Client> {
    let client = GLOBAL.load();
    let client = client.as_deref()?;
    if client.forks() == tracer::forks() {
        return Some(client.clone());
    }
    // In a forked child: the worker and its client are begun anew, and the parent's is left alone.
    crate::worker::revive();
    let revived = GLOBAL.load();
    let revived = revived.as_deref()?;
    (revived.forks() == tracer::forks()).then(|| revived.clone())
}

/// What became of metrics so far; zeros without a client.
pub fn counts() -> Counts {
    client().map(|client| client.counts()).unwrap_or_default()
}

/// Sends a metric with everything that [`Metric`] can say.
pub fn send(metric: Metric<'_>) {
    if let Some(client) = client() {
        client.send(metric);
    }
}

/// Adds to a counter.
pub fn increment(name: &str, by: impl Into<MetricValue>, tags: &[&str]) {
    send(Metric::count(name, by).tags(tags));
}

/// Takes from a counter.
pub fn decrement(name: &str, by: impl Into<MetricValue>, tags: &[&str]) {
    send(Metric::count(name, by.into().negated()).tags(tags));
}

/// Says how much of something there is; the last value counts.
pub fn gauge(name: &str, value: impl Into<MetricValue>, tags: &[&str]) {
    send(Metric::gauge(name, value).tags(tags));
}

/// Adds a value to a histogram, which the agent computes per host.
pub fn histogram(name: &str, value: impl Into<MetricValue>, tags: &[&str]) {
    send(Metric::histogram(name, value).tags(tags));
}

/// Adds a value to a distribution, which the backend computes over all hosts.
pub fn distribution(name: &str, value: impl Into<MetricValue>, tags: &[&str]) {
    send(Metric::distribution(name, value).tags(tags));
}

/// Adds an element to a set, of which the number of different elements is counted.
pub fn set(name: &str, element: impl fmt::Display, tags: &[&str]) {
    if let Some(client) = client() {
        client.set(name, element, tags);
    }
}

/// Says how long something took.
pub fn timing(name: &str, took: Duration, tags: &[&str]) {
    send(Metric::timing(name, took).tags(tags));
}

/// Reports the state of a service.
pub fn service_check(check: ServiceCheck<'_>) {
    if let Some(client) = client() {
        client.service_check(check);
    }
}

/// Posts an event into the event stream.
pub fn event(event: Event<'_>) {
    if let Some(client) = client() {
        client.event(event);
    }
}
