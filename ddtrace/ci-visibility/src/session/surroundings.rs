//! What a session finds around it: tags of commit and pipeline, the machine, the names it goes by.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddtrace_core::config::{Config, Environment};
use serde_json::Value;

use crate::ci::{self, Sources, Tags, Variables};
use crate::git::{self, Git};
use crate::manifest::of_run_files;
use crate::model::tags::*;
use crate::options::Options;
use crate::telemetry::{Metrics, Tag};

/// How long git may take to say what it knows.
const GIT_LIMIT: Duration = Duration::from_secs(10);

/// The largest file of tags that is read.
const MAX_TAGS: u64 = 4 * 1024 * 1024;

/// What was found.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) tags: Tags,
    pub(super) git: Option<Git>,
    /// The root of the repository.
    pub(super) workspace: PathBuf,
}

impl Surroundings {
    /// Looks around. Blocks: git is asked.
    pub(super) fn look(
        directory: &Path,
        environment: &dyn Environment,
        options: &Options,
        metrics: &Arc<Metrics>,
    ) -> Surroundings {
        let variables = Variables::of(environment);
        let git = Git::new(directory, Arc::clone(metrics)).ok();
        let limited = git
            .as_ref()
            .map(|git| git.until(Instant::now() + GIT_LIMIT));
        let sources = Sources {
            git: match &limited {
                Some(git) => git::local_tags(git),
                None => git::tags_of_files(directory),
            },
            provider: provider_tags(&variables, environment),
            user: ci::user_tags(&variables),
            custom: ci::custom_tags(&variables),
        };
        compare(&sources, metrics);
        let mut tags = sources.merged();
        if let (Some(git), Some(head)) = (&limited, tags.get(GIT_COMMIT_HEAD_SHA)) {
            tags.extend(git::head_tags(git, head, options.git_unshallow));
        }
        ci::normalize(&mut tags, &variables);
        let root = git.as_ref().map_or(directory, Git::root).to_owned();
        let workspace = match tags.get(CI_WORKSPACE_PATH) {
            // What a provider says may be the path on another machine.
            Some(path) if Path::new(path).is_dir() && root == directory => PathBuf::from(path),
            _ => root,
        };
        let shown = workspace.to_string_lossy().into_owned();
        tags.entry(CI_WORKSPACE_PATH.to_owned()).or_insert(shown);
        Surroundings {
            tags,
            git,
            workspace,
        }
    }

    /// Takes the tags from the file that a sandbox is given.
    pub(super) fn of_sandbox(
        directory: &Path,
        environment: &dyn Environment,
        options: &Options,
    ) -> Surroundings {
        let variables = Variables::of(environment);
        let read = || {
            let path = options.env_data_file.as_ref()?;
            let path = of_run_files(path, &variables, environment);
            let bytes = environment.read(&path, MAX_TAGS).ok()?;
            let object: Value = serde_json::from_slice(&bytes).ok()?;
            Some(object.as_object()?.clone())
        };
        let texts = read().unwrap_or_default().into_iter();
        let texts = texts.filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())));
        let mut tags: Tags = texts.filter(|(_, value)| !value.is_empty()).collect();
        let provider = tags.entry(CI_PROVIDER_NAME.to_owned());
        provider.or_insert_with(|| "bazel".to_owned());
        Surroundings {
            tags,
            git: None,
            workspace: directory.to_owned(),
        }
    }
}

fn provider_tags(variables: &Variables, environment: &dyn Environment) -> Tags {
    let mut tags = ci::provider::tags(variables, environment);
    let is_github = tags
        .get(CI_PROVIDER_NAME)
        .is_some_and(|name| name == "github");
    if is_github && !tags.contains_key(CI_JOB_ID) {
        if let Some(id) = ci::job_id_in(&ci::diagnostic_folders()) {
            ci::provider::set_github_job_id(&mut tags, variables, &id);
        }
    }
    tags
}

/// Counts whether all that name a commit and a repository name the same.
fn compare(sources: &Sources, metrics: &Metrics) {
    let pairs = [
        ("ci_provider", &sources.provider, "git_client", &sources.git),
        ("user_supplied", &sources.user, "git_client", &sources.git),
        (
            "user_supplied",
            &sources.user,
            "ci_provider",
            &sources.provider,
        ),
    ];
    let mut is_match = true;
    for (expected, left, found, right) in pairs {
        for (tag, kind) in [
            (GIT_COMMIT_SHA, "commit_discrepancy"),
            (GIT_REPOSITORY_URL, "repository_discrepancy"),
        ] {
            if let (Some(one), Some(other)) = (left.get(tag), right.get(tag)) {
                if one != other {
                    is_match = false;
                    let tags = [
                        Tag("expected_provider", expected.into()),
                        Tag("discrepant_provider", found.into()),
                        Tag("type", kind.into()),
                    ];
                    metrics.count("git.commit_sha_discrepancy", &tags, 1);
                }
            }
        }
    }
    let matched = Tag("matched", if is_match { "true" } else { "false" }.into());
    metrics.count("git.commit_sha_match", &[matched], 1);
}

/// The `os.*` and `runtime.*` tags.
pub(super) fn platform_tags(environment: &dyn Environment, rustc: &str) -> Tags {
    let version = environment.read(Path::new("/proc/sys/kernel/osrelease"), 4096);
    let version = version.unwrap_or_default();
    let version = String::from_utf8_lossy(&version).trim().to_owned();
    let platform = match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        "windows" => "Windows",
        other => other,
    };
    let pairs = [
        (OS_ARCHITECTURE, std::env::consts::ARCH),
        (OS_PLATFORM, platform),
        (OS_VERSION, &version),
        (RUNTIME_NAME, "rustc"),
        (RUNTIME_VERSION, rustc),
    ];
    pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The service: what the user says, else the repository's name, else `test`; and whether the user said it.
pub(super) fn service(config: &Config, tags: &Tags) -> (String, bool) {
    if !config.service_is_inferred {
        return (config.service.clone(), true);
    }
    let url = tags.get(GIT_REPOSITORY_URL).map(String::as_str);
    let name = url.and_then(repository_name).map(str::to_lowercase);
    (name.unwrap_or_else(|| "test".to_owned()), false)
}

/// The last part of an address that ends in `.git`.
fn repository_name(url: &str) -> Option<&str> {
    let (_, name) = url.trim_end_matches('/').rsplit_once('/')?;
    name.strip_suffix(".git").filter(|name| !name.is_empty())
}

/// The environment: what the user says, else what the agent says, else `none`.
pub(super) fn env(config: &Config, variables: &Variables, of_agent: Option<String>) -> String {
    let own = variables.get("_CI_DD_ENV").map(str::to_owned);
    own.or_else(|| config.env.clone())
        .or(of_agent)
        .unwrap_or_else(|| "none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace_core::config::MapEnvironment;

    #[test]
    fn a_service_is_named_after_its_repository() {
        for (url, expected) in [
            ("https://h/acme/Widget.git", "widget"),
            ("git@h:acme/widget.git/", "widget"),
            ("https://h/acme/widget", "test"),
            ("git@h:widget.git", "test"),
            ("https://h/.git", "test"),
            ("", "test"),
        ] {
            let tags = Tags::from([(GIT_REPOSITORY_URL.to_owned(), url.to_owned())]);
            let environment = MapEnvironment::new().executable("cargo");
            let config = Config::builder().environment(&environment).build();
            assert_eq!(
                service(&config, &tags),
                (expected.to_owned(), false),
                "{url}"
            );
            let environment = environment.variable("DD_SERVICE", "mine");
            let config = Config::builder().environment(&environment).build();
            assert_eq!(service(&config, &tags), ("mine".to_owned(), true));
        }
    }

    #[test]
    fn the_environment_has_an_order() {
        let agent = || Some("agent".to_owned());
        for (variables, of_agent, expected) in [
            (
                &[("_CI_DD_ENV", "own"), ("DD_ENV", "usual")][..],
                agent(),
                "own",
            ),
            (&[("DD_ENV", "usual")], agent(), "usual"),
            (&[], agent(), "agent"),
            (&[], None, "none"),
        ] {
            let mut environment = MapEnvironment::new();
            for (name, value) in variables {
                environment = environment.variable(*name, *value);
            }
            let config = Config::builder().environment(&environment).build();
            let found = env(&config, &Variables::of(&environment), of_agent);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn sources_that_disagree_are_counted() {
        let tags = |sha: &str| Tags::from([(GIT_COMMIT_SHA.to_owned(), sha.to_owned())]);
        for (git, provider, user, discrepancies) in [
            ("a", "a", "a", 0),
            ("a", "b", "", 1),
            ("a", "b", "b", 2),
            ("a", "b", "c", 3),
        ] {
            let of = |sha: &str| {
                if sha.is_empty() {
                    Tags::new()
                } else {
                    tags(sha)
                }
            };
            let sources = Sources {
                git: of(git),
                provider: of(provider),
                user: of(user),
                custom: Tags::new(),
            };
            let metrics = Metrics::default();
            compare(&sources, &metrics);
            let taken = metrics.take();
            assert_eq!(taken.total("git.commit_sha_discrepancy"), discrepancies);
            assert_eq!(taken.total("git.commit_sha_match"), 1);
        }
    }
}
