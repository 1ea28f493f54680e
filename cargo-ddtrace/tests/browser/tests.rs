//! Test runs: what came, what failed and why, and what is wanted of a test.

use serde_json::{Value, json};

use super::Stage;
use super::feed::{self, MARKUP};

/// JSON as msgpack.
fn encode(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => rmp::encode::write_nil(out).unwrap(),
        Value::Bool(value) => rmp::encode::write_bool(out, *value).unwrap(),
        Value::Number(number) => {
            rmp::encode::write_uint(out, number.as_u64().unwrap()).unwrap();
        }
        Value::String(value) => rmp::encode::write_str(out, value).unwrap(),
        Value::Array(values) => {
            rmp::encode::write_array_len(out, values.len() as u32).unwrap();
            values.iter().for_each(|value| encode(out, value));
        }
        Value::Object(map) => {
            rmp::encode::write_map_len(out, map.len() as u32).unwrap();
            for (key, value) in map {
                rmp::encode::write_str(out, key).unwrap();
                encode(out, value);
            }
        }
    }
}

/// Sends a session whose tests are given by name, status and error.
fn session(stage: &Stage, id: u64, tests: &[(&str, &str, &str)], status: &str) {
    let start = 1_700_000_000_000_000_000_u64 + id * 1_000_000_000;
    let mut events: Vec<Value> = (1..)
        .zip(tests)
        .map(|(span, (name, status, error))| {
            json!({"type": "test", "version": 2, "content": {
                "test_session_id": id, "span_id": id * 1000 + span, "start": start, "duration": 2_000_000,
                "meta": {"test.module": "shop", "test.suite": "cart", "test.name": name, "test.status": status,
                    "error.type": if error.is_empty() { "" } else { "panic" }, "error.message": error,
                    "error.stack": if error.is_empty() { String::new() } else { format!("thread '{name}' panicked at src/cart.rs:42:5:") },
                    "test.source.file": "src/cart.rs"},
                "metrics": {"test.source.start": 40, "test.source.end": 44}}})
        })
        .collect();
    events.push(
        json!({"type": "test_session_end", "version": 1, "content": {
        "test_session_id": id, "start": start, "duration": 5_000_000, "meta": {"test.status": status}}}),
    );
    let metadata = json!({"*": {"test.command": "cargo test", "git.branch": "main", "git.commit.sha": "3f2a1c9", "service.name": "shop"}});
    let mut body = Vec::new();
    encode(
        &mut body,
        &json!({"version": 1, "metadata": metadata, "events": events}),
    );
    let answer = feed::post(
        &stage.agent.address,
        "/evp_proxy/v4/api/v2/citestcycle",
        "application/msgpack",
        &body,
        0,
    );
    assert_eq!(answer.status, 202, "{}", answer.body);
}

#[test]
fn a_failure_is_found_from_the_list_of_runs() {
    let mut stage = Stage::new();
    stage.open("/tests");
    stage.browser.wait_text("No test run yet");
    // A page that is open sees a run as it comes.
    session(
        &stage,
        7,
        &[("adds", "pass", ""), ("total", "pass", "")],
        "pass",
    );
    stage.browser.wait_text("cargo test");
    session(
        &stage,
        8,
        &[
            ("adds", "pass", ""),
            ("total", "fail", MARKUP),
            ("total", "pass", ""),
            ("breaks", "fail", "it is broken"),
        ],
        "fail",
    );
    stage
        .browser
        .wait("document.querySelectorAll('main tbody tr').length === 2");
    let row = stage
        .browser
        .eval("document.querySelector('main tbody tr').innerText");
    for said in ["failed", "main", "3f2a1c9"] {
        assert!(row.as_str().unwrap().contains(said), "{said}: {row}");
    }
    let numbers = stage.browser.eval(
        "[...document.querySelectorAll('main tbody tr')[0].querySelectorAll('.number')].slice(0, 3).map((cell) => cell.innerText)",
    );
    assert_eq!(numbers, json!(["3", "1", "1"]), "tests, failed, flaky");

    stage.browser.click("main tbody a");
    stage.browser.wait("location.pathname === '/tests/8'");
    stage.browser.wait_text("it is broken");
    let names = stage
        .browser
        .eval("[...document.querySelectorAll('main tbody a')].map((link) => link.innerText)");
    assert_eq!(
        names,
        json!(["breaks", "total", "adds"]),
        "failed and flaky ones first"
    );
    stage.browser.click(".segments button:nth-child(3)");
    stage
        .browser
        .wait("document.querySelectorAll('main tbody a').length === 1");
    stage.browser.click("main tbody a");
    stage.browser.wait("location.pathname === '/tests/test'");
    stage.browser.wait_text("flaky in 1");
    // What a test says is shown as text.
    stage.browser.wait_text(MARKUP);
    stage.browser.wait_text("src/cart.rs:42:5");
    stage.browser.wait_text("2 runs of the suite");

    stage.browser.click(".wishes input");
    stage.browser.wait_text("Saved; the next run obeys");
    let wanted = stage.browser.eval(
        "fetch('/api/v2/test/libraries/test-management/tests', {method: 'POST', body: '{}'}).then((answer) => answer.json())",
    );
    assert_eq!(
        wanted["data"]["attributes"]["modules"]["shop"]["suites"]["cart"]["tests"]["total"]["properties"]
            ["quarantined"],
        true
    );
    stage.done();
}

/// Sends what tests of a session reached: span, file, bitmap.
fn coverage(stage: &Stage, session: u64, reached: &[(u64, &str, &[u8])]) {
    let mut body = Vec::new();
    rmp::encode::write_map_len(&mut body, 2).unwrap();
    rmp::encode::write_str(&mut body, "version").unwrap();
    rmp::encode::write_uint(&mut body, 2).unwrap();
    rmp::encode::write_str(&mut body, "coverages").unwrap();
    rmp::encode::write_array_len(&mut body, reached.len() as u32).unwrap();
    for (span, file, bitmap) in reached {
        rmp::encode::write_map_len(&mut body, 3).unwrap();
        for (key, id) in [("test_session_id", session), ("span_id", *span)] {
            rmp::encode::write_str(&mut body, key).unwrap();
            rmp::encode::write_uint(&mut body, id).unwrap();
        }
        rmp::encode::write_str(&mut body, "files").unwrap();
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 2).unwrap();
        rmp::encode::write_str(&mut body, "filename").unwrap();
        rmp::encode::write_str(&mut body, file).unwrap();
        rmp::encode::write_str(&mut body, "bitmap").unwrap();
        rmp::encode::write_bin(&mut body, bitmap).unwrap();
    }
    let part = |name: &str, content: &[u8]| {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    };
    let form = [
        part("event", b"{\"dummy\":true}"),
        part("coverage1", &body),
        b"--b--\r\n".to_vec(),
    ];
    let answer = feed::post(
        &stage.agent.address,
        "/evp_proxy/v4/api/v2/citestcov",
        "multipart/form-data; boundary=b",
        &form.concat(),
        0,
    );
    assert_eq!(answer.status, 202, "{}", answer.body);
}

#[test]
fn covered_lines_lead_to_the_tests_that_reach_them() {
    let mut stage = Stage::new();
    session(
        &stage,
        9,
        &[
            ("adds", "pass", ""),
            ("total", "pass", ""),
            ("other", "pass", ""),
        ],
        "pass",
    );
    // Bit n of a bitmap is line n: 1 to 3 and 7; 2 and 3; 8 (spec/ci-visibility.md §6.7).
    let reached: [(u64, &str, &[u8]); 3] = [
        (9001, "/src/cart.rs", &[0x71]),
        (9002, "/src/cart.rs", &[0x30]),
        (9002, "/src/price.rs", &[0x00, 0x80]),
    ];
    coverage(&stage, 9, &reached);
    stage.open("/tests/9");
    stage.browser.wait_text("Coverage");
    stage.browser.click("main .bar a[href$='view=coverage']");
    stage
        .browser
        .wait_text("5 lines in 2 files reached by 2 tests");
    stage.browser.wait_text("1 test sent no coverage");
    let rows = stage.browser.eval("[...document.querySelectorAll('main tbody tr')].map((row) => [row.cells[0].innerText, row.cells[1].firstChild.getAttribute('aria-label'), row.cells[2].innerText, row.cells[3].innerText])");
    assert_eq!(
        rows,
        json!([
            ["src/cart.rs", "lines 1, 2–3, 7", "4", "2"],
            ["src/price.rs", "lines 8", "1", "1"]
        ])
    );
    stage.screenshot("tests-coverage");
    stage.browser.click("main tbody a");
    stage.browser.wait("location.search.includes('file=')");
    stage.browser.wait_text("4 lines reached by 2 tests");
    let tests = stage.browser.eval("[...document.querySelectorAll('main section')[0].querySelectorAll('tbody tr')].map((row) => [row.querySelector('a').innerText, row.cells[2].innerText])");
    assert_eq!(tests, json!([["adds", "4"], ["total", "2"]]));
    let lines = stage.browser.eval("[...document.querySelectorAll('main section')[1].querySelectorAll('tbody tr')].map((row) => [row.cells[0].innerText, row.cells[1].innerText])");
    assert_eq!(lines, json!([["1", "1"], ["2–3", "2"], ["7", "1"]]));
    stage.screenshot("tests-coverage-file");
    // From the file to a test, and back from what it reached.
    stage.browser.click("main section tbody a");
    stage.browser.wait_text("Reached 1 file");
    stage.browser.wait_text("1–3, 7");
    stage.browser.click(".covered a");
    stage.browser.wait_text("4 lines reached by 2 tests");
    stage.done();
}
