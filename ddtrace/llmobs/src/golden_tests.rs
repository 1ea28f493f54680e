//! `spec/llmobs.md` §22.1: the events of the reference, field by field, on both ways.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::testing::Fixture;
use crate::{
    Annotation, Content, Document, Kind, Message, Prompt, Start, ToolCall, ToolDefinition,
    annotation_context, mark_active, span,
};
use ddtrace_core::config::ConfigBuilder;
use ddtrace_core::trace::Span;

fn settings(config: ConfigBuilder<'_>) -> ConfigBuilder<'_> {
    config.service("svc").env("test").version("1.0")
}

/// The same with events that go by themselves.
fn alone(config: ConfigBuilder<'_>) -> ConfigBuilder<'_> {
    settings(config).set("DD_APM_TRACING_ENABLED", "false")
}

/// What a macro makes: a span of tracing that becomes one of this product.
fn by_macro(kind: Kind, name: &'static str, work: impl FnOnce(&crate::Handle)) {
    let mut apm = Span::builder(name)
        .span_type("llm")
        .resource(kind.as_str())
        .start();
    let _active = apm.enter();
    let handle = mark_active(&Start::new(kind, name)).expect("the product is on");
    work(&handle);
    handle.end();
}

fn say(handle: &crate::Handle, annotation: Annotation) {
    handle.annotate(annotation).unwrap();
}

/// The first eight events.
fn workflow() {
    by_macro(Kind::Workflow, "wf", |wf| {
        say(
            wf,
            Annotation::new()
                .session_id("sess-1")
                .input(json!({"q": "q?"})),
        );
        by_macro(Kind::Llm, "call_llm", |llm| {
            let prompt = Prompt::of_template("say {{x}}")
                .id("greet")
                .version("1")
                .variable("x", "hi");
            let tool = ToolDefinition {
                name: "search".into(),
                description: Some("d".into()),
                schema: Some(json!({"type": "object"})),
                version: Some("v2".into()),
            };
            let mut answer = Message::new("assistant", "hi");
            answer.tool_calls.push(ToolCall {
                name: "search".into(),
                arguments: json!({"q": "x"}),
                tool_id: Some("c1".into()),
                kind: Some("function".into()),
            });
            say(
                llm,
                Annotation::new()
                    .model_name("gpt-4o")
                    .model_provider("OpenAI")
                    .input(Message::new("user", "q?"))
                    .output(answer)
                    .prompt(prompt)
                    .tool_definitions(vec![tool])
                    .metadata("temperature", 0.2)
                    .metadata("max_tokens", 35)
                    .metric("input_tokens", 5)
                    .metric("output_tokens", 2)
                    .metric("total_tokens", 7)
                    .metric("time_to_first_token", 0.12)
                    .metric("a.b", 1)
                    .tag("team", "ml")
                    .cost_tags(["team"]),
            );
        });
        by_macro(Kind::Agent, "planner", |agent| {
            say(
                agent,
                Annotation::new().version("7").input(json!({"x": "q?"})),
            );
            by_macro(Kind::Tool, "search", |tool| {
                say(
                    tool,
                    Annotation::new()
                        .input(json!({"q": "x"}))
                        .output(json!(["r1"])),
                );
            });
            say(agent, Annotation::new().output(json!({"ok": true})));
        });
        by_macro(Kind::Retrieval, "retrieve", |retrieval| {
            let first = Document {
                name: Some("n".into()),
                id: Some("1".into()),
                score: Some(0.5),
                ..Document::new("doc")
            };
            say(
                retrieval,
                Annotation::new()
                    .input(json!({"q": "q?"}))
                    .output(vec![first, Document::new("z")]),
            );
        });
        by_macro(Kind::Embedding, "embed", |embedding| {
            say(
                embedding,
                Annotation::new()
                    .model_name("text-embedding-3-small")
                    .input(json!(["q?", {"text": "other"}]))
                    .output("[1 embedding(s) returned with size 3]"),
            );
        });
        by_macro(Kind::Task, "t1", |task| {
            say(
                task,
                Annotation::new()
                    .input(json!({"a": 1}))
                    .output(json!({"b": 2, "a": 1})),
            );
        });
        by_macro(Kind::Task, "boom", |task| {
            task.set_error("builtins.ValueError", "bad é", Some("STACK"));
        });
        say(wf, Annotation::new().output("done"));
    });
}

fn expected_workflow() -> Vec<Value> {
    let event = |name: &str, id: &str, parent: &str, tags: &[&str], meta: Value, metrics: Value| {
        let mut all = vec![
            "agent_service:svc",
            "decorator:1",
            "env:test",
            "language:rust",
            "ml_app:svc",
            "service:svc",
            "session_id:sess-1",
            "source:integration",
            "version:1.0",
        ];
        let has_error = tags.contains(&"error:1");
        if !has_error {
            all.push("error:0");
        }
        all.extend(tags);
        let version = format!(
            "ddtrace.version:{}",
            ddtrace_core::export::agent::TRACER_VERSION
        );
        all.push(&version);
        all.sort_unstable();
        json!({
            "_dd.stage": "raw", "_dd.tracer_version": ddtrace_core::export::agent::TRACER_VERSION, "event_type": "span",
            "spans": [{
                "_dd": {"apm_trace_id": "AT2", "sample_rate": "1", "sampling_decision": "1", "span_id": id, "trace_id": "AT2"},
                "duration": 0, "meta": meta, "metrics": metrics, "name": name, "parent_id": parent, "session_id": "sess-1",
                "span_id": id, "start_ns": 0, "status": if has_error { "error" } else { "ok" }, "tags": all, "trace_id": "T1",
            }],
        })
    };
    vec![
        event(
            "wf",
            "S1",
            "undefined",
            &[],
            json!({"input":{"value":"{\"q\": \"q?\"}"},"metadata":{},"output":{"value":"done"},"span":{"kind":"workflow"}}),
            json!({}),
        ),
        event(
            "call_llm",
            "S2",
            "S1",
            &[
                "prompt_tracking_instrumentation_method:annotated",
                "team:ml",
            ],
            json!({"input":{"messages":[{"content":"q?","role":"user"}],"prompt":{"_dd_context_variable_keys":["context"],"_dd_query_variable_keys":["question"],"id":"greet","ml_app":"svc","template":"say {{x}}","variables":{"x":"hi"},"version":"1"}},"metadata":{"_dd":{"cost_tags":["team"]},"max_tokens":35,"temperature":0.2},"model_name":"gpt-4o","model_provider":"openai","output":{"messages":[{"content":"hi","role":"assistant","tool_calls":[{"arguments":{"q":"x"},"name":"search","tool_id":"c1","type":"function"}]}]},"span":{"kind":"llm"},"tool_definitions":[{"description":"d","name":"search","schema":{"type":"object"},"version":"v2"}]}),
            json!({"a_b":1,"input_tokens":5,"output_tokens":2,"time_to_first_token":0.12,"total_tokens":7}),
        ),
        event(
            "planner",
            "S3",
            "S1",
            &["agent_version:7"],
            json!({"input":{"value":"{\"x\": \"q?\"}"},"metadata":{},"output":{"value":"{\"ok\": true}"},"span":{"kind":"agent"}}),
            json!({}),
        ),
        event(
            "search",
            "S4",
            "S3",
            &[],
            json!({"agent_attribution":{"pagent_name":"planner","pagent_span_id":"S3"},"input":{"value":"{\"q\": \"x\"}"},"metadata":{},"output":{"value":"[\"r1\"]"},"span":{"kind":"tool"}}),
            json!({}),
        ),
        event(
            "retrieve",
            "S5",
            "S1",
            &[],
            json!({"input":{"value":"{\"q\": \"q?\"}"},"metadata":{},"output":{"documents":[{"id":"1","name":"n","score":0.5,"text":"doc"},{"text":"z"}]},"span":{"kind":"retrieval"}}),
            json!({}),
        ),
        event(
            "embed",
            "S6",
            "S1",
            &[],
            json!({"input":{"documents":[{"text":"q?"},{"text":"other"}]},"metadata":{},"model_name":"text-embedding-3-small","model_provider":"unknown","output":{"value":"[1 embedding(s) returned with size 3]"},"span":{"kind":"embedding"}}),
            json!({}),
        ),
        event(
            "t1",
            "S7",
            "S1",
            &[],
            json!({"input":{"value":"{\"a\": 1}"},"metadata":{},"output":{"value":"{\"a\": 1, \"b\": 2}"},"span":{"kind":"task"}}),
            json!({}),
        ),
        event(
            "boom",
            "S8",
            "S1",
            &["error:1", "error_type:builtins.ValueError"],
            json!({"error":{"message":"bad é","stack":"STACK","type":"builtins.ValueError"},"metadata":{},"span":{"kind":"task"}}),
            json!({}),
        ),
    ]
}

/// Puts placeholders in for what differs from run to run.
fn normalised(mut events: Vec<Value>) -> Vec<Value> {
    events.sort_by_key(|event| {
        let names = [
            "wf", "call_llm", "planner", "search", "retrieve", "embed", "t1", "boom",
        ];
        let name = event["spans"][0]["name"].as_str().unwrap();
        names
            .iter()
            .position(|it| *it == name)
            .expect("a known name")
    });
    let mut text = serde_json::to_string(&events).unwrap();
    for (index, event) in events.iter().enumerate() {
        let id = event["spans"][0]["span_id"].as_str().unwrap();
        text = text.replace(&format!("\"{id}\""), &format!("\"S{}\"", index + 1));
    }
    let first = &events[0]["spans"][0];
    text = text.replace(first["trace_id"].as_str().unwrap(), "T1");
    text = text.replace(first["_dd"]["apm_trace_id"].as_str().unwrap(), "AT2");
    let mut events: Vec<Value> = serde_json::from_str(&text).unwrap();
    for event in &mut events {
        let span = &mut event["spans"][0];
        assert!(span["start_ns"].as_u64().unwrap() > 0 && span["duration"].is_u64());
        span["start_ns"] = json!(0);
        span["duration"] = json!(0);
    }
    events
}

#[test]
fn a_workflow_is_what_the_reference_sends() {
    let fixture = Fixture::with(alone);
    workflow();
    let events = fixture.events();
    let trace_id = events[0]["spans"][0]["trace_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(trace_id.len(), 32);
    assert_ne!(
        trace_id,
        events[0]["spans"][0]["_dd"]["apm_trace_id"]
            .as_str()
            .unwrap()
    );
    assert_eq!(normalised(events), expected_workflow());
    let spans = fixture.spans();
    assert!(spans.is_empty(), "they were taken with the events");
}

/// What `ddapm-test-agent` and the backend make of the structured data of a span, `spec/llmobs.md` §3.
fn rebuilt(span: &ddtrace_core::export::SpanData) -> Option<Value> {
    let data = crate::testing::struct_of(span)?;
    let mut dd = data["_dd"].clone();
    let trace_id = span.trace_id.to_string();
    dd["span_id"] = json!(span.span_id.to_string());
    dd["trace_id"] = json!(trace_id);
    dd["apm_trace_id"] = json!(trace_id);
    let mut tags = data["tags"].as_object().unwrap().clone();
    tags.insert("error".into(), json!(u8::from(span.error).to_string()));
    if let Some(kind) = span.meta("error.type") {
        tags.insert("error_type".into(), json!(kind));
    }
    let mut tags: Vec<_> = tags
        .iter()
        .map(|(key, value)| format!("{key}:{}", value.as_str().unwrap()))
        .collect();
    tags.sort();
    let mut event = json!({
        "trace_id": data["trace_id"], "span_id": span.span_id.to_string(), "parent_id": data["parent_id"],
        "name": data["name"], "start_ns": span.start, "duration": span.duration,
        "status": if span.error { "error" } else { "ok" }, "meta": data["meta"], "metrics": data["metrics"],
        "tags": tags, "_dd": dd,
    });
    for key in ["session_id", "config", "span_links"] {
        if let Some(value) = data.get(key) {
            event[key] = value.clone();
        }
    }
    let version = ddtrace_core::export::agent::TRACER_VERSION;
    Some(
        json!({ "_dd.stage": "raw", "_dd.tracer_version": version, "event_type": "span", "spans": [event] }),
    )
}

#[test]
fn a_workflow_on_a_trace_says_the_same() {
    let fixture = Fixture::with(settings);
    workflow();
    let spans = fixture.spans();
    assert!(
        spans
            .iter()
            .all(|span| span.meta("_dd.llmobs.submitted").is_none())
    );
    let events: Vec<_> = spans.iter().filter_map(rebuilt).collect();
    assert_eq!(normalised(events), expected_workflow());
    assert!(fixture.queue.take().waiting.spans.is_empty());
    let root = spans.iter().find(|span| span.is_local_root).unwrap();
    assert_eq!(
        root.meta("llmobs_parent_id"),
        Some(&*root.span_id.to_string())
    );
    assert_eq!(root.meta("gen_ai.operation.name"), Some("workflow"));
    assert_eq!(root.meta("gen_ai.conversation.id"), Some("sess-1"));
    let llm = spans.iter().find(|span| span.name == "call_llm").unwrap();
    let meta = |key| llm.meta(key);
    assert_eq!((&*llm.span_type, &*llm.resource), ("llm", "llm"));
    assert_eq!(meta("gen_ai.request.model"), Some("gpt-4o"));
    assert_eq!(meta("gen_ai.provider.name"), Some("openai"));
    assert_eq!(meta("gen_ai.application.name"), Some("svc"));
    assert_eq!(meta("_dd.llmobs.artificial_gen_ai_tags"), Some("true"));
    assert_eq!(llm.metric("gen_ai.usage.input_tokens"), Some(5.0));
    assert_eq!(llm.metric("gen_ai.usage.total_tokens"), Some(7.0));
    let boom = spans.iter().find(|span| span.name == "boom").unwrap();
    assert!(boom.error && boom.meta("error.message") == Some("bad é"));
}

#[test]
fn a_trace_that_is_dropped_sends_its_events_by_themselves() {
    let fixture = Fixture::with(settings);
    let mut root = span(Kind::Workflow).start();
    root.apm().manual_drop();
    let _active = root.enter();
    span(Kind::Task).name("inner").start().finish();
    drop(_active);
    root.finish();
    let spans = fixture.spans();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(span.meta("_dd.llmobs.submitted"), Some("1"));
        assert!(span.meta_struct.is_empty());
    }
    assert_eq!(fixture.queue.take().waiting.spans.len(), 2);
}

#[test]
fn a_context_says_something_at_the_start_of_a_span() {
    let fixture = Fixture::with(alone);
    let context = Annotation::new()
        .tag("ctx", 1)
        .name("renamed")
        .prompt(Prompt::of_template("t").id("p"));
    annotation_context(context).scope(|| {
        span(Kind::Llm).model_name("m").start().finish();
    });
    span(Kind::Llm).start().finish();
    let events = fixture.events();
    let event = &events[0]["spans"][0];
    assert_eq!(event["name"], "renamed");
    assert_eq!(event["parent_id"], "undefined");
    assert_eq!(
        event["meta"],
        json!({"input":{"prompt":{"_dd_context_variable_keys":["context"],"_dd_query_variable_keys":["question"],"id":"p","ml_app":"svc","template":"t"}},"metadata":{},"model_name":"m","model_provider":"unknown","span":{"kind":"llm"}})
    );
    let tags = event["tags"].as_array().unwrap();
    assert!(tags.contains(&json!("ctx:1")));
    assert!(tags.contains(&json!("prompt_tracking_instrumentation_method:annotated")));
    assert!(
        !tags
            .iter()
            .any(|tag| tag.as_str().unwrap().starts_with("session_id"))
    );
    assert_eq!(events[1]["spans"][0]["name"], "llm", "the scope has ended");
}

#[test]
fn what_is_too_large_loses_its_content_on_both_ways() {
    let long = || Arc::new("x".repeat(5_000_100));
    let check = |meta: &Value| {
        let dropped = json!({"value": "[This value has been dropped because this span's size exceeds the 5MB size limit.]"});
        assert_eq!(
            *meta,
            json!({"input": dropped, "metadata": {}, "model_name": "big", "model_provider": "unknown", "output": dropped, "span": {"kind": "llm"}})
        );
    };
    let make = || {
        let llm = span(Kind::Llm).model_name("big").start();
        llm.annotate(Annotation::new().input(long().as_str()))
            .unwrap();
    };
    {
        let fixture = Fixture::with(alone);
        make();
        let events = fixture.events();
        check(&events[0]["spans"][0]["meta"]);
        assert_eq!(
            events[0]["spans"][0]["collection_errors"],
            json!(["dropped_io"])
        );
    }
    let fixture = Fixture::with(settings);
    make();
    let structs = fixture.structs();
    check(&structs[0]["meta"]);
    assert_eq!(structs[0]["collection_errors"], json!(["dropped_io"]));
}

#[test]
fn what_is_nested_too_deep_becomes_text_and_what_is_no_number_is_null() {
    let fixture = Fixture::with(alone);
    let mut deep = json!({});
    for _ in 0..20 {
        deep = json!({ "k": deep });
    }
    let workflow = span(Kind::Workflow).name("nested").start();
    workflow
        .annotate(
            Annotation::new()
                .input(json!({"b": 1, "a": f64::NAN}))
                .metadata("deep", deep)
                .metadata("5", "object"),
        )
        .unwrap();
    workflow.finish();
    let events = fixture.events();
    let meta = &events[0]["spans"][0]["meta"];
    assert_eq!(
        *meta,
        json!({"input":{"value":"{\"a\": null, \"b\": 1}"},"metadata":{"5":"object","deep":{"k":{"k":{"k":{"k":{"k":{"k":{"k":{"k":{"k":{"k":"{\"k\": {\"k\": {\"k\": {\"k\": {\"k\": {\"k\": {\"k\": {\"k\": {\"k\": {\"k\": {}}}}}}}}}}}"}}}}}}}}}}},"span":{"kind":"workflow"}})
    );
}

#[test]
fn content_in_every_form_reaches_every_kind() {
    let forms = || -> Vec<Content> {
        vec![
            "text".into(),
            json!({"content": "c", "text": "t"}).into(),
            Message::new("user", "m").into(),
            Document::new("d").into(),
            Content::Captured(json!([1])),
        ]
    };
    for kind in [
        "llm",
        "workflow",
        "agent",
        "tool",
        "task",
        "embedding",
        "retrieval",
        "experiment",
    ] {
        let kind = Kind::parse(kind).unwrap();
        for form in forms() {
            let fixture = Fixture::with(alone);
            let span = span(kind).start();
            span.annotate(Annotation::new().input(form.clone()).output(form.clone()))
                .unwrap();
            span.finish();
            let events = fixture.events();
            let meta = &events[0]["spans"][0]["meta"];
            assert!(
                !meta["input"].is_null() && !meta["output"].is_null(),
                "{kind} {form:?}: {meta}"
            );
        }
    }
}
