//! Where messages go, by the names that the protocol has for it, and what is said of it.

/// What answers to requests are addressed to: behind it stands a token of the one who asked, which is the name of no queue.
const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// How the broker names a queue that the program had no name for.
const GENERATED: &str = "amq.gen-";

/// Where a message is sent to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Destination<'a> {
    /// By the exchange without a name, to which every queue is bound by its own.
    Queue(&'a str),
    /// By an exchange, with a routing key or without.
    Exchange(&'a str, HasRoutingKey),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HasRoutingKey(pub(crate) bool);

impl<'a> Destination<'a> {
    pub(crate) fn of(exchange: &'a str, routing_key: &'a str) -> Self {
        if exchange.is_empty() && !routing_key.is_empty() {
            Self::Queue(queue(routing_key))
        } else {
            Self::Exchange(exchange, HasRoutingKey(!routing_key.is_empty()))
        }
    }

    pub(crate) fn name(self) -> &'a str {
        match self {
            Self::Queue(name) | Self::Exchange(name, _) => name,
        }
    }
}

/// The queue that a name without an exchange stands for.
pub(crate) fn queue(name: &str) -> &str {
    match name.strip_prefix(REPLY_TO) {
        Some(token) if token.starts_with('.') => REPLY_TO,
        _ => name,
    }
}

/// A resource that there are few of: names that the broker makes up are all the same.
pub(crate) fn resource(name: &str) -> &str {
    if name.starts_with(GENERATED) {
        "<generated>"
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routing_key_is_a_queue_only_where_there_is_no_exchange() {
        let exchange = |name, key| Destination::Exchange(name, HasRoutingKey(key));
        for (name, key, expected) in [
            ("", "orders", Destination::Queue("orders")),
            ("", "", exchange("", false)),
            ("shop", "", exchange("shop", false)),
            ("shop", "new", exchange("shop", true)),
            (
                "",
                "amq.rabbitmq.reply-to.g1h2AA==.xyz",
                Destination::Queue("amq.rabbitmq.reply-to"),
            ),
            (
                "",
                "amq.rabbitmq.reply-to",
                Destination::Queue("amq.rabbitmq.reply-to"),
            ),
            (
                "",
                "amq.rabbitmq.reply-tomorrow",
                Destination::Queue("amq.rabbitmq.reply-tomorrow"),
            ),
        ] {
            assert_eq!(Destination::of(name, key), expected);
        }
    }

    #[test]
    fn names_that_the_broker_made_up_are_one_resource() {
        assert_eq!(resource("amq.gen-Xa2RSCrvRJpc"), "<generated>");
        assert_eq!(resource("orders"), "orders");
    }
}
