use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::config::{Config, MapEnvironment};
use crate::remote_config::capabilities::Capabilities;
use crate::remote_config::test_answer::Answer;

const RATE: &str = "datadog/2/APM_TRACING/rate/config";
const KETTLE: &str = "datadog/2/KETTLE/one/config";
const OTHER: &str = "datadog/2/KETTLE/two/config";

/// A tracer whose program is called `shop`, with these variables.
fn tracer(variables: &[(&str, &str)]) -> Arc<TracerCore> {
    let mut environment = MapEnvironment::new()
        .executable("test")
        .variable("DD_SERVICE", "shop")
        .variable("DD_ENV", "prod");
    for (name, value) in variables {
        environment = environment.variable(*name, *value);
    }
    let config = Config::builder().environment(&environment).build();
    Arc::new(TracerCore::new(
        Arc::new(config),
        Vec::new(),
        Box::new(|| {}),
    ))
}

fn client() -> Client {
    Client::new(tracer(&[]))
}

/// A subscriber of `KETTLE` that writes down what it is told, and fails files whose content is `"bad"`.
struct Kettle {
    subscribers: Vec<Arc<Subscriber>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Kettle {
    fn new() -> Self {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&heard);
        let handler = move |batch: &Batch<'_>| {
            let mut outcomes = Outcomes::default();
            let mut said = Vec::new();
            for file in batch.changed() {
                let content = String::from_utf8_lossy(file.content());
                said.push(format!(
                    "+{}={content}@{}",
                    file.path().config_id(),
                    file.version()
                ));
                if content == r#""bad""# {
                    outcomes.fail(file.path(), "cannot boil that");
                }
            }
            said.extend(
                batch
                    .removed()
                    .iter()
                    .map(|path| format!("-{}", path.config_id())),
            );
            if batch.is_complete() {
                said.push("all".to_owned());
            }
            notes.lock().unwrap().push(said.join(" "));
            outcomes
        };
        let subscriber = Subscriber::new("KETTLE", Capabilities::of(&[3]), Box::new(handler));
        Self {
            subscribers: vec![Arc::new(subscriber)],
            heard,
        }
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

fn request(client: &mut Client, subscribers: &[Arc<Subscriber>]) -> Value {
    serde_json::from_slice(&client.request(subscribers)).expect("the request is JSON")
}

/// The states of all files: path, state and text.
fn states(client: &mut Client, subscribers: &[Arc<Subscriber>]) -> Vec<(String, u64, String)> {
    let request = request(client, subscribers);
    let states = request["client"]["state"]["config_states"]
        .as_array()
        .unwrap()
        .iter();
    let state = |state: &Value| {
        (
            state["id"].as_str().unwrap().to_owned(),
            state["apply_state"].as_u64().unwrap(),
            state["apply_error"].as_str().unwrap().to_owned(),
        )
    };
    states.map(state).collect()
}

fn acknowledged(id: &str) -> (String, u64, String) {
    (id.to_owned(), 2, String::new())
}

/// Row G13.
#[test]
fn the_first_request_says_who_asks_and_that_nothing_is_known() {
    let tracer = tracer(&[
        ("DD_VERSION", "7"),
        ("DD_TAGS", "team:a"),
        ("DD_HOSTNAME", "h"),
    ]);
    let mut client = Client::new(Arc::clone(&tracer));
    let kettle = Kettle::new();
    let request = request(&mut client, &kettle.subscribers);
    let asks = &request["client"];
    assert_eq!(asks["id"], *client.id);
    assert_eq!(asks["products"], json!(["APM_TRACING", "KETTLE"]));
    for (field, value) in [
        ("is_tracer", json!(true)),
        ("is_agent", json!(false)),
        ("is_updater", json!(false)),
        ("client_updater", json!(null)),
        ("last_seen", json!(0)),
    ] {
        assert_eq!(asks[field], value, "{field}");
    }
    let program = &asks["client_tracer"];
    assert_eq!(program["runtime_id"], *tracer.runtime_id);
    for (field, value) in [
        ("language", json!("rust")),
        ("tracer_version", json!(env!("CARGO_PKG_VERSION"))),
        ("service", json!("shop")),
        ("env", json!("prod")),
        ("app_version", json!("7")),
        ("container_tags", json!([])),
    ] {
        assert_eq!(program[field], value, "{field}");
    }
    let version = concat!("tracer_version:", env!("CARGO_PKG_VERSION"));
    let tags = ["team:a", "env:prod", "version:7", version, "host_name:h"];
    assert_eq!(program["tags"], json!(tags));
    let state = &asks["state"];
    assert_eq!(state["root_version"], 1);
    assert_eq!(state["targets_version"], 0);
    assert_eq!(state["config_states"], json!([]));
    assert_eq!(state["backend_client_state"], "");
    assert_eq!(state["has_error"], false);
    assert_eq!(request["cached_target_files"], json!([]));
    let bits = Capabilities::of(&[3, 12, 13, 14, 15, 19, 29, 45]);
    assert_eq!(asks["capabilities"], serde_json::to_value(bits).unwrap());
}

#[test]
fn other_services_of_the_process_are_named_up_to_a_bound() {
    let names: Vec<_> = (0..70).map(|number| format!("other-{number}")).collect();
    let mut client = Client::new(tracer(&[(
        "DD_EXTRA_SERVICES",
        &format!("shop,{}", names.join(",")),
    )]));
    let request = request(&mut client, &[]);
    let services = request["client"]["client_tracer"]["extra_services"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(
        services,
        names[..64]
            .iter()
            .map(|name| json!(name))
            .collect::<Vec<_>>()
    );
}

/// Row G14.
#[test]
fn a_file_that_is_applied_is_acknowledged_and_need_not_be_sent_again() {
    let mut client = client();
    let content = r#"{"lib_config":{"tracing_sampling_rate":0.5}}"#;
    client.accept(&Answer::new(12).file(RATE, 3, content).body(), &[]);
    let request = request(&mut client, &[]);
    let state = &request["client"]["state"];
    assert_eq!(state["targets_version"], 12);
    assert_eq!(state["backend_client_state"], "state 12");
    let file = json!([{
        "id": "rate", "version": 3, "product": "APM_TRACING", "apply_state": 2, "apply_error": ""
    }]);
    assert_eq!(state["config_states"], file);
    let hash = super::super::digest::FileHash::sha256(content.as_bytes());
    let cached = json!([{
        "path": RATE,
        "length": content.len(),
        "hashes": [{"algorithm": "sha256", "hash": hash.hex()}],
    }]);
    assert_eq!(request["cached_target_files"], cached);
    assert_eq!(
        client.tracer.config().sampling_rules,
        r#"[{"sample_rate":0.5}]"#
    );
    assert_eq!(client.in_force(), [ConfigPath::parse(RATE).unwrap()]);
}

/// Row G15.
#[test]
fn a_file_that_is_no_json_fails_alone() {
    let kettle = Kettle::new();
    let mut client = client();
    let answer = Answer::new(1).file(KETTLE, 1, "{").file(OTHER, 1, "2");
    client.accept(&answer.body(), &kettle.subscribers);
    let failed = ("one".to_owned(), 3, "invalid JSON content".to_owned());
    let states = states(&mut client, &kettle.subscribers);
    assert_eq!(states, [failed, acknowledged("two")]);
    assert_eq!(kettle.heard(), ["+two=2@1 all"]);
}

#[test]
fn a_product_is_told_once_of_all_that_has_changed_for_it() {
    let kettle = Kettle::new();
    let mut client = client();
    let tell = |client: &mut Client, answer: Answer| {
        client.accept(&answer.body(), &kettle.subscribers);
        kettle.heard()
    };
    assert_eq!(tell(&mut client, Answer::new(1)), [""; 0]);
    let first = Answer::new(2).file(KETTLE, 1, "1");
    assert_eq!(tell(&mut client, first.clone()), ["+one=1@1"]);
    // The agent sends again what it has sent before: nothing has changed.
    assert_eq!(tell(&mut client, first), [""; 0]);
    // One file takes the place of another.
    let other = Answer::new(3).file(OTHER, 1, "2");
    assert_eq!(tell(&mut client, other), ["+two=2@1 -one"]);
    // It is known, so it is not sent along.
    let known = Answer::new(4)
        .known_file(OTHER, 1, "2")
        .file(KETTLE, 2, "1");
    assert_eq!(tell(&mut client, known), ["+one=1@2"]);
    // The same content as another version, without and with its content.
    let newer = Answer::new(5)
        .known_file(OTHER, 2, "2")
        .file(KETTLE, 3, "1");
    assert_eq!(tell(&mut client, newer), ["+one=1@3"]);
    assert_eq!(tell(&mut client, Answer::new(6)), ["-one -two"]);
    client.accept(b"{}", &kettle.subscribers);
    client.accept(b"{}\n", &kettle.subscribers);
    assert_eq!(kettle.heard(), [""; 0]);
    assert_eq!(client.targets_version, 6);
}

#[test]
fn what_a_handler_refuses_is_said_until_it_changes() {
    let kettle = Kettle::new();
    let mut client = client();
    let bad = Answer::new(1)
        .file(KETTLE, 1, r#""bad""#)
        .file(OTHER, 1, "2");
    client.accept(&bad.body(), &kettle.subscribers);
    let failed = ("one".to_owned(), 3, "cannot boil that".to_owned());
    for _ in 0..2 {
        let states = states(&mut client, &kettle.subscribers);
        assert_eq!(states, [failed.clone(), acknowledged("two")]);
        client.accept(&bad.body(), &kettle.subscribers);
    }
    assert_eq!(client.in_force(), [ConfigPath::parse(OTHER).unwrap()]);
    let good = Answer::new(2)
        .file(KETTLE, 2, "1")
        .known_file(OTHER, 1, "2");
    client.accept(&good.body(), &kettle.subscribers);
    let states = states(&mut client, &kettle.subscribers);
    assert_eq!(states, [acknowledged("one"), acknowledged("two")]);
}

#[test]
fn a_handler_that_panics_costs_its_own_files_only() {
    let panics = Subscriber::new(
        "KETTLE",
        Capabilities::NONE,
        Box::new(|_| panic!("by design")),
    );
    let subscribers = [Arc::new(panics)];
    let mut client = client();
    let answer = Answer::new(1).file(KETTLE, 1, "1").file(
        RATE,
        1,
        r#"{"lib_config":{"tracing_sampling_rate":1}}"#,
    );
    client.accept(&answer.body(), &subscribers);
    let failed = ("one".to_owned(), 3, "the handler panicked".to_owned());
    assert_eq!(
        states(&mut client, &subscribers),
        [acknowledged("rate"), failed]
    );
}

#[test]
fn long_texts_are_cut_between_characters() {
    let fails = Subscriber::new(
        "KETTLE",
        Capabilities::NONE,
        Box::new(|batch| {
            let mut outcomes = Outcomes::default();
            outcomes.fail(batch.changed()[0].path(), format!("x{}", "ü".repeat(2000)));
            outcomes
        }),
    );
    let subscribers = [Arc::new(fails)];
    let mut client = client();
    client.accept(&Answer::new(1).file(KETTLE, 1, "1").body(), &subscribers);
    let (_, state, error) = states(&mut client, &subscribers).remove(0);
    assert_eq!((state, error.len()), (3, 1023));
}

/// Row G20, and everything else that is about a whole answer.
#[test]
fn an_answer_with_one_mistake_changes_nothing() {
    let good = || Answer::new(9).file(OTHER, 1, "2");
    let changed = |path: &str, field: &str, value: Value| {
        let mut answer = good().file(KETTLE, 2, "3");
        answer.targets[path][field] = value;
        answer.body()
    };
    let no_target = {
        let mut answer = good().file(KETTLE, 2, "3");
        answer.targets.as_object_mut().unwrap().remove(KETTLE);
        answer.body()
    };
    let no_base64 = {
        let mut answer = good().file(KETTLE, 2, "3");
        answer.files[1]["raw"] = json!("*");
        answer.body()
    };
    let many = (0..10_001).map(|_| json!("datadog/2/KETTLE/x/y")).collect();
    for (body, expected) in [
        (
            good().file("datadog/x/APM_TRACING/a/b", 1, "{}").body(),
            "as a path",
        ),
        (good().file("APM_TRACING", 1, "{}").body(), "as a path"),
        (
            changed(KETTLE, "length", json!(2)),
            "expected 2 bytes, found 1",
        ),
        (
            changed(KETTLE, "hashes", json!({"sha256": "00"})),
            "the sha256 of the content",
        ),
        (
            changed(KETTLE, "hashes", json!({"sha512": "00"})),
            "the sha512 of the content",
        ),
        (
            changed(KETTLE, "hashes", json!({"md5": "00"})),
            "without a hash",
        ),
        (
            changed(KETTLE, "length", json!(-1)),
            "`targets` is not what was expected",
        ),
        (no_target, "not among the targets"),
        (no_base64, "not Base64"),
        (
            good().known_file(KETTLE, 2, "3").body(),
            "neither sent nor known",
        ),
        (
            good().body_with_list("{"),
            "`targets` is not what was expected",
        ),
        (
            good().body_with_list("[]"),
            "`targets` is not what was expected",
        ),
        (
            good().body_with_list(&"[".repeat(100_000)),
            "`targets` is not what was expected",
        ),
        (br#"{"targets": "*"}"#.to_vec(), "`targets` is not Base64"),
        (b"<html>".to_vec(), "the answer is not what was expected"),
        (
            "[".repeat(100_000).into_bytes(),
            "the answer is not what was expected",
        ),
        (
            Answer {
                paths: many,
                ..good()
            }
            .body(),
            "at most 10000 entries",
        ),
    ] {
        let kettle = Kettle::new();
        let mut client = client();
        client.accept(
            &Answer::new(8).file(KETTLE, 1, "1").body(),
            &kettle.subscribers,
        );
        assert_eq!(kettle.heard(), ["+one=1@1 all"]);
        let before = request(&mut client, &kettle.subscribers);
        client.accept(&body, &kettle.subscribers);
        assert_eq!(kettle.heard(), [""; 0], "{expected}");
        let mut after = request(&mut client, &kettle.subscribers);
        let error = after["client"]["state"]["error"].take();
        let error = error.as_str().unwrap();
        assert!(
            error.contains(expected) && error.len() <= 1024,
            "{expected}: {error}"
        );
        assert_eq!(after["client"]["state"]["has_error"], true, "{expected}");
        after["client"]["state"]["error"] = json!("");
        after["client"]["state"]["has_error"] = json!(false);
        assert_eq!(after, before, "{expected}");

        // The next right answer is taken over, and the mistake is forgotten.
        client.accept(
            &Answer::new(10).file(OTHER, 1, "2").body(),
            &kettle.subscribers,
        );
        assert_eq!(kettle.heard(), ["+two=2@1 -one"], "{expected}");
        let after = request(&mut client, &kettle.subscribers);
        assert_eq!(after["client"]["state"]["has_error"], false, "{expected}");
    }
}

#[test]
fn a_file_for_a_product_that_nobody_asked_for_is_passed_over() {
    let mut client = client();
    client.accept(&Answer::new(1).file(KETTLE, 1, "1").body(), &[]);
    assert_eq!(states(&mut client, &[]), []);
    assert_eq!(client.targets_version, 1);
}

/// Row G21.
#[test]
fn without_remote_configuration_everything_reverts() {
    let kettle = Kettle::new();
    let mut client = client();
    let rate = r#"{"lib_config":{"tracing_sampling_rate":0.5}}"#;
    let answer = Answer::new(1).file(KETTLE, 1, "1").file(RATE, 1, rate);
    for revert in [
        Client::revert as fn(&mut Client, &[Arc<Subscriber>]),
        |client, subscribers| {
            client.accept(br#"{"config_status": 1}"#, subscribers);
        },
    ] {
        client.accept(&answer.body(), &kettle.subscribers);
        assert_eq!(
            client.tracer.config().sampling_rules,
            r#"[{"sample_rate":0.5}]"#
        );
        kettle.heard();
        revert(&mut client, &kettle.subscribers);
        assert_eq!(client.tracer.config().sampling_rules, "[]");
        assert_eq!(kettle.heard(), ["-one"]);
        let request = request(&mut client, &kettle.subscribers);
        assert_eq!(request["client"]["state"]["targets_version"], 0);
        assert_eq!(request["client"]["state"]["backend_client_state"], "");
        assert_eq!(request["cached_target_files"], json!([]));
    }
}

#[test]
fn a_new_handler_is_told_of_all_files_and_an_old_one_of_none() {
    let mut client = client();
    let first = Kettle::new();
    let answer = Answer::new(1).file(KETTLE, 1, "1");
    client.accept(&answer.body(), &first.subscribers);
    let second = Kettle::new();
    let asked = request(&mut client, &second.subscribers);
    // An agent answers with nothing to a client that is up to date.
    assert_eq!(asked["client"]["state"]["targets_version"], 0);
    assert_eq!(asked["cached_target_files"], json!([]));
    client.accept(&answer.body(), &second.subscribers);
    assert_eq!(first.heard(), ["+one=1@1 all"]);
    assert_eq!(second.heard(), ["+one=1@1 all"]);
    let asked = request(&mut client, &[]);
    assert_eq!(asked["client"]["products"], json!(["APM_TRACING"]));
    assert_eq!(asked["cached_target_files"], json!([]));
    assert_eq!(asked["client"]["state"]["targets_version"], 1);
}

#[test]
fn the_child_of_a_fork_tells_handlers_what_is_left_of_what_they_know() {
    let kettle = Kettle::new();
    client().accept(
        &Answer::new(1).file(KETTLE, 1, "1").body(),
        &kettle.subscribers,
    );
    kettle.heard();
    // The child has a client of its own, and inherits the handlers.
    let mut child = client();
    child.accept(b"{}", &kettle.subscribers);
    assert_eq!(kettle.heard(), ["all"]);
    child.accept(b"{}", &kettle.subscribers);
    assert_eq!(kettle.heard(), [""; 0]);
}

#[test]
fn clients_have_ids_of_their_own() {
    assert_ne!(client().id, client().id);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_answer_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            client().accept(&body, &Kettle::new().subscribers);
        }

        #[test]
        fn no_list_and_no_file_panics(list in "\\PC*", content in "\\PC*") {
            let kettle = Kettle::new();
            let mut client = client();
            let answer = Answer::new(1).file(RATE, 1, &content).file(KETTLE, 1, &content);
            client.accept(&answer.body_with_list(&list), &kettle.subscribers);
            client.accept(&answer.body(), &kettle.subscribers);
            for (_, state, error) in states(&mut client, &kettle.subscribers) {
                prop_assert!((state == 2) == error.is_empty());
            }
        }

        /// Whatever files come and go, a handler that adds up what it hears knows what is in force.
        #[test]
        fn what_handlers_hear_adds_up(rounds in proptest::collection::vec(
            proptest::collection::btree_map(0u8..6, 0u8..4, 0..6), 1..20,
        )) {
            let known: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
            let adds = Arc::clone(&known);
            let subscriber = Subscriber::new("KETTLE", Capabilities::NONE, Box::new(move |batch| {
                let mut known = adds.lock().unwrap();
                for path in batch.removed() {
                    assert!(known.remove(path.as_str()).is_some());
                }
                for file in batch.changed() {
                    let content = String::from_utf8(file.content().to_vec()).unwrap();
                    known.insert(file.path().to_string(), content);
                }
                Outcomes::default()
            }));
            let subscribers = [Arc::new(subscriber)];
            let mut client = client();
            for (number, files) in rounds.iter().enumerate() {
                let mut answer = Answer::new(number as u64 + 1);
                let mut expected = BTreeMap::new();
                for (file, content) in files {
                    let path = format!("datadog/2/KETTLE/{file}/config");
                    answer = answer.file(&path, u64::from(*content), &content.to_string());
                    expected.insert(path, content.to_string());
                }
                client.accept(&answer.body(), &subscribers);
                prop_assert_eq!(&*known.lock().unwrap(), &expected);
                prop_assert_eq!(client.in_force().len(), expected.len());
            }
        }
    }
}
