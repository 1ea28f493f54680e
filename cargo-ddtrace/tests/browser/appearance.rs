//! Themes, contrast, small screens, less motion.

use super::Stage;
use super::{feed, llm_feed, streams_feed};

/// Every text whose contrast with what lies behind it is under 4.5, as `text: ratio`. Colours come out of the
/// browser in whatever notation was written, so a canvas turns them into numbers.
const CONTRAST: &str = r"
(() => {
  const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => { context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1); const d = context.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = (c) => { const [r, g, b] = c.map((v) => { const s = v / 255; return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (node) => { const layers = []; for (let at = node; at; at = at.parentElement) { const colour = rgba(getComputedStyle(at).backgroundColor); layers.push(colour); if (colour[3] === 1) break; } return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]); };
  const bad = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || node.closest('svg, .unseen, .skip, [hidden], option, noscript') || node.getClientRects().length === 0) continue;
    const ground = behind(node);
    const ink = over(rgba(getComputedStyle(node).color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.add(`${text.slice(0, 30)} (${node.className}): ${ratio.toFixed(2)}`);
  }
  return [...bad];
})()";

#[test]
fn text_has_contrast_on_every_page_in_both_themes() {
    let mut stage = Stage::new();
    for number in 0..6 {
        stage.send(feed::checkout(number, number % 2 == 1));
    }
    feed::post(
        &stage.agent.address,
        "/v0.4/traces",
        "application/msgpack",
        b"\x91\x91\x81\xa4name",
        1,
    );
    streams_feed::shop(&stage.agent.address);
    llm_feed::support(&stage.agent.address);
    llm_feed::experiment(&stage.agent.address);
    let call = format!("/llm/{:032x}?span=1005", 1);
    let trace = format!("/trace/{:032x}", 0x5001);
    let span = format!("{trace}?span={}", 0x5001 * 1000 + 5);
    let places = [
        ("/", "traces"),
        (&trace, "trace"),
        (&span, "span"),
        ("/map?node=payments", "map"),
        ("/problems", "problems"),
        ("/requests", "requests"),
        ("/streams", "streams"),
        ("/streams?view=lag", "streams-lag"),
        ("/streams?view=pathways", "streams-pathways"),
        ("/llm", "llm"),
        (&call, "llm-call"),
        ("/llm?view=evaluations", "llm-evaluations"),
        ("/llm?view=experiments", "llm-experiments"),
        ("/llm/session/s-42", "llm-session"),
    ];
    for scheme in ["light", "dark"] {
        stage.browser.prefer(scheme, true);
        for (place, name) in places {
            stage.open(place);
            stage.browser.wait(
                "document.querySelector('main .row, main .map, main .problem-group, main table, main .llm-message') !== null",
            );
            if place.starts_with("/trace/") && place.contains("span=") {
                stage
                    .browser
                    .wait("document.querySelector('.detail [role=tabpanel] .pairs') !== null");
            }
            let bad = stage.browser.eval(CONTRAST);
            assert_eq!(bad, serde_json::json!([]), "{place} in {scheme}");
            stage.screenshot(&format!("{name}-{scheme}"));
        }
    }
    stage.done();
}

#[test]
fn the_theme_follows_the_system_until_it_is_switched() {
    let mut stage = Stage::new();
    let ground = "getComputedStyle(document.querySelector('main')).backgroundColor";
    stage.browser.prefer("dark", true);
    stage.open("/");
    stage
        .browser
        .wait("document.querySelector('main .empty') !== null");
    let dark = stage.browser.eval(ground);
    stage.browser.prefer("light", true);
    let light = stage.browser.eval(ground);
    assert_ne!(dark, light);
    // System, then light, then dark.
    stage.browser.press(&["t", "t"]);
    assert_eq!(stage.browser.eval(ground), dark);
    stage.open("/");
    stage
        .browser
        .wait("document.querySelector('main .empty') !== null");
    assert_eq!(stage.browser.eval(ground), dark, "the choice is kept");
    stage.browser.press(&["t"]);
    assert_eq!(stage.browser.eval(ground), light);
    stage.done();
}

#[test]
fn everything_fits_on_a_narrow_screen() {
    let mut stage = Stage::sized(375, 740);
    for number in 0..4 {
        stage.send(feed::checkout(number, number == 1));
    }
    streams_feed::shop(&stage.agent.address);
    llm_feed::support(&stage.agent.address);
    llm_feed::experiment(&stage.agent.address);
    let call = format!("/llm/{:032x}?span=1005", 1);
    let trace = format!("/trace/{:032x}", 0x5001);
    let span = format!("{trace}?span={}", 0x5001 * 1000 + 5);
    for (place, name) in [
        ("/", "traces"),
        (trace.as_str(), "trace"),
        (&span, "span"),
        ("/map", "map"),
        ("/problems", "problems"),
        ("/requests", "requests"),
        ("/live", "live"),
        ("/settings", "settings"),
        ("/tests", "tests"),
        ("/streams", "streams"),
        ("/streams?view=lag", "streams-lag"),
        ("/streams?view=pathways", "streams-pathways"),
        ("/llm", "llm"),
        (&call, "llm-call"),
        ("/llm?view=prompts", "llm-prompts"),
        ("/llm/session/s-42", "llm-session"),
    ] {
        stage.open(place);
        stage.browser.wait("document.querySelector('main .row, main .map, main .problem-group, main .empty, main table, main .llm-message') !== null");
        assert_eq!(
            stage.browser.eval("document.documentElement.scrollWidth"),
            375,
            "{place} is wider than the screen"
        );
        let outside = stage.browser.eval(
            "[...document.querySelectorAll('main .bar :is(button, input, select, a), .rail a')].filter((node) => { const box = node.getBoundingClientRect(); \
             return box.width > 0 && (box.right > 376 || box.left < -1); }).map((node) => node.className + ' ' + node.innerText)",
        );
        assert_eq!(outside, serde_json::json!([]), "{place}: out of sight");
        stage.screenshot(&format!("narrow-{name}"));
    }
    stage.open(&trace);
    stage.browser.click(".span-row");
    stage
        .browser
        .wait("document.querySelector('.detail:not([hidden]) [role=tabpanel]') !== null");
    stage.done();
}

#[test]
fn nothing_moves_for_those_who_asked_for_less_motion() {
    let mut stage = Stage::new();
    stage.send(vec![vec![feed::Span::new(
        9, 9, 0, "lonely", "work", "work",
    )]]);
    stage.browser.prefer("light", true);
    stage.open("/problems");
    stage
        .browser
        .wait("document.querySelector('.problem-group') !== null");
    let moving = "[...document.querySelectorAll('*')].filter((node) => { const style = getComputedStyle(node); \
                  return style.transitionDuration.split(', ').some((one) => one !== '0s') || style.animationName !== 'none'; }).length";
    assert_eq!(stage.browser.eval(moving), 0);
    stage.done();
}
