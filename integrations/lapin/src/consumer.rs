//! [`Consumer`].

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use ddtrace_core::trace::instrument;
use futures_core::Stream;
use lapin::message::{Delivery, DeliveryResult};
use lapin::{ConsumerDelegate, Result};

use crate::peer::Peer;
use crate::receive::Reader;
use crate::settings::SETTINGS;

/// [`lapin::Consumer`] that makes a span of every message. Whatever else it can do is that one's.
///
/// ```no_run
/// use ddtrace_lapin::{Consumer, ProcessSpan as _}; // in place of lapin::Consumer
/// use futures_util::StreamExt as _;
/// use lapin::options::BasicAckOptions;
///
/// async fn work(mut consumer: Consumer) -> lapin::Result<()> {
///     while let Some(delivery) = consumer.next().await {
///         let delivery = delivery?;
///         {
///             let mut span = delivery.process_span();
///             let _active = span.enter();
///             // the work
///         }
///         delivery.ack(BasicAckOptions::default()).await?;
///     }
///     Ok(())
/// }
/// # let _ = work;
/// ```
///
/// The span of a message begins with the look that found it: time spent waiting for one is not in it.
#[derive(Clone, Debug)]
pub struct Consumer {
    inner: lapin::Consumer,
    reader: Arc<Reader>,
}

impl Consumer {
    pub(crate) fn at(inner: lapin::Consumer, peer: Arc<Peer>) -> Self {
        let reader = Reader::new(inner.queue().as_str(), Some(inner.tag()), peer);
        Self {
            inner,
            reader: Arc::new(reader),
        }
    }

    /// Lets a delegate take the messages, as the library's own `set_delegate`. The span of a message lasts until the future that the
    /// delegate gives for it is done, and is active meanwhile.
    pub fn set_delegate<D: ConsumerDelegate + 'static>(&self, delegate: D) {
        self.inner.set_delegate(Watched {
            user: delegate,
            reader: Arc::clone(&self.reader),
        });
    }

    /// The library's own consumer, whose messages are not watched.
    pub fn into_inner(self) -> lapin::Consumer {
        self.inner
    }
}

impl Stream for Consumer {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(settings) = SETTINGS.get() else {
            return Pin::new(&mut self.inner).poll_next(cx);
        };
        let began = SystemTime::now();
        let polled = Pin::new(&mut self.inner).poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(delivery))) => self.reader.received(&settings, began, delivery),
            Poll::Ready(Some(Err(error))) => self.reader.failed(&settings, began, error),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }
}

impl Deref for Consumer {
    type Target = lapin::Consumer;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

/// The user's delegate, with a span around what it does.
struct Watched<D> {
    user: D,
    reader: Arc<Reader>,
}

impl<D: ConsumerDelegate> ConsumerDelegate for Watched<D> {
    fn on_new_delivery(
        &self,
        delivery: DeliveryResult,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let Some(settings) = SETTINGS.get() else {
            return self.user.on_new_delivery(delivery);
        };
        let mut span = match &delivery {
            Ok(Some(delivery)) => self.reader.work(&settings, delivery),
            Ok(None) => return self.user.on_new_delivery(delivery),
            Err(error) => {
                self.reader.failed(&settings, SystemTime::now(), error);
                return self.user.on_new_delivery(delivery);
            }
        };
        let work = {
            let _active = span.enter();
            self.user.on_new_delivery(delivery)
        };
        Box::pin(instrument(span, work))
    }

    fn drop_prefetched_messages(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.user.drop_prefetched_messages()
    }
}
