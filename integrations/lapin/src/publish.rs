//! What is done with a message on its way out.

use ddtrace_core::events::{self, MessageProduce};
use ddtrace_core::instrument::Enabled;
use ddtrace_core::trace::{self, Site, Span, SpanKind};
use lapin::BasicProperties;

use crate::headers::Outgoing;
use crate::names::{self, Destination, HasRoutingKey};
use crate::peer::Peer;
use crate::settings::{SERVICE, SYSTEM, number, text};

ddtrace_core::site! {
    static PUBLISH: Site = Site::new("amqp.publish", "publish", module_path!(), file!(), line!())
        .with_span_type("worker")
        .with_kind(SpanKind::Producer)
        .with_component("lapin");
}

/// Opens the span, and lets everybody write into the headers who has something to say to the consumer. `place` is the
/// exchange and the routing key.
pub(crate) fn start(
    settings: &Enabled,
    peer: &Peer,
    place: (&str, &str),
    body: usize,
    properties: BasicProperties,
) -> (Span, BasicProperties) {
    let (exchange, routing_key) = place;
    let destination = Destination::of(exchange, routing_key);
    let mut span = Span::start(&PUBLISH);
    if span.is_recording() {
        settings.set_service(&mut span, Some(SERVICE));
        if settings.names_by_v1() {
            span.set_name("amqp.send");
        }
        if !destination.name().is_empty() {
            span.set_resource(names::resource(destination.name()));
        }
        let mode = properties.delivery_mode().map(f64::from);
        span.set_tags(&[
            text("messaging.system", Some(SYSTEM)),
            text("messaging.destination.name", Some(destination.name())),
            text("amqp.exchange", Some(exchange)),
            text("amqp.routing_key", Some(routing_key)),
            number("amqp.body_length", Some(body as f64)),
            number("amqp.delivery_mode", mode),
            number("_dd.measured", Some(1.0)),
        ]);
        peer.describe(&mut span);
    }
    let mut headers = Outgoing::of(&properties);
    if settings.own.distributed_tracing {
        // With tracing off, what came in goes on from here.
        let _active = span.enter();
        trace::inject(&mut headers);
    }
    tell(&mut span, destination, body, &mut headers);
    let properties = headers.write_to(properties, |bytes| peer.takes(bytes));
    (span, properties)
}

fn tell(span: &mut Span, destination: Destination<'_>, body: usize, headers: &mut Outgoing) {
    let (topic, details) = match destination {
        Destination::Queue(name) => (Some(name), None),
        Destination::Exchange(name, HasRoutingKey(has_key)) => {
            let has_key = if has_key { "true" } else { "false" };
            (
                None,
                Some([("exchange", name), ("has_routing_key", has_key)]),
            )
        }
    };
    events::dispatch::<MessageProduce<'_>>(|| {
        let size = headers.size() + body;
        let mut event = MessageProduce::new(span, SYSTEM, topic);
        event.size = size as u64;
        event.details = details.as_ref().map_or(&[], |details| &details[..]);
        event.headers = Some(headers);
        event
    });
}
