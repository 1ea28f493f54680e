//! `llm_block!`.

use ddtrace::llm_block;
use ddtrace::llmobs::test_support::LlmRecorder;
use serde_json::{Value, json};

use crate::{Failed, block_on, has_failed, said, tick};

#[test]
fn a_block_is_a_span_like_a_function() {
    fn work(question: &str) -> Result<usize, Failed> {
        let found = llm_block!(
            retrieval("find"),
            input = question,
            output = |r| vec![r.clone()],
            { question.to_uppercase() }
        );
        let failed = llm_block!(tool, {
            Err::<u8, Failed>(Failed)?;
            Ok::<u8, Failed>(1)
        });
        assert!(failed.is_err());
        Ok(found.len())
    }
    let recorder = LlmRecorder::new();
    assert_eq!(work("moon").expect("it works"), 4);
    let text = "later".to_owned();
    let later = llm_block!(
        llm("ask"),
        model_name = "gpt-4o",
        metrics = |r| [("bytes", r.len())],
        async move {
            tick().await;
            text
        }
    );
    assert_eq!(block_on(later), "later");
    let spans = recorder.take();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["find", "tool", "ask"]);
    let all: Vec<Value> = spans.iter().map(said).collect();
    assert_eq!(
        all[0]["meta"]["output"]["documents"],
        json!([{"text": "MOON"}])
    );
    assert_eq!(all[0]["meta"]["input"]["value"], "moon");
    assert!(has_failed(&all[1]) && spans[1].error);
    assert_eq!(all[2]["meta"]["output"]["messages"][0]["content"], "later");
    assert_eq!(all[2]["metrics"]["bytes"], 5);
    recorder.switch(false);
    assert_eq!(work("moon").expect("it works"), 4);
    assert!(recorder.take().is_empty());
}
