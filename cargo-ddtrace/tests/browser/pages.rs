//! What each page shows and does, with data and without.

use super::Stage;
use super::feed::{self, Span};

const PAGES: [(&str, &str); 9] = [
    ("/", "Traces"),
    ("/map", "Service map"),
    ("/live", "Live"),
    ("/problems", "Problems"),
    ("/requests", "Requests"),
    ("/settings", "Settings"),
    ("/llm", "LLM"),
    ("/streams", "Streams"),
    ("/tests", "Tests"),
];

#[test]
fn without_data_every_page_says_what_it_is_and_what_fills_it() {
    let mut stage = Stage::new();
    for (path, title) in PAGES {
        stage.open(path);
        stage
            .browser
            .wait("document.querySelector('main .empty h2')?.innerText");
        assert_eq!(
            stage
                .browser
                .eval("document.querySelector('main h1').innerText"),
            title
        );
        assert_eq!(
            stage
                .browser
                .eval("document.querySelector('.rail [aria-current=page] .word').innerText"),
            title
        );
        assert!(
            stage
                .browser
                .eval("document.querySelectorAll('main .snippet').length")
                .as_u64()
                > Some(0),
            "{path}: no snippet"
        );
        stage.screenshot(&format!("empty-{}", title.to_lowercase().replace(' ', "-")));
    }
    stage.open("/");
    stage.browser.wait_text("No program has connected yet");
    stage.done();
}

#[test]
fn a_click_leads_from_the_list_to_the_trace_to_the_span() {
    let mut stage = Stage::new();
    for number in 0..8 {
        stage.send(feed::checkout(number, number == 6));
    }
    stage.open("/");
    stage
        .browser
        .wait("document.querySelectorAll('.grid .row').length === 8");
    stage.browser.wait_text("8 traces");
    stage.screenshot("traces");
    stage
        .browser
        .wait("document.querySelector('.row.has-error .badge.error') !== null");
    stage.browser.click(".row.has-error .resource");
    stage
        .browser
        .wait("location.pathname.startsWith('/trace/')");
    stage
        .browser
        .wait("document.querySelectorAll('.span-row').length >= 8");
    // Twelve equal queries stand in one row.
    stage.browser.wait_text("12 ×");
    stage.browser.click(".span-row[data-row] .badge.error");
    stage
        .browser
        .wait("document.querySelector('.detail:not([hidden]) h2')?.innerText");
    stage.browser.wait_text("payment failed: card declined");
    stage.browser.wait("location.search.includes('span=')");
    // The address holds all of it: loaded anew, the same is seen.
    let address = stage
        .browser
        .eval("location.pathname + location.search")
        .as_str()
        .expect("an address")
        .to_owned();
    stage.open(&address);
    stage.browser.wait_text("payment failed: card declined");
    stage.browser.eval("history.length");
    stage.done();
}

#[test]
fn a_span_shows_its_tags_error_stack_and_origin() {
    let mut stage = Stage::new();
    stage.send(feed::checkout(1, true));
    let entry = (0x5001 * 1000 + 5).to_string();
    stage.open(&format!("/trace/{:032x}?span={entry}", 0x5001));
    stage.browser.wait_text("card declined: insufficient funds");
    // Frames of the user stand out, the others are folded.
    stage.browser.wait("[...document.querySelectorAll('.stack > .own')].some((frame) => frame.innerText.includes('payments::gateway::charge'))");
    let href = stage
        .browser
        .eval("document.querySelector('.stack .own a').getAttribute('href')");
    assert_eq!(href, "vscode://file/srv/shop/payments/src/gateway.rs:88:21");
    assert_eq!(
        stage
            .browser
            .eval("document.querySelectorAll('.stack > .folded').length"),
        2
    );
    stage.screenshot("span-error");
    stage.browser.click("[data-tab=tags]");
    stage.browser.wait_text("http.status_code");
    stage.browser.click("[aria-label='Filter tags']");
    stage.browser.type_text("runtime-id");
    stage
        .browser
        .wait("document.querySelectorAll('.tab-panel .pairs > div').length === 1");
    stage.browser.click("[data-tab=raw]");
    stage.browser.wait_text("\"payments\"");
    for tab in ["events", "links", "problems"] {
        stage.browser.click(&format!("[data-tab={tab}]"));
        stage.browser.wait(&format!(
            "document.querySelector('[data-tab={tab}]').getAttribute('aria-selected') === 'true'"
        ));
    }
    stage.browser.click("[data-tab=overview]");
    stage.browser.click(".detail a[href^='/requests/']");
    stage
        .browser
        .wait("location.pathname.startsWith('/requests/')");
    stage.browser.wait_text("Decoded");
    stage.done();
}

#[test]
fn the_waterfall_folds_zooms_finds_and_hides() {
    let mut stage = Stage::new();
    stage.send(feed::checkout(1, true));
    stage.open(&format!("/trace/{:032x}", 0x5001));
    stage.browser.wait_text("12 ×");
    let rows = "document.querySelectorAll('.span-row').length";
    let all = stage.browser.eval(rows).as_u64().expect("a number");
    // A group unfolds to its members, and folds again.
    stage.browser.click(".group-row");
    stage.browser.wait(&format!("{rows} === {}", all + 12));
    stage.browser.click(".group-row");
    stage.browser.wait(&format!("{rows} === {all}"));
    // The critical path and gaps are drawn, and can be left out.
    stage
        .browser
        .wait("document.querySelector('.critical-mark') && document.querySelector('.gap-mark')");
    stage.browser.press(&["c"]);
    stage
        .browser
        .wait("!document.querySelector('.critical-mark')");
    // Search in attributes of any span.
    stage.browser.press(&["/"]);
    stage.browser.type_text("@db.name:stock");
    stage.browser.press(&["Enter"]);
    stage.browser.wait_text("1 match");
    stage
        .browser
        .wait("document.querySelectorAll('.span-row.found').length === 1");
    stage.browser.click("[data-toggle=only]");
    // What is left: the match and everything above it.
    stage.browser.wait(&format!("{rows} === 6"));
    stage.browser.click("[data-toggle=only]");
    // Hide a service: its spans go, those above others stay.
    stage.browser.click(".legend [data-service=warehouse]");
    stage.browser.wait(&format!("{rows} === {}", all - 2));
    stage.browser.click(".legend [data-service=warehouse]");
    // Drag on the strip to zoom, 0 for all of it.
    let strip = stage.browser.eval("(() => { const box = document.querySelector('.minimap').getBoundingClientRect(); return [box.x, box.y + box.height / 2, box.width]; })()");
    let (x, y, width) = (
        strip[0].as_f64().expect("x"),
        strip[1].as_f64().expect("y"),
        strip[2].as_f64().expect("width"),
    );
    stage
        .browser
        .drag((x + width * 0.25, y), (x + width * 0.5, y));
    stage
        .browser
        .wait("new URLSearchParams(location.search).get('range')");
    stage.browser.press(&["Escape", "0"]);
    stage
        .browser
        .wait("!new URLSearchParams(location.search).get('range')");
    stage.done();
}

#[test]
fn flame_and_table_show_the_same_trace() {
    let mut stage = Stage::new();
    stage.send(feed::checkout(1, true));
    stage.open(&format!("/trace/{:032x}?view=flame", 0x5001));
    stage.browser.wait(
        "document.querySelector('.flame canvas')?.getAttribute('aria-label')?.includes('21 spans')",
    );
    let drawn = "(() => { const canvas = document.querySelector('.flame canvas'); const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, 40).data; \
                 let colours = new Set(); for (let i = 0; i < data.length; i += 4) colours.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]); return colours.size; })()";
    stage.browser.wait(&format!("{drawn} > 3"));
    stage.screenshot("flame");
    stage
        .browser
        .eval("document.querySelector('.flame canvas').focus()");
    stage.browser.press(&["ArrowDown"]);
    stage.browser.wait("document.querySelector('.flame canvas').getAttribute('aria-label').includes('of its parent')");
    stage.browser.click(".flame .segments .button:last-child");
    stage
        .browser
        .wait("new URLSearchParams(location.search).get('heavy') === '1'");
    stage.browser.click("[data-view=table]");
    stage.browser.wait_text("SELECT * FROM items WHERE id = ?");
    stage.screenshot("table");
    stage.browser.click("[data-by=service]");
    stage
        .browser
        .wait("document.querySelectorAll('.span-table tbody tr').length === 3");
    stage.done();
}

#[test]
fn the_map_shows_who_calls_whom() {
    let mut stage = Stage::new();
    for number in 0..5 {
        stage.send(feed::checkout(number, number == 0));
    }
    stage.open("/map");
    stage.browser.wait("document.querySelectorAll('.map .node').length >= 3 && document.querySelectorAll('.map .edge').length >= 2");
    let drawn = "document.querySelector('.map').outerHTML";
    let first = stage.browser.eval("[...document.querySelectorAll('.map .node')].map((node) => node.getAttribute('transform')).join()");
    stage.open("/map");
    stage
        .browser
        .wait("document.querySelectorAll('.map .node').length >= 3");
    let second = stage.browser.eval("[...document.querySelectorAll('.map .node')].map((node) => node.getAttribute('transform')).join()");
    assert_eq!(first, second, "the layout is the same each time: {drawn}");
    // Who calls stands left of whom it calls.
    let left = |stage: &mut Stage, service: &str| {
        let found = stage.browser.eval(&format!("document.querySelector('.map [data-focus=\"node {service}\"]').getBoundingClientRect().x"));
        found.as_f64().expect("a place")
    };
    let places = ["storefront", "payments", "warehouse"].map(|service| left(&mut stage, service));
    assert!(places.is_sorted(), "{places:?}");
    stage.browser.click(".map [data-focus='node payments']");
    stage.browser.wait("document.querySelector('.map-side .cards') && document.querySelector('.map-side').innerText.includes('POST /charge')");
    stage.screenshot("map");
    // The list beside it holds the same, and can be walked without a pointer.
    stage.browser.wait("document.querySelectorAll('.map-list tbody tr').length === document.querySelectorAll('.map .edge').length");
    stage.browser.press(&["j"]);
    stage
        .browser
        .wait("new URLSearchParams(location.search).get('node') !== 'payments'");
    stage.done();
}

#[test]
fn live_shows_what_comes_while_it_is_open() {
    let mut stage = Stage::new();
    stage.open("/live");
    stage
        .browser
        .wait("document.querySelector('main .empty') !== null");
    stage
        .browser
        .wait("document.querySelector('.connection').innerText.includes('Live')");
    stage.send(feed::checkout(1, true));
    stage.browser.wait("[...document.querySelectorAll('.live-columns')].some((row) => row.innerText.includes('/checkout/{cart}'))");
    stage.screenshot("live");
    stage.browser.click("[aria-label=Filter]");
    stage.browser.type_text("nothing like this");
    stage.browser.wait_text("Nothing matches");
    stage.done();
}

#[test]
fn problems_and_requests_say_what_was_wrong() {
    let mut stage = Stage::new();
    let answer = feed::post(
        &stage.agent.address,
        "/v0.4/traces",
        "application/msgpack",
        b"\x91\x91\x81\xa4name",
        1,
    );
    assert_eq!(answer.status, 400, "{}", answer.body);
    stage.send(vec![vec![Span::new(9, 9, 0, "lonely", "work", "work")]]);
    stage.open("/problems");
    stage
        .browser
        .wait("document.querySelectorAll('.problem-group').length >= 2");
    assert_eq!(
        stage
            .browser
            .eval("document.querySelector('.problem-group .badge').innerText"),
        "Rejected"
    );
    stage.browser.click(".problem-group summary");
    stage.browser.wait("document.querySelector('.problem-group[open] .problem-body a[href^=\"/requests/\"]') !== null");
    stage.screenshot("problems");
    stage
        .browser
        .wait("Number(document.querySelector('.rail .count').innerText) > 0");
    stage
        .browser
        .click(".problem-group[open] a[href^='/requests/']");
    stage
        .browser
        .wait("location.pathname.startsWith('/requests/')");
    stage.browser.wait_text("400");
    stage.screenshot("request");
    stage.open("/requests");
    stage
        .browser
        .wait("document.querySelectorAll('.request-columns.row').length === 2");
    stage.browser.click("main .bar .button");
    stage
        .browser
        .wait("new URLSearchParams(location.search).get('problems') === 'true'");
    stage.browser.click(".request-columns.row");
    stage
        .browser
        .wait("location.pathname.startsWith('/requests/')");
    stage.done();
}

#[test]
fn a_trace_that_is_not_here_says_so_and_appears_when_it_comes() {
    let mut stage = Stage::new();
    stage.open(&format!("/trace/{:032x}", 0x5001));
    stage.browser.wait_text("This trace is not here");
    // The answer of 404 is noted by the browser; nothing else is.
    let trouble = stage.browser.trouble();
    assert!(
        trouble.iter().all(|line| line.contains("404")),
        "{trouble:#?}"
    );
    stage
        .browser
        .wait("document.querySelector('.connection').innerText.includes('Live')");
    stage.send(feed::checkout(1, false));
    stage
        .browser
        .wait("document.querySelectorAll('.span-row').length > 5");
}

#[test]
fn a_root_that_has_not_come_is_said_to_be_missing() {
    let mut stage = Stage::new();
    let mut chunks = feed::checkout(1, false);
    chunks.remove(0);
    stage.send(chunks);
    stage.open("/");
    stage.browser.wait_text("root still missing");
    stage.browser.click(".grid .row");
    stage.browser.wait_text("The root has not arrived");
    stage.done();
}

#[test]
fn ten_thousand_spans_open_as_a_window_of_rows() {
    let mut stage = Stage::new();
    stage.send(vec![feed::wide(0x99, 10_000)]);
    stage.open(&format!("/trace/{:032x}", 0x99));
    stage
        .browser
        .wait("document.querySelectorAll('.span-row').length > 10");
    let total = stage
        .browser
        .eval("Number(document.querySelector('.waterfall .grid').getAttribute('aria-rowcount'))")
        .as_u64()
        .expect("a count");
    assert!(total >= 100, "{total} rows");
    let few = "document.querySelectorAll('.span-row').length < 80";
    assert_eq!(stage.browser.eval(few), true);
    stage
        .browser
        .eval("document.querySelector('.waterfall .grid').scrollTop = 1e9");
    stage.browser.wait(&format!("[...document.querySelectorAll('.span-row')].some((row) => Number(row.dataset.index) === {})", total - 1));
    assert_eq!(stage.browser.eval(few), true);
    stage
        .browser
        .eval("document.querySelector('.waterfall .grid').focus()");
    stage.browser.press(&["Home", "ArrowDown", "ArrowRight"]);
    stage.browser.wait(&format!(
        "Number(document.querySelector('.waterfall .grid').getAttribute('aria-rowcount')) > {total}"
    ));
    stage.screenshot("ten-thousand");
    stage.done();
}

#[test]
fn text_of_programs_is_only_ever_text() {
    let mut stage = Stage::new();
    stage.send(vec![feed::hostile(0xbad)]);
    let path = "/v0.4/%3Cimg%20src=x%20onerror=document.title='owned'%3E";
    feed::post(&stage.agent.address, path, "application/json", b"{}", 0);
    let trace = format!("/trace/{:032x}", 0xbad);
    let span = format!("{trace}?span={}", 0xbad * 10);
    let mut places = vec![
        "/".to_owned(),
        "/map".into(),
        "/live".into(),
        "/problems".into(),
        "/requests".into(),
        "/requests/1".into(),
        trace.clone(),
    ];
    places.extend(
        ["overview", "tags", "events", "links", "problems", "raw"]
            .map(|tab| format!("{span}&tab={tab}")),
    );
    places.extend(["flame", "table"].map(|view| format!("{trace}?view={view}")));
    for place in places {
        stage.open(&place);
        stage.browser.wait("document.querySelector('main .row, main .map, main .empty, main details, main .pairs, main .none, main .events, main table, main canvas') !== null");
        if place.contains("span=") {
            stage
                .browser
                .wait("document.querySelector('.detail [role=tabpanel]') !== null");
        }
        assert_eq!(
            stage
                .browser
                .eval("document.querySelectorAll('main img').length"),
            0,
            "{place}"
        );
        assert_ne!(stage.browser.eval("document.title"), "owned", "{place}");
    }
    stage.open(&span);
    stage.browser.wait_text(feed::MARKUP);
    // Right-to-left text stays inside its own element.
    stage.open(&format!("{span}&tab=tags"));
    stage.browser.wait("[...document.querySelectorAll('.pairs bdi')].some((text) => text.innerText.includes('שלום'))");
    stage.done();
}

#[test]
fn a_call_under_the_name_of_its_integration_is_its_callers_on_the_map() {
    let mut stage = Stage::new();
    let origin = feed::now() - 2_000_000_000;
    let root = Span::new(7, 70, 0, "storefront", "axum.request", "GET /").from(origin, 0, 9_000);
    let call = Span::new(7, 71, 70, "reqwest", "reqwest.request", "GET /stock");
    let call = call
        .from(origin, 1_000, 7_000)
        .kind("http", "client")
        .tag("_dd.base_service", "storefront");
    let entry = Span::new(7, 72, 71, "warehouse", "axum.request", "GET /stock");
    let entry = entry.from(origin, 2_000, 5_000).kind("web", "server");
    stage.send(vec![vec![root.first(), call], vec![entry.first()]]);
    stage.open("/map");
    stage
        .browser
        .wait("document.querySelectorAll('.map .edge').length === 1");
    let nodes = stage.browser.eval(
        "[...document.querySelectorAll('.map .node')].map((node) => node.dataset.focus).join()",
    );
    assert_eq!(nodes, "node storefront,node warehouse");
    stage.done();
}
