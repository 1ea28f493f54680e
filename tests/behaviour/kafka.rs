//! Kafka with the Python tracer at the other end: one trace, one pathway, the same hashes.

use std::collections::BTreeMap;
use std::process::Command;

use ddtrace_tests::kafka::Brokers;
use ddtrace_tests::service;
use ddtrace_tests::test_agent::TestAgent;
use ddtrace_tests::{process, wait};
use serde_json::Value;

use crate::data_streams::payloads;
use crate::program;

/// Settings by which both languages compute the same hashes: process tags are no part of them.
const SAME: [(&str, &str); 5] = [
    ("DD_SERVICE", "post"),
    ("DD_ENV", "prod"),
    ("DD_DATA_STREAMS_ENABLED", "true"),
    ("DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED", "false"),
    ("DD_KAFKA_EMPTY_POLL_ENABLED", "false"),
];

fn rust(agent: &TestAgent, servers: &str, steps: &[&str]) {
    let arguments = [&["kafka", servers], steps].concat();
    let mut command = program::command(&arguments, &agent.url());
    let ended = process::run(command.envs(SAME));
    assert!(ended.status.success(), "{ended:#?}");
}

fn python(agent: &TestAgent, servers: &str, steps: &[&str]) -> Option<()> {
    let mut command = Command::new(service::python()?);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/kafka.py"))
        .arg(servers)
        .args(steps)
        .envs(SAME)
        .env("DD_TRACE_AGENT_URL", agent.url())
        // Off in the reference unless it is asked for.
        .env("DD_KAFKA_PROPAGATION_ENABLED", "true")
        .env("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
        .env("DD_REMOTE_CONFIGURATION_ENABLED", "false");
    let ended = process::run(&mut command);
    assert!(ended.status.success(), "{ended:#?}");
    Some(())
}

/// Brokers that both programs talk to.
fn brokers(topics: &[&str]) -> Brokers {
    let brokers = Brokers::find();
    for topic in topics {
        brokers.create_topic(topic, 1);
    }
    brokers
}

/// Hash and parent of every checkpoint, by language and edge tags.
fn hashes(agent: &TestAgent) -> BTreeMap<(String, String), (u64, u64)> {
    let mut all = BTreeMap::new();
    for payload in payloads(agent) {
        for group in payload.stats.iter().flat_map(|bucket| &bucket.stats) {
            let place = (payload.lang.clone(), group.edge_tags.join(" "));
            all.insert(place, (group.hash, group.parent_hash));
        }
    }
    all
}

#[test]
fn a_message_passes_from_python_to_rust_to_python_in_one_trace_and_on_one_pathway() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let brokers = brokers(&["quotes", "invoices", "receipts"]);
    let servers = brokers.servers();
    let Some(()) = python(&agent, servers, &["produce:quotes"]) else {
        return;
    };
    rust(&agent, servers, &["pass:quotes:billing:invoices"]);
    python(&agent, servers, &["pass:invoices:shipping:receipts"]);
    rust(&agent, servers, &["consume:receipts:books"]);

    let traces = agent.traces();
    let spans: Vec<&Value> = traces.iter().flatten().collect();
    let find = |name: &str, component: &str, topic: &str| -> &Value {
        let found = spans.iter().find(|span| {
            let meta = &span["meta"];
            span["name"] == name && meta["component"] == component && meta["kafka.topic"] == topic
        });
        found.unwrap_or_else(|| panic!("{name} of {component} for {topic}: {spans:#?}"))
    };
    let chain = [
        find("kafka.produce", "kafka", "quotes"),
        find("kafka.process", "rdkafka", "quotes"),
        find("kafka.produce", "rdkafka", "invoices"),
        find("kafka.consume", "kafka", "invoices"),
    ];
    let trace = chain[0]["trace_id"].as_u64();
    for pair in chain.windows(2) {
        assert_eq!(pair[1]["trace_id"].as_u64(), trace);
        assert_eq!(pair[1]["parent_id"], pair[0]["span_id"], "{pair:#?}");
    }
    let consumed = find("kafka.consume", "rdkafka", "quotes");
    assert_eq!(consumed["parent_id"], chain[0]["span_id"]);
    assert_eq!(consumed["trace_id"].as_u64(), trace);
    // The Python program produces outside of its consumer's span: a trace of its own goes on.
    let sent_on = find("kafka.produce", "kafka", "receipts");
    assert_eq!(
        find("kafka.consume", "rdkafka", "receipts")["parent_id"],
        sent_on["span_id"]
    );

    let hashes = hashes(&agent);
    let of = |language: &str, start: &str, topic: &str| -> (u64, u64) {
        let found = hashes.iter().find(|((lang, tags), _)| {
            lang == language && tags.starts_with(start) && tags.contains(&format!("topic:{topic} "))
        });
        *found
            .unwrap_or_else(|| panic!("{language} {start} {topic}: {hashes:#?}"))
            .1
    };
    let pathway = [
        of("python", "direction:out", "quotes"),
        of("rust", "direction:in", "quotes"),
        of("rust", "direction:out", "invoices"),
        of("python", "direction:in", "invoices"),
        of("python", "direction:out", "receipts"),
        of("rust", "direction:in", "receipts"),
    ];
    assert_eq!(pathway[0].1, 0);
    for pair in pathway.windows(2) {
        assert_eq!(
            pair[1].1, pair[0].0,
            "a parent is the hash before it: {pathway:?}"
        );
    }
    for (span, (hash, _)) in [
        (chain[0], pathway[0]),
        (consumed, pathway[1]),
        (chain[2], pathway[2]),
        (chain[3], pathway[3]),
    ] {
        assert_eq!(span["meta"]["pathway.hash"], Value::from(hash.to_string()));
    }
    // How far our program is, for the lag that the backend computes.
    let backlogs: Vec<_> = payloads(&agent)
        .into_iter()
        .filter(|payload| payload.lang == "rust")
        .flat_map(|payload| payload.stats)
        .flat_map(|bucket| bucket.backlogs)
        .map(|backlog| (backlog.tags.join(" "), backlog.value))
        .collect();
    for (start, value) in [
        (
            "type:kafka_commit consumer_group:billing topic:quotes partition:0",
            1,
        ),
        (
            "type:kafka_produce topic:invoices partition:0 kafka_cluster_id:",
            0,
        ),
        ("type:kafka_high_watermark topic:quotes partition:0", 1),
    ] {
        let found = backlogs
            .iter()
            .any(|(tags, of)| tags.starts_with(start) && *of == value);
        assert!(found, "{start} {value}: {backlogs:#?}");
    }
    agent.assert_checks_passed();
}

#[test]
fn both_languages_compute_the_same_hash_for_one_checkpoint() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let brokers = brokers(&["letters"]);
    let servers = brokers.servers();
    let Some(()) = python(&agent, servers, &["produce:letters"]) else {
        return;
    };
    rust(&agent, servers, &["produce:letters"]);
    // Both read the first message.
    python(&agent, servers, &["consume:letters:billing"]);
    rust(&agent, servers, &["consume:letters:billing"]);
    let hashes = wait::until("four checkpoints", || {
        let hashes = hashes(&agent);
        (hashes.len() == 4).then_some(hashes)
    });
    let of = |language: &str| -> Vec<(&str, (u64, u64))> {
        let own = hashes.iter().filter(|((lang, _), _)| lang == language);
        own.map(|((_, tags), hash)| (&**tags, *hash)).collect()
    };
    assert_eq!(of("rust"), of("python"));
    assert_eq!(of("rust").len(), 2);
}
