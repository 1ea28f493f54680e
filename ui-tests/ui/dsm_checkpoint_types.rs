// What rustc says about the user's expressions: the arrow is at them.
#![deny(warnings)]

use std::collections::HashMap;

use ddtrace::{dsm_checkpoint, trace};

type Headers = HashMap<String, String>;

#[dsm_checkpoint(consume, type = "kafka", topic = message.queue(), carrier = message)]
fn no_carrier(message: &String) {
    let _ = message;
}

#[dsm_checkpoint(produce, type = "kafka", topic = "orders", carrier = headers)]
fn not_mutable(headers: &Headers) {
    let _ = headers;
}

#[dsm_checkpoint(produce, type = "kafka", topic = "orders")]
fn nothing_is_injected() {}

#[trace]
#[dsm_checkpoint(produce, type = "kafka", topic = "orders")]
async fn nothing_is_injected_later() {}

#[allow(deprecated)]
#[dsm_checkpoint(produce, type = "kafka", topic = "orders")]
fn on_purpose() {}

#[dsm_checkpoint(consume, type = "kafka", topic = missing)]
fn no_such_name() {}

fn main() {
    no_carrier(&String::new());
    not_mutable(&Headers::new());
    nothing_is_injected();
    drop(nothing_is_injected_later());
    on_purpose();
    no_such_name();
}
