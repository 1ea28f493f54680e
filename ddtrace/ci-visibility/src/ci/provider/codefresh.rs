//! Codefresh.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let mut found = Found::of("codefresh");
    found.set(CI_ENV_VARS, Some(variables.as_json(&["CF_BUILD_ID"])));
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "CF_BUILD_ID"),
            (CI_PIPELINE_NAME, "CF_PIPELINE_NAME"),
            (CI_PIPELINE_URL, "CF_BUILD_URL"),
            (CI_JOB_NAME, "CF_STEP_NAME"),
            (GIT_BRANCH, "CF_BRANCH"),
            (GIT_PULL_REQUEST_BASE_BRANCH, "CF_PULL_REQUEST_TARGET"),
            (PR_NUMBER, "CF_PULL_REQUEST_NUMBER"),
        ],
    );
    found.done()
}
