//! With the local agent as backend: what is reported, and what is decided.

use std::path::Path;
use std::process::Command;

use cargo_ddtrace::agent::{Agent, Options};
use serde_json::{Value, json};

use crate::sample::{Ended, ddtrace, eventually, folder, plain, run};

fn local(data: &Path, words: &[&str]) -> Command {
    let mut all = vec![
        "test",
        "--offline",
        "--local",
        // What is decided here does not depend on it.
        "--no-coverage",
        "--data",
        data.to_str().unwrap(),
        "--summary",
        "json",
    ];
    all.extend(words);
    ddtrace(&all)
}

/// The sessions that were kept, newest last, each with its runs.
pub(crate) fn sessions(data: &Path) -> Vec<(Value, Vec<Value>)> {
    let mut files: Vec<_> = std::fs::read_dir(data.join("sessions"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| {
            // An independent reader.
            let output = Command::new("gzip").arg("-dc").arg(file).output().unwrap();
            assert!(output.status.success());
            let text = String::from_utf8(output.stdout).unwrap();
            let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            (lines.next().unwrap(), lines.collect())
        })
        .collect()
}

pub(crate) fn runs<'r>(runs: &'r [Value], name: &str) -> Vec<&'r Value> {
    runs.iter().filter(|run| run["name"] == name).collect()
}

fn assert_ok(ended: &Ended, expected: i32) {
    assert_eq!(
        ended.code(),
        Some(expected),
        "{}\n{}",
        ended.text(),
        ended.err
    );
}

#[test]
fn every_test_is_reported_with_its_place_and_its_failure() {
    let data = tempfile::tempdir().unwrap();
    let ended = run(local(data.path(), &["--workspace", "--no-fail-fast"]));
    assert_ok(&ended, 101);
    let sessions = sessions(data.path());
    let (session, all) = &sessions[0];
    assert_eq!(
        (&session["status"], &session["interrupted"]),
        (&json!("fail"), &json!(false))
    );
    let one = |name: &str| *runs(all, name).last().unwrap();
    // Lines by the text of the sample; a module is named as nextest names its binaries.
    for (name, module, suite, status, lines) in [
        ("passes", "sample", "tests", "pass", (26, 27)),
        ("fails", "sample", "tests", "fail", (29, 33)),
        ("panics_wrongly", "sample", "tests", "fail", (45, 49)),
        ("ignored", "sample", "tests", "skip", (51, 53)),
        ("one", "sample", "tests::nested", "pass", (71, 71)),
        ("two", "sample", "tests::nested", "pass", (72, 74)),
        ("calm", "sample::behaves", "behaves", "pass", (11, 12)),
        ("at_the_root", "older", "older", "pass", (6, 7)),
        ("of_the_binary", "older::bin/older", "older", "pass", (3, 4)),
    ] {
        let run = one(name);
        assert_eq!(
            (&run["module"], &run["suite"], &run["status"]),
            (&json!(module), &json!(suite), &json!(status)),
            "{name}"
        );
        assert_eq!(
            (&run["line"], &run["end_line"]),
            (&json!(lines.0), &json!(lines.1)),
            "{name}"
        );
    }
    assert!(
        one("fails")["file"]
            .as_str()
            .unwrap()
            .ends_with("src/lib.rs")
    );
    assert_eq!(one("ignored")["skip_reason"], "it is slow");
    for (name, kind, message) in [
        (
            "fails",
            "panic",
            "assertion `left == right` failed: they differ\n  left: 2\n right: 3",
        ),
        ("errs", "Error", "\"no luck\""),
        (
            "misses_its_panic",
            "should_panic",
            "test did not panic as expected at",
        ),
        (
            "panics_wrongly",
            "should_panic",
            "panic did not contain expected string",
        ),
    ] {
        let run = one(name);
        assert_eq!(run["error_type"], kind, "{name}");
        assert!(
            run["error_message"].as_str().unwrap().starts_with(message),
            "{name}: {run}"
        );
    }
    assert!(
        one("fails")["error_stack"]
            .as_str()
            .unwrap()
            .contains("src/lib.rs:32:9"),
        "{}",
        one("fails")
    );
    for (module, suite, name, status) in [
        ("sample::doctest/sample", "src/lib.rs", "(crate)", "pass"),
        ("sample::doctest/sample", "src/lib.rs", "twice", "pass"),
        ("sample::doctest/sample", "src/lib.rs", "twice#2", "pass"),
        ("sample::doctest/sample", "src/lib.rs", "twice#3", "skip"),
        ("older::doctest/older", "src/lib.rs", "yes", "pass"),
        ("sample::own", "own", "main", "pass"),
    ] {
        let found = all.iter().any(|run| {
            run["module"] == module
                && run["suite"] == suite
                && run["name"] == name
                && run["status"] == status
        });
        assert!(found, "{module} {suite} {name}: {all:?}");
    }
}

#[test]
fn identities_do_not_depend_on_how_tests_run() {
    let data = tempfile::tempdir().unwrap();
    run(local(
        data.path(),
        &["--lib", "--bins", "--tests", "--no-fail-fast"],
    ));
    run(local(
        data.path(),
        &["--isolate", "--lib", "--bins", "--tests", "--no-fail-fast"],
    ));
    let sessions = sessions(data.path());
    let identities = |runs: &[Value]| -> std::collections::BTreeSet<String> {
        runs.iter()
            .map(|run| {
                format!(
                    "{} {} {} {}",
                    run["module"], run["suite"], run["name"], run["line"]
                )
            })
            .collect()
    };
    assert_eq!(identities(&sessions[0].1), identities(&sessions[1].1));
    assert!(identities(&sessions[0].1).len() >= 15);
}

#[test]
fn a_flaky_test_is_found_retried_and_forgiven() {
    let data = tempfile::tempdir().unwrap();
    let flag = data.path().join("flag");
    let mut flaky = local(data.path(), &["--test", "behaves"]);
    flaky.env("SAMPLE", "flaky").env("SAMPLE_FLAG", &flag);
    let ended = run(flaky);
    assert_ok(&ended, 0);
    assert!(
        ended
            .text()
            .contains("test misbehaves ... ok (retry 1/5, auto test retry)\n"),
        "{}",
        ended.text()
    );
    assert!(
        ended.text().contains("; 1 flaky; finished in "),
        "{}",
        ended.text()
    );
    let summary = ended.summary();
    for (key, expected) in [
        ("tests", 4),
        ("passed", 4),
        ("failed", 0),
        ("flaky", 1),
        ("retried", 1),
        ("exit", 0),
    ] {
        assert_eq!(summary[key], expected, "{key}: {summary}");
    }
    let sessions = sessions(data.path());
    let (session, all) = &sessions[0];
    assert_eq!(session["status"], "pass");
    let flaky = runs(all, "misbehaves");
    assert_eq!(flaky.len(), 2);
    assert_eq!(
        (&flaky[0]["status"], &flaky[0]["execution"]),
        (&json!("fail"), &json!("shared"))
    );
    assert_eq!(
        (&flaky[1]["status"], &flaky[1]["execution"]),
        (&json!("pass"), &json!("isolated"))
    );
    assert_eq!(
        (&flaky[1]["retry_reason"], &flaky[1]["final_status"]),
        (&json!("auto_test_retry"), &json!("pass"))
    );
}

#[test]
fn a_broken_test_is_retried_and_fails() {
    let data = tempfile::tempdir().unwrap();
    let mut broken = local(data.path(), &["--test", "behaves"]);
    broken.env("SAMPLE", "broken");
    let ended = run(broken);
    assert_ok(&ended, 101);
    let sessions = sessions(data.path());
    let broken = runs(&sessions[0].1, "misbehaves");
    // Once and five times again, as Auto Test Retries do by default.
    assert_eq!(broken.len(), 6);
    assert!(
        broken[5]["marks"]
            .as_array()
            .unwrap()
            .contains(&json!("has_failed_all_retries"))
    );
    assert_eq!(ended.summary()["failed"], 1);
}

#[test]
fn a_test_that_failed_to_the_last_is_run_once_more_in_the_end() {
    let data = tempfile::tempdir().unwrap();
    let mut command = local(data.path(), &["--test", "behaves", "--", "misbehaves"]);
    command
        .env("SAMPLE", "broken")
        .env("_DD_CIVISIBILITY_OUT_OF_SESSION_RETRIES_ENABLED", "true");
    let ended = run(command);
    assert_ok(&ended, 101);
    let sessions = sessions(data.path());
    let reasons: Vec<&str> = runs(&sessions[0].1, "misbehaves")
        .iter()
        .map(|run| run["retry_reason"].as_str().unwrap_or_default())
        .collect();
    let mut expected = vec![""];
    expected.extend(["auto_test_retry"; 5]);
    expected.push("out_of_session");
    assert_eq!(reasons, expected);
    assert!(runs(&sessions[0].1, "misbehaves")[6]["error_message"] == "every time");
    assert_eq!(ended.summary()["failed"], 1);
}

#[test]
fn a_test_that_was_not_there_before_is_tried_ten_times() {
    let data = tempfile::tempdir().unwrap();
    let known = json!({"data": {"id": "x", "type": "ci_app_libraries_tests", "attributes": {"tests": {"sample::behaves": {"behaves": ["misbehaves", "writes", "sees_nothing_of_ours"]}}}}});
    std::fs::write(data.path().join("known_tests.json"), known.to_string()).unwrap();
    let ended = run(local(data.path(), &["--test", "behaves"]));
    assert_ok(&ended, 0);
    let sessions = sessions(data.path());
    let new = runs(&sessions[0].1, "calm");
    assert_eq!(new.len(), 11);
    assert!(
        new[0]["marks"]
            .as_array()
            .unwrap()
            .contains(&json!("is_new"))
    );
    assert_eq!(
        new.iter()
            .filter(|run| run["retry_reason"] == "early_flake_detection")
            .count(),
        10
    );
    assert_eq!(
        new.iter()
            .filter(|run| run["final_status"] == "pass")
            .count(),
        1
    );
    assert_eq!(runs(&sessions[0].1, "writes").len(), 1);
}

fn manage(data: &Path, properties: &Value) {
    let answer = json!({"data": {"id": "x", "type": "ci_app_libraries_tests", "attributes": {"modules": {"sample::behaves": {"suites": {"behaves": {"tests": {"misbehaves": {"properties": properties}}}}}}}}});
    std::fs::write(data.join("test_management.json"), answer.to_string()).unwrap();
}

#[test]
fn a_quarantined_test_fails_nothing() {
    let data = tempfile::tempdir().unwrap();
    manage(data.path(), &json!({"quarantined": true}));
    for (sample, mode) in [
        ("broken", &[][..]),
        ("abort", &[]),
        ("broken", &["--isolate"]),
    ] {
        let mut words = vec!["--test", "behaves"];
        words.extend(mode);
        let mut command = local(data.path(), &words);
        command.env("SAMPLE", sample);
        let ended = run(command);
        assert_ok(&ended, 0);
        assert!(
            ended.text().contains("; 1 quarantined; finished in "),
            "{}",
            ended.text()
        );
        let sessions = sessions(data.path());
        let (_, all) = sessions.last().unwrap();
        let last = *runs(all, "misbehaves").last().unwrap();
        assert_eq!(last["status"], "fail");
        assert!(
            last["marks"]
                .as_array()
                .unwrap()
                .contains(&json!("is_quarantined"))
        );
    }
}

#[test]
fn a_disabled_test_does_not_run() {
    let data = tempfile::tempdir().unwrap();
    manage(data.path(), &json!({"disabled": true}));
    for (mode, sample) in [(&[][..], "abort"), (&["--isolate"], "abort")] {
        let mut words = vec!["--test", "behaves"];
        words.extend(mode);
        let mut command = local(data.path(), &words);
        command.env("SAMPLE", sample);
        let ended = run(command);
        assert_ok(&ended, 0);
        assert!(ended.text().contains("3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; 1 skipped by Datadog; finished in "), "{}", ended.text());
        let sessions = sessions(data.path());
        let (_, all) = sessions.last().unwrap();
        let disabled = runs(all, "misbehaves");
        assert_eq!(
            (
                disabled.len(),
                &disabled[0]["status"],
                &disabled[0]["skip_reason"]
            ),
            (
                1,
                &json!("skip"),
                &json!("Flaky test is disabled by Datadog")
            )
        );
    }
}

#[test]
fn a_failed_attempt_to_fix_fails_the_build_quarantined_or_not() {
    let data = tempfile::tempdir().unwrap();
    manage(
        data.path(),
        &json!({"quarantined": true, "attempt_to_fix": true}),
    );
    let mut command = local(data.path(), &["--test", "behaves"]);
    command.env("SAMPLE", "broken");
    assert_ok(&run(command), 101);
    let ended = run(local(data.path(), &["--test", "behaves"]));
    assert_ok(&ended, 0);
    let sessions = sessions(data.path());
    let (_, all) = sessions.last().unwrap();
    // Once, and twenty times again, as the settings say.
    assert_eq!(runs(all, "misbehaves").len(), 21);
}

#[test]
fn what_no_change_touches_is_skipped() {
    let data = tempfile::tempdir().unwrap();
    let settings = json!({"data": {"id": "x", "type": "x", "attributes": {"itr_enabled": true, "tests_skipping": true, "code_coverage": false}}});
    std::fs::write(data.path().join("settings.json"), settings.to_string()).unwrap();
    let item = |name: &str| json!({"id": name, "type": "test", "attributes": {"suite": "behaves", "name": name, "configurations": {"test.bundle": "sample::behaves"}}});
    let skippable = json!({"data": [item("calm"), item("misbehaves"), item("writes"), item("sees_nothing_of_ours")], "meta": {"correlation_id": "c"}});
    std::fs::write(
        data.path().join("skippable_tests.json"),
        skippable.to_string(),
    )
    .unwrap();
    let mut command = local(data.path(), &["--test", "behaves"]);
    // Whatever would run would show itself.
    command.env("SAMPLE", "abort");
    let ended = run(command);
    assert_ok(&ended, 0);
    assert!(
        ended.text().contains("running 0 tests\n"),
        "{}",
        ended.text()
    );
    assert_eq!(
        (
            &ended.summary()["skipped_by_impact"],
            &ended.summary()["skipped"]
        ),
        (&json!(4), &json!(4))
    );
}

#[test]
fn two_runs_in_one_checkout_do_not_mix() {
    let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let words = ["--lib", "--no-fail-fast"];
    let children: Vec<_> = data
        .iter()
        .map(|data| local(data.path(), &words).spawn().unwrap())
        .collect();
    for child in children {
        assert_ok(&crate::sample::wait(child), 101);
    }
    for data in &data {
        let sessions = sessions(data.path());
        assert_eq!(sessions.len(), 1);
        assert_eq!(runs(&sessions[0].1, "passes").len(), 1);
    }
}

/// An agent in this process.
fn agent() -> (Agent, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let options = Options {
        port: Some(0),
        ..Options::default()
    };
    let agent = runtime.block_on(Agent::start(options)).unwrap();
    (agent, runtime)
}

/// Cargo with our runner in its configuration, and nothing else of ours.
fn configured(agent: &Agent) -> Command {
    let mut command = plain(folder());
    let runner = format!(
        "target.'cfg(all())'.runner = [{:?}, 'runner']",
        env!("CARGO_BIN_EXE_cargo-ddtrace")
    );
    command
        .env(
            "DD_TRACE_AGENT_URL",
            format!("http://127.0.0.1:{}", agent.port().unwrap()),
        )
        .env("DD_GIT_REPOSITORY_URL", "https://example.test/sample.git")
        .env("DD_GIT_COMMIT_SHA", "0".repeat(40))
        .env("DD_GIT_BRANCH", "main")
        .env("DD_CIVISIBILITY_GIT_UPLOAD_ENABLED", "false")
        .args(["--config", &runner]);
    command
}

fn ended_sessions(agent: &Agent) -> Option<Vec<(String, usize)>> {
    agent.shared().history().read(|sessions| {
        let all = sessions
            .iter()
            .map(|session| (session.status.clone(), session.runs.len()));
        let all: Vec<_> = all.collect();
        (!all.is_empty() && all.iter().all(|(status, _)| !status.is_empty())).then_some(all)
    })
}

#[test]
fn plain_cargo_test_with_a_configured_runner_is_one_session() {
    let (agent, _runtime) = agent();
    let mut command = configured(&agent);
    command.args([
        "test",
        "--offline",
        "--workspace",
        "--lib",
        "--bins",
        "--no-fail-fast",
    ]);
    assert_ok(&run(command), 101);
    let sessions = eventually("the session ends", || ended_sessions(&agent));
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sessions[0].0, "fail");
    // Ten in the library, five of which fail and are tried five times again; two elsewhere.
    assert_eq!(sessions[0].1, 12 + 5 * 5);
}

#[test]
fn nextest_runs_are_one_session() {
    if Command::new("cargo-nextest")
        .arg("--version")
        .output()
        .is_err()
    {
        assert!(
            std::env::var_os("DDTRACE_TESTS_SERVICES").is_none(),
            "cargo-nextest is not installed"
        );
        eprintln!("cargo-nextest is not installed: nothing is tested");
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut command = ddtrace(&[
        "nextest",
        "--local",
        "--data",
        data.path().to_str().unwrap(),
        "--summary",
        "json",
        "run",
        "--offline",
        "--no-fail-fast",
        "--test",
        "behaves",
    ]);
    command
        .env("SAMPLE", "flaky")
        .env("SAMPLE_FLAG", data.path().join("flag"));
    let ended = run(command);
    assert_ok(&ended, 0);
    let sessions = sessions(data.path());
    assert_eq!(sessions.len(), 1);
    let (_, all) = &sessions[0];
    assert_eq!(runs(all, "misbehaves").len(), 2);
    assert_eq!(
        (
            &runs(all, "calm")[0]["module"],
            &runs(all, "calm")[0]["suite"]
        ),
        (&json!("sample::behaves"), &json!("behaves"))
    );
    assert_eq!(ended.summary()["tests"], 4);
}
