//! Asks the questions and delivers what is not an event.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use ddtrace_core::export::agent::Deadline;
use serde_json::{Map, Value, json};

use super::{BadAnswer, KnownTests, NextPage, Settings, Skippable, SkippingLevel, TestManagement};
use crate::ci::Tags;
use crate::model::tags::*;
use crate::payload::multipart::{Form, Part};
use crate::payload::{cicovreprt, cireport};
use crate::telemetry::{Metrics, Tag};
use crate::transport::{Answer, Call, RequestError, Subdomain, Transport, gzip};

/// The most commits in one question.
const MAX_COMMITS: usize = 1000;

/// Who asks: what all questions say.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Asker {
    /// The service.
    pub service: String,
    /// The environment.
    pub env: String,
    /// Tags of commit and pipeline.
    pub tags: Tags,
    /// `os.*`, `runtime.*` and `custom`.
    pub configurations: Map<String, Value>,
    /// What is skipped as one.
    pub level: SkippingLevel,
}

impl Asker {
    /// What all questions say about the machine: `platform` has the `os.*` and `runtime.*` tags,
    /// `custom` the tags of the user, of which those below `test.configuration.` count.
    pub fn configurations(platform: &Tags, custom: &Tags) -> Map<String, Value> {
        let mut all: Map<String, Value> = platform
            .iter()
            .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
            .collect();
        let custom: Map<String, Value> = custom
            .iter()
            .filter_map(|(key, value)| {
                let key = key.strip_prefix("test.configuration.")?;
                Some((key.to_owned(), Value::from(value.as_str())))
            })
            .collect();
        if !custom.is_empty() {
            all.insert("custom".into(), Value::Object(custom));
        }
        all
    }

    fn tag(&self, name: &'static str) -> Result<&str, RequestError> {
        let tag = self.tags.get(name).filter(|tag| !tag.is_empty());
        tag.map(String::as_str).ok_or(RequestError::Missing(name))
    }
}

/// Names of the metrics of one kind of request.
#[derive(Clone, Copy)]
struct Names {
    count: &'static str,
    millis: &'static str,
    errors: &'static str,
    bytes: Option<&'static str>,
}

/// The backend, as far as it answers.
#[derive(Debug)]
pub struct Backend {
    transport: Arc<Transport>,
    metrics: Arc<Metrics>,
}

impl Backend {
    /// The backend at the end of this transport.
    pub fn new(transport: Arc<Transport>, metrics: Arc<Metrics>) -> Backend {
        Backend { transport, metrics }
    }

    /// What is switched on.
    pub async fn settings(
        &self,
        asker: &Asker,
        deadline: &mut Deadline,
    ) -> Result<Settings, RequestError> {
        let names = Names {
            count: "git_requests.settings",
            millis: "git_requests.settings_ms",
            errors: "git_requests.settings_errors",
            bytes: None,
        };
        let result = async {
            let branch = asker.tag(GIT_BRANCH).or_else(|_| asker.tag(GIT_TAG))?;
            let question = question(
                "ci_app_test_service_libraries_settings",
                json!({
                    "test_level": asker.level.as_str(),
                    "service": asker.service,
                    "env": asker.env,
                    "repository_url": asker.tag(GIT_REPOSITORY_URL)?,
                    "sha": asker.tag(GIT_COMMIT_SHA)?,
                    "branch": branch,
                    "configurations": asker.configurations,
                }),
            );
            let path = "/api/v2/libraries/tests/services/setting";
            let answer = self.ask(path, &question, names, deadline).await?;
            Ok(Settings::parse(&answer.body)?)
        };
        let settings = self.counted(names, result.await)?;
        let on = [
            ("coverage_enabled", settings.code_coverage),
            ("itrskip_enabled", settings.tests_skipping),
            (
                "early_flake_detection_enabled",
                settings.early_flake_detection.enabled,
            ),
            (
                "flaky_test_retries_enabled",
                settings.flaky_test_retries_enabled,
            ),
            ("known_tests_enabled", settings.known_tests_enabled),
            ("impacted_tests_enabled", settings.impacted_tests_enabled),
            ("test_management_enabled", settings.test_management.enabled),
            ("require_git", settings.require_git),
            ("itr_enabled", settings.itr_enabled),
        ];
        let on = on.into_iter().filter(|(_, is_on)| *is_on);
        let tags: Vec<Tag> = on.map(|(name, _)| Tag(name, "true".into())).collect();
        self.metrics
            .count("git_requests.settings_response", &tags, 1);
        Ok(settings)
    }

    /// The tests that it has seen: all pages, or none.
    pub async fn known_tests(
        &self,
        asker: &Asker,
        max_pages: u32,
        deadline: &mut Deadline,
    ) -> Result<KnownTests, RequestError> {
        let names = Names {
            count: "known_tests.request",
            millis: "known_tests.request_ms",
            errors: "known_tests.request_errors",
            bytes: Some("known_tests.response_bytes"),
        };
        let result = async {
            let mut known = KnownTests::default();
            let mut page = json!({});
            for _ in 0..max_pages {
                let question = question(
                    "ci_app_libraries_tests_request",
                    json!({
                        "service": asker.service,
                        "env": asker.env,
                        "repository_url": asker.tag(GIT_REPOSITORY_URL)?,
                        "configurations": asker.configurations,
                        "page_info": page,
                    }),
                );
                let path = "/api/v2/ci/libraries/tests";
                let answer = self.ask(path, &question, names, deadline).await?;
                match known.add_page(&answer.body)? {
                    NextPage::Last => return Ok(known),
                    NextPage::Cursor(cursor) => page = json!({"page_state": cursor}),
                }
            }
            Err(BadAnswer::new("an end of the pages").into())
        };
        let known = self.counted(names, result.await)?;
        let count = known.len() as f64;
        self.metrics
            .distribution("known_tests.response_tests", &[], count);
        Ok(known)
    }

    /// What people decided. `all_flaky`: everything that is flaky, each an attempt to fix.
    pub async fn test_management(
        &self,
        asker: &Asker,
        all_flaky: bool,
        deadline: &mut Deadline,
    ) -> Result<TestManagement, RequestError> {
        let names = Names {
            count: "test_management_tests.request",
            millis: "test_management_tests.request_ms",
            errors: "test_management_tests.request_errors",
            bytes: Some("test_management_tests.response_bytes"),
        };
        let result = async {
            let mut attributes = json!({"repository_url": asker.tag(GIT_REPOSITORY_URL)?});
            if all_flaky {
                attributes["statuses"] = json!(["active", "quarantined", "disabled"]);
            } else {
                let either = |head, own| asker.tag(head).or_else(|_| asker.tag(own));
                let message = either(GIT_COMMIT_HEAD_MESSAGE, GIT_COMMIT_MESSAGE)?;
                let sha = either(GIT_COMMIT_HEAD_SHA, GIT_COMMIT_SHA)?;
                attributes["commit_message"] = Value::from(message);
                attributes["sha"] = Value::from(sha);
            }
            let question = question("ci_app_libraries_tests_request", attributes);
            let path = "/api/v2/test/libraries/test-management/tests";
            let answer = self.ask(path, &question, names, deadline).await?;
            Ok(TestManagement::parse(&answer.body, all_flaky)?)
        };
        let management = self.counted(names, result.await)?;
        let count = management.len() as f64;
        self.metrics
            .distribution("test_management_tests.response_tests", &[], count);
        Ok(management)
    }

    /// What the change cannot affect.
    pub async fn skippable(
        &self,
        asker: &Asker,
        deadline: &mut Deadline,
    ) -> Result<Skippable, RequestError> {
        let names = Names {
            count: "itr_skippable_tests.request",
            millis: "itr_skippable_tests.request_ms",
            errors: "itr_skippable_tests.request_errors",
            bytes: Some("itr_skippable_tests.response_bytes"),
        };
        let result = async {
            let question = question(
                "test_params",
                json!({
                    "service": asker.service,
                    "env": asker.env,
                    "repository_url": asker.tag(GIT_REPOSITORY_URL)?,
                    "sha": asker.tag(GIT_COMMIT_SHA)?,
                    "configurations": asker.configurations,
                    "test_level": asker.level.as_str(),
                }),
            );
            let path = "/api/v2/ci/tests/skippable";
            let answer = self.ask(path, &question, names, deadline).await?;
            Ok(Skippable::parse(&answer.body, asker.level)?)
        };
        let skippable = self.counted(names, result.await)?;
        let name = match asker.level {
            SkippingLevel::Test => "itr_skippable_tests.response_tests",
            SkippingLevel::Suite => "itr_skippable_tests.response_suites",
        };
        self.metrics.count(name, &[], skippable.len() as u64);
        Ok(skippable)
    }

    /// Which of these commits it has.
    pub async fn search_commits(
        &self,
        asker: &Asker,
        commits: &[String],
        deadline: &mut Deadline,
    ) -> Result<Vec<String>, RequestError> {
        let names = Names {
            count: "git_requests.search_commits",
            millis: "git_requests.search_commits_ms",
            errors: "git_requests.search_commits_errors",
            bytes: None,
        };
        let result = async {
            let commit = |sha: &String| json!({"id": sha, "type": "commit"});
            let commits = commits.iter().take(MAX_COMMITS);
            let question = json!({
                "meta": {"repository_url": asker.tag(GIT_REPOSITORY_URL)?},
                "data": commits.map(commit).collect::<Vec<Value>>(),
            });
            let path = "/api/v2/git/repository/search_commits";
            let answer = self.ask(path, &question, names, deadline).await?;
            Ok(super::search_commits::parse(&answer.body)?)
        };
        self.counted(names, result.await)
    }

    /// Delivers a pack.
    pub async fn packfile(
        &self,
        asker: &Asker,
        name: &str,
        pack: Vec<u8>,
        deadline: &mut Deadline,
    ) -> Result<(), RequestError> {
        let names = Names {
            count: "git_requests.objects_pack",
            millis: "git_requests.objects_pack_ms",
            errors: "git_requests.objects_pack_errors",
            bytes: None,
        };
        let result = async {
            let pushed = json!({
                "data": {"id": asker.tag(GIT_COMMIT_SHA)?, "type": "commit"},
                "meta": {"repository_url": asker.tag(GIT_REPOSITORY_URL)?},
            });
            let form = Form::of(&[
                Part {
                    name: "pushedSha",
                    file_name: None,
                    content_type: "application/json",
                    data: Bytes::from(pushed.to_string()),
                },
                Part {
                    name: "packfile",
                    file_name: Some(name),
                    content_type: "application/octet-stream",
                    data: Bytes::from(pack),
                },
            ]);
            let path = "/api/v2/git/repository/packfile";
            self.deliver(Subdomain::Api, path, form, names, deadline)
                .await
        };
        self.counted(names, result.await)
    }

    /// Delivers a coverage report.
    pub async fn coverage_report(
        &self,
        asker: &Asker,
        format: &str,
        report: &[u8],
        flags: &[String],
        deadline: &mut Deadline,
    ) -> Result<(), RequestError> {
        let names = Names {
            count: "coverage_upload.request",
            millis: "coverage_upload.request_ms",
            errors: "coverage_upload.request_errors",
            bytes: None,
        };
        if report.is_empty() {
            return Err(RequestError::Missing("what is covered"));
        }
        let event = cicovreprt::event(format, flags, &asker.tags, SystemTime::now());
        let compressed = gzip(report);
        let size = compressed.len() as f64;
        self.metrics
            .distribution("coverage_upload.request_bytes", &[], size);
        let form = cicovreprt::form(format, compressed, &event);
        let path = "/api/v2/cicovreprt";
        let result = self.deliver(Subdomain::CiIntake, path, form, names, deadline);
        self.counted(names, result.await)
    }

    /// Delivers a JUnit file. Agents do not forward these.
    pub async fn junit(
        &self,
        asker: &Asker,
        hostname: &str,
        name: &str,
        xml: &str,
        deadline: &mut Deadline,
    ) -> Result<(), RequestError> {
        let mut tags = asker.tags.clone();
        let of_machine = asker.configurations.iter();
        let texts =
            of_machine.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        tags.extend(texts);
        let event = cireport::event(&asker.service, &asker.env, hostname, name, &tags);
        let form = cireport::form(gzip(xml.as_bytes()), &event);
        let path = "/api/v2/cireport";
        let body = form.body;
        let call = Call::delivery(Subdomain::CiReport, path, &form.content_type, body, false);
        self.transport.post(&call, deadline).await.map(|_| ())
    }

    async fn ask(
        &self,
        path: &str,
        question: &Value,
        names: Names,
        deadline: &mut Deadline,
    ) -> Result<Answer, RequestError> {
        self.metrics.count(names.count, &[], 1);
        let call = Call::json(Subdomain::Api, path, question);
        let answer = self.transport.post(&call, deadline).await?;
        self.took(names, &answer);
        Ok(answer)
    }

    async fn deliver(
        &self,
        subdomain: Subdomain,
        path: &str,
        form: Form,
        names: Names,
        deadline: &mut Deadline,
    ) -> Result<(), RequestError> {
        self.metrics.count(names.count, &[], 1);
        // Packs and reports are compressed already.
        let call = Call::delivery(subdomain, path, &form.content_type, form.body, false);
        let answer = self.transport.post(&call, deadline).await?;
        self.took(names, &answer);
        Ok(())
    }

    fn took(&self, names: Names, answer: &Answer) {
        let millis = answer.took.as_secs_f64() * 1000.0;
        self.metrics.distribution(names.millis, &[], millis);
        if let Some(bytes) = names.bytes {
            let compressed = [Tag("rs_compressed", "true".into())];
            let tags = if answer.was_compressed {
                &compressed[..]
            } else {
                &[]
            };
            self.metrics
                .distribution(bytes, tags, answer.body.len() as f64);
        }
    }

    fn counted<T>(&self, names: Names, result: Result<T, RequestError>) -> Result<T, RequestError> {
        if let Err(error) = &result {
            let tag = Tag("error_type", error.error_type().into());
            self.metrics.count(names.errors, &[tag], 1);
        }
        result
    }
}

fn question(kind: &str, attributes: Value) -> Value {
    json!({"data": {"id": crate::random::uuid(), "type": kind, "attributes": attributes}})
}
