//! Streams: the map of pathways, what is behind, and which way transactions went.

use serde_json::json;

use super::Stage;
use super::feed::MARKUP;
use super::streams_feed::{Point, hash, payload, send, shop};

#[test]
fn the_map_shows_steps_with_latencies_and_lag() {
    let mut stage = Stage::new();
    stage.open("/streams");
    stage.browser.wait_text("No streams yet");
    // A page that is open sees streams as they come.
    shop(&stage.agent.address);
    stage
        .browser
        .wait("document.querySelectorAll('.map .node').length === 7");
    let drawn = stage.browser.eval("[...document.querySelectorAll('.map .node')].map((node) => node.getAttribute('aria-label').split(':')[0]).sort()");
    assert_eq!(
        drawn,
        json!([
            "billing",
            "courier",
            "kafka orders",
            "rabbitmq parcels",
            "rabbitmq parcels.north",
            "storefront",
            "warehouse"
        ])
    );
    // Billing is behind on three partitions: a quarter of 1,930 on each, and all of it on the middle one as well.
    let label = stage.browser.eval("[...document.querySelectorAll('.map .edge')].map((edge) => edge.getAttribute('aria-label')).find((label) => label.startsWith('orders is read by billing'))");
    assert!(label.as_str().unwrap().ends_with("3,376 behind"), "{label}");
    stage.screenshot("streams");

    // An edge says what it measured: of 40 messages, 40, 44, … 196 ms, the 20th took 116 ms.
    stage.browser.eval("[...document.querySelectorAll('.map .edge')].find((edge) => edge.getAttribute('aria-label').startsWith('orders is read by billing')).dispatchEvent(new MouseEvent('click', {bubbles: true}))");
    stage.browser.wait("location.search.includes('edge=')");
    let cards = stage.browser.eval("Object.fromEntries([...document.querySelectorAll('.map-side .cards > div')].map((card) => [card.querySelector('dt').innerText, card.querySelector('dd').innerText]))");
    assert_eq!(cards["Messages"], "40");
    let p50: f64 = cards["p50"]
        .as_str()
        .unwrap()
        .trim_end_matches(" ms")
        .parse()
        .unwrap();
    assert!((p50 / 116.0 - 1.0).abs() < 0.02, "{cards}");
    stage.browser.wait_text("Group billing");
    assert_eq!(
        stage
            .browser
            .eval("document.querySelectorAll('.map-side tbody tr').length"),
        3
    );
    stage.done();
}

#[test]
fn pathways_lag_and_transactions_are_tables() {
    let mut stage = Stage::new();
    shop(&stage.agent.address);
    stage.open("/streams?view=pathways");
    stage.browser.wait_text("End to end");
    let way = stage.browser.eval("[...document.querySelectorAll('.way')].map((way) => way.querySelectorAll('li').length).sort()");
    assert_eq!(way, json!([1, 2, 2, 3, 4]));
    let row = stage.browser.eval("[...document.querySelectorAll('.way')].find((way) => way.querySelectorAll('li').length === 4).innerText");
    for said in [
        "storefront",
        "orders",
        "picking",
        "warehouse",
        "parcels.north",
        "courier",
    ] {
        assert!(row.as_str().unwrap().contains(said), "{said}: {row}");
    }
    stage.screenshot("streams-pathways");
    stage.browser.click("[data-view=lag]");
    stage.browser.wait_text("Lag is the end");
    assert_eq!(
        stage
            .browser
            .eval("document.querySelectorAll('tbody tr').length"),
        6
    );
    let lags = stage.browser.eval("[...document.querySelectorAll('tbody tr')].filter((row) => row.innerText.includes('picking')).map((row) => row.cells[4].innerText)");
    assert_eq!(lags, json!(["3", "15", "3"]));
    stage.screenshot("streams-lag");
    stage.browser.click("[data-view=transactions]");
    stage.browser.wait_text("order-4711");
    let steps = stage.browser.eval("[...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes('order-4711')).querySelectorAll('li').length");
    assert_eq!(steps, 3);
    stage.screenshot("streams-transactions");
    stage.done();
}

#[test]
fn names_of_topics_are_text_and_small_screens_hold_the_page() {
    let mut stage = Stage::sized(375, 720);
    let tag = |key: &str| format!("{key}:{MARKUP}");
    let mut tags = vec!["direction:out".to_owned(), tag("topic"), tag("type")];
    tags.sort();
    let points = [Point {
        tags,
        parent: 0,
        latencies: vec![(0.1, 0.2)],
        size: 1.0,
    }];
    let backlogs = [(
        vec![
            "type:kafka_produce".to_owned(),
            tag("topic"),
            "partition:0".to_owned(),
        ],
        1,
    )];
    send(
        &stage.agent.address,
        &payload(MARKUP, &points, &backlogs, &[(MARKUP, MARKUP, 5)]),
    );
    for view in ["", "?view=pathways", "?view=lag", "?view=transactions"] {
        stage.open(&format!("/streams{view}"));
        stage.browser.wait_text("<img src=x");
        assert_eq!(stage.browser.eval("document.title"), "Streams · ddtrace");
        assert_eq!(
            stage
                .browser
                .eval("document.documentElement.scrollWidth <= 375"),
            true,
            "{view}"
        );
    }
    stage.done();
}

#[test]
fn a_circle_begins_at_the_service_that_messages_come_from() {
    let mut stage = Stage::new();
    let tags = |list: &[&str]| list.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    let out = tags(&["direction:out", "topic:a", "type:channel"]);
    let parent = hash("shop", "dev", &out, 0);
    let point = |tags, parent| Point {
        tags,
        parent,
        latencies: vec![(0.1, 0.2)],
        size: 1.0,
    };
    let points = [
        point(out, 0),
        point(tags(&["direction:in", "topic:a", "type:channel"]), parent),
    ];
    send(&stage.agent.address, &payload("shop", &points, &[], &[]));
    stage.open("/streams");
    stage
        .browser
        .wait("document.querySelectorAll('.map .node').length === 2");
    let order = stage.browser.eval("[...document.querySelectorAll('.map .node')].map((node) => [node.querySelector('.node-name').textContent, node.transform.baseVal[0].matrix.e]).sort((a, b) => a[1] - b[1]).map(([name]) => name)");
    assert_eq!(order, json!(["shop", "a"]));
    stage.done();
}
