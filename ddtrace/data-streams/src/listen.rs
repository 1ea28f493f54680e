//! What integrations say: checkpoints, offsets and transactions without a line of the user's.
//!
//! Subscribed for good when the product starts, on or off: every listener looks at the switch first. The edge tags of a
//! checkpoint are its direction, `topic:`, `type:`, for a consumer `group:`, and whatever else the integration says about
//! the place; these are the tags that the reference writes for the same technology
//! (dd-trace-py, `ddtrace/internal/datastreams/{kafka,botocore,kombu}.py`).
//!
//! Requests of HTTP and gRPC are checkpoints, too, if the user wants that (`DD_DATA_STREAMS_HTTP_ENABLED`): their tags are a direction and
//! `type:http` or `type:grpc`, their size counts as 0, and the pathway travels in their headers, as dd-trace-java has it
//! (`HttpServerDecorator`, `UriBasedClientDecorator`, `DataStreamsPropagator`).
//!
//! A consumer's pathway is in force for what is active where it receives. Two more facts keep it to the work it belongs to: a
//! [`MessageProcess`] puts it in force for the span of that work, wherever the message was handed to, and a request that a server
//! answers begins without one, or with the one in its headers, whatever was consumed on its thread before.

use ddtrace_core::events::{
    self, HttpClientRequest, HttpServerRequest, MessageCommit, MessageConsume, MessageDelivered,
    MessageProcess, MessageProduce, MessageWatermark, OutgoingHeaders, Phase, RpcServerRequest,
};
use ddtrace_core::propagation::Carrier;
use ddtrace_core::trace::Span;

use crate::bucket::Observation;
use crate::current;
use crate::extractors::{self, Place};
use crate::offset;
use crate::pathway::{Passage, Pathway, Point};
use crate::switch;
use crate::tags::{Tag, Tags};
use crate::time::Nanoseconds;

/// The system that has headers of its own among the places that transactions are read from.
const KAFKA: &str = "kafka";

pub(crate) fn subscribe() {
    const NAME: &str = "data streams";
    events::on::<MessageProduce<'_>>(Phase::Product, NAME, produced);
    events::on::<MessageConsume<'_>>(Phase::Product, NAME, consumed);
    events::on::<MessageProcess<'_>>(Phase::Product, NAME, processed);
    events::on::<MessageDelivered<'_>>(Phase::Product, NAME, delivered);
    events::on::<MessageCommit<'_>>(Phase::Product, NAME, committed);
    events::on::<MessageWatermark<'_>>(Phase::Product, NAME, at_watermark);
    events::on::<HttpServerRequest<'_>>(Phase::Product, NAME, requested);
    events::on::<RpcServerRequest<'_>>(Phase::Product, NAME, called);
    events::on::<HttpClientRequest<'_>>(Phase::Product, NAME, requesting);
    events::on::<OutgoingHeaders<'_>>(Phase::Product, NAME, sending);
}

fn produced(event: &mut MessageProduce<'_>) {
    let guard = switch::running();
    let Some(running) = guard.as_deref().and_then(Option::as_ref) else {
        return;
    };
    let mut tags = Tags::new();
    tags.push(Tag::whole("direction:out"));
    if let Some(topic) = event.destination {
        tags.push(Tag::pair("topic", topic));
    }
    tags.push(Tag::pair("type", event.system));
    tags.extend(
        event
            .details
            .iter()
            .map(|(key, value)| Tag::pair(key, value)),
    );
    let now = Nanoseconds::now();
    let passage = Passage {
        // The header that is about to be added counts.
        payload_size: event.size + current::header_size(now),
        ..Passage::default()
    };
    let (pathway, point) = current::pass(running.node, &tags, passage, now);
    tag(event.span, &point);
    running.observe(Observation::Point(point));
    if let Some(headers) = &mut event.headers {
        if event.system == KAFKA {
            extractors::track(Place::KafkaProduce, headers.as_carrier(), event.span);
        }
        pathway.inject(headers.as_carrier_mut());
    }
}

fn consumed(event: &mut MessageConsume<'_>) {
    let guard = switch::running();
    let Some(running) = guard.as_deref().and_then(Option::as_ref) else {
        return;
    };
    let tags = tags_of_consumer(event.system, event.source, event.group, event.details);
    let arrived_at = event.arrived_at.map(Nanoseconds::from);
    let passage = Passage {
        payload_size: event.size,
        edge_start: arrived_at,
        pathway_start: arrived_at,
    };
    let mut pathway = Pathway::extract(event.headers);
    let now = Nanoseconds::now();
    let point = current::pass_on(&mut pathway, running.node, &tags, passage, now);
    current::set(pathway);
    tag(event.span, &point);
    running.observe(Observation::Point(point));
    if event.system == KAFKA {
        extractors::track(Place::KafkaConsume, event.headers, event.span);
    }
}

/// The checkpoint was passed when the message arrived. What follows from it is found again: the same tags on the same pathway have the
/// same hash, however far the message has gone since.
fn processed(event: &mut MessageProcess<'_>) {
    let guard = switch::running();
    let Some(running) = guard.as_deref().and_then(Option::as_ref) else {
        return;
    };
    let tags = tags_of_consumer(event.system, event.source, event.group, event.details);
    let mut pathway = Pathway::extract(event.headers);
    let now = Nanoseconds::now();
    let point = current::pass_on(&mut pathway, running.node, &tags, Passage::default(), now);
    tag(event.span, &point);
    let _active = event.span.enter();
    current::set(pathway);
}

fn tags_of_consumer<'a>(
    system: &'a str,
    source: &'a str,
    group: Option<&'a str>,
    details: &[(&'a str, &'a str)],
) -> Tags<'a> {
    let mut tags = Tags::new();
    tags.push(Tag::whole("direction:in"));
    if let Some(group) = group {
        tags.push(Tag::pair("group", group));
    }
    tags.push(Tag::pair("topic", source));
    tags.push(Tag::pair("type", system));
    tags.extend(details.iter().map(|(key, value)| Tag::pair(key, value)));
    tags
}

fn tag(span: &mut Span, point: &Point) {
    span.set_tag("pathway.hash", point.hash.to_string());
}

fn delivered(event: &mut MessageDelivered<'_>) {
    if let (KAFKA, Some(offset)) = (event.system, event.offset) {
        offset::kafka_produce_offset(event.destination, event.partition, offset, event.cluster);
    }
}

fn committed(event: &mut MessageCommit<'_>) {
    if event.system == KAFKA {
        offset::kafka_commit_offset(
            event.group,
            event.source,
            event.partition,
            event.offset,
            event.cluster,
        );
    }
}

fn at_watermark(event: &mut MessageWatermark<'_>) {
    if event.system == KAFKA {
        offset::kafka_high_watermark(event.source, event.partition, event.offset, event.cluster);
    }
}

fn requested(event: &mut HttpServerRequest<'_>) {
    if !switch::is_on() {
        return;
    }
    asked(event.span, "http", event.headers);
    extractors::track(Place::HttpIn, event.headers, event.span);
}

fn called(event: &mut RpcServerRequest<'_>) {
    if switch::is_on() {
        asked(event.span, event.system, event.headers);
    }
}

/// A request has arrived: a checkpoint on the pathway that its headers say, if requests are checkpoints; otherwise it has none.
fn asked(span: &mut Span, protocol: &str, headers: &dyn Carrier) {
    let guard = switch::running();
    let running = guard.as_deref().and_then(Option::as_ref);
    let Some(running) = running.filter(|_| switch::counts_requests()) else {
        let _active = span.enter();
        return current::clear();
    };
    let tags = [Tag::whole("direction:in"), Tag::pair("type", protocol)];
    let mut pathway = Pathway::extract(headers);
    let now = Nanoseconds::now();
    let point = current::pass_on(&mut pathway, running.node, &tags, Passage::default(), now);
    tag(span, &point);
    {
        let _active = span.enter();
        current::set(pathway);
    }
    running.observe(Observation::Point(point));
}

/// A request is sent: a checkpoint on the pathway of whoever sends, which goes into the headers.
fn sending(event: &mut OutgoingHeaders<'_>) {
    let guard = switch::running();
    let Some(running) = guard.as_deref().and_then(Option::as_ref) else {
        return;
    };
    if !switch::counts_requests() {
        return;
    }
    let tags = [
        Tag::whole("direction:out"),
        Tag::pair("type", event.protocol),
    ];
    let now = Nanoseconds::now();
    let (pathway, point) = current::pass(running.node, &tags, Passage::default(), now);
    tag(event.span, &point);
    running.observe(Observation::Point(point));
    pathway.inject(event.headers);
}

fn requesting(event: &mut HttpClientRequest<'_>) {
    if switch::is_on() {
        extractors::track(Place::HttpOut, event.headers, event.span);
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
