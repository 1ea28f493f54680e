//! Says where to look when data comes, and why there is none when there is none.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::say;
use crate::api::Shared;

/// How long a running program may send nothing before it is remarked on.
const SILENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether cargo has become the program.
const LOOK: Duration = Duration::from_millis(500);

/// Watches until the first spans came, and speaks once on the way if it takes long.
pub async fn watch(shared: Shared, pid: Option<u32>) {
    let mut changes = shared.store().changes();
    let mut silent = Duration::ZERO;
    let mut spoken = false;
    loop {
        changes.mark_unchanged();
        if shared.store().lock().counts.spans > 0 {
            say(&format!(
                "viewer {} has the first spans",
                shared.inner().settings.viewer
            ));
            return;
        }
        let waited = tokio::time::timeout(LOOK, changes.changed()).await;
        if waited.is_err() && !spoken && is_running(pid) {
            silent += LOOK;
            if silent >= SILENCE {
                spoken = true;
                say("no spans after 10 s; most likely:");
                let asked = shared.inner().info_asked.load(Ordering::Relaxed) > 0;
                let heard = shared.store().lock().counts.requests > 0;
                reasons(asked, heard, |name| std::env::var(name).ok())
                    .iter()
                    .for_each(|reason| say(reason));
            }
        }
    }
}

/// Whether the program runs: while cargo builds, the process is cargo. Where that cannot be seen, it is taken to run.
fn is_running(pid: Option<u32>) -> bool {
    let Some(pid) = pid else { return false };
    match std::fs::read_link(format!("/proc/{pid}/exe")) {
        Ok(path) => !path
            .file_stem()
            .is_some_and(|name| name == "cargo" || name == "rustup"),
        Err(_) => true,
    }
}

/// The most likely reasons, likeliest first.
fn reasons(asked: bool, heard: bool, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(value) = variable("DD_TRACE_ENABLED")
        .filter(|value| matches!(value.as_str(), "false" | "0" | "False"))
    {
        reasons.push(format!("  - tracing is off: DD_TRACE_ENABLED={value}"));
    }
    if heard || asked {
        reasons.push("  - the library has started, but no span has finished: is there a #[trace] on what runs?".to_owned());
        reasons.push(
            "  - spans are sent when their root ends; a server needs its first request".to_owned(),
        );
    } else {
        reasons.push(
            "  - ddtrace::init() was not called: nothing has asked this agent anything".to_owned(),
        );
        reasons.push("  - the feature of the integration is off, or the program is built without ddtrace's `enabled`".to_owned());
    }
    if let Some(value) = variable("DD_TRACE_SAMPLE_RATE").filter(|value| value.parse() == Ok(0.0)) {
        reasons.push(format!(
            "  - everything is sampled out: DD_TRACE_SAMPLE_RATE={value}"
        ));
    }
    reasons.push("  - the program ends before its guard is dropped: keep `let _ddtrace = ddtrace::init();` in main".to_owned());
    reasons.truncate(3);
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_never_spoke_has_not_called_init() {
        let list = reasons(false, false, |_| None);
        assert_eq!(list.len(), 3);
        assert!(list[0].contains("init()"));
        let off = |name: &str| (name == "DD_TRACE_ENABLED").then(|| "false".to_owned());
        assert!(reasons(true, true, off)[0].contains("DD_TRACE_ENABLED=false"));
    }
}
