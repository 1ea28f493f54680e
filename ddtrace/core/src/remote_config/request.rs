//! The body of `POST /v0.7/config`: who asks, for what, and what it has already.

use serde::{Serialize, Serializer};

use super::capabilities::Capabilities;
use super::files::{Files, Known};
use super::path::ConfigPath;
use crate::config::Config;
use crate::export::agent::TRACER_VERSION;
use crate::process_tags::ProcessTags;

/// Other services of this process that are named, at most.
pub(super) const MAX_EXTRA_SERVICES: usize = 64;

/// The version of the agent's root of trust. Clients that leave checking signatures to the agent stay at the first.
const ROOT_VERSION: u64 = 1;

#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub(super) client: ClientPart<'a>,
    pub(super) cached_target_files: Vec<CachedFile<'a>>,
}

#[derive(Serialize)]
pub(super) struct ClientPart<'a> {
    pub(super) id: &'a str,
    pub(super) products: Vec<&'a str>,
    pub(super) is_tracer: bool,
    pub(super) is_agent: bool,
    pub(super) is_updater: bool,
    pub(super) client_updater: Option<()>,
    pub(super) last_seen: u64,
    pub(super) client_tracer: Tracer<'a>,
    pub(super) state: State<'a>,
    pub(super) capabilities: Capabilities,
}

#[derive(Serialize)]
pub(super) struct Tracer<'a> {
    runtime_id: &'a str,
    language: &'static str,
    tracer_version: &'static str,
    service: &'a str,
    extra_services: Vec<String>,
    env: &'a str,
    app_version: &'a str,
    tags: Vec<String>,
    process_tags: Vec<String>,
    container_tags: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct State<'a> {
    root_version: u64,
    targets_version: u64,
    config_states: Vec<ConfigState<'a>>,
    has_error: bool,
    error: &'a str,
    backend_client_state: &'a str,
}

#[derive(Serialize)]
struct ConfigState<'a> {
    id: &'a str,
    version: u64,
    product: &'a str,
    apply_state: ApplyState,
    apply_error: &'a str,
}

/// What became of a file; handlers have run before a request is written, so none is left open.
#[derive(Clone, Copy)]
enum ApplyState {
    Acknowledged = 2,
    Error = 3,
}

impl Serialize for ApplyState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

#[derive(Serialize)]
pub(super) struct CachedFile<'a> {
    path: &'a str,
    length: u64,
    hashes: [CachedHash<'a>; 1],
}

#[derive(Serialize)]
struct CachedHash<'a> {
    algorithm: &'static str,
    hash: &'a str,
}

impl<'a> Tracer<'a> {
    /// The program, as its configuration says that it is called.
    pub(super) fn new(config: &'a Config, runtime_id: &'a str, mut services: Vec<String>) -> Self {
        services.retain(|service| *service != config.service);
        services.truncate(MAX_EXTRA_SERVICES);
        let pair = |(key, value): (&str, &str)| format!("{key}:{value}");
        let identity = [
            ("env", config.env.as_deref()),
            ("version", config.version.as_deref()),
            ("tracer_version", Some(TRACER_VERSION)),
            ("host_name", config.hostname.as_deref()),
        ];
        let tags = config
            .tags
            .iter()
            .filter(|(key, _)| key != "env")
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let known = identity
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        Self {
            runtime_id,
            language: "rust",
            tracer_version: TRACER_VERSION,
            service: &config.service,
            extra_services: services,
            env: config.env.as_deref().unwrap_or_default(),
            app_version: config.version.as_deref().unwrap_or_default(),
            tags: tags.chain(known).map(pair).collect(),
            process_tags: ProcessTags::of(config).iter().map(str::to_owned).collect(),
            container_tags: Vec::new(),
        }
    }
}

impl<'a> State<'a> {
    /// What has been taken over so far, and why the last answer was not.
    pub(super) fn new(
        files: &'a Files,
        targets_version: u64,
        backend_client_state: &'a str,
        error: Option<&'a str>,
    ) -> Self {
        Self {
            root_version: ROOT_VERSION,
            targets_version,
            config_states: files.iter().map(ConfigState::new).collect(),
            has_error: error.is_some(),
            error: error.unwrap_or_default(),
            backend_client_state,
        }
    }
}

impl<'a> ConfigState<'a> {
    fn new((path, known): (&'a ConfigPath, &'a Known)) -> Self {
        Self {
            id: path.config_id(),
            version: known.version,
            product: path.product(),
            apply_state: match known.error {
                None => ApplyState::Acknowledged,
                Some(_) => ApplyState::Error,
            },
            apply_error: known.error.as_deref().unwrap_or_default(),
        }
    }
}

impl<'a> CachedFile<'a> {
    /// What need not be sent again.
    pub(super) fn new((path, known): (&'a ConfigPath, &'a Known)) -> Self {
        Self {
            path: path.as_str(),
            length: known.length,
            hashes: [CachedHash {
                algorithm: known.hash.algorithm(),
                hash: known.hash.hex(),
            }],
        }
    }
}
