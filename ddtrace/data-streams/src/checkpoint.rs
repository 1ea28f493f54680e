//! Checkpoints by hand: [`consume`] and [`produce`].

use std::time::SystemTime;

use ddtrace_core::propagation::{Carrier, CarrierMut};
use ddtrace_core::trace::{Value, current_span};

use crate::bucket::Observation;
use crate::current;
use crate::hash::Decimal;
use crate::pathway::{Passage, Pathway};
use crate::switch::{self, Running};
use crate::tags::{Cache, Direction, Given, Tag};
use crate::time::Nanoseconds;

/// A message has arrived: from what kind of system (`kafka`, `sqs`, `nats`, …), and out of what topic, queue or stream.
///
/// Finish it with [`from`](Consume::from), which reads the message's headers. With the product off it is one relaxed load.
///
/// ```
/// # let headers = http::HeaderMap::new();
/// use ddtrace_data_streams as dsm;
///
/// let pathway = dsm::consume("kafka", "orders").group("billing").payload_size(512).from(&headers);
/// # assert!(pathway.is_none(), "it is off unless DD_DATA_STREAMS_ENABLED says otherwise");
/// ```
pub fn consume<'a>(kind: &'a str, source: &'a str) -> Consume<'a> {
    Consume(Checkpoint::new(Direction::In, kind, source))
}

/// A message is about to be sent: to what kind of system, and into what topic, queue or stream.
///
/// Finish it with [`into`](Produce::into), which writes the pathway into the message's headers. With the product off it is one
/// relaxed load.
///
/// ```
/// # let mut headers = http::HeaderMap::new();
/// use ddtrace_data_streams as dsm;
///
/// dsm::produce("kafka", "invoices").payload_size(512).into(&mut headers);
/// # assert!(headers.is_empty());
/// ```
pub fn produce<'a>(kind: &'a str, target: &'a str) -> Produce<'a> {
    Produce(Checkpoint::new(Direction::Out, kind, target))
}

#[derive(Debug)]
struct Checkpoint<'a> {
    given: Given<'a>,
    passage: Passage,
}

impl<'a> Checkpoint<'a> {
    #[inline]
    fn new(direction: Direction, system: &'a str, topic: &'a str) -> Self {
        let given = Given {
            direction,
            is_manual: true,
            system: Some(system),
            topic: Some(topic),
            ..Given::default()
        };
        let passage = Passage {
            adds_header: direction == Direction::Out,
            ..Passage::default()
        };
        Self { given, passage }
    }

    /// Passes it on a pathway.
    fn pass(
        &self,
        running: &Running,
        cache: &mut Cache,
        pathway: &mut Pathway,
        now: Nanoseconds,
    ) -> u64 {
        let point = pathway.pass(running.node, cache, &self.given, self.passage, now);
        let hash = point.hash;
        running.observe(Observation::Point(point));
        hash
    }
}

/// The methods that both kinds of checkpoint have.
macro_rules! options {
    () => {
        /// Adds a tag as it stands, usually `key:value`. It becomes a part of the pathway's identity: no ids.
        pub fn tag(mut self, tag: &'a str) -> Self {
            self.0.given.more.push(Tag::whole(tag));
            self
        }

        /// Adds tags as they stand.
        pub fn tags(mut self, tags: impl IntoIterator<Item = &'a str>) -> Self {
            self.0.given.more.extend(tags.into_iter().map(Tag::whole));
            self
        }

        /// Adds the tag `key:value`, for the attribute: nothing is joined for an edge that is known.
        #[doc(hidden)]
        pub fn pair(mut self, key: &'a str, value: &'a str) -> Self {
            self.0.given.more.push(Tag::pair(key, value));
            self
        }

        /// Adds the tag `group:…`, for the attribute.
        #[doc(hidden)]
        #[inline]
        pub fn in_group(mut self, group: &'a str) -> Self {
            if let Some(before) = self.0.given.group.replace(group) {
                self.0.given.more.push(Tag::pair("group", before));
            }
            self
        }

        /// Bytes of the message: value, key and headers. 0 unless said.
        pub fn payload_size(mut self, bytes: u64) -> Self {
            self.0.passage.payload_size = bytes;
            self
        }

        /// Whether the checkpoint is tagged `manual_checkpoint:true`; it is unless this says otherwise. For those that stand in an
        /// integration.
        pub fn manual(mut self, is_manual: bool) -> Self {
            self.0.given.is_manual = is_manual;
            self
        }
    };
}

/// A checkpoint at which something is consumed; made by [`consume`].
#[must_use = "the checkpoint is passed by `from`"]
#[derive(Debug)]
pub struct Consume<'a>(Checkpoint<'a>);

/// A checkpoint at which something is produced; made by [`produce`].
#[must_use = "the checkpoint is passed by `into`"]
#[derive(Debug)]
pub struct Produce<'a>(Checkpoint<'a>);

impl<'a> Consume<'a> {
    options!();

    /// The group that the consumer belongs to.
    #[inline]
    pub fn group(self, group: &'a str) -> Self {
        self.in_group(group)
    }

    /// When the message entered the stream, where its headers cannot say: latencies are counted from then.
    pub fn arrived_at(mut self, time: SystemTime) -> Self {
        let time = Some(time.into());
        self.0.passage.edge_start = time;
        self.0.passage.pathway_start = time;
        self
    }

    /// Passes the checkpoint, on the pathway that the message's headers say, or on one that begins here.
    ///
    /// That pathway is in force from here on, for the active span and what begins under it, or for the thread if no span is
    /// active: what is [produced](produce) there goes on from this checkpoint. Nothing if the product is off.
    pub fn from(self, carrier: &dyn Carrier) -> Option<Pathway> {
        if !switch::is_on() {
            return None;
        }
        let now = Nanoseconds::now();
        self.at(Pathway::extract_at(carrier, now), now)
    }

    /// The same for a message without headers: its pathway begins here.
    pub fn without_headers(self) -> Option<Pathway> {
        if !switch::is_on() {
            return None;
        }
        let now = Nanoseconds::now();
        self.at(Pathway::begin(now), now)
    }

    /// The same on a pathway that the caller has.
    pub fn on(self, pathway: Pathway) -> Option<Pathway> {
        if !switch::is_on() {
            return None;
        }
        self.at(pathway, Nanoseconds::now())
    }

    fn at(self, mut pathway: Pathway, now: Nanoseconds) -> Option<Pathway> {
        let hash = switch::with(|running, cache| self.0.pass(running, cache, &mut pathway, now))?;
        current::set(pathway);
        tag_span(hash);
        Some(pathway)
    }
}

impl<'a> Produce<'a> {
    options!();

    /// Leaves the tag `topic:` out, for places that other tags name: an exchange of RabbitMQ.
    pub fn without_topic(mut self) -> Self {
        self.0.given.topic = None;
        self
    }

    /// Passes the checkpoint on the pathway in force, and writes the pathway after it into the message's headers.
    ///
    /// Nothing if the product is off.
    pub fn into(self, carrier: &mut dyn CarrierMut) -> Option<Pathway> {
        let pathway = self.without_headers()?;
        pathway.inject(carrier);
        Some(pathway)
    }

    /// The same, for the attribute: who is on the pathway in force already does not see it, so that the pathway is as it was when
    /// the function that produces returns.
    #[doc(hidden)]
    pub fn pass(self) -> Option<Pathway> {
        if !switch::is_on() {
            return None;
        }
        let now = Nanoseconds::now();
        let mut pathway = current::get().unwrap_or_else(|| Pathway::begin(now));
        let hash = switch::with(|running, cache| self.0.pass(running, cache, &mut pathway, now))?;
        current::set(pathway);
        tag_span(hash);
        Some(pathway)
    }

    /// Passes the checkpoint without writing headers; the caller has other ways for [`Pathway::to_header`].
    pub fn without_headers(self) -> Option<Pathway> {
        let (hash, pathway) = switch::with(|running, cache| {
            let now = Nanoseconds::now();
            current::change(
                || Pathway::begin(now),
                |pathway| (self.0.pass(running, cache, pathway, now), *pathway),
            )
        })?;
        tag_span(hash);
        Some(pathway)
    }
}

/// Says on the active span which pathway it belongs to.
fn tag_span(hash: u64) {
    let span = current_span();
    // The text is made only for somebody who keeps it.
    if span.is_recording() {
        span.set_tags(&[hash_tag(&Decimal::new(hash))]);
    }
}

/// The tag that says which pathway a span belongs to.
pub(crate) fn hash_tag(hash: &Decimal) -> ddtrace_core::trace::Tag<'_> {
    ddtrace_core::trace::Tag {
        key: "pathway.hash",
        value: Value::Text(hash.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::Checkpoints;

    enum By {
        Sender(Produce<'static>),
        Receiver(Consume<'static>),
    }
    use By::{Receiver, Sender};

    /// §7: what the table at the head of the crate says gives the tags of the other tracers.
    #[test]
    fn checkpoints_by_hand_have_the_tags_of_each_technology() {
        const ARN: &str = "arn:aws:sns:eu-west-1:1:t";
        const TOPIC: &str = "projects/p/topics/t";
        const SUBSCRIPTION: &str = "projects/p/subscriptions/s";
        let exchange = || produce("rabbitmq", "").without_topic();
        let stream = || consume("kinesis", "s").arrived_at(SystemTime::now());
        let cases = [
            (
                Sender(produce("kafka", "t").tag("kafka_cluster_id:c")),
                "direction:out kafka_cluster_id:c topic:t type:kafka",
            ),
            (
                Receiver(consume("kafka", "t").group("g").tag("kafka_cluster_id:c")),
                "direction:in group:g kafka_cluster_id:c topic:t type:kafka",
            ),
            (
                Sender(produce("rabbitmq", "key")),
                "direction:out topic:key type:rabbitmq",
            ),
            (
                Sender(exchange().tags(["exchange:e", "has_routing_key:false"])),
                "direction:out exchange:e has_routing_key:false type:rabbitmq",
            ),
            (
                Receiver(consume("rabbitmq", "q")),
                "direction:in topic:q type:rabbitmq",
            ),
            (
                Sender(produce("sqs", "q")),
                "direction:out topic:q type:sqs",
            ),
            (
                Receiver(consume("sqs", "q")),
                "direction:in topic:q type:sqs",
            ),
            (
                Sender(produce("sns", ARN)),
                "direction:out topic:arn:aws:sns:eu-west-1:1:t type:sns",
            ),
            (
                Sender(produce("kinesis", "s")),
                "direction:out topic:s type:kinesis",
            ),
            (Receiver(stream()), "direction:in topic:s type:kinesis"),
            (
                Sender(produce("google-pubsub", TOPIC)),
                "direction:out topic:projects/p/topics/t type:google-pubsub",
            ),
            (
                Receiver(consume("google-pubsub", SUBSCRIPTION)),
                "direction:in topic:projects/p/subscriptions/s type:google-pubsub",
            ),
            (
                Sender(produce("eventbridge", "placed").tag("exchange:bus")),
                "direction:out exchange:bus topic:placed type:eventbridge",
            ),
            (
                Sender(produce("nats", "a.b")),
                "direction:out topic:a.b type:nats",
            ),
            (
                Receiver(consume("nats", "a.b").group("g")),
                "direction:in group:g topic:a.b type:nats",
            ),
            (
                Sender(produce("pulsar", "t")),
                "direction:out topic:t type:pulsar",
            ),
            (
                Receiver(consume("fluvio", "t")),
                "direction:in topic:t type:fluvio",
            ),
            (
                Receiver(consume("redis", "s").group("g")),
                "direction:in group:g topic:s type:redis",
            ),
        ];
        let checkpoints = Checkpoints::record("shop");
        for (by, expected) in cases {
            match by {
                Sender(sender) => sender.manual(false).without_headers(),
                Receiver(receiver) => receiver.manual(false).without_headers(),
            };
            let passed = checkpoints.take();
            assert_eq!(passed.len(), 1);
            assert_eq!(passed[0].tags.join(" "), expected);
        }
    }
}
