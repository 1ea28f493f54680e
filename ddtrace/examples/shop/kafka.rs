//! The same messages through Kafka. Nothing here is about tracing or data streams but the two names that stand in place of
//! rdkafka's, and the span of the work.

use std::time::Duration;

use ddtrace::Span;
use ddtrace::rdkafka::rdkafka::consumer::Consumer as _;
use ddtrace::rdkafka::rdkafka::mocking::MockCluster;
use ddtrace::rdkafka::rdkafka::producer::{DefaultProducerContext, FutureRecord};
use ddtrace::rdkafka::rdkafka::{ClientConfig, Message as _};
use ddtrace::rdkafka::{FutureProducer, ProcessSpan as _, StreamConsumer};

use crate::messages::Parcel;
use crate::service::Error;

/// How long a message may wait for the brokers.
const PATIENCE: Duration = Duration::from_secs(5);

/// The brokers of the shop: those that the environment names, or some that are played here.
pub(crate) struct Brokers {
    pub(crate) servers: String,
    /// Lives as long as the shop.
    _played: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Brokers {
    pub(crate) fn find() -> Result<Self, Error> {
        if let Ok(servers) = std::env::var("KAFKA_BROKERS") {
            return Ok(Self {
                servers,
                _played: None,
            });
        }
        let played = MockCluster::new(1)?;
        for topic in [crate::messages::ORDERS, crate::messages::PARCELS] {
            played.create_topic(topic, 2, 1)?;
        }
        Ok(Self {
            servers: played.bootstrap_servers(),
            _played: Some(played),
        })
    }
}

/// Sends to one topic.
#[derive(Clone)]
pub(crate) struct Sender {
    topic: &'static str,
    producer: FutureProducer,
}

/// Receives from one topic.
pub(crate) struct Receiver {
    consumer: StreamConsumer,
}

impl Sender {
    pub(crate) fn to(topic: &'static str, servers: &str) -> Result<Self, Error> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .create()?;
        Ok(Self { topic, producer })
    }

    pub(crate) async fn send(&self, parcel: &Parcel) -> Result<(), Error> {
        let (key, body) = (parcel.order_id.to_string(), serde_json::to_string(parcel)?);
        let record = FutureRecord::to(self.topic).key(&key).payload(&body);
        let sent = self.producer.send(record, PATIENCE).await;
        sent.map_err(|(error, _)| error)?;
        Ok(())
    }
}

impl Receiver {
    pub(crate) fn of(topic: &str, group: &str, servers: &str) -> Result<Self, Error> {
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .create()?;
        consumer.subscribe(&[topic])?;
        Ok(Self { consumer })
    }

    /// The next message, and the span for the work on it.
    pub(crate) async fn next(&mut self) -> Option<(Parcel, Span)> {
        loop {
            // What is wrong for a while, such as a topic that is not there yet, the library tries again by itself.
            let Ok(message) = self.consumer.recv().await else {
                continue;
            };
            let body = message.payload().unwrap_or_default();
            if let Ok(parcel) = serde_json::from_slice(body) {
                return Some((parcel, message.process_span()));
            }
        }
    }
}
