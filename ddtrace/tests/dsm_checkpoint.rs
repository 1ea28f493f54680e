//! `#[dsm_checkpoint]`: which checkpoints a function passes, on which pathway, and what is in force afterwards.
//!
//! Expected hashes are those that the API by hand gives, whose chains are dd-trace-py's, byte for byte.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use ddtrace::data_streams::test_support::{Checkpoint, Checkpoints};
use ddtrace::data_streams::{Pathway, consume, current_pathway, produce};
use ddtrace::test_support::Recorder;
use ddtrace::{dsm_checkpoint, trace};

type Headers = HashMap<String, String>;

const HEADER: &str = "dd-pathway-ctx-base64";

struct Message {
    queue: &'static str,
    headers: Headers,
    body: String,
}

impl Message {
    fn new(queue: &'static str) -> Self {
        Message {
            queue,
            headers: Headers::new(),
            body: "für".to_owned(),
        }
    }

    /// A message that a service before this one has sent.
    fn sent(queue: &'static str) -> (Self, u64) {
        let mut message = Message::new(queue);
        let pathway = produce("kafka", queue).into(&mut message.headers);
        (message, pathway.expect("it is on").hash())
    }

    fn queue(&self) -> &str {
        self.queue
    }

    fn headers(&self) -> Option<&Headers> {
        Some(&self.headers)
    }
}

fn tags(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.tags.iter().map(String::as_str).collect()
}

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

fn here() -> u64 {
    current_pathway().map_or(0, |pathway| pathway.hash())
}

#[dsm_checkpoint(consume, type = "kafka", topic = "orders", carrier = message.headers, group = "billing")]
fn on_order(message: &Message) -> u64 {
    assert_eq!(message.queue, "orders");
    here()
}

#[dsm_checkpoint(
    consume, type = message.queue.split('.').next(), topic = message.queue(), carrier = message.headers(), payload = message.body,
    tags("exchange" = 7, shown = %message.body, raw = ?message.queue), manual = false, at = start
)]
fn everything(message: &Message) -> u64 {
    let _ = &message.body;
    here()
}

#[dsm_checkpoint(produce, type = "kafka", topic = "invoices", carrier = headers)]
fn send(headers: &mut Headers) -> u64 {
    assert!(headers.contains_key(HEADER));
    here()
}

#[test]
fn a_consumer_is_on_the_pathway_of_its_message() {
    let checkpoints = Checkpoints::record("warehouse");
    let (message, parent) = Message::sent("orders");
    let expected = consume("kafka", "orders")
        .group("billing")
        .from(&message.headers)
        .expect("on")
        .hash();
    ddtrace::data_streams::consume("x", "y").without_headers();
    let before = here();
    checkpoints.take();

    assert_eq!(on_order(&message), expected);
    assert_eq!(here(), before, "the pathway of before is in force again");
    let passed = checkpoints.take();
    assert_eq!(passed.len(), 1);
    assert_eq!(
        (passed[0].hash, passed[0].parent, passed[0].payload_size),
        (expected, parent, 0)
    );
    assert_eq!(
        tags(&passed[0]),
        [
            "direction:in",
            "group:billing",
            "manual_checkpoint:true",
            "topic:orders",
            "type:kafka"
        ]
    );
}

#[test]
fn every_option_is_read_from_the_parameters() {
    let checkpoints = Checkpoints::record("warehouse");
    let message = Message::new("sqs.orders");
    everything(&message);
    let passed = checkpoints.take();
    assert_eq!(
        tags(&passed[0]),
        [
            "direction:in",
            "exchange:7",
            "raw:\"sqs.orders\"",
            "shown:für",
            "topic:sqs.orders",
            "type:sqs"
        ]
    );
    assert_eq!(passed[0].payload_size, 4);
    assert_eq!(passed[0].parent, 0);
}

#[test]
fn an_empty_topic_is_recorded_as_such() {
    #[dsm_checkpoint(consume, type = "rabbitmq", topic = queue)]
    fn of_unknown_queue(queue: Option<&str>) {
        let _ = queue;
    }
    let checkpoints = Checkpoints::record("warehouse");
    of_unknown_queue(None);
    assert!(tags(&checkpoints.take()[0]).contains(&"topic:"));
}

#[test]
fn a_producer_goes_on_from_what_was_consumed_and_leaves_it_as_it_was() {
    let checkpoints = Checkpoints::record("warehouse");
    let consumed = consume("kafka", "orders").without_headers().expect("on");
    let mut headers = Headers::new();
    let inside = send(&mut headers);
    assert_eq!(here(), consumed.hash());
    assert_eq!(Pathway::extract(&headers).hash(), inside);
    let passed = checkpoints.take();
    assert_eq!(
        (passed[1].parent, passed[1].hash),
        (consumed.hash(), inside)
    );
    assert_eq!(
        tags(&passed[1]),
        [
            "direction:out",
            "manual_checkpoint:true",
            "topic:invoices",
            "type:kafka"
        ]
    );
    // The header that is added counts: 21 bytes of name and 28 of value.
    assert_eq!(passed[1].payload_size, 49);
}

#[test]
fn two_handlers_on_one_thread_do_not_continue_each_other() {
    #[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
    fn handle() -> u64 {
        send(&mut Headers::new())
    }
    let checkpoints = Checkpoints::record("warehouse");
    assert_eq!(here(), 0);
    let first = handle();
    assert_eq!(here(), 0, "nothing was in force before");
    assert_eq!(handle(), first);
    let passed = checkpoints.take();
    let parents: Vec<u64> = passed.iter().map(|checkpoint| checkpoint.parent).collect();
    assert_eq!(parents, [0, passed[0].hash, 0, passed[0].hash]);
}

#[test]
fn a_panic_and_an_early_return_leave_the_checkpoint() {
    #[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
    fn poisoned(panics: bool) -> Result<(), String> {
        if !panics {
            return Err("no".to_owned());
        }
        panic!("by design")
    }
    let checkpoints = Checkpoints::record("warehouse");
    assert_eq!(poisoned(false), Err("no".to_owned()));
    assert_eq!(here(), 0);
    assert!(std::panic::catch_unwind(|| poisoned(true)).is_err());
    assert_eq!(
        here(),
        0,
        "the pathway of before is in force again after a panic, too"
    );
    assert_eq!(checkpoints.take().len(), 2);
}

#[test]
fn at_the_end_a_checkpoint_is_passed_if_the_function_succeeds() {
    #[dsm_checkpoint(produce, type = "kafka", topic = "invoices", carrier = headers, at = end)]
    fn send_last(headers: &mut Headers, fails: bool) -> Result<u8, String> {
        assert!(!headers.contains_key(HEADER));
        if fails {
            Err("no".to_owned())?;
        }
        headers.insert("own".to_owned(), "1".to_owned());
        Ok(1)
    }

    #[dsm_checkpoint(produce, type = "kafka", topic = "invoices", carrier = headers, at = end)]
    async fn send_later(headers: &mut Headers, fails: bool) -> Result<u8, String> {
        tick().await;
        if fails {
            return Err("no".to_owned());
        }
        Ok(headers.len() as u8)
    }
    let checkpoints = Checkpoints::record("warehouse");
    let mut headers = Headers::new();
    assert!(send_last(&mut headers, true).is_err());
    assert!(block_on(send_later(&mut headers, true)).is_err());
    assert_eq!(checkpoints.take().len(), 0);
    assert_eq!(send_last(&mut headers, false), Ok(1));
    assert!(headers.remove(HEADER).is_some());
    assert_eq!(block_on(send_later(&mut headers, false)), Ok(1));
    assert!(headers.contains_key(HEADER));
    assert_eq!(checkpoints.take().len(), 2);
}

#[test]
fn the_hash_is_a_tag_of_the_active_span() {
    #[trace]
    #[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
    fn traced() -> u64 {
        here()
    }

    #[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
    #[trace(name = "later")]
    async fn traced_later() -> u64 {
        tick().await;
        here()
    }

    #[dsm_checkpoint(produce, type = "kafka", topic = "orders", carrier = headers, span = true)]
    fn own_span(headers: &mut Headers) -> u64 {
        let _ = headers;
        here()
    }

    #[trace(name = "around")]
    fn around() -> u64 {
        on_order(&Message::new("orders"))
    }

    let checkpoints = Checkpoints::record("warehouse");
    let recorder = Recorder::new();
    let hashes = [
        traced(),
        block_on(traced_later()),
        own_span(&mut Headers::new()),
        around(),
    ];
    assert_eq!(here(), 0);
    assert_eq!(checkpoints.take().len(), 4);
    let spans = recorder.take();
    let found: Vec<Option<String>> = spans
        .iter()
        .map(|span| span.meta("pathway.hash").map(str::to_owned))
        .collect();
    let expected: Vec<Option<String>> = hashes.iter().map(|hash| Some(hash.to_string())).collect();
    assert_eq!(found, expected);
    assert_eq!(spans[2].meta("span.kind"), Some("producer"));
    assert_eq!(spans[1].name, "later");
}

#[test]
fn a_pathway_stays_with_its_task_between_polls() {
    #[dsm_checkpoint(consume, type = "kafka", topic = message.queue, carrier = message.headers)]
    async fn handle(message: Message) -> (u64, u64) {
        let first = here();
        tick().await;
        assert_eq!(here(), first);
        tick().await;
        (first, send(&mut Headers::new()))
    }
    let checkpoints = Checkpoints::record("warehouse");
    let (one, parent_of_one) = Message::sent("one");
    let (two, parent_of_two) = Message::sent("two");
    let outer = consume("kafka", "outer")
        .without_headers()
        .expect("on")
        .hash();
    checkpoints.take();
    let mut tasks = [Box::pin(handle(one)), Box::pin(handle(two))];
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        for task in &mut tasks {
            assert!(task.as_mut().poll(&mut context).is_pending());
            assert_eq!(here(), outer);
        }
    }
    let [one, two] = tasks.map(|mut task| match task.as_mut().poll(&mut context) {
        Poll::Ready(hashes) => hashes,
        Poll::Pending => panic!("two ticks have passed"),
    });
    assert_eq!(here(), outer);
    let passed = checkpoints.take();
    assert_eq!((passed[0].parent, passed[0].hash), (parent_of_one, one.0));
    assert_eq!((passed[1].parent, passed[1].hash), (parent_of_two, two.0));
    assert_eq!((passed[2].parent, passed[2].hash), (one.0, one.1));
    assert_eq!((passed[3].parent, passed[3].hash), (two.0, two.1));
}

#[test]
fn what_a_handler_spawns_is_on_its_pathway() {
    #[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
    fn handle() -> (u64, u64) {
        let there = std::thread::spawn(here).join().expect("it does not panic");
        (here(), there)
    }
    let _checkpoints = Checkpoints::record("warehouse");
    let (here, there) = handle();
    assert_ne!(here, 0);
    assert_eq!(here, there);
}

/// The shapes that a function can have.
struct Shop<'a, T> {
    queue: &'a str,
    items: Vec<T>,
}

impl<'a, T: Clone + Send + Sync> Shop<'a, T> {
    #[dsm_checkpoint(consume, type = "kafka", topic = self.queue)]
    fn method(&self) -> u64 {
        here()
    }

    #[dsm_checkpoint(consume, type = "kafka", topic = self.queue)]
    async fn later(&mut self, more: T) -> u64 {
        tick().await;
        self.items.push(more);
        here()
    }

    #[dsm_checkpoint(consume, type = "kafka", topic = self.queue)]
    fn future(&self) -> impl Future<Output = u64> + use<'_, 'a, T> {
        async {
            tick().await;
            here()
        }
    }

    #[dsm_checkpoint(consume, type = "kafka", topic = self.queue)]
    fn boxed(&self) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        let first = here();
        Box::pin(async move {
            tick().await;
            assert_eq!(here(), first);
            here()
        })
    }

    #[dsm_checkpoint(consume, type = "kafka", topic = self.queue, span = true)]
    fn traced_future(&self) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        if self.items.len() > 9 {
            return Box::pin(async { 0 });
        }
        Box::pin(async move {
            tick().await;
            here()
        })
    }
}

#[trace]
impl<T: Clone + Send + Sync> Shop<'_, T> {
    #[dsm_checkpoint(consume, type = "kafka", topic = self.queue)]
    fn in_a_traced_block(&self) -> u64 {
        here()
    }
}

#[test]
fn every_shape_of_function_can_have_one() {
    let checkpoints = Checkpoints::record("warehouse");
    let recorder = Recorder::new();
    let mut shop = Shop {
        queue: "orders",
        items: vec![1],
    };
    let expected = shop.method();
    assert_ne!(expected, 0);
    assert_eq!(block_on(shop.later(2)), expected);
    assert_eq!(block_on(shop.future()), expected);
    assert_eq!(block_on(shop.boxed()), expected);
    assert_eq!(block_on(shop.traced_future()), expected);
    assert_eq!(shop.in_a_traced_block(), expected);
    assert_eq!(here(), 0);
    assert_eq!(checkpoints.take().len(), 6);
    let spans = recorder.take();
    let hash = expected.to_string();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(span.meta("pathway.hash"), Some(&*hash), "{}", span.name);
    }
}

#[test]
fn carriers_may_be_references_of_any_kind() {
    use ddtrace::propagation::{Carrier, CarrierMut};

    #[dsm_checkpoint(consume, type = "kafka", topic = "orders", carrier = carrier)]
    fn of_trait_object(carrier: &dyn Carrier) {
        let _ = carrier;
    }
    #[dsm_checkpoint(consume, type = "kafka", topic = "orders", carrier = carrier)]
    fn generic(carrier: impl Carrier) {
        let _ = carrier;
    }
    #[dsm_checkpoint(produce, type = "kafka", topic = "orders", carrier = carrier)]
    fn to_trait_object(carrier: &mut dyn CarrierMut) {
        let _ = carrier;
    }
    #[dsm_checkpoint(produce, type = "kafka", topic = record.queue(), carrier = record.headers)]
    fn to_field(record: &mut Message) {
        let _ = record;
    }
    #[dsm_checkpoint(produce, type = "kafka", topic = record.queue, carrier = &mut record.headers)]
    fn sent_on(mut record: Message) -> Message {
        record.body.clear();
        record
    }
    let checkpoints = Checkpoints::record("warehouse");
    let (message, parent) = Message::sent("orders");
    of_trait_object(&message.headers);
    generic(&message.headers);
    let mut headers = Headers::new();
    to_trait_object(&mut headers);
    assert!(headers.contains_key(HEADER));
    let mut record = Message::new("orders");
    to_field(&mut record);
    assert!(record.headers.contains_key(HEADER));
    assert!(sent_on(Message::new("orders")).headers.contains_key(HEADER));
    let parents: Vec<u64> = checkpoints
        .take()
        .iter()
        .map(|passed| passed.parent)
        .collect();
    assert_eq!(parents, [0, parent, parent, 0, 0, 0]);
}

#[test]
fn off_it_does_nothing() {
    let checkpoints = Checkpoints::record("warehouse");
    checkpoints.switch(false);
    let mut headers = Headers::new();
    #[dsm_checkpoint(produce, type = "kafka", topic = "orders", carrier = headers)]
    fn quiet(headers: &mut Headers) -> u64 {
        let _ = headers;
        here()
    }
    assert_eq!(quiet(&mut headers), 0);
    assert!(headers.is_empty());
    assert!(checkpoints.take().is_empty());
}
