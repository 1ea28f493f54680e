//! Spans of the work on messages.

use ddtrace_core::events::{self, MessageProcess};
use ddtrace_core::instrument::Enabled;
use ddtrace_core::trace::{self, Site, Span, SpanKind};
use lapin::message::Delivery;

use crate::headers::Incoming;
use crate::names;
use crate::queues;
use crate::receive::describe_delivery;
use crate::settings::{SERVICE, SETTINGS, SYSTEM, number, text};

ddtrace_core::site! {
    static PROCESS: Site = Site::new("amqp.process", "process", module_path!(), file!(), line!())
        .with_span_type("worker")
        .with_kind(SpanKind::Consumer)
        .with_component("lapin");
}

/// Starts a span under that of whoever sent the message, if its headers say so, or else under what is active here.
pub(crate) fn start(site: &'static Site, headers: Option<&Incoming<'_>>) -> Span {
    let extracted = headers.map(|headers| trace::extract_for(SYSTEM, headers));
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

/// A message that work can be done on.
pub trait ProcessSpan {
    /// A span for the work on this message: a child of the publisher's span, wherever the message has been handed to since it was
    /// received. What is published while it is active goes on from this message.
    ///
    /// Where the headers say nothing of a publisher, it is a child of what is active.
    ///
    /// ```
    /// use ddtrace_lapin::ProcessSpan as _;
    /// use lapin::message::Delivery;
    ///
    /// fn on_delivery(delivery: &Delivery) {
    ///     let mut span = delivery.process_span();
    ///     let _active = span.enter();
    ///     // the work
    /// }
    /// # let _ = on_delivery;
    /// ```
    ///
    /// For an `async` block or function: `ddtrace::instrument(delivery.process_span(), work)`.
    fn process_span(&self) -> Span;
}

impl ProcessSpan for Delivery {
    fn process_span(&self) -> Span {
        batch_span([self])
    }
}

/// A span for the work on several messages at once: a child of the first publisher's span, with links to the others'.
///
/// It says what the first message is, and how many there are in `messaging.batch.message_count`. What is published while it is active goes on from the last
/// message.
///
/// ```
/// use lapin::message::Delivery;
///
/// fn on_deliveries(deliveries: &[Delivery]) {
///     let mut span = ddtrace_lapin::batch_span(deliveries);
///     let _active = span.enter();
///     // the work
/// }
/// # let _ = on_deliveries;
/// ```
pub fn batch_span<'m>(deliveries: impl IntoIterator<Item = &'m Delivery>) -> Span {
    let Some(settings) = SETTINGS.get() else {
        return Span::start(&PROCESS);
    };
    let mut deliveries = deliveries.into_iter();
    let Some(first) = deliveries.next() else {
        let mut span = Span::start(&PROCESS);
        describe(&mut span, &settings, None);
        return span;
    };
    let reads_context = settings.own.distributed_tracing;
    let headers = Incoming::of(&first.properties);
    let mut span = start(&PROCESS, Some(&headers).filter(|_| reads_context));
    let queue = queues::of(first);
    describe(&mut span, &settings, queue.as_deref());
    describe_delivery(&mut span, first);
    tell(&mut span, queue.as_deref(), &headers);
    let mut count = 1u32;
    for delivery in deliveries {
        count = count.saturating_add(1);
        let headers = Incoming::of(&delivery.properties);
        if reads_context {
            link(&mut span, &headers);
        }
        tell(&mut span, queues::of(delivery).as_deref(), &headers);
    }
    if count > 1 {
        let count = number("messaging.batch.message_count", Some(f64::from(count)));
        span.set_tags(&[count]);
    }
    span
}

/// What every span of a consumer says.
pub(crate) fn describe(span: &mut Span, settings: &Enabled, queue: Option<&str>) {
    if !span.is_recording() {
        return;
    }
    settings.set_service(span, Some(SERVICE));
    if let Some(queue) = queue.filter(|queue| !queue.is_empty()) {
        span.set_resource(names::resource(queue));
    }
    span.set_tags(&[
        text("messaging.system", Some(SYSTEM)),
        text("messaging.destination.name", queue),
        text("amqp.queue", queue),
        number("_dd.measured", Some(1.0)),
    ]);
}

/// Links the span to that of another message's publisher.
fn link(span: &mut Span, headers: &Incoming<'_>) {
    let extracted = trace::extract_for(SYSTEM, headers);
    if let Some(context) = &extracted.context {
        span.add_link(context.into());
    }
    for other in extracted.links {
        span.add_link(other.into());
    }
}

fn tell(span: &mut Span, queue: Option<&str>, headers: &Incoming<'_>) {
    // Where the queue is not known it has no name, as in the reference.
    let queue = queue.unwrap_or_default();
    events::dispatch::<MessageProcess<'_>>(|| MessageProcess::new(span, SYSTEM, queue, headers));
}
