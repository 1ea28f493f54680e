//! Spans among each other: parents, sessions, agents, sampling, other services, and what is refused.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};

use ddtrace_core::trace::{Context, Span, carry, inject};
use serde_json::{Value, json};

use crate::testing::Fixture;
use crate::{
    Agent, AnnotateError, Annotation, Kind, Message, Prompt, activate_distributed_headers,
    annotate, annotation_context, current, inject_distributed_headers, register_processor, span,
};

fn named<'a>(all: &'a [Value], name: &str) -> &'a Value {
    let found = all.iter().find(|data| data["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {all:?}"))
}

#[test]
fn parents_are_spans_of_the_product_whatever_stands_between() {
    let fixture = Fixture::new();
    let mut outer = span(Kind::Workflow)
        .name("outer")
        .session_id("s")
        .ml_app("app")
        .start();
    let id = outer.export().unwrap().span_id;
    {
        let _outer = outer.enter();
        let mut between = Span::builder("sql").start();
        let _between = between.enter();
        span(Kind::Task).name("inner").start().finish();
        let context = Context::current();
        std::thread::spawn(move || {
            let _attached = context.attach();
            span(Kind::Task).name("elsewhere").start().finish();
        })
        .join()
        .unwrap();
    }
    outer.finish();
    assert!(current().is_none());
    span(Kind::Task).name("after").start().finish();
    let all = fixture.structs();
    for name in ["inner", "elsewhere"] {
        let data = named(&all, name);
        assert_eq!(data["parent_id"], *id, "{name}");
        assert_eq!(data["session_id"], "s");
        assert_eq!(data["ml_app"], "app");
        assert_eq!(data["trace_id"], named(&all, "outer")["trace_id"]);
    }
    let after = named(&all, "after");
    assert_eq!(after["parent_id"], "undefined");
    assert!(after.get("session_id").is_none());
    assert_ne!(after["trace_id"], named(&all, "outer")["trace_id"]);
}

#[test]
fn a_child_of_a_span_that_has_ended_belongs_to_the_nearest_open_one() {
    let fixture = Fixture::new();
    let mut outer = span(Kind::Workflow).name("outer").start();
    let _outer = outer.enter();
    let middle = span(Kind::Task).name("middle").start();
    let context = middle.context();
    middle.finish();
    span(Kind::Task)
        .name("late")
        .child_of(&context)
        .start()
        .finish();
    drop(_outer);
    outer.finish();
    let all = fixture.structs();
    assert_eq!(
        named(&all, "late")["parent_id"],
        named(&all, "middle")["parent_id"]
    );
}

#[test]
fn a_span_survives_an_await_and_does_not_leak_to_its_siblings() {
    let fixture = Fixture::new();
    let task = |name: &'static str| {
        let span = span(Kind::Workflow).name(name).start();
        span.instrument(async move {
            for _ in 0..2 {
                yield_once().await;
                assert_eq!(current().unwrap().name(), name);
            }
            crate::span(Kind::Task)
                .name(format!("{name}.inner"))
                .start()
                .finish();
        })
    };
    let context = annotation_context(Annotation::new().tag("scope", "one"));
    let mut tasks = (
        pin!(context.wrap(carry(async {
            yield_once().await;
            crate::span(Kind::Task).name("tagged").start().finish();
        }))),
        pin!(task("a")),
        pin!(task("b")),
    );
    let mut waker = TaskContext::from_waker(Waker::noop());
    let _ = tasks.0.as_mut().poll(&mut waker);
    for _ in 0..3 {
        let _ = tasks.1.as_mut().poll(&mut waker);
        let _ = tasks.2.as_mut().poll(&mut waker);
        assert!(current().is_none());
    }
    let _ = tasks.0.as_mut().poll(&mut waker);
    let all = fixture.structs();
    for name in ["a", "b"] {
        let inner = named(&all, &format!("{name}.inner"));
        assert_eq!(inner["trace_id"], named(&all, name)["trace_id"]);
        assert_eq!(inner["tags"].get("scope"), None);
    }
    assert_eq!(named(&all, "tagged")["tags"]["scope"], "one");
}

async fn yield_once() {
    let mut is_second = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut is_second, true) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

#[test]
fn contexts_nest_and_prompts_merge() {
    let fixture = Fixture::new();
    let outer = Annotation::new()
        .tag("team", "a")
        .tag("level", "outer")
        .cost_tags(["team", "feature"])
        .prompt(Prompt::of_template("t").version("1"));
    let inner = Annotation::new().tag("level", "inner");
    annotation_context(outer).scope(|| {
        annotation_context(inner).scope(|| {
            let mut llm = span(Kind::Llm).name("llm").start();
            let more = Prompt {
                tags: BTreeMap::from([("foo".to_owned(), "bar".to_owned())]),
                ..Prompt::default()
            };
            llm.annotate(Annotation::new().tag("feature", "late").prompt(more))
                .unwrap();
            // Of its parent's prompt, without one of its own.
            let _llm = llm.enter();
            let child = span(Kind::Llm).name("child").start();
            child.finish();
        });
    });
    let all = fixture.structs();
    let data = named(&all, "llm");
    assert_eq!(data["tags"]["level"], "inner");
    assert_eq!(
        data["meta"]["metadata"]["_dd"]["cost_tags"],
        json!(["team"])
    );
    let prompt = &data["meta"]["input"]["prompt"];
    assert_eq!(
        (&prompt["version"], &prompt["tags"]),
        (&json!("1"), &json!({"foo": "bar"}))
    );
}

#[test]
fn a_model_without_a_prompt_has_that_of_its_parent_and_others_have_none() {
    let fixture = Fixture::new();
    let mut outer = span(Kind::Workflow).name("outer").start();
    outer
        .annotate(Annotation::new().prompt(Prompt::of_template("t")))
        .unwrap();
    let _outer = outer.enter();
    span(Kind::Llm).name("llm").start().finish();
    drop(_outer);
    outer.finish();
    let all = fixture.structs();
    assert_eq!(
        named(&all, "llm")["meta"]["input"]["prompt"]["template"],
        "t"
    );
    assert!(named(&all, "outer")["meta"].get("input").is_none());
}

#[test]
fn cost_tags_keep_their_order_and_name_tags_that_are_there() {
    let fixture = Fixture::new();
    let llm = span(Kind::Llm).start();
    let say = |annotation| llm.annotate(annotation).unwrap();
    say(Annotation::new()
        .tag("team", "ml")
        .tag("feature", "chat")
        .cost_tags(["team", "missing", "feature"]));
    say(Annotation::new().cost_tags(Vec::<String>::new()));
    say(Annotation::new()
        .tag("project", "x")
        .cost_tags(["feature", "project", "env"]));
    llm.finish();
    assert_eq!(
        fixture.structs()[0]["meta"]["metadata"]["_dd"]["cost_tags"],
        json!(["team", "feature", "project", "env"])
    );
}

#[test]
fn an_agent_declares_itself_and_nobody_else_may() {
    let fixture = Fixture::new();
    let agent = Agent {
        version: Some("2".into()),
        model: Some("m".into()),
        ..Agent::default()
    };
    annotation_context(Annotation::new().agent(agent).metadata("_dd", "forged")).scope(|| {
        span(Kind::Agent).name("planner").start().finish();
        span(Kind::Task).name("task").start().finish();
    });
    let all = fixture.structs();
    let planner = named(&all, "planner");
    assert_eq!(planner["tags"]["agent_version"], "2");
    assert_eq!(
        planner["meta"]["metadata"],
        json!({"_dd": {"agent_manifest": {"framework": "manual", "model": "m", "name": "planner"}}})
    );
    let task = named(&all, "task");
    assert_eq!(task["meta"]["metadata"], json!({}));
    assert_eq!(task["tags"].get("agent_version"), None);
}

#[test]
fn a_version_means_something_on_agents_and_tools_only() {
    let fixture = Fixture::new();
    for kind in [Kind::Agent, Kind::Tool, Kind::Llm] {
        span(kind).version("3").start().finish();
    }
    let all = fixture.structs();
    assert_eq!(named(&all, "agent")["tags"]["agent_version"], "3");
    assert_eq!(named(&all, "tool")["meta"]["tool"], json!({"version": "3"}));
    let llm = named(&all, "llm");
    assert!(llm["meta"].get("tool").is_none() && llm["tags"].get("agent_version").is_none());
}

#[test]
fn what_is_wrong_is_an_error_and_the_rest_is_taken() {
    let fixture = Fixture::new();
    assert_eq!(
        annotate(Annotation::new().tag("a", 1)),
        Err(AnnotateError::NoActiveSpan)
    );
    let llm = span(Kind::Llm).start();
    let handle = llm.handle().unwrap();
    let bad = Annotation::new().tag("a", 1).input(json!({"content": 7}));
    assert!(matches!(
        llm.annotate(bad),
        Err(AnnotateError::InvalidMessages(_))
    ));
    let bad = Annotation::new().metric("x", f64::NAN).metric("y", 1);
    assert!(matches!(
        llm.annotate(bad),
        Err(AnnotateError::InvalidMetrics(_))
    ));
    let mut both = Prompt::of_template("t");
    both.chat_template
        .push(crate::ChatItem::message("user", "x"));
    assert!(matches!(
        llm.annotate(Annotation::new().prompt(both)),
        Err(AnnotateError::InvalidPrompt(_))
    ));
    let embedding = span(Kind::Embedding).name("e").start();
    let bad = Annotation::new().input(json!([1]));
    assert!(matches!(
        embedding.annotate(bad),
        Err(AnnotateError::InvalidEmbedding(_))
    ));
    let retrieval = span(Kind::Retrieval).name("r").start();
    let bad = Annotation::new().output(json!([1]));
    assert!(matches!(
        retrieval.annotate(bad),
        Err(AnnotateError::InvalidRetrieval(_))
    ));
    llm.finish();
    assert_eq!(
        handle.annotate(Annotation::new().tag("b", 1)),
        Err(AnnotateError::Finished)
    );
    let all = fixture.structs();
    let llm = named(&all, "llm");
    assert_eq!(llm["tags"]["a"], "1");
    assert_eq!(llm["metrics"], json!({"y": 1}));
    assert!(llm["meta"].get("input").is_none() && llm["tags"].get("b").is_none());
    assert_eq!(
        handle.annotate(Annotation::new()),
        Err(AnnotateError::Finished),
        "it is gone"
    );
}

#[test]
fn a_trace_goes_on_in_another_service_and_names_its_agent() {
    let fixture = Fixture::new();
    let mut agent = span(Kind::Agent)
        .name("planner")
        .session_id("s")
        .ml_app("app")
        .start();
    let _agent = agent.enter();
    let mut headers = BTreeMap::new();
    inject(&mut headers);
    let tags = headers.get("x-datadog-tags").cloned().unwrap_or_default();
    let exported = crate::current().unwrap().export();
    for part in [
        format!("_dd.p.llmobs_parent_id={}", exported.span_id),
        format!(
            "_dd.p.llmobs_trace_id={}",
            u128::from_str_radix(&exported.trace_id, 16).unwrap()
        ),
        "_dd.p.llmobs_ml_app=app".into(),
        "_dd.p.llmobs_sid=s".into(),
        "_dd.p.llmobs_sr=1".into(),
        "_dd.p.llmobs_sd=1".into(),
        format!("_dd.p.llmobs_pagent_span_id={}", exported.span_id),
        "_dd.p.llmobs_pagent_name=planner".into(),
    ] {
        assert!(tags.contains(&part), "{part} in {tags}");
    }
    assert!(
        headers["tracestate"].contains("t.llmobs_ml_app:app"),
        "{headers:?}"
    );
    drop(_agent);
    agent.finish();
    // The other service.
    activate_distributed_headers(&headers).scope(|| {
        let mut tool = span(Kind::Tool).name("tool").start();
        let _tool = tool.enter();
        span(Kind::Task).name("task").start().finish();
    });
    let all = fixture.structs();
    let tool = named(&all, "tool");
    assert_eq!(tool["parent_id"], *exported.span_id);
    assert_eq!(tool["trace_id"], *exported.trace_id);
    assert_eq!(
        (&tool["ml_app"], &tool["session_id"]),
        (&json!("app"), &json!("s"))
    );
    let attribution = json!({"pagent_name": "planner", "pagent_span_id": exported.span_id});
    assert_eq!(tool["meta"]["agent_attribution"], attribution);
    assert_eq!(
        named(&all, "task")["meta"]["agent_attribution"],
        attribution
    );
    assert_eq!(
        tool["_dd"],
        json!({"sample_rate": "1", "sampling_decision": "1"})
    );
    assert!(
        named(&all, "planner")["meta"]
            .get("agent_attribution")
            .is_none()
    );
}

#[test]
fn headers_of_others_are_read_as_far_as_they_make_sense() {
    let fixture = Fixture::new();
    let headers = |tags: &str| {
        BTreeMap::from([
            ("x-datadog-trace-id".to_owned(), "7".to_owned()),
            ("x-datadog-parent-id".to_owned(), "9".to_owned()),
            ("x-datadog-tags".to_owned(), tags.to_owned()),
        ])
    };
    let cases = [
        (
            "_dd.p.llmobs_parent_id=undefined,_dd.p.llmobs_ml_app=other",
            "undefined",
            None,
        ),
        (
            "_dd.p.llmobs_parent_id=nonsense,_dd.p.llmobs_ml_app=other",
            "undefined",
            None,
        ),
        (
            "_dd.p.llmobs_parent_id=5,_dd.p.llmobs_ml_app=other",
            "5",
            Some("00000000000000000000000000000007"),
        ),
        (
            "_dd.p.llmobs_parent_id=5,_dd.p.llmobs_trace_id=abc,_dd.p.llmobs_ml_app=other",
            "5",
            Some("abc"),
        ),
    ];
    for (tags, parent, trace) in cases {
        activate_distributed_headers(&headers(tags)).scope(|| {
            span(Kind::Task).start().finish();
        });
        let data = &fixture.structs()[0];
        assert_eq!(
            (&data["parent_id"], &data["ml_app"]),
            (&json!(parent), &json!("other")),
            "{tags}"
        );
        if let Some(trace) = trace {
            assert_eq!(data["trace_id"], trace);
        }
    }
    // A request of a program that knows nothing of this product.
    activate_distributed_headers(&headers("_dd.p.dm=-0")).scope(|| {
        let task = span(Kind::Task).start();
        let mut out = BTreeMap::new();
        inject_distributed_headers(&mut out, Some(&task));
        assert!(
            out["x-datadog-tags"].starts_with("_dd.p.dm=-0,_dd.p.llmobs_parent_id="),
            "{out:?}"
        );
    });
    assert_eq!(fixture.structs()[0]["parent_id"], "undefined");
}

#[test]
fn rules_see_the_tags_of_the_root_and_their_answer_stays() {
    let rules = r#"[{"tags": {"tier": "gold"}, "sample_rate": 0}]"#;
    let fixture = Fixture::with(|config| config.set("DD_LLMOBS_SAMPLING_RULES", rules));
    let decision = |data: &Value| {
        (
            data["_dd"]["sample_rate"].clone(),
            data["_dd"]["sampling_decision"].clone(),
        )
    };
    let dropped = (json!("0"), json!("0"));
    let kept = (json!("1"), json!("1"));
    for (is_injected_first, expected) in [(false, dropped), (true, kept)] {
        let mut root = span(Kind::Workflow).name("root").start();
        let _root = root.enter();
        span(Kind::Task).name("child").start().finish();
        if is_injected_first {
            inject(&mut BTreeMap::<String, String>::new());
        }
        annotate(Annotation::new().tag("tier", "Gold")).unwrap();
        drop(_root);
        root.finish();
        let all = fixture.structs();
        assert_eq!(decision(named(&all, "root")), expected);
        assert_eq!(decision(named(&all, "child")), expected);
    }
}

#[test]
fn a_processor_changes_spans_leaves_them_out_and_may_panic() {
    let fixture = Fixture::new();
    register_processor(|mut span| {
        assert_eq!(span.metadata.get("_dd"), None);
        match span.tag("what")? {
            "drop" => return None,
            "panic" => panic!("by design"),
            _ => {}
        }
        for message in span.input.iter_mut().chain(&mut span.output) {
            message.content = message.content.replace("secret", "***");
        }
        if span.tag("span.kind") == Some("retrieval") {
            span.output.pop();
        }
        span.metadata.insert("seen".into(), true.into());
        span.metadata.insert("_dd".into(), "forged".into());
        Some(span)
    });
    let make = |kind, name: &'static str, what: &str| {
        let span = span(kind).name(name).start();
        let said = Annotation::new()
            .tag("what", what)
            .input("a secret")
            .output(vec![
                crate::Document {
                    id: Some("1".into()),
                    ..crate::Document::new("secret")
                },
                crate::Document::new("second"),
            ]);
        span.annotate(said).unwrap();
    };
    make(Kind::Task, "dropped", "drop");
    make(Kind::Task, "panicked", "panic");
    make(Kind::Llm, "llm", "x");
    make(Kind::Retrieval, "retrieval", "x");
    let all = fixture.structs();
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(
        named(&all, "panicked")["meta"]["input"]["value"],
        "a secret"
    );
    let llm = named(&all, "llm");
    assert_eq!(
        llm["meta"]["input"]["messages"],
        json!([{"content": "a ***", "role": ""}])
    );
    assert_eq!(llm["meta"]["metadata"], json!({"seen": true}));
    assert_eq!(llm["tags"].get("span.kind"), None);
    let retrieval = named(&all, "retrieval");
    assert_eq!(retrieval["meta"]["input"]["value"], "a ***");
    assert_eq!(
        retrieval["meta"]["output"]["documents"],
        json!([{"id": "1", "text": "***"}])
    );
}

#[test]
fn content_can_be_kept_out_of_everything() {
    let fixture = Fixture::with(|config| config.set("DD_LLMOBS_CAPTURE_IO", "false"));
    let llm = span(Kind::Llm).name("llm").start();
    let prompt = Prompt::of_template("t {{x}}").variable("x", "secret");
    let said = Annotation::new()
        .input(Message::new("user", "secret"))
        .output(Message::new("assistant", "secret"))
        .metric("input_tokens", 3)
        .prompt(prompt);
    llm.annotate(said).unwrap();
    llm.finish();
    let task = span(Kind::Task).name("task").start();
    task.annotate(
        Annotation::new()
            .input("secret")
            .output(json!({"a": "secret"})),
    )
    .unwrap();
    task.finish();
    let all = fixture.structs();
    assert!(!json!(all).to_string().contains("secret"), "{all:?}");
    let llm = named(&all, "llm");
    assert_eq!(
        llm["meta"]["input"]["messages"],
        json!([{"content": "", "role": "user"}])
    );
    assert_eq!(llm["metrics"], json!({"input_tokens": 3}));
    assert_eq!(named(&all, "task")["meta"]["output"], json!({"value": ""}));
}

#[test]
fn what_is_deferred_is_said_on_the_worker_and_may_panic() {
    let fixture = Fixture::new();
    let llm = span(Kind::Llm)
        .name("llm")
        .integration("openai", "openai.request")
        .start();
    llm.defer(|| panic!("by design"));
    let caller = std::thread::current().id();
    llm.finish_with(move || {
        assert_eq!(
            std::thread::current().id(),
            caller,
            "the test runs the worker's part itself"
        );
        Annotation::new()
            .name("OpenAI.createChatCompletion")
            .model_name("gpt-4o")
            .metric("input_tokens", 3)
            .output(Message::new("assistant", "hi"))
            .error("ApiError", "broken", "")
    });
    let spans = fixture.spans();
    let data = crate::testing::struct_of(&spans[0]).unwrap();
    assert_eq!(
        (&*spans[0].name, &data["name"]),
        ("openai.request", &json!("OpenAI.createChatCompletion"))
    );
    assert_eq!(data["tags"]["integration"], "openai");
    assert_eq!(
        data["meta"]["error"],
        json!({"type": "ApiError", "message": "broken", "stack": ""})
    );
    assert!(spans[0].error);
    assert_eq!(spans[0].meta("error.message"), Some("broken"));
    assert_eq!(spans[0].meta("_dd.llmobs.model_name"), Some("gpt-4o"));
    assert_eq!(spans[0].metric("_dd.llmobs.input_tokens"), Some(3.0));
    assert_eq!(spans[0].metric("_dd.llmobs.enabled"), Some(1.0));
}

#[test]
fn off_there_are_no_spans_but_those_of_integrations() {
    let fixture = Fixture::new();
    crate::disable();
    let llm = span(Kind::Llm).start();
    assert!(!llm.is_recording() && llm.export().is_none() && current().is_none());
    assert_eq!(llm.annotate(Annotation::new().input("x")), Ok(()));
    assert_eq!(annotate(Annotation::new().input("x")), Ok(()));
    llm.finish();
    let call = span(Kind::Llm)
        .integration("openai", "openai.request")
        .model("m", "openai")
        .start();
    call.finish();
    let spans = fixture.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(&*spans[0].name, "openai.request");
    assert!(spans[0].meta_struct.is_empty());
    assert_eq!(spans[0].metric("_dd.llmobs.enabled"), Some(0.0));
    assert_eq!(spans[0].meta("_dd.llmobs.span_kind"), Some("llm"));
    assert_eq!(spans[0].meta("gen_ai.operation.name"), None);
}

#[test]
fn a_panic_and_a_plain_span_end_as_they_should() {
    let fixture = Fixture::new();
    let _ = std::panic::catch_unwind(|| {
        let _task = span(Kind::Task).name("task").start();
        panic!("by design");
    });
    let call = span(Kind::Llm)
        .name("twin")
        .integration("openai", "openai.request")
        .start();
    let plain = call.into_plain();
    plain.finish();
    let spans = fixture.spans();
    assert_eq!(spans.len(), 2);
    assert!(spans[1].meta_struct.is_empty() && spans[1].metric("_dd.llmobs.enabled").is_none());
    let data = crate::testing::struct_of(&spans[0]).unwrap();
    assert_eq!(data["meta"]["error"]["type"], "panic");
    assert!(spans[0].error);
}

#[test]
fn the_first_span_of_the_product_is_named_on_the_local_root() {
    let fixture = Fixture::new();
    let mut root = Span::builder("request").start();
    let _root = root.enter();
    let first = span(Kind::Workflow).start();
    let exported = first.export().unwrap();
    first.finish();
    span(Kind::Workflow).start().finish();
    drop(_root);
    root.finish();
    let spans = fixture.spans();
    assert_eq!(spans[0].meta("llmobs_trace_id"), Some(&*exported.trace_id));
    assert_eq!(spans[0].meta("llmobs_parent_id"), Some(&*exported.span_id));
}

#[test]
fn ten_megabytes_and_strange_texts_go_through() {
    let fixture = Fixture::with(|config| config.set("DD_APM_TRACING_ENABLED", "false"));
    let llm = span(Kind::Llm).start();
    let text = Arc::new("\u{0}\u{fffd}é\"\\".repeat(1 << 20));
    llm.annotate(
        Annotation::new()
            .input(text.as_str())
            .metadata("\u{0}", "\u{7f}"),
    )
    .unwrap();
    llm.finish();
    let events = fixture.events();
    let span = &events[0]["spans"][0];
    assert_eq!(span["collection_errors"], json!(["dropped_io"]));
    assert_eq!(span["meta"]["metadata"]["\u{0}"], "\u{7f}");
}
