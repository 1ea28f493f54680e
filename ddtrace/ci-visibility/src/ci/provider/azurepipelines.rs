//! Azure Pipelines.

use super::{Found, Tags, Variables};
use crate::model::tags::*;

pub(super) fn tags(variables: &Variables) -> Tags {
    let get = |name| variables.get(name);
    let mut found = Found::of("azurepipelines");
    let server = get("SYSTEM_TEAMFOUNDATIONSERVERURI");
    let project = get("SYSTEM_TEAMPROJECTID");
    if let (Some(server), Some(project), Some(build)) = (server, project, get("BUILD_BUILDID")) {
        let url = format!("{server}{project}/_build/results?buildId={build}");
        if let (Some(job), Some(task)) = (get("SYSTEM_JOBID"), get("SYSTEM_TASKINSTANCEID")) {
            found.set(
                CI_JOB_URL,
                Some(format!("{url}&view=logs&j={job}&t={task}")),
            );
        }
        found.set(CI_PIPELINE_URL, Some(url));
    }
    let either = |names: &[&str]| variables.first(names);
    found.set(
        GIT_REPOSITORY_URL,
        either(&[
            "SYSTEM_PULLREQUEST_SOURCEREPOSITORYURI",
            "BUILD_REPOSITORY_URI",
        ]),
    );
    found.set(
        GIT_COMMIT_SHA,
        either(&["SYSTEM_PULLREQUEST_SOURCECOMMITID", "BUILD_SOURCEVERSION"]),
    );
    found.set(
        GIT_BRANCH,
        either(&[
            "SYSTEM_PULLREQUEST_SOURCEBRANCH",
            "BUILD_SOURCEBRANCH",
            "BUILD_SOURCEBRANCHNAME",
        ]),
    );
    let named = ["SYSTEM_TEAMPROJECTID", "BUILD_BUILDID", "SYSTEM_JOBID"];
    found.set(CI_ENV_VARS, Some(variables.as_json(&named)));
    found.copy(
        variables,
        &[
            (CI_PIPELINE_ID, "BUILD_BUILDID"),
            (CI_PIPELINE_NUMBER, "BUILD_BUILDID"),
            (CI_PIPELINE_NAME, "BUILD_DEFINITIONNAME"),
            (CI_WORKSPACE_PATH, "BUILD_SOURCESDIRECTORY"),
            (CI_STAGE_NAME, "SYSTEM_STAGEDISPLAYNAME"),
            (CI_JOB_ID, "SYSTEM_JOBID"),
            (CI_JOB_NAME, "SYSTEM_JOBDISPLAYNAME"),
            (
                GIT_PULL_REQUEST_BASE_BRANCH,
                "SYSTEM_PULLREQUEST_TARGETBRANCH",
            ),
            (GIT_COMMIT_MESSAGE, "BUILD_SOURCEVERSIONMESSAGE"),
            (GIT_COMMIT_AUTHOR_NAME, "BUILD_REQUESTEDFORID"),
            (GIT_COMMIT_AUTHOR_EMAIL, "BUILD_REQUESTEDFOREMAIL"),
            (PR_NUMBER, "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER"),
        ],
    );
    found.done()
}
