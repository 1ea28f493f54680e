//! A program that calls models, tools and agents, as LLM Observability sees it.

use ddtrace::llmobs::{
    self, Annotation, Document, Evaluation, Kind, Message, Metric, ToolDefinition, span,
};
use serde_json::json;

/// An agent calls a model and a tool; a second trace is dropped by sampling, so that its events go by themselves; one span is
/// evaluated. With `gone` it makes more than anybody takes.
pub(crate) fn run(how: &str) {
    let guard = ddtrace::init();
    ddtrace::agent_known_within(std::time::Duration::from_secs(10));
    let mut made = 0;
    let mut agent = span(Kind::Agent)
        .name("assistant")
        .session_id("s-1")
        .start();
    agent
        .annotate(Annotation::new().input("Where is my parcel?"))
        .expect("it is open");
    {
        let _active = agent.enter();
        let mut lookup = ddtrace::Span::builder("sql.query").start();
        let _lookup = lookup.enter();
        let retrieval = span(Kind::Retrieval).name("parcels").start();
        let found = Document {
            score: Some(0.5),
            ..Document::new("parcel 7: Rome")
        };
        let said = Annotation::new().input("parcel").output(found);
        retrieval.annotate(said).expect("it is open");
        retrieval.finish();
        let call = span(Kind::Llm)
            .name("chat")
            .model("gpt-4o", "OpenAI")
            .start();
        let said = Annotation::new()
            .input(Message::new("user", "Where is my parcel? é"))
            .output(Message::new("assistant", "In Rome."))
            .tool_definitions(vec![ToolDefinition::new("parcels")])
            .metadata("temperature", 0.2)
            .metadata("deep", json!({"a": [1, null, {"b": true}]}))
            .metric("input_tokens", 7)
            .metric("time_to_first_token", 0.25);
        call.annotate(said).expect("it is open");
        Evaluation::new(
            "helpful",
            Metric::Boolean(true),
            call.export().expect("the product is on"),
        )
        .submit()
        .expect("it is complete");
        call.finish();
        made += 3;
    }
    agent.set_error("Lost", "the parcel is lost", None);
    agent.finish();
    let mut dropped = span(Kind::Workflow).name("dropped").start();
    dropped.apm().manual_drop();
    dropped.finish();
    made += 2;
    if how == "gone" {
        for _ in 0..3000 {
            let mut dropped = span(Kind::Task).name("more").start();
            dropped.apm().manual_drop();
            made += 1;
        }
    }
    llmobs::flush();
    drop(guard);
    crate::report_with(made, json!({ "is_on": llmobs::is_on() }));
}
