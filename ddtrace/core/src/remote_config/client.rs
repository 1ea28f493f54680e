//! The client's state, and what it does with an answer; no network in here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::apm_tracing::{self, ApmTracing};
use super::files::{Files, Plan};
use super::path::ConfigPath;
use super::request::{CachedFile, ClientPart, MAX_EXTRA_SERVICES, Request, State, Tracer};
use super::response::Update;
use super::subscription::{Batch, ConfigFile, Outcomes, Subscriber};
use crate::diagnostics;
use crate::trace::tracer::{TracerCore, random_uuid};

/// The longest text that says what is wrong.
const MAX_ERROR: usize = 1024;

/// What is said about a file that is no JSON.
const NO_JSON: &str = "invalid JSON content";

/// One per process and its life.
pub(super) struct Client {
    id: String,
    tracer: Arc<TracerCore>,
    files: Files,
    targets_version: u64,
    backend_state: String,
    /// Why the last answer was not taken over.
    error: Option<String>,
    /// Which subscription of a product has been told of its files.
    told: BTreeMap<&'static str, u64>,
    apm_tracing: ApmTracing,
}

impl Client {
    pub(super) fn new(tracer: Arc<TracerCore>) -> Self {
        Self {
            id: random_uuid(),
            apm_tracing: ApmTracing::new(tracer.config()),
            tracer,
            files: Files::new(),
            targets_version: 0,
            backend_state: String::new(),
            error: None,
            told: BTreeMap::new(),
        }
    }

    /// The files that are in force.
    pub(super) fn in_force(&self) -> Vec<ConfigPath> {
        let applied = self.files.iter().filter(|(_, known)| known.error.is_none());
        applied.map(|(path, _)| path.clone()).collect()
    }

    /// The body of the next request.
    pub(super) fn request(&mut self, subscribers: &[Arc<Subscriber>]) -> Vec<u8> {
        self.forget_strangers(subscribers);
        let config = self.tracer.config();
        let products = subscribers.iter().map(|subscriber| subscriber.product);
        let products: BTreeSet<_> = products.chain([apm_tracing::PRODUCT]).collect();
        let capabilities = subscribers
            .iter()
            .map(|subscriber| subscriber.capabilities)
            .fold(apm_tracing::capabilities(), |all, more| all.and(more));
        let request = Request {
            client: ClientPart {
                id: &self.id,
                products: products.into_iter().collect(),
                is_tracer: true,
                is_agent: false,
                is_updater: false,
                client_updater: None,
                last_seen: 0,
                client_tracer: Tracer::new(
                    &config,
                    &self.tracer.runtime_id,
                    extra_services(&config),
                ),
                state: State::new(
                    &self.files,
                    self.targets_version,
                    &self.backend_state,
                    self.error.as_deref(),
                ),
                capabilities,
            },
            cached_target_files: self.files.iter().map(CachedFile::new).collect(),
        };
        // Strings and numbers always have a form in JSON.
        serde_json::to_vec(&request).unwrap_or_default()
    }

    /// Forgets the files of products that nobody wants any more, and of those whose handler is another one: that has to be
    /// told of all files, and the agent sends what is not known.
    fn forget_strangers(&mut self, subscribers: &[Arc<Subscriber>]) {
        let is_known = |product: &str| {
            let current = subscribers.iter().find(|other| other.product == product);
            current.is_some_and(|current| self.told.get(product) == Some(&current.number))
        };
        let has_news = subscribers.iter().any(|other| !is_known(other.product));
        self.files
            .retain(|path, _| path.product() == apm_tracing::PRODUCT || is_known(path.product()));
        let wanted =
            |product: &&'static str| subscribers.iter().any(|other| other.product == *product);
        self.told.retain(|product, _| wanted(product));
        if has_news {
            // An agent whose list has not changed would answer that there is nothing to tell.
            self.targets_version = 0;
        }
    }

    /// Takes an answer over, or leaves everything as it is if anything is wrong with it.
    pub(super) fn accept(&mut self, body: &[u8], subscribers: &[Arc<Subscriber>]) {
        match Update::parse(body) {
            Ok(None) => {
                self.error = None;
                let plan = Plan {
                    files: self.files.clone(),
                    ..Plan::default()
                };
                self.carry_out(plan, subscribers);
            }
            Ok(Some(update)) => match self.plan(&update, subscribers) {
                Ok(plan) => {
                    self.error = None;
                    self.carry_out(plan, subscribers);
                    self.targets_version = update.version;
                    self.backend_state = update.backend_state;
                }
                Err(error) => self.refuse(error),
            },
            Err(error) => self.refuse(error),
        }
    }

    fn plan(&self, update: &Update<'_>, subscribers: &[Arc<Subscriber>]) -> Result<Plan, String> {
        Plan::new(update, &self.files, |product| {
            product == apm_tracing::PRODUCT
                || subscribers.iter().any(|other| other.product == product)
        })
    }

    /// Notes that an answer was not taken over, for the next request.
    pub(super) fn refuse(&mut self, error: String) {
        let error = cut(error);
        diagnostics::error(format_args!(
            "remote configuration: an answer was refused, what was in force stays: {error}"
        ));
        self.error = Some(error);
    }

    /// The agent offers no remote configuration (any more): all settings go back to what they were.
    pub(super) fn revert(&mut self, subscribers: &[Arc<Subscriber>]) {
        self.carry_out(Plan::removing(&self.files), subscribers);
        self.targets_version = 0;
        self.backend_state.clear();
        self.error = None;
    }

    /// Tells each product what has changed for it, at once, and notes what became of it.
    fn carry_out(&mut self, mut plan: Plan, subscribers: &[Arc<Subscriber>]) {
        let (changed, broken) = std::mem::take(&mut plan.changed)
            .into_iter()
            .partition::<Vec<_>, _>(is_json);
        for file in broken {
            note(&mut plan.files, &file.path, NO_JSON.to_owned());
        }
        let mut batches: BTreeMap<&str, (Vec<ConfigFile>, Vec<ConfigPath>)> = BTreeMap::new();
        for file in &changed {
            let batch = batches.entry(file.path.product()).or_default();
            batch.0.push(file.clone());
        }
        for path in &plan.removed {
            batches
                .entry(path.product())
                .or_default()
                .1
                .push(path.clone());
        }
        let mut failed = Vec::new();
        self.apm_tracing.tell_newcomers();
        if let Some((changed, removed)) = batches.remove(apm_tracing::PRODUCT) {
            let batch = Batch {
                changed: &changed,
                removed: &removed,
                is_complete: false,
            };
            failed.push(self.apm_tracing.apply(&batch, &self.tracer));
        }
        for subscriber in subscribers {
            let is_first =
                self.told.insert(subscriber.product, subscriber.number) != Some(subscriber.number);
            let (changed, removed) = batches.remove(subscriber.product).unwrap_or_default();
            let has_stale = is_first && subscriber.may_know_files();
            if changed.is_empty() && removed.is_empty() && !has_stale {
                continue;
            }
            failed.push(subscriber.tell(&Batch {
                changed: &changed,
                removed: &removed,
                is_complete: is_first,
            }));
        }
        for (path, why) in failed.iter().flat_map(Outcomes::failed) {
            note(&mut plan.files, path, why.clone());
        }
        self.files = plan.files;
    }
}

/// Notes why a file was not applied.
fn note(files: &mut Files, path: &ConfigPath, why: String) {
    let why = cut(why);
    diagnostics::warn(format_args!("remote configuration: {path}: {why}"));
    if let Some(known) = files.get_mut(path) {
        known.error = Some(why);
    }
}

/// Whether a file is well-formed, which is found out without recursion and without keeping anything of it.
fn is_json(file: &ConfigFile) -> bool {
    serde_json::from_slice::<IgnoredAny>(&file.content).is_ok()
}

/// Cuts a text to what may be sent.
fn cut(mut text: String) -> String {
    if text.len() > MAX_ERROR {
        let mut end = MAX_ERROR;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// Services that spans of this process name, besides the program's own.
fn extra_services(config: &crate::config::Config) -> Vec<String> {
    let mut services = config.extra_services.clone();
    // One of them may be the program's own.
    let names = crate::trace::service::all();
    for name in names.iter().take(MAX_EXTRA_SERVICES + 1) {
        if !services.iter().any(|known| **known == **name) {
            services.push(name.to_string());
        }
    }
    services
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
