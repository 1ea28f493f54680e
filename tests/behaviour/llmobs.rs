//! LLM Observability, from a program to what an agent makes of it.

use crate::program::command;
use ddtrace_tests::process;
use ddtrace_tests::test_agent::{TestAgent, body};
use ddtrace_tests::weather;
use serde_json::{Value, json};

/// Every event that the agent took, those that it rebuilt from traces included.
fn events(agent: &TestAgent) -> Vec<Value> {
    let requests = agent.requests();
    let of_product = requests.iter().filter(|request| {
        let url = request["url"].as_str().expect("a URL");
        url.ends_with("/api/v2/llmobs")
    });
    let events = of_product.flat_map(|request| {
        let envelopes: Value = serde_json::from_slice(&body(request)).expect("JSON");
        let envelopes = envelopes.as_array().cloned().unwrap_or(vec![envelopes]);
        envelopes
            .into_iter()
            .map(|envelope| envelope["spans"][0].clone())
    });
    events.collect()
}

fn named<'a>(events: &'a [Value], name: &str) -> &'a Value {
    let found: Vec<_> = events
        .iter()
        .filter(|event| event["name"] == name)
        .collect();
    assert_eq!(found.len(), 1, "{name} once: {events:#?}");
    found[0]
}

#[test]
fn the_test_agent_rebuilds_the_events_of_a_program() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["llmobs", "fine"], &agent.url());
    command
        .env("DD_LLMOBS_ENABLED", "true")
        .env("DD_LLMOBS_ML_APP", "shop")
        .env("DD_ENV", "staging");
    let report = process::run(&mut command).report();
    assert_eq!(report["more"]["is_on"], true);
    agent.assert_checks_passed();
    let events = events(&agent);
    assert_eq!(events.len(), 4, "{events:#?}");
    let assistant = named(&events, "assistant");
    assert_eq!(
        (&assistant["parent_id"], &assistant["status"]),
        (&json!("undefined"), &json!("error"))
    );
    assert_eq!(assistant["meta"]["error"]["type"], "Lost");
    let chat = named(&events, "chat");
    assert_eq!(chat["parent_id"], assistant["span_id"]);
    assert_eq!(chat["trace_id"], assistant["trace_id"]);
    assert_eq!(chat["session_id"], "s-1");
    assert_eq!(
        chat["meta"]["input"]["messages"],
        json!([{"content": "Where is my parcel? é", "role": "user"}])
    );
    assert_eq!(
        (&chat["meta"]["model_name"], &chat["meta"]["model_provider"]),
        (&json!("gpt-4o"), &json!("openai"))
    );
    assert_eq!(
        chat["metrics"],
        json!({"input_tokens": 7, "time_to_first_token": 0.25})
    );
    assert_eq!(
        chat["meta"]["metadata"]["deep"],
        json!({"a": [1, null, {"b": true}]})
    );
    let attribution = json!({"pagent_name": "assistant", "pagent_span_id": assistant["span_id"]});
    assert_eq!(chat["meta"]["agent_attribution"], attribution);
    assert_eq!(chat["_dd"]["sampling_decision"], "1");
    let tags = chat["tags"].as_array().expect("tags");
    for tag in [
        "ml_app:shop",
        "env:staging",
        "service:tests",
        "language:rust",
        "error:0",
        "source:integration",
    ] {
        assert!(tags.contains(&json!(tag)), "{tag} in {tags:?}");
    }
    let parcels = named(&events, "parcels");
    assert_eq!(
        parcels["meta"]["output"]["documents"],
        json!([{"score": 0.5, "text": "parcel 7: Rome"}])
    );
    // Its trace went nowhere, so it came by itself.
    let dropped = named(&events, "dropped");
    assert_eq!(dropped["meta"]["span"]["kind"], "workflow");
    let evaluations = agent.requests();
    let evaluations: Vec<_> = evaluations
        .iter()
        .filter(|request| {
            request["url"]
                .as_str()
                .expect("a URL")
                .ends_with("/eval-metric")
        })
        .collect();
    let sent: Value = serde_json::from_slice(&body(evaluations[0])).expect("JSON");
    let metric = &sent["data"]["attributes"]["metrics"][0];
    assert_eq!(metric["join_on"]["span"]["span_id"], chat["span_id"]);
    assert_eq!(metric["join_on"]["span"]["trace_id"], chat["trace_id"]);
}

#[test]
fn without_an_agent_the_program_goes_on_and_what_is_lost_is_said_once() {
    let nobody = format!("http://{}", weather::nobody());
    let mut command = command(&["llmobs", "gone"], &nobody);
    command.env("DD_LLMOBS_ENABLED", "true");
    let ended = process::run(&mut command);
    assert_eq!(ended.report()["made"], 3005);
    assert!(!ended.errors.contains("panicked"), "{}", ended.errors);
    assert!(
        ended.errors.lines().count() <= 8,
        "it does not chatter: {}",
        ended.errors
    );
}
