//! Spans for messages of RabbitMQ sent and received with lapin 4, trace context in their headers, and what data streams needs.
//!
//! ```no_run
//! use ddtrace_lapin::Connection; // in place of lapin::Connection
//! use lapin::options::BasicPublishOptions;
//! use lapin::{BasicProperties, ConnectionProperties};
//!
//! # async fn example() -> lapin::Result<()> {
//! let connection = Connection::connect("amqp://localhost", ConnectionProperties::default()).await?;
//! let channel = connection.create_channel().await?;
//! let options = BasicPublishOptions::default();
//! channel
//!     .basic_publish("orders".into(), "new".into(), options, b"tea", BasicProperties::default())
//!     .await?
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! lapin has no hooks, so four of its types are wrapped: [`Connection`], the [`Channel`] that it opens, and what that one gives,
//! [`Consumer`] and [`PublisherConfirm`]. They are called as in lapin, with its arguments, results and errors; a [`Delivery`](lapin::message::Delivery) is
//! lapin's own. Changing the `use` line is all. What is not watched (declaring, binding, acknowledging, transactions, quality of service, recovery, …) is
//! reached through the wrappers as well. A connection that was made otherwise, by lapin's builder for instance, and a channel of one, become
//! watched by `From`.
//!
//! Versions of lapin from 4.1 on; the runtime and TLS are features of lapin, for the program to choose.
//!
//! # What a span says
//!
//! `amqp.publish`, kind `producer`; `amqp.receive` and `amqp.process`, kind `consumer`; type `worker`, service `rabbitmq`; under schema
//! `v1` `amqp.send` and `amqp.process`. The resource is the exchange of a message that is sent, or the queue where it is sent to
//! one; and the queue of a message that is received. `messaging.system`, `messaging.destination.name`, `amqp.exchange`, `amqp.routing_key`,
//! `amqp.queue`, `amqp.consumer_tag`, `amqp.body_length`, `amqp.delivery_mode`, `amqp.redelivered`, `out.host`, `network.destination.port`, `out.vhost`.
//!
//! * **Publishing.** The span lasts until the message is handed to the socket; on a channel with publisher confirms, until the broker
//!   has confirmed it or the [`PublisherConfirm`] is dropped. A message that the broker refuses, or sends back because no queue takes it, is an
//!   error of the span; the caller gets what lapin says.
//! * **Receiving.** The span of a message begins with the look that found it and ends when it is handed out; that of
//!   [`basic_get`](Channel::basic_get) lasts from the question to the answer. Its parent is the publisher's span, as the headers say, or else what is active.
//!   The span of a message that a delegate takes lasts until the delegate has done with it, and is active meanwhile.
//! * **Processing.** Where messages are taken from the stream, the span of receiving is over by then, so the work on a message has a span
//!   of its own: [`delivery.process_span()`](ProcessSpan::process_span), and for several at once [`batch_span`].
//!
//! # Headers
//!
//! Context is written into the header table of every message, in place of older context if a message is sent on, unless the table would no longer
//! fit into a frame with it. `DD_RABBITMQ_DISTRIBUTED_TRACING=false` keeps it out. Values that are no text are left alone.
//!
//! By hand: [`carrier`] reads, [`write_headers`] writes; [`table`] does both with a table that is in no message yet.
//!
//! # Data streams
//!
//! Every message is told as an [event](ddtrace_core::events) to whoever listens. A message does not say which queue it came from; the
//! consumer knows, and tells [`process_span`](ProcessSpan::process_span) of the messages that it handed out last.
//!
//! Settings are those of the integration `rabbitmq`: `DD_TRACE_RABBITMQ_ENABLED`, `DD_RABBITMQ_SERVICE`, `DD_RABBITMQ_DISTRIBUTED_TRACING`.

mod channel;
mod confirm;
mod connection;
mod consumer;
mod headers;
mod names;
mod peer;
mod process;
mod publish;
mod queues;
mod receive;
mod settings;

pub use channel::Channel;
pub use confirm::PublisherConfirm;
pub use connection::Connection;
pub use consumer::Consumer;
pub use headers::{carrier, table, write_headers};
pub use process::{ProcessSpan, batch_span};

/// The version of the library that is watched: a type of another one is another type, and does not compile with these.
#[doc(no_inline)]
pub use lapin;

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("rabbitmq", "lapin", "4")
}
