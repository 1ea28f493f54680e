//! What was sent, decoded by a general msgpack reader.

use serde::Deserialize;
use std::collections::BTreeMap;

/// A span of a v0.4 payload.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Span {
    /// Operation name.
    pub name: String,
    /// Service.
    pub service: String,
    /// Resource.
    pub resource: String,
    /// Type.
    #[serde(default)]
    pub r#type: String,
    /// Lower half of the trace's id.
    pub trace_id: u64,
    /// Id.
    pub span_id: u64,
    /// Id of the parent, 0 if it has none.
    #[serde(default)]
    pub parent_id: u64,
    /// Nanoseconds since the epoch.
    pub start: i64,
    /// Nanoseconds.
    pub duration: i64,
    /// 1 for an error.
    #[serde(default)]
    pub error: i32,
    /// Tags that are texts.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// Tags that are numbers.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

/// The chunks of a v0.4 payload.
pub fn chunks(body: &[u8]) -> Result<Vec<Vec<Span>>, rmp_serde::decode::Error> {
    rmp_serde::from_slice(body)
}
