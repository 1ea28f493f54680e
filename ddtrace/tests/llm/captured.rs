//! What each kind captures, and how that is chosen.

use ddtrace::llmobs::test_support::LlmRecorder;
use ddtrace::llmobs::{Document, Message};
use ddtrace::{agent, embedding, llm, retrieval, task, tool, workflow};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Answer, Failed, Opaque, only, said, tag};

// What each kind captures without being asked.

#[llm(model_name = "gpt-4o", model_provider = "OpenAI")]
fn call_llm(question: &str) -> String {
    format!("{question} Yes.")
}

#[workflow]
fn call_workflow(question: &str, tries: u8, _opaque: Opaque) -> Vec<u8> {
    let _ = question;
    vec![tries]
}

#[agent(version = "7")]
fn call_agent(goal: String) -> String {
    goal
}

#[tool(version = 2)]
fn call_tool(city: &str) {
    let _ = city;
}

#[task]
fn call_task((a, b): (u8, u8)) -> u8 {
    a + b
}

#[embedding(model_name = "ada")]
fn call_embedding(text: &str) -> Vec<f32> {
    vec![text.len() as f32]
}

#[retrieval]
fn call_retrieval(query: &str) -> Vec<Document> {
    vec![Document {
        text: query.to_owned(),
        score: Some(0.0),
        ..Document::default()
    }]
}

#[test]
fn each_kind_captures_what_is_due() {
    let recorder = LlmRecorder::new();
    call_llm("Far?");
    call_workflow("Far?", 3, Opaque);
    call_agent("plan".to_owned());
    call_tool("Zürich");
    call_task((1, 2));
    call_embedding("abc");
    call_retrieval("moon");
    let spans = recorder.take();
    let name = "[llm::Opaque]";
    let expected = [
        (
            "llm",
            Value::Null,
            json!({"messages": [{"content": "Far? Yes.", "role": ""}]}),
        ),
        (
            "workflow",
            json!({"question": "Far?", "tries": 3, "_opaque": name}),
            json!({"value": "[3]"}),
        ),
        ("agent", json!({"goal": "plan"}), json!({"value": "plan"})),
        ("tool", json!({"city": "Zürich"}), Value::Null),
        ("task", json!({"a": 1, "b": 2}), json!({"value": "3"})),
        ("embedding", Value::Null, Value::Null),
        ("retrieval", json!({"query": "moon"}), Value::Null),
    ];
    assert_eq!(spans.len(), expected.len());
    for (span, (kind, input, output)) in spans.iter().zip(expected) {
        let said = said(span);
        assert_eq!(span.name, format!("call_{kind}"));
        assert_eq!(
            (span.resource.as_str(), span.span_type.as_str()),
            (kind, "llm")
        );
        assert_eq!(said["name"], span.name.as_str());
        let meta = &said["meta"];
        assert_eq!(meta["span"]["kind"], kind);
        match input {
            Value::Null => assert!(meta["input"].get("value").is_none(), "{kind}: {meta}"),
            input => {
                let text = meta["input"]["value"].as_str().expect(kind);
                assert_eq!(
                    serde_json::from_str::<Value>(text).expect("JSON"),
                    input,
                    "{kind}"
                );
            }
        }
        match output {
            Value::Null => assert!(meta["output"].get("value").is_none(), "{kind}: {meta}"),
            output => assert_eq!(meta["output"], output, "{kind}"),
        }
        assert_eq!(tag(&said, "decorator"), Some("1"));
    }
    let meta = |at: usize| said(&spans[at])["meta"].clone();
    assert_eq!(meta(0)["model_name"], "gpt-4o");
    assert_eq!(meta(0)["model_provider"], "openai");
    assert_eq!(meta(5)["model_name"], "ada");
    assert_eq!(meta(5)["model_provider"], "unknown");
    assert_eq!(meta(3)["tool"]["version"], "2");
    assert_eq!(tag(&said(&spans[2]), "agent_version"), Some("7"));
}

#[test]
fn what_is_captured_can_be_chosen() {
    #[llm(io = "both", skip(key))]
    fn both(question: &str, key: &str) -> String {
        format!("{question}{}", key.len())
    }
    #[embedding(io = "input")]
    fn of_texts(texts: Vec<&str>) -> f32 {
        texts.len() as f32
    }
    #[retrieval(io = "output")]
    fn documents() -> Vec<Document> {
        vec![Document::new("a"), Document::new("b")]
    }
    #[workflow(io = none)]
    fn nothing(secret: &str) -> String {
        secret.to_owned()
    }
    #[tool(io = "output")]
    fn unit(_input: u8) {}

    let recorder = LlmRecorder::new();
    both("q", "secret");
    of_texts(vec!["a", "b"]);
    documents();
    nothing("secret");
    unit(1);
    let spans = recorder.take();
    let metas: Vec<Value> = spans
        .iter()
        .map(|span| said(span)["meta"].clone())
        .collect();
    let message = &metas[0]["input"]["messages"][0];
    assert_eq!(message["content"], "{\"question\": \"q\"}");
    assert_eq!(metas[0]["output"]["messages"][0]["content"], "q6");
    assert_eq!(
        metas[1]["input"]["documents"][0]["text"],
        "{\"texts\": [\"a\", \"b\"]}"
    );
    assert_eq!(
        metas[2]["output"]["documents"],
        json!([{"text": "a"}, {"text": "b"}])
    );
    for span in &spans {
        assert!(!format!("{}", said(span)).contains("secret"));
    }
}

#[test]
fn options_are_expressions_over_the_parameters_and_the_result() {
    #[llm(
        name = format!("answer-{}", tries), session_id = session, ml_app = "shop", model_name = |r| r.model,
        model_provider = provider.to_uppercase(), input = messages(history), output = |r| r.text.as_str(),
        metrics = |r| [("input_tokens", Some(r.tokens.input as u64)), ("output_tokens", r.tokens.output)],
        metadata(temperature = 0.5, first = history.first(), answer_bytes = |r| r.text.len()),
        tags("team" = "ml", tries = tries, shown = %Failed, raw = ?Failed, answered_by = |r| r.model)
    )]
    fn answer(
        history: Vec<Message>,
        session: &str,
        provider: &str,
        tries: u8,
    ) -> Result<Answer, Failed> {
        drop(history);
        Ok(Answer::new("Far."))
    }
    let recorder = LlmRecorder::new();
    let history = vec![Message::new("user", "How far?")];
    answer(history, "s-1", "openai", 2).expect("it answers");
    let (span, said) = only(&recorder);
    let meta = &said["meta"];
    assert_eq!(
        (span.name.as_str(), &said["name"]),
        ("answer-2", &json!("answer-2"))
    );
    assert_eq!(
        (&said["session_id"], &said["ml_app"]),
        (&json!("s-1"), &json!("shop"))
    );
    assert_eq!(meta["model_name"], "gpt-4o-2024-08-06");
    assert_eq!(meta["model_provider"], "openai");
    assert_eq!(
        meta["input"]["messages"],
        json!([{"content": "How far?", "role": "user"}])
    );
    assert_eq!(
        meta["output"]["messages"],
        json!([{"content": "Far.", "role": ""}])
    );
    assert_eq!(said["metrics"], json!({"input_tokens": 6}));
    assert_eq!(meta["metadata"]["temperature"], 0.5);
    assert_eq!(meta["metadata"]["answer_bytes"], 4);
    assert_eq!(meta["metadata"]["first"]["content"], "How far?");
    for (key, value) in [
        ("team", "ml"),
        ("tries", "2"),
        ("shown", "the model is away"),
        ("raw", "Failed"),
        ("answered_by", "gpt-4o-2024-08-06"),
        ("session_id", "s-1"),
    ] {
        assert_eq!(tag(&said, key), Some(value), "{key}");
    }
}

#[test]
fn forms_choose_what_a_value_becomes() {
    #[derive(Clone, Serialize)]
    struct Turn {
        role: &'static str,
        content: &'static str,
    }
    #[derive(Serialize)]
    struct Template {
        id: &'static str,
        template: &'static str,
    }
    #[workflow(input = documents(found), output = messages(|r| r.clone()))]
    fn forms(found: &[&str]) -> Vec<Turn> {
        let _ = found;
        vec![Turn {
            role: "assistant",
            content: "hi",
        }]
    }
    #[llm(input = prompt(template))]
    fn with_prompt(template: Template) -> String {
        template.template.to_owned()
    }
    let recorder = LlmRecorder::new();
    forms(&["a", "b"]);
    let (_, said) = only(&recorder);
    // A workflow has values: the forms are kept as what they say.
    assert!(said["meta"]["input"].to_string().contains("\"text"));
    assert!(said["meta"]["output"].to_string().contains("assistant"));
    with_prompt(Template {
        id: "greet",
        template: "say hi",
    });
    let (_, said) = only(&recorder);
    assert_eq!(said["meta"]["input"]["prompt"]["id"], "greet");
}
