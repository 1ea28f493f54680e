//! A flare, asked for through remote configuration, arrives at the test agent as an archive that others can read.

use crate::program::command;
use ddtrace_tests::test_agent::TestAgent;
use ddtrace_tests::{process, service, wait};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// Reads an archive as Python does: tests every checksum, and gives the content of each file.
const READ: &str = "
import base64, io, json, sys, zipfile
archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(sys.stdin.read())))
assert archive.testzip() is None
print(json.dumps({name: archive.read(name).decode() for name in archive.namelist()}))
";

#[track_caller]
fn unpack(base64: &str) -> Option<Value> {
    let python = service::python()?;
    let mut child = Command::new(python)
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(base64.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// The file of the archive whose name begins so.
#[track_caller]
fn file<'a>(files: &'a Value, prefix: &str) -> &'a str {
    let files = files.as_object().expect("a map");
    let mut found = files.iter().filter(|(name, _)| name.starts_with(prefix));
    let (_, content) = found
        .next()
        .unwrap_or_else(|| panic!("no {prefix} in {:?}", files.keys()));
    content.as_str().expect("text")
}

#[test]
fn a_flare_is_sent_once_with_configuration_log_and_facts() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["metrics-waiting"], &agent.url());
    command
        .env("DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS", "0.1")
        .env("DD_ENV", "prod")
        .env("DD_API_KEY", "0123456789abcdef0123456789abcdef");
    let mut program = process::Process::start(&mut command);
    program.line("ready");

    // The level of the log first; then the task, which takes its place.
    let level = json!({"name": "flare-log-level.debug", "config": {"log_level": "debug"}});
    agent.configure(
        "datadog/2/AGENT_CONFIG/flare-log-level.debug/config",
        &level,
    );
    agent.wait_until_applied("AGENT_CONFIG", "flare-log-level.debug");
    let uuid = format!("tests-{}", std::process::id());
    let task = json!({
        "task_type": "tracer_flare",
        "uuid": uuid,
        "args": {"case_id": "12345-with-debug", "hostname": "my.hostname", "user_handle": "its.me@datadoghq.com"},
    });
    agent.configure("datadog/2/AGENT_TASK/1/config", &task);
    let flare = wait::until("a flare", || agent.flares().into_iter().next());

    // G25.
    for (field, value) in [
        ("source", "tracer_rust"),
        ("case_id", "12345-with-debug"),
        ("hostname", "my.hostname"),
        ("email", "its.me@datadoghq.com"),
        ("uuid", &uuid),
    ] {
        assert_eq!(flare[field], value, "{field}");
    }
    if let Some(files) = unpack(flare["flare_file"].as_str().expect("base64")) {
        let id = program.id();
        let config: Value =
            serde_json::from_str(file(&files, &format!("tracer_config_{id}.json"))).expect("JSON");
        assert_eq!(config["settings"]["DD_ENV"]["value"], "prod");
        assert_eq!(config["settings"]["DD_ENV"]["origin"], "env_var");
        assert!(!files.to_string().contains("0123456789abcdef"));
        assert!(file(&files, "tracer_").len() > 2);
        let log = file(&files, &format!("tracer_{id}.log"));
        assert!(
            log.contains("ddtrace: info: this log is copied for a flare"),
            "{log}"
        );
        let facts: Value = serde_json::from_str(file(&files, "tracer_runtime_")).expect("JSON");
        assert_eq!(facts["process_id"], id);
    }

    // A task of the agent's own, and then one for another case: the first gives no flare.
    let other = json!({"task_type": "flare", "uuid": "x", "args": {"case_id": "9"}});
    agent.configure("datadog/2/AGENT_TASK/2/config", &other);
    agent.wait_until_applied("AGENT_TASK", "2");
    let mut task = task;
    task["args"]["case_id"] = "777".into();
    agent.configure("datadog/2/AGENT_TASK/3/config", &task);
    wait::until("another flare", || {
        let mut cases: Vec<_> = agent
            .flares()
            .iter()
            .map(|flare| flare["case_id"].to_string())
            .collect();
        cases.sort();
        (cases == ["\"12345-with-debug\"", "\"777\""]).then_some(())
    });
    let ended = program.end();
    assert!(ended.status.success());
    // Nothing of the copy is seen by the user.
    assert_eq!(ended.errors, "");
}
