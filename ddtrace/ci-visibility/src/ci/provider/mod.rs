//! Providers of continuous integration, one file each.

mod appveyor;
mod awscodepipeline;
mod azurepipelines;
mod bitbucket;
mod bitrise;
mod buddy;
mod buildkite;
mod circleci;
mod codefresh;
mod drone;
mod github;
mod gitlab;
mod jenkins;
mod teamcity;
mod travisci;

use ddtrace_core::config::Environment;

use super::{Tags, Variables};

pub(super) use super::variables::{Found, in_order};

type Extract = fn(&Variables) -> Tags;

/// Trigger variables in the order in which they are tried. GitHub, which reads a file, stands apart.
const PROVIDERS: [(&str, Extract); 15] = [
    ("APPVEYOR", appveyor::tags),
    ("TF_BUILD", azurepipelines::tags),
    ("BITBUCKET_COMMIT", bitbucket::tags),
    ("BUILDKITE", buildkite::tags),
    ("CIRCLECI", circleci::tags),
    ("CF_BUILD_ID", codefresh::tags),
    (github::TRIGGER, github::tags),
    ("GITLAB_CI", gitlab::tags),
    ("JENKINS_URL", jenkins::tags),
    ("TEAMCITY_VERSION", teamcity::tags),
    ("TRAVIS", travisci::tags),
    ("BITRISE_BUILD_SLUG", bitrise::tags),
    ("BUDDY", buddy::tags),
    ("CODEBUILD_INITIATOR", awscodepipeline::tags),
    ("DRONE", drone::tags),
];

/// The tags of the provider whose trigger variable exists.
pub fn tags(variables: &Variables, environment: &dyn Environment) -> Tags {
    let found = PROVIDERS.iter().find(|(trigger, _)| variables.has(trigger));
    let Some((trigger, extract)) = found else {
        return Tags::new();
    };
    let mut tags = extract(variables);
    if *trigger == github::TRIGGER {
        tags.extend(github::of_event(variables, environment));
    }
    tags
}

/// Replaces what a diagnostics log says about the job's number, which the environment does not have.
pub fn set_github_job_id(tags: &mut Tags, variables: &Variables, id: &str) {
    github::set_job_id(tags, variables, id);
}
