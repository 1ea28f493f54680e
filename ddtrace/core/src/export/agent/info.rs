//! What the agent says that it can do: `GET /info` (`spec/core.md` §7.4).
//!
//! Every field is optional, and one of the wrong type counts as absent: an agent older or newer
//! than us must not cost the traces. Ask at start, every [`REFRESH_INTERVAL`], and when
//! [`Accepted::info_changed`](super::Accepted::info_changed) says so.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Map, Value};

use super::client::AgentClient;
use super::error::SendError;

/// How often to ask again.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(300);

/// The most items that are taken of a list.
const MAX_ITEMS: usize = 1024;

/// What an agent can do. The default is an agent that says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AgentInfo {
    /// The agent's version.
    pub version: Option<String>,
    /// The paths that it serves.
    pub endpoints: Vec<String>,
    /// Whether traces may be dropped here once they are counted.
    pub client_drop_p0s: bool,
    /// Whether it takes structured metadata.
    pub span_meta_structs: bool,
    /// Whether it takes span events as structures.
    pub span_events: bool,
    /// Whether it takes unfinished spans.
    pub long_running_spans: bool,
    /// Tags that statistics of client spans are split by.
    pub peer_tags: Vec<String>,
    /// Span kinds that statistics count besides top-level spans.
    pub span_kinds_stats_computed: Vec<String>,
    /// The version of its rules for obfuscation; 0 if it has none.
    pub obfuscation_version: u64,
    /// Traces to drop by exact tags of their root.
    pub filter_tags: TagFilter,
    /// The same with regular expressions.
    pub filter_tags_regex: TagFilter,
    /// Regular expressions for resources of traces to drop.
    pub ignore_resources: Vec<String>,
    /// A marker of the organisation, for propagation.
    pub org_prop_marker: Option<String>,
    /// The environment of spans without one.
    pub default_env: Option<String>,
    /// The port of DogStatsD.
    pub statsd_port: Option<u16>,
    /// The largest payload that it takes.
    pub max_request_bytes: Option<u64>,
    /// How it obfuscates, as it says it.
    pub obfuscation: Option<Map<String, Value>>,
    /// A hash of the container's tags, from the header `Datadog-Container-Tags-Hash`.
    pub container_tags_hash: Option<String>,
}

/// Tags that roots must or must not have, as `key` or `key:value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagFilter {
    /// Traces without one of these are dropped.
    pub require: Vec<String>,
    /// Traces with one of these are dropped.
    pub reject: Vec<String>,
}

impl AgentInfo {
    /// Asks an agent. `Ok(None)`: it answered with something else, as agents without this endpoint do.
    pub async fn fetch(client: &AgentClient) -> Result<Option<AgentInfo>, SendError> {
        let response = client.get("/info", HeaderMap::new()).await?;
        if !response.status.is_success() || !response.is_complete {
            return Ok(None);
        }
        let mut info = AgentInfo::parse(&response.body);
        if let Some(info) = &mut info {
            let hash = response.headers.get("datadog-container-tags-hash");
            info.container_tags_hash = hash
                .and_then(|hash| hash.to_str().ok())
                .filter(|hash| !hash.is_empty())
                .map(str::to_owned);
        }
        Ok(info)
    }

    /// Reads the body of an answer; `None` if it is no JSON object.
    pub fn parse(body: &[u8]) -> Option<AgentInfo> {
        let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let none = Map::new();
        let config = object
            .get("config")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        Some(AgentInfo {
            version: text(&object, "version"),
            endpoints: texts(&object, "endpoints"),
            client_drop_p0s: flag(&object, "client_drop_p0s"),
            span_meta_structs: flag(&object, "span_meta_structs"),
            span_events: flag(&object, "span_events"),
            long_running_spans: flag(&object, "long_running_spans"),
            peer_tags: texts(&object, "peer_tags"),
            span_kinds_stats_computed: texts(&object, "span_kinds_stats_computed"),
            obfuscation_version: object
                .get("obfuscation_version")
                .and_then(Value::as_u64)
                .unwrap_or(0),
            filter_tags: filter(&object, "filter_tags"),
            filter_tags_regex: filter(&object, "filter_tags_regex"),
            ignore_resources: texts(&object, "ignore_resources"),
            org_prop_marker: text(&object, "org_prop_marker"),
            default_env: text(config, "default_env"),
            statsd_port: config
                .get("statsd_port")
                .and_then(Value::as_u64)
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0),
            max_request_bytes: config.get("max_request_bytes").and_then(Value::as_u64),
            obfuscation: config
                .get("obfuscation")
                .and_then(Value::as_object)
                .cloned(),
            container_tags_hash: None,
        })
    }

    /// Whether the agent serves a path; a slash at the end makes no difference.
    pub fn has_endpoint(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.endpoints
            .iter()
            .any(|endpoint| endpoint.trim_end_matches('/') == path)
    }
}

fn flag(object: &Map<String, Value>, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    let text = object.get(key).and_then(Value::as_str)?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn texts(object: &Map<String, Value>, key: &str) -> Vec<String> {
    let items = object
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    items
        .iter()
        .filter_map(Value::as_str)
        .take(MAX_ITEMS)
        .map(str::to_owned)
        .collect()
}

fn filter(object: &Map<String, Value>, key: &str) -> TagFilter {
    let Some(object) = object.get(key).and_then(Value::as_object) else {
        return TagFilter::default();
    };
    TagFilter {
        require: texts(object, "require"),
        reject: texts(object, "reject"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_answer_is_read() {
        let body = r#"{
            "version": "7.60.0", "endpoints": ["/v0.4/traces", "/v0.6/stats/"], "feature_flags": [],
            "client_drop_p0s": true, "span_meta_structs": true, "span_events": true,
            "long_running_spans": true, "peer_tags": ["db.name"],
            "span_kinds_stats_computed": ["server"], "obfuscation_version": 2,
            "filter_tags": {"require": ["env:prod"], "reject": ["debug"]},
            "filter_tags_regex": {"require": null, "reject": ["a:.*"]},
            "ignore_resources": ["GET /health"], "org_prop_marker": "m",
            "config": {"default_env": "none", "statsd_port": 8125, "max_request_bytes": 26214400,
                       "obfuscation": {"elastic_search": true}}
        }"#;
        let info = AgentInfo::parse(body.as_bytes()).unwrap();
        assert_eq!(info.version.as_deref(), Some("7.60.0"));
        assert!(info.has_endpoint("/v0.6/stats") && info.has_endpoint("/v0.4/traces/"));
        assert!(!info.has_endpoint("/v1.0/traces"));
        assert!(info.client_drop_p0s && info.span_meta_structs && info.span_events);
        assert_eq!(info.peer_tags, ["db.name"]);
        assert_eq!(info.obfuscation_version, 2);
        assert_eq!(info.filter_tags.require, ["env:prod"]);
        assert_eq!(info.filter_tags_regex.reject, ["a:.*"]);
        assert_eq!(
            (info.statsd_port, info.max_request_bytes),
            (Some(8125), Some(26_214_400))
        );
        assert_eq!(info.obfuscation.unwrap()["elastic_search"], true);
    }

    #[test]
    fn what_is_missing_or_of_the_wrong_type_counts_as_absent() {
        for body in [
            "{}",
            r#"{"version": 7, "endpoints": "x", "client_drop_p0s": "yes", "peer_tags": [1, null]}"#,
            r#"{"config": [], "filter_tags": 3, "obfuscation_version": -1}"#,
            r#"{"config": {"statsd_port": 99999, "max_request_bytes": "1", "obfuscation": true}}"#,
        ] {
            assert_eq!(
                AgentInfo::parse(body.as_bytes()),
                Some(AgentInfo::default()),
                "{body}"
            );
        }
        for body in ["", "[]", "null", "{", "<html>"] {
            assert_eq!(AgentInfo::parse(body.as_bytes()), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = AgentInfo::parse(&bytes);
        }
    }
}
