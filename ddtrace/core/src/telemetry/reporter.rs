//! What was reported, what has to be, and in which order: requests out of events, without a clock or a network.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::configuration::{self, Ledger, Numbered};
use super::dependencies::{self, Dependency};
use super::hub::{Event, Inbox, Session};
use super::message::{Envelope, MAX_ITEMS as MAX_PER_MESSAGE, Message, Request, RequestType};
use super::metric::{Namespace, find};
use super::shards::{Series, Value as Reported};
use super::stores::{LogStore, MetricStore};
use super::{Endpoint, IntegrationState, LogLevel, MAX_ITEMS, ProductState, host};
use crate::config::Config;
use crate::export::agent::TRACER_VERSION;
use crate::instrument::Linked;

/// Products that are reported from the start, whether they are linked or not.
const PRODUCTS: [&str; 3] = ["appsec", "dynamic_instrumentation", "profiler"];

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It arrived.
    Accepted(u16),
    /// It arrived and was refused; it would be again.
    Refused(u16),
    /// It did not arrive, or has to be sent again.
    Failed(Failure),
}

/// Why a request has to be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Timeout,
    Network,
    Status(u16),
}

/// Where the life of a process is, as far as it has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// `app-started` has not been accepted.
    Starting,
    /// It has, and what was seen until then goes out at once.
    JustStarted,
    Running,
    /// The last requests are on their way.
    Closing,
    Closed,
}

/// A metric about our own requests, with a tag besides the endpoint.
type OwnMetric = (&'static str, Option<(&'static str, String)>);

pub(super) struct Reporter {
    envelope: Envelope,
    /// `agent` or `agentless`, for metrics about ourselves.
    endpoint: &'static str,
    /// Neither start nor end of a forked child is reported.
    is_child: bool,
    stage: Stage,
    is_closing: bool,
    seq_id: u64,
    heartbeat: Duration,
    heartbeat_due: Instant,
    extended_heartbeat: Duration,
    extended_due: Instant,
    /// Seconds of a window of metrics.
    interval: u64,
    /// Given out, and not yet arrived.
    unsent: Option<Request>,
    /// It did not arrive: it waits for the next heartbeat.
    has_failed: bool,
    /// Messages that are due and did not fit into the last request.
    due: Vec<Message>,

    install_signature: Option<Value>,
    ledger: Ledger,
    configuration: Vec<Numbered>,
    dependencies: Vec<Dependency>,
    new_dependencies: usize,
    integrations: Vec<IntegrationState>,
    changed_integrations: Vec<IntegrationState>,
    products: BTreeMap<&'static str, ProductState>,
    changed_products: BTreeMap<&'static str, ProductState>,
    known_endpoints: HashSet<Endpoint>,
    new_endpoints: Vec<Endpoint>,
    endpoints_were_sent: bool,
    endpoints_per_message: usize,
    metrics: MetricStore,
    logs: LogStore,
    own: BTreeMap<OwnMetric, u64>,
    lost: u64,
}

impl Reporter {
    pub(super) fn new(
        config: &Config,
        session: &Session,
        linked: &Linked,
        endpoint: &'static str,
        now: Instant,
    ) -> Self {
        let settings = &config.telemetry;
        let is_child = session.parent.is_some();
        let (dependencies, lost) = match settings.dependencies {
            true => dependencies::collect(linked),
            false => (Vec::new(), 0),
        };
        let integrations: Vec<_> = linked
            .integrations
            .iter()
            .map(|integration| {
                let (library, supported) = (integration.library(), integration.supported());
                let version = dependencies::version_of(&dependencies, library, supported);
                let is_enabled = config.integration(integration.name()).enabled;
                IntegrationState::new(integration.name(), version.unwrap_or(supported), is_enabled)
            })
            .collect();
        let products = PRODUCTS.map(|name| {
            let state = ProductState {
                name,
                enabled: false,
                error: None,
            };
            (name, state)
        });
        let mut ledger = Ledger::default();
        ledger.report(configuration::entries(config));
        Self {
            envelope: Envelope {
                runtime_id: session.id.clone(),
                application: host::application(config),
                host: host::host(config),
                debug: settings.debug,
            },
            endpoint,
            is_child,
            stage: if is_child { Stage::Running } else { Stage::Starting },
            is_closing: false,
            seq_id: 0,
            heartbeat: settings.heartbeat_interval,
            heartbeat_due: now + settings.heartbeat_interval,
            extended_heartbeat: settings.extended_heartbeat_interval,
            extended_due: now + settings.extended_heartbeat_interval,
            interval: settings.metrics_window().as_secs().max(1),
            unsent: None,
            has_failed: false,
            due: Vec::new(),
            install_signature: settings.install_signature.as_ref().map(|install| {
                json!({"install_id": install.id, "install_type": install.kind, "install_time": install.time})
            }),
            ledger,
            configuration: Vec::new(),
            // The parent has reported what is in the program.
            new_dependencies: if is_child { dependencies.len() } else { 0 },
            changed_integrations: if is_child { Vec::new() } else { integrations.clone() },
            dependencies,
            integrations,
            products: products.into(),
            changed_products: BTreeMap::new(),
            known_endpoints: HashSet::new(),
            new_endpoints: Vec::new(),
            endpoints_were_sent: false,
            endpoints_per_message: settings.endpoints_per_message,
            metrics: MetricStore::default(),
            logs: LogStore::default(),
            own: BTreeMap::new(),
            lost,
        }
    }

    /// When it has something to do next besides windows of metrics.
    pub(super) fn heartbeat_due(&self) -> Instant {
        self.heartbeat_due
    }

    /// Fetches what was left in the hub, and closes the window of metrics.
    pub(super) fn fetch(&mut self, inbox: &mut Inbox, time: u64) {
        let series = inbox.hub.shards().take();
        self.lost += inbox.hub.shards().take_lost() + inbox.hub.take_lost_events();
        self.lost += self.metrics.close_window(series, time, self.interval);
        while let Ok(event) = inbox.events.try_recv() {
            self.note(event, time);
        }
    }

    fn note(&mut self, event: Event, time: u64) {
        match event {
            Event::Integration(state) => {
                let is_full = self.integrations.len() >= MAX_ITEMS;
                let known = self
                    .integrations
                    .iter_mut()
                    .find(|known| known.name == state.name);
                match known {
                    Some(known) if *known == state => return,
                    Some(known) => *known = state.clone(),
                    None if is_full => return self.lost += 1,
                    None => self.integrations.push(state.clone()),
                }
                self.changed_integrations
                    .retain(|other| other.name != state.name);
                self.changed_integrations.push(state);
            }
            Event::Product(state) => {
                let before = self.products.insert(state.name, state.clone());
                if before.as_ref() != Some(&state) && self.stage != Stage::Starting {
                    self.changed_products.insert(state.name, state);
                }
            }
            Event::Configuration(entries) => {
                let mut changes = self.ledger.report(entries);
                if changes.is_empty() {
                    changes = self.ledger.confirm();
                }
                let room = MAX_ITEMS - self.configuration.len();
                self.lost += changes.len().saturating_sub(room) as u64;
                self.configuration.extend(changes.into_iter().take(room));
            }
            Event::Endpoints(endpoints) => {
                for endpoint in endpoints {
                    if self.known_endpoints.len() >= MAX_ITEMS {
                        self.lost += 1;
                    } else if self.known_endpoints.insert(endpoint.clone()) {
                        self.new_endpoints.push(endpoint);
                    }
                }
            }
            Event::Log {
                level,
                message,
                stack,
            } => {
                if !self.logs.add(level, &message, stack.as_deref(), 1, time) {
                    self.lost += 1;
                }
            }
        }
    }

    /// Whether requests lead to the end.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// From here on requests lead to the end.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
    }

    /// The next request that is due; whoever sends it says with [`settle`](Self::settle) what became of it.
    pub(super) fn next(&mut self, now: Instant, time: u64) -> Option<Request> {
        if let Some(request) = &self.unsent {
            let waits = self.has_failed && !self.is_closing && now < self.heartbeat_due;
            return (!waits).then(|| request.clone());
        }
        if self.due.is_empty() {
            self.due = self.messages(now, time);
        }
        let request = self.envelope.wrap(&mut self.due, self.seq_id + 1, time)?;
        self.seq_id += 1;
        self.unsent = Some(request.clone());
        Some(request)
    }

    /// What became of the request that was given last. True if the next one may follow at once.
    pub(super) fn settle(&mut self, verdict: Verdict, now: Instant) -> bool {
        self.count(verdict);
        let is_start = self.stage == Stage::Starting;
        self.has_failed = match verdict {
            Verdict::Accepted(_) => false,
            // Without a start the rest means nothing: it is tried again.
            Verdict::Refused(_) => is_start,
            Verdict::Failed(_) => true,
        };
        if self.has_failed {
            self.beat(now);
            return false;
        }
        self.unsent = None;
        if is_start {
            self.stage = Stage::JustStarted;
        } else if self.stage == Stage::Closing && self.due.is_empty() {
            self.stage = Stage::Closed;
        }
        true
    }

    /// Counts our own requests. They go out beside other metrics, never for their own sake: an idle program would
    /// otherwise report every minute that it had reported the minute before.
    fn count(&mut self, verdict: Verdict) {
        let mut add = |name, tag: Option<(&'static str, String)>| {
            *self.own.entry((name, tag)).or_default() += 1;
        };
        add("telemetry_api.requests", None);
        match verdict {
            Verdict::Accepted(status)
            | Verdict::Refused(status)
            | Verdict::Failed(Failure::Status(status)) => {
                add(
                    "telemetry_api.responses",
                    Some(("status_code", status.to_string())),
                );
            }
            Verdict::Failed(_) => {}
        }
        match verdict {
            Verdict::Accepted(_) => {}
            Verdict::Refused(_) | Verdict::Failed(Failure::Status(_)) => {
                add(
                    "telemetry_api.errors",
                    Some(("type", "status_code".to_owned())),
                );
            }
            Verdict::Failed(Failure::Timeout) => {
                add("telemetry_api.errors", Some(("type", "timeout".to_owned())));
            }
            Verdict::Failed(Failure::Network) => {
                add("telemetry_api.errors", Some(("type", "network".to_owned())));
            }
        }
    }

    /// Everything that is due.
    fn messages(&mut self, now: Instant, time: u64) -> Vec<Message> {
        match self.stage {
            Stage::Starting => return vec![self.app_started()],
            Stage::Closing | Stage::Closed => return Vec::new(),
            Stage::JustStarted => {
                self.stage = Stage::Running;
                if !self.is_closing {
                    return self.events();
                }
            }
            Stage::Running => {}
        }
        let is_due = now >= self.heartbeat_due;
        if !is_due && !self.is_closing {
            return Vec::new();
        }
        let mut messages = self.events();
        if is_due {
            messages.push(Message::empty(RequestType::AppHeartbeat));
            self.beat(now);
        }
        let is_extended = now >= self.extended_due;
        if is_extended {
            messages.push(self.extended_heartbeat());
            self.extended_due = now + self.extended_heartbeat;
        }
        if self.lost > 0 {
            let (lost, level) = (std::mem::take(&mut self.lost), LogLevel::Warn);
            let message = "telemetry was dropped: a store was full";
            self.logs.add(level, message, None, lost, time);
        }
        let metrics = self.metrics.take(self.interval);
        if !metrics.is_empty() || self.is_closing || is_extended {
            self.add_own(time);
        }
        messages.extend(metrics);
        messages.extend(self.metrics.take(self.interval));
        messages.extend(self.logs.take());
        if self.is_closing {
            self.stage = Stage::Closing;
            if !self.is_child {
                messages.push(Message::empty(RequestType::AppClosing));
            }
        }
        messages
    }

    /// Waits for the next heartbeat: from beat to beat, so that it does not drift; what was missed is not made up for.
    fn beat(&mut self, now: Instant) {
        if self.heartbeat_due <= now {
            self.heartbeat_due += self.heartbeat;
        }
        if self.heartbeat_due <= now {
            self.heartbeat_due = now + self.heartbeat;
        }
    }

    /// Moves what was counted about ourselves among the other metrics.
    fn add_own(&mut self, time: u64) {
        let endpoint = self.endpoint;
        let series = std::mem::take(&mut self.own).into_iter();
        let series = series.filter_map(|((name, tag), count)| {
            let mut tags = vec![("endpoint", Box::from(endpoint))];
            tags.extend(tag.map(|(key, value)| (key, value.into_boxed_str())));
            Some(Series {
                metric: find(Namespace::Telemetry, name)?,
                tags,
                value: Reported::Sum(count as f64),
            })
        });
        let series = series.collect();
        self.lost += self.metrics.close_window(series, time, self.interval);
    }

    fn app_started(&self) -> Message {
        let mut payload = json!({
            "configuration": self.ledger.all(),
            "products": products(&self.products),
            "error": {"code": 0, "message": ""},
        });
        if let Some(signature) = &self.install_signature {
            payload["install_signature"] = signature.clone();
        }
        Message::new(RequestType::AppStarted, &payload)
    }

    fn extended_heartbeat(&self) -> Message {
        let payload = json!({
            "configuration": self.ledger.all(),
            "dependencies": self.dependencies,
            "integrations": self.integrations,
        });
        Message::new(RequestType::AppExtendedHeartbeat, &payload)
    }

    /// What happened since the last request, without metrics and logs.
    fn events(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        for some in self.dependencies[self.new_dependencies..].chunks(MAX_PER_MESSAGE) {
            let payload = json!({"dependencies": some});
            messages.push(Message::new(RequestType::AppDependenciesLoaded, &payload));
        }
        self.new_dependencies = self.dependencies.len();
        for some in std::mem::take(&mut self.changed_integrations).chunks(MAX_PER_MESSAGE) {
            let payload = json!({"integrations": some});
            messages.push(Message::new(RequestType::AppIntegrationsChange, &payload));
        }
        let changes = std::mem::take(&mut self.configuration);
        if !changes.is_empty() {
            let payload = json!({"configuration": changes});
            messages.push(Message::new(
                RequestType::AppClientConfigurationChange,
                &payload,
            ));
        }
        let changed = std::mem::take(&mut self.changed_products);
        if !changed.is_empty() {
            let payload = json!({"products": products(&changed)});
            messages.push(Message::new(RequestType::AppProductChange, &payload));
        }
        for some in std::mem::take(&mut self.new_endpoints).chunks(self.endpoints_per_message) {
            let is_first = !std::mem::replace(&mut self.endpoints_were_sent, true);
            let payload = json!({"is_first": is_first, "endpoints": some});
            messages.push(Message::new(RequestType::AppEndpoints, &payload));
        }
        messages
    }
}

fn products(states: &BTreeMap<&'static str, ProductState>) -> Value {
    let states = states.values().map(|state| {
        let mut product = json!({"enabled": state.enabled, "version": TRACER_VERSION});
        if let Some(error) = state.error {
            product["error"] = json!({"code": 0, "message": error});
        }
        (state.name.to_owned(), product)
    });
    Value::Object(states.collect::<Map<_, _>>())
}

#[cfg(test)]
#[path = "reporter_tests.rs"]
mod tests;
