//! TeamCity.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let mut found = Found::of("teamcity");
    found.copy(
        variables,
        &[
            (CI_JOB_URL, "BUILD_URL"),
            (CI_JOB_NAME, "TEAMCITY_BUILDCONF_NAME"),
            (PR_NUMBER, "TEAMCITY_PULLREQUEST_NUMBER"),
            (
                GIT_PULL_REQUEST_BASE_BRANCH,
                "TEAMCITY_PULLREQUEST_TARGET_BRANCH",
            ),
        ],
    );
    found.done()
}
