//! The body of the answer: the list of files, in the JSON of The Update Framework, and those that the client lacks.
//!
//! Tracers leave checking signatures to the agent, so nobody signs here.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::File;
use super::request::Request;
use ddtrace_core::base64::encode as base64;

/// The answer that nothing has changed.
pub(super) const NOTHING: &str = "{}";

/// What a client is to say about this version with its next request.
pub(super) fn backend_state(version: u64) -> String {
    base64(format!("{{\"version\":{version}}}").as_bytes())
}

/// Answers a client for whom these files are.
pub(super) fn write(wanted: &[(&String, &File)], request: &Request, version: u64) -> String {
    let cached: BTreeSet<(&str, &str)> = request
        .cached
        .iter()
        .map(|(path, hash)| (path.as_str(), hash.as_str()))
        .collect();
    let is_cached = |path: &str, file: &File| cached.contains(&(path, file.sha256.as_str()));
    let has_all =
        wanted.len() == cached.len() && wanted.iter().all(|(path, file)| is_cached(path, file));
    if has_all && (wanted.is_empty() || request.targets_version == version) {
        return NOTHING.to_owned();
    }
    let targets: Map<String, Value> = wanted
        .iter()
        .map(|(path, file)| {
            let target = json!({
                "custom": {"v": file.version},
                "hashes": {"sha256": file.sha256},
                "length": file.content.len(),
            });
            ((*path).clone(), target)
        })
        .collect();
    let list = json!({
        "signatures": [{"keyid": "", "sig": ""}],
        "signed": {
            "_type": "targets",
            "custom": {"agent_refresh_interval": 5, "opaque_backend_state": backend_state(version)},
            "expires": "2099-12-31T23:59:59Z",
            "spec_version": "1.0.0",
            "targets": targets,
            "version": version,
        },
    });
    let files: Vec<Value> = wanted
        .iter()
        .filter(|(path, file)| !is_cached(path, file))
        .map(|(path, file)| json!({"path": path, "raw": base64(&file.content)}))
        .collect();
    let paths: Vec<&String> = wanted.iter().map(|(path, _)| *path).collect();
    json!({
        "roots": [base64(root().to_string().as_bytes())],
        "targets": base64(list.to_string().as_bytes()),
        "target_files": files,
        "client_configs": paths,
    })
    .to_string()
}

/// A root of trust without keys.
fn root() -> Value {
    json!({
        "signatures": [],
        "signed": {
            "_type": "root",
            "consistent_snapshot": true,
            "expires": "2099-12-31T23:59:59Z",
            "keys": {},
            "roles": {},
            "spec_version": "1.0.0",
            "version": 2,
        },
    })
}
