//! [`FutureProducer`].

#![allow(clippy::result_large_err, reason = "it is what the library returns")]

use std::collections::VecDeque;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use ddtrace_core::instrument::Enabled;
use ddtrace_core::trace::{Span, SpanRef, instrument_with};
use rdkafka::ClientContext;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Message as _, OwnedMessage, ToBytes};
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{self, FutureRecord, Producer as _};
use rdkafka::util::{AsyncRuntime, DefaultRuntime, Timeout};

use crate::cluster::Servers;
use crate::headers::Written;
use crate::produce::{self, Record, Sending, number};
use crate::settings::SETTINGS;

/// Deliveries that nobody waits for any more and that are asked about all the same; beyond it the oldest are forgotten.
const MAX_UNWATCHED: usize = 1024;

/// How many of them one message asks about.
const ASKED_AT_ONCE: usize = 4;

/// [`rdkafka::producer::FutureProducer`] that makes a span of every message. Whatever else it can do is that one's.
///
/// ```
/// use ddtrace_rdkafka::FutureProducer; // the one line: in place of rdkafka::producer::FutureProducer
/// use rdkafka::producer::FutureRecord;
///
/// async fn send(producer: &FutureProducer) -> Result<i64, rdkafka::error::KafkaError> {
///     let record = FutureRecord::to("orders").key("42").payload("tea");
///     let delivery = producer.send(record, None).await.map_err(|(error, _)| error)?;
///     Ok(delivery.offset)
/// }
/// # let _ = send;
/// ```
#[must_use = "Producer polling thread will stop immediately if unused"]
pub struct FutureProducer<C = DefaultClientContext, R = DefaultRuntime>
where
    C: ClientContext + 'static,
{
    inner: producer::FutureProducer<C, R>,
    shared: Arc<Shared>,
}

/// What clones of a producer have in common.
struct Shared {
    servers: Servers,
    unwatched: Mutex<VecDeque<Unwatched>>,
}

/// A message whose delivery the user did not wait for. The backend counts how far a topic goes by deliveries.
struct Unwatched {
    delivery: producer::DeliveryFuture,
    about: About,
}

/// What is left of a message that is in the library's queue.
struct About {
    topic: Box<str>,
    span: Option<SpanRef>,
    written: Written,
}

impl<C, R> FutureProducer<C, R>
where
    C: ClientContext + 'static,
    R: AsyncRuntime,
{
    /// Like the library's own `send`, in a span that begins when the future is first polled and ends when the message
    /// is delivered, or given up, or when the future is dropped (the message may be on its way all the same).
    ///
    /// # Errors
    ///
    /// Those of the library, with the message as it was given.
    pub async fn send<K, P, T>(
        &self,
        mut record: FutureRecord<'_, K, P>,
        queue_timeout: T,
    ) -> OwnedDeliveryResult
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
        T: Into<Timeout>,
    {
        let Some(settings) = SETTINGS.get() else {
            return self.inner.send(record, queue_timeout).await;
        };
        let sending = self.start(&settings, &mut record);
        drop(settings);
        let topic = record.topic;
        let Sending { span, written, .. } = sending;
        let observe = |result: &OwnedDeliveryResult, span: &mut Span| {
            self.shared.observe(topic, result);
            match result {
                Ok(delivery) => say_where(span, delivery),
                Err((error, _)) => span.set_error(error),
            }
        };
        instrument_with(span, self.inner.send(record, queue_timeout), observe)
            .await
            .map_err(|(error, message)| (error, as_given(message, written)))
    }

    /// Like the library's own `send_result`, in a span that lasts until the message is in the library's queue.
    ///
    /// # Errors
    ///
    /// Those of the library, with the record as it was given.
    pub fn send_result<'a, K, P>(
        &self,
        mut record: FutureRecord<'a, K, P>,
    ) -> Result<DeliveryFuture, (KafkaError, FutureRecord<'a, K, P>)>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let Some(settings) = SETTINGS.get() else {
            let delivery = self.inner.send_result(record)?;
            return Ok(DeliveryFuture {
                delivery: Some(delivery),
                watch: None,
            });
        };
        let mut sending = self.start(&settings, &mut record);
        let about = About {
            topic: record.topic.into(),
            span: sending.late.take(),
            written: sending.written,
        };
        match self.inner.send_result(record) {
            Ok(delivery) => Ok(DeliveryFuture {
                delivery: Some(delivery),
                watch: Some((about, Arc::clone(&self.shared))),
            }),
            Err((error, mut record)) => {
                sending.span.set_error(&error);
                record.headers = sending.written.strip(record.headers.take());
                Err((error, record))
            }
        }
    }

    /// Opens the span of a record, and leaves its headers in the record.
    fn start<K, P>(&self, settings: &Enabled, record: &mut FutureRecord<'_, K, P>) -> Sending
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        self.shared.ask_about_unwatched();
        let about = Record {
            topic: record.topic,
            partition: record.partition,
            payload: produce::bytes(record.payload),
            key: produce::bytes(record.key),
        };
        let servers = &self.shared.servers;
        let cluster = servers.cluster_of_producer(self.inner.client());
        let headers = record.headers.take();
        let mut sending = Sending::start(settings, servers, cluster, &about, headers);
        record.headers = sending.headers.take();
        sending
    }
}

impl Shared {
    fn observe(&self, topic: &str, result: &OwnedDeliveryResult) {
        let cluster = self.servers.known_cluster();
        match result {
            Ok(delivery) => produce::delivered(
                topic,
                delivery.partition,
                Some(delivery.offset),
                cluster,
                None,
            ),
            Err((error, message)) => {
                produce::delivered(topic, message.partition(), None, cluster, Some(error));
            }
        }
    }

    /// Says what became of a message whose span has ended.
    fn observe_late(&self, about: &About, result: &OwnedDeliveryResult) {
        self.observe(&about.topic, result);
        if let (Err((error, _)), Some(span)) = (result, &about.span) {
            span.set_error(error);
        }
    }

    fn leave(&self, unwatched: Unwatched) {
        let Ok(mut queue) = self.unwatched.lock() else {
            return;
        };
        if queue.len() >= MAX_UNWATCHED {
            queue.pop_front();
        }
        queue.push_back(unwatched);
    }

    fn ask_about_unwatched(&self) {
        // Whoever holds it asks, or leaves something to ask about.
        let Ok(mut queue) = self.unwatched.try_lock() else {
            return;
        };
        for _ in 0..queue.len().min(ASKED_AT_ONCE) {
            let Some(mut next) = queue.pop_front() else {
                return;
            };
            let mut nobody = Context::from_waker(Waker::noop());
            match Pin::new(&mut next.delivery).poll(&mut nobody) {
                Poll::Ready(Ok(result)) => self.observe_late(&next.about, &result),
                Poll::Ready(Err(_)) => {}
                Poll::Pending => queue.push_back(next),
            }
        }
    }
}

fn say_where(span: &mut Span, delivery: &Delivery) {
    span.set_tags(&[
        number("kafka.partition", delivery.partition),
        number("kafka.message_offset", delivery.offset as f64),
    ]);
}

/// The message with the headers that the user gave it.
fn as_given(mut message: OwnedMessage, written: Written) -> OwnedMessage {
    let headers = written.strip(message.detach_headers());
    message.replace_headers(headers)
}

/// The delivery of a message, as in rdkafka; made by [`FutureProducer::send_result`].
///
/// Dropped early, the message is delivered all the same, and data streams hears of it with one of the next messages.
#[must_use = "futures do nothing unless polled"]
pub struct DeliveryFuture {
    /// Gone once it has completed.
    delivery: Option<producer::DeliveryFuture>,
    watch: Option<(About, Arc<Shared>)>,
}

impl Future for DeliveryFuture {
    type Output = <producer::DeliveryFuture as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(delivery) = &mut self.delivery else {
            return Poll::Pending;
        };
        let result = ready!(Pin::new(delivery).poll(cx));
        self.delivery = None;
        let Some((about, shared)) = self.watch.take() else {
            return Poll::Ready(result);
        };
        if let Ok(result) = &result {
            shared.observe_late(&about, result);
        }
        Poll::Ready(result.map(|result| {
            result.map_err(|(error, message)| (error, as_given(message, about.written)))
        }))
    }
}

impl Drop for DeliveryFuture {
    fn drop(&mut self) {
        if let (Some(delivery), Some((about, shared))) = (self.delivery.take(), self.watch.take()) {
            shared.leave(Unwatched { delivery, about });
        }
    }
}

impl<C, R> Deref for FutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    type Target = producer::FutureProducer<C, R>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<C, R> Clone for FutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<R: AsyncRuntime> FromClientConfig for FutureProducer<DefaultClientContext, R> {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        Self::from_config_and_context(config, DefaultClientContext)
    }
}

impl<C, R> FromClientConfigAndContext<C> for FutureProducer<C, R>
where
    C: ClientContext + 'static,
    R: AsyncRuntime,
{
    fn from_config_and_context(config: &ClientConfig, context: C) -> KafkaResult<Self> {
        let inner = producer::FutureProducer::from_config_and_context(config, context)?;
        let shared = Arc::new(Shared {
            servers: Servers::of(config),
            unwatched: Mutex::default(),
        });
        Ok(Self { inner, shared })
    }
}
