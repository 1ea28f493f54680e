//! Messages that a program sends through queues, topics and streams, and messages that it takes from them.
//!
//! ```text
//!   producer:  MessageProduce ──> (the library sends) ──> MessageDelivered, where the broker says an offset
//!   consumer:  (the library receives) ──> MessageConsume, one a message ──> MessageProcess, where its work begins
//!              └──> MessageCommit, MessageWatermark: how far the consumer is, and how far the partition goes
//! ```
//!
//! What tells one queue from another stands in `system`, `destination` and `details`: a listener that needs it in its own
//! words puts these together and adds nothing that only one system has.

use std::time::SystemTime;

use super::{Event, Listeners};
use crate::propagation::{Carrier, CarrierMut};
use crate::trace::Span;

/// Headers of a message that is about to be sent: to read, and to write to. Every carrier of both kinds is one.
pub trait MessageHeaders {
    /// To read from.
    fn as_carrier(&self) -> &dyn Carrier;

    /// To write to.
    fn as_carrier_mut(&mut self) -> &mut dyn CarrierMut;
}

impl<T: Carrier + CarrierMut> MessageHeaders for T {
    fn as_carrier(&self) -> &dyn Carrier {
        self
    }

    fn as_carrier_mut(&mut self) -> &mut dyn CarrierMut {
        self
    }
}

/// A message is about to be sent.
///
/// Dispatched by the integrations of messaging libraries on the thread that sends, after the span was opened and after
/// trace context was written to the message. The span is not entered: what is active is what sends. Listeners may add to
/// the span, and may write to the message by `headers`.
#[non_exhaustive]
pub struct MessageProduce<'a> {
    /// The span of the sending; of a batch, that of the whole batch.
    pub span: &'a mut Span,
    /// The kind of system: `kafka`, `sqs`, `sns`, `kinesis`, `eventbridge`, `rabbitmq`, …
    pub system: &'a str,
    /// The topic, queue or stream; nothing if the message goes elsewhere, as `details` say.
    pub destination: Option<&'a str>,
    /// What else tells this destination from others, as key and value: `("kafka_cluster_id", "…")`, `("exchange", "…")`.
    pub details: &'a [(&'a str, &'a str)],
    /// Bytes of the message: value, key and headers as they stand.
    pub size: u64,
    /// Its headers; nothing if the message cannot take anything more.
    pub headers: Option<&'a mut dyn MessageHeaders>,
}

/// A broker has said what became of a message.
///
/// Dispatched by the integrations whose libraries report it, on the thread on which they report. The span of the message has
/// ended, or is about to.
#[derive(Debug)]
#[non_exhaustive]
pub struct MessageDelivered<'a> {
    /// The kind of system.
    pub system: &'a str,
    /// The topic.
    pub destination: &'a str,
    /// The part of the topic.
    pub partition: i32,
    /// Where in the partition it was stored; nothing if it was not, or if the broker does not say.
    pub offset: Option<i64>,
    /// The id of the broker's cluster, if it is known.
    pub cluster: Option<&'a str>,
}

/// A message has arrived.
///
/// Dispatched for every message, also those of a batch, on the thread that receives it, before the user's code sees it. The
/// span is not entered: what is active is what receives, and will work on the message unless it says otherwise by
/// [`MessageProcess`]. Not dispatched for what the library reports as an error. Listeners may add to the span.
#[non_exhaustive]
pub struct MessageConsume<'a> {
    /// The span of the receiving; of a batch, that of the whole batch.
    pub span: &'a mut Span,
    /// The kind of system.
    pub system: &'a str,
    /// The topic, queue or stream.
    pub source: &'a str,
    /// The group that the consumer belongs to.
    pub group: Option<&'a str>,
    /// What else tells this source from others, as key and value.
    pub details: &'a [(&'a str, &'a str)],
    /// Bytes of the message: value, key and headers.
    pub size: u64,
    /// When it entered the stream, for systems whose messages have no headers that say more.
    pub arrived_at: Option<SystemTime>,
    /// Its headers.
    pub headers: &'a dyn Carrier,
}

/// Work on a message begins, in a span of its own.
///
/// Dispatched after that span was opened, wherever that is: the message may have been handed to another thread since it was
/// [consumed](MessageConsume). Listeners may add to the span.
#[non_exhaustive]
pub struct MessageProcess<'a> {
    /// The span of the work. It is not entered.
    pub span: &'a mut Span,
    /// The kind of system.
    pub system: &'a str,
    /// The topic, queue or stream.
    pub source: &'a str,
    /// The group that the consumer belongs to.
    pub group: Option<&'a str>,
    /// What else tells this source from others, as key and value.
    pub details: &'a [(&'a str, &'a str)],
    /// Its headers.
    pub headers: &'a dyn Carrier,
}

/// A group of consumers has told the broker how far it is in a partition.
///
/// Dispatched on the thread that commits, when the library was asked to; for a library that commits by itself, when the message was
/// read.
#[derive(Debug)]
#[non_exhaustive]
pub struct MessageCommit<'a> {
    /// The kind of system.
    pub system: &'a str,
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub source: &'a str,
    /// The part of the topic.
    pub partition: i32,
    /// The offset that is read next. Below zero where it is not a number.
    pub offset: i64,
    /// The id of the broker's cluster, if it is known.
    pub cluster: Option<&'a str>,
}

/// A consumer knows where a partition ends.
///
/// Dispatched now and then on the thread that receives, from what the library knows anyway: nobody asks the broker for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct MessageWatermark<'a> {
    /// The kind of system.
    pub system: &'a str,
    /// The topic.
    pub source: &'a str,
    /// The part of the topic.
    pub partition: i32,
    /// The offset that the next message of the partition will have.
    pub offset: i64,
    /// The id of the broker's cluster, if it is known.
    pub cluster: Option<&'a str>,
}

impl<'a> MessageProduce<'a> {
    /// Puts the fact together; what is optional is set on the result.
    pub fn new(span: &'a mut Span, system: &'a str, destination: Option<&'a str>) -> Self {
        Self {
            span,
            system,
            destination,
            details: &[],
            size: 0,
            headers: None,
        }
    }
}

impl<'a> MessageDelivered<'a> {
    /// Puts the fact together; what is optional is set on the result.
    pub fn new(system: &'a str, destination: &'a str, partition: i32) -> Self {
        Self {
            system,
            destination,
            partition,
            offset: None,
            cluster: None,
        }
    }
}

impl<'a> MessageConsume<'a> {
    /// Puts the fact together; what is optional is set on the result.
    pub fn new(
        span: &'a mut Span,
        system: &'a str,
        source: &'a str,
        headers: &'a dyn Carrier,
    ) -> Self {
        Self {
            span,
            system,
            source,
            group: None,
            details: &[],
            size: 0,
            arrived_at: None,
            headers,
        }
    }
}

impl<'a> MessageProcess<'a> {
    /// Puts the fact together; what is optional is set on the result.
    pub fn new(
        span: &'a mut Span,
        system: &'a str,
        source: &'a str,
        headers: &'a dyn Carrier,
    ) -> Self {
        Self {
            span,
            system,
            source,
            group: None,
            details: &[],
            headers,
        }
    }
}

impl<'a> MessageCommit<'a> {
    /// Puts the fact together; what is optional is set on the result.
    pub fn new(
        system: &'a str,
        group: &'a str,
        source: &'a str,
        partition: i32,
        offset: i64,
    ) -> Self {
        Self {
            system,
            group,
            source,
            partition,
            offset,
            cluster: None,
        }
    }
}

impl<'a> MessageWatermark<'a> {
    /// Puts the fact together; what is optional is set on the result.
    pub fn new(system: &'a str, source: &'a str, partition: i32, offset: i64) -> Self {
        Self {
            system,
            source,
            partition,
            offset,
            cluster: None,
        }
    }
}

/// The `Event` of each.
macro_rules! events {
    ($($name:ident),+ $(,)?) => {
        $(impl Event for $name<'static> {
            type Payload<'a> = $name<'a>;
            const NAME: &'static str = stringify!($name);

            fn listeners() -> &'static Listeners<Self> {
                static LISTENERS: Listeners<$name<'static>> = Listeners::new();
                &LISTENERS
            }
        })+
    };
}

events!(
    MessageProduce,
    MessageDelivered,
    MessageConsume,
    MessageProcess,
    MessageCommit,
    MessageWatermark,
);
