//! The environments of continuous integration: our tags are those of the Python tracer.
//!
//! Every provider has its variables here, with values of our own. Of each, seeded subsets are tried, so that every fallback
//! and every combination of what is there and what is missing comes up. Where the reference writes `None` into an address
//! because a part of it is missing, ours has no such tag (`spec/ci-visibility.md` §10), and a message has the part that is
//! there; nothing else may differ.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use ddtrace::ci_visibility::ci;
use ddtrace_core::config::MapEnvironment;
use ddtrace_tests::service;
use serde_json::Value;

type Map = BTreeMap<String, String>;

/// Trigger variable, then what else the provider sets.
const PROVIDERS: [&[(&str, &str)]; 15] = [
    &[
        ("APPVEYOR", "True"),
        ("APPVEYOR_BUILD_FOLDER", "~/projects/w"),
        ("APPVEYOR_BUILD_ID", "4711"),
        ("APPVEYOR_BUILD_NUMBER", "12"),
        ("APPVEYOR_PULL_REQUEST_HEAD_COMMIT", "aa11"),
        ("APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH", "refs/heads/topic"),
        ("APPVEYOR_PULL_REQUEST_NUMBER", "77"),
        ("APPVEYOR_REPO_BRANCH", "origin/main"),
        ("APPVEYOR_REPO_COMMIT", "bb22"),
        ("APPVEYOR_REPO_COMMIT_AUTHOR", "Ada"),
        ("APPVEYOR_REPO_COMMIT_AUTHOR_EMAIL", "ada@example.test"),
        ("APPVEYOR_REPO_COMMIT_MESSAGE", "one"),
        ("APPVEYOR_REPO_COMMIT_MESSAGE_EXTENDED", "two\nthree"),
        ("APPVEYOR_REPO_NAME", "acme/widget"),
        ("APPVEYOR_REPO_PROVIDER", "github"),
        ("APPVEYOR_REPO_TAG_NAME", "refs/tags/v1"),
    ],
    &[
        ("TF_BUILD", "True"),
        ("BUILD_BUILDID", "31"),
        ("BUILD_DEFINITIONNAME", "nightly"),
        (
            "BUILD_REPOSITORY_URI",
            "https://u:p@dev.example.test/acme/widget.git",
        ),
        ("BUILD_REQUESTEDFOREMAIL", "bo@example.test"),
        ("BUILD_REQUESTEDFORID", "Bo"),
        ("BUILD_SOURCEBRANCH", "refs/heads/tags/v2"),
        ("BUILD_SOURCEBRANCHNAME", "v2"),
        ("BUILD_SOURCESDIRECTORY", "/w"),
        ("BUILD_SOURCEVERSION", "cc33"),
        ("BUILD_SOURCEVERSIONMESSAGE", "message"),
        ("SYSTEM_JOBDISPLAYNAME", "Test"),
        ("SYSTEM_JOBID", "j1"),
        ("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "8"),
        ("SYSTEM_PULLREQUEST_SOURCEBRANCH", "refs/heads/topic"),
        ("SYSTEM_PULLREQUEST_SOURCECOMMITID", "dd44"),
        (
            "SYSTEM_PULLREQUEST_SOURCEREPOSITORYURI",
            "ssh://git@h:22/acme/fork",
        ),
        ("SYSTEM_PULLREQUEST_TARGETBRANCH", "refs/heads/main"),
        ("SYSTEM_STAGEDISPLAYNAME", "Checks"),
        ("SYSTEM_TASKINSTANCEID", "t1"),
        (
            "SYSTEM_TEAMFOUNDATIONSERVERURI",
            "https://dev.example.test/",
        ),
        ("SYSTEM_TEAMPROJECTID", "p1"),
    ],
    &[
        ("BITBUCKET_COMMIT", "ee55"),
        ("BITBUCKET_BRANCH", "main"),
        ("BITBUCKET_BUILD_NUMBER", "5"),
        ("BITBUCKET_CLONE_DIR", "/opt/build"),
        (
            "BITBUCKET_GIT_HTTP_ORIGIN",
            "http://bitbucket.example.test/acme/widget",
        ),
        (
            "BITBUCKET_GIT_SSH_ORIGIN",
            "git@bitbucket.example.test:acme/widget.git",
        ),
        ("BITBUCKET_PIPELINE_UUID", "{1234-5678}"),
        ("BITBUCKET_PR_DESTINATION_BRANCH", "develop"),
        ("BITBUCKET_PR_ID", "3"),
        ("BITBUCKET_REPO_FULL_NAME", "acme/widget"),
        ("BITBUCKET_TAG", "v3"),
    ],
    &[
        ("BUILDKITE", "true"),
        ("BUILDKITE_AGENT_ID", "agent-1"),
        ("BUILDKITE_AGENT_META_DATA_OS", "linux"),
        ("BUILDKITE_AGENT_META_DATA_QUEUE", "Default \"q\""),
        ("BUILDKITE_BRANCH", "topic"),
        ("BUILDKITE_BUILD_AUTHOR", "Cy"),
        ("BUILDKITE_BUILD_AUTHOR_EMAIL", "cy@example.test"),
        ("BUILDKITE_BUILD_CHECKOUT_PATH", "/build"),
        ("BUILDKITE_BUILD_CREATOR", "Di"),
        ("BUILDKITE_BUILD_CREATOR_EMAIL", "di@example.test"),
        ("BUILDKITE_BUILD_ID", "b-1"),
        ("BUILDKITE_BUILD_NUMBER", "9"),
        ("BUILDKITE_BUILD_URL", "https://buildkite.example.test/9"),
        ("BUILDKITE_COMMIT", "ff66"),
        ("BUILDKITE_JOB_ID", "j-1"),
        ("BUILDKITE_MESSAGE", "say"),
        ("BUILDKITE_PIPELINE_NAME", "Widget"),
        ("BUILDKITE_PIPELINE_SLUG", "widget"),
        ("BUILDKITE_PULL_REQUEST", "12"),
        ("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "main"),
        ("BUILDKITE_REPO", "http://u:p@h/acme/widget.git"),
        ("BUILDKITE_TAG", "v4"),
    ],
    &[
        ("CIRCLECI", "true"),
        ("CIRCLE_BRANCH", "main"),
        ("CIRCLE_BUILD_NUM", "17"),
        ("CIRCLE_BUILD_URL", "https://circle.example.test/17"),
        ("CIRCLE_JOB", "test"),
        ("CIRCLE_PROJECT_REPONAME", "widget"),
        ("CIRCLE_PR_NUMBER", "5"),
        ("CIRCLE_REPOSITORY_URL", "git@h:acme/widget.git"),
        ("CIRCLE_SHA1", "aa77"),
        ("CIRCLE_TAG", "v5"),
        ("CIRCLE_WORKFLOW_ID", "w-1"),
        ("CIRCLE_WORKING_DIRECTORY", "~/project"),
    ],
    &[
        ("CF_BUILD_ID", "6f"),
        ("CF_BRANCH", "topic"),
        ("CF_BUILD_URL", "https://codefresh.example.test/6f"),
        ("CF_PIPELINE_NAME", "acme/widget"),
        ("CF_PULL_REQUEST_NUMBER", "24"),
        ("CF_PULL_REQUEST_TARGET", "main"),
        ("CF_STEP_NAME", "unit"),
    ],
    &[
        ("GITHUB_SHA", "bb88"),
        ("GITHUB_BASE_REF", "main"),
        ("GITHUB_HEAD_REF", "topic"),
        ("GITHUB_JOB", "test"),
        ("GITHUB_REF", "refs/pull/1/merge"),
        ("GITHUB_REPOSITORY", "acme/widget"),
        ("GITHUB_RUN_ATTEMPT", "2"),
        ("GITHUB_RUN_ID", "70"),
        ("GITHUB_RUN_NUMBER", "30"),
        ("GITHUB_SERVER_URL", "https://u:p@github.example.test"),
        ("GITHUB_WORKFLOW", "ci"),
        ("GITHUB_WORKSPACE", "/home/runner/w"),
        ("JOB_CHECK_RUN_ID", " 5500 "),
    ],
    &[
        ("GITLAB_CI", "true"),
        ("CI_COMMIT_AUTHOR", "Eve Ex <eve@example.test>"),
        ("CI_COMMIT_MESSAGE", "line\n\nbody"),
        ("CI_COMMIT_REF_NAME", "origin/tags/0.1.0"),
        ("CI_COMMIT_SHA", "cc99"),
        ("CI_COMMIT_TAG", "0.1.0"),
        ("CI_COMMIT_TIMESTAMP", "2026-01-02T03:04:05+00:00"),
        ("CI_JOB_ID", "61"),
        ("CI_JOB_NAME", "unit"),
        ("CI_JOB_STAGE", "test"),
        ("CI_JOB_URL", "https://gitlab.example.test/61"),
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "dd00"),
        ("CI_MERGE_REQUEST_IID", "14"),
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "dd01"),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", "dd02"),
        ("CI_PIPELINE_ID", "62"),
        ("CI_PIPELINE_IID", "6"),
        ("CI_PIPELINE_URL", "https://gitlab.example.test/p/62"),
        ("CI_PROJECT_DIR", "/builds/w"),
        ("CI_PROJECT_PATH", "acme/widget"),
        ("CI_PROJECT_URL", "https://gitlab.example.test/acme/widget"),
        (
            "CI_REPOSITORY_URL",
            "https://u:p@gitlab.example.test/acme/widget.git",
        ),
        ("CI_RUNNER_ID", "r1"),
        ("CI_RUNNER_TAGS", "[\"arch:arm64\",\"linux\"]"),
    ],
    &[
        ("JENKINS_URL", "https://jenkins.example.test/"),
        ("BUILD_NUMBER", "3"),
        ("BUILD_TAG", "jenkins-widget-3"),
        ("BUILD_URL", "https://jenkins.example.test/3"),
        ("CHANGE_ID", "42"),
        ("CHANGE_TARGET", "origin/main"),
        ("DD_CUSTOM_PARENT_ID", "2"),
        ("DD_CUSTOM_TRACE_ID", "1"),
        ("GIT_BRANCH", "origin/topic"),
        ("GIT_COMMIT", "ee03"),
        ("GIT_URL", "https://u:p@h/acme/widget.git"),
        ("GIT_URL_1", "https://h/acme/other.git"),
        ("JOB_NAME", "folder/widget/topic/KEY=a,KEY2=b"),
        ("NODE_LABELS", "built-in linux"),
        ("NODE_NAME", "n1"),
        ("WORKSPACE", "~"),
    ],
    &[
        ("TEAMCITY_VERSION", "2026.1"),
        ("BUILD_URL", "https://teamcity.example.test/1"),
        ("TEAMCITY_BUILDCONF_NAME", "Unit"),
        ("TEAMCITY_PULLREQUEST_NUMBER", "6"),
        ("TEAMCITY_PULLREQUEST_TARGET_BRANCH", "refs/heads/main"),
    ],
    &[
        ("TRAVIS", "true"),
        ("TRAVIS_BRANCH", "main"),
        ("TRAVIS_BUILD_DIR", "/home/travis/w"),
        ("TRAVIS_BUILD_ID", "21"),
        ("TRAVIS_BUILD_NUMBER", "2"),
        ("TRAVIS_BUILD_WEB_URL", "https://travis.example.test/21"),
        ("TRAVIS_COMMIT", "ff04"),
        ("TRAVIS_COMMIT_MESSAGE", "say"),
        ("TRAVIS_EVENT_TYPE", "pull_request"),
        ("TRAVIS_JOB_WEB_URL", "https://travis.example.test/j"),
        ("TRAVIS_PULL_REQUEST", "19"),
        ("TRAVIS_PULL_REQUEST_BRANCH", "topic"),
        ("TRAVIS_PULL_REQUEST_SHA", "ff05"),
        ("TRAVIS_REPO_SLUG", "acme/widget"),
        ("TRAVIS_TAG", "origin/tags/v6"),
    ],
    &[
        ("BITRISE_BUILD_SLUG", "s1"),
        ("BITRISEIO_GIT_BRANCH_DEST", "main"),
        ("BITRISEIO_PULL_REQUEST_HEAD_BRANCH", "topic"),
        ("BITRISE_BUILD_NUMBER", "4"),
        ("BITRISE_BUILD_URL", "https://bitrise.example.test/4"),
        ("BITRISE_GIT_BRANCH", "refs/heads/other"),
        ("BITRISE_GIT_COMMIT", "aa06"),
        ("BITRISE_GIT_MESSAGE", "say"),
        ("BITRISE_GIT_TAG", "v7"),
        ("BITRISE_PULL_REQUEST", "15"),
        ("BITRISE_SOURCE_DIR", "/w"),
        ("BITRISE_TRIGGERED_WORKFLOW_ID", "unit"),
        ("GIT_CLONE_COMMIT_AUTHOR_EMAIL", "fay@example.test"),
        ("GIT_CLONE_COMMIT_AUTHOR_NAME", "Fay"),
        ("GIT_CLONE_COMMIT_COMMITER_EMAIL", "gus@example.test"),
        ("GIT_CLONE_COMMIT_COMMITER_NAME", "Gus"),
        ("GIT_CLONE_COMMIT_HASH", "aa07"),
        ("GIT_CLONE_COMMIT_MESSAGE_BODY", "body"),
        ("GIT_CLONE_COMMIT_MESSAGE_SUBJECT", "subject"),
        ("GIT_REPOSITORY_URL", "git@h:acme/widget.git"),
    ],
    &[
        ("BUDDY", "true"),
        ("BUDDY_EXECUTION_BRANCH", "main"),
        ("BUDDY_EXECUTION_ID", "7"),
        ("BUDDY_EXECUTION_REVISION", "bb08"),
        (
            "BUDDY_EXECUTION_REVISION_COMMITTER_EMAIL",
            "hal@example.test",
        ),
        ("BUDDY_EXECUTION_REVISION_COMMITTER_NAME", "Hal"),
        ("BUDDY_EXECUTION_REVISION_MESSAGE", "say"),
        ("BUDDY_EXECUTION_TAG", "v8"),
        ("BUDDY_EXECUTION_URL", "https://buddy.example.test/7"),
        ("BUDDY_PIPELINE_ID", "p7"),
        ("BUDDY_PIPELINE_NAME", "unit"),
        ("BUDDY_RUN_PR_BASE_BRANCH", "main"),
        ("BUDDY_RUN_PR_NO", "33"),
        ("BUDDY_SCM_URL", "https://h/acme/widget"),
    ],
    &[
        ("CODEBUILD_INITIATOR", "codepipeline/widget"),
        ("CODEBUILD_BUILD_ARN", "arn:aws:codebuild:1"),
        ("DD_ACTION_EXECUTION_ID", "a1"),
        ("DD_PIPELINE_EXECUTION_ID", "p1"),
    ],
    &[
        ("DRONE", "true"),
        ("DRONE_BRANCH", "main"),
        ("DRONE_BUILD_LINK", "https://drone.example.test/1"),
        ("DRONE_BUILD_NUMBER", "1"),
        ("DRONE_COMMIT_AUTHOR_EMAIL", "ida@example.test"),
        ("DRONE_COMMIT_AUTHOR_NAME", "Ida"),
        ("DRONE_COMMIT_BRANCH", "refs/heads/other"),
        ("DRONE_COMMIT_MESSAGE", "say"),
        ("DRONE_COMMIT_SHA", "cc09"),
        ("DRONE_GIT_HTTP_URL", "https://u:p@h/acme/widget.git"),
        ("DRONE_PULL_REQUEST", "18"),
        ("DRONE_REPO", "acme/widget"),
        ("DRONE_STAGE_NAME", "checks"),
        ("DRONE_STEP_NAME", "unit"),
        ("DRONE_TAG", "v9"),
        ("DRONE_TARGET_BRANCH", "main"),
        ("DRONE_WORKSPACE", "/drone/src"),
    ],
];

const MESSAGE: &str = "git.commit.message";

/// What users set on top.
const USER: &[(&str, &str)] = &[
    ("JOB_ID", "of the user"),
    ("DD_GIT_BRANCH", "refs/heads/mine"),
    ("DD_GIT_COMMIT_AUTHOR_DATE", "2026-02-03T04:05:06Z"),
    ("DD_GIT_COMMIT_AUTHOR_EMAIL", "me@example.test"),
    ("DD_GIT_COMMIT_AUTHOR_NAME", "Me"),
    ("DD_GIT_COMMIT_COMMITTER_DATE", "2026-02-03T04:05:07Z"),
    ("DD_GIT_COMMIT_COMMITTER_EMAIL", "you@example.test"),
    ("DD_GIT_COMMIT_COMMITTER_NAME", "You"),
    ("DD_GIT_COMMIT_MESSAGE", "mine"),
    ("DD_GIT_COMMIT_SHA", "0123"),
    ("DD_GIT_PULL_REQUEST_BASE_BRANCH", "origin/base"),
    ("DD_GIT_PULL_REQUEST_BASE_BRANCH_SHA", "4567"),
    ("DD_GIT_REPOSITORY_URL", "https://u:p@h/me/mine.git"),
    ("_CI_DD_GIT_REPOSITORY_URL", "git@h:me/first.git"),
    ("DD_GIT_TAG", "refs/tags/mine"),
    (
        "DD_TAGS",
        "team:core,test.configuration.disk:ssd:fast, alone",
    ),
    ("_CI_DD_TAGS", "team:ci other:thing"),
];

/// Values that replace usual ones now and then.
const OTHERS: &[(&str, &str)] = &[
    ("BUILDKITE_PULL_REQUEST", "false"),
    ("CODEBUILD_INITIATOR", "user/me"),
    ("TRAVIS_EVENT_TYPE", "push"),
    ("APPVEYOR_REPO_PROVIDER", "gitlab"),
    ("JOB_CHECK_RUN_ID", "none"),
    ("DD_GIT_BRANCH", "refs/tags/of-the-user"),
    ("GIT_BRANCH", "origin/tags/v0"),
];

/// A small generator with a seed: the cases are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn one_in(&mut self, n: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.is_multiple_of(n)
    }
}

fn environments() -> Vec<Map> {
    let owned = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
    let mut seeded = Seeded(0x5eed);
    let home = || owned(&("HOME", "/home/me"));
    let mut all: Vec<Map> = vec![Map::new(), USER.iter().map(owned).collect()];
    for variables in PROVIDERS {
        all.push(variables.iter().map(owned).collect());
        all.push(variables[..1].iter().map(owned).collect());
        for round in 0..40 {
            let mut environment: Map = variables[..1].iter().map(owned).collect();
            let mut keep = |from: &[(&str, &str)], n| {
                for pair in from {
                    if seeded.one_in(n) {
                        environment.extend([owned(pair)]);
                    }
                }
            };
            keep(variables, 2 + round % 2);
            if round >= 20 {
                keep(USER, 6);
            }
            for (name, value) in OTHERS {
                if environment.contains_key(*name) && seeded.one_in(3) {
                    environment.insert((*name).to_owned(), (*value).to_owned());
                }
            }
            all.push(environment);
        }
    }
    // The reference looks up `~` wherever it comes from.
    all.iter_mut()
        .for_each(|environment| environment.extend([home()]));
    all
}

fn of_reference(environments: &[Map]) -> Option<Vec<BTreeMap<String, String>>> {
    let mut command = Command::new(service::python()?);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/ci_tags.py"))
        .env("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("Python starts");
    let mut input = child.stdin.take().expect("a pipe");
    let lines: Vec<String> = environments
        .iter()
        .map(|environment| serde_json::to_string(environment).expect("JSON") + "\n")
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.concat().as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).expect("tags"))
            .collect(),
    )
}

/// JSON inside of tags is compared as JSON.
fn as_values(tags: BTreeMap<String, String>) -> BTreeMap<String, Value> {
    let value = |(key, text): (String, String)| {
        let is_json = key == "_dd.ci.env_vars" || key == "ci.node.labels";
        let value = is_json.then(|| serde_json::from_str(&text).ok()).flatten();
        (key, value.unwrap_or(Value::String(text)))
    };
    tags.into_iter().map(value).collect()
}

#[test]
fn every_provider_has_the_tags_of_the_reference() {
    let environments = environments();
    let Some(expected) = of_reference(&environments) else {
        return;
    };
    assert_eq!(environments.len(), expected.len());
    let mut with_provider = 0;
    let mut different = Vec::new();
    for (environment, mut expected) in environments.iter().zip(expected) {
        let mut ours = MapEnvironment::new();
        for (name, value) in environment {
            ours = ours.variable(name, value);
        }
        let mut found = ci::tags(&ours);
        if expected
            .get(MESSAGE)
            .is_some_and(|message| message.contains("None"))
        {
            let message = found.remove(MESSAGE);
            assert!(
                message.is_some_and(|message| !message.contains("None")),
                "{environment:?}"
            );
        }
        expected.retain(|_, value| !value.contains("None"));
        with_provider += usize::from(expected.contains_key("ci.provider.name"));
        let (found, expected) = (as_values(found), as_values(expected));
        let keys: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
        for key in keys {
            if found.get(key) != expected.get(key) {
                let (found, expected) = (found.get(key), expected.get(key));
                different.push(format!(
                    "{key}: {found:?} for {expected:?} in {environment:?}"
                ));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(with_provider > 500, "{with_provider}");
}
