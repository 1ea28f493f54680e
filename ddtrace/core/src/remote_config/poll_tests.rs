use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::*;
use crate::config::{Config, MapEnvironment};
use crate::export::agent::fake::{FakeAgent, Recorded, Reply, run};
use crate::remote_config::test_answer::Answer;
use crate::trace::tracer::TracerCore;

/// A loop that asks a fake agent, as quickly as it may.
struct Polling {
    agent: FakeAgent,
    tracer: Arc<TracerCore>,
    turns: UnboundedSender<Turn>,
    wishes: UnboundedSender<Wish>,
    task: JoinHandle<()>,
}

impl Polling {
    async fn start(interval: &str, script: impl IntoIterator<Item = Reply>) -> Self {
        let agent = FakeAgent::tcp(script).await;
        let environment = MapEnvironment::new()
            .executable("test")
            .variable("DD_TRACE_AGENT_URL", agent.url.to_string())
            .variable("DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS", interval);
        let config = Config::builder().environment(&environment).build();
        let (context, turns) = TaskContext::alone(config);
        let tracer = Arc::clone(&context.tracer);
        let (wishes, received) = unbounded_channel();
        let task = tokio::spawn(Poller::new(context, received).run());
        Self {
            agent,
            tracer,
            turns,
            wishes,
            task,
        }
    }

    /// The first requests, once there are so many.
    async fn requests(&self, count: usize) -> Vec<Recorded> {
        loop {
            let mut requests = self.agent.requests();
            if requests.len() >= count {
                requests.truncate(count);
                return requests;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// What the first requests asked for, once there are so many.
    async fn paths(&self, count: usize) -> Vec<String> {
        let requests = self.requests(count).await;
        let path = |request: &Recorded| {
            let mut words = request.line().split(' ');
            format!("{} {}", words.next().unwrap(), words.next().unwrap())
        };
        requests.iter().map(path).collect()
    }

    /// Waits until the sampling rules are these.
    async fn until_rules(&self, rules: &str) {
        while self.tracer.config().sampling_rules != rules {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn info() -> Reply {
    Reply::ok(r#"{"endpoints":["/v0.4/traces","/v0.7/config"]}"#)
}

fn nothing() -> Reply {
    Reply::ok("{}")
}

fn rate(version: u64, rate: f64) -> Reply {
    let content = format!(r#"{{"lib_config":{{"tracing_sampling_rate":{rate}}}}}"#);
    let answer = Answer::new(version).file("datadog/2/APM_TRACING/a/config", version, &content);
    Reply::ok(&String::from_utf8(answer.body()).unwrap())
}

const INFO: &str = "GET /info";
const POLL: &str = "POST /v0.7/config";

#[test]
fn the_agent_is_asked_once_it_says_that_it_answers_and_then_again_and_again() {
    run(async {
        let polling = Polling::start("0.002", [info(), rate(5, 0.5), nothing()]).await;
        assert_eq!(polling.paths(4).await, [INFO, POLL, POLL, POLL]);
        polling.until_rules(r#"[{"sample_rate":0.5}]"#).await;
        let requests = polling.requests(4).await;
        assert_eq!(requests[1].header("content-type"), Some("application/json"));
        let bodies: Vec<Value> = requests[1..]
            .iter()
            .map(|request| serde_json::from_slice(&request.body).unwrap())
            .collect();
        assert_eq!(bodies[0]["client"]["state"]["targets_version"], 0);
        assert_eq!(bodies[1]["client"]["state"]["targets_version"], 5);
        assert_eq!(bodies[0]["client"]["id"], bodies[2]["client"]["id"]);
    });
}

#[test]
fn the_first_question_does_not_wait_for_an_interval() {
    run(async {
        let polling = Polling::start("3600", [info(), nothing()]).await;
        assert_eq!(polling.paths(2).await, [INFO, POLL]);
    });
}

#[test]
fn an_agent_that_does_not_offer_it_is_not_asked() {
    run(async {
        let script = [
            Reply::ok(r#"{"endpoints":["/v0.4/traces"]}"#),
            info(),
            nothing(),
        ];
        let polling = Polling::start("0.001", script).await;
        assert_eq!(polling.paths(1).await, [INFO]);
        // Many intervals later there is still only one request.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(polling.agent.requests().len(), 1);
        // Somebody learns that the agent has changed.
        let (tell, told) = sync_channel(1);
        polling.wishes.send(Wish::PollAndTell(tell)).unwrap();
        assert_eq!(polling.paths(3).await, [INFO, INFO, POLL]);
        while told.try_recv() != Ok(Vec::new()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn an_agent_that_does_not_answer_yet_is_asked_again() {
    run(async {
        let script = [
            Reply::Close,
            Reply::Close,
            Reply::Close,
            info(),
            rate(1, 0.5),
            nothing(),
        ];
        let polling = Polling::start("0.002", script).await;
        polling.until_rules(r#"[{"sample_rate":0.5}]"#).await;
    });
}

#[test]
fn three_failures_in_a_row_lead_back_to_the_question_what_the_agent_can_do() {
    run(async {
        let failure = || Reply::status(500, &[], "");
        let script = [
            info(),
            rate(1, 0.5),
            failure(),
            failure(),
            nothing(),
            failure(),
            failure(),
            failure(),
            info(),
            rate(2, 0.25),
            nothing(),
        ];
        let polling = Polling::start("0.002", script).await;
        let expected = [INFO, POLL, POLL, POLL, POLL, POLL, POLL, POLL, INFO, POLL];
        assert_eq!(polling.paths(10).await, expected);
        polling.until_rules(r#"[{"sample_rate":0.25}]"#).await;
    });
}

#[test]
fn failures_leave_what_is_in_force() {
    run(async {
        let script = [
            info(),
            rate(1, 0.5),
            Reply::status(500, &[], ""),
            Reply::Close,
        ];
        let polling = Polling::start("0.002", script).await;
        polling.requests(8).await;
        polling.until_rules(r#"[{"sample_rate":0.5}]"#).await;
    });
}

/// Row G21.
#[test]
fn a_404_reverts_everything_until_the_agent_offers_it_again() {
    run(async {
        let script = [
            info(),
            rate(1, 0.5),
            Reply::status(404, &[], ""),
            info(),
            rate(1, 0.25),
            nothing(),
        ];
        let polling = Polling::start("0.05", script).await;
        polling.until_rules(r#"[{"sample_rate":0.5}]"#).await;
        polling.until_rules("[]").await;
        polling.until_rules(r#"[{"sample_rate":0.25}]"#).await;
        let requests = polling.requests(5).await;
        let body: Value = serde_json::from_slice(&requests[4].body).unwrap();
        assert_eq!(body["client"]["state"]["targets_version"], 0);
    });
}

#[test]
fn an_answer_without_end_is_refused_and_said_so() {
    run(async {
        let endless = Reply::ok(&" ".repeat(MAX_ANSWER + 1));
        let polling = Polling::start("0.002", [info(), rate(1, 0.5), endless, nothing()]).await;
        let requests = polling.requests(4).await;
        let body: Value = serde_json::from_slice(&requests[3].body).unwrap();
        let state = &body["client"]["state"];
        assert_eq!(state["has_error"], true);
        assert_eq!(
            state["error"],
            format!("an answer of more than {MAX_ANSWER} bytes")
        );
        assert_eq!(state["targets_version"], 1);
        polling.until_rules(r#"[{"sample_rate":0.5}]"#).await;
    });
}

#[test]
fn neither_stopping_nor_flushing_waits_for_an_answer() {
    run(async {
        let polling = Polling::start("0.002", [info(), Reply::Hang]).await;
        polling.requests(2).await;
        let (done, is_done) = sync_channel(1);
        let flushed = crate::worker::task::Flushed::new(done);
        polling.turns.send(Turn::Flush(flushed)).unwrap();
        while is_done.try_recv().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        polling.turns.send(Turn::Stop).unwrap();
        polling.task.await.unwrap();
    });
}

#[test]
fn nobody_is_asked_when_it_is_switched_off() {
    run(async {
        let environment = MapEnvironment::new()
            .executable("test")
            .variable("DD_REMOTE_CONFIGURATION_ENABLED", "false");
        let config = Config::builder().environment(&environment).build();
        let (context, _turns) = TaskContext::alone(config);
        assert!(start(context).is_none());
    });
}
