//! [`StreamConsumer`].

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::stream_consumer::{
    MessageStream as InnerStream, StreamPartitionQueue as InnerQueue,
};
use rdkafka::consumer::{self, Consumer as _, ConsumerContext, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::util::{AsyncRuntime, DefaultRuntime};

use crate::consume::{Consumer, Seen};

/// [`rdkafka::consumer::StreamConsumer`] that makes a span of every message. Whatever else it can do is that one's.
///
/// ```
/// use ddtrace_rdkafka::{ProcessSpan as _, StreamConsumer}; // in place of rdkafka::consumer::StreamConsumer
///
/// async fn work(consumer: &StreamConsumer) -> Result<(), rdkafka::error::KafkaError> {
///     loop {
///         let message = consumer.recv().await?;
///         let span = message.process_span();
///         // `instrument(span, handle(&message)).await`
///         # drop(span);
///     }
/// }
/// # let _ = work;
/// ```
///
/// The span of a message begins with the look that found it: time spent waiting for one is not in it.
#[must_use = "Consumer polling thread will stop immediately if unused"]
pub struct StreamConsumer<C = DefaultConsumerContext, R = DefaultRuntime>
where
    C: ConsumerContext,
{
    inner: Arc<consumer::StreamConsumer<C, R>>,
    watch: Arc<Consumer>,
}

impl<C, R> StreamConsumer<C, R>
where
    C: ConsumerContext + 'static,
{
    /// The messages as they arrive, as the library's own `stream`.
    pub fn stream(&self) -> MessageStream<'_, C> {
        MessageStream {
            inner: self.inner.stream(),
            client: self.inner.client(),
            watch: &self.watch,
        }
    }

    /// The next message, as the library's own `recv`; dropping the future loses none.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn recv(&self) -> Result<BorrowedMessage<'_>, KafkaError> {
        let mut next = pin!(self.inner.recv());
        let client = self.inner.client();
        poll_fn(|cx| self.watch.watch(client, || next.as_mut().poll(cx), seen)).await
    }

    /// The messages of one partition by themselves, as the library's own `split_partition_queue`.
    pub fn split_partition_queue(
        self: &Arc<Self>,
        topic: &str,
        partition: i32,
    ) -> Option<StreamPartitionQueue<C, R>> {
        let inner = self.inner.split_partition_queue(topic, partition)?;
        Some(StreamPartitionQueue {
            inner,
            consumer: Arc::clone(self),
        })
    }
}

fn seen<'m, 'a>(result: &'m Poll<KafkaResult<BorrowedMessage<'a>>>) -> Seen<'m, 'a> {
    match result {
        Poll::Ready(result) => Seen::in_result(result),
        Poll::Pending => Seen::NotYet,
    }
}

/// The messages as they arrive; made by [`StreamConsumer::stream`].
pub struct MessageStream<'a, C: ConsumerContext> {
    inner: InnerStream<'a, C>,
    client: &'a rdkafka::client::Client<C>,
    watch: &'a Arc<Consumer>,
}

impl<'a, C: ConsumerContext> Stream for MessageStream<'a, C> {
    type Item = KafkaResult<BorrowedMessage<'a>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (client, watch) = (self.client, self.watch);
        watch.watch(
            client,
            || Pin::new(&mut self.inner).poll_next(cx),
            |result| match result {
                Poll::Ready(Some(result)) => Seen::in_result(result),
                _ => Seen::NotYet,
            },
        )
    }
}

/// The messages of one partition; made by [`StreamConsumer::split_partition_queue`].
pub struct StreamPartitionQueue<C, R = DefaultRuntime>
where
    C: ConsumerContext,
{
    inner: InnerQueue<C, R>,
    consumer: Arc<StreamConsumer<C, R>>,
}

impl<C, R> StreamPartitionQueue<C, R>
where
    C: ConsumerContext,
{
    /// The messages as they arrive.
    pub fn stream(&self) -> MessageStream<'_, C> {
        MessageStream {
            inner: self.inner.stream(),
            client: self.consumer.inner.client(),
            watch: &self.consumer.watch,
        }
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn recv(&self) -> Result<BorrowedMessage<'_>, KafkaError> {
        let mut next = pin!(self.inner.recv());
        let client = self.consumer.inner.client();
        let watch = &self.consumer.watch;
        poll_fn(|cx| watch.watch(client, || next.as_mut().poll(cx), seen)).await
    }
}

impl<C, R> Deref for StreamConsumer<C, R>
where
    C: ConsumerContext,
{
    type Target = consumer::StreamConsumer<C, R>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

crate::consumer_trait::delegate!(StreamConsumer<C, R>);

impl<R: AsyncRuntime> FromClientConfig for StreamConsumer<DefaultConsumerContext, R> {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::from_config_and_context(config, DefaultConsumerContext)
    }
}

impl<C, R> FromClientConfigAndContext<C> for StreamConsumer<C, R>
where
    C: ConsumerContext + 'static,
    R: AsyncRuntime,
{
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let inner = consumer::StreamConsumer::from_config_and_context(config, context)?;
        Ok(Self {
            inner: Arc::new(inner),
            watch: Consumer::of(config),
        })
    }
}
