//! Spans for messages sent and received with rdkafka 0.39, trace context in their headers, and what data streams needs.
//!
//! ```
//! use ddtrace_rdkafka::BaseProducer; // in place of rdkafka::producer::BaseProducer
//! use rdkafka::ClientConfig;
//! use rdkafka::producer::BaseRecord;
//!
//! # fn main() -> Result<(), rdkafka::error::KafkaError> {
//! let mut config = ClientConfig::new();
//! # config.set("test.mock.num.brokers", "1");
//! let producer: BaseProducer = config.create()?;
//! let sent = producer.send(BaseRecord::to("orders").key("42").payload("tea"));
//! # assert!(sent.is_ok());
//! # Ok(())
//! # }
//! ```
//!
//! rdkafka has no hooks, so its clients are wrapped: [`BaseProducer`], [`ThreadedProducer`], [`FutureProducer`],
//! [`BaseConsumer`] and [`StreamConsumer`] are called as in rdkafka, are made by `ClientConfig::create` and
//! `create_with_context` as there, and have the same methods with the same results. Changing the `use` line is all. Whatever
//! is not watched (flushing, transactions, assignments, metadata, …) is reached through the wrapper as well.
//!
//! # What a span says
//!
//! `kafka.produce`, kind `producer`; `kafka.consume`, kind `consumer`; type `worker`, service `kafka`. `messaging.system`,
//! `messaging.destination.name`, `kafka.topic`, `kafka.partition`, `kafka.message_key` (its first 256 bytes), `kafka.message_offset`, `kafka.tombstone`,
//! `kafka.group_id`, `kafka.received_message`, `kafka.cluster_id`, `messaging.kafka.bootstrap.servers`.
//!
//! * **Producing.** The span of [`FutureProducer::send`] lasts until the broker has the message. Everywhere else it
//!   lasts until the message is in the library's queue, and an error of the delivery reaches it if the trace is not over by then. The
//!   error that the caller gets is the library's own, with the record or message as it was given.
//! * **Consuming.** The span begins before the library is asked for a message and ends when the message is handed out. Its parent is the
//!   producer's span, as the headers say, or else what is active. A poll that finds nothing makes a span as well, unless
//!   `DD_KAFKA_EMPTY_POLL_ENABLED=false`.
//! * **Processing.** By then the span of consuming is over, so the work on a message has a span of its own:
//!   [`message.process_span()`](ProcessSpan::process_span), and for several at once [`batch_span`].
//!
//! # Headers
//!
//! Context is written into the headers of every message, in place of older context if a message is sent on.
//! `DD_KAFKA_PROPAGATION_ENABLED=false` or `DD_KAFKA_DISTRIBUTED_TRACING=false` keeps it out. Brokers before version 0.11 do not
//! know headers and answer with the error −1: from the first such answer on, this process writes none.
//!
//! By hand: [`carrier`] reads, [`write_headers`] writes.
//!
//! # Data streams
//!
//! Sizes, offsets of deliveries, commits and ends of partitions are told as [events](ddtrace_core::events) to whoever listens. With
//! automatic commits, a message counts as committed when it is handed out; with `enable.auto.offset.store=false`, when its offset is stored.
//!
//! # What it does not do
//!
//! Nothing is asked of a broker: the id of the cluster and the ends of partitions are what librdkafka knows anyway, so the first messages of a
//! producer may lack the id. A consumer takes it from a producer of this process with the same list of servers.
//!
//! Settings are those of the integration `kafka`: `DD_TRACE_KAFKA_ENABLED`, `DD_KAFKA_SERVICE`, `DD_KAFKA_DISTRIBUTED_TRACING`.

mod base_consumer;
mod base_producer;
mod carrier;
mod cluster;
mod consume;
mod consumer_trait;
mod future_producer;
mod headers;
mod process;
mod produce;
mod settings;
mod stream_consumer;
mod watermark;

pub use base_consumer::{BaseConsumer, Iter, PartitionQueue};
pub use base_producer::{BaseProducer, Sent, ThreadedProducer, Watched};
pub use carrier::{HeadersInTheMaking, carrier_of};
pub use future_producer::{DeliveryFuture, FutureProducer};
pub use process::{NativeHeaders, ProcessSpan, batch_span, carrier, write_headers};
pub use stream_consumer::{MessageStream, StreamConsumer, StreamPartitionQueue};

/// The version of the library that is watched: a type of another one is another type, and does not compile with these.
#[doc(no_inline)]
pub use rdkafka;

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("kafka", "rdkafka", "0.39")
}
