//! Spans of the work on messages.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use ddtrace_core::events::{self, MessageProcess};
use ddtrace_core::instrument::Enabled;
use ddtrace_core::propagation::{Carrier, CarrierMut};
use ddtrace_core::trace::{self, Site, Span, SpanKind};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message, OwnedHeaders, OwnedMessage};

use crate::consume::{Consumer, describe_message};
use crate::headers::{Incoming, Outgoing};
use crate::produce::{number, text};
use crate::settings::{SERVICE, SETTINGS};

ddtrace_core::site! {
    static PROCESS: Site = Site::new("kafka.process", "process", module_path!(), file!(), line!())
        .with_span_type("worker")
        .with_kind(SpanKind::Consumer)
        .with_component("rdkafka");
}

/// Topics whose readers are remembered.
const MAX_TOPICS: usize = 10_000;

/// Who has read a topic last in this process: a message does not know its consumer.
static READERS: RwLock<Option<HashMap<Box<str>, Arc<Consumer>>>> = RwLock::new(None);

/// Says that a consumer reads a topic.
pub(crate) fn remember(topic: &str, consumer: &Arc<Consumer>) {
    {
        let readers = READERS.read().unwrap_or_else(PoisonError::into_inner);
        let known = readers.as_ref().and_then(|readers| readers.get(topic));
        if known.is_some_and(|known| Arc::ptr_eq(known, consumer)) {
            return;
        }
    }
    let mut readers = READERS.write().unwrap_or_else(PoisonError::into_inner);
    let readers = readers.get_or_insert_default();
    if readers.len() < MAX_TOPICS || readers.contains_key(topic) {
        readers.insert(topic.into(), Arc::clone(consumer));
    }
}

fn reader(topic: &str) -> Option<Arc<Consumer>> {
    let readers = READERS.read().unwrap_or_else(PoisonError::into_inner);
    readers.as_ref()?.get(topic).cloned()
}

/// Starts a span under that of whoever sent the message, if its headers say so, or else under what is active here.
pub(crate) fn start(site: &'static Site, headers: Option<&Incoming<'_>>) -> Span {
    let extracted = headers.map(|headers| trace::extract_for("kafka", headers));
    let extracted = extracted.unwrap_or_default();
    if extracted.context.is_some() {
        return Span::start_from(site, extracted);
    }
    let mut span = Span::start(site);
    for (key, value) in extracted.baggage.iter() {
        span.set_baggage(key, value);
    }
    for link in extracted.links {
        span.add_link(link.into());
    }
    span
}

/// A message that work can be done on: as the consumer hands it out, or detached from it.
pub trait ProcessSpan: Message {
    /// A span for the work on this message: a child of the producer's span, wherever the message has been handed to since it
    /// was received. What is produced while it is active goes on from this message.
    ///
    /// Where the headers say nothing of a producer, it is a child of what is active.
    ///
    /// ```
    /// use ddtrace_rdkafka::ProcessSpan as _;
    /// use rdkafka::message::OwnedMessage;
    ///
    /// fn on_message(message: &OwnedMessage) {
    ///     let mut span = message.process_span();
    ///     let _active = span.enter();
    ///     // the work
    /// }
    /// # let _ = on_message;
    /// ```
    ///
    /// For an `async` block or function: `ddtrace::instrument(message.process_span(), work)`.
    fn process_span(&self) -> Span;
}

impl ProcessSpan for BorrowedMessage<'_> {
    fn process_span(&self) -> Span {
        batch_span([self])
    }
}

impl ProcessSpan for OwnedMessage {
    fn process_span(&self) -> Span {
        batch_span([self])
    }
}

/// Headers that can be read without the owner's own way.
pub trait NativeHeaders {
    #[doc(hidden)]
    fn native(&self) -> &BorrowedHeaders;
}

impl NativeHeaders for BorrowedHeaders {
    fn native(&self) -> &BorrowedHeaders {
        self
    }
}

impl NativeHeaders for OwnedHeaders {
    fn native(&self) -> &BorrowedHeaders {
        self.as_borrowed()
    }
}

/// The headers of a message that has arrived, to read context from by hand: for `ddtrace::extract`, or a checkpoint of data streams.
///
/// ```
/// use ddtrace_core::propagation::Carrier as _;
/// use rdkafka::message::OwnedMessage;
///
/// fn order_id(message: &OwnedMessage) -> Option<String> {
///     let headers = ddtrace_rdkafka::carrier(message);
///     let id = headers.get("x-order-id")?;
///     Some(String::from_utf8_lossy(id).into_owned())
/// }
/// # let _ = order_id;
/// ```
pub fn carrier<M>(message: &M) -> impl Carrier + '_
where
    M: Message,
    M::Headers: NativeHeaders,
{
    Incoming::of(message.headers().map(NativeHeaders::native))
}

/// Writes context into headers by hand, for messages that are sent without the producers of this crate. Headers of the same
/// names are replaced.
///
/// ```
/// use rdkafka::producer::BaseRecord;
///
/// let mut record = BaseRecord::to("orders").key("42").payload("tea");
/// record.headers = ddtrace_rdkafka::write_headers(record.headers.take(), |headers| {
///     ddtrace_core::trace::inject(headers);
/// });
/// ```
pub fn write_headers(
    headers: Option<OwnedHeaders>,
    write: impl FnOnce(&mut dyn CarrierMut),
) -> Option<OwnedHeaders> {
    let mut headers = Outgoing::new(headers);
    write(&mut headers);
    headers.into_parts().1
}

/// A span for the work on several messages at once: a child of the first producer's span, with links to the others'.
///
/// It says what the first message is, and how many there are in `messaging.batch.message_count`. What is produced while it is active goes on from the last message.
///
/// ```
/// use rdkafka::message::OwnedMessage;
///
/// fn on_messages(messages: &[OwnedMessage]) {
///     let mut span = ddtrace_rdkafka::batch_span(messages);
///     let _active = span.enter();
///     // the work
/// }
/// # let _ = on_messages;
/// ```
pub fn batch_span<'m, M>(messages: impl IntoIterator<Item = &'m M>) -> Span
where
    M: Message + 'm,
    M::Headers: NativeHeaders,
{
    let Some(settings) = SETTINGS.get() else {
        return Span::start(&PROCESS);
    };
    let mut messages = messages.into_iter();
    let Some(first) = messages.next() else {
        let mut span = Span::start(&PROCESS);
        describe(&mut span, &settings, None::<&M>, None);
        return span;
    };
    let reads_context = settings.own.distributed_tracing;
    let headers = Incoming::of(first.headers().map(NativeHeaders::native));
    let mut span = start(&PROCESS, Some(&headers).filter(|_| reads_context));
    let of_first = reader(first.topic());
    describe(&mut span, &settings, Some(first), of_first.as_deref());
    tell(&mut span, first.topic(), of_first.as_deref(), &headers);
    let mut count = 1u32;
    for message in messages {
        count = count.saturating_add(1);
        let headers = Incoming::of(message.headers().map(NativeHeaders::native));
        if reads_context {
            link(&mut span, &headers);
        }
        tell(
            &mut span,
            message.topic(),
            reader(message.topic()).as_deref(),
            &headers,
        );
    }
    if count > 1 {
        span.set_tags(&[number("messaging.batch.message_count", count)]);
    }
    span
}

fn describe<M: Message>(
    span: &mut Span,
    settings: &Enabled,
    message: Option<&M>,
    reader: Option<&Consumer>,
) {
    if !span.is_recording() {
        return;
    }
    settings.set_service(span, Some(SERVICE));
    let of_work = [
        text("messaging.system", Some("kafka")),
        text("kafka.group_id", reader.and_then(Consumer::group)),
        number("_dd.measured", 1),
    ];
    match message {
        Some(message) => {
            let cluster = reader.and_then(|reader| reader.servers().cluster_of_consumer());
            describe_message(span, of_work, message, cluster);
        }
        None => span.set_tags(&of_work),
    }
}

/// Links the span to that of another message's producer.
fn link(span: &mut Span, headers: &Incoming<'_>) {
    let extracted = trace::extract_for("kafka", headers);
    if let Some(context) = &extracted.context {
        span.add_link(context.into());
    }
    for other in extracted.links {
        span.add_link(other.into());
    }
}

fn tell(span: &mut Span, topic: &str, reader: Option<&Consumer>, headers: &Incoming<'_>) {
    let cluster = reader.and_then(|reader| reader.servers().cluster_of_consumer());
    let details = [("kafka_cluster_id", cluster.unwrap_or_default())];
    events::dispatch::<MessageProcess<'_>>(|| {
        let mut event = MessageProcess::new(span, "kafka", topic, headers);
        event.group = reader.map(|reader| reader.group().unwrap_or_default());
        event.details = if cluster.is_some() { &details } else { &[] };
        event
    });
}
