//! What is known of the broker that a channel leads to.

use ddtrace_core::trace::Span;
use lapin::Configuration;
use lapin::uri::AMQPUri;

use crate::settings::{number, text};

/// The broker at the other end of a connection, as far as it is known: a channel that was opened elsewhere does not say.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// Host and port, as the user wrote them.
    address: Option<(Box<str>, u16)>,
    vhost: Option<Box<str>>,
    configuration: Option<Configuration>,
}

/// The smallest frame that the protocol lets a peer ask for (AMQP 0-9-1, `frame-min-size`).
const SMALLEST_FRAME: usize = 4096;

impl Peer {
    /// Where a connection leads to; nothing but that is taken of the address, which holds a password as well.
    pub(crate) fn of(connection: &lapin::Connection, uri: Option<&AMQPUri>) -> Self {
        let vhost = connection.status().vhost();
        Self {
            address: uri.map(|uri| (uri.authority.host.as_str().into(), uri.authority.port)),
            vhost: Some(vhost.as_str().into()),
            configuration: Some(connection.configuration().clone()),
        }
    }

    pub(crate) fn describe(&self, span: &mut Span) {
        let (host, port) = self
            .address
            .as_ref()
            .map(|(host, port)| (&**host, f64::from(*port)))
            .unzip();
        span.set_tags(&[
            text("out.host", host),
            number("network.destination.port", port),
            text("out.vhost", self.vhost.as_deref()),
        ]);
    }

    /// Whether the broker takes a frame of so many bytes.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        if bytes <= SMALLEST_FRAME {
            return true;
        }
        let largest = self.configuration.as_ref().map(Configuration::frame_max);
        match largest {
            // No limit was agreed on.
            Some(0) => true,
            Some(largest) => usize::try_from(largest).is_ok_and(|largest| bytes <= largest),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_takes_what_every_peer_has_to() {
        let peer = Peer::default();
        assert!(peer.takes(SMALLEST_FRAME));
        assert!(!peer.takes(SMALLEST_FRAME + 1));
    }
}
