//! Tests of the order, the timing and the contents of requests, on a clock that is moved by hand.

use std::sync::{Arc, Mutex};

use super::super::hub::Hub;
use super::super::task::{Turns, run};
use super::super::transport::Deliver;
use super::*;
use crate::config::MapEnvironment;
use crate::instrument::Integration;
use crate::worker::task::Turn;

static KETTLE: Integration = Integration::new("kettle", "kettle", "0.3");

fn config(variables: &[(&str, &str)]) -> Config {
    let environment = variables.iter().fold(
        MapEnvironment::new().executable("shop"),
        |all, (name, value)| all.variable(*name, *value),
    );
    Config::builder().environment(&environment).build()
}

fn session(parent: Option<&str>) -> Session {
    Session {
        id: "child".to_owned(),
        root: parent.unwrap_or("child").to_owned(),
        parent: parent.map(str::to_owned),
    }
}

/// An agent that answers as it is told to, and remembers what it was sent.
#[derive(Clone, Default)]
struct FakeAgent(Arc<Mutex<Behaviour>>);

#[derive(Default)]
struct Behaviour {
    /// What it does with requests, the last one again and again; accepts them where this is empty.
    script: Vec<Verdict>,
    /// With the time since the start in seconds.
    got: Vec<(u64, Value)>,
    tries: usize,
    hangs: bool,
    begun: Option<Instant>,
}

impl Deliver for FakeAgent {
    async fn send(&self, request: &Request) -> Verdict {
        let hangs = self.0.lock().unwrap().hangs;
        if hangs {
            std::future::pending::<()>().await;
        }
        let mut this = self.0.lock().unwrap();
        this.tries += 1;
        let verdict = match this.script.len() {
            0 => Verdict::Accepted(202),
            1 => this.script[0],
            _ => this.script.remove(0),
        };
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["request_type"], request.kind.name());
        if matches!(verdict, Verdict::Accepted(_)) {
            let begun = this.begun.unwrap();
            this.got.push((begun.elapsed().as_secs(), body));
        }
        verdict
    }
}

impl FakeAgent {
    fn behave(&self, script: &[Verdict]) {
        self.0.lock().unwrap().script = script.to_vec();
    }

    fn requests(&self) -> Vec<(u64, Value)> {
        self.0.lock().unwrap().got.clone()
    }

    /// What came, as `seconds: types`.
    fn shown(&self) -> Vec<String> {
        let show = |(time, body): &(u64, Value)| {
            let types: Vec<_> = messages(body).map(|(kind, _)| kind).collect();
            format!("{time}: {}", types.join(" "))
        };
        self.requests().iter().map(show).collect()
    }

    fn payloads(&self, wanted: &str) -> Vec<Value> {
        let requests = self.requests();
        let all = requests.iter().flat_map(|(_, body)| messages(body));
        all.filter(|(kind, _)| kind == wanted)
            .map(|(_, payload)| payload)
            .collect()
    }
}

fn messages(body: &Value) -> impl Iterator<Item = (String, Value)> {
    let all = match body["payload"].as_array() {
        Some(batch) => batch.clone(),
        None => vec![body.clone()],
    };
    all.into_iter().map(|message| {
        let kind = message["request_type"].as_str().unwrap().to_owned();
        (kind, message["payload"].clone())
    })
}

/// Turns that a test gives.
struct FakeTurns(tokio::sync::mpsc::UnboundedReceiver<Turn>);

impl Turns for FakeTurns {
    async fn turn(&mut self, due: Instant) -> Turn {
        match tokio::time::timeout_at(due, self.0.recv()).await {
            Ok(turn) => turn.unwrap_or(Turn::Stop),
            Err(_) => Turn::Due,
        }
    }
}

/// A task on simulated time.
struct Running {
    agent: FakeAgent,
    hub: Arc<Hub>,
    turns: tokio::sync::mpsc::UnboundedSender<Turn>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(variables: &[(&str, &str)], parent: Option<&str>, script: &[Verdict]) -> Self {
        let config = config(variables);
        let inbox = Hub::open(&config, session(parent), 0);
        let hub = Arc::clone(&inbox.hub);
        let linked = Linked {
            integrations: vec![&KETTLE],
            products: Vec::new(),
        };
        let now = Instant::now();
        let reporter = Reporter::new(&config, &hub.session, &linked, "agent", now);
        let agent = FakeAgent::default();
        agent.behave(script);
        agent.0.lock().unwrap().begun = Some(now);
        let (turns, received) = tokio::sync::mpsc::unbounded_channel();
        let window = config.telemetry.metrics_window();
        let task = run(
            FakeTurns(received),
            reporter,
            inbox,
            agent.clone(),
            window,
            |_| {},
        );
        Self {
            agent,
            hub,
            turns,
            task: tokio::spawn(task),
        }
    }

    async fn wait(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Ends the task, and gives how long that took.
    async fn stop(self) -> (FakeAgent, Duration) {
        let begun = Instant::now();
        self.turns.send(Turn::Stop).unwrap();
        self.task.await.unwrap();
        (self.agent, begun.elapsed())
    }

    fn count(&self, name: &str, value: f64) {
        self.hub.value(Namespace::Tracers, name, &[], value);
    }
}

/// Runs a test on a clock that jumps to the next timer.
fn on_paused_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(test);
}

const DOWN: Verdict = Verdict::Failed(Failure::Network);

fn assert_numbered(requests: &[(u64, Value)]) {
    let numbers: Vec<_> = requests
        .iter()
        .map(|(_, body)| body["seq_id"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=requests.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_start_goes_first_and_alone_then_what_is_linked_then_signs_of_life() {
    // G1 and G2 of the vectors.
    on_paused_time(async {
        let running = Running::start(&[], None, &[]);
        running.wait(150).await;
        running.count("spans_created", 2.0);
        running.wait(35).await;
        let (agent, _) = running.stop().await;
        assert_eq!(
            agent.shown(),
            [
                "0: app-started",
                "0: app-dependencies-loaded app-integrations-change",
                "60: app-heartbeat",
                "120: app-heartbeat",
                "180: app-heartbeat generate-metrics generate-metrics",
                "185: generate-metrics app-closing",
            ]
        );
        let requests = agent.requests();
        assert_numbered(&requests);
        let first = &requests[0].1;
        assert_eq!(first["request_type"], "app-started");
        assert_eq!(first["runtime_id"], "child");
        assert_eq!(requests[1].1["request_type"], "message-batch");
        let version = TRACER_VERSION;
        assert_eq!(
            first["payload"]["products"],
            json!({
                "appsec": {"enabled": false, "version": version},
                "dynamic_instrumentation": {"enabled": false, "version": version},
                "profiler": {"enabled": false, "version": version},
            })
        );
        assert!(first["payload"].get("install_signature").is_none());
        assert_eq!(
            agent.payloads("app-integrations-change")[0],
            json!({"integrations": [{"name": "kettle", "version": "0.3", "enabled": true, "auto_enabled": true,
                "compatible": true, "error": ""}]})
        );
        let dependencies = &agent.payloads("app-dependencies-loaded")[0]["dependencies"];
        assert!(
            dependencies
                .as_array()
                .unwrap()
                .contains(&json!({"name": "ddtrace-core", "version": version}))
        );
        // A point for the window in which it was counted, and beside it what telemetry counted about itself.
        let metrics = agent.payloads("generate-metrics");
        assert_eq!(metrics[0]["namespace"], "tracers");
        assert_eq!(
            metrics[0]["series"][0]["points"].as_array().unwrap().len(),
            1
        );
        assert_eq!(metrics[1]["namespace"], "telemetry");
        let own = metrics[1]["series"].to_string();
        assert!(
            own.contains("telemetry_api.requests") && own.contains("endpoint:agent"),
            "{own}"
        );
    });
}

#[test]
fn an_hour_without_an_agent_is_bounded_and_ends_with_one_start() {
    on_paused_time(async {
        let running = Running::start(&[], None, &[DOWN]);
        for second in 0..3600 {
            let second = second.to_string();
            running
                .hub
                .value(Namespace::Tracers, "spans_created", &[("n", &second)], 1.0);
            for _ in 0..20 {
                running
                    .hub
                    .log(LogLevel::Error, &format!("message {second}"), None);
                running
                    .hub
                    .value(Namespace::Tracers, "trace_api.bytes", &[], 1.0);
            }
            running.wait(1).await;
        }
        {
            let this = running.agent.0.lock().unwrap();
            // At the start, and with every heartbeat.
            assert!((60..=62).contains(&this.tries), "{}", this.tries);
            assert!(this.got.is_empty());
        }
        running.agent.behave(&[]);
        running.wait(120).await;
        let (agent, _) = running.stop().await;
        let requests = agent.requests();
        assert_numbered(&requests);
        let shown = agent.shown();
        assert!(shown[0].ends_with(" app-started"), "{shown:?}");
        for (kind, expected) in [
            ("app-started", 1),
            ("app-closing", 1),
            ("app-dependencies-loaded", 1),
        ] {
            assert_eq!(agent.payloads(kind).len(), expected, "{kind}: {shown:?}");
        }
        // What waited for the hour is in one request.
        let waited: Vec<_> = messages(&requests[2].1).collect();
        let items = |kind: &str, list: &str, inner: &str| -> usize {
            let payloads = waited
                .iter()
                .filter(|(other, payload)| other == kind && payload["namespace"] != "telemetry");
            let series = payloads.flat_map(|(_, payload)| payload[list].as_array().unwrap());
            series
                .map(|one| {
                    one.get(inner)
                        .map_or(1, |points| points.as_array().unwrap().len())
                })
                .sum()
        };
        let points = items("generate-metrics", "series", "points")
            + items("distributions", "series", "points");
        assert_eq!(points, MAX_ITEMS, "{shown:?}");
        // 3,600 messages, and the one that says how much was dropped.
        assert_eq!(items("logs", "logs", "none"), 3601);
        let logs = agent.payloads("logs")[0]["logs"].to_string();
        assert!(logs.contains("telemetry was dropped: a store was full"));
        let sizes = requests.iter().map(|(_, body)| body.to_string().len());
        assert!(sizes.max().unwrap() < 5_000_000);
    });
}

#[test]
fn a_request_that_did_not_arrive_is_sent_again_as_it_was() {
    on_paused_time(async {
        let script = [
            Verdict::Accepted(202),
            Verdict::Failed(Failure::Status(503)),
            Verdict::Failed(Failure::Timeout),
            Verdict::Accepted(202),
        ];
        let running = Running::start(&[], None, &script);
        running.wait(125).await;
        assert_eq!(
            running.agent.shown(),
            [
                "0: app-started",
                "120: app-dependencies-loaded app-integrations-change",
                "120: app-heartbeat",
            ]
        );
        let (agent, _) = running.stop().await;
        assert_numbered(&agent.requests());
        let own = agent.payloads("generate-metrics")[0]["series"].to_string();
        for tag in [
            "type:timeout",
            "type:status_code",
            "status_code:503",
            "status_code:202",
        ] {
            assert!(own.contains(tag), "{tag} in {own}");
        }
    });
}

#[test]
fn what_is_refused_is_not_sent_again_but_for_the_start() {
    on_paused_time(async {
        let script = [
            Verdict::Refused(400),
            Verdict::Accepted(202),
            Verdict::Refused(413),
            Verdict::Accepted(202),
        ];
        let running = Running::start(&[], None, &script);
        running.wait(125).await;
        assert_eq!(
            running.agent.shown(),
            ["60: app-started", "60: app-heartbeat", "120: app-heartbeat"]
        );
        running.stop().await;
    });
}

#[test]
fn the_end_does_not_wait_for_an_agent_that_hangs() {
    on_paused_time(async {
        let running = Running::start(&[], None, &[]);
        running.wait(1).await;
        running.agent.0.lock().unwrap().hangs = true;
        let (_, took) = running.stop().await;
        assert_eq!(took, Duration::from_secs(2));
        // The same while a request is on its way already.
        let running = Running::start(&[], None, &[]);
        running.agent.0.lock().unwrap().hangs = true;
        running.wait(70).await;
        let (agent, took) = running.stop().await;
        assert_eq!(took, Duration::from_secs(2));
        assert!(agent.requests().is_empty());
    });
}

#[test]
fn a_program_that_ends_at_once_is_still_reported_whole() {
    on_paused_time(async {
        let running = Running::start(&[], None, &[]);
        running.hub.log(LogLevel::Error, "broken", None);
        let (agent, took) = running.stop().await;
        assert_eq!(took, Duration::ZERO);
        let kinds: Vec<_> = agent
            .requests()
            .iter()
            .flat_map(|(_, body)| messages(body))
            .map(|(kind, _)| kind)
            .collect();
        assert_eq!(kinds.first().unwrap(), "app-started");
        assert_eq!(kinds.last().unwrap(), "app-closing");
        assert!(kinds.contains(&"logs".to_owned()));
        assert_numbered(&agent.requests());
    });
}

#[test]
fn a_forked_child_reports_neither_start_nor_end_and_nothing_of_the_parent() {
    on_paused_time(async {
        let running = Running::start(&[], Some("parent"), &[]);
        running.count("spans_created", 1.0);
        running.wait(61).await;
        let (agent, _) = running.stop().await;
        assert_eq!(
            agent.shown(),
            ["60: app-heartbeat generate-metrics", "61: generate-metrics"]
        );
        assert_numbered(&agent.requests());
    });
}

#[test]
fn a_day_later_everything_is_said_again() {
    // G3 of the vectors.
    on_paused_time(async {
        let variables = [("_DD_TELEMETRY_EXTENDED_HEARTBEAT_INTERVAL", "180")];
        let running = Running::start(&variables, None, &[]);
        running.wait(185).await;
        let (agent, _) = running.stop().await;
        assert_eq!(
            agent.shown()[4],
            "180: app-heartbeat app-extended-heartbeat generate-metrics"
        );
        let extended = &agent.payloads("app-extended-heartbeat")[0];
        assert_eq!(
            extended["configuration"],
            agent.payloads("app-started")[0]["configuration"]
        );
        assert_eq!(
            extended["dependencies"],
            agent.payloads("app-dependencies-loaded")[0]["dependencies"]
        );
        assert_eq!(
            extended["integrations"],
            agent.payloads("app-integrations-change")[0]["integrations"]
        );
    });
}

#[test]
fn changes_go_out_with_the_next_sign_of_life() {
    on_paused_time(async {
        let running = Running::start(&[("DD_TAGS", "a:1")], None, &[]);
        running.wait(1).await;
        let local = config(&[("DD_TAGS", "a:1")]);
        let values = [(crate::config::Name::DD_TAGS, "t1:v1,t2:v2".to_owned())];
        running
            .hub
            .configuration(&local.with_remote(&values, Some("rc-7")));
        running.hub.send(Event::Product(ProductState {
            name: "profiler",
            enabled: true,
            error: Some("no timer"),
        }));
        running.hub.send(Event::Integration(IntegrationState::new(
            "kettle", "0.3", false,
        )));
        running.hub.send(Event::Integration(IntegrationState::new(
            "kettle", "0.3", false,
        )));
        running.wait(60).await;
        running.hub.configuration(&local);
        running.wait(60).await;
        let (agent, _) = running.stop().await;
        assert_eq!(
            agent.shown()[2..4],
            [
                "60: app-integrations-change app-client-configuration-change app-product-change app-heartbeat",
                "120: app-client-configuration-change app-heartbeat",
            ]
        );
        let started = &agent.payloads("app-started")[0]["configuration"];
        let highest = started.as_array().unwrap().len();
        let changes = agent.payloads("app-client-configuration-change");
        assert_eq!(
            changes[0]["configuration"],
            json!([{"name": "DD_TAGS", "value": "t1:v1,t2:v2", "origin": "remote_config", "config_id": "rc-7",
                "seq_id": highest + 1}])
        );
        assert_eq!(
            changes[1]["configuration"],
            json!([{"name": "DD_TAGS", "value": "a:1", "origin": "env_var", "seq_id": highest + 2}])
        );
        assert_eq!(
            agent.payloads("app-product-change")[0]["products"],
            json!({"profiler": {"enabled": true, "version": TRACER_VERSION, "error": {"code": 0, "message": "no timer"}}})
        );
        let integrations = agent.payloads("app-integrations-change");
        assert_eq!(integrations[1]["integrations"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn endpoints_are_sent_in_parts() {
    // G10 of the vectors.
    on_paused_time(async {
        let running = Running::start(&[], None, &[]);
        running.wait(1).await;
        let endpoint = |n| Endpoint::rest("GET", format!("/{n}"), "http.request");
        running
            .hub
            .send(Event::Endpoints((0..301).map(endpoint).collect()));
        running.hub.send(Event::Endpoints(vec![endpoint(0)]));
        running.wait(60).await;
        let (agent, _) = running.stop().await;
        let sent: Vec<_> = agent
            .payloads("app-endpoints")
            .iter()
            .map(|payload| {
                let count = payload["endpoints"].as_array().unwrap().len();
                (payload["is_first"].as_bool().unwrap(), count)
            })
            .collect();
        assert_eq!(sent, [(true, 300), (false, 1)]);
        assert_eq!(
            agent.payloads("app-endpoints")[0]["endpoints"][0],
            json!({"type": "REST", "method": "GET", "path": "/0", "operation_name": "http.request",
                "resource_name": "GET /0"})
        );
    });
}

#[test]
fn an_installer_is_named_and_parts_can_be_switched_off() {
    on_paused_time(async {
        let variables = [
            ("DD_INSTRUMENTATION_INSTALL_ID", "68e75c48"),
            ("DD_INSTRUMENTATION_INSTALL_TYPE", "k8s_single_step"),
            ("DD_INSTRUMENTATION_INSTALL_TIME", "1703188212"),
            ("DD_TELEMETRY_METRICS_ENABLED", "false"),
            ("DD_TELEMETRY_LOG_COLLECTION_ENABLED", "false"),
            ("DD_TELEMETRY_DEPENDENCY_COLLECTION_ENABLED", "false"),
        ];
        let running = Running::start(&variables, None, &[]);
        running.count("spans_created", 1.0);
        running.hub.log(LogLevel::Error, "broken", None);
        running.wait(61).await;
        assert_eq!(
            running.agent.shown(),
            [
                "0: app-started",
                "0: app-integrations-change",
                "60: app-heartbeat"
            ]
        );
        assert_eq!(
            running.agent.payloads("app-started")[0]["install_signature"],
            json!({"install_id": "68e75c48", "install_type": "k8s_single_step", "install_time": "1703188212"})
        );
        running.stop().await;
    });
}

#[test]
fn a_log_keeps_frames_of_ours_only() {
    // G11 of the vectors.
    on_paused_time(async {
        let running = Running::start(&[], None, &[]);
        let backtrace = std::backtrace::Backtrace::force_capture();
        running.hub.log(LogLevel::Error, "broken", Some(&backtrace));
        let (agent, _) = running.stop().await;
        let log = agent.payloads("logs")[0]["logs"][0].clone();
        let stack = log["stack_trace"].as_str().unwrap();
        assert!(stack.contains("<redacted>") && stack.contains("ddtrace_core::telemetry"));
        assert!(!stack.contains(".rs"), "{stack}");
        assert_eq!((&log["level"], &log["count"]), (&json!("ERROR"), &json!(1)));
    });
}
