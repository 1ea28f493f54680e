//! Subscriptions: commands that are no part of the library's traits.

use ddtrace_core::trace::{Span, instrument_with};
use redis::aio::{MultiplexedConnection, PubSub, PubSubSink};
use redis::{RedisResult, ToRedisArgs};

use crate::span::{self, SETTINGS};
use crate::traced::{Traced, arguments};

impl<C> Traced<C> {
    /// The span of a subscription.
    fn subscription(&self, name: &str, channels: impl ToRedisArgs) -> Span {
        match SETTINGS.get() {
            Some(settings) => {
                let command = redis::cmd(name).arg(channels).take();
                span::command(&settings, &self.server, arguments(&command)).0
            }
            None => Span::off(),
        }
    }
}

/// Says whether a subscription failed.
fn subscribed(result: &RedisResult<()>, span: &mut Span) {
    if let Err(error) = result {
        span::mark(span, error);
    }
}

macro_rules! subscriptions {
    ($connection:ty: $($method:ident by $command:literal,)+) => {
        impl Traced<$connection> {
            $(
                #[doc = concat!("Sends `", $command, "`; see the library's method of this name.")]
                ///
                /// # Errors
                ///
                /// Those of the library's method.
                pub async fn $method(&mut self, channel: impl ToRedisArgs) -> RedisResult<()> {
                    let span = self.subscription($command, &channel);
                    instrument_with(span, self.inner.$method(channel), subscribed).await
                }
            )+
        }
    };
    ($($connection:ty),+) => {$(
        subscriptions! {
            $connection:
            subscribe by "SUBSCRIBE",
            unsubscribe by "UNSUBSCRIBE",
            psubscribe by "PSUBSCRIBE",
            punsubscribe by "PUNSUBSCRIBE",
        }
    )+};
}

subscriptions!(MultiplexedConnection, PubSub, PubSubSink);

#[cfg(feature = "connection-manager")]
subscriptions!(redis::aio::ConnectionManager);

#[cfg(feature = "cluster")]
subscriptions!(redis::cluster_async::ClusterConnection);
