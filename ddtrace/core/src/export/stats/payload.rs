//! `POST /v0.6/stats`, `application/msgpack`: a map with text keys.
//!
//! Source: datadog-agent, `pkg/proto/datadog/trace/stats.proto`; libdatadog, `libdd-trace-stats/src/stats_exporter.rs`. What the agent fills in
//! (container, image, hash of the process's tags) is sent empty.

use super::concentrator::{BUCKET, Bucket, Group};
use super::key::Key;
use crate::export::agent::TRACER_VERSION;
use crate::export::msgpack::Write;

/// Who sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Sender {
    pub(super) hostname: String,
    pub(super) env: String,
    pub(super) version: String,
    pub(super) service: String,
    pub(super) runtime_id: String,
    pub(super) git_commit_sha: String,
    pub(super) process_tags: String,
}

/// What stands for no environment: the agent wants a text.
const NO_ENV: &str = "unknown-env";

/// A request's body.
pub(super) fn encode(sender: &Sender, sequence: u64, buckets: &[Bucket]) -> Vec<u8> {
    let env = if sender.env.is_empty() {
        NO_ENV
    } else {
        &sender.env
    };
    let mut body = Vec::new();
    body.put_map(16);
    for (key, text) in [
        ("Hostname", &*sender.hostname),
        ("Env", env),
        ("Version", &sender.version),
        ("Lang", "rust"),
        ("TracerVersion", TRACER_VERSION),
        ("RuntimeID", &sender.runtime_id),
        ("Service", &sender.service),
        ("ContainerID", ""),
        ("AgentAggregation", ""),
        ("GitCommitSha", &sender.git_commit_sha),
        ("ImageTag", ""),
        ("ProcessTags", &sender.process_tags),
    ] {
        put_text(&mut body, key, text);
    }
    put_number(&mut body, "Sequence", sequence);
    put_number(&mut body, "ProcessTagsHash", 0);
    body.put_str("Tags");
    body.put_array(0);
    body.put_str("Stats");
    body.put_array(buckets.len());
    for bucket in buckets {
        encode_bucket(&mut body, bucket);
    }
    body
}

fn encode_bucket(body: &mut Vec<u8>, bucket: &Bucket) {
    body.put_map(4);
    put_number(body, "Start", bucket.start);
    put_number(body, "Duration", BUCKET);
    put_number(body, "AgentTimeShift", 0);
    body.put_str("Stats");
    let groups = bucket
        .groups
        .iter()
        .filter_map(|(key, group)| Some((Key::read(key)?, group)));
    // Every key was written by the same code that reads it.
    body.put_array(bucket.groups.len());
    for (key, group) in groups {
        encode_group(body, &key, group);
    }
}

fn encode_group(body: &mut Vec<u8>, key: &Key<'_>, group: &Group) {
    body.put_map(22);
    for (name, text) in [
        ("Service", key.service),
        ("Name", key.name),
        ("Resource", &key.resource),
        ("Type", key.span_type),
        ("DBType", ""),
        ("SpanKind", key.kind),
        ("HTTPMethod", key.method),
        ("HTTPEndpoint", key.endpoint),
        ("srv_src", key.service_source),
    ] {
        put_text(body, name, text);
    }
    let root = match key.is_trace_root {
        None => 0,
        Some(true) => 1,
        Some(false) => 2,
    };
    for (name, number) in [
        ("HTTPStatusCode", u64::from(key.http_status)),
        ("Hits", group.hits),
        ("Errors", group.errors),
        ("Duration", group.duration),
        ("TopLevelHits", group.top_level_hits),
        ("IsTraceRoot", root),
    ] {
        put_number(body, name, number);
    }
    body.put_str("Synthetics");
    body.put_bool(key.synthetics);
    body.put_str("GRPCStatusCode");
    match key.grpc_status {
        Some(code) => body.put_str(&code.to_string()),
        None => body.put_str(""),
    }
    for (name, sketch) in [("OkSummary", &group.ok), ("ErrorSummary", &group.error)] {
        let mut encoded = Vec::new();
        sketch.encode(&mut encoded);
        body.put_str(name);
        body.put_bin(&encoded);
    }
    let peer_tags = key.peer_tags.iter().map(|(name, value)| (*name, &**value));
    put_tags(body, "PeerTags", peer_tags);
    put_tags(body, "AdditionalMetricTags", key.additional.iter().copied());
    body.put_str("SpanDerivedPrimaryTags");
    body.put_array(0);
}

fn put_text(body: &mut Vec<u8>, key: &str, text: &str) {
    body.put_str(key);
    body.put_str(text);
}

fn put_number(body: &mut Vec<u8>, key: &str, number: u64) {
    body.put_str(key);
    body.put_uint(number);
}

/// Tags as `name:value`; without a value, the name alone.
fn put_tags<'a>(
    body: &mut Vec<u8>,
    key: &str,
    tags: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) {
    body.put_str(key);
    body.put_array(tags.len());
    for (name, value) in tags {
        if value.is_empty() {
            body.put_str(name);
        } else {
            body.put_str(&format!("{name}:{value}"));
        }
    }
}
