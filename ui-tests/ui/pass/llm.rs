//! Attributes of LLM Observability where no warning may arise.

#![deny(warnings, clippy::all)]
#![forbid(unsafe_code)]

use ddtrace::{agent, embedding, llm, llm_block, retrieval, task, tool, trace, workflow};

#[llm]
fn never_ends() -> Result<u8, String> {
    panic!("by design")
}

#[trace]
fn never_ends_either() -> Result<u8, String> {
    panic!("by design")
}

#[workflow(io = "none")]
async fn returns_nothing() {}

#[agent(version = 7)]
fn generic<T>(value: T) -> Option<T> {
    Some(value)
}

#[tool]
fn borrows<'a>(list: &'a mut Vec<String>, _: u8) -> &'a mut String {
    list.push(String::new());
    &mut list[0]
}

#[task]
fn takes_a_closure(work: impl FnOnce() -> u8) -> u8 {
    work()
}

#[embedding(input = texts, model_name = "ada")]
fn owns(texts: Vec<String>) -> Vec<f32> {
    texts.into_iter().map(|text| text.len() as f32).collect()
}

#[retrieval(io = "both")]
#[must_use]
fn documents(query: &str) -> Vec<String> {
    vec![query.to_owned()]
}

fn main() {
    if false {
        let _ = (never_ends(), never_ends_either());
    }
    drop(returns_nothing());
    let _ = generic(std::cell::Cell::new(1));
    borrows(&mut Vec::new(), 1).push('a');
    takes_a_closure(|| 1);
    owns(vec![String::new()]);
    let _ = documents("a");
    let text = String::from("text");
    let length = llm_block!(task, input = &text, { text.len() });
    assert_eq!(length, 4);
    let parsed = llm_block!(tool("parse"), output = |number| number + 1, {
        Ok::<u8, std::num::ParseIntError>(text.parse::<u8>()?)
    });
    assert!(parsed.is_err());
}
