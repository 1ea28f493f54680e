//! [`Channel`].

use std::ops::Deref;
use std::sync::Arc;

use ddtrace_core::trace;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicConsumeOptions, BasicGetOptions, BasicPublishOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Result};

use crate::confirm::PublisherConfirm;
use crate::consumer::Consumer;
use crate::peer::Peer;
use crate::publish;
use crate::receive::{Asked, Reader};
use crate::settings::SETTINGS;

/// [`lapin::Channel`] that makes a span of every message. Whatever else it can do is that one's.
///
/// ```no_run
/// use ddtrace_lapin::Channel; // in place of lapin::Channel
/// use lapin::BasicProperties;
/// use lapin::options::BasicPublishOptions;
///
/// async fn place(channel: &Channel, order: &[u8]) -> lapin::Result<()> {
///     let options = BasicPublishOptions::default();
///     let confirm = channel
///         .basic_publish("orders".into(), "new".into(), options, order, BasicProperties::default())
///         .await?;
///     confirm.await?;
///     Ok(())
/// }
/// # let _ = place;
/// ```
///
/// One of a connection that is not watched becomes watched by `Channel::from`; its spans do not say which broker it leads to.
#[derive(Clone, Debug)]
pub struct Channel {
    inner: lapin::Channel,
    peer: Arc<Peer>,
}

impl Channel {
    pub(crate) fn at(inner: lapin::Channel, peer: Arc<Peer>) -> Self {
        Self { inner, peer }
    }

    /// Like the library's own `basic_publish`, in a span that begins when the future is first polled and ends when the message is
    /// handed over; on a channel with publisher confirms, when it is confirmed.
    ///
    /// A future that is dropped half way leaves a span that is marked as cancelled; the message may be on its way all the same.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn basic_publish(
        &self,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
        payload: &[u8],
        properties: BasicProperties,
    ) -> Result<PublisherConfirm> {
        let Some(settings) = SETTINGS.get() else {
            let published =
                self.inner
                    .basic_publish(exchange, routing_key, options, payload, properties);
            return Ok(PublisherConfirm::new(published.await?, None));
        };
        let place = (exchange.as_str(), routing_key.as_str());
        let (mut span, properties) =
            publish::start(&settings, &self.peer, place, payload.len(), properties);
        drop(settings);
        let published =
            self.inner
                .basic_publish(exchange, routing_key, options, payload, properties);
        match trace::poll_within(&mut span, published).await {
            Ok(confirm) => {
                let is_confirmed = self.inner.status().confirm();
                Ok(PublisherConfirm::new(confirm, is_confirmed.then_some(span)))
            }
            Err(error) => {
                span.set_error(&error);
                Err(error)
            }
        }
    }

    /// Like the library's own `basic_consume`; every message that the consumer hands out has a span.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn basic_consume(
        &self,
        queue: ShortString,
        consumer_tag: ShortString,
        options: BasicConsumeOptions,
        arguments: FieldTable,
    ) -> Result<Consumer> {
        let inner = self
            .inner
            .basic_consume(queue, consumer_tag, options, arguments)
            .await?;
        Ok(Consumer::at(inner, Arc::clone(&self.peer)))
    }

    /// Like the library's own `basic_get`, in a span that lasts from the question to the answer.
    ///
    /// An answer without a message makes a span as well: it was a question to the broker.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub async fn basic_get(
        &self,
        queue: ShortString,
        options: BasicGetOptions,
    ) -> Result<Option<BasicGetMessage>> {
        let Some(settings) = SETTINGS.get() else {
            return self.inner.basic_get(queue, options).await;
        };
        let reader = Reader::new(queue.as_str(), None, Arc::clone(&self.peer));
        let asked = Asked::begin(settings, reader);
        let answer = self.inner.basic_get(queue, options).await;
        asked.answered(&answer);
        answer
    }

    /// The library's own channel, whose messages are not watched.
    pub fn into_inner(self) -> lapin::Channel {
        self.inner
    }
}

impl From<lapin::Channel> for Channel {
    fn from(inner: lapin::Channel) -> Self {
        Self::at(inner, Arc::default())
    }
}

impl PartialEq for Channel {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Deref for Channel {
    type Target = lapin::Channel;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

#[cfg(test)]
mod tests {
    use lapin::ConnectionProperties;

    use super::*;
    use crate::Connection;

    /// It compiles: what can be given to a task of another thread in lapin can be here.
    #[test]
    fn futures_can_go_to_other_threads() {
        fn goes<T: Send>(_: T) {}
        let _ = |connection: &Connection, channel: &Channel| {
            goes(Connection::connect("", ConnectionProperties::default()));
            goes(connection.create_channel());
            let (options, properties) = Default::default();
            goes(channel.basic_publish("".into(), "".into(), options, &[], properties));
            let (options, arguments) = Default::default();
            goes(channel.basic_consume("".into(), "".into(), options, arguments));
            goes(channel.basic_get("".into(), BasicGetOptions::default()));
        };
        fn goes_anywhere<T: Send + Sync>() {}
        goes_anywhere::<(Connection, Channel, Consumer)>();
        goes::<Option<PublisherConfirm>>(None);
    }
}
