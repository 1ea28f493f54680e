// What rustc says about the user's expressions: the arrow is at them.
#![deny(warnings)]

use ddtrace::{llm, tool, workflow};

struct Answer;

#[llm(stream = "text")]
fn items_that_are_no_text() -> impl Iterator<Item = u8> {
    0..3
}

#[llm(model_name = missing)]
fn no_such_name() -> String {
    String::new()
}

#[llm(output = |answer| answer.text())]
fn no_such_method() -> Answer {
    Answer
}

#[llm(metrics = |answer| 7)]
fn no_pairs() -> Answer {
    Answer
}

#[llm(metrics = |answer| [("tokens", "many")])]
async fn no_numbers() -> Answer {
    Answer
}

#[tool(err)]
fn no_result() -> u8 {
    1
}

#[workflow]
fn wrong_body(number: u8) -> String {
    number
}

fn main() {
    items_that_are_no_text();
    no_such_name();
    no_such_method();
    no_pairs();
    drop(no_numbers());
    no_result();
    wrong_body(1);
}
