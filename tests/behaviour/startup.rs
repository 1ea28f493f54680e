//! What a program lets others know when it starts: a line in the log, a file in memory, a log file.

use crate::program::command;
use ddtrace_tests::weather::{Agent, Weather};
use ddtrace_tests::{process, wait};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

/// The JSON of the line with the configuration.
fn configuration(stderr: &str) -> Option<Value> {
    let (_, rest) = stderr.split_once("DATADOG TRACER CONFIGURATION - ")?;
    serde_json::from_str(rest.lines().next()?).ok()
}

#[test]
fn the_configuration_is_logged_once_the_agent_was_asked() {
    let agent = Agent::start(Weather::Fair);
    let (there, gone) = (agent.url(), "http://127.0.0.1:1");
    // G29 of the vectors, and the settings that switch the line on and off.
    let on = ("DD_TRACE_STARTUP_LOGS", "true");
    let off = ("DD_TRACE_STARTUP_LOGS", "false");
    let debug = ("DD_TRACE_DEBUG", "true");
    for (variables, url, is_written, is_reachable) in [
        (&[on][..], &*there, true, true),
        (&[on], gone, true, false),
        (&[debug], &there, true, true),
        (&[debug, off], gone, false, false),
        (&[], gone, false, false),
    ] {
        let mut command = command(&["snapshot"], url);
        command.envs(variables.iter().copied());
        let ended = process::run(&mut command);
        let line = configuration(&ended.errors);
        assert_eq!(line.is_some(), is_written, "{variables:?}: {ended:#?}");
        let has_diagnostic = ended.errors.contains(&format!(
            "DATADOG TRACER DIAGNOSTIC - Agent not reachable at {url}. Exception raised: "
        ));
        assert_eq!(has_diagnostic, is_written && !is_reachable, "{ended:#?}");
        let Some(line) = line else { continue };
        assert_eq!(line["service"], "tests");
        assert_eq!(line["agent_url"], url);
        assert_eq!(line["agent_error"].is_null(), is_reachable, "{line}");
        assert_eq!(line["integrations"]["axum"]["enabled"], true);
    }
}

/// The files by which the agent finds a process.
fn discovered(id: u32) -> Vec<BTreeMap<String, Value>> {
    let folder = format!("/proc/{id}/fd");
    let Ok(open) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let ours = open.flatten().filter(|entry| {
        let name = std::fs::read_link(entry.path()).unwrap_or_default();
        name.to_string_lossy()
            .starts_with("/memfd:datadog-tracer-info-")
    });
    ours.filter_map(|entry| rmp_serde::from_slice(&std::fs::read(entry.path()).ok()?).ok())
        .collect()
}

#[test]
fn the_agent_finds_the_process() {
    let agent = Agent::start(Weather::Fair);
    let mut command = command(&["steady"], &agent.url());
    command
        .env("DD_ENV", "test")
        .env("DD_VERSION", "0.1.0")
        .env("DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED", "true");
    let program = process::Process::start(&mut command);
    let map = wait::until("the file is there", || discovered(program.id()).pop());
    assert_eq!(discovered(program.id()).len(), 1);
    for (key, value) in [
        ("tracer_language", "rust"),
        ("service_name", "tests"),
        ("service_env", "test"),
        ("service_version", "0.1.0"),
    ] {
        assert_eq!(map[key], value, "{map:#?}");
    }
    assert_eq!(map["schema_version"], 2);
    let tags = map["process_tags"].as_str().expect("a text");
    assert!(
        tags.contains("entrypoint.name:ddtrace-test-program"),
        "{tags}"
    );
    drop(program);
}

#[test]
fn the_log_goes_to_the_file_and_the_file_does_not_grow_without_end() {
    let agent = Agent::start(Weather::Fair);
    let folder = std::env::temp_dir().join(format!("ddtrace-tests-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    let mut in_folder = command(&["snapshot"], &agent.url());
    in_folder
        .env("DD_TRACE_STARTUP_LOGS", "true")
        .env("DD_TRACE_LOG_DIRECTORY", &folder);
    let ended = process::run(&mut in_folder);
    assert!(configuration(&ended.errors).is_none(), "{ended:#?}");
    let mut files = std::fs::read_dir(&folder).expect("it is there").flatten();
    let file = files.next().expect("a log file");
    let name = file.file_name().to_string_lossy().into_owned();
    assert!(
        name.starts_with("ddtrace-rust-") && name.ends_with(".log"),
        "{name}"
    );
    let text = std::fs::read_to_string(file.path()).expect("text");
    assert!(configuration(&text).is_some(), "{text}");

    let path = folder.join("named.log");
    for _ in 0..4 {
        let mut named = command(&["snapshot"], &agent.url());
        named
            .env("DD_TRACE_STARTUP_LOGS", "true")
            .env("DD_TRACE_LOG_FILE", &path)
            .env("DD_TRACE_LOG_FILE_SIZE_BYTES", "4096");
        process::run(&mut named);
    }
    let size = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").size();
    assert!(size(&path) <= 4096 && size(&folder.join("named.log.1")) <= 4096);
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
