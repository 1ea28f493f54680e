//! What is done with a message that has arrived.

use std::sync::Arc;
use std::time::SystemTime;

use ddtrace_core::events::{self, MessageConsume, MessageProcess};
use ddtrace_core::instrument::Enabled;
use ddtrace_core::trace::{Context, Site, Span, SpanKind};
use lapin::message::{BasicGetMessage, Delivery};
use lapin::types::ShortString;
use lapin::{Error, Result};

use crate::headers::Incoming;
use crate::names;
use crate::peer::Peer;
use crate::process;
use crate::queues;
use crate::settings::{SYSTEM, flag, number, text};

ddtrace_core::site! {
    static RECEIVE: Site = Site::new("amqp.receive", "receive", module_path!(), file!(), line!())
        .with_span_type("worker")
        .with_kind(SpanKind::Consumer)
        .with_component("lapin");
}

/// Who takes messages out of a queue.
#[derive(Debug)]
pub(crate) struct Reader {
    queue: Arc<str>,
    /// Nothing for one that takes a single message.
    consumer: Option<ShortString>,
    peer: Arc<Peer>,
}

impl Reader {
    pub(crate) fn new(queue: &str, consumer: Option<ShortString>, peer: Arc<Peer>) -> Self {
        Self {
            queue: names::queue(queue).into(),
            consumer,
            peer,
        }
    }

    /// A message was found by a look that began a while ago, and is about to be handed out.
    pub(crate) fn received(&self, settings: &Enabled, began: SystemTime, delivery: &Delivery) {
        drop(self.open_for(settings, began, delivery));
    }

    /// The look found an error.
    pub(crate) fn failed(&self, settings: &Enabled, began: SystemTime, error: &Error) {
        self.open(settings, began, None).set_error(error);
    }

    /// A message is about to be worked on by a function of the user's, within the span that this gives.
    ///
    /// Whatever is active here has nothing to do with it: messages that had been waiting come while the function is being named.
    pub(crate) fn work(&self, settings: &Enabled, delivery: &Delivery) -> Span {
        let mut apart = Context::default();
        apart.clear_baggage();
        let _attached = apart.attach();
        let mut span = self.open_for(settings, SystemTime::now(), delivery);
        let headers = Incoming::of(&delivery.properties);
        events::dispatch::<MessageProcess<'_>>(|| {
            MessageProcess::new(&mut span, SYSTEM, &self.queue, &headers)
        });
        span
    }

    fn open_for(&self, settings: &Enabled, began: SystemTime, delivery: &Delivery) -> Span {
        queues::remember(delivery, &self.queue);
        let headers = Incoming::of(&delivery.properties);
        let mut span = self.open(settings, began, Some(&headers));
        describe_delivery(&mut span, delivery);
        events::dispatch::<MessageConsume<'_>>(|| {
            let size = headers.size() + delivery.data.len();
            let mut event = MessageConsume::new(&mut span, SYSTEM, &self.queue, &headers);
            event.size = size as u64;
            event
        });
        span
    }

    /// The span of a look that began a while ago: under the sender's if headers say so.
    fn open(&self, settings: &Enabled, began: SystemTime, headers: Option<&Incoming<'_>>) -> Span {
        let headers = headers.filter(|_| settings.own.distributed_tracing);
        let mut span = process::start(&RECEIVE, headers);
        span.set_start_time(began);
        if span.is_recording() {
            process::describe(&mut span, settings, Some(&self.queue));
            if settings.names_by_v1() {
                span.set_name("amqp.process");
            }
            let consumer = self.consumer.as_ref().map(ShortString::as_str);
            span.set_tags(&[text("amqp.consumer_tag", consumer)]);
            self.peer.describe(&mut span);
        }
        span
    }
}

/// A question for a single message, until it is answered.
pub(crate) struct Asked {
    settings: Arc<Enabled>,
    reader: Reader,
    began: SystemTime,
    is_answered: bool,
}

impl Asked {
    pub(crate) fn begin(settings: Arc<Enabled>, reader: Reader) -> Self {
        Self {
            settings,
            reader,
            began: SystemTime::now(),
            is_answered: false,
        }
    }

    pub(crate) fn answered(mut self, answer: &Result<Option<BasicGetMessage>>) {
        self.is_answered = true;
        match answer {
            Ok(Some(message)) => self.reader.received(&self.settings, self.began, message),
            Ok(None) => {
                let mut span = self.reader.open(&self.settings, self.began, None);
                span.set_tags(&[flag("amqp.received_message", false)]);
            }
            Err(error) => self.reader.failed(&self.settings, self.began, error),
        }
    }
}

impl Drop for Asked {
    /// Whoever asked has stopped waiting.
    fn drop(&mut self) {
        if !self.is_answered {
            let mut span = self.reader.open(&self.settings, self.began, None);
            span.mark_cancelled();
        }
    }
}

/// What every span of a message says about it.
pub(crate) fn describe_delivery(span: &mut Span, delivery: &Delivery) {
    if !span.is_recording() {
        return;
    }
    let mode = delivery.properties.delivery_mode().map(f64::from);
    span.set_tags(&[
        text("amqp.exchange", Some(delivery.exchange.as_str())),
        text("amqp.routing_key", Some(delivery.routing_key.as_str())),
        number("amqp.body_length", Some(delivery.data.len() as f64)),
        number("amqp.delivery_mode", mode),
        flag("amqp.redelivered", delivery.redelivered),
    ]);
}
