//! What is sent, and what happens to the user's run if nobody takes it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::intake::{Answer, Intake, Request, events, good, gunzip};
use crate::output::comparable;
use crate::sample::{ddtrace, folder, plain, run};

fn of_type<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events
        .iter()
        .filter(|event| event["type"] == kind)
        .collect()
}

/// The part of a form that has this name.
fn part(request: &Request, name: &str) -> Vec<u8> {
    let body = &request.body;
    let find = |what: &[u8], from: usize| {
        let rest = &body[from..];
        rest.windows(what.len())
            .position(|window| window == what)
            .map(|at| from + at)
    };
    let at = find(format!("name=\"{name}\"").as_bytes(), 0).unwrap();
    let begin = find(b"\r\n\r\n", at).unwrap() + 4;
    let end = find(b"\r\n--", begin).unwrap();
    body[begin..end].to_vec()
}

#[test]
fn junit_logs_and_the_coverage_report_go_where_they_belong() {
    let intake = Intake::start(|path| match good(path) {
        Answer::Status(200, body) if path.ends_with("/setting") => {
            let body = body.replace(
                "\"code_coverage\":false",
                "\"code_coverage\":true,\"coverage_report_upload_enabled\":true",
            );
            Answer::Status(200, body)
        }
        answer => answer,
    });
    let junit = tempfile::tempdir().unwrap();
    let path = junit.path().join("junit.xml");
    let mut command = ddtrace(&[
        "test",
        "--offline",
        "--lib",
        "--no-fail-fast",
        "--junit-upload",
        "--junit",
        path.to_str().unwrap(),
        "--",
        "fails",
        "passes",
    ]);
    intake
        .agentless(&mut command)
        .env("DD_AGENTLESS_LOG_SUBMISSION_ENABLED", "true");
    let ended = run(command);
    assert_eq!(ended.code(), Some(101), "{}\n{}", ended.text(), ended.err);

    let all = events(&intake.requests("/citestcycle"));
    let tests = of_type(&all, "test");
    let of = |name: &str| -> &Value {
        tests
            .iter()
            .find(|event| event["content"]["meta"]["test.name"] == name)
            .unwrap()
    };
    let failed = of("fails");
    assert_eq!(failed["content"]["meta"]["error.type"], "panic");
    let session = of_type(&all, "test_session_end");
    assert_eq!(session.len(), 1);
    let percentage = session[0]["content"]["metrics"]["test.code_coverage.lines_pct"]
        .as_f64()
        .unwrap();
    assert!(percentage > 0.0 && percentage < 100.0, "{percentage}");
    assert_eq!(
        session[0]["content"]["meta"]["test.code_coverage.enabled"],
        "true"
    );

    let logs: Vec<Value> = intake
        .requests("/api/v2/logs")
        .iter()
        .flat_map(|request| serde_json::from_slice::<Vec<Value>>(&request.inflated()).unwrap())
        .collect();
    let log = logs
        .iter()
        .find(|log| log["message"].as_str().unwrap().contains("before it fails"))
        .unwrap();
    assert_eq!(log["ddsource"], "rust");
    assert_eq!(log["ddtags"], "datadog.product:citest");
    assert_eq!(log["status"], "error");
    let ids: Vec<String> = tests
        .iter()
        .map(|event| event["content"]["span_id"].to_string())
        .collect();
    assert!(
        ids.iter().any(|id| log["dd.span_id"] == id.as_str()),
        "{log} {ids:?}"
    );

    let uploads = intake.requests("/cireport");
    assert_eq!(uploads.len(), 1);
    let xml = gunzip(&part(&uploads[0], "junit_xml_report_file"));
    assert_eq!(xml, std::fs::read(&path).unwrap());

    let reports = intake.requests("/cicovreprt");
    assert_eq!(reports.len(), 1);
    let lcov = String::from_utf8(gunzip(&part(&reports[0], "coverage"))).unwrap();
    assert!(
        lcov.contains("/src/lib.rs\n") && lcov.contains("end_of_record"),
        "{lcov}"
    );
    let event: Value = serde_json::from_slice(&part(&reports[0], "event")).unwrap();
    assert_eq!(
        (&event["type"], &event["format"]),
        (&"coverage_report".into(), &"lcov".into())
    );
    assert!(!intake.requests("/citestcov").is_empty());
}

#[test]
fn without_a_coordinator_each_binary_is_a_session() {
    let intake = Intake::start(good);
    let runner = format!(
        "target.'cfg(all())'.runner = [{:?}, 'runner']",
        env!("CARGO_BIN_EXE_cargo-ddtrace")
    );
    let mut command = plain(folder());
    intake
        .agent(&mut command)
        .env("DD_CIVISIBILITY_RUST_COORDINATOR", "off")
        .args([
            "--config",
            &runner,
            "test",
            "--offline",
            "--package",
            "older",
            "--lib",
            "--bins",
        ]);
    let ended = run(command);
    assert_eq!(ended.code(), Some(0), "{}\n{}", ended.text(), ended.err);
    let all = events(&intake.requests("/citestcycle"));
    let sessions = of_type(&all, "test_session_end");
    assert_eq!(sessions.len(), 2);
    assert!(
        sessions
            .iter()
            .all(|session| session["content"]["meta"]["test.command"] == "cargo test")
    );
    let mut names: Vec<&str> = of_type(&all, "test")
        .iter()
        .map(|event| event["content"]["meta"]["test.name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["at_the_root", "of_the_binary"]);
}

/// Every stage of a run, by the end of its path.
const STAGES: [&str; 6] = [
    "/info",
    "/setting",
    "/ci/libraries/tests",
    "/test-management/tests",
    "/skippable",
    "/citestcycle",
];

#[test]
fn whatever_the_backend_does_the_users_run_is_the_same() {
    let mut cargo = plain(folder());
    let words = [
        "test",
        "--offline",
        "--package",
        "older",
        "--lib",
        "--bins",
        "--",
        "--test-threads=1",
    ];
    cargo.args(words);
    let expected = run(cargo);
    let status = |code: u16, body: &str| Answer::Status(code, body.to_owned());
    let kinds = [
        ("closed", Answer::Closed),
        ("silent", Answer::Silence),
        ("failing", status(500, "no")),
        ("refusing", status(403, "no")),
        ("limiting", status(429, "slower")),
        (
            "lying",
            status(
                200,
                "{\"data\": {\"attributes\": {\"tests\": 7, \"modules\": [], \"early_flake_detection\": \"x\"}}}",
            ),
        ),
        ("garbage", status(200, "\u{0}garbage{{{")),
        ("empty", status(200, "")),
    ];
    // Each stage by itself, each kind once; and all stages in every kind.
    let single = STAGES
        .iter()
        .zip(&kinds)
        .map(|(stage, kind)| (Some(*stage), kind));
    let all = kinds.iter().map(|kind| (None, kind));
    for (stage, (name, answer)) in single.chain(all) {
        let answer = answer.clone();
        let intake = Intake::start(move |path| {
            if stage.is_none_or(|stage| path.ends_with(stage)) {
                answer.clone()
            } else {
                good(path)
            }
        });
        let mut command = ddtrace(&words);
        // So that silence does not last for as long as it may.
        intake
            .agent(&mut command)
            .env("DD_CIVISIBILITY_BACKEND_API_TIMEOUT_MILLIS", "200");
        let begun = Instant::now();
        let ended = run(command);
        let took = begun.elapsed();
        let what = format!("{name} at {stage:?} after {took:?}\n{}", ended.err);
        assert_eq!(ended.code(), expected.code(), "{what}");
        assert_eq!(
            comparable(&ended.text()),
            comparable(&expected.text()),
            "{what}"
        );
        // The budgets before the first test and after the last one, and much for a busy machine.
        assert!(took < Duration::from_secs(30 + 15 + 60), "{what}");
        let said = ended
            .err
            .lines()
            .filter(|line| line.starts_with("ddtrace: "))
            .count();
        assert!(said <= 10, "{what}");
    }
}
