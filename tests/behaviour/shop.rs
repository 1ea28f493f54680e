//! The example's traces, as the test agent reads them: three services in one trace, every check passed.

use ddtrace_tests::process;
use ddtrace_tests::test_agent::TestAgent;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::data_streams::payloads;

/// The example's binary. `cargo test --workspace` builds it; for this package alone nobody does.
fn shop() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_ddtrace-test-program"));
    let shop = program
        .parent()
        .expect("it is in a folder")
        .join("examples/shop");
    if !shop.exists() {
        eprintln!(
            "left out: the example is not built; `cargo build -p ddtrace --example shop` builds it"
        );
        return None;
    }
    Some(shop)
}

#[test]
fn the_shop_passes_every_check_with_traces_across_its_services() {
    let (Some(shop), Some(agent)) = (shop(), TestAgent::start()) else {
        return;
    };
    let mut command = Command::new(shop);
    command.arg("--once").env("DD_TRACE_AGENT_URL", agent.url());
    let ended = process::run(&mut command);
    assert!(ended.status.success(), "{ended:#?}");
    agent.assert_checks_passed();

    // One trace comes in chunks, one or more from each service.
    let spans: Vec<_> = agent.traces().into_iter().flatten().collect();
    let traces: BTreeSet<u64> = spans
        .iter()
        .filter_map(|span| span["trace_id"].as_u64())
        .collect();
    let services_of = |trace: u64| -> BTreeSet<&str> {
        let of_it = spans
            .iter()
            .filter(|span| span["trace_id"].as_u64() == Some(trace));
        of_it.filter_map(|span| span["service"].as_str()).collect()
    };
    let across = traces.iter().filter(|trace| {
        let services = services_of(**trace);
        ["storefront", "warehouse", "payments"]
            .iter()
            .all(|name| services.iter().any(|service| service.contains(name)))
    });
    assert!(
        across.count() > 10,
        "{} spans in {} traces",
        spans.len(),
        traces.len()
    );
    let components: BTreeSet<&str> = spans
        .iter()
        .filter_map(|span| span["meta"]["component"].as_str())
        .collect();
    for component in ["axum", "reqwest", "sqlx"] {
        assert!(components.contains(component), "{components:?}");
    }
    // The assistant, what it looks up, and what it asks the model.
    let names: BTreeSet<&str> = spans
        .iter()
        .filter_map(|span| span["name"].as_str())
        .collect();
    for name in ["support assistant", "look up", "openai.request"] {
        assert!(names.contains(name), "{names:?}");
    }
    assert!(
        spans.iter().any(|span| span["error"].as_u64() == Some(1)),
        "some orders fail"
    );

    // Orders become parcels, each step on the pathway of the one before it.
    let payloads = payloads(&agent);
    let groups: Vec<_> = payloads
        .iter()
        .flat_map(|payload| &payload.stats)
        .flat_map(|bucket| &bucket.stats)
        .collect();
    let hash_of = |direction: &str, topic: &str| -> Option<(u64, u64)> {
        let found = groups.iter().find(|group| {
            let has = |tag: String| group.edge_tags.contains(&tag);
            has(format!("direction:{direction}")) && has(format!("topic:{topic}"))
        });
        found.map(|group| (group.hash, group.parent_hash))
    };
    let steps = [
        ("out", "orders"),
        ("in", "orders"),
        ("out", "parcels"),
        ("in", "parcels"),
    ];
    let hashes: Vec<_> = steps
        .iter()
        .map(|(direction, topic)| hash_of(direction, topic).expect(topic))
        .collect();
    assert_eq!(hashes[0].1, 0, "the storefront begins");
    for pair in hashes.windows(2) {
        assert_eq!(pair[1].1, pair[0].0, "{hashes:?}");
    }
}
