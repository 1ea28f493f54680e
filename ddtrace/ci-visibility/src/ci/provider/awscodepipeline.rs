//! AWS CodePipeline, which runs CodeBuild.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let initiator = variables.get("CODEBUILD_INITIATOR").unwrap_or_default();
    if !initiator.starts_with("codepipeline") {
        // CodeBuild that somebody else started says nothing about a pipeline.
        return Tags::new();
    }
    let mut found = Found::of("awscodepipeline");
    let named = [
        "CODEBUILD_BUILD_ARN",
        "DD_PIPELINE_EXECUTION_ID",
        "DD_ACTION_EXECUTION_ID",
    ];
    found.set(CI_ENV_VARS, Some(variables.as_json(&named)));
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "DD_PIPELINE_EXECUTION_ID"),
            (CI_JOB_ID, "DD_ACTION_EXECUTION_ID"),
        ],
    );
    found.done()
}
