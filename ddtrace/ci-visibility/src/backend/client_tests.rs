//! Questions as the backend gets them, and what becomes of its answers.

use std::sync::Arc;
use std::time::Duration;

use ddtrace_core::config::{Config, MapEnvironment};
use ddtrace_core::export::agent::Deadline;
use serde_json::{Value, json};

use super::*;
use crate::ci::{Tags, Variables};
use crate::mock::{Mock, Recorded, Reply, SETTINGS, run};
use crate::model::TestIdentity;
use crate::options::Options;
use crate::telemetry::Metrics;
use crate::transport::{RequestError, Route, Transport};

const KNOWN: &str = "/api/v2/ci/libraries/tests";
const MANAGEMENT: &str = "/api/v2/test/libraries/test-management/tests";
const SKIPPABLE: &str = "/api/v2/ci/tests/skippable";
const COMMITS: &str = "/api/v2/git/repository/search_commits";
const PACKFILE: &str = "/api/v2/git/repository/packfile";
const REPORT: &str = "/api/v2/cicovreprt";

async fn backend(mock: &Mock) -> (Backend, Arc<Metrics>) {
    let environment = MapEnvironment::new().variable("DD_TRACE_AGENT_URL", mock.url());
    let config = Config::builder().environment(&environment).build();
    let options = Options::read(&config);
    let variables = Variables::of(&environment);
    let found = Route::find(&config, &options, &variables).await;
    let (route, _) = found.expect("a route");
    let transport = Transport::new(route, Duration::from_secs(60));
    let metrics = Arc::new(Metrics::default());
    (
        Backend::new(Arc::new(transport), Arc::clone(&metrics)),
        metrics,
    )
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn asker() -> Asker {
    let platform = tags(&[("os.platform", "Linux"), ("runtime.name", "rustc")]);
    let custom = tags(&[("test.configuration.disk", "ssd"), ("team", "x")]);
    Asker {
        service: "shop".into(),
        env: "ci".into(),
        tags: tags(&[
            ("git.repository_url", "https://h/acme/widget.git"),
            ("git.commit.sha", "aa"),
            ("git.branch", "main"),
            ("git.commit.message", "say"),
            ("ci.job.id", "9"),
        ]),
        configurations: Asker::configurations(&platform, &custom),
        level: SkippingLevel::Test,
    }
}

fn configurations() -> Value {
    json!({"os.platform": "Linux", "runtime.name": "rustc", "custom": {"disk": "ssd"}})
}

/// The question without its random id, which has to be a UUID.
fn question(request: &Recorded) -> Value {
    let mut question = request.json();
    let id = question["data"]["id"].take();
    assert_eq!(id.as_str().map(str::len), Some(36), "{id}");
    question["data"]
        .as_object_mut()
        .expect("an object")
        .remove("id");
    question
}

#[test]
fn settings_are_asked_for_and_counted() {
    run(async {
        let mock = Mock::start().await;
        let answer = json!({"data": {"attributes": {"itr_enabled": true, "require_git": true}}});
        mock.on(SETTINGS, [Reply::json(&answer)]);
        let (backend, metrics) = backend(&mock).await;
        let found = backend.settings(&asker(), &mut Deadline::never()).await;
        let found = found.expect("an answer");
        assert!(found.itr_enabled && found.require_git && !found.tests_skipping);
        let request = &mock.requests(SETTINGS)[0];
        assert_eq!(request.headers["x-datadog-evp-subdomain"], "api");
        assert_eq!(
            question(request),
            json!({"data": {"type": "ci_app_test_service_libraries_settings", "attributes": {
                "test_level": "test", "service": "shop", "env": "ci", "branch": "main",
                "repository_url": "https://h/acme/widget.git", "sha": "aa",
                "configurations": configurations(),
            }}})
        );
        let taken = metrics.take();
        assert_eq!(taken.total("git_requests.settings"), 1);
        assert_eq!(taken.total("git_requests.settings_response"), 1);
        assert_eq!(taken.total("git_requests.settings_errors"), 0);
    });
}

#[test]
fn a_question_that_lacks_something_is_not_asked() {
    run(async {
        let mock = Mock::start().await;
        let (backend, metrics) = backend(&mock).await;
        for tag in ["git.repository_url", "git.commit.sha", "git.branch"] {
            let mut asker = asker();
            asker.tags.remove(tag);
            let error = backend.settings(&asker, &mut Deadline::never()).await;
            assert_eq!(
                error.expect_err("nothing to ask"),
                RequestError::Missing(match tag {
                    // A tag would do instead of a branch.
                    "git.branch" => "git.tag",
                    "git.commit.sha" => "git.commit.sha",
                    _ => "git.repository_url",
                })
            );
        }
        assert!(mock.requests(SETTINGS).is_empty());
        assert_eq!(metrics.take().total("git_requests.settings_errors"), 3);
    });
}

#[test]
fn known_tests_come_in_pages() {
    run(async {
        let mock = Mock::start().await;
        let page = |name: &str, info: Value| {
            let tests = json!({"m": {"s": [name]}});
            Reply::json(&json!({"data": {"attributes": {"tests": tests, "page_info": info}}}))
        };
        let more = |cursor: &str| json!({"cursor": cursor, "has_next": true});
        let last = page("c", json!({"has_next": false}));
        let pages = [page("a", more("2")), page("b", more("3")), last];
        mock.on(KNOWN, pages.clone());
        let (backend, _) = backend(&mock).await;
        let known = backend
            .known_tests(&asker(), 3, &mut Deadline::never())
            .await;
        let known = known.expect("three pages");
        assert_eq!(known.len(), 3);
        assert!(known.contains(&TestIdentity::new("m", "s", "c")));
        let asked: Vec<Value> = mock
            .requests(KNOWN)
            .iter()
            .map(|request| question(request)["data"]["attributes"]["page_info"].take())
            .collect();
        assert_eq!(
            asked,
            [
                json!({}),
                json!({"page_state": "2"}),
                json!({"page_state": "3"})
            ]
        );
        // One page too many makes all of them void.
        mock.on(KNOWN, pages);
        let void = backend
            .known_tests(&asker(), 2, &mut Deadline::never())
            .await;
        assert_eq!(void.expect_err("too many").error_type(), "bad_json");
    });
}

#[test]
fn test_management_asks_for_the_head_of_a_pull_request() {
    run(async {
        let mock = Mock::start().await;
        let answer = json!({"data": {"attributes": {"modules": {}}}});
        mock.on(MANAGEMENT, [Reply::json(&answer)]);
        let (backend, _) = backend(&mock).await;
        let mut asker = asker();
        let url = "https://h/acme/widget.git";
        for (more, all_flaky, expected) in [
            (
                &[][..],
                false,
                json!({"repository_url": url, "commit_message": "say", "sha": "aa"}),
            ),
            (
                &[
                    ("git.commit.head.sha", "hh"),
                    ("git.commit.head.message", "head"),
                ],
                false,
                json!({"repository_url": url, "commit_message": "head", "sha": "hh"}),
            ),
            (
                &[],
                true,
                json!({"repository_url": url, "statuses": ["active", "quarantined", "disabled"]}),
            ),
        ] {
            asker.tags.extend(tags(more));
            let found = backend
                .test_management(&asker, all_flaky, &mut Deadline::never())
                .await;
            assert!(found.expect("an answer").is_empty());
            let request = mock.requests(MANAGEMENT).pop().expect("a request");
            assert_eq!(question(&request)["data"]["attributes"], expected);
        }
    });
}

#[test]
fn skippable_tests_and_commits_are_asked_for() {
    run(async {
        let mock = Mock::start().await;
        let answer = json!({"data": [], "meta": {"correlation_id": "c"}});
        mock.on(SKIPPABLE, [Reply::json(&answer)]);
        let sha = "0123456789abcdef0123456789abcdef01234567";
        mock.on(
            COMMITS,
            [Reply::json(
                &json!({"data": [{"id": sha, "type": "commit"}]}),
            )],
        );
        let (backend, _) = backend(&mock).await;
        let found = backend.skippable(&asker(), &mut Deadline::never()).await;
        assert_eq!(found.expect("an answer").correlation_id, "c");
        assert_eq!(
            question(&mock.requests(SKIPPABLE)[0]),
            json!({"data": {"type": "test_params", "attributes": {
                "service": "shop", "env": "ci", "repository_url": "https://h/acme/widget.git",
                "sha": "aa", "configurations": configurations(), "test_level": "test"}}})
        );
        let commits = vec![sha.to_owned(); 1001];
        let found = backend
            .search_commits(&asker(), &commits, &mut Deadline::never())
            .await;
        assert_eq!(found.expect("an answer"), [sha]);
        let request = mock.requests(COMMITS)[0].json();
        assert_eq!(
            request["meta"],
            json!({"repository_url": "https://h/acme/widget.git"})
        );
        assert_eq!(request["data"][0], json!({"id": sha, "type": "commit"}));
        assert_eq!(request["data"].as_array().map(Vec::len), Some(1000));
    });
}

#[test]
fn packs_and_reports_are_forms_that_are_not_compressed_again() {
    run(async {
        let mock = Mock::start().await;
        let (backend, metrics) = backend(&mock).await;
        let pack = b"PACK".to_vec();
        let sent = backend
            .packfile(&asker(), "x.pack", pack, &mut Deadline::never())
            .await;
        sent.expect("taken");
        let request = &mock.requests(PACKFILE)[0];
        assert!(!request.was_compressed);
        let body = String::from_utf8_lossy(&request.body);
        let pushed = json!({"data": {"id": "aa", "type": "commit"},
            "meta": {"repository_url": "https://h/acme/widget.git"}});
        for text in [
            "name=\"pushedSha\"\r\nContent-Type: application/json\r\n\r\n",
            &pushed.to_string(),
            "name=\"packfile\"; filename=\"x.pack\"\r\nContent-Type: application/octet-stream\r\n\r\nPACK\r\n",
        ] {
            assert!(body.contains(text), "{text} in {body}");
        }
        let sent = backend
            .coverage_report(&asker(), "lcov", b"TN:", &[], &mut Deadline::never())
            .await;
        sent.expect("taken");
        let request = &mock.requests(REPORT)[0];
        assert_eq!(request.headers["x-datadog-evp-subdomain"], "ci-intake");
        assert!(String::from_utf8_lossy(&request.body).contains("\"ci.job.id\":\"9\""));
        let sent = backend
            .coverage_report(&asker(), "lcov", b"", &[], &mut Deadline::never())
            .await;
        assert!(sent.is_err());
        mock.on(PACKFILE, [Reply::status(400)]);
        let sent = backend
            .packfile(&asker(), "x", Vec::new(), &mut Deadline::never())
            .await;
        assert_eq!(sent, Err(RequestError::Status(400)));
        let taken = metrics.take();
        assert_eq!(taken.total("git_requests.objects_pack"), 2);
        assert_eq!(taken.total("git_requests.objects_pack_errors"), 1);
        assert_eq!(taken.total("coverage_upload.request"), 1);
    });
}
