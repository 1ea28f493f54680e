//! Settings that are pushed to a running program, by our local agent and by the agent that all Datadog tracers are tested
//! with.

use crate::program::{assert_balanced, command};
use cargo_ddtrace::agent::{Agent, Options};
use ddtrace_tests::process::Process;
use ddtrace_tests::test_agent::TestAgent;
use ddtrace_tests::{http, wait};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// An agent that settings can be pushed through.
trait Pushing {
    fn url(&self) -> String;
    /// Puts these settings in force, in place of what was pushed before.
    fn push(&self, lib_config: &Value);
    /// Takes them back.
    fn take_back(&self);
    /// The root of the trace that came last.
    fn newest_root(&self) -> Option<Value>;
}

/// Ours, in this process.
struct Local {
    agent: Agent,
    _runtime: tokio::runtime::Runtime,
}

impl Local {
    fn start() -> Local {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let options = Options {
            port: Some(0),
            ..Options::default()
        };
        let agent = runtime.block_on(Agent::start(options));
        Local {
            agent: agent.expect("a free port"),
            _runtime: runtime,
        }
    }

    fn address(&self) -> SocketAddr {
        self.agent.addresses()[0]
    }

    fn get(&self, path: &str) -> Value {
        http::get(self.address(), path).expect("an answer").json()
    }

    fn change(&self, method: &str, body: &Value) {
        let headers = [
            ("content-type", "application/json"),
            ("x-ddtrace-token", self.agent.shared().token()),
        ];
        let body = body.to_string();
        let path = "/api/remote-config";
        let answer = http::request(self.address(), method, path, &headers, body.as_bytes());
        assert_eq!(answer.expect("an answer").status, 200);
    }

    /// Waits until the program says this about the file that was pushed last.
    fn until_state(&self, state: &str) {
        wait::until(&format!("the file is {state}"), || {
            let shown = self.get("/api/remote-config");
            (shown["clients"][0]["files"][0]["state"] == state).then_some(())
        });
    }
}

impl Pushing for Local {
    fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    fn push(&self, lib_config: &Value) {
        let content = json!({"lib_config": lib_config});
        self.change(
            "POST",
            &json!({"product": "APM_TRACING", "config_id": "test", "content": content}),
        );
    }

    fn take_back(&self) {
        self.change("DELETE", &json!({"all": true}));
    }

    fn newest_root(&self) -> Option<Value> {
        let list = self.get("/api/traces?limit=1");
        let newest = &list["traces"][0];
        let (id, span) = (newest["id"].as_str()?, newest["root"]["span"].as_str()?);
        Some(self.get(&format!("/api/traces/{id}/spans/{span}")))
    }
}

impl Pushing for TestAgent {
    fn url(&self) -> String {
        TestAgent::url(self)
    }

    fn push(&self, lib_config: &Value) {
        let message = json!({"action": "enable", "lib_config": lib_config});
        let body = json!({"path": "datadog/2/APM_TRACING/test/config", "msg": message});
        let path = "/test/session/responses/config/path";
        let body = body.to_string();
        let answer = http::request(self.address(), "POST", path, &[], body.as_bytes());
        assert_eq!(answer.expect("an answer").status, 202);
    }

    fn take_back(&self) {
        // Files can be replaced there, not removed; nothing set is the same.
        self.push(&json!({}));
    }

    fn newest_root(&self) -> Option<Value> {
        let newest = self
            .traces()
            .into_iter()
            .max_by_key(|trace| trace.first().and_then(|root| root["start"].as_i64()));
        newest?.into_iter().next()
    }
}

/// A program that makes traces when it is told to, and asks for settings all the time.
fn steered(agent: &dyn Pushing) -> Process {
    let mut command = command(&["steady"], &agent.url());
    command
        .env("DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS", "0.05")
        .env("DD_TELEMETRY_HEARTBEAT_INTERVAL", "1")
        // What is sampled out is to be seen as well.
        .env("DD_TRACE_STATS_COMPUTATION_ENABLED", "false");
    Process::start(&mut command)
}

/// Makes a trace, and gives its root as the agent has it.
fn make(program: &mut Process, agent: &dyn Pushing) -> Option<Value> {
    program.say("make 1");
    program.say("flush");
    program.line("flushed ");
    agent.newest_root()
}

/// Who decides where no rule does: nobody, or the agent, once it has told its rates.
const NO_RULE: &[&str] = &["-0", "-1"];

/// Makes traces until one was decided about at this rate, by one of these.
fn until_decision(program: &mut Process, agent: &dyn Pushing, rate: Option<f64>, makers: &[&str]) {
    wait::until(
        &format!("a trace with the rate {rate:?} by one of {makers:?}"),
        || {
            let root = make(program, agent)?;
            let found = (
                root["metrics"]["_dd.rule_psr"].as_f64(),
                root["meta"]["_dd.p.dm"].as_str(),
            );
            let is_expected =
                found.0 == rate && found.1.is_some_and(|maker| makers.contains(&maker));
            is_expected.then_some(())
        },
    );
}

fn rules_come_and_go(agent: &dyn Pushing) {
    let mut program = steered(agent);
    until_decision(&mut program, agent, None, NO_RULE);
    agent.push(&json!({"tracing_sampling_rate": 0.5}));
    until_decision(&mut program, agent, Some(0.5), &["-3"]);
    let rule = |rate: f64, provenance: &str| json!([{"service": "tests", "sample_rate": rate, "provenance": provenance}]);
    agent.push(&json!({"tracing_sampling_rules": rule(0.75, "customer")}));
    until_decision(&mut program, agent, Some(0.75), &["-11"]);
    agent.push(
        &json!({"tracing_sampling_rules": rule(1.0, "dynamic"), "tracing_tags": ["from:afar"]}),
    );
    until_decision(&mut program, agent, Some(1.0), &["-12"]);
    let root = make(&mut program, agent).expect("a trace");
    assert_eq!(root["meta"]["from"], "afar");
    agent.take_back();
    until_decision(&mut program, agent, None, NO_RULE);
    let root = make(&mut program, agent).expect("a trace");
    assert_eq!(root["meta"]["from"], Value::Null);
    assert_balanced(&program.end().report());
}

#[test]
fn rules_are_pushed_and_taken_back_through_our_agent() {
    let agent = Local::start();
    rules_come_and_go(&agent);
    let problems = agent.get("/api/problems");
    assert_eq!(problems["groups"], json!([]), "{problems:#}");
    // The pushes were reported: as remote, and as gone.
    let requests = agent.get("/api/requests?path=/telemetry&limit=1000");
    let decoded: Vec<Value> = requests["requests"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|request| agent.get(&format!("/api/requests/{}", request["n"]))["decoded"].clone())
        .collect();
    let text = json!(decoded).to_string();
    for reported in [
        r#""origin":"remote_config""#,
        r#""value":"from:afar""#,
        "app-client-configuration-change",
    ] {
        assert!(text.contains(reported), "{reported} is missing: {text}");
    }
}

#[test]
fn rules_are_pushed_and_taken_back_through_the_test_agent() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    rules_come_and_go(&agent);
}

#[test]
fn tracing_is_switched_off_and_stays_so() {
    let agent = Local::start();
    let mut program = steered(&agent);
    until_decision(&mut program, &agent, None, NO_RULE);
    agent.push(&json!({"tracing_enabled": false}));
    agent.until_state("applied");
    let sent = |program: &mut Process| {
        program.say("make 10");
        program.say("flush");
        let flushed: Value = serde_json::from_str(&program.line("flushed ")).expect("JSON");
        flushed["sent"].as_u64().expect("a number")
    };
    let before = sent(&mut program);
    assert_eq!(sent(&mut program), before);
    agent.push(&json!({"tracing_enabled": true}));
    agent.until_state("applied");
    assert_eq!(sent(&mut program), before);
    agent.take_back();
    wait::until("the file is gone", || {
        let shown = agent.get("/api/remote-config");
        (shown["clients"][0]["files"] == json!([])).then_some(())
    });
    assert_eq!(sent(&mut program), before);
    assert!(program.end().status.success());
}

#[test]
fn a_file_that_cannot_be_applied_is_shown_with_what_is_wrong() {
    let agent = Local::start();
    let mut program = steered(&agent);
    agent.push(&json!({"tracing_sampling_rate": 0.5}));
    until_decision(&mut program, &agent, Some(0.5), &["-3"]);
    agent.push(&json!({"tracing_sampling_rate": "much"}));
    agent.until_state("error");
    let shown = agent.get("/api/remote-config");
    let error = shown["clients"][0]["files"][0]["error"]
        .as_str()
        .expect("a text");
    assert!(error.contains("expected f64"), "{error}");
    until_decision(&mut program, &agent, Some(0.5), &["-3"]);
    assert!(program.end().status.success());
}

/// Settings are changed as fast as a program can ask for them, while it makes traces as fast as it can.
#[test]
fn settings_that_change_all_the_time_lose_no_span() {
    let agent = Local::start();
    let mut command = command(&["steady"], &agent.url());
    command
        .env("DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS", "0.001")
        // What is sampled out is to be counted as well.
        .env("DD_TRACE_STATS_COMPUTATION_ENABLED", "false");
    let mut program = Process::start(&mut command);
    let dynamic = json!([{"name": "root", "sample_rate": 1, "provenance": "dynamic"}]);
    let mut rounds = 0;
    wait::until("traces that were decided about in each way", || {
        rounds += 1;
        agent.push(
            &json!({"tracing_sampling_rate": 0.5, "tracing_tags": [format!("round:{rounds}")]}),
        );
        program.say("make 100");
        agent.push(&json!({"tracing_sampling_rules": dynamic}));
        program.say("make 100");
        agent.take_back();
        program.say("make 100");
        let is_seen = |maker: &str| {
            let path = format!("/api/traces?q=@_dd.p.dm:\"{maker}\"&limit=1");
            let found = agent.get(&path.replace('"', "%22"));
            found["matched"].as_u64().expect("a number") > 0
        };
        (rounds >= 20 && is_seen("-3") && is_seen("-12")).then_some(())
    });
    let report = program.end().report();
    assert_balanced(&report);
    assert_eq!(report["made"], rounds * 600);
    assert_eq!(report["dropped"], 0);
    let problems = agent.get("/api/problems");
    let groups = problems["groups"].as_array().expect("a list");
    let wrong = |group: &&Value| group["level"] != "hint";
    assert_eq!(groups.iter().filter(wrong).count(), 0, "{problems:#}");
}
