//! `--local`: the backend in this process.
//!
//! The local agent answers what a session asks, out of the sessions that it keeps on disk for this checkout, so that flaky
//! tests are found and tried again without any account. Everything goes the way it goes to a real Agent, over loopback.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use ddtrace_ci_visibility::model::SessionId;

use super::coordinator::Overlay;
use crate::agent::{Agent, Options, StartError};
use crate::cli::TestArgs;
use crate::run::port;

/// The folder in which the sessions of a checkout are kept.
pub(crate) fn data(checkout: &Path) -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))?;
    let name = checkout.file_name()?.to_string_lossy().into_owned();
    // Two checkouts of one name have folders of their own.
    let hash = SessionId::new(1)?.module_id(&checkout.to_string_lossy());
    Some(
        state
            .join("ddtrace/tests")
            .join(format!("{name}-{hash:016x}")),
    )
}

/// Starts the agent; on any free port unless people are to look at it.
pub(crate) async fn start(
    data: Option<PathBuf>,
    arguments: &TestArgs,
    may_cover: bool,
) -> Result<Agent, StartError> {
    let options = Options {
        data,
        impact: may_cover && !arguments.no_coverage,
        ..Options::default()
    };
    if arguments.stay || arguments.port.is_some() {
        return port::start(options, arguments.port).await;
    }
    Agent::start(Options {
        port: Some(0),
        ..options
    })
    .await
}

/// What git says, or nothing.
async fn git(words: &[&str]) -> Option<String> {
    let output = tokio::process::Command::new("git")
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// The root of the checkout, or the working directory.
pub(crate) async fn checkout() -> PathBuf {
    match git(&["rev-parse", "--show-toplevel"]).await {
        Some(root) => PathBuf::from(root),
        None => std::env::current_dir().unwrap_or_default(),
    }
}

/// Variables that lead the session to the agent, and stand in for what a folder without git, commits or a remote lacks: the
/// backend is asked nothing without them.
pub(crate) async fn overlay(agent: &Agent, checkout: &Path) -> Overlay {
    let port = agent.port().unwrap_or_default();
    let mut variables: Vec<(String, String)> = [
        ("DD_TRACE_AGENT_URL", format!("http://127.0.0.1:{port}")),
        ("_CI_DD_AGENT_URL", format!("http://127.0.0.1:{port}")),
        ("DD_CIVISIBILITY_AGENTLESS_ENABLED", "false".to_owned()),
        // There is nobody to look at the objects of a commit.
        ("DD_CIVISIBILITY_GIT_UPLOAD_ENABLED", "false".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let (remote, commit, branch, message) = tokio::join!(
        git(&["config", "--get", "remote.origin.url"]),
        git(&["rev-parse", "HEAD"]),
        git(&["symbolic-ref", "--short", "HEAD"]),
        git(&["show", "-s", "--format=%s"])
    );
    let has_commit = commit.is_some();
    for (name, found, instead) in [
        (
            "DD_GIT_REPOSITORY_URL",
            remote,
            format!("file://{}", checkout.display()),
        ),
        ("DD_GIT_COMMIT_SHA", commit, "0".repeat(40)),
        ("DD_GIT_BRANCH", branch, "local".to_owned()),
        ("DD_GIT_COMMIT_MESSAGE", message, "no commit".to_owned()),
    ] {
        // Before the first commit git knows a branch, but nobody else does.
        let is_known = found.is_some() && has_commit;
        if !is_known && std::env::var_os(name).is_none() {
            variables.push((name.to_owned(), found.unwrap_or(instead)));
        }
    }
    Overlay(variables)
}
