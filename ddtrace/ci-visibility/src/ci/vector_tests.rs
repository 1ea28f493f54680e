//! The vectors of `spec/ci-visibility.md` §15 A.

use ddtrace_core::config::MapEnvironment;

use super::*;

const SHA: &str = "b9f0fb3fdbb94c9d24b2c75b49663122a529e123";

fn tags_of(variables: &[(&str, &str)]) -> Tags {
    let mut environment = MapEnvironment::new();
    for (name, value) in variables {
        environment = environment.variable(*name, *value);
    }
    tags(&environment)
}

#[track_caller]
fn assert_tags(variables: &[(&str, &str)], expected: &[(&str, &str)]) {
    let expected: Tags = expected
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(tags_of(variables), expected);
}

#[test]
fn a1_github_with_everything() {
    assert_tags(
        &[
            ("GITHUB_SHA", SHA),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "acme/widget"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_RUN_NUMBER", "3"),
            ("GITHUB_RUN_ATTEMPT", "2"),
            ("GITHUB_WORKFLOW", "ci"),
            ("GITHUB_JOB", "test"),
            ("GITHUB_REF", "refs/heads/main"),
            ("JOB_CHECK_RUN_ID", "55"),
            ("GITHUB_WORKSPACE", "/w"),
        ],
        &[
            ("ci.provider.name", "github"),
            ("ci.pipeline.id", "7"),
            ("ci.pipeline.number", "3"),
            ("ci.pipeline.name", "ci"),
            (
                "ci.pipeline.url",
                "https://github.com/acme/widget/actions/runs/7/attempts/2",
            ),
            ("ci.job.id", "55"),
            ("ci.job.name", "test"),
            (
                "ci.job.url",
                "https://github.com/acme/widget/actions/runs/7/job/55",
            ),
            ("git.branch", "main"),
            ("git.commit.sha", SHA),
            ("git.repository_url", "https://github.com/acme/widget.git"),
            ("ci.workspace_path", "/w"),
            (
                "_dd.ci.env_vars",
                r#"{"GITHUB_SERVER_URL":"https://github.com","GITHUB_REPOSITORY":"acme/widget","GITHUB_RUN_ID":"7","GITHUB_RUN_ATTEMPT":"2"}"#,
            ),
        ],
    );
}

#[test]
fn a2_github_for_a_pull_request() {
    let checks = format!("https://github.com/acme/widget/commit/{SHA}/checks");
    assert_tags(
        &[
            ("GITHUB_SHA", SHA),
            ("GITHUB_SERVER_URL", "https://user:secret@github.com"),
            ("GITHUB_REPOSITORY", "acme/widget"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_HEAD_REF", "topic"),
            ("GITHUB_REF", "refs/pull/1/merge"),
            ("GITHUB_BASE_REF", "refs/heads/main"),
            ("JOB_CHECK_RUN_ID", "5x"),
        ],
        &[
            ("ci.provider.name", "github"),
            ("ci.pipeline.id", "7"),
            (
                "ci.pipeline.url",
                "https://github.com/acme/widget/actions/runs/7",
            ),
            ("ci.job.url", &checks),
            ("git.branch", "topic"),
            ("git.pull_request.base_branch", "main"),
            ("git.commit.sha", SHA),
            ("git.repository_url", "https://github.com/acme/widget.git"),
            (
                "_dd.ci.env_vars",
                r#"{"GITHUB_SERVER_URL":"https://github.com","GITHUB_REPOSITORY":"acme/widget","GITHUB_RUN_ID":"7"}"#,
            ),
        ],
    );
}

#[test]
fn a3_gitlab_with_a_tag() {
    assert_tags(
        &[
            ("GITLAB_CI", "true"),
            ("CI_COMMIT_REF_NAME", "origin/tags/0.1.0"),
            ("CI_COMMIT_TAG", "origin/tags/0.1.0"),
            ("CI_COMMIT_AUTHOR", "Name <name@example.test>"),
            (
                "CI_REPOSITORY_URL",
                "https://user:password@gitlab.com:1234/acme/widget.git",
            ),
        ],
        &[
            ("ci.provider.name", "gitlab"),
            ("git.tag", "0.1.0"),
            ("git.commit.author.name", "Name"),
            ("git.commit.author.email", "name@example.test"),
            (
                "git.repository_url",
                "https://gitlab.com:1234/acme/widget.git",
            ),
            (
                "_dd.ci.env_vars",
                r#"{"CI_PROJECT_URL":null,"CI_PIPELINE_ID":null,"CI_JOB_ID":null}"#,
            ),
        ],
    );
}

#[test]
fn a4_circleci_with_a_branch_of_the_user() {
    assert_tags(
        &[
            ("CIRCLECI", "true"),
            ("CIRCLE_SHA1", SHA),
            ("CIRCLE_BRANCH", "ci-branch"),
            ("DD_GIT_BRANCH", "refs/heads/mine"),
            ("DD_GIT_COMMIT_MESSAGE", "m"),
        ],
        &[
            ("ci.provider.name", "circleci"),
            ("git.branch", "mine"),
            ("git.commit.message", "m"),
            ("git.commit.sha", SHA),
            (
                "_dd.ci.env_vars",
                r#"{"CIRCLE_WORKFLOW_ID":null,"CIRCLE_BUILD_NUM":null}"#,
            ),
        ],
    );
}

#[test]
fn a5_an_empty_environment_has_no_tags() {
    assert_tags(&[], &[]);
    assert_tags(&[("CODEBUILD_INITIATOR", "user/me")], &[]);
}

#[test]
fn the_event_of_a_pull_request_names_its_commits() {
    let event = br#"{"pull_request": {"head": {"sha": "h"}, "base": {"sha": "b"}}}"#;
    let environment = MapEnvironment::new()
        .variable("GITHUB_SHA", SHA)
        .variable("GITHUB_EVENT_PATH", "/event.json")
        .file("/event.json", event.to_vec());
    let found = tags(&environment);
    assert_eq!(found["git.commit.head.sha"], "h");
    assert_eq!(found["git.pull_request.base_branch_head_sha"], "b");
    for event in [
        "",
        "[]",
        r#"{"pull_request": 3}"#,
        r#"{"pull_request":{"head":{"sha":1}}}"#,
    ] {
        let environment = MapEnvironment::new()
            .variable("GITHUB_SHA", SHA)
            .variable("GITHUB_EVENT_PATH", "/event.json")
            .file("/event.json", event);
        assert!(
            !tags(&environment).contains_key("git.commit.head.sha"),
            "{event}"
        );
    }
}

#[test]
fn the_tags_of_the_user_win() {
    let found = tags_of(&[
        ("DRONE", "true"),
        ("DRONE_BRANCH", "main"),
        ("DRONE_WORKSPACE", "~/w"),
        ("HOME", "/home/me/"),
        ("JOB_ID", "9"),
        ("DD_GIT_COMMIT_HEAD_SHA", "h"),
        (
            "DD_TAGS",
            "team:x test.configuration.cpu:arm,a:b:c, bare ,:nokey",
        ),
        ("_CI_DD_TAGS", "git.branch:mine team:y"),
    ]);
    for (tag, value) in [
        ("git.branch", Some("mine")),
        ("ci.workspace_path", Some("/home/me/w")),
        ("ci.job.id", Some("9")),
        ("git.commit.head.sha", Some("h")),
        ("a", Some("b:c")),
        ("team", Some("y")),
        ("bare", None),
        ("", None),
    ] {
        assert_eq!(found.get(tag).map(String::as_str), value, "{tag}");
    }
}
