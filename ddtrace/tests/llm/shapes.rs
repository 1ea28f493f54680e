//! Every shape of function that an attribute may stand on.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use ddtrace::llmobs::test_support::LlmRecorder;
use ddtrace::{agent, llm, trace};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Failed, block_on, has_failed, only, said, tag, tick};

struct Model<'a, T> {
    name: &'a str,
    seen: Vec<T>,
}

impl<'a, T: Clone + Serialize + Send + Sync> Model<'a, T> {
    #[llm(model_name = self.name, io = "both")]
    fn method(&mut self, item: T) -> usize {
        self.seen.push(item);
        self.seen.len()
    }

    #[llm(model_name = self.name, io = "both")]
    async fn later(&self, item: T, text: impl Into<String>) -> String {
        tick().await;
        let _ = item;
        text.into()
    }

    #[llm(model_name = self.name)]
    fn future<'s>(&'s self, text: &'s str) -> impl Future<Output = String> + use<'s, 'a, T> {
        let text = text.to_uppercase();
        async move {
            tick().await;
            text
        }
    }

    #[llm(model_name = self.name)]
    fn boxed<'s>(
        &'s self,
        text: &'s str,
    ) -> Pin<Box<dyn Future<Output = Result<String, Failed>> + Send + 's>> {
        if text.is_empty() {
            return Box::pin(async { Err(Failed) });
        }
        Box::pin(async move {
            tick().await;
            Ok(text.to_owned())
        })
    }
}

#[async_trait::async_trait]
trait Assistant {
    async fn below(&self, text: &str) -> String;
    async fn above(&self, text: &str) -> Result<String, Failed>;
}

struct Echo;

#[async_trait::async_trait]
impl Assistant for Echo {
    #[agent]
    async fn below(&self, text: &str) -> String {
        tick().await;
        text.to_owned()
    }

    #[trace]
    #[agent(tags(length = text.len()))]
    async fn above(&self, text: &str) -> Result<String, Failed> {
        tick().await;
        Err(Failed)?;
        Ok(text.to_owned())
    }
}

#[test]
fn every_shape_of_function_can_be_one() {
    let recorder = LlmRecorder::new();
    let mut model = Model {
        name: "echo",
        seen: vec![1],
    };
    assert_eq!(model.method(2), 2);
    assert_eq!(block_on(model.later(3, "later")), "later");
    assert_eq!(block_on(model.future("future")), "FUTURE");
    assert_eq!(block_on(model.boxed("boxed")).expect("not empty"), "boxed");
    assert!(block_on(model.boxed("")).is_err());
    let spans = recorder.take();
    let outputs: Vec<Value> = spans
        .iter()
        .map(|span| said(span)["meta"]["output"]["messages"][0]["content"].clone())
        .collect();
    assert_eq!(
        outputs[..4],
        [json!("2"), json!("later"), json!("FUTURE"), json!("boxed")]
    );
    for span in &spans {
        assert_eq!(said(span)["meta"]["model_name"], "echo");
    }
    assert!(has_failed(&said(&spans[4])));
    let input = &said(&spans[1])["meta"]["input"]["messages"][0]["content"];
    assert!(
        input
            .as_str()
            .is_some_and(|text| text.starts_with("{\"item\": 3, \"text\": \"[")),
        "{input}"
    );

    assert_eq!(block_on(Echo.below("a")), "a");
    assert!(block_on(Echo.above("four")).is_err());
    let spans = recorder.take();
    assert_eq!(spans.len(), 2);
    assert_eq!(said(&spans[0])["meta"]["output"]["value"], "a");
    assert_eq!(
        said(&spans[0])["meta"]["input"]["value"],
        "{\"text\": \"a\"}"
    );
    assert!(has_failed(&said(&spans[1])));
    assert_eq!(tag(&said(&spans[1]), "length"), Some("4"));
}

#[test]
fn a_future_that_is_given_up_ends_its_span() {
    #[llm(io = "both")]
    async fn waits(question: &str) -> String {
        tick().await;
        tick().await;
        question.to_owned()
    }
    let recorder = LlmRecorder::new();
    {
        let mut future = pin!(waits("q"));
        let mut task = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut task).is_pending());
    }
    let (span, said) = only(&recorder);
    assert!(!has_failed(&said));
    assert!(span.meta("ddtrace.cancelled").is_some());
    assert!(
        said["meta"]["input"]["messages"][0]["content"]
            .as_str()
            .is_some_and(|text| text.contains("q"))
    );
}

// Streams.
