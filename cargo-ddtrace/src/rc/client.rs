//! A client: what it was sent, and what it says became of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::request::Request;
use super::{CLIENTS, File};
use crate::store::now;
use crate::validate::{Finding, Findings, Rule, remote_config as rules};

/// After this time without a request a client counts as gone, in ns; three intervals of the slowest usual one.
const GONE: i64 = 30_000_000_000;

const MILLISECOND: i64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Client {
    /// What it said last.
    pub(super) request: Request,
    first_seen: i64,
    pub(super) last_seen: i64,
    /// Between its last two requests, in ns.
    interval: Option<i64>,
    files: BTreeMap<String, Sent>,
    /// The newest version that it was sent, and what it is to say about it.
    newest: Option<(u64, String)>,
}

/// A file on its way.
#[derive(Debug)]
struct Sent {
    product: String,
    config_id: String,
    version: u64,
    since: i64,
    progress: Progress,
    error: String,
    /// How long it took until the client had said what became of it, in ns.
    took: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Sent,
    Received,
    Applied,
    Failed,
    /// Taken back; the client has not said yet that it is gone.
    Withdrawn,
}

impl Progress {
    fn name(self) -> &'static str {
        match self {
            Progress::Sent => "sent",
            Progress::Received => "received",
            Progress::Applied => "applied",
            Progress::Failed => "error",
            Progress::Withdrawn => "withdrawn",
        }
    }
}

impl Client {
    /// The client that asks, and whether it was not known.
    pub(super) fn of<'a>(
        clients: &'a mut Vec<Client>,
        request: &Request,
    ) -> (&'a mut Client, bool) {
        let known = clients
            .iter()
            .position(|client| client.request.id == request.id);
        let at = known.unwrap_or_else(|| {
            if clients.len() == CLIENTS {
                let oldest = (0..CLIENTS).min_by_key(|at| clients[*at].last_seen);
                clients.swap_remove(oldest.unwrap_or(0));
            }
            clients.push(Client {
                request: request.clone(),
                first_seen: now(),
                last_seen: now(),
                interval: None,
                files: BTreeMap::new(),
                newest: None,
            });
            clients.len() - 1
        });
        (&mut clients[at], known.is_none())
    }

    /// Takes note of what a client says. True if that is news.
    pub(super) fn hear(&mut self, request: &Request, is_new: bool, out: &mut Findings) -> bool {
        let time = now();
        if !is_new {
            self.interval = Some(time - self.last_seen);
            self.check(request, out);
        }
        self.last_seen = time;
        let mut is_news = self.request.error != request.error
            || self.request.products != request.products
            || self.request.capabilities != request.capabilities;
        for sent in self.files.values_mut() {
            let said = request.states.iter().find(|state| {
                state.product == sent.product
                    && state.config_id == sent.config_id
                    && state.version == sent.version
            });
            let Some(said) = said else { continue };
            if sent.progress == Progress::Withdrawn {
                continue;
            }
            let progress = match said.state {
                2 => Progress::Applied,
                3 => Progress::Failed,
                _ => Progress::Received,
            };
            if progress != sent.progress || sent.error != said.error {
                is_news = true;
                sent.progress = progress;
                sent.error.clone_from(&said.error);
                sent.took = Some(time - sent.since);
            }
        }
        let before = self.files.len();
        self.files.retain(|_, sent| {
            let is_held = request
                .states
                .iter()
                .any(|state| state.product == sent.product && state.config_id == sent.config_id);
            sent.progress != Progress::Withdrawn || is_held
        });
        self.request = request.clone();
        is_news || before != self.files.len()
    }

    /// Rules that a client has to hold to from its second request on; what it said to an agent before this one is not known.
    fn check(&self, request: &Request, out: &mut Findings) {
        let mut find = |rule: &'static Rule, field: &str, detail: String| {
            out.add(Finding {
                rule,
                chunk: None,
                span: None,
                field: field.to_owned(),
                detail,
            });
        };
        for state in &request.states {
            let mut known = self.files.values();
            let is_known = known
                .any(|sent| sent.product == state.product && sent.config_id == state.config_id);
            let was_said = |earlier: &super::request::FileState| {
                earlier.product == state.product && earlier.config_id == state.config_id
            };
            if !is_known && !self.request.states.iter().any(was_said) {
                let (product, id) = (&state.product, &state.config_id);
                let detail = format!("found {product} {id}");
                find(&rules::UNKNOWN_FILE, "client.state.config_states", detail);
            }
        }
        let (last, version) = (self.request.targets_version, request.targets_version);
        // A client whose products have changed asks for everything again.
        if version < last && version != 0 {
            let detail = format!("found {version} after {last}");
            find(&rules::VERSION_BACK, "client.state.targets_version", detail);
        }
        if let Some((newest, expected)) = &self.newest
            && version == *newest
            && request.backend_state != *expected
        {
            let detail = format!("found {:?}, expected {expected:?}", request.backend_state);
            let field = "client.state.backend_client_state";
            find(&rules::BACKEND_STATE, field, detail);
        }
    }

    /// Notes which files the client is told of.
    pub(super) fn tell(&mut self, wanted: &[(&String, &File)]) {
        for (path, file) in wanted {
            let known = self.files.get(*path);
            let is_known = known.is_some_and(|sent| {
                sent.version == file.version && sent.progress != Progress::Withdrawn
            });
            if is_known {
                continue;
            }
            let sent = Sent {
                product: file.product.clone(),
                config_id: file.config_id.clone(),
                version: file.version,
                since: file.pushed.max(self.first_seen),
                progress: Progress::Sent,
                error: String::new(),
                took: None,
            };
            self.files.insert((*path).clone(), sent);
        }
        for (path, sent) in &mut self.files {
            if !wanted.iter().any(|(wanted, _)| *wanted == path) {
                sent.progress = Progress::Withdrawn;
                sent.error.clear();
                sent.took = None;
            }
        }
    }

    /// Notes what the client has been sent.
    pub(super) fn remember_answer(&mut self, version: u64, backend_state: String) {
        self.newest = Some((version, backend_state));
    }

    /// Whether the client still asks.
    pub(super) fn is_here(&self) -> bool {
        now() - self.last_seen < GONE
    }

    /// Whether the client still asks and has a file, be it one that was taken back.
    pub(super) fn has_files(&self) -> bool {
        self.is_here() && !self.files.is_empty()
    }

    pub(super) fn show(&self) -> Value {
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|(path, sent)| {
                json!({
                    "path": path,
                    "version": sent.version,
                    "state": sent.progress.name(),
                    "error": sent.error,
                    "after_ms": sent.took.map(|took| took / MILLISECOND),
                })
            })
            .collect();
        let request = &self.request;
        json!({
            "id": request.id,
            "runtime_id": request.runtime_id,
            "service": request.service,
            "env": request.env,
            "language": request.language(),
            "tracer_version": request.tracer_version(),
            "products": request.products,
            "capabilities": request.capabilities,
            "connected": self.is_here(),
            "first_seen": self.first_seen.to_string(),
            "last_seen": self.last_seen.to_string(),
            "interval_ms": self.interval.map(|interval| interval / MILLISECOND),
            "targets_version": request.targets_version,
            "error": request.error,
            "files": files,
        })
    }
}
