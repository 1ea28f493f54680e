//! Pushing settings and files from the page, and seeing what became of them.

use serde_json::{Value, json};

use super::Stage;
use super::feed::{self, MARKUP};

/// A program that asks for settings, as far as the page can tell.
fn ask(stage: &Stage, service: &str, state: &Value) {
    let body = json!({
        "client": {
            "id": format!("client of {service}"),
            "products": ["APM_TRACING", "KETTLE"],
            "client_tracer": {"runtime_id": "6f0c2b5e-0000-4000-8000-000000000001", "service": service, "env": "dev", "language": "rust"},
            "state": state,
            // 12, 13, 14, 15, 19, 29 and 45.
            "capabilities": [0x20, 0, 0x20, 0x08, 0xf0, 0],
        },
        "cached_target_files": [],
    });
    let body = body.to_string();
    let answer = feed::post(
        &stage.agent.address,
        "/v0.7/config",
        "application/json",
        body.as_bytes(),
        0,
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// What the program says about the first file.
fn state(id: &str, product: &str, version: u64, state: u64, error: &str) -> Value {
    json!({"config_states": [
        {"id": id, "product": product, "version": version, "apply_state": state, "apply_error": error},
    ]})
}

/// What was pushed, from the API.
fn pushed(stage: &mut Stage) -> Value {
    stage.browser.eval(
        "fetch('/api/remote-config').then((answer) => answer.json()).then((shown) => shown.files)",
    )
}

#[test]
fn a_setting_is_pushed_seen_applied_and_taken_back() {
    let mut stage = Stage::new();
    ask(&stage, "shop", &json!({}));
    stage.open("/settings");
    stage.browser.wait_text("Nothing is set yet.");
    stage.browser.wait("[...document.querySelectorAll('[aria-label=For] option')].some((option) => option.textContent === 'Service shop in dev')");
    stage.browser.eval("{ const select = document.querySelector('[aria-label=For]'); select.value = [...select.options].find((option) => option.textContent === 'Service shop in dev').value; select.dispatchEvent(new Event('change')); }");
    stage.browser.click("[name=tracing_sampling_rate]");
    stage.browser.type_text("0.25");
    stage.browser.click("[name=tracing_tags]");
    stage.browser.type_text("team:a, region:eu");
    stage.browser.click("[name=tracing_header_tags]");
    stage.browser.type_text("X-Id:id, Host");
    stage.browser.eval("{ const select = document.querySelector('[name=log_injection_enabled]'); select.value = 'false'; select.dispatchEvent(new Event('change')); }");
    stage
        .browser
        .wait("document.querySelector('.preview').innerText.includes('log_injection_enabled')");
    stage.screenshot("settings-form");
    stage.browser.click(".settings .button.main");
    stage.browser.wait(
        "document.querySelector('[data-state=sent], [aria-label=\"Pushed files\"] td') !== null",
    );
    let files = pushed(&mut stage);
    assert_eq!(
        files[0]["path"],
        "datadog/2/APM_TRACING/settings-shop-dev/config"
    );
    assert_eq!(
        files[0]["target"],
        json!({"service": "shop", "env": "dev", "runtime_id": null})
    );
    let content: Value = serde_json::from_str(files[0]["content"].as_str().unwrap()).unwrap();
    assert_eq!(
        content,
        json!({
            "action": "enable",
            "service_target": {"service": "shop", "env": "dev"},
            "lib_config": {
                "tracing_sampling_rate": 0.25,
                "tracing_tags": ["team:a", "region:eu"],
                "tracing_header_tags": [{"header": "X-Id", "tag_name": "id"}, {"header": "Host", "tag_name": ""}],
                "log_injection_enabled": false,
            },
        })
    );
    // The page follows what the program says, without being loaded again.
    ask(&stage, "shop", &json!({}));
    stage
        .browser
        .wait("document.querySelector('[data-state=sent]') !== null");
    let id = "settings-shop-dev";
    ask(
        &stage,
        "shop",
        &state(id, "APM_TRACING", 1, 3, "rule 2 has no matcher"),
    );
    stage.browser.wait(
        "document.querySelector('[data-state=error]')?.innerText.includes('rule 2 has no matcher')",
    );
    ask(&stage, "shop", &state(id, "APM_TRACING", 1, 2, ""));
    stage
        .browser
        .wait("document.querySelector('[data-state=applied]')?.innerText.includes('after ')");
    stage.screenshot("settings-applied");
    stage.browser.prefer("dark", true);
    stage.screenshot("settings-applied-dark");
    stage
        .browser
        .click("[aria-label^='Take back datadog/2/APM_TRACING']");
    stage.browser.wait_text("1 file taken back");
    assert_eq!(pushed(&mut stage), json!([]));
    ask(&stage, "shop", &state(id, "APM_TRACING", 1, 2, ""));
    stage
        .browser
        .wait("document.querySelector('[data-state=withdrawn]') !== null");
    ask(&stage, "shop", &json!({}));
    stage
        .browser
        .wait("document.querySelector('.file-state') === null");
    stage.done();
}

#[test]
fn a_file_for_any_product_is_pushed_as_it_is_or_refused_with_a_sentence() {
    let mut stage = Stage::new();
    ask(&stage, "shop", &json!({}));
    stage.open("/settings");
    stage
        .browser
        .wait("document.querySelector('.settings') !== null");
    let fill = |stage: &mut Stage, product: &str, content: &str| {
        stage.browser.eval(&format!(
            "{{ const [product] = document.querySelectorAll('[aria-label=Product]'); product.value = {}; \
             document.querySelector('.settings-columns section:last-child textarea').value = {}; }}",
            json!(product), json!(content)
        ));
        stage
            .browser
            .click(".settings-columns section:last-child button");
    };
    fill(&mut stage, "ASM_DD", "{}");
    stage
        .browser
        .wait_text("Not pushed: shop does not ask for ASM_DD.");
    fill(&mut stage, "KETTLE", "{ as it is");
    stage
        .browser
        .wait_text("Pushed datadog/2/KETTLE/by-hand/config");
    assert_eq!(pushed(&mut stage)[0]["content"], "{ as it is");
    stage.browser.click("[type=checkbox]");
    fill(&mut stage, "ASM_DD", "{}");
    stage
        .browser
        .wait_text("Pushed datadog/2/ASM_DD/by-hand/config");
    stage.browser.click(".bar button");
    stage.browser.wait_text("2 files taken back");
    assert_eq!(pushed(&mut stage), json!([]));
    // Browsers write a line about every refusal, whatever the page makes of it.
    let refusal =
        "log: \"Failed to load resource: the server responded with a status of 409 (Conflict)\"";
    assert_eq!(stage.browser.trouble(), [refusal]);
}

#[test]
fn what_is_wrong_with_the_form_is_said_before_anything_is_pushed() {
    let mut stage = Stage::new();
    stage.open("/settings");
    stage
        .browser
        .wait("document.querySelector('.settings') !== null");
    for (field, text, expected) in [
        (
            "tracing_sampling_rate",
            "2",
            "The sampling rate is a number from 0 to 1.",
        ),
        (
            "tracing_sampling_rules",
            "{}",
            "The sampling rules are a list.",
        ),
        (
            "tracing_sampling_rules",
            "[",
            "The sampling rules are no JSON",
        ),
    ] {
        let fill = |text: &str| {
            format!(
                "{{ const field = document.querySelector('[name={field}]'); field.value = {}; field.dispatchEvent(new Event('input')); }}",
                json!(text)
            )
        };
        stage.browser.eval(&fill(text));
        stage.browser.wait(&format!(
            "document.querySelector('.preview').innerText.includes({})",
            json!(expected)
        ));
        assert_eq!(
            stage
                .browser
                .eval("document.querySelector('.settings .button.main').disabled"),
            true
        );
        stage.browser.eval(&fill(""));
    }
    stage.done();
}

#[test]
fn texts_of_programs_and_files_are_only_ever_text() {
    let mut stage = Stage::new();
    ask(&stage, MARKUP, &json!({"has_error": true, "error": MARKUP}));
    stage.open("/settings");
    stage
        .browser
        .wait("document.querySelector('.service')?.innerText.includes('<img')");
    stage.browser.eval(&format!(
        "document.querySelector('.settings-columns section:last-child textarea').value = {}",
        json!(MARKUP)
    ));
    stage
        .browser
        .click(".settings-columns section:last-child button");
    stage.browser.wait("document.querySelector('[aria-label=\"Pushed files\"] td + td + td + td')?.innerText.includes('<img')");
    ask(&stage, MARKUP, &json!({}));
    ask(
        &stage,
        MARKUP,
        &state("by-hand", "APM_TRACING", 1, 3, MARKUP),
    );
    stage
        .browser
        .wait("document.querySelector('[data-state=error] .bad')?.innerText.includes('<img')");
    assert_eq!(
        stage
            .browser
            .eval("document.querySelectorAll('main img').length"),
        0
    );
    assert_ne!(stage.browser.eval("document.title"), "owned");
    stage.done();
}
