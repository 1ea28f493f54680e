//! [`BaseProducer`] and [`ThreadedProducer`], and the context by which both learn what became of a message.

#![allow(clippy::result_large_err, reason = "it is what the library returns")]

use std::error::Error;
use std::ops::Deref;
use std::sync::Arc;

use ddtrace_core::trace::SpanRef;
use rdkafka::client::OAuthToken;
use rdkafka::config::{
    ClientConfig, FromClientConfig, FromClientConfigAndContext, RDKafkaLogLevel,
};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Message as _, ToBytes};
use rdkafka::producer::{
    self, BaseRecord, DefaultProducerContext, DeliveryResult, NoCustomPartitioner, Partitioner,
    Producer as _, ProducerContext,
};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, IntoOpaque};

use crate::cluster::Servers;
use crate::produce::{self, Record, Sending};
use crate::settings::SETTINGS;

/// The user's context, with our ear at deliveries. Whatever else librdkafka tells goes straight to the user's.
///
/// It derefs to the user's context, so that `producer.context()` can be used as before.
pub struct Watched<C> {
    user: C,
    servers: Arc<Servers>,
}

impl<C> Deref for Watched<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.user
    }
}

/// What travels with a message through librdkafka: what the user gave it, and the way to its span.
pub struct Sent<O> {
    user: O,
    span: Option<SpanRef>,
}

impl<C: ClientContext> ClientContext for Watched<C> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = C::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.user.log(level, fac, log_message);
    }

    fn stats(&self, statistics: Statistics) {
        self.user.stats(statistics);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.user.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.user.error(error, reason);
    }

    fn generate_oauth_token(
        &self,
        oauthbearer_config: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn Error>> {
        self.user.generate_oauth_token(oauthbearer_config)
    }
}

impl<C, Part> ProducerContext<Part> for Watched<C>
where
    C: ProducerContext<Part>,
    Part: Partitioner,
{
    type DeliveryOpaque = Box<Sent<C::DeliveryOpaque>>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent<C::DeliveryOpaque>>) {
        if SETTINGS.get().is_some() {
            let (message, error) = match result {
                Ok(message) => (message, None),
                Err((error, message)) => (message, Some(error)),
            };
            if let (Some(error), Some(span)) = (error, &sent.span) {
                // Reaches the span if the trace that it belongs to is not over.
                span.set_error(error);
            }
            let offset = error.is_none().then(|| message.offset());
            let cluster = self.servers.known_cluster();
            produce::delivered(message.topic(), message.partition(), offset, cluster, error);
        }
        self.user.delivery(result, sent.user);
    }

    fn get_custom_partitioner(&self) -> Option<&Part> {
        self.user.get_custom_partitioner()
    }
}

/// What [`BaseProducer::send`] and [`ThreadedProducer::send`] return, as in rdkafka.
type SendResult<'a, K, P, O> = Result<(), (KafkaError, BaseRecord<'a, K, P, O>)>;

/// Puts the user's own delivery opaque back into a record, or ours around it.
fn with_opaque<'a, K, P, From, To>(
    record: BaseRecord<'a, K, P, From>,
    change: impl FnOnce(From) -> To,
) -> BaseRecord<'a, K, P, To>
where
    K: ToBytes + ?Sized,
    P: ToBytes + ?Sized,
    From: IntoOpaque,
    To: IntoOpaque,
{
    BaseRecord {
        topic: record.topic,
        partition: record.partition,
        payload: record.payload,
        key: record.key,
        timestamp: record.timestamp,
        headers: record.headers,
        delivery_opaque: change(record.delivery_opaque),
    }
}

fn send<'a, K, P, C, Part>(
    servers: &Servers,
    client: &rdkafka::client::Client<Watched<C>>,
    mut record: BaseRecord<'a, K, P, C::DeliveryOpaque>,
    hand_over: impl FnOnce(
        BaseRecord<'a, K, P, Box<Sent<C::DeliveryOpaque>>>,
    ) -> SendResult<'a, K, P, Box<Sent<C::DeliveryOpaque>>>,
) -> SendResult<'a, K, P, C::DeliveryOpaque>
where
    K: ToBytes + ?Sized,
    P: ToBytes + ?Sized,
    Part: Partitioner,
    C: ProducerContext<Part>,
{
    let Some(settings) = SETTINGS.get() else {
        let record = with_opaque(record, |user| Box::new(Sent { user, span: None }));
        return hand_over(record)
            .map_err(|(error, record)| (error, with_opaque(record, |sent| sent.user)));
    };
    let about = Record {
        topic: record.topic,
        partition: record.partition,
        payload: produce::bytes(record.payload),
        key: produce::bytes(record.key),
    };
    let cluster = servers.cluster_of_producer(client);
    let mut sending = Sending::start(&settings, servers, cluster, &about, record.headers.take());
    record.headers = sending.headers.take();
    let span = sending.late.take();
    let record = with_opaque(record, |user| Box::new(Sent { user, span }));
    hand_over(record).map_err(|(error, record)| {
        sending.span.set_error(&error);
        let mut record = with_opaque(record, |sent| sent.user);
        record.headers = sending.written.strip(record.headers.take());
        (error, record)
    })
}

/// [`rdkafka::producer::BaseProducer`] that makes a span of every message. Whatever else it can do is that one's.
///
/// ```
/// use ddtrace_rdkafka::BaseProducer; // the one line: in place of rdkafka::producer::BaseProducer
/// use rdkafka::producer::BaseRecord;
///
/// # fn main() -> Result<(), rdkafka::error::KafkaError> {
/// let mut config = rdkafka::ClientConfig::new();
/// # config.set("test.mock.num.brokers", "1");
/// let producer: BaseProducer = config.create()?;
/// let sent = producer.send(BaseRecord::to("orders").key("42").payload("tea"));
/// # assert!(sent.is_ok());
/// # Ok(())
/// # }
/// ```
pub struct BaseProducer<C = DefaultProducerContext, Part = NoCustomPartitioner>
where
    Part: Partitioner,
    C: ProducerContext<Part>,
{
    inner: producer::BaseProducer<Watched<C>, Part>,
    servers: Arc<Servers>,
}

/// [`rdkafka::producer::ThreadedProducer`] that makes a span of every message. Whatever else it can do is that one's.
#[must_use = "The threaded producer will stop immediately if unused"]
pub struct ThreadedProducer<C, Part = NoCustomPartitioner>
where
    Part: Partitioner,
    C: ProducerContext<Part> + 'static,
{
    inner: producer::ThreadedProducer<Watched<C>, Part>,
    servers: Arc<Servers>,
}

/// What both kinds have in common. The library's own two have no common interface for sending.
macro_rules! producer {
    ($name:ident where $($bound:tt)*) => {
        impl<C, Part> $name<C, Part>
        where
            Part: Partitioner,
            C: ProducerContext<Part> + 'static,
        {
            /// Like the library's own `send`, in a span that lasts until the message is in the library's queue.
            ///
            /// What becomes of it there goes to the context's `delivery`, as ever; an error marks the span as failed if the trace
            /// that it belongs to is not over by then.
            ///
            /// # Errors
            ///
            /// Those of the library, with the record as it was given.
            pub fn send<'a, K, P>(
                &self,
                record: BaseRecord<'a, K, P, C::DeliveryOpaque>,
            ) -> Result<(), (KafkaError, BaseRecord<'a, K, P, C::DeliveryOpaque>)>
            where
                K: ToBytes + ?Sized,
                P: ToBytes + ?Sized,
            {
                send(&self.servers, self.inner.client(), record, |record| self.inner.send(record))
            }
        }

        impl<C, Part> Deref for $name<C, Part>
        where
            Part: Partitioner,
            C: ProducerContext<Part> + 'static,
        {
            type Target = producer::$name<Watched<C>, Part>;

            fn deref(&self) -> &Self::Target {
                &self.inner
            }
        }

        impl FromClientConfig for $name<DefaultProducerContext> {
            fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
                Self::from_config_and_context(config, DefaultProducerContext)
            }
        }

        impl<C, Part> FromClientConfigAndContext<C> for $name<C, Part>
        where
            Part: Partitioner + $($bound)*,
            C: ProducerContext<Part> + 'static,
        {
            fn from_config_and_context(config: &ClientConfig, user: C) -> KafkaResult<Self> {
                let servers = Arc::new(Servers::of(config));
                let context = Watched { user, servers: Arc::clone(&servers) };
                let inner = producer::$name::from_config_and_context(config, context)?;
                Ok(Self { inner, servers })
            }
        }
    };
}

producer!(BaseProducer where 'static);
producer!(ThreadedProducer where Send + Sync + 'static);

impl<C: ProducerContext + 'static> Clone for ThreadedProducer<C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            servers: Arc::clone(&self.servers),
        }
    }
}
