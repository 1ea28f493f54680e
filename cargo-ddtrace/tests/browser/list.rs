//! The list of traces: searched, filtered, live, grouped, compared; and how little it asks for.

use serde_json::json;

use super::feed;
use super::{Stage, screenshots};

#[test]
fn the_list_is_searched_filtered_and_says_where_a_query_is_wrong() {
    let mut stage = Stage::new();
    for number in 0..6 {
        stage.send(feed::checkout(number, number % 3 == 0));
    }
    stage.send(vec![feed::wide(0x77, 30)]);
    stage.open("/");
    stage.browser.wait_text("7 traces");
    stage.browser.press(&["/"]);
    stage
        .browser
        .wait("document.activeElement.type === 'search'");
    stage.browser.type_text("service:payments status:error");
    stage.browser.press(&["Enter"]);
    stage.browser.wait_text("2 traces of 7");
    assert_eq!(
        stage
            .browser
            .eval("new URLSearchParams(location.search).get('q')"),
        "service:payments status:error"
    );
    stage.browser.eval("history.back()");
    stage.browser.wait_text("7 traces");
    // Only errors.
    stage.browser.press(&["Escape", "e"]);
    stage
        .browser
        .wait("document.querySelectorAll('.grid .row').length === 2");
    stage.open("/?service=importer");
    stage
        .browser
        .wait("document.querySelectorAll('.grid .row').length === 1");
    stage.open("/?q=service:");
    stage
        .browser
        .wait("document.querySelector('main [role=alert]:not([hidden])')?.innerText");
    stage.browser.wait(
        "document.querySelector('main input[type=search]').getAttribute('aria-invalid') === 'true'",
    );
    // The refusal is an answer of 400, which the browser notes; nothing else may be there.
    let trouble = stage.browser.trouble();
    assert!(
        trouble.iter().all(|line| line.contains("400")),
        "{trouble:#?}"
    );
}

#[test]
fn the_list_is_live_and_can_be_paused() {
    let mut stage = Stage::new();
    stage.open("/");
    stage
        .browser
        .wait("document.querySelector('main .empty') !== null");
    stage
        .browser
        .wait("document.querySelector('.connection').innerText.includes('Live')");
    stage.send(feed::checkout(1, false));
    stage
        .browser
        .wait("document.querySelectorAll('.grid .row').length === 1");
    stage.browser.press(&[" "]);
    stage
        .browser
        .wait("document.querySelector('.pause').innerText.includes('Paused')");
    stage.send(feed::checkout(2, false));
    // The status goes on while the list rests; once it knows of the second trace, the list still must not.
    stage.browser.wait("fetch('/api/status').then((answer) => answer.json()).then((status) => status.counts.traces === 2)");
    assert_eq!(
        stage
            .browser
            .eval("document.querySelectorAll('.grid .row').length"),
        1
    );
    stage.browser.press(&[" "]);
    stage
        .browser
        .wait("document.querySelectorAll('.grid .row').length === 2");
    // While the pointer is in the list its rows stay where they are, and new ones announce themselves.
    let row = stage.browser.eval("(() => { const box = document.querySelector('.grid .row').getBoundingClientRect(); return [box.x + 200, box.y + 8]; })()");
    stage.browser.hover(
        row[0].as_f64().expect("a place"),
        row[1].as_f64().expect("a place"),
    );
    stage.send(feed::checkout(3, false));
    stage
        .browser
        .wait("document.querySelector('.newer:not([hidden])')?.innerText === '1 new'");
    assert_eq!(
        stage
            .browser
            .eval("document.querySelectorAll('.grid .row').length"),
        2
    );
    stage.browser.click(".newer");
    stage
        .browser
        .wait("document.querySelectorAll('.grid .row').length === 3");
    stage.done();
}

#[test]
fn the_first_view_asks_for_little_and_pictures_are_kept() {
    let mut stage = Stage::new();
    for number in 0..3 {
        stage.send(feed::checkout(number, number == 1));
    }
    stage.open("/");
    stage
        .browser
        .wait("document.querySelectorAll('.grid .row').length === 3");
    let asked = stage.browser.requested();
    for later in [
        "pages/trace.js",
        "pages/map.js",
        "trace/flame.js",
        "parts/suggestions.js",
    ] {
        assert!(
            !asked.iter().any(|address| address.ends_with(later)),
            "{later} was loaded for the list"
        );
    }
    // The same version again comes out of the browser's cache.
    let version = "document.querySelector('script[type=module]').getAttribute('src')";
    let header = stage.browser.eval(&format!("fetch({version}).then((answer) => answer.headers.get('cache-control') + ' ' + (answer.headers.get('etag') !== null))"));
    assert_eq!(header, json!("public, max-age=31536000, immutable true"));
    stage.screenshot("list");
    assert!(
        screenshots()
            .join("list.png")
            .metadata()
            .is_ok_and(|file| file.len() > 10_000)
    );
    stage.done();
}

#[test]
fn traces_are_grouped_by_resource_and_two_are_compared() {
    let mut stage = Stage::new();
    for number in 0..4 {
        stage.send(feed::checkout(number, number == 1));
    }
    stage.send(vec![feed::wide(0x77, 30)]);
    stage.open("/?group=1");
    stage
        .browser
        .wait("document.querySelectorAll('.groups tbody tr').length === 2");
    stage
        .browser
        .wait("document.querySelector('.groups tbody tr').innerText.includes('1 (25 %)')");
    stage.browser.click(".groups tbody a");
    stage.browser.wait_text("4 traces of 5");
    // The first of two is chosen on its page, the second in the list.
    stage.open(&format!("/trace/{:032x}", 0x5001));
    stage
        .browser
        .wait("document.querySelectorAll('.span-row').length > 5");
    stage.browser.click("a[href^='/?with=']");
    stage.browser.wait_text("Choose the trace to compare with");
    stage.browser.click(".grid .row:not(.has-error) .resource");
    stage.browser.wait("location.pathname === '/compare'");
    stage
        .browser
        .wait("document.querySelectorAll('.compare-columns.row').length > 2");
    stage.screenshot("compare");
    stage.browser.click("[aria-pressed=false]");
    stage
        .browser
        .wait("new URLSearchParams(location.search).get('self') === '1'");
    // A trace differs in nothing from itself.
    stage.open(&format!(
        "/compare?a={:032x}&b={:032x}&different=1",
        0x5002, 0x5002
    ));
    stage.browser.wait_text("These traces have the same spans");
    stage.done();
}
