//! A client without an agent, for tests.

use std::sync::Arc;

use serde_json::{Map, json};

use super::client::Client;
use super::digest::FileHash;
use super::path::ConfigPath;
use super::subscription::subscribers;
use crate::base64;
use crate::config::Config;
use crate::trace::tracer::TracerCore;

/// A client of remote configuration without an agent and without a worker, for tests: of products, which want their
/// subscription to be told something, and of the client itself.
///
/// ```
/// use ddtrace_core::config::{Config, MapEnvironment};
/// use ddtrace_core::remote_config::OfflineClient;
///
/// let environment = MapEnvironment::new();
/// let mut client = OfflineClient::new(Config::builder().environment(&environment).build());
/// let settings = br#"{"lib_config": {"tracing_sampling_rate": 0.5}}"#;
/// client.give(&[("datadog/2/APM_TRACING/rate/config", settings)]);
/// assert_eq!(client.config().sampling_rules, r#"[{"sample_rate":0.5}]"#);
/// client.give(&[]);
/// assert_eq!(client.config().sampling_rules, "[]");
/// ```
pub struct OfflineClient {
    tracer: Arc<TracerCore>,
    client: Client,
    version: u64,
}

impl std::fmt::Debug for OfflineClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfflineClient").finish_non_exhaustive()
    }
}

impl OfflineClient {
    /// A client of a program with this configuration.
    pub fn new(config: Config) -> Self {
        let tracer = Arc::new(TracerCore::new(
            Arc::new(config),
            Vec::new(),
            Box::new(|| {}),
        ));
        Self {
            client: Client::new(Arc::clone(&tracer)),
            tracer,
            version: 0,
        }
    }

    /// The body of the next request.
    pub fn request(&mut self) -> Vec<u8> {
        self.client.request(&subscribers())
    }

    /// Takes the body of an answer.
    pub fn accept(&mut self, body: &[u8]) {
        self.client.accept(body, &subscribers());
    }

    /// Takes an answer whose list of files is this text instead of JSON that somebody signed.
    pub fn accept_list(&mut self, list: &[u8]) {
        let body = json!({"targets": base64::encode(list), "client_configs": []});
        self.accept(body.to_string().as_bytes());
    }

    /// Has exactly these files in force: paths and contents.
    pub fn give(&mut self, files: &[(&str, &[u8])]) {
        self.version += 1;
        let mut targets = Map::new();
        let mut contents = Vec::new();
        for (path, content) in files {
            let hash = FileHash::sha256(content);
            let target = json!({
                "custom": {"v": self.version},
                "hashes": {"sha256": hash.hex()},
                "length": content.len(),
            });
            targets.insert((*path).to_owned(), target);
            contents.push(json!({"path": path, "raw": base64::encode(content)}));
        }
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let list = json!({"signed": {"version": self.version, "targets": targets}});
        let body = json!({
            "targets": base64::encode(list.to_string().as_bytes()),
            "target_files": contents,
            "client_configs": paths,
        });
        self.accept(body.to_string().as_bytes());
    }

    /// The files that are in force.
    pub fn in_force(&self) -> Vec<ConfigPath> {
        self.client.in_force()
    }

    /// The configuration that is in force.
    pub fn config(&self) -> Arc<Config> {
        self.tracer.config()
    }
}
