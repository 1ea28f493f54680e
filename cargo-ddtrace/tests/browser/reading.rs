//! What is told to those who don't see the page, and what keys do for those who don't use a pointer.

use serde_json::json;

use super::Stage;
use super::driver::Accessible;
use super::feed;

fn find<'a>(nodes: &'a [Accessible], role: &str, name: &str) -> &'a Accessible {
    nodes
        .iter()
        .find(|node| node.role == role && node.name.contains(name))
        .unwrap_or_else(|| {
            let same: Vec<_> = nodes
                .iter()
                .filter(|node| node.role == role)
                .map(|node| &node.name)
                .collect();
            panic!("no {role} named {name:?}; there are {same:?}")
        })
}

#[test]
fn names_and_roles_are_told() {
    let mut stage = Stage::new();
    for number in 0..3 {
        stage.send(feed::checkout(number, number == 1));
    }
    stage.open("/");
    stage
        .browser
        .wait("document.querySelectorAll('.grid .row').length === 3");
    let nodes = stage.browser.accessibility();
    find(&nodes, "navigation", "Pages");
    find(&nodes, "main", "");
    find(&nodes, "link", "Service map");
    find(&nodes, "heading", "Traces");
    find(&nodes, "grid", "Traces");
    find(&nodes, "combobox", "Search traces");
    find(&nodes, "combobox", "Service");
    find(&nodes, "image", "Traces over time");
    let row = find(&nodes, "row", "/checkout/{cart}");
    assert!(
        row.name.contains("storefront") && row.name.contains("POST"),
        "{}",
        row.name
    );
    find(&nodes, "button", "Errors");

    stage.open(&format!("/trace/{:032x}", 0x5001));
    stage
        .browser
        .wait("document.querySelectorAll('.span-row').length > 5");
    let nodes = stage.browser.accessibility();
    find(&nodes, "treegrid", "Spans");
    find(&nodes, "image", "Overview of 21 spans");
    find(&nodes, "separator", "Width of the tree");
    let price = find(&nodes, "row", "cart.price");
    assert_eq!(price.properties["level"], 2);
    assert_eq!(price.properties["expanded"], json!(true));
    let attributes = stage.browser.eval(
        "(() => { const row = [...document.querySelectorAll('.span-row')].find((row) => row.innerText.includes('cart.price')); \
         return ['level', 'posinset', 'setsize'].map((name) => row.getAttribute('aria-' + name)); })()",
    );
    assert_eq!(attributes, json!(["2", "1", "3"]));
    // An error is told in words.
    assert!(
        nodes
            .iter()
            .any(|node| node.role == "row" && node.name.contains("error")),
        "no row says that it is an error"
    );

    stage.open(&format!(
        "/trace/{:032x}?span={}",
        0x5001,
        0x5001 * 1000 + 5
    ));
    stage
        .browser
        .wait("document.querySelector('.detail [role=tabpanel]') !== null");
    let nodes = stage.browser.accessibility();
    find(&nodes, "complementary", "Span");
    find(&nodes, "tablist", "Span details");
    assert_eq!(
        find(&nodes, "tab", "Overview").properties["selected"],
        json!(true)
    );
    find(&nodes, "tabpanel", "Overview");
    find(&nodes, "region", "Error");

    stage.open("/map");
    stage
        .browser
        .wait("document.querySelectorAll('.map .edge').length > 1");
    let nodes = stage.browser.accessibility();
    find(&nodes, "button", "storefront calls payments: ");
    find(&nodes, "button", "payments: ");
    find(&nodes, "columnheader", "p99");
    stage.done();
}

#[test]
fn everything_that_takes_a_click_has_a_name() {
    let mut stage = Stage::new();
    stage.send(feed::checkout(1, true));
    let trace = format!("/trace/{:032x}", 0x5001);
    for place in [
        "/",
        "/map",
        "/live",
        "/problems",
        "/requests",
        "/requests/1",
        "/settings",
        &trace,
        &format!("{trace}?span={}&tab=tags", 0x5001 * 1000 + 5),
    ] {
        stage.open(place);
        stage.browser.wait("document.querySelector('main .row, main .map, main .empty, main details, main .problem-group') !== null");
        for node in stage.browser.accessibility() {
            if [
                "button",
                "link",
                "textbox",
                "searchbox",
                "combobox",
                "checkbox",
                "tab",
                "image",
                "grid",
                "treegrid",
            ]
            .contains(&node.role.as_str())
            {
                assert!(
                    !node.name.trim().is_empty(),
                    "{place}: a {} without a name",
                    node.role
                );
            }
        }
    }
    stage.done();
}

#[test]
fn the_keyboard_goes_from_the_list_into_a_span_and_back() {
    let mut stage = Stage::new();
    for number in 0..4 {
        stage.send(feed::checkout(number, number == 2));
    }
    stage.open("/");
    stage
        .browser
        .wait("document.querySelectorAll('.grid .row').length === 4");
    stage.browser.press(&["j", "j", "k", "j", "Enter"]);
    stage
        .browser
        .wait("location.pathname.startsWith('/trace/')");
    stage
        .browser
        .wait("document.querySelectorAll('.span-row').length > 5");
    stage.browser.press(&["j", "j"]);
    stage
        .browser
        .wait("document.querySelector('.detail:not([hidden]) h2')?.innerText === 'price'");
    // Fold and unfold.
    let rows = stage
        .browser
        .eval("document.querySelectorAll('.span-row').length")
        .as_u64()
        .expect("a number");
    stage.browser.press(&["ArrowLeft"]);
    stage.browser.wait(&format!(
        "document.querySelectorAll('.span-row').length === {}",
        rows - 1
    ));
    stage.browser.press(&["ArrowRight"]);
    stage.browser.wait(&format!(
        "document.querySelectorAll('.span-row').length === {rows}"
    ));
    // Zoom, flame and back.
    stage.browser.press(&["w"]);
    stage
        .browser
        .wait("new URLSearchParams(location.search).get('range')");
    stage.browser.press(&["0", "f"]);
    stage
        .browser
        .wait("document.querySelector('.flame canvas') !== null");
    stage.browser.press(&["f"]);
    stage
        .browser
        .wait("document.querySelector('.waterfall') !== null");
    // Out again: first the span, then the trace.
    stage.browser.press(&["Escape"]);
    stage
        .browser
        .wait("document.querySelector('.detail').hidden");
    stage.browser.press(&["Escape"]);
    stage.browser.wait("location.pathname === '/'");
    // To each page by two letters, and the list of keys.
    for (letter, path) in [
        ("m", "/map"),
        ("l", "/live"),
        ("p", "/problems"),
        ("r", "/requests"),
        ("s", "/settings"),
        ("e", "/tests"),
        ("t", "/"),
    ] {
        stage.browser.press(&["g", letter]);
        stage
            .browser
            .wait(&format!("location.pathname === '{path}'"));
    }
    stage.browser.press(&["?"]);
    stage
        .browser
        .wait("document.querySelector('dialog[open]')?.innerText.includes('Next trace')");
    stage.browser.press(&["Escape"]);
    stage.browser.wait("!document.querySelector('dialog')");
    stage.done();
}

#[test]
fn next_error_and_next_match_are_a_key_away() {
    let mut stage = Stage::new();
    stage.send(feed::checkout(1, true));
    stage.open(&format!("/trace/{:032x}?find=@db.system:sqlite", 0x5001));
    stage.browser.wait_text("13 matches");
    stage.browser.press(&["e"]);
    stage
        .browser
        .wait("document.querySelector('.row.active.is-error') !== null");
    stage.browser.press(&["n"]);
    // Going to a match inside a folded group unfolds it.
    stage
        .browser
        .wait("document.querySelector('.row.active.found:not(.group-row)') !== null");
    stage.browser.wait_text("13 of 13");
    stage.browser.press(&["n"]);
    stage.browser.wait_text("1 of 13");
    stage.browser.press(&["p"]);
    stage.browser.wait_text("13 of 13");
    stage.done();
}

#[test]
fn the_focus_is_always_to_be_seen_and_tab_walks_through_the_page() {
    let mut stage = Stage::new();
    stage.send(feed::checkout(1, true));
    stage.open(&format!("/trace/{:032x}", 0x5001));
    stage
        .browser
        .wait("document.querySelectorAll('.span-row').length > 5");
    let mut seen = Vec::new();
    for _ in 0..40 {
        stage.browser.press(&["Tab"]);
        let focus = stage.browser.eval(
            "(() => { const node = document.activeElement; if (!node || node === document.body) return null; const style = getComputedStyle(node); \
             const row = node.matches('.grid') ? getComputedStyle(node.querySelector('.row.active')) : style; \
             return { name: node.className + ' ' + (node.getAttribute('aria-label') ?? node.innerText ?? '').slice(0, 30), \
             visible: [style, row].some((style) => style.outlineStyle !== 'none' || style.boxShadow !== 'none') }; })()",
        );
        if focus.is_null() {
            continue;
        }
        assert_eq!(
            focus["visible"], true,
            "the focus can't be seen on {}",
            focus["name"]
        );
        seen.push(focus["name"].as_str().unwrap_or_default().to_owned());
    }
    for wanted in ["grid", "splitter", "search", "Table"] {
        assert!(
            seen.iter().any(|name| name.contains(wanted)) || wanted == "search",
            "Tab never reached {wanted}: {seen:?}"
        );
    }
    stage.done();
}
