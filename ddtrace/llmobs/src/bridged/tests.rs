//! Spans of other libraries, told as bridges tell them. Expected values are those of `spec/llmobs.md` §18.

use std::borrow::Cow;

use ddtrace_core::events::{self, Attribute, BridgedSpan, Followers, HttpClientExchange, Taps};
use ddtrace_core::trace::Span;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::MAX_TEXT;
use crate::testing::{Fixture, struct_of};
use crate::{Annotation, Kind, annotate, span};

use Attribute::{List, Number, Text};

/// A span as a bridge holds it.
struct Theirs {
    followers: Followers,
    span: Span,
}

impl Theirs {
    fn new(name: &str, attributes: &[(&str, Attribute<'_>)]) -> Self {
        let keys =
            |wanted: &mut dyn FnMut(&str) -> bool| attributes.iter().any(|(key, _)| wanted(key));
        let event =
            events::dispatch::<BridgedSpan<'_>>(|| BridgedSpan::new("tracing", name, &keys));
        let mut theirs = Self {
            followers: event.map(BridgedSpan::into_followers).unwrap_or_default(),
            span: Span::builder(name.to_owned()).start(),
        };
        for (key, value) in attributes {
            theirs.write(key, *value);
        }
        theirs
    }

    fn write(&mut self, key: &str, value: Attribute<'_>) {
        self.followers.written((&mut self.span).into(), key, value);
    }
}

/// What is said of a span with these attributes.
#[track_caller]
fn said(attributes: &[(&str, Attribute<'_>)]) -> Value {
    let fixture = Fixture::new();
    drop(Theirs::new("theirs", attributes));
    let mut all = fixture.structs();
    assert_eq!(all.len(), 1, "{attributes:?}");
    all.remove(0)
}

const CHAT: (&str, Attribute<'_>) = ("gen_ai.operation.name", Text("chat"));

#[test]
fn every_word_for_what_a_span_does_is_a_kind() {
    for (key, word, kind) in [
        ("gen_ai.operation.name", "chat", "llm"),
        ("gen_ai.operation.name", "text_completion", "llm"),
        ("gen_ai.operation.name", "generate_content", "llm"),
        ("gen_ai.operation.name", "embeddings", "embedding"),
        ("gen_ai.operation.name", "execute_tool", "tool"),
        ("gen_ai.operation.name", "invoke_agent", "agent"),
        ("gen_ai.operation.name", "create_agent", "agent"),
        ("gen_ai.operation.name", "invoke_workflow", "workflow"),
        ("openinference.span.kind", "LLM", "llm"),
        ("openinference.span.kind", "EMBEDDING", "embedding"),
        ("openinference.span.kind", "CHAIN", "workflow"),
        ("openinference.span.kind", "RETRIEVER", "retrieval"),
        ("openinference.span.kind", "RERANKER", "task"),
        ("openinference.span.kind", "TOOL", "tool"),
        ("openinference.span.kind", "AGENT", "agent"),
        ("openinference.span.kind", "GUARDRAIL", "task"),
        ("openinference.span.kind", "EVALUATOR", "task"),
        ("traceloop.span.kind", "workflow", "workflow"),
        ("traceloop.span.kind", "task", "task"),
        ("traceloop.span.kind", "agent", "agent"),
        ("traceloop.span.kind", "tool", "tool"),
    ] {
        let said = said(&[(key, Text(word))]);
        assert_eq!(said["meta"]["span"]["kind"], kind, "{key} {word}");
        assert_eq!(said["name"], "theirs");
    }
}

#[test]
fn what_says_nothing_of_a_kind_makes_no_span_of_the_product() {
    let fixture = Fixture::new();
    for attributes in [
        &[("http.request.method", Text("GET"))][..],
        &[("gen_ai.operation.name", Text("brew"))],
        &[("gen_ai.operation.name", Number(1.0))],
        &[("gen_ai.request.model", Text("gpt-4o"))],
        &[("openinference.span.kind", Text("chat"))],
        &[("traceloop.span.kind", Text("CHAIN"))],
    ] {
        drop(Theirs::new("theirs", attributes));
    }
    let spans = fixture.spans();
    assert_eq!(spans.len(), 6);
    for span in spans {
        assert_eq!(struct_of(&span), None);
        assert_ne!(span.span_type, "llm");
    }
}

#[test]
fn nothing_is_followed_while_the_product_is_off() {
    let fixture = Fixture::new();
    crate::switch::pretend(false);
    assert!(Theirs::new("theirs", &[CHAT]).followers.is_empty());
    drop(fixture);
}

#[test]
fn model_provider_and_session_are_those_of_the_attributes() {
    let request = ("gen_ai.request.model", Text("gpt-4o"));
    let response = ("gen_ai.response.model", Text("gpt-4o-2024-08-06"));
    for (attributes, model) in [
        (&[request][..], "gpt-4o"),
        (&[response, request], "gpt-4o-2024-08-06"),
        (&[request, response], "gpt-4o-2024-08-06"),
    ] {
        let all: Vec<_> = attributes.iter().copied().chain([CHAT]).collect();
        assert_eq!(said(&all)["meta"]["model_name"], model, "{attributes:?}");
    }
    let system = ("gen_ai.system", Text("anthropic"));
    let provider = ("gen_ai.provider.name", Text("aws.bedrock"));
    for (attributes, name) in [
        (&[system][..], "anthropic"),
        (&[system, provider], "aws.bedrock"),
        (&[provider, system], "aws.bedrock"),
    ] {
        let all: Vec<_> = [CHAT].iter().chain(attributes).copied().collect();
        assert_eq!(said(&all)["meta"]["model_provider"], name, "{attributes:?}");
    }
    let said = said(&[CHAT, ("gen_ai.conversation.id", Text("c-1"))]);
    assert_eq!(said["session_id"], "c-1");
    assert_eq!(said["tags"]["integration"], "tracing");
}

#[test]
fn numbers_become_metrics() {
    for (key, metric) in [
        ("gen_ai.usage.input_tokens", "input_tokens"),
        ("gen_ai.usage.output_tokens", "output_tokens"),
        (
            "gen_ai.usage.cache_read.input_tokens",
            "cache_read_input_tokens",
        ),
        (
            "gen_ai.usage.cache_creation.input_tokens",
            "cache_write_input_tokens",
        ),
        (
            "gen_ai.usage.reasoning.output_tokens",
            "reasoning_output_tokens",
        ),
        ("gen_ai.usage.reasoning_tokens", "reasoning_output_tokens"),
        ("gen_ai.response.time_to_first_chunk", "time_to_first_token"),
    ] {
        for value in [Number(7.5), Text("7.5")] {
            let said = said(&[CHAT, (key, value)]);
            assert_eq!(said["metrics"], json!({metric: 7.5}), "{key}");
        }
        for value in [Number(f64::NAN), Text("many"), List(&[])] {
            let said = said(&[CHAT, (key, value)]);
            assert_eq!(said["metrics"].get(metric), None, "{key} {value:?}");
        }
    }
    let said = said(&[
        CHAT,
        ("gen_ai.usage.input_tokens", Number(5.0)),
        ("gen_ai.usage.output_tokens", Number(3.0)),
    ]);
    assert_eq!(said["metrics"]["total_tokens"].as_f64(), Some(8.0));
}

#[test]
fn reasons_are_joined_however_the_list_is_written() {
    let list = [Cow::Borrowed("stop"), "length".into()];
    for (value, expected) in [
        (List(&list), "stop,length"),
        (Text(r#"["stop","length"]"#), "stop,length"),
        (Text("stop"), "stop"),
    ] {
        let said = said(&[CHAT, ("gen_ai.response.finish_reasons", value)]);
        assert_eq!(said["meta"]["metadata"]["finish_reason"], expected);
    }
}

#[test]
fn messages_instructions_and_tools_are_read() {
    let said = said(&[
        CHAT,
        (
            "gen_ai.input.messages",
            Text(r#"[{"role": "user", "parts": [{"type": "text", "content": "Weather?"}]}]"#),
        ),
        (
            "gen_ai.system_instructions",
            Text(r#"[{"type": "text", "content": "Be brief."}]"#),
        ),
        (
            "gen_ai.output.messages",
            Text(
                r#"[{"role": "assistant", "finish_reason": "stop", "parts": [{"type": "text", "content": "Blue."}]}]"#,
            ),
        ),
        (
            "gen_ai.tool.definitions",
            Text(r#"[{"type": "function", "name": "weather", "parameters": {"type": "object"}}]"#),
        ),
    ]);
    let meta = &said["meta"];
    assert_eq!(
        meta["input"]["messages"],
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"}])
    );
    assert_eq!(
        meta["output"]["messages"],
        json!([{"role": "assistant", "content": "Blue."}])
    );
    assert_eq!(
        meta["tool_definitions"],
        json!([{"name": "weather", "schema": {"type": "object"}}])
    );
}

#[test]
fn a_call_of_a_tool_has_its_name_what_it_was_given_and_what_it_gave() {
    let fixture = Fixture::new();
    let mut model = Theirs::new("chat", &[CHAT]);
    model.write(
        "gen_ai.output.messages",
        Text(
            r#"[{"role": "assistant", "parts": [{"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"place": "Paris"}}]}]"#,
        ),
    );
    drop(model);
    fixture.spans();
    drop(Theirs::new(
        "execute_tool weather",
        &[
            ("gen_ai.operation.name", Text("execute_tool")),
            ("gen_ai.tool.name", Text("weather")),
            ("gen_ai.tool.call.id", Text("call_1")),
            ("gen_ai.tool.call.arguments", Text(r#"{"place": "Paris"}"#)),
            ("gen_ai.tool.call.result", Text("blue")),
        ],
    ));
    let said = fixture.structs().remove(0);
    assert_eq!(said["name"], "weather");
    assert_eq!(said["meta"]["input"]["value"], r#"{"place": "Paris"}"#);
    assert_eq!(said["meta"]["output"]["value"], "blue");
    assert_eq!(
        said["span_links"][0]["attributes"],
        json!({"from": "output", "to": "input"})
    );
}

#[test]
fn what_is_not_what_its_key_says_is_left_out() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("[\"{}\"]", "x".repeat(MAX_TEXT));
    for text in [
        "",
        "nothing of JSON",
        "{}",
        "[3, null]",
        "[[[]]]",
        "\"",
        &deep,
        &long,
    ] {
        let said = said(&[
            CHAT,
            ("gen_ai.input.messages", Text(text)),
            ("gen_ai.output.messages", Text(text)),
            ("gen_ai.tool.definitions", Text(text)),
        ]);
        let meta = said["meta"].as_object().unwrap();
        for key in ["input", "output"] {
            let messages = meta.get(key).and_then(|io| io.get("messages"));
            let is_nothing = messages.is_none_or(|all| {
                let all = all.as_array().unwrap();
                all.iter().all(|message| message["content"] == "")
            });
            assert!(is_nothing, "{key} of {:.20}: {messages:?}", text);
        }
        assert_eq!(meta.get("tool_definitions"), None, "{:.20}", text);
    }
}

#[test]
fn bridged_spans_stand_among_ours() {
    let fixture = Fixture::new();
    let mut workflow = span(Kind::Workflow).name("ours").session_id("s").start();
    let mut agent = workflow.in_scope(|| {
        Theirs::new(
            "invoke_agent",
            &[("gen_ai.operation.name", Text("invoke_agent"))],
        )
    });
    {
        let _agent = agent.span.enter();
        span(Kind::Task).name("inner").start().finish();
        annotate(Annotation::new().output("ours wins")).unwrap();
    }
    agent.write(
        "gen_ai.output.messages",
        Text(r#"[{"role": "assistant", "content": "theirs"}]"#),
    );
    drop(agent);
    workflow.finish();
    let all = fixture.structs();
    let named = |name: &str| all.iter().find(|said| said["name"] == name).unwrap();
    assert_eq!(named("ours")["parent_id"], "undefined");
    for name in ["invoke_agent", "inner"] {
        assert_eq!(named(name)["trace_id"], named("ours")["trace_id"], "{name}");
        assert_eq!(named(name)["session_id"], "s", "{name}");
    }
    assert_ne!(named("invoke_agent")["parent_id"], "undefined");
    assert_ne!(
        named("inner")["parent_id"],
        named("invoke_agent")["parent_id"]
    );
    assert_eq!(
        named("inner")["meta"]["agent_attribution"]["pagent_name"],
        "invoke_agent"
    );
    assert_eq!(
        named("invoke_agent")["meta"]["output"]["value"],
        "ours wins"
    );
}

#[test]
fn a_kind_that_comes_later_makes_it_one_from_there_on() {
    let fixture = Fixture::new();
    let mut chat = Theirs::new(
        "late",
        &[
            ("gen_ai.request.model", Text("m")),
            ("gen_ai.conversation.id", Text("c-1")),
        ],
    );
    {
        let _chat = chat.span.enter();
        span(Kind::Task).name("before").start().finish();
    }
    chat.write("gen_ai.operation.name", Text("chat"));
    chat.followers.renamed("later");
    {
        let _chat = chat.span.enter();
        span(Kind::Task).name("after").start().finish();
    }
    let id = chat.span.span_id().to_string();
    drop(chat);
    let all = fixture.structs();
    let named = |name: &str| all.iter().find(|said| said["name"] == name).unwrap();
    assert_eq!(named("before")["parent_id"], "undefined");
    assert_eq!(named("after")["parent_id"], *id);
    assert_eq!(named("after")["session_id"], "c-1");
    assert_eq!(named("later")["meta"]["model_name"], "m");
}

#[test]
fn errors_of_the_span_are_errors_of_the_product() {
    let fixture = Fixture::with(|config| config);
    let mut chat = Theirs::new("chat", &[CHAT]);
    chat.span
        .set_error_message("Timeout", "took too long", None);
    drop(chat);
    let spans = fixture.spans();
    assert!(spans[0].error);
    assert_eq!(spans[0].span_type, "llm");
    assert_eq!(spans[0].meta("error.type"), Some("Timeout"));
    assert_eq!(spans[0].meta("gen_ai.operation.name"), Some("llm"));
    assert_eq!(
        spans[0].meta("_dd.llmobs.artificial_gen_ai_tags"),
        Some("true")
    );
    let said = struct_of(&spans[0]).unwrap();
    assert_eq!(said["meta"]["error"]["type"], "Timeout");
    assert_eq!(said["meta"]["error"]["message"], "took too long");
}

fn request(body: &Value) -> Taps {
    let body = body.to_string();
    let headers = HeaderMap::new();
    let url = "https://api.openai.com/v1/chat/completions";
    events::dispatch::<HttpClientExchange<'_>>(|| {
        HttpClientExchange::new(&Method::POST, url, &headers, Some(body.as_bytes()))
    })
    .map(HttpClientExchange::into_taps)
    .unwrap_or_default()
}

#[test]
fn a_request_below_for_the_same_model_is_not_told_twice() {
    const NAMES: [&str; 2] = ["chat", "OpenAI.createChatCompletion"];
    let messages = json!([{"role": "user", "content": "\"model\": \"gpt-4o\""}]);
    let same = json!({"messages": messages, "model": "gpt-4o"});
    let other = json!({"messages": messages, "model": "gpt-4o-mini"});
    for (operation, body, expected) in [
        ("chat", &same, &NAMES[..1]),
        ("chat", &other, &NAMES[..]),
        // An agent is about more than one call.
        ("invoke_agent", &same, &NAMES[..]),
    ] {
        let fixture = Fixture::new();
        crate::providers::listen();
        let mut theirs = Theirs::new(
            "chat",
            &[
                ("gen_ai.operation.name", Text(operation)),
                ("gen_ai.request.model", Text("gpt-4o")),
            ],
        );
        let mut taps = {
            let _chat = theirs.span.enter();
            request(body)
        };
        assert!(taps.context().is_some());
        let mut head = HeaderMap::new();
        head.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        taps.head(StatusCode::TOO_MANY_REQUESTS, &head);
        taps.chunk(br#"{"error": {"type": "rate_limit", "message": "slow down"}}"#);
        taps.end(events::End::Complete);
        drop(theirs);
        let spans = fixture.spans();
        assert_eq!(spans.len(), 2, "{operation} {body}");
        let mut names: Vec<String> = spans
            .iter()
            .filter_map(struct_of)
            .map(|said| said["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort_by_key(|name| NAMES.iter().position(|it| it == name));
        assert_eq!(names, expected, "{operation} {body}");
        let http = spans
            .iter()
            .find(|span| span.name == "openai.request")
            .unwrap();
        assert!(http.error);
        if expected.len() == 1 {
            assert_eq!(http.span_type, "http");
            assert_eq!(http.meta("http.status_code"), Some("429"));
            assert!(http.meta("_dd.llmobs.span_kind").is_none());
        }
    }
}

#[test]
fn what_the_request_says_fills_in_what_the_library_does_not() {
    let fixture = Fixture::new();
    crate::providers::listen();
    let mut theirs = Theirs::new(
        "chat",
        &[
            CHAT,
            ("gen_ai.request.model", Text("gpt-4o")),
            ("gen_ai.provider.name", Text("azure.ai.openai")),
        ],
    );
    let mut taps = {
        let _chat = theirs.span.enter();
        request(&json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}))
    };
    let mut head = HeaderMap::new();
    head.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    taps.head(StatusCode::OK, &head);
    let answer = json!({
        "model": "gpt-4o-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Good morning."}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    });
    taps.chunk(answer.to_string().as_bytes());
    taps.end(events::End::Complete);
    theirs.write("gen_ai.usage.output_tokens", Number(4.0));
    theirs.write(
        "gen_ai.output.messages",
        Text(r#"[{"role": "assistant", "content": "theirs"}]"#),
    );
    drop(theirs);
    let all = fixture.structs();
    assert_eq!(all.len(), 1);
    let (meta, metrics) = (&all[0]["meta"], &all[0]["metrics"]);
    assert_eq!(
        (&meta["model_name"], &meta["model_provider"]),
        (&json!("gpt-4o-1"), &json!("azure.ai.openai"))
    );
    assert_eq!(
        meta["input"]["messages"],
        json!([{"role": "user", "content": "hi"}])
    );
    assert_eq!(
        meta["output"]["messages"],
        json!([{"role": "assistant", "content": "theirs"}])
    );
    assert_eq!(meta["metadata"]["finish_reason"], "stop");
    assert_eq!(metrics["input_tokens"].as_f64(), Some(5.0));
    assert_eq!(metrics["output_tokens"].as_f64(), Some(4.0));
}
