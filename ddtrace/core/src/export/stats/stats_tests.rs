//! Rows F19 to F25 of the vectors, and the payload as an independent decoder reads it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::concentrator::BUCKET;
use super::*;
use crate::config::MapEnvironment;
use crate::sketch::tests::decode as decode_sketch;

/// What a payload says, field by field, as the agent's schema names them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Payload {
    hostname: String,
    env: String,
    version: String,
    lang: String,
    tracer_version: String,
    #[serde(rename = "RuntimeID")]
    runtime_id: String,
    sequence: u64,
    agent_aggregation: String,
    service: String,
    #[serde(rename = "ContainerID")]
    container_id: String,
    tags: Vec<String>,
    git_commit_sha: String,
    image_tag: String,
    process_tags_hash: u64,
    process_tags: String,
    stats: Vec<Bucket>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Bucket {
    start: u64,
    duration: u64,
    agent_time_shift: i64,
    stats: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Group {
    service: String,
    name: String,
    resource: String,
    #[serde(rename = "HTTPStatusCode")]
    http_status_code: u32,
    r#type: String,
    #[serde(rename = "DBType")]
    db_type: String,
    hits: u64,
    errors: u64,
    duration: u64,
    #[serde(deserialize_with = "bytes")]
    ok_summary: Vec<u8>,
    #[serde(deserialize_with = "bytes")]
    error_summary: Vec<u8>,
    synthetics: bool,
    top_level_hits: u64,
    span_kind: String,
    peer_tags: Vec<String>,
    is_trace_root: u32,
    #[serde(rename = "GRPCStatusCode")]
    grpc_status_code: String,
    #[serde(rename = "HTTPMethod")]
    http_method: String,
    #[serde(rename = "HTTPEndpoint")]
    http_endpoint: String,
    #[serde(rename = "srv_src")]
    service_source: String,
    span_derived_primary_tags: Vec<String>,
    additional_metric_tags: Vec<String>,
}

/// A byte string of msgpack, and nothing that is only like one.
fn bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Bytes;
    impl serde::de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("a byte string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }
    deserializer.deserialize_bytes(Bytes)
}

const INFO: &str = r#"{"client_drop_p0s": true, "endpoints": ["/v0.6/stats"], "peer_tags": ["peer.service", "db.name"]}"#;

/// A moment in the middle of a bucket.
const NOW: u64 = 1_700_000_005 * 1_000_000_000;

struct Counter {
    state: State,
    config: Config,
}

impl Counter {
    fn new(info: &str, variables: &[(&str, &str)]) -> Self {
        let environment = variables.iter().fold(
            MapEnvironment::new().executable("shop"),
            |environment, (name, value)| environment.variable(*name, *value),
        );
        let mut counter = Self {
            state: State::default(),
            config: Config::builder().environment(&environment).build(),
        };
        counter.follow(info);
        counter
    }

    fn follow(&mut self, info: &str) {
        let info = AgentInfo::parse(info.as_bytes());
        self.state.follow(&self.config, info.as_ref(), NOW);
    }

    /// Counts a span that ended at `NOW` and took a second.
    fn add(&mut self, change: impl FnOnce(&mut FinishedSpan<'static>)) {
        let mut span = span();
        change(&mut span);
        self.state.add(&span, NOW);
    }

    fn take(&mut self, now: u64, all: bool) -> Vec<Payload> {
        let payloads = self.state.take(&self.config, "runtime", now, all);
        payloads
            .iter()
            .map(|payload| rmp_serde::from_slice(&payload.body).unwrap())
            .collect()
    }

    /// The groups of the only bucket.
    fn groups(&mut self) -> Vec<Group> {
        let mut payloads = self.take(NOW, true);
        assert_eq!(payloads.len(), 1);
        let mut buckets = payloads.remove(0).stats;
        assert_eq!(buckets.len(), 1);
        let mut groups = buckets.remove(0).stats;
        groups.sort_by(|one, other| one.resource.cmp(&other.resource));
        groups
    }
}

/// A top-level span that ended at `NOW`.
fn span() -> FinishedSpan<'static> {
    FinishedSpan {
        service: "shop",
        name: "web.request",
        resource: "GET /",
        span_type: "web",
        span_id: 1,
        start: NOW as i64 - 1_000_000_000,
        duration: 1_000_000_000,
        metrics: vec![("_dd.top_level", 1.0)],
        ..FinishedSpan::default()
    }
}

#[test]
fn a_payload_says_who_sends_and_what_was_counted() {
    let mut counter = Counter::new(
        INFO,
        &[
            ("DD_ENV", "prod"),
            ("DD_VERSION", "1.2"),
            ("DD_SERVICE", "shop"),
            ("DD_HOSTNAME", "host"),
            ("DD_GIT_COMMIT_SHA", "abc"),
            ("DD_TRACE_STATS_ADDITIONAL_TAGS", "tier"),
        ],
    );
    counter.add(|span| {
        for (key, value) in [
            ("span.kind", "client"),
            ("http.method", "GET"),
            ("http.route", "/a/{b}"),
            ("http.status_code", "503"),
            ("_dd.svc_src", "m"),
            ("_dd.origin", "synthetics-browser"),
            ("grpc.code", "NOT_FOUND"),
            ("db.name", "orders"),
            ("peer.service", "10.0.0.7:80"),
            ("tier", "gold"),
        ] {
            span.set_meta(key, value);
        }
        span.parent_id = 9;
    });
    let payload = counter.take(NOW, true).remove(0);
    assert_eq!(
        (
            &*payload.hostname,
            &*payload.env,
            &*payload.version,
            &*payload.service
        ),
        ("host", "prod", "1.2", "shop")
    );
    assert_eq!((&*payload.lang, &*payload.runtime_id), ("rust", "runtime"));
    assert_eq!(payload.tracer_version, env!("CARGO_PKG_VERSION"));
    assert_eq!((payload.sequence, &*payload.git_commit_sha), (1, "abc"));
    assert!(payload.process_tags.contains("entrypoint.type:executable"));
    // The agent's own.
    assert_eq!(
        payload.container_id + &payload.image_tag + &payload.agent_aggregation,
        ""
    );
    assert_eq!((payload.tags.len(), payload.process_tags_hash), (0, 0));

    let bucket = &payload.stats[0];
    assert_eq!(bucket.start, 1_700_000_000 * 1_000_000_000);
    assert_eq!(
        (bucket.duration, bucket.agent_time_shift),
        (10_000_000_000, 0)
    );
    let group = &bucket.stats[0];
    assert_eq!(
        (
            &*group.service,
            &*group.name,
            &*group.resource,
            &*group.r#type
        ),
        ("shop", "web.request", "GET /", "web")
    );
    assert_eq!((group.hits, group.errors, group.top_level_hits), (1, 0, 1));
    assert_eq!(
        (group.duration, group.http_status_code),
        (1_000_000_000, 503)
    );
    assert_eq!(
        (&*group.http_method, &*group.http_endpoint),
        ("GET", "/a/{b}")
    );
    assert_eq!(
        (&*group.span_kind, &*group.grpc_status_code),
        ("client", "5")
    );
    assert_eq!((&*group.service_source, group.synthetics), ("m", true));
    assert_eq!(group.is_trace_root, 2);
    assert_eq!(
        group.peer_tags,
        ["db.name:orders", "peer.service:blocked-ip-address:80"]
    );
    assert_eq!(group.additional_metric_tags, ["tier:gold"]);
    assert_eq!(
        (&*group.db_type, group.span_derived_primary_tags.len()),
        ("", 0)
    );
    assert_eq!(decode_sketch(&group.ok_summary).count(), 1.0);
    assert_eq!(decode_sketch(&group.error_summary).count(), 0.0);
}

#[test]
fn without_an_environment_the_agent_gets_its_word_for_none() {
    let mut counter = Counter::new(INFO, &[]);
    counter.add(|_| {});
    assert_eq!(counter.take(NOW, true)[0].env, "unknown-env");
}

#[test]
fn it_is_active_only_if_everybody_agrees() {
    let endpoints = r#""endpoints": ["/v0.4/traces", "/v0.6/stats"]"#;
    let all = format!(r#"{{"client_drop_p0s": true, {endpoints}}}"#);
    type Variables = &'static [(&'static str, &'static str)];
    let cases: [(&str, Variables, bool); 8] = [
        (&all, &[], true),
        (
            &all,
            &[("DD_TRACE_STATS_COMPUTATION_ENABLED", "false")],
            false,
        ),
        (&all, &[("DD_TRACE_COMPUTE_STATS", "false")], false),
        (&all, &[("DD_APM_TRACING_ENABLED", "false")], false),
        (&all, &[("OTEL_TRACES_EXPORTER", "otlp")], false),
        (&format!("{{{endpoints}}}"), &[], false),
        (r#"{"client_drop_p0s": true}"#, &[], false),
        ("no agent", &[], false),
    ];
    for (info, variables, is_active) in cases {
        let mut counter = Counter::new(info, variables);
        assert_eq!(counter.state.is_active(), is_active, "{info} {variables:?}");
        counter.add(|_| {});
        assert_eq!(counter.take(NOW, true).len(), usize::from(is_active));
    }
}

/// F20, and the other reasons to count a span.
#[test]
fn spans_count_that_are_top_level_measured_or_of_a_kind() {
    let child = |span: &mut FinishedSpan<'static>| {
        span.parent_id = 1;
        span.metrics.clear();
    };
    type Change = fn(&mut FinishedSpan<'static>);
    let cases: [(&str, Change, bool); 7] = [
        ("nothing", |_| {}, false),
        (
            "internal",
            |span| span.set_meta("span.kind", "internal"),
            false,
        ),
        (
            "measured",
            |span| span.set_metric("_dd.measured", 1.0),
            true,
        ),
        (
            "not measured",
            |span| span.set_metric("_dd.measured", 0.0),
            false,
        ),
        ("client", |span| span.set_meta("span.kind", "client"), true),
        (
            "Consumer",
            |span| span.set_meta("span.kind", "Consumer"),
            true,
        ),
        (
            "snapshot",
            |span| {
                span.set_metric("_dd.top_level", 1.0);
                span.set_metric("_dd.partial_version", 0.0);
            },
            false,
        ),
    ];
    for (what, change, counts) in cases {
        let mut counter = Counter::new(INFO, &[]);
        counter.add(|span| {
            child(span);
            change(span);
        });
        assert_eq!(counter.take(NOW, true).len(), usize::from(counts), "{what}");
    }
    // The agent may name other kinds.
    let info = r#"{"client_drop_p0s": true, "endpoints": ["/v0.6/stats"], "span_kinds_stats_computed": ["INTERNAL"]}"#;
    let mut counter = Counter::new(info, &[]);
    for kind in ["internal", "client"] {
        counter.add(|span| {
            child(span);
            span.set_meta("span.kind", kind);
        });
    }
    let groups = counter.groups();
    assert_eq!((groups.len(), &*groups[0].span_kind), (1, "internal"));
}

/// F21.
#[test]
fn errors_are_counted_on_their_own() {
    let mut counter = Counter::new(INFO, &[]);
    counter.add(|span| {
        span.set_meta("span.kind", "client");
        span.error = true;
    });
    counter.add(|span| span.set_meta("span.kind", "client"));
    let group = counter.groups().remove(0);
    assert_eq!((group.hits, group.errors), (2, 1));
    assert_eq!(decode_sketch(&group.error_summary).count(), 1.0);
    assert_eq!(decode_sketch(&group.ok_summary).count(), 1.0);
}

/// F22, F23 and the tags by which a group differs.
#[test]
fn what_makes_a_group_of_its_own() {
    let mut counter = Counter::new(INFO, &[]);
    counter.add(|_| {});
    counter.add(|span| {
        span.resource = "child";
        span.parent_id = 9;
    });
    counter.add(|span| {
        span.resource = "internal";
        span.set_meta("db.name", "not a peer");
    });
    counter.add(|span| {
        span.resource = "other service";
        span.set_meta("_dd.base_service", "shop");
    });
    let roots: BTreeMap<_, _> = counter
        .groups()
        .into_iter()
        .map(|group| (group.resource, (group.is_trace_root, group.peer_tags)))
        .collect();
    let base = vec!["_dd.base_service:shop".to_owned()];
    let expected = [
        ("GET /", (1, vec![])),
        ("child", (2, vec![])),
        ("internal", (1, vec![])),
        ("other service", (1, base)),
    ];
    assert_eq!(
        roots,
        expected
            .map(|(resource, group)| (resource.to_owned(), group))
            .into()
    );
}

/// F24, and what comes late or too early.
#[test]
fn a_span_counts_where_it_ended() {
    let mut counter = Counter::new(INFO, &[]);
    let start = NOW - NOW % BUCKET;
    for end in [
        start - 1,          // the bucket before, still open
        start,              // the current one
        start - 3 * BUCKET, // too late: the oldest open one
        start + 7 * BUCKET, // too early: the current one
    ] {
        counter.add(|span| {
            span.duration = 5;
            span.start = end as i64 - 5;
        });
    }
    let hits = |payloads: Vec<Payload>| -> Vec<(u64, u64)> {
        let buckets = payloads.into_iter().flat_map(|payload| payload.stats);
        let mut hits: Vec<_> = buckets
            .map(|bucket| (bucket.start, bucket.stats[0].hits))
            .collect();
        hits.sort_unstable();
        hits
    };
    assert_eq!(hits(counter.take(NOW, false)), [], "both are open");
    assert_eq!(
        hits(counter.take(NOW + BUCKET, false)),
        [(start - BUCKET, 2)]
    );
    assert_eq!(hits(counter.take(NOW + BUCKET, false)), []);
    assert_eq!(hits(counter.take(NOW + BUCKET, true)), [(start, 2)]);
    assert_eq!(counter.state.sequence, 2);
}

/// F25, and the other limits.
#[test]
fn too_many_values_share_a_group() {
    let mut counter = Counter::new(
        INFO,
        &[("DD_TRACE_STATS_RESOURCE_CARDINALITY_LIMIT", "1024")],
    );
    for number in 0..1027 {
        counter.add(|span| span.resource = Box::leak(format!("r{number}").into_boxed_str()));
    }
    counter.add(|span| span.resource = "r7");
    let groups = counter.groups();
    assert_eq!(groups.len(), 1025);
    let hits = |resource: &str| {
        let group = groups.iter().find(|group| group.resource == resource);
        group.map(|group| group.hits)
    };
    assert_eq!(hits("tracer_blocked_value"), Some(3));
    assert_eq!((hits("r7"), hits("r1024")), (Some(2), None));

    let limited = [
        ("DD_TRACE_STATS_HTTP_ENDPOINT_CARDINALITY_LIMIT", "2"),
        ("DD_TRACE_STATS_PEER_TAGS_CARDINALITY_LIMIT", "2"),
        ("DD_TRACE_STATS_ADDITIONAL_TAGS_CARDINALITY_LIMIT", "2"),
        ("DD_TRACE_STATS_ADDITIONAL_TAGS", "tier"),
    ];
    let mut counter = Counter::new(INFO, &limited);
    for number in 0..4 {
        counter.add(|span| {
            span.set_meta("span.kind", "client");
            for key in ["http.endpoint", "db.name", "tier"] {
                span.set_meta(key, format!("{number}"));
            }
        });
    }
    let groups = counter.groups();
    assert_eq!(groups.len(), 3);
    let blocked = groups.iter().find(|group| group.hits == 2).unwrap();
    assert_eq!(blocked.http_endpoint, "tracer_blocked_value");
    assert_eq!(blocked.peer_tags, ["tracer_blocked_value"]);
    assert_eq!(blocked.additional_metric_tags, ["tracer_blocked_value"]);
    assert_eq!(
        blocked.resource, "GET /",
        "one field is no reason to hide others"
    );
}

#[test]
fn too_many_groups_become_one() {
    let mut counter = Counter::new(INFO, &[("DD_TRACE_STATS_CARDINALITY_LIMIT", "2")]);
    for name in ["a", "b", "c", "d", "a"] {
        counter.add(|span| {
            span.name = name;
            span.set_meta("span.kind", "server");
        });
    }
    let groups = counter.groups();
    assert_eq!(groups.len(), 3);
    let overflow = groups
        .iter()
        .find(|group| group.service == "tracer_blocked_value")
        .unwrap();
    assert_eq!((overflow.hits, overflow.is_trace_root), (2, 0));
    for text in [
        &overflow.name,
        &overflow.resource,
        &overflow.r#type,
        &overflow.span_kind,
    ] {
        assert_eq!(text, "tracer_blocked_value");
    }
    assert_eq!(
        counter.state.concentrator.unwrap().take_collapsed(),
        0,
        "taken with the buckets"
    );
}

#[test]
fn resources_are_obfuscated_for_an_agent_of_the_same_rules() {
    for (version, expected) in [
        (0, ["GET k", "SELECT 1 FROM t"]),
        (1, ["GET", "SELECT ? FROM t"]),
        (2, ["GET k", "SELECT 1 FROM t"]),
    ] {
        let info = format!(
            r#"{{"client_drop_p0s": true, "endpoints": ["/v0.6/stats"], "obfuscation_version": {version}}}"#
        );
        let mut counter = Counter::new(&info, &[]);
        for (span_type, resource) in [
            ("sql", "SELECT 1 FROM t"),
            ("redis", "GET k"),
            ("sql", "SELECT 1 FROM t"),
        ] {
            counter.add(|span| {
                span.span_type = span_type;
                span.resource = resource;
            });
        }
        let payloads = counter.state.take(&counter.config, "runtime", NOW, true);
        assert_eq!(
            (payloads.len(), payloads[0].is_obfuscated),
            (1, version == 1)
        );
        let payload: Payload = rmp_serde::from_slice(&payloads[0].body).unwrap();
        let mut resources: Vec<_> = payload.stats[0]
            .stats
            .iter()
            .map(|group| &*group.resource)
            .collect();
        resources.sort_unstable();
        assert_eq!(resources, expected, "{version}");
    }
}

#[test]
fn an_agent_that_changes_its_rules_gets_what_it_can_read() {
    let mut counter = Counter::new(INFO, &[]);
    counter.add(|_| {});
    // The bucket at hand is finished as it was begun.
    counter.follow(
        r#"{"client_drop_p0s": true, "endpoints": ["/v0.6/stats"], "obfuscation_version": 1}"#,
    );
    counter.add(|span| span.resource = "later");
    assert_eq!(counter.take(NOW, true).len(), 1);
    counter.add(|_| {});
    // What is counted is sent even if nothing is counted any more.
    counter.follow("{}");
    counter.add(|_| {});
    assert_eq!(counter.groups()[0].hits, 1);
}
