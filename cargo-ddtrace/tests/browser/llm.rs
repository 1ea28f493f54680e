//! LLM: the list, one trace with its conversation, sessions, evaluations, prompts, experiments.

use serde_json::json;

use super::Stage;
use super::feed::MARKUP;
use super::llm_feed::{evaluation, evaluations, experiment, span, spans, support};

#[test]
fn the_failing_step_is_found_from_the_list() {
    let mut stage = Stage::new();
    stage.open("/llm");
    stage.browser.wait_text("No LLM spans yet");
    // A page that is open sees traces as they come.
    support(&stage.agent.address);
    stage
        .browser
        .wait("document.querySelectorAll('main tbody tr').length === 3");
    let row = stage
        .browser
        .eval("document.querySelectorAll('main tbody tr')[2].innerText");
    for said in [
        "support.answer",
        "Where is my order 4711?",
        "gpt-4o-2024-08-06",
        "1,902",
        "238",
        "≈ $0.0071",
        "310 ms",
        "2.4 s",
        "helpful",
    ] {
        assert!(row.as_str().unwrap().contains(said), "{said}: {row}");
    }
    stage.screenshot("llm");
    stage.browser.click("main tbody a.main-link");
    stage.browser.wait("location.pathname.startsWith('/llm/')");
    // What failed is chosen without asking, and marked in the tree.
    stage.browser.wait_text("order 4711 is not known");
    stage.browser.wait(
        "document.querySelector('.llm-span[aria-current]')?.getAttribute('aria-label') === 'tool lookup_order, 30 ms, failed'",
    );
    assert_eq!(
        stage
            .browser
            .eval("document.querySelectorAll('.llm-span.is-error').length"),
        2
    );
    stage.screenshot("llm-failed");
    stage.done();
}

#[test]
fn a_conversation_is_read_with_its_tools_and_evaluations() {
    let mut stage = Stage::new();
    support(&stage.agent.address);
    stage.open(&format!("/llm/{:032x}?span=1005", 1));
    stage.browser.wait_text("shipped with Northern Post");
    let roles = stage.browser.eval("[...document.querySelectorAll('.llm-message')].map((message) => message.querySelector('.llm-role').innerText.toLowerCase())");
    assert_eq!(
        roles,
        json!(["system", "user", "assistant", "tool", "assistant"])
    );
    stage.browser.wait_text("lookup_order");
    stage.browser.wait_text("friendly");
    stage.browser.wait_text("answer");
    // What a model writes stays as it wrote it.
    stage.browser.wait_text("**tomorrow**");
    stage.screenshot("llm-conversation");
    let names = stage.browser.eval("[...document.querySelectorAll('.llm-span')].map((span) => span.style.getPropertyValue('--depth') + ' ' + span.querySelector('.llm-span-head > .clip').innerText)");
    assert_eq!(
        names,
        json!([
            "0 support.answer",
            "1 docs.search",
            "1 openai.chat",
            "1 lookup_order",
            "1 openai.chat"
        ])
    );
    // By the keyboard: up to the tool, then to the first call.
    stage.browser.press(&["k"]);
    stage.browser.wait("location.search === '?span=1004'");
    stage.browser.wait_text("shipped");
    stage.browser.press(&["k"]);
    stage.browser.press(&["k"]);
    stage.browser.wait("location.search === '?span=1002'");
    stage.browser.wait_text("shipping.md");
    stage.browser.wait_text("0.91");
    stage.done();
}

#[test]
fn sessions_evaluations_and_prompts_are_views_of_the_same() {
    let mut stage = Stage::new();
    support(&stage.agent.address);
    stage.open("/llm?view=sessions");
    stage.browser.wait_text("s-42");
    stage.browser.click("main tbody a.main-link");
    stage.browser.wait_text("Turn 3");
    let turns = stage.browser.eval("[...document.querySelectorAll('.llm-turn')].map((turn) => turn.querySelector('.llm-text').innerText)");
    assert_eq!(
        turns,
        json!([
            "Where is my order 4711?",
            "Can I still change its address?",
            "Then tell me what is in it"
        ])
    );
    stage.screenshot("llm-session");
    stage.open("/llm?view=evaluations");
    stage.browser.wait_text("mean 0.65");
    assert_eq!(
        stage
            .browser
            .eval("document.querySelectorAll('main table')[0].querySelectorAll('tbody tr').length"),
        3
    );
    stage.screenshot("llm-evaluations");
    stage.open("/llm?view=prompts");
    stage
        .browser
        .wait_text("Answer {{question}} from {{context}}.");
    let versions = stage.browser.eval("[...document.querySelectorAll('main tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText).filter((_, at) => [0, 2, 3].includes(at)))");
    assert_eq!(versions, json!([["v2", "2", "0"], ["v3", "3", "0"]]));
    stage.screenshot("llm-prompts");
    stage.done();
}

#[test]
fn an_experiment_shows_where_its_runs_differ() {
    let mut stage = Stage::new();
    let id = experiment(&stage.agent.address);
    stage.open("/llm?view=experiments");
    stage.browser.wait_text("prompt 3");
    stage.browser.wait_text("questions");
    stage.browser.wait_text("mean 0.833");
    stage.screenshot("llm-experiments");
    stage.browser.click("main tbody a.main-link");
    stage
        .browser
        .wait(&format!("location.pathname === '/llm/experiment/{id}'"));
    stage.browser.wait_text("≠ run 1");
    let first = stage
        .browser
        .eval("document.querySelector('.llm-experiment tbody tr').innerText");
    for said in ["Do you ship abroad?", "yes, everywhere", "no"] {
        assert!(first.as_str().unwrap().contains(said), "{said}: {first}");
    }
    assert_eq!(
        stage
            .browser
            .eval("document.querySelectorAll('.llm-experiment tbody tr').length"),
        3
    );
    stage.screenshot("llm-experiment");
    stage.done();
}

#[test]
fn what_a_model_says_is_text_and_small_screens_hold_the_page() {
    let mut stage = Stage::sized(375, 720);
    let meta = json!({"model_name": MARKUP, "model_provider": MARKUP, "input": {"messages": [{"role": MARKUP, "content": MARKUP, "tool_calls": [{"name": MARKUP, "arguments": {MARKUP: MARKUP}, "tool_id": MARKUP}]}],
        "prompt": {"id": MARKUP, "version": MARKUP, "template": MARKUP, "variables": {MARKUP: MARKUP}}},
        "output": {"documents": [{"text": MARKUP, "name": MARKUP, "score": 0.5}]}, "error": {"type": MARKUP, "message": MARKUP, "stack": MARKUP}, "metadata": {MARKUP: MARKUP}});
    let mut event = span(1, 1, 0, "llm", MARKUP, (0, 10), meta);
    event["tags"] = json!([format!("ml_app:{MARKUP}"), format!("session_id:{MARKUP}")]);
    event["session_id"] = json!(MARKUP);
    spans(&stage.agent.address, &[event]);
    evaluations(
        &stage.agent.address,
        &[evaluation(
            1,
            1,
            MARKUP,
            "categorical",
            json!(MARKUP),
            Some("fail"),
            MARKUP,
        )],
    );
    for page in [
        "",
        "?view=sessions",
        "?view=evaluations",
        "?view=prompts",
        "/00000000000000000000000000000001",
    ] {
        stage.open(&format!("/llm{page}"));
        stage.browser.wait_text("<img src=x");
        assert_eq!(stage.browser.eval("document.title"), "LLM · ddtrace");
        assert_eq!(
            stage
                .browser
                .eval("document.documentElement.scrollWidth <= 375"),
            true,
            "{page}"
        );
    }
    stage.done();
}

#[test]
fn a_long_text_is_cut_and_comes_when_it_is_asked_for() {
    let mut stage = Stage::new();
    let long = format!("{} the end", "word ".repeat(4000));
    spans(
        &stage.agent.address,
        &[span(
            1,
            1,
            0,
            "workflow",
            "long",
            (0, 10),
            json!({"input": {"value": long}}),
        )],
    );
    stage.open(&format!("/llm/{:032x}", 1));
    stage.browser.wait_text("Long texts are cut here");
    assert_eq!(
        stage
            .browser
            .eval("document.body.innerText.includes('the end')"),
        false
    );
    stage.browser.click(".llm-detail .note .button");
    stage
        .browser
        .wait("document.querySelector('.llm-detail .note') === null");
    stage.browser.click(".llm-text .button");
    stage.browser.wait_text("the end");
    stage.done();
}
