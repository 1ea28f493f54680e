//! `#[dsm_transaction]`: which transactions pass which checkpoints, and when.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ddtrace::data_streams::test_support::Checkpoints;
use ddtrace::test_support::Recorder;
use ddtrace::{dsm_checkpoint, dsm_transaction, trace};

struct Order {
    id: u64,
    reference: Option<String>,
}

const ORDER: Order = Order {
    id: 7,
    reference: None,
};

#[dsm_transaction(checkpoint = "paid", id = order.id)]
fn pay(order: &Order) -> u64 {
    order.id
}

#[dsm_transaction(checkpoint = format!("packed at {place}"), id = arg(id))]
async fn pack(id: String, place: &str) -> String {
    id
}

#[dsm_transaction(checkpoint = "later", id = id)]
fn later(id: u64) -> impl Future<Output = u64> {
    async move { id }
}

#[dsm_transaction(checkpoint = "referred", id = order.reference)]
fn refer(order: &Order) -> Result<(), std::fmt::Error> {
    Err(std::fmt::Error)?;
    let _ = order;
    Ok(())
}

#[trace]
#[dsm_transaction(checkpoint = "handled", id = id)]
#[dsm_checkpoint(consume, type = "kafka", topic = arg(topic))]
fn handle(id: &str, topic: &str) -> usize {
    id.len() + topic.len()
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for nothing"),
    }
}

fn passed(checkpoints: &Checkpoints) -> Vec<String> {
    let passed = checkpoints.take_transactions().into_iter();
    passed
        .map(|(id, checkpoint)| format!("{id} {checkpoint}"))
        .collect()
}

#[test]
fn a_transaction_passes_when_the_function_begins() {
    let checkpoints = Checkpoints::record("shop");
    assert_eq!(pay(&ORDER), 7);
    assert_eq!(passed(&checkpoints), ["7 paid"]);

    let future = pack("p-1".to_owned(), "dock");
    assert!(passed(&checkpoints).is_empty(), "it has not begun");
    assert_eq!(block_on(future), "p-1");
    assert_eq!(passed(&checkpoints), ["p-1 packed at dock"]);

    let future = later(3);
    assert_eq!(passed(&checkpoints), ["3 later"]);
    assert_eq!(block_on(future), 3);
}

#[test]
fn one_without_an_id_is_none_and_an_error_takes_nothing_back() {
    let checkpoints = Checkpoints::record("shop");
    assert!(refer(&ORDER).is_err());
    assert!(passed(&checkpoints).is_empty());
    let order = Order {
        reference: Some("r-1".to_owned()),
        ..ORDER
    };
    assert!(refer(&order).is_err());
    assert_eq!(passed(&checkpoints), ["r-1 referred"]);
}

#[test]
fn it_stands_beside_a_span_and_a_checkpoint_and_tags_the_span() {
    let checkpoints = Checkpoints::record("shop");
    let recorder = Recorder::new();
    assert_eq!(handle("o-1", "orders"), 9);
    assert_eq!(passed(&checkpoints), ["o-1 handled"]);
    let tags = checkpoints.take().remove(0).tags;
    assert!(tags.contains(&"topic:orders".to_owned()), "{tags:?}");
    let span = recorder.take_only();
    assert_eq!(span.meta("dsm.transaction.id"), Some("o-1"));
    assert_eq!(span.meta("dsm.transaction.checkpoint"), Some("handled"));
}

#[test]
fn switched_off_nothing_passes_and_no_option_is_evaluated() {
    #[dsm_transaction(checkpoint = "c", id = unreachable(id))]
    fn work(id: u64) -> u64 {
        id
    }
    fn unreachable(_: u64) -> u64 {
        panic!("the product is off")
    }
    let checkpoints = Checkpoints::record("shop");
    checkpoints.switch(false);
    assert_eq!(work(1), 1);
    checkpoints.switch(true);
    assert!(passed(&checkpoints).is_empty());
}
