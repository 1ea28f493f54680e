//! Answers of an agent, for tests: right ones, and ones that are wrong in one place.

use serde_json::{Value, json};

use super::digest::FileHash;
use crate::base64;

/// An answer that can be changed before it is sent.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) version: u64,
    pub(super) targets: Value,
    pub(super) files: Vec<Value>,
    pub(super) paths: Vec<Value>,
}

impl Answer {
    /// A list of this version without files.
    pub(super) fn new(version: u64) -> Self {
        Self {
            version,
            targets: json!({}),
            files: Vec::new(),
            paths: Vec::new(),
        }
    }

    /// A file for this client, and its content.
    pub(super) fn file(self, path: &str, version: u64, content: &str) -> Self {
        let raw = base64::encode(content.as_bytes());
        let mut answer = self.known_file(path, version, content);
        answer.files.push(json!({"path": path, "raw": raw}));
        answer
    }

    /// A file for this client that is not sent along.
    pub(super) fn known_file(mut self, path: &str, version: u64, content: &str) -> Self {
        let hash = FileHash::sha256(content.as_bytes());
        self.targets[path] = json!({
            "custom": {"v": version},
            "hashes": {"sha256": hash.hex()},
            "length": content.len(),
        });
        self.paths.push(json!(path));
        self
    }

    /// The whole list, as the backend would have signed it.
    pub(super) fn list(&self) -> Value {
        json!({
            "signatures": [{"keyid": "", "sig": ""}],
            "signed": {
                "_type": "targets",
                "custom": {"opaque_backend_state": format!("state {}", self.version)},
                "expires": "2030-01-01T00:00:00Z",
                "spec_version": "1.0.0",
                "targets": self.targets,
                "version": self.version,
            },
        })
    }

    /// The body.
    pub(super) fn body(&self) -> Vec<u8> {
        self.body_with_list(&self.list().to_string())
    }

    /// The body with something else in the place of the list.
    pub(super) fn body_with_list(&self, list: &str) -> Vec<u8> {
        let body = json!({
            "roots": [],
            "targets": base64::encode(list.as_bytes()),
            "target_files": self.files,
            "client_configs": self.paths,
        });
        body.to_string().into_bytes()
    }
}
