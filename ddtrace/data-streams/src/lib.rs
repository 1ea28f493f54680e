//! Data Streams Monitoring: pathways of messages through services, with latencies, sizes and lag.
//!
//! A message passes *checkpoints*, where it is produced and where it is consumed. Checkpoints in a row are a *pathway*, whose hash
//! travels in the message's headers; every service counts, for each pathway that it takes part in, how long messages have been
//! under way. With `DD_DATA_STREAMS_ENABLED=true`:
//!
//! ```
//! # let (message_headers, mut headers) = (http::HeaderMap::new(), http::HeaderMap::new());
//! use ddtrace_data_streams as dsm;
//!
//! // A message has arrived …
//! dsm::consume("kafka", "orders").group("billing").from(&message_headers);
//! // … and another one is sent because of it: they are on one pathway.
//! dsm::produce("kafka", "invoices").into(&mut headers);
//! ```
//!
//! ```text
//!   consume, produce ──> current (the pathway of this flow of work) ──> pathway, tags, hash: one checkpoint
//!          │                                                                  │
//!          └── switch: a bounded queue ──> task, on the worker ──> bucket ──> payload ──> agent
//! ```
//!
//! A checkpoint costs a look at the clock and two look-ups if its edge is known, no lock that is contended and no wake-up.
//! What does not fit into the queue or into ten seconds' worth of groups is dropped and counted; a message is never held up.
//! Off, every call is one relaxed load. Hashes and payloads are those of Datadog's other tracers, byte for byte; the source
//! of each format stands in its file.

//! # What to write for which system
//!
//! Kafka by rdkafka, RabbitMQ by lapin, SQS, SNS and Kinesis by the AWS SDK pass checkpoints by themselves once their integrations are there. With any other
//! library there are two lines, one on each side. The words are those of the other tracers, so that pathways of several
//! languages meet; `manual(false)` leaves out the tag that tells checkpoints by hand from those of an integration.
//!
//! | system | where it is sent | where it is received |
//! |---|---|---|
//! | Kafka (rskafka, …) | `produce("kafka", topic)` | `consume("kafka", topic).group(group)` |
//! | RabbitMQ, unnamed exchange | `produce("rabbitmq", routing_key)` | `consume("rabbitmq", queue)` |
//! | RabbitMQ, any other | `produce("rabbitmq", "").without_topic().tags(["exchange:orders", "has_routing_key:true"])` | `consume("rabbitmq", queue)` |
//! | SQS | `produce("sqs", queue_name)` | `consume("sqs", queue_name)` |
//! | SNS | `produce("sns", topic_arn)` | its queue: `consume("sqs", queue_name)` |
//! | Kinesis | `produce("kinesis", stream_arn)` | `consume("kinesis", stream_arn).arrived_at(time)` |
//! | Google Pub/Sub | `produce("google-pubsub", topic_path)` | `consume("google-pubsub", subscription_path)` |
//! | EventBridge | `produce("eventbridge", detail_type).tag("exchange:my-bus")` | its target: `consume("sqs", queue_name)` |
//! | NATS | `produce("nats", subject)` | `consume("nats", subject).group(queue_group)` |
//! | Pulsar | `produce("pulsar", topic)` | `consume("pulsar", topic).group(subscription)` |
//! | Fluvio | `produce("fluvio", topic)` | `consume("fluvio", topic)` |
//! | Redis streams | `produce("redis", stream)` | `consume("redis", stream).group(group)` |
//!
//! How far Kafka's producers and consumers are is said by [`kafka_produce_offset`], [`kafka_commit_offset`] and
//! [`kafka_high_watermark`]. Requests of HTTP and gRPC are checkpoints if `DD_DATA_STREAMS_HTTP_ENABLED` is set.
//!
//! # What carries a pathway
//!
//! Anything that is a [`Carrier`] to `from` and a [`CarrierMut`] to `into`: `HashMap<String, String>` and `BTreeMap<String, String>` (attributes of
//! Pub/Sub, properties of Pulsar), `Vec<(String, Vec<u8>)>`, `http::HeaderMap`. For the types of libraries that have an integration it has functions:
//! `ddtrace::rdkafka::{carrier, carrier_of, HeadersInTheMaking}`, `ddtrace::lapin::{carrier, table, write_headers}`, `ddtrace::tonic::{metadata, metadata_mut}`, `ddtrace::aws_sdk::{carrier_of_message, attribute}`.
//! For all others [`ReadWith`] and [`WriteWith`] are a line each. With `async-nats`, for example:
//!
//! ```
//! # mod async_nats { // What of the library's headers is used here.
//! #     #[derive(Default)]
//! #     pub struct HeaderMap(std::collections::HashMap<String, String>);
//! #     impl HeaderMap {
//! #         pub fn new() -> Self { Self::default() }
//! #         pub fn insert(&mut self, name: &str, value: &str) { self.0.insert(name.to_owned(), value.to_owned()); }
//! #         pub fn get(&self, name: &str) -> Option<&HeaderValue> { self.0.get(name).map(|it| HeaderValue::of(it)) }
//! #     }
//! #     #[repr(transparent)]
//! #     pub struct HeaderValue(String);
//! #     impl HeaderValue {
//! #         fn of(text: &String) -> &Self { Box::leak(Box::new(Self(text.clone()))) }
//! #         pub fn as_str(&self) -> &str { &self.0 }
//! #     }
//! # }
//! use ddtrace_core::propagation::{ReadWith, WriteWith};
//! use ddtrace_data_streams as dsm;
//!
//! # let checkpoints = dsm::test_support::Checkpoints::record("shop");
//! let mut headers = async_nats::HeaderMap::new();
//! dsm::produce("nats", "orders").into(&mut WriteWith(|name: &str, value: &[u8]| {
//!     headers.insert(name, &String::from_utf8_lossy(value));
//! }));
//! // … and where the message arrives:
//! dsm::consume("nats", "orders").from(&ReadWith(&headers, |headers, name| {
//!     Some(headers.get(name)?.as_str().as_bytes())
//! }));
//! # let passed = checkpoints.take();
//! # assert_eq!(passed[1].parent, passed[0].hash);
//! ```
//!
//! [`Carrier`]: ddtrace_core::propagation::Carrier
//! [`CarrierMut`]: ddtrace_core::propagation::CarrierMut
//! [`ReadWith`]: ddtrace_core::propagation::ReadWith
//! [`WriteWith`]: ddtrace_core::propagation::WriteWith

mod bucket;
mod checkpoint;
mod current;
mod encoding;
mod extractors;
mod hash;
#[doc(hidden)]
pub mod instrument;
mod listen;
mod offset;
mod pathway;
mod payload;
pub mod schema;
mod switch;
mod tags;
mod task;
pub mod test_support;
mod time;
mod transaction;

pub use checkpoint::{Consume, Produce, consume, produce};
pub use offset::{
    kafka_commit_offset, kafka_high_watermark, kafka_produce_offset, track_transaction,
};
pub use pathway::Pathway;

/// The pathway in force here: the one that was consumed last by the active span or above it. Nothing without one.
pub fn current_pathway() -> Option<Pathway> {
    current::get()
}
