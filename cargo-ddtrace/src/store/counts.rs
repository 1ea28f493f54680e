//! What is counted from the start, whatever is evicted, and who sends.

use std::collections::{BTreeMap, BTreeSet};

/// Counts since the start, or since everything was cleared.
#[derive(Debug, Default, Clone)]
#[allow(missing_docs)] // named as in API.md
pub struct Counts {
    pub requests: u64,
    pub chunks: u64,
    pub traces: u64,
    pub spans: u64,
    pub errors: u64,
    pub rejected_payloads: u64,
    pub dropped_chunks: u64,
    pub dropped: u64,
    pub sampled_out_traces: u64,
    pub sampled_out_spans: u64,
    pub evicted_spans: u64,
    pub evicted_traces: u64,
    /// Names of services, at most [`NAMES`].
    pub services: BTreeSet<String>,
    /// Requests by path, at most [`NAMES`] paths.
    pub paths: BTreeMap<String, u64>,
    /// The slowest root: duration, service, resource.
    pub slowest: Option<(i64, String, String)>,
    /// Error types and how often, at most [`NAMES`].
    pub error_types: BTreeMap<String, u64>,
}

/// How many names of a kind are counted apart; input may be hostile.
pub const NAMES: usize = 1000;

impl Counts {
    /// Counts one more of a name, as long as there is room for names.
    pub fn count(map: &mut BTreeMap<String, u64>, name: &str) {
        if let Some(count) = map.get_mut(name) {
            *count += 1;
        } else if map.len() < NAMES {
            map.insert(name.to_owned(), 1);
        }
    }
}

/// A process that sends.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // named as in API.md
pub struct Client {
    pub runtime_id: String,
    pub service: String,
    pub env: String,
    pub app_version: String,
    pub language: String,
    pub language_version: String,
    pub tracer_version: String,
    pub pid: Option<u64>,
    pub first_seen: i64,
    pub last_seen: i64,
    pub traces: u64,
    pub telemetry: bool,
    /// Times of its newest requests to a traces endpoint, for the rule about too many.
    pub recent: std::collections::VecDeque<i64>,
    /// That rule has spoken.
    pub told_often: bool,
}

/// How many clients are remembered; the one that was silent longest makes room.
pub const CLIENTS: usize = 256;
