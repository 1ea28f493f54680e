//! The server side of remote configuration: files that were pushed here, and what each client has made of them.
//!
//! ```text
//!   page, scripts ── push, withdraw ──▶ files ──▶ answer (the list, signed by nobody) ──▶ client
//!                                         ▲                                                 │
//!   page, scripts ◀── state per client ───┴──────────── request (what it has, and its state) ┘
//! ```
//!
//! A file is for every client that asks for its product, or for those that its target names. What a client says about a file
//! is believed only for the version that it was sent; so the page can tell *sent* from *received* and *applied*.
//!
//! A real Agent keeps nothing of a client but what the client tells it with every request. So does this one, besides what the
//! page shows: it may be restarted at any time, and clients go on.

mod answer;
mod capability;
mod client;
mod request;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::intake::sha256;
use crate::store::now;
use crate::validate::Findings;
use client::Client;
use request::Request;

/// Clients that are remembered; the one that was silent longest makes room.
const CLIENTS: usize = 256;
/// Files at once.
const FILES: usize = 1000;
/// Bytes of all files.
const BYTES: usize = 16 << 20;
/// Characters of a part of a path.
const PART: usize = 200;
/// The organisation in paths: there is only one here.
const ORGANISATION: u32 = 2;

/// Pushed files and the clients that ask for them.
#[derive(Debug)]
pub struct RemoteConfig(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Added to the revision, so that a version never goes back when the agent is started anew.
    base: u64,
    /// Rises with each change of the files.
    revision: u64,
    files: BTreeMap<String, File>,
    clients: Vec<Client>,
}

/// A file that was pushed.
#[derive(Debug)]
struct File {
    product: String,
    config_id: String,
    name: String,
    content: Vec<u8>,
    sha256: String,
    version: u64,
    pushed: i64,
    target: Target,
}

/// Whom a file is for; what is not named is anybody.
#[derive(Debug, Default)]
struct Target {
    service: Option<String>,
    env: Option<String>,
    runtime_id: Option<String>,
}

/// A push, as the API takes it.
#[derive(Debug, Default)]
pub struct Push {
    product: String,
    config_id: String,
    name: String,
    content: Vec<u8>,
    target: Target,
    /// Push although no client can take it.
    force: bool,
}

/// Why something was not pushed.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The body is not what is expected.
    Body(String),
    /// No client that it is for can take it.
    Unfit(String),
}

/// What became of a request.
#[derive(Debug)]
pub struct Polled {
    /// The body of the answer.
    pub body: String,
    /// Who asked, for the list of clients.
    pub who: crate::store::counts::Client,
    /// What is wrong with the request.
    pub findings: Findings,
    /// Whether the request told anything that was not known, or was told anything.
    pub is_news: bool,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        RemoteConfig(Mutex::new(State {
            base: since.map_or(0, |since| since.as_secs()),
            revision: 0,
            files: BTreeMap::new(),
            clients: Vec::new(),
        }))
    }
}

impl RemoteConfig {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers `POST /v0.7/config`, or says why that cannot be read.
    pub fn poll(&self, body: &[u8]) -> Result<Polled, String> {
        let request = Request::read(body)?;
        let mut findings = Findings::default();
        let mut state = self.lock();
        let State {
            base,
            revision,
            files,
            clients,
        } = &mut *state;
        let version = *base + *revision;
        let (client, is_new) = Client::of(clients, &request);
        let heard = client.hear(&request, is_new, &mut findings);
        let wanted: Vec<(&String, &File)> = files
            .iter()
            .filter(|(_, file)| {
                request.products.contains(&file.product) && file.target.names(&request)
            })
            .collect();
        client.tell(&wanted);
        let body = answer::write(&wanted, &request, version);
        let is_told = body != answer::NOTHING;
        if is_told {
            client.remember_answer(version, answer::backend_state(version));
        }
        Ok(Polled {
            body,
            who: request.who(),
            findings,
            is_news: is_new || heard || is_told,
        })
    }

    /// Puts a file in the place of the one of the same path. Gives the path and the version.
    pub fn push(&self, push: Push) -> Result<Value, Refused> {
        let mut state = self.lock();
        let meant: Vec<&Client> = state
            .clients
            .iter()
            .filter(|client| client.is_here() && push.target.names(&client.request))
            .collect();
        if !push.force && !meant.is_empty() {
            let fits = |client: &&Client| capability::missing(client, &push).is_none();
            if !meant.iter().any(fits) {
                let why = meant
                    .iter()
                    .find_map(|client| capability::missing(client, &push));
                return Err(Refused::Unfit(why.unwrap_or_default()));
            }
        }
        let path = push.path();
        let others = state.files.iter().filter(|(other, _)| **other != path);
        let (count, bytes) = others.fold((0, 0), |(count, bytes), (_, file)| {
            (count + 1, bytes + file.content.len())
        });
        if count >= FILES || bytes + push.content.len() > BYTES {
            return Err(Refused::Body(format!(
                "there is no room: at most {FILES} files and {BYTES} bytes"
            )));
        }
        state.revision += 1;
        let version = state.revision;
        let answer = json!({"path": path, "version": version});
        let file = File {
            sha256: sha256::hex(&push.content),
            product: push.product,
            config_id: push.config_id,
            name: push.name,
            content: push.content,
            version,
            pushed: now(),
            target: push.target,
        };
        state.files.insert(path, file);
        Ok(answer)
    }

    /// Takes a file back, or all of them. Gives how many that were.
    pub fn withdraw(&self, path: Option<&str>) -> usize {
        let mut state = self.lock();
        let before = state.files.len();
        match path {
            Some(path) => drop(state.files.remove(path)),
            None => state.files.clear(),
        }
        let gone = before - state.files.len();
        state.revision += u64::from(gone > 0);
        gone
    }

    /// Takes all files back and waits until no client has any, or for this long: what was pushed is not to outlive the agent
    /// that it was pushed through.
    pub async fn revert(&self, patience: Duration) {
        self.withdraw(None);
        let deadline = Instant::now() + patience;
        while self.lock().clients.iter().any(Client::has_files) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Files and clients, as the API shows them.
    pub fn show(&self) -> Value {
        let state = self.lock();
        let files: Vec<Value> = state
            .files
            .iter()
            .map(|(path, file)| file.show(path))
            .collect();
        let mut clients: Vec<&Client> = state.clients.iter().collect();
        clients.sort_by_key(|client| std::cmp::Reverse(client.last_seen));
        json!({
            "version": state.base + state.revision,
            "files": files,
            "clients": clients.into_iter().map(Client::show).collect::<Vec<_>>(),
        })
    }
}

impl Target {
    /// Whether the target names a client.
    fn names(&self, request: &Request) -> bool {
        let is = |wanted: &Option<String>, own: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.to_lowercase() == own.to_lowercase())
        };
        is(&self.service, &request.service)
            && is(&self.env, &request.env)
            && is(&self.runtime_id, &request.runtime_id)
    }

    fn show(&self) -> Value {
        json!({"service": self.service, "env": self.env, "runtime_id": self.runtime_id})
    }
}

impl File {
    fn show(&self, path: &str) -> Value {
        json!({
            "path": path,
            "product": self.product,
            "config_id": self.config_id,
            "name": self.name,
            "version": self.version,
            "bytes": self.content.len(),
            "sha256": self.sha256,
            "pushed": self.pushed.to_string(),
            "target": self.target.show(),
            "content": String::from_utf8_lossy(&self.content),
        })
    }
}

impl Push {
    /// Reads the body of a push.
    pub fn read(body: &Value) -> Result<Push, Refused> {
        let part = |key: &str, default: Option<&str>| {
            let text = body[key]
                .as_str()
                .or(default.filter(|_| body[key].is_null()));
            let text = text.filter(|text| {
                !text.is_empty() && text.chars().count() <= PART && !text.contains('/')
            });
            text.map(str::to_owned).ok_or_else(|| {
                Refused::Body(format!(
                    "{key}: expected a text of at most {PART} characters without `/`"
                ))
            })
        };
        let content = match (&body["content"], &body["text"]) {
            (Value::Null, Value::String(text)) => text.clone().into_bytes(),
            (content, Value::Null) if body.get("content").is_some() => {
                content.to_string().into_bytes()
            }
            _ => {
                return Err(Refused::Body(
                    "expected either `content`, any JSON, or `text`, which is sent as it is".into(),
                ));
            }
        };
        let target = &body["target"];
        let named = |key: &str| match &target[key] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            _ => Err(Refused::Body(format!("target.{key}: expected a text"))),
        };
        Ok(Push {
            product: part("product", None)?,
            config_id: part("config_id", None)?,
            name: part("name", Some("config"))?,
            content,
            target: Target {
                service: named("service")?,
                env: named("env")?,
                runtime_id: named("runtime_id")?,
            },
            force: body["force"] == true,
        })
    }

    fn path(&self) -> String {
        let (product, id, name) = (&self.product, &self.config_id, &self.name);
        format!("datadog/{ORGANISATION}/{product}/{id}/{name}")
    }
}
