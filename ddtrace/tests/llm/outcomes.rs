//! Errors, panics, what the program says itself, and where a span belongs.

use std::fmt;

use ddtrace::llmobs::test_support::LlmRecorder;
use ddtrace::llmobs::{Annotation, Message, annotate};
use ddtrace::{llm, task, tool, trace, workflow};
use serde_json::{Value, json};

use crate::{Failed, block_on, has_failed, only, said, tick};

#[test]
fn an_error_marks_both_halves_of_the_span() {
    #[llm]
    fn fails(question: &str) -> Result<String, Failed> {
        let _ = question;
        Err(Failed)?;
        Ok("never".to_owned())
    }
    #[tool]
    async fn fails_later() -> Result<String, Box<dyn std::error::Error>> {
        tick().await;
        Err(Box::new(Failed))
    }
    #[tool(err = false)]
    fn is_left_alone() -> Result<u8, Failed> {
        Err(Failed)
    }
    #[tool(err(filter = |_error| false))]
    fn is_filtered() -> Result<u8, Failed> {
        Err(Failed)
    }
    let recorder = LlmRecorder::new();
    let _ = fails("q");
    let _ = block_on(fails_later());
    let _ = is_left_alone();
    let _ = is_filtered();
    let spans = recorder.take();
    for span in &spans[..2] {
        let said = said(span);
        assert!(span.error);
        assert_eq!(span.meta("error.message"), Some("the model is away"));
        assert!(has_failed(&said));
        assert_eq!(said["meta"]["error"]["message"], "the model is away");
        assert!(said["meta"]["output"].get("value").is_none());
    }
    assert_eq!(said(&spans[0])["meta"]["error"]["type"], "llm::Failed");
    for span in &spans[2..] {
        assert!(!span.error);
        assert!(!has_failed(&said(span)));
    }
}

#[test]
fn a_panic_marks_the_span() {
    #[llm]
    fn panics() -> String {
        panic!("by design")
    }
    #[llm]
    async fn panics_later() -> String {
        tick().await;
        panic!("by design")
    }
    let recorder = LlmRecorder::new();
    assert!(std::panic::catch_unwind(panics).is_err());
    assert!(std::panic::catch_unwind(|| block_on(panics_later())).is_err());
    let spans = recorder.take();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        let said = said(span);
        assert!(has_failed(&said));
        assert_eq!(said["meta"]["error"]["type"], "panic");
    }
}

#[test]
fn what_the_program_has_said_is_not_written_over() {
    #[workflow]
    fn says() -> String {
        annotate(Annotation::new().output("said")).expect("it is open");
        "returned".to_owned()
    }
    #[llm]
    async fn says_later() -> String {
        tick().await;
        annotate(
            Annotation::new()
                .output(Message::new("assistant", "said"))
                .metric("input_tokens", 1),
        )
        .expect("it is open");
        "returned".to_owned()
    }
    let recorder = LlmRecorder::new();
    says();
    block_on(says_later());
    let spans = recorder.take();
    assert_eq!(said(&spans[0])["meta"]["output"]["value"], "said");
    let message = &said(&spans[1])["meta"]["output"]["messages"];
    assert_eq!(*message, json!([{"content": "said", "role": "assistant"}]));
}

#[test]
fn children_belong_to_the_nearest_span_of_the_product() {
    #[workflow]
    async fn outer() -> u8 {
        tick().await;
        between().await + inner_of_thread()
    }
    #[trace]
    async fn between() -> u8 {
        tick().await;
        inner()
    }
    #[task]
    fn inner() -> u8 {
        1
    }
    #[trace]
    fn inner_of_thread() -> u8 {
        std::thread::spawn(inner).join().expect("it does not panic")
    }
    let recorder = LlmRecorder::new();
    block_on(outer());
    assert!(ddtrace::llmobs::current().is_none());
    let spans = recorder.take();
    let outer = spans
        .iter()
        .find(|span| span.name == "outer")
        .expect("outer");
    let inner: Vec<Value> = spans
        .iter()
        .filter(|span| span.name == "inner")
        .map(said)
        .collect();
    assert_eq!(inner.len(), 2);
    for inner in &inner {
        assert_eq!(inner["parent_id"], outer.span_id.to_string());
        assert_eq!(inner["trace_id"], said(outer)["trace_id"]);
    }
}

#[test]
fn with_an_attribute_of_tracing_there_is_one_span() {
    #[trace(name = "support.answer", tags(items = 3), args(question))]
    #[llm(model_name = "gpt-4o")]
    fn below(question: &str) -> String {
        question.to_owned()
    }
    #[llm(name = "answer")]
    #[trace(resource = question.len(), service = "support")]
    async fn above(question: &str) -> String {
        tick().await;
        question.to_owned()
    }
    let recorder = LlmRecorder::new();
    below("q");
    let (span, said) = only(&recorder);
    assert_eq!(
        (span.name.as_str(), &said["name"]),
        ("support.answer", &json!("below"))
    );
    assert_eq!(
        (span.resource.as_str(), span.span_type.as_str()),
        ("llm", "llm")
    );
    assert_eq!(
        (span.metric("items"), span.meta("args.question")),
        (Some(3.0), Some("q"))
    );
    block_on(above("four"));
    let (span, said) = only(&recorder);
    assert_eq!(said["name"], "answer");
    assert_eq!(
        (span.resource.as_str(), span.service.as_str()),
        ("4", "support")
    );
    recorder.switch(false);
    below("q");
    let spans = recorder.take();
    assert_eq!(
        spans.len(),
        1,
        "the span of tracing is there without the product"
    );
    assert!(spans[0].meta_struct.is_empty());
}

#[test]
fn off_there_is_no_span() {
    struct Untouchable;
    impl fmt::Debug for Untouchable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            unreachable!("nothing is formatted while the product is off")
        }
    }
    #[tool]
    fn quiet(value: Untouchable) -> u8 {
        let _ = value;
        1
    }
    #[tool]
    async fn quiet_later(value: Untouchable) -> u8 {
        tick().await;
        let _ = value;
        1
    }
    let recorder = LlmRecorder::new();
    recorder.switch(false);
    assert_eq!(quiet(Untouchable) + block_on(quiet_later(Untouchable)), 2);
    assert!(recorder.take().is_empty());
}
