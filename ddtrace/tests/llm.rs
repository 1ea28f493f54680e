//! `#[llm]` and its kin: what a function's span says, for every kind, option and shape.
//!
//! Expected values are those of the specification of LLM Observability: what is captured of which kind, and in which form.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use ddtrace::llmobs::test_support::LlmRecorder;
use ddtrace::llmobs::{Annotation, Document, Message, annotate};
use ddtrace::{SpanData, agent, embedding, llm, llm_block, retrieval, task, tool, trace, workflow};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};

/// Polls to the end.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut task = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
            return output;
        }
    }
    panic!("the future does not end");
}

async fn tick() {
    let mut first = true;
    std::future::poll_fn(|_| match std::mem::replace(&mut first, false) {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
}

/// What the product says of a span.
fn said(span: &SpanData) -> Value {
    let (_, bytes) = span
        .meta_struct
        .iter()
        .find(|(key, _)| key == "_llmobs")
        .unwrap_or_else(|| panic!("{} is no span of the product", span.name));
    rmp_serde::from_slice(bytes).expect("MessagePack")
}

/// The only span since the last call, and what the product says of it.
fn only(recorder: &LlmRecorder) -> (SpanData, Value) {
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:?}");
    let span = spans.remove(0);
    let said = said(&span);
    (span, said)
}

/// A tag; they are a map as long as they ride on the trace.
fn tag<'a>(said: &'a Value, key: &str) -> Option<&'a str> {
    said["tags"][key].as_str()
}

fn has_failed(said: &Value) -> bool {
    said["meta"]["error"].is_object()
}

#[derive(Clone, Debug, Serialize)]
struct Answer {
    text: String,
    model: &'static str,
    tokens: Tokens,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Tokens {
    input: u32,
    output: Option<u64>,
}

impl Answer {
    fn new(text: &str) -> Self {
        Answer {
            text: text.to_owned(),
            model: "gpt-4o-2024-08-06",
            tokens: Tokens {
                input: 6,
                output: None,
            },
        }
    }
}

struct Opaque;

#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the model is away")
    }
}

impl std::error::Error for Failed {}

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
    let name = concat!("[", module_path!(), "::Opaque]");
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
    assert_eq!(
        said(&spans[0])["meta"]["error"]["type"],
        concat!(module_path!(), "::Failed")
    );
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

// Shapes.

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
