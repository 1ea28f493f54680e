//! What the rest of the library leaves for telemetry, and the task on the worker fetches.
//!
//! One hub per worker: a second `init()` and the child of a fork have their own, so that nothing of the parent's is reported
//! twice and no lock of the parent's matters.

use std::backtrace::Backtrace;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::configuration::{self, Reported};
use super::metric::{self, Namespace};
use super::shards::{Shards, Tags};
use super::{Endpoint, IntegrationState, LogLevel, ProductState, stack};
use crate::config::Config;

/// Events that wait for the worker; the next one is lost and counted.
const MAX_EVENTS: usize = 5000;

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    Integration(IntegrationState),
    Product(ProductState),
    Configuration(Vec<Reported>),
    Endpoints(Vec<Endpoint>),
    Log {
        level: LogLevel,
        message: String,
        stack: Option<String>,
    },
}

/// Which process reports, and whose child it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) root: String,
    /// The process that forked this one.
    pub(super) parent: Option<String>,
}

#[derive(Debug)]
pub(super) struct Hub {
    shards: Shards,
    has_metrics: bool,
    has_logs: bool,
    events: Sender<Event>,
    lost_events: AtomicU64,
    pub(super) session: Session,
    forks: u32,
}

static HUB: ArcSwapOption<Hub> = ArcSwapOption::const_empty();

/// False: nothing is reported, and all functions return at once.
static IS_ON: AtomicBool = AtomicBool::new(false);

pub(super) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// The hub in force.
pub(super) fn current() -> Option<Arc<Hub>> {
    if !is_on() {
        return None;
    }
    HUB.load_full()
}

/// The other end of a hub's queue, for the one task that reads it.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) hub: Arc<Hub>,
    pub(super) events: Receiver<Event>,
}

/// Takes the place of whatever was in force. `forks` says how often this process is the fork of a fork.
pub(super) fn install(config: &Config, runtime_id: &str, forks: u32) -> Inbox {
    let before = HUB.load_full();
    let session = match &before {
        Some(before) if before.forks != forks => Session {
            id: runtime_id.to_owned(),
            root: before.session.root.clone(),
            parent: Some(before.session.id.clone()),
        },
        _ => Session {
            id: runtime_id.to_owned(),
            root: runtime_id.to_owned(),
            parent: None,
        },
    };
    let inbox = Hub::open(config, session, forks);
    // What another thread of the parent was doing with it at the fork never ends: it is left alone.
    std::mem::forget(HUB.swap(Some(Arc::clone(&inbox.hub))));
    IS_ON.store(true, Ordering::Relaxed);
    inbox
}

/// Nothing is reported from here on.
pub(super) fn switch_off() {
    IS_ON.store(false, Ordering::Relaxed);
}

impl Hub {
    pub(super) fn open(config: &Config, session: Session, forks: u32) -> Inbox {
        let (sender, events) = channel(MAX_EVENTS);
        let hub = Arc::new(Self {
            shards: Shards::default(),
            has_metrics: config.telemetry.metrics,
            has_logs: config.telemetry.logs,
            events: sender,
            lost_events: AtomicU64::new(0),
            session,
            forks,
        });
        Inbox { hub, events }
    }

    pub(super) fn shards(&self) -> &Shards {
        &self.shards
    }

    /// Events that found no room since the last call.
    pub(super) fn take_lost_events(&self) -> u64 {
        self.lost_events.swap(0, Ordering::Relaxed)
    }

    pub(super) fn value(&self, namespace: Namespace, name: &str, tags: Tags<'_>, value: f64) {
        if !self.has_metrics {
            return;
        }
        let metric = metric::find(namespace, name);
        debug_assert!(metric.is_some(), "{name} is missing in telemetry::METRICS");
        if let Some(metric) = metric {
            self.shards.add(metric, tags, value);
        }
    }

    pub(super) fn log(&self, level: LogLevel, message: &str, backtrace: Option<&Backtrace>) {
        let tag = match level {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Debug => "debug",
        };
        self.value(Namespace::General, "logs_created", &[("level", tag)], 1.0);
        if self.has_logs {
            self.send(Event::Log {
                level,
                message: message.to_owned(),
                stack: backtrace.and_then(stack::redacted),
            });
        }
    }

    pub(super) fn configuration(&self, config: &Config) {
        self.send(Event::Configuration(configuration::entries(config)));
    }

    pub(super) fn send(&self, event: Event) {
        match self.events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.lost_events.fetch_add(1, Ordering::Relaxed);
            }
            // The worker has ended.
            Err(TrySendError::Closed(_)) => {}
        }
    }
}
