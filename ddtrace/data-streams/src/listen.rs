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
use crate::checkpoint::hash_tag;
use crate::current;
use crate::extractors::{self, Place};
use crate::hash::Decimal;
use crate::offset;
use crate::pathway::{Passage, Pathway};
use crate::switch;
use crate::tags::{Direction, Given, Tag, Tags};
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
    let given = Given {
        direction: Direction::Out,
        system: Some(event.system),
        topic: event.destination,
        more: pairs(event.details),
        ..Given::default()
    };
    let passage = Passage {
        payload_size: event.size,
        adds_header: true,
        ..Passage::default()
    };
    let passed = switch::with(|running, cache| {
        let now = Nanoseconds::now();
        current::change(
            || Pathway::begin(now),
            |pathway| {
                let point = pathway.pass(running.node, cache, &given, passage, now);
                let hash = point.hash;
                running.observe(Observation::Point(point));
                (hash, *pathway)
            },
        )
    });
    let Some((hash, pathway)) = passed else {
        return;
    };
    tag(event.span, hash);
    if let Some(headers) = &mut event.headers {
        if event.system == KAFKA {
            extractors::track(Place::KafkaProduce, headers.as_carrier(), event.span);
        }
        pathway.inject(headers.as_carrier_mut());
    }
}

fn consumed(event: &mut MessageConsume<'_>) {
    if !switch::is_on() {
        return;
    }
    let given = given_of_consumer(event.system, event.source, event.group, event.details);
    let arrived_at = event.arrived_at.map(Nanoseconds::from);
    let passage = Passage {
        payload_size: event.size,
        edge_start: arrived_at,
        pathway_start: arrived_at,
        ..Passage::default()
    };
    let now = Nanoseconds::now();
    let mut pathway = Pathway::extract_at(event.headers, now);
    let passed = switch::with(|running, cache| {
        let point = pathway.pass(running.node, cache, &given, passage, now);
        let hash = point.hash;
        running.observe(Observation::Point(point));
        hash
    });
    let Some(hash) = passed else {
        return;
    };
    current::set(pathway);
    tag(event.span, hash);
    if event.system == KAFKA {
        extractors::track(Place::KafkaConsume, event.headers, event.span);
    }
}

/// The checkpoint was passed when the message arrived. What follows from it is found again: the same tags on the same pathway have the
/// same hash, however far the message has gone since.
fn processed(event: &mut MessageProcess<'_>) {
    if !switch::is_on() {
        return;
    }
    let given = given_of_consumer(event.system, event.source, event.group, event.details);
    let now = Nanoseconds::now();
    let mut pathway = Pathway::extract_at(event.headers, now);
    let passed = switch::with(|running, cache| {
        pathway
            .pass(running.node, cache, &given, Passage::default(), now)
            .hash
    });
    let Some(hash) = passed else {
        return;
    };
    tag(event.span, hash);
    let _active = event.span.enter();
    current::set(pathway);
}

fn given_of_consumer<'a>(
    system: &'a str,
    source: &'a str,
    group: Option<&'a str>,
    details: &[(&'a str, &'a str)],
) -> Given<'a> {
    Given {
        direction: Direction::In,
        is_manual: false,
        system: Some(system),
        topic: Some(source),
        group,
        more: pairs(details),
    }
}

fn pairs<'a>(details: &[(&'a str, &'a str)]) -> Tags<'a> {
    let pairs = details.iter().map(|(key, value)| Tag::pair(key, value));
    pairs.collect()
}

fn tag(span: &mut Span, hash: u64) {
    span.set_tags(&[hash_tag(&Decimal::new(hash))]);
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
    let given = given_of_request(Direction::In, protocol);
    let now = Nanoseconds::now();
    let mut pathway = Pathway::begin(now);
    let counted = switch::counts_requests();
    let passed = counted.then(|| {
        pathway = Pathway::extract_at(headers, now);
        switch::with(|running, cache| {
            let point = pathway.pass(running.node, cache, &given, Passage::default(), now);
            let hash = point.hash;
            running.observe(Observation::Point(point));
            hash
        })
    });
    let Some(hash) = passed.flatten() else {
        let _active = span.enter();
        return current::clear();
    };
    tag(span, hash);
    let _active = span.enter();
    current::set(pathway);
}

/// A request is sent: a checkpoint on the pathway of whoever sends, which goes into the headers.
fn sending(event: &mut OutgoingHeaders<'_>) {
    if !switch::counts_requests() {
        return;
    }
    let given = given_of_request(Direction::Out, event.protocol);
    let passed = switch::with(|running, cache| {
        let now = Nanoseconds::now();
        current::change(
            || Pathway::begin(now),
            |pathway| {
                let point = pathway.pass(running.node, cache, &given, Passage::default(), now);
                let hash = point.hash;
                running.observe(Observation::Point(point));
                (hash, *pathway)
            },
        )
    });
    if let Some((hash, pathway)) = passed {
        tag(event.span, hash);
        pathway.inject(event.headers);
    }
}

fn given_of_request(direction: Direction, protocol: &str) -> Given<'_> {
    Given {
        direction,
        system: Some(protocol),
        ..Given::default()
    }
}

fn requesting(event: &mut HttpClientRequest<'_>) {
    if switch::is_on() {
        extractors::track(Place::HttpOut, event.headers, event.span);
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
