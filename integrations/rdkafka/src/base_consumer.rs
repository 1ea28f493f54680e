//! [`BaseConsumer`].

use std::ops::Deref;
use std::sync::Arc;

use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::base_consumer::PartitionQueue as InnerQueue;
use rdkafka::consumer::{self, Consumer as _, ConsumerContext, DefaultConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::util::Timeout;

use crate::consume::{Consumer, Seen};

/// [`rdkafka::consumer::BaseConsumer`] that makes a span of every message. Whatever else it can do is that one's.
///
/// ```
/// use ddtrace_rdkafka::{BaseConsumer, ProcessSpan as _}; // in place of rdkafka::consumer::BaseConsumer
/// use rdkafka::consumer::Consumer as _;
///
/// fn work(consumer: &BaseConsumer) -> Result<(), rdkafka::error::KafkaError> {
///     consumer.subscribe(&["orders"])?;
///     for message in consumer.iter() {
///         let message = message?;
///         let mut span = message.process_span();
///         let _active = span.enter();
///         // the work
///     }
///     Ok(())
/// }
/// # let _ = work;
/// ```
pub struct BaseConsumer<C = DefaultConsumerContext>
where
    C: ConsumerContext,
{
    inner: Arc<consumer::BaseConsumer<C>>,
    watch: Arc<Consumer>,
}

impl<C: ConsumerContext> BaseConsumer<C> {
    /// Like the library's own `poll`, in a span that ends when the message is handed out.
    pub fn poll<T: Into<Timeout>>(&self, timeout: T) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.watch
            .watch(self.inner.client(), || self.inner.poll(timeout), seen)
    }

    /// Every message that arrives, for ever.
    pub fn iter(&self) -> Iter<'_, C> {
        Iter(self)
    }

    /// The messages of one partition by themselves, as the library's own `split_partition_queue`.
    pub fn split_partition_queue(
        self: &Arc<Self>,
        topic: &str,
        partition: i32,
    ) -> Option<PartitionQueue<C>> {
        let inner = self.inner.split_partition_queue(topic, partition)?;
        Some(PartitionQueue {
            inner,
            consumer: Arc::clone(self),
        })
    }

    /// Calls a function when messages arrive in an empty queue, as the library's own `set_nonempty_callback`.
    pub fn set_nonempty_callback<F>(&mut self, callback: F)
    where
        F: Fn() + Send + Sync + 'static,
    {
        // Shared only with queues of partitions, which hold this value as well: then there is no exclusive borrow of it.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_nonempty_callback(callback);
        }
    }
}

fn seen<'m, 'a>(result: &'m Option<KafkaResult<BorrowedMessage<'a>>>) -> Seen<'m, 'a> {
    result.as_ref().map_or(Seen::Nothing, Seen::in_result)
}

/// Every message that arrives; made by [`BaseConsumer::iter`].
pub struct Iter<'a, C: ConsumerContext>(&'a BaseConsumer<C>);

impl<'a, C: ConsumerContext> Iterator for Iter<'a, C> {
    type Item = KafkaResult<BorrowedMessage<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let consumer = &self.0;
            // No span of a poll that found nothing: there is no end to the waiting.
            let found = consumer.watch.watch(
                consumer.inner.client(),
                || consumer.inner.poll(Timeout::Never),
                |result| result.as_ref().map_or(Seen::NotYet, Seen::in_result),
            );
            if found.is_some() {
                return found;
            }
        }
    }
}

impl<'a, C: ConsumerContext> IntoIterator for &'a BaseConsumer<C> {
    type Item = KafkaResult<BorrowedMessage<'a>>;
    type IntoIter = Iter<'a, C>;

    fn into_iter(self) -> Iter<'a, C> {
        self.iter()
    }
}

/// The messages of one partition; made by [`BaseConsumer::split_partition_queue`].
pub struct PartitionQueue<C: ConsumerContext> {
    inner: InnerQueue<C>,
    consumer: Arc<BaseConsumer<C>>,
}

impl<C: ConsumerContext> PartitionQueue<C> {
    /// Like the library's own `poll`, in a span that ends when the message is handed out.
    pub fn poll<T: Into<Timeout>>(&self, timeout: T) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        let consumer = &self.consumer;
        consumer
            .watch
            .watch(consumer.inner.client(), || self.inner.poll(timeout), seen)
    }

    /// Calls a function when messages arrive in the empty queue, as the library's own `set_nonempty_callback`.
    pub fn set_nonempty_callback<F>(&mut self, callback: F)
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.inner.set_nonempty_callback(callback);
    }
}

impl<C: ConsumerContext> Deref for BaseConsumer<C> {
    type Target = consumer::BaseConsumer<C>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

crate::consumer_trait::delegate!(BaseConsumer<C>);

impl FromClientConfig for BaseConsumer {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::from_config_and_context(config, DefaultConsumerContext)
    }
}

impl<C: ConsumerContext> FromClientConfigAndContext<C> for BaseConsumer<C> {
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let inner = consumer::BaseConsumer::from_config_and_context(config, context)?;
        Ok(Self {
            inner: Arc::new(inner),
            watch: Consumer::of(config),
        })
    }
}
