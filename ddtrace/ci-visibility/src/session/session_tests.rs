//! Whole sessions against a backend that answers as it is told to.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ddtrace_core::config::{Config, MapEnvironment};
use ddtrace_core::telemetry::{METRICS, Namespace};
use serde_json::{Value, json};

use super::*;
use crate::git::git_tests::{git, repository};
use crate::mock::{Mock, Reply, SETTINGS, TESTS, run};
use crate::model::Failure;
use crate::selection::{Next, Retries, SkipCause};
use crate::transport::Unavailable;

const KNOWN: &str = "/api/v2/ci/libraries/tests";
const MANAGEMENT: &str = "/api/v2/test/libraries/test-management/tests";
const SKIPPABLE: &str = "/api/v2/ci/tests/skippable";
const COMMITS: &str = "/api/v2/git/repository/search_commits";
const PACKFILE: &str = "/api/v2/git/repository/packfile";
const COVERAGE: &str = "/api/v2/citestcov";
const LOGS: &str = "/api/v2/logs";

const AMPLE: Duration = Duration::from_secs(60);

fn environment(mock: &Mock) -> MapEnvironment {
    MapEnvironment::new()
        .variable("DD_TRACE_AGENT_URL", mock.url())
        .variable("DD_GIT_REPOSITORY_URL", "https://h/acme/Widget.git")
        .variable("DD_GIT_BRANCH", "topic")
        .variable("DD_TAGS", "test.configuration.disk:ssd")
}

async fn start(environment: MapEnvironment, directory: &Path) -> Result<Session, Unavailable> {
    let config = Config::builder().environment(&environment).build();
    let mut launch = Launch::new(directory, "cargo test");
    launch.runtime_version = "1.95.0".into();
    launch.framework_version = "1.95.0".into();
    Session::start(&config, Arc::new(environment), launch).await
}

fn settings(attributes: Value) -> Reply {
    Reply::json(&json!({"data": {"attributes": attributes}}))
}

/// A backend on which everything is on, for a repository whose commits it knows.
async fn everything(directory: &Path) -> Mock {
    let mock = Mock::start().await;
    mock.on(
        SETTINGS,
        [settings(json!({
            "itr_enabled": true, "tests_skipping": true, "known_tests_enabled": true,
            "flaky_test_retries_enabled": true,
            "early_flake_detection": {"enabled": true, "slow_test_retries": {"5s": 2}},
            "test_management": {"enabled": true},
        }))],
    );
    let tests = json!({"shop": {"cart": ["adds", "skipped", "quarantined", "disabled"]}});
    mock.on(KNOWN, [settings(json!({"tests": tests}))]);
    let modules = json!({"shop": {"suites": {"cart": {"tests": {
        "quarantined": {"properties": {"quarantined": true}},
        "disabled": {"properties": {"disabled": true}},
    }}}}});
    mock.on(MANAGEMENT, [settings(json!({"modules": modules}))]);
    let item = json!({"type": "test", "attributes": {"suite": "cart", "name": "skipped",
        "configurations": {"test.bundle": "shop"}}});
    let skippable = json!({"data": [item], "meta": {"correlation_id": "correlated"}});
    mock.on(SKIPPABLE, [Reply::json(&skippable)]);
    let commits = git(directory, &["log", "--format=%H"]);
    let commit = |sha: &str| json!({"id": sha, "type": "commit"});
    let commits: Vec<Value> = commits.lines().map(commit).collect();
    mock.on(COMMITS, [Reply::json(&json!({"data": commits}))]);
    mock
}

fn candidate(name: &str) -> Candidate {
    let mut candidate = Candidate::new(TestIdentity::new("shop", "cart", name));
    candidate.source = Some(crate::model::Source {
        file: "src/cart.rs".into(),
        start: 10,
        end: 20,
    });
    candidate
}

/// Runs a test as a runner would: what it does in each run, the last one again and again.
fn play(session: &Session, candidate: &Candidate, decision: &Decision, runs: &[Status]) -> Verdict {
    let mut retries = Retries::new(decision);
    let mut attempt = Attempt::new(
        candidate.identity.clone(),
        Status::Pass,
        SystemTime::now(),
        Duration::from_millis(1),
    );
    attempt.source.clone_from(&candidate.source);
    loop {
        let at = (attempt.number as usize).min(runs.len() - 1);
        attempt.status = runs[at];
        attempt.failure = (attempt.status == Status::Fail).then(Failure::default);
        match retries.after(attempt.status, attempt.duration, session.retry_budget()) {
            Next::Again { reason, number, .. } => {
                session.report(&attempt, decision, None);
                attempt.number = number;
                attempt.retry_reason = Some(reason);
            }
            Next::Done(verdict) => {
                session.report(&attempt, decision, Some(&verdict));
                return verdict;
            }
        }
    }
}

/// All events that came, and what they have in common.
fn events(mock: &Mock) -> (Vec<Value>, Value) {
    let mut all = Vec::new();
    let mut metadata = Value::Null;
    for request in mock.requests(TESTS) {
        let mut payload = request.msgpack();
        all.extend(payload["events"].as_array().expect("events").clone());
        metadata = payload["metadata"].take();
    }
    (all, metadata)
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let of_kind = events.iter().filter(|event| event["type"] == kind);
    of_kind.map(|event| &event["content"]).collect()
}

#[test]
fn a_session_does_what_the_backend_says_and_tells_what_became_of_it() {
    run(async {
        let repository = repository(3);
        std::fs::write(repository.path().join("CODEOWNERS"), "* @core").expect("written");
        let mock = everything(repository.path()).await;
        let session = start(environment(&mock), repository.path())
            .await
            .expect("a session");
        assert_eq!(
            (session.service(), session.env()),
            ("widget", "of-the-agent")
        );
        assert!(session.settings().tests_skipping);
        let names = ["adds", "skipped", "quarantined", "disabled", "fresh"];
        let candidates = names.map(candidate);
        let decisions = session.plan(&candidates).await;
        let skips: Vec<Action> = decisions.iter().map(|decision| decision.action).collect();
        assert_eq!(
            skips,
            [
                Action::Run,
                Action::Skip(SkipCause::Impact),
                Action::Run,
                Action::Skip(SkipCause::Disabled),
                Action::Run,
            ]
        );
        let (pass, fail) = (Status::Pass, Status::Fail);
        let mut failed = false;
        for (candidate, decision) in candidates.iter().zip(&decisions) {
            let runs: &[Status] = match candidate.identity.name.as_str() {
                "adds" => &[fail, pass],
                "quarantined" => &[fail],
                "fresh" => &[pass],
                _ => {
                    session.report_skipped(candidate, "crates/shop", decision);
                    continue;
                }
            };
            failed |= play(&session, candidate, decision, runs).fails_build;
        }
        assert!(!failed);
        session.close_module("shop");
        // Core's telemetry drops what is not on its list.
        let taken = session.metrics().take();
        let names = taken.counts.keys().chain(taken.distributions.keys());
        for (name, _) in names {
            let is_listed = METRICS
                .iter()
                .any(|row| row.namespace == Namespace::CiVisibility && row.name == *name);
            assert!(is_listed, "{name}");
        }
        assert!(taken.total("event_finished") >= 15);
        let finish = Finish {
            exit_ok: true,
            ..Finish::default()
        };
        let sent = session.finish(&finish, AMPLE).await;
        // adds twice, quarantined six times, fresh three times, two skipped; suite, module, session.
        assert_eq!((sent.events, sent.events_dropped), (16, 0));
        assert_eq!(sent.skipped_by_impact, 1);
        assert_eq!(session.finish(&finish, AMPLE).await, sent);

        let (events, metadata) = events(&mock);
        let tests = of_kind(&events, "test");
        let named = |name: &str| -> Vec<&Value> {
            let named = tests.iter().filter(|test| test["resource"] == name);
            named.copied().collect()
        };
        let with = |tests: &[&Value], tag: &str| {
            let with = tests.iter().filter(|test| test["meta"].get(tag).is_some());
            with.count()
        };
        for (name, runs, retried) in [
            ("adds", 2, 1),
            ("quarantined", 6, 5),
            ("fresh", 3, 2),
            ("skipped", 1, 0),
            ("disabled", 1, 0),
        ] {
            let runs_of = named(name);
            assert_eq!(runs_of.len(), runs, "{name}");
            assert_eq!(with(&runs_of, "test.is_retry"), retried, "{name}");
            assert_eq!(with(&runs_of, "test.final_status"), 1, "{name}");
            assert_eq!(with(&runs_of, "test.is_new") > 0, name == "fresh", "{name}");
            for test in runs_of {
                assert_eq!(test["itr_correlation_id"], "correlated");
                assert_eq!(test["meta"]["test.codeowners"], "[\"@core\"]");
            }
        }
        assert_eq!(
            with(&named("quarantined"), "test.has_failed_all_retries"),
            1
        );
        assert_eq!(
            with(&named("quarantined"), "test.test_management.is_quarantined"),
            6
        );
        assert_eq!(named("skipped")[0]["meta"]["test.skipped_by_itr"], "true");
        assert_eq!(
            named("disabled")[0]["meta"]["test.skip_reason"],
            "Flaky test is disabled by Datadog"
        );
        let suite = of_kind(&events, "test_suite_end")[0];
        assert_eq!(suite["meta"]["test.status"], "fail");
        assert_eq!(suite["meta"]["test.source.file"], "src/cart.rs");
        assert_eq!(suite["test_suite_id"], tests[0]["test_suite_id"]);
        let module = of_kind(&events, "test_module_end")[0];
        assert_eq!(module["test_module_id"], tests[0]["test_module_id"]);
        let end = of_kind(&events, "test_session_end")[0];
        assert_eq!(end["meta"]["test.status"], "pass");
        assert_eq!(end["meta"]["_dd.ci.itr.tests_skipped"], "true");
        assert_eq!(end["metrics"]["test.itr.tests_skipping.count"], 1.0);
        assert_eq!(end["test_session_id"], session.id().get());

        let common = &metadata["*"];
        for (tag, value) in [
            ("language", "rust"),
            ("_dd.origin", "ciapp-test"),
            ("_dd.p.dm", "-0"),
            ("env", "of-the-agent"),
            ("service.name", "widget"),
            ("git.repository_url", "https://h/acme/Widget.git"),
            ("git.branch", "topic"),
            ("git.commit.message", "commit 2"),
            ("runtime.name", "rustc"),
            ("runtime.version", "1.95.0"),
            ("test.command", "cargo test"),
            ("test.framework", "libtest"),
            ("component", "libtest"),
            ("test_session.name", "cargo test"),
            ("test.configuration.disk", "ssd"),
            ("_dd.test.is_user_provided_service", "false"),
        ] {
            assert_eq!(common[tag], value, "{tag}");
        }
        assert_eq!(common["runtime-id"].as_str().map(str::len), Some(32));
        let capabilities = metadata["test"].as_object().expect("an object");
        assert_eq!(capabilities.len(), 8);
        let fix = "_dd.library_capabilities.test_management.attempt_to_fix";
        assert_eq!(capabilities[fix], "5");
        let question = mock.requests(SETTINGS)[0].json();
        let configurations = &question["data"]["attributes"]["configurations"];
        assert_eq!(configurations["custom"], json!({"disk": "ssd"}));
        // Nothing is left behind in the checkout but the empty lock.
        assert!(!repository.path().join(".git/ddtrace.upload-done").exists());
    });
}

#[test]
fn a_backend_that_wants_commits_gets_them_before_it_is_asked_again() {
    run(async {
        let repository = repository(3);
        let mock = everything(repository.path()).await;
        mock.on(
            SETTINGS,
            [
                settings(json!({"require_git": true})),
                settings(json!({"itr_enabled": true, "tests_skipping": true})),
            ],
        );
        mock.on(COMMITS, [Reply::json(&json!({"data": []}))]);
        let session = start(environment(&mock), repository.path())
            .await
            .expect("a session");
        assert_eq!(mock.requests(SETTINGS).len(), 2);
        assert_eq!(mock.requests(PACKFILE).len(), 1);
        assert!(session.settings().tests_skipping);
        let marker = repository.path().join(".git/ddtrace.upload-done");
        assert!(marker.exists());
        session.policy().await;
        assert_eq!(mock.requests(SKIPPABLE).len(), 1);
        // Another run in this checkout does not send them again.
        let other = start(environment(&mock), repository.path())
            .await
            .expect("a session");
        other.policy().await;
        assert_eq!(mock.requests(PACKFILE).len(), 1);
        session.finish(&Finish::default(), AMPLE).await;
        other.finish(&Finish::default(), AMPLE).await;
        assert!(!marker.exists());
    });
}

#[test]
fn what_is_not_answered_is_off_and_is_said() {
    run(async {
        let repository = repository(1);
        for (path, error, is_settings) in [
            (SETTINGS, "settings", true),
            (KNOWN, "known_tests", false),
            (MANAGEMENT, "test_management_tests", false),
            (SKIPPABLE, "skippable_tests", false),
        ] {
            let mock = everything(repository.path()).await;
            mock.on(path, [Reply::status(404)]);
            let session = start(environment(&mock), repository.path())
                .await
                .expect("a session");
            let candidates = ["adds", "skipped", "disabled", "fresh"].map(candidate);
            let decisions = session.plan(&candidates).await;
            for (candidate, decision) in candidates.iter().zip(&decisions) {
                session.report_ignored(candidate, "", Some("so"), decision);
            }
            session.finish(&Finish::default(), AMPLE).await;
            let (events, _) = events(&mock);
            let tag = format!("_dd.ci.library_configuration_error.{error}");
            assert!(events.len() >= 7);
            for event in &events {
                assert_eq!(event["content"]["meta"][&tag], "true", "{event}");
            }
            assert_eq!(
                session.settings() == &Settings::default(),
                is_settings,
                "{path}"
            );
            let off = match path {
                KNOWN => decisions.iter().all(|decision| !decision.is_new),
                MANAGEMENT => decisions.iter().all(|decision| !decision.is_disabled),
                SKIPPABLE => decisions
                    .iter()
                    .all(|decision| !decision.is_skipped_by_impact()),
                _ => decisions
                    .iter()
                    .all(|decision| *decision == Decision::default()),
            };
            assert!(off, "{path}: {decisions:?}");
        }
    });
}

#[test]
fn commits_that_cannot_be_sent_switch_off_skipping_only() {
    run(async {
        let repository = repository(2);
        for (path, reply) in [
            (COMMITS, Reply::status(403)),
            (PACKFILE, Reply::status(403)),
        ] {
            let mock = everything(repository.path()).await;
            mock.on(COMMITS, [Reply::json(&json!({"data": []}))]);
            mock.on(path, [reply]);
            let session = start(environment(&mock), repository.path())
                .await
                .expect("a session");
            let decisions = session.plan(&["skipped", "fresh"].map(candidate)).await;
            assert_eq!(decisions[0].action, Action::Run, "{path}");
            assert!(decisions[1].is_new, "{path}");
            assert!(mock.requests(SKIPPABLE).is_empty());
            assert!(!repository.path().join(".git/ddtrace.upload-done").exists());
            session.finish(&Finish::default(), AMPLE).await;
        }
    });
}

#[test]
fn a_silent_backend_costs_the_budget_and_no_test() {
    run(async {
        let repository = repository(1);
        let mock = everything(repository.path()).await;
        for path in [KNOWN, SKIPPABLE, TESTS] {
            mock.on(path, [Reply::Hang]);
        }
        let environment = environment(&mock);
        let config = Config::builder().environment(&environment).build();
        let mut launch = Launch::new(repository.path(), "cargo test");
        launch.budget = Duration::from_secs(3);
        let session = Session::start(&config, Arc::new(environment), launch).await;
        let session = session.expect("a session");
        let decisions = session.plan(&["disabled", "fresh"].map(candidate)).await;
        // What was answered counts.
        assert!(decisions[0].is_disabled && !decisions[1].is_new);
        play(
            &session,
            &candidate("fresh"),
            &decisions[1],
            &[Status::Pass],
        );
        let begin = Instant::now();
        let sent = session
            .finish(&Finish::default(), Duration::from_millis(300))
            .await;
        assert_eq!((sent.events, sent.events_dropped), (0, 4));
        assert!(begin.elapsed() < AMPLE);
    });
}

#[test]
fn without_a_way_out_nothing_begins() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mock = Mock::start().await;
        let off = environment(&mock).variable("DD_CIVISIBILITY_ENABLED", "0");
        let error = start(off, folder.path()).await.expect_err("switched off");
        assert_eq!(error, Unavailable::SwitchedOff);
        let agentless = environment(&mock).variable("DD_CIVISIBILITY_AGENTLESS_ENABLED", "1");
        let error = start(agentless, folder.path()).await.expect_err("no key");
        assert_eq!(error, Unavailable::NoApiKey);
        mock.on("/info", [Reply::json(&json!({"endpoints": []}))]);
        let error = start(environment(&mock), folder.path())
            .await
            .expect_err("no proxy");
        assert!(matches!(error, Unavailable::NoProxy { .. }));
    });
}

#[test]
fn without_a_repository_events_are_sent_all_the_same() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mock = Mock::start().await;
        let environment = MapEnvironment::new().variable("DD_TRACE_AGENT_URL", mock.url());
        let session = start(environment, folder.path()).await.expect("a session");
        assert_eq!(session.service(), "test");
        // There is nothing to ask about.
        assert!(mock.requests(SETTINGS).is_empty());
        let decisions = session.plan(&[candidate("adds")]).await;
        play(&session, &candidate("adds"), &decisions[0], &[Status::Fail]);
        let finish = Finish {
            interrupted: true,
            ..Finish::default()
        };
        let sent = session.finish(&finish, AMPLE).await;
        assert_eq!(sent.events, 4);
        let (events, _) = events(&mock);
        let end = of_kind(&events, "test_session_end")[0];
        assert_eq!(end["meta"]["test.status"], "fail");
        assert_eq!(end["meta"]["test.rust.interrupted"], "true");
    });
}

#[test]
fn coverage_logs_and_spans_find_their_test() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mock = Mock::start().await;
        let environment = environment(&mock).variable("DD_LOGS_INJECTION", "true");
        let session = start(environment, folder.path()).await.expect("a session");
        let adds = candidate("adds");
        let (trace_id, span_id) = session.attempt_ids(&adds.identity, 0);
        play(&session, &adds, &Decision::default(), &[Status::Pass]);
        let file = |lines: &[u32]| FileCoverage {
            file: "src/cart.rs".into(),
            lines: lines.iter().copied().collect(),
        };
        session.report_coverage(&adds.identity, 0, vec![file(&[1, 2])]);
        session.report_coverage(&adds.identity, 0, Vec::new());
        assert!(session.wants_logs());
        session.report_log(&LogRecord {
            date: SystemTime::now(),
            message: "said".into(),
            status: "info".into(),
            trace_id,
            span_id,
        });
        session.report_span(TestSpan {
            trace_id,
            span_id: 5,
            parent_id: span_id,
            ..TestSpan::default()
        });
        assert_eq!(session.metrics().take().total("code_coverage.is_empty"), 1);
        let sent = session.finish(&Finish::default(), AMPLE).await;
        assert_eq!((sent.coverages, sent.logs, sent.events), (1, 1, 5));
        let log = mock.requests(LOGS)[0].json();
        assert_eq!(log[0]["dd.span_id"], span_id.to_string());
        assert_eq!(mock.requests(COVERAGE).len(), 1);
        let (events, _) = events(&mock);
        let test = of_kind(&events, "test")[0];
        let span = of_kind(&events, "span")[0];
        assert_eq!(span["parent_id"], test["span_id"]);
        assert_eq!(span["trace_id"], test["trace_id"]);
    });
}

#[test]
fn in_a_sandbox_answers_come_from_files_and_payloads_go_to_them() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let outputs = folder.path().join("outputs");
        let settings = json!({"data": {"attributes": {"known_tests_enabled": true,
            "itr_enabled": true, "tests_skipping": true, "test_management": {"enabled": true}}}});
        let known = json!({"data": {"attributes": {"tests": {"shop": {"cart": ["adds"]}}}}});
        let environment = MapEnvironment::new()
            .variable("DD_TEST_OPTIMIZATION_MANIFEST_FILE", "/m/manifest.txt")
            .variable("DD_TEST_OPTIMIZATION_PAYLOADS_IN_FILES", "true")
            .variable("DD_TEST_OPTIMIZATION_ENV_DATA_FILE", "/m/env.json")
            .variable("TEST_UNDECLARED_OUTPUTS_DIR", outputs.to_string_lossy())
            .file("/m/manifest.txt", "version = 1\n")
            .file("/m/env.json", r#"{"git.branch": "of-the-rule", "bad": 1}"#)
            .file("/m/cache/http/settings.json", settings.to_string())
            .file("/m/cache/http/known_tests.json", known.to_string());
        let session = start(environment, folder.path()).await.expect("a session");
        assert_eq!(session.tags()["ci.provider.name"], "bazel");
        assert!(!session.settings().tests_skipping);
        let candidates = ["adds", "fresh"].map(candidate);
        let decisions = session.plan(&candidates).await;
        assert_eq!([decisions[0].is_new, decisions[1].is_new], [false, true]);
        play(&session, &candidates[0], &decisions[0], &[Status::Pass]);
        let file = FileCoverage {
            file: "a.rs".into(),
            lines: crate::coverage::Bitmap::whole(3),
        };
        session.report_coverage(&candidates[0].identity, 0, vec![file]);
        let sent = session.finish(&Finish::default(), AMPLE).await;
        assert_eq!((sent.events, sent.coverages), (4, 1));
        let read = |kind: &str| -> Vec<Value> {
            let entries = std::fs::read_dir(outputs.join("payloads").join(kind)).expect("files");
            entries
                .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file"))
                .map(|bytes| serde_json::from_slice(&bytes).expect("JSON"))
                .collect()
        };
        let tests = read("tests");
        assert_eq!(tests[0]["metadata"]["*"]["git.branch"], "of-the-rule");
        assert_eq!(tests[0]["events"].as_array().map(Vec::len), Some(4));
        let coverage = read("coverage");
        assert_eq!(coverage[0]["coverages"][0]["files"][0]["bitmap"], "cA==");
    });
}

#[test]
fn coverage_of_suites_is_that_of_all_their_tests() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mock = Mock::start().await;
        let environment = environment(&mock).variable("_DD_CIVISIBILITY_ITR_SUITE_MODE", "1");
        let session = start(environment, folder.path()).await.expect("a session");
        for (name, line) in [("adds", 1), ("removes", 2)] {
            let candidate = candidate(name);
            play(&session, &candidate, &Decision::default(), &[Status::Pass]);
            let file = FileCoverage {
                file: "a.rs".into(),
                lines: [line].into_iter().collect(),
            };
            session.report_coverage(&candidate.identity, 0, vec![file]);
        }
        let sent = session.finish(&Finish::default(), AMPLE).await;
        assert_eq!(sent.coverages, 1);
        let body = &mock.requests(COVERAGE)[0].body;
        // Lines 1 and 2, and no span.
        let bitmap = [0xc4, 1, 0x60];
        assert!(body.windows(3).any(|window| window == bitmap));
        assert!(!body.windows(7).any(|window| window == b"span_id"));
    });
}

#[test]
fn tests_that_the_change_touches_are_repeated() {
    run(async {
        let repository = repository(2);
        let at = repository.path();
        std::fs::create_dir(at.join("src")).expect("created");
        let lines: String = (1..=40).map(|line| format!("line {line}\n")).collect();
        std::fs::write(at.join("src/cart.rs"), &lines).expect("written");
        crate::git::git_tests::commit(at, "with sources");
        git(at, &["checkout", "-q", "-b", "topic"]);
        let changed = lines.replace("line 15\n", "line 15 changed\n");
        std::fs::write(at.join("src/cart.rs"), changed).expect("written");
        crate::git::git_tests::commit(at, "a change");
        let mock = everything(at).await;
        mock.on(
            SETTINGS,
            [settings(json!({
                "known_tests_enabled": true, "impacted_tests_enabled": true,
                "early_flake_detection": {"enabled": true},
            }))],
        );
        let session = start(environment(&mock), at).await.expect("a session");
        let mut elsewhere = candidate("skipped");
        elsewhere.source = Some(crate::model::Source {
            file: "src/cart.rs".into(),
            start: 21,
            end: 40,
        });
        let decisions = session.plan(&[candidate("adds"), elsewhere]).await;
        assert_eq!(
            [decisions[0].is_modified, decisions[1].is_modified],
            [true, false]
        );
        assert!(matches!(
            decisions[0].retries,
            crate::selection::RetryPlan::EarlyFlakeDetection(_)
        ));
        assert_eq!(decisions[1].retries, crate::selection::RetryPlan::None);
        session.finish(&Finish::default(), AMPLE).await;
    });
}

#[test]
fn answers_that_lie_switch_off_what_they_are_for_and_no_test() {
    run(async {
        let repository = repository(1);
        for lie in [
            json!([]),
            json!({"data": 7}),
            json!({"data": {"attributes": {"tests": 3, "modules": [[]], "itr_enabled": "yes"}}}),
            json!({"data": [{"type": 1}], "meta": {"correlation_id": {}}}),
        ] {
            let mock = everything(repository.path()).await;
            for path in [KNOWN, MANAGEMENT, SKIPPABLE, COMMITS] {
                mock.on(path, [Reply::json(&lie)]);
            }
            let session = start(environment(&mock), repository.path())
                .await
                .expect("a session");
            let names = ["adds", "skipped", "quarantined", "disabled", "fresh"];
            let decisions = session.plan(&names.map(candidate)).await;
            for decision in decisions {
                let expected = Decision {
                    retries: decision.retries,
                    ..Decision::default()
                };
                assert_eq!(decision, expected, "{lie}");
            }
            session.finish(&Finish::default(), AMPLE).await;
            mock.on(SETTINGS, [Reply::json(&lie)]);
            let session = start(environment(&mock), repository.path())
                .await
                .expect("a session");
            assert_eq!(session.settings(), &Settings::default(), "{lie}");
            session.finish(&Finish::default(), AMPLE).await;
        }
    });
}
