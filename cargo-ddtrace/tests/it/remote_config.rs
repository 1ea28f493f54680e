//! Remote configuration: pushing a file, and what clients make of it.

use serde_json::{Value, json};

use crate::client::TestAgent;

/// A client like a tracer's: it takes what it is sent, and says so with the next request.
struct Client {
    body: Value,
}

impl Client {
    fn new(id: &str, service: &str, env: &str) -> Client {
        // Capabilities 12, 13, 14, 15, 19, 29 and 45.
        Client {
            body: json!({
                "client": {
                    "id": id,
                    "products": ["APM_TRACING", "KETTLE"],
                    "client_tracer": {
                        "runtime_id": format!("runtime-{id}"), "service": service, "env": env, "language": "rust",
                        "tracer_version": "1.2.3", "app_version": "7",
                    },
                    "state": {"targets_version": 0, "config_states": [], "backend_client_state": "", "has_error": false},
                    "capabilities": [0x20, 0, 0x20, 0x08, 0xf0, 0],
                },
                "cached_target_files": [],
            }),
        }
    }

    fn poll(&self, agent: &TestAgent) -> Value {
        let body = self.body.to_string();
        let answer = agent.send("POST", "/v0.7/config", &[], body.as_bytes());
        assert_eq!(answer.status, 200);
        answer.json()
    }

    /// Polls, and takes the answer over with this state for every file. Gives the paths and contents that were sent.
    fn take(&mut self, agent: &TestAgent, state: u64, error: &str) -> Vec<(String, String)> {
        let answer = self.poll(agent);
        if answer == json!({}) {
            return Vec::new();
        }
        let list: Value = serde_json::from_slice(&base64(&answer["targets"])).unwrap();
        let signed = &list["signed"];
        assert_eq!(signed["_type"], "targets");
        assert!(signed["expires"].as_str().unwrap() > "2090");
        let client = &mut self.body["client"]["state"];
        client["targets_version"] = signed["version"].clone();
        client["backend_client_state"] = signed["custom"]["opaque_backend_state"].clone();
        let (mut states, mut cached) = (Vec::new(), Vec::new());
        for path in answer["client_configs"].as_array().unwrap() {
            let path = path.as_str().unwrap();
            let target = &signed["targets"][path];
            let parts: Vec<&str> = path.split('/').collect();
            assert_eq!(parts[..2], ["datadog", "2"]);
            states.push(json!({
                "id": parts[3], "product": parts[2], "version": target["custom"]["v"], "apply_state": state,
                "apply_error": error,
            }));
            let hash = json!({"algorithm": "sha256", "hash": target["hashes"]["sha256"]});
            cached.push(json!({"path": path, "length": target["length"], "hashes": [hash]}));
        }
        client["config_states"] = json!(states);
        self.body["cached_target_files"] = json!(cached);
        let file = |file: &Value| {
            let content = base64(&file["raw"]);
            let path = file["path"].as_str().unwrap();
            assert_eq!(signed["targets"][path]["length"], content.len());
            assert_eq!(
                signed["targets"][path]["hashes"]["sha256"],
                cargo_ddtrace::intake::sha256::hex(&content)
            );
            (path.to_owned(), String::from_utf8(content).unwrap())
        };
        answer["target_files"]
            .as_array()
            .unwrap()
            .iter()
            .map(file)
            .collect()
    }
}

/// Decodes what the agent encoded.
fn base64(text: &Value) -> Vec<u8> {
    let digit = |byte: u8| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        alphabet.iter().position(|digit| *digit == byte).unwrap() as u32
    };
    let digits: Vec<u32> = text
        .as_str()
        .unwrap()
        .trim_end_matches('=')
        .bytes()
        .map(digit)
        .collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}

fn push(agent: &TestAgent, body: Value) -> (u16, Value) {
    let answer = agent.change("POST", "/api/remote-config", &body);
    (answer.status, answer.json())
}

fn rate(id: &str, rate: f64) -> Value {
    json!({"product": "APM_TRACING", "config_id": id, "content": {"lib_config": {"tracing_sampling_rate": rate}}})
}

/// State and text per file of the client that asked last.
fn states(agent: &TestAgent) -> Vec<(String, String)> {
    let shown = agent.json("/api/remote-config");
    let files = shown["clients"][0]["files"].as_array().unwrap().iter();
    let state = |file: &Value| {
        let text = |key: &str| file[key].as_str().unwrap().to_owned();
        (text("state"), text("error"))
    };
    files.map(state).collect()
}

fn is(state: &str, error: &str) -> Vec<(String, String)> {
    vec![(state.to_owned(), error.to_owned())]
}

/// A file with a target, and a client that has applied it.
pub(crate) fn push_to_somebody(agent: &TestAgent) {
    let mut body = rate("rate", 0.5);
    body["target"] = json!({"service": "shop"});
    assert_eq!(push(agent, body).0, 200);
    let mut client = Client::new("c", "shop", "prod");
    client.take(agent, 2, "");
    client.poll(agent);
}

#[test]
fn a_file_is_sent_applied_changed_and_withdrawn() {
    let agent = TestAgent::new();
    let mut client = Client::new("c", "shop", "prod");
    assert_eq!(client.take(&agent, 2, ""), []);
    let path = "datadog/2/APM_TRACING/rate/config";
    let (status, pushed) = push(&agent, rate("rate", 0.5));
    assert_eq!(
        (status, &pushed["path"], &pushed["version"]),
        (200, &json!(path), &json!(1))
    );
    let content = r#"{"lib_config":{"tracing_sampling_rate":0.5}}"#;
    assert_eq!(
        client.take(&agent, 2, ""),
        [(path.to_owned(), content.to_owned())]
    );
    assert_eq!(states(&agent), is("sent", ""));
    assert_eq!(client.take(&agent, 2, ""), []);
    assert_eq!(states(&agent), is("applied", ""));

    // Pushed again, it has another version; the content that is known is not sent again.
    let (_, pushed) = push(&agent, rate("rate", 0.5));
    assert_eq!(pushed["version"], 2);
    assert_eq!(client.take(&agent, 1, ""), []);
    assert_eq!(states(&agent), is("sent", ""));
    client.take(&agent, 1, "");
    assert_eq!(states(&agent), is("received", ""));

    push(&agent, rate("rate", 0.25));
    assert_eq!(client.take(&agent, 3, "too little").len(), 1);
    client.take(&agent, 3, "");
    assert_eq!(states(&agent), is("error", "too little"));
    let shown = agent.json("/api/remote-config");
    assert!(
        shown["clients"][0]["files"][0]["after_ms"].is_u64(),
        "{shown}"
    );

    let answer = agent.change("DELETE", "/api/remote-config", &json!({"path": path}));
    assert_eq!(answer.json(), json!({"withdrawn": 1}));
    client.take(&agent, 2, "");
    assert_eq!(states(&agent), is("withdrawn", ""));
    client.take(&agent, 2, "");
    assert_eq!(states(&agent), []);
    assert_eq!(agent.problems(), [""; 0]);
}

#[test]
fn a_file_goes_to_those_whom_it_names() {
    let agent = TestAgent::new();
    for (id, target) in [
        ("all", json!({})),
        ("shop", json!({"service": "SHOP"})),
        ("staging", json!({"service": "shop", "env": "staging"})),
        ("process", json!({"runtime_id": "runtime-b"})),
    ] {
        let mut body = rate(id, 0.5);
        body["target"] = target;
        assert_eq!(push(&agent, body).0, 200);
    }
    for (mut client, expected) in [
        (Client::new("a", "shop", "prod"), vec!["all", "shop"]),
        (
            Client::new("b", "shop", "staging"),
            vec!["all", "process", "shop", "staging"],
        ),
        (Client::new("c", "other", ""), vec!["all"]),
    ] {
        let sent = client.take(&agent, 2, "");
        let ids: Vec<_> = sent
            .iter()
            .map(|(path, _)| path.split('/').nth(3).unwrap())
            .collect();
        assert_eq!(ids, expected);
    }
    // A client that asks for another product is sent nothing.
    let mut client = Client::new("d", "shop", "prod");
    client.body["client"]["products"] = json!(["KETTLE"]);
    assert_eq!(client.poll(&agent), json!({}));
}

#[test]
fn what_no_client_can_take_is_refused_with_a_sentence() {
    let agent = TestAgent::new();
    // Nobody is there yet: whoever comes may take it.
    assert_eq!(push(&agent, rate("a", 0.5)).0, 200);
    let mut client = Client::new("c", "shop", "prod");
    client.body["client"]["capabilities"] = json!([0x20, 0]);
    client.poll(&agent);
    for (body, expected) in [
        (
            json!({"product": "ASM_DD", "config_id": "a", "content": {}}),
            "shop does not ask for ASM_DD",
        ),
        (
            rate("b", 0.5),
            "shop does not declare that it can change tracing_sampling_rate (capability 12)",
        ),
    ] {
        let (status, answer) = push(&agent, body.clone());
        assert_eq!((status, &answer["code"]), (409, &json!("refused")));
        assert_eq!(answer["error"], expected);
        let mut forced = body;
        forced["force"] = json!(true);
        assert_eq!(push(&agent, forced).0, 200);
    }
    let own = json!({"product": "APM_TRACING", "config_id": "c", "content": {"lib_config": {"log_injection_enabled": true}}});
    assert_eq!(push(&agent, own).0, 200);
    // Whoever can take it, takes it.
    Client::new("d", "other", "").poll(&agent);
    assert_eq!(push(&agent, rate("b", 0.5)).0, 200);
}

#[test]
fn a_body_that_is_no_push_is_refused() {
    let agent = TestAgent::new();
    for body in [
        json!({}),
        json!({"product": "P", "config_id": "a"}),
        json!({"product": "P", "config_id": "a", "content": {}, "text": ""}),
        json!({"product": "", "config_id": "a", "content": {}}),
        json!({"product": "P", "config_id": "a/b", "content": {}}),
        json!({"product": "P", "config_id": "a", "name": 5, "content": {}}),
        json!({"product": "P", "config_id": "a", "content": {}, "target": {"env": 5}}),
        json!({"product": "P".repeat(201), "config_id": "a", "content": {}}),
    ] {
        let (status, answer) = push(&agent, body.clone());
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("bad_body")),
            "{body}"
        );
    }
    for body in [
        json!({}),
        json!({"all": false}),
        json!({"path": "a", "all": true}),
    ] {
        assert_eq!(
            agent.change("DELETE", "/api/remote-config", &body).status,
            400,
            "{body}"
        );
    }
    let gone = json!({"path": "datadog/2/P/a/config"});
    assert_eq!(
        agent.change("DELETE", "/api/remote-config", &gone).status,
        404
    );
    let all = agent.change("DELETE", "/api/remote-config", &json!({"all": true}));
    assert_eq!(all.json(), json!({"withdrawn": 0}));
    let raw = json!({"product": "P", "config_id": "a", "text": "{"});
    assert_eq!(push(&agent, raw).0, 200);
    assert_eq!(agent.json("/api/remote-config")["files"][0]["content"], "{");
    // Without the token nobody pushes.
    let headers = [("content-type", "application/json")];
    let answer = agent.send("POST", "/api/remote-config", &headers, b"{}");
    assert_eq!(answer.status, 403);
}

#[test]
fn a_client_that_knows_an_earlier_agent_is_brought_up_to_date() {
    let agent = TestAgent::new();
    push(&agent, rate("rate", 0.5));
    let mut client = Client::new("c", "shop", "prod");
    // What the agent before this one sent.
    client.body["cached_target_files"] =
        json!([{"path": "datadog/2/APM_TRACING/old/config", "length": 2, "hashes": []}]);
    client.body["client"]["state"]["targets_version"] = json!(5);
    client.body["client"]["state"]["config_states"] = json!([{"id": "old", "product": "APM_TRACING", "version": 9, "apply_state": 2, "apply_error": ""}]);
    assert_eq!(client.take(&agent, 2, "").len(), 1);
    client.take(&agent, 2, "");
    assert_eq!(agent.problems(), [""; 0]);
}

#[test]
fn questions_that_say_nothing_are_not_kept() {
    let agent = TestAgent::new();
    let mut client = Client::new("c", "shop", "prod");
    for _ in 0..5 {
        client.take(&agent, 2, "");
    }
    assert_eq!(agent.json("/api/requests")["total"], 1);
    push(&agent, rate("rate", 0.5));
    for _ in 0..5 {
        client.take(&agent, 2, "");
    }
    let requests = agent.json("/api/requests");
    // The first one; the one that was sent the file; the one that said that it is applied.
    assert_eq!(requests["total"], 3);
    assert_eq!(requests["requests"][0]["kind"], "config");
    assert_eq!(requests["requests"][0]["runtime_id"], "runtime-c");
    let status = agent.json("/api/status");
    assert_eq!(status["clients"][0]["service"], "shop");
    assert_eq!(status["clients"][0]["app_version"], "7");
}

#[test]
fn what_is_no_question_is_refused_and_kept() {
    let agent = TestAgent::new();
    let answer = agent.send("POST", "/v0.7/config", &[], b"{}");
    assert_eq!(answer.status, 400);
    assert_eq!(agent.problems(), ["request.undecodable"]);
    let info = agent.json("/info");
    assert!(
        info["endpoints"]
            .as_array()
            .unwrap()
            .contains(&json!("/v0.7/config"))
    );
}

#[test]
fn at_its_end_the_agent_waits_until_programs_have_given_up_what_was_pushed() {
    let agent = TestAgent::new();
    let mut client = Client::new("c", "shop", "prod");
    push(&agent, rate("rate", 0.5));
    client.take(&agent, 2, "");
    client.take(&agent, 2, "");
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            let remote_config = agent.agent.shared().remote_config();
            runtime.block_on(remote_config.revert(std::time::Duration::from_secs(60)));
            assert!(is_done.load(std::sync::atomic::Ordering::SeqCst));
        });
        crate::client::eventually("the file is taken back", || {
            agent.json("/api/remote-config")["files"] == json!([])
        });
        // The first answer says that the file is gone; the next request says that it is.
        client.take(&agent, 2, "");
        is_done.store(true, std::sync::atomic::Ordering::SeqCst);
        client.take(&agent, 2, "");
    });
    assert_eq!(states(&agent), []);
}
