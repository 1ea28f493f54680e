//! Functions that return streams.

use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use ddtrace::llmobs::test_support::LlmRecorder;
use ddtrace::{SpanData, agent, llm, trace};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use crate::{Failed, Tokens, block_on, has_failed, only, said, tick};

#[llm]
fn words(text: &str) -> impl Stream<Item = String> + use<> {
    let words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
    stream::iter(words)
}

#[llm(stream = "json", model_name = "gpt-4o")]
fn chunks(count: u8) -> Pin<Box<dyn Stream<Item = Tokens> + Send>> {
    Box::pin(stream::iter((0..count).map(|input| Tokens {
        input: input.into(),
        output: None,
    })))
}

#[llm(stream = "text")]
fn fallible() -> impl Stream<Item = Result<&'static str, Failed>> {
    stream::iter([Ok("a"), Ok("b"), Err(Failed), Ok("c")])
}

#[agent(stream = "text", io = "both")]
fn letters(text: &str) -> impl Iterator<Item = String> + use<'_> {
    text.chars().map(String::from)
}

#[llm(stream = "off")]
fn timing_only() -> impl Stream<Item = String> {
    stream::iter(["a".to_owned()])
}

#[test]
fn a_stream_is_one_span_with_all_of_its_items() {
    let recorder = LlmRecorder::new();
    let all: Vec<String> = block_on(words("a b c").collect());
    assert_eq!(all.len(), 3);
    let (_, said) = only(&recorder);
    assert_eq!(
        said["meta"]["output"]["messages"],
        json!([{"content": "a b c", "role": ""}])
    );
    let seconds = said["metrics"]["time_to_first_token"]
        .as_f64()
        .expect("a number");
    assert!(seconds >= 0.0);

    let _: Vec<Tokens> = block_on(chunks(2).collect());
    let (_, said) = only(&recorder);
    let content = said["meta"]["output"]["messages"][0]["content"]
        .as_str()
        .expect("text")
        .to_owned();
    assert_eq!(
        content,
        "[{\"input\": 0, \"output\": null}, {\"input\": 1, \"output\": null}]"
    );

    let all: Vec<Result<&str, Failed>> = block_on(fallible().collect());
    assert_eq!(all.len(), 4);
    let (span, said) = only(&recorder);
    assert!(span.error);
    assert!(has_failed(&said));
    assert_eq!(said["meta"]["output"]["messages"][0]["content"], "abc");

    assert_eq!(letters("xyz").count(), 3);
    let (_, said) = only(&recorder);
    assert_eq!(said["meta"]["output"]["value"], "xyz");
    assert_eq!(said["meta"]["input"]["value"], "{\"text\": \"xyz\"}");
    assert!(said["metrics"]["time_to_first_token"].is_number());

    let _: Vec<String> = block_on(timing_only().collect());
    let (_, said) = only(&recorder);
    assert!(
        said["meta"]["output"]
            .get("messages")
            .is_none_or(|messages| *messages == json!([{"content": "", "role": ""}])
                || messages == &json!([]))
    );
    assert!(said["metrics"]["time_to_first_token"].is_number());
}

#[test]
fn a_stream_that_is_dropped_half_way_has_what_was_there() {
    let recorder = LlmRecorder::new();
    {
        let mut stream = pin!(words("a b c"));
        assert_eq!(block_on(stream.next()).as_deref(), Some("a "));
        assert_eq!(block_on(stream.next()).as_deref(), Some("b "));
    }
    let (span, said) = only(&recorder);
    assert_eq!(said["meta"]["output"]["messages"][0]["content"], "a b ");
    assert!(!has_failed(&said));
    assert!(span.meta("ddtrace.cancelled").is_some());
    drop(words("never polled"));
    let (_, said) = only(&recorder);
    assert!(said["metrics"].get("time_to_first_token").is_none());
}

#[test]
fn a_long_stream_is_cut() {
    #[llm(stream = "text")]
    fn long() -> impl Stream<Item = String> {
        stream::iter((0..40).map(|_| "ü".repeat(30_000)))
    }
    let recorder = LlmRecorder::new();
    let count = block_on(long().count());
    assert_eq!(count, 40);
    let (_, said) = only(&recorder);
    let text = said["meta"]["output"]["messages"][0]["content"]
        .as_str()
        .expect("text")
        .to_owned();
    assert!(
        text.ends_with("…[cut]") && text.len() <= 1024 * 1024 + 8,
        "{}",
        text.len()
    );
}

#[llm(stream = "text", io = "both")]
fn opened(text: &str) -> Result<impl Stream<Item = String> + use<>, Failed> {
    if text.is_empty() {
        return Err(Failed);
    }
    inside();
    let text = text.to_owned();
    Ok(stream::once(async move { text }))
}

#[llm(model_name = "gpt-4o")]
async fn opened_later(text: &str) -> Result<Pin<Box<dyn Stream<Item = String> + Send>>, Failed> {
    tick().await;
    inside();
    if text.is_empty() {
        Err(Failed)?;
    }
    let text = text.to_owned();
    Ok(Box::pin(stream::once(async move {
        inside();
        text
    })))
}

#[trace]
fn inside() {}

#[test]
fn a_stream_in_a_result_is_one_span_with_it() {
    let recorder = LlmRecorder::new();
    let all: Vec<String> = block_on(opened("a").expect("it opens").collect());
    assert_eq!(all, ["a"]);
    assert!(opened("").is_err());
    let all: Vec<String> = block_on(block_on(opened_later("b")).expect("it opens").collect());
    assert_eq!(all, ["b"]);
    assert!(block_on(opened_later("")).is_err());
    {
        let mut given_up = pin!(opened_later("c"));
        let mut task = Context::from_waker(Waker::noop());
        assert!(given_up.as_mut().poll(&mut task).is_pending());
    }
    let spans = recorder.take();
    let of_llm: Vec<&SpanData> = spans
        .iter()
        .filter(|span| span.span_type == "llm")
        .collect();
    let outputs: Vec<Value> = of_llm
        .iter()
        .map(|span| said(span)["meta"]["output"]["messages"][0]["content"].clone())
        .collect();
    assert_eq!(of_llm.len(), 5);
    assert_eq!((&outputs[0], &outputs[2]), (&json!("a"), &json!("b")));
    for at in [1, 3] {
        assert!(of_llm[at].error && has_failed(&said(of_llm[at])));
        assert_eq!(of_llm[at].meta("error.message"), Some("the model is away"));
    }
    assert!(of_llm[4].meta("ddtrace.cancelled").is_some());
    let parents: Vec<u64> = spans
        .iter()
        .filter(|span| span.name.ends_with("inside"))
        .map(|span| span.parent_id)
        .collect();
    assert_eq!(parents.len(), 4);
    for parent in parents {
        assert!(of_llm.iter().any(|span| span.span_id == parent));
    }
}
