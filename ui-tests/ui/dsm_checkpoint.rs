use std::collections::HashMap;

use ddtrace::dsm_checkpoint;

type Headers = HashMap<String, String>;

#[dsm_checkpoint]
fn nothing() {}

#[dsm_checkpoint(type = "kafka", topic = "orders")]
fn no_direction() {}

#[dsm_checkpoint(consume)]
fn no_type_and_no_topic() {}

#[dsm_checkpoint(produce, type = "kafka")]
fn no_topic() {}

#[dsm_checkpoint(consume, topic = "orders")]
fn no_type() {}

#[dsm_checkpoint(consume, produce, type = "kafka", topic = "orders")]
fn both_ways() {}

#[dsm_checkpoint(consume = true, type = "kafka", topic = "orders")]
fn direction_with_a_value() {}

#[dsm_checkpoint(consume, type = "kafka", topic = "orders", queue = "a", headers = h)]
fn unknown_options() {}

#[dsm_checkpoint(consume, type = "kafka", topic = "orders", topic = "invoices")]
fn twice() {}

#[dsm_checkpoint(consume, type = "kafka", topic = "orders", tags("a" = 1, "a" = 2))]
fn tag_twice() {}

#[dsm_checkpoint(produce, type = "kafka", topic = "orders", carrier = headers)]
fn carrier_by_value(headers: Headers) {}

#[dsm_checkpoint(produce, type = "kafka", topic = "orders", carrier = headers)]
fn carrier_by_mutable_value(mut headers: Headers) {
    headers.clear();
}

#[dsm_checkpoint(consume, type = "kafka", topic = "orders", at = end)]
fn consumed_at_the_end() {}

#[dsm_checkpoint(produce, type = "kafka", topic = "orders", carrier = headers, at = middle)]
fn at_no_place(headers: &mut Headers) {}

#[dsm_checkpoint(produce, type = "kafka", topic = "orders", carrier = headers, at = end)]
fn at_end_of_a_future(headers: &mut Headers) -> impl Future<Output = ()> {
    async {}
}

#[dsm_checkpoint(consume, type = "kafka", topic = "orders", manual = maybe)]
fn manual_at_run_time(maybe: bool) {}

#[dsm_checkpoint(consume, type = "kafka", topic = "orders", span)]
fn span_without_a_value() {}

#[dsm_checkpoint(consume, type = "kafka", topic = )]
fn topic_of_nothing() {}

#[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
const fn constant() {}

#[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
struct Message;

#[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
impl Message {
    fn on_message(&self) {}
}

trait Handler {
    #[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
    fn handle(&self);
}

#[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
#[ddtrace::dsm_checkpoint(consume, type = "kafka", topic = "invoices")]
fn two_checkpoints() {}

#[ddtrace::trace]
#[dsm_checkpoint(consume, type = "kafka")]
fn a_mistake_below_another_attribute() {}

fn main() {}
