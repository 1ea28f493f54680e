//! RabbitMQ with the Python tracer at the other end: one trace, one pathway, the same hashes.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use ddtrace_tests::service;
use ddtrace_tests::test_agent::TestAgent;
use ddtrace_tests::{process, wait};
use serde_json::Value;

use crate::data_streams::payloads;
use crate::program;

/// Settings by which both languages compute the same hashes: process tags are no part of them.
const SAME: [(&str, &str); 4] = [
    ("DD_SERVICE", "post"),
    ("DD_ENV", "prod"),
    ("DD_DATA_STREAMS_ENABLED", "true"),
    ("DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED", "false"),
];

/// An agent, and a broker that others use as well.
struct Places {
    agent: TestAgent,
    broker: String,
    python: std::path::PathBuf,
    number: u32,
}

impl Places {
    #[track_caller]
    fn find() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Some(Self {
            agent: TestAgent::start()?,
            broker: service::named("RABBITMQ_URL")?,
            python: service::python()?,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// A name that nobody else uses.
    fn name(&self, what: &str) -> String {
        format!("{what}-{}-{}", std::process::id(), self.number)
    }

    fn rust(&self, steps: &[String]) {
        let mut arguments = vec!["rabbitmq", &self.broker];
        arguments.extend(steps.iter().map(|step| &**step));
        let mut command = program::command(&arguments, &self.agent.url());
        let ended = process::run(command.envs(SAME));
        assert!(ended.status.success(), "{ended:#?}");
    }

    fn python(&self, steps: &[String]) {
        let mut command = Command::new(&self.python);
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/rabbitmq.py"))
            .arg(&self.broker)
            .args(steps)
            .envs(SAME)
            .env("DD_TRACE_AGENT_URL", self.agent.url())
            .env("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
            .env("DD_REMOTE_CONFIGURATION_ENABLED", "false");
        let ended = process::run(&mut command);
        assert!(ended.status.success(), "{ended:#?}");
    }

    /// Hash and parent of every checkpoint, by language and edge tags.
    fn hashes(&self) -> BTreeMap<(String, String), (u64, u64)> {
        let mut all = BTreeMap::new();
        for payload in payloads(&self.agent) {
            for group in payload.stats.iter().flat_map(|bucket| &bucket.stats) {
                let place = (payload.lang.clone(), group.edge_tags.join(" "));
                all.insert(place, (group.hash, group.parent_hash));
            }
        }
        all
    }
}

#[test]
fn a_message_passes_from_python_to_rust_to_python_in_one_trace_and_on_one_pathway() {
    let Some(places) = Places::find() else {
        return;
    };
    let [orders, shop, invoices, receipts] =
        ["orders", "shop", "invoices", "receipts"].map(|name| places.name(name));
    places.rust(&[
        format!("declare:::{orders}"),
        format!("declare:{shop}:paid:{invoices}"),
        format!("declare:::{receipts}"),
    ]);
    places.python(&[format!("produce::{orders}")]);
    places.rust(&[format!("pass:{orders}:{shop}:paid")]);
    places.python(&[format!("pass:{invoices}::{receipts}")]);
    places.rust(&[format!("consume:{receipts}")]);

    let traces = places.agent.traces();
    let spans: Vec<&Value> = traces.iter().flatten().collect();
    let find = |name: &str, tag: &str, value: &str| -> &Value {
        let found = spans
            .iter()
            .find(|span| span["name"] == name && span["meta"][tag] == value);
        found.unwrap_or_else(|| panic!("{name} with {tag} {value}: {spans:#?}"))
    };
    let chain = [
        find("kombu.publish", "kombu.routing_key", &orders),
        find("amqp.process", "amqp.queue", &orders),
        find("amqp.publish", "amqp.exchange", &shop),
        find("kombu.receive", "kombu.exchange", &shop),
    ];
    let trace = chain[0]["trace_id"].as_u64();
    for pair in chain.windows(2) {
        assert_eq!(pair[1]["trace_id"].as_u64(), trace);
        assert_eq!(pair[1]["parent_id"], pair[0]["span_id"], "{pair:#?}");
    }
    let received = find("amqp.receive", "amqp.queue", &orders);
    assert_eq!(received["parent_id"], chain[0]["span_id"]);
    let sent_on = find("kombu.publish", "kombu.routing_key", &receipts);
    let last = find("amqp.receive", "amqp.queue", &receipts);
    assert_eq!(last["parent_id"], sent_on["span_id"]);

    let hashes = places.hashes();
    let of = |language: &str, tags: &str| -> (u64, u64) {
        let place = (language.to_owned(), tags.to_owned());
        *hashes
            .get(&place)
            .unwrap_or_else(|| panic!("{place:?}: {hashes:#?}"))
    };
    let pathway = [
        of(
            "python",
            &format!("direction:out topic:{orders} type:rabbitmq"),
        ),
        of(
            "rust",
            &format!("direction:in topic:{orders} type:rabbitmq"),
        ),
        of(
            "rust",
            &format!("direction:out exchange:{shop} has_routing_key:true type:rabbitmq"),
        ),
        of(
            "python",
            &format!("direction:in topic:{invoices} type:rabbitmq"),
        ),
        of(
            "python",
            &format!("direction:out topic:{receipts} type:rabbitmq"),
        ),
        of(
            "rust",
            &format!("direction:in topic:{receipts} type:rabbitmq"),
        ),
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
        (received, pathway[1]),
        (chain[1], pathway[1]),
        (chain[2], pathway[2]),
        (chain[3], pathway[3]),
        (last, pathway[5]),
    ] {
        assert_eq!(span["meta"]["pathway.hash"], Value::from(hash.to_string()));
    }
    places.agent.assert_checks_passed();
}

#[test]
fn both_languages_compute_the_same_hash_for_one_checkpoint() {
    let Some(places) = Places::find() else {
        return;
    };
    let [shop, orders, invoices] = ["shop", "orders", "invoices"].map(|name| places.name(name));
    // By an exchange with a key, and by a queue's name.
    for (exchange, key, queue) in [(&*shop, "paid", &*invoices), ("", &*orders, &*orders)] {
        places.rust(&[format!("declare:{exchange}:{key}:{queue}")]);
        for step in [
            format!("produce:{exchange}:{key}"),
            format!("consume:{queue}"),
        ] {
            places.python(std::slice::from_ref(&step));
            places.rust(&[step]);
        }
    }
    let hashes = wait::until("four checkpoints of each", || {
        let hashes = places.hashes();
        (hashes.len() == 8).then_some(hashes)
    });
    let of = |language: &str| -> Vec<(&str, (u64, u64))> {
        let own = hashes.iter().filter(|((lang, _), _)| lang == language);
        own.map(|((_, tags), hash)| (&**tags, *hash)).collect()
    };
    assert_eq!(of("rust"), of("python"));
}
