//! What all producers do with a message on its way out.

use std::borrow::Cow;

use ddtrace_core::events::{self, MessageDelivered, MessageProduce};
use ddtrace_core::instrument::Enabled;
use ddtrace_core::trace::{self, Site, Span, SpanKind, SpanRef, Tag, Value};
use rdkafka::error::KafkaError;
use rdkafka::message::{OwnedHeaders, ToBytes};

use crate::cluster::Servers;
use crate::headers::{Outgoing, Written};
use crate::settings::{self, SERVICE};

ddtrace_core::site! {
    static PRODUCE: Site = Site::new("kafka.produce", "produce", module_path!(), file!(), line!())
        .with_span_type("worker")
        .with_kind(SpanKind::Producer)
        .with_component("rdkafka");
}

/// A longer key is cut.
const MAX_KEY: usize = 256;

/// What is known of a message before it is sent.
pub(crate) struct Record<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: Option<i32>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) key: Option<&'a [u8]>,
}

/// A message that has its span, and headers that say so.
pub(crate) struct Sending {
    pub(crate) span: Span,
    pub(crate) headers: Option<OwnedHeaders>,
    pub(crate) written: Written,
    /// A way to the span that is left when it has ended.
    pub(crate) late: Option<SpanRef>,
}

/// The bytes of what the user sends, if there is any.
pub(crate) fn bytes<T: ToBytes + ?Sized>(value: Option<&T>) -> Option<&[u8]> {
    value.map(ToBytes::to_bytes)
}

impl Sending {
    /// Opens the span, and lets everybody write into the headers who has something to say to the consumer.
    pub(crate) fn start(
        settings: &Enabled,
        servers: &Servers,
        cluster: Option<&str>,
        record: &Record<'_>,
        headers: Option<OwnedHeaders>,
    ) -> Self {
        let mut span = Span::start(&PRODUCE);
        if span.is_recording() {
            describe(&mut span, settings, servers, cluster, record);
        }
        let body = record.payload.map_or(0, <[u8]>::len) + record.key.map_or(0, <[u8]>::len);
        let mut headers = Outgoing::new(headers);
        let is_recording = span.is_recording();
        let late = {
            let _active = span.enter();
            if settings::writes_context(settings) {
                // With tracing off, what came in goes on from here.
                trace::inject(&mut headers);
            }
            is_recording.then(|| trace::current_span().to_ref())
        };
        let detail = [("kafka_cluster_id", cluster.unwrap_or_default())];
        events::dispatch::<MessageProduce<'_>>(|| {
            let size = headers.size() + body;
            let mut event = MessageProduce::new(&mut span, "kafka", Some(record.topic));
            event.size = size as u64;
            event.details = if cluster.is_some() { &detail } else { &[] };
            if settings::may_write_headers() {
                event.headers = Some(&mut headers);
            }
            event
        });
        let headers = headers.fit(body, servers.largest_message());
        let (written, headers) = headers.into_parts();
        Self {
            span,
            headers,
            written,
            late,
        }
    }
}

fn describe(
    span: &mut Span,
    settings: &Enabled,
    servers: &Servers,
    cluster: Option<&str>,
    record: &Record<'_>,
) {
    settings.set_service(span, Some(SERVICE));
    if settings.names_by_v1() {
        span.set_name("kafka.send");
    }
    span.set_tags(&[
        text("messaging.system", Some("kafka")),
        text("messaging.destination.name", Some(record.topic)),
        text("kafka.topic", Some(record.topic)),
        // As the library says it: the partition is not chosen yet.
        number("kafka.partition", record.partition.unwrap_or(-1)),
        text("kafka.message_key", key(record.key).as_deref()),
        flag("kafka.tombstone", record.payload.is_none()),
        text("kafka.cluster_id", cluster),
        text("messaging.kafka.bootstrap.servers", servers.list()),
        number("_dd.measured", 1),
    ]);
}

/// What became of a message that was handed to the library.
pub(crate) fn delivered(
    topic: &str,
    partition: i32,
    offset: Option<i64>,
    cluster: Option<&str>,
    error: Option<&KafkaError>,
) {
    if let Some(error) = error {
        settings::look_at(error);
    }
    events::dispatch::<MessageDelivered<'_>>(|| {
        let mut event = MessageDelivered::new("kafka", topic, partition);
        event.offset = offset.filter(|offset| *offset >= 0);
        event.cluster = cluster;
        event
    });
}

/// The key of a message as a tag. Bytes that are no text are written as far as they are.
pub(crate) fn key(key: Option<&[u8]>) -> Option<Cow<'_, str>> {
    let key = key.filter(|key| !key.is_empty())?;
    Some(String::from_utf8_lossy(&key[..key.len().min(MAX_KEY)]))
}

pub(crate) fn text<'a>(key: &'static str, value: Option<&'a str>) -> Tag<'a> {
    Tag {
        key,
        value: value.map_or(Value::Absent, Value::Text),
    }
}

pub(crate) fn flag(key: &'static str, value: bool) -> Tag<'static> {
    Tag {
        key,
        value: Value::Static(if value { "true" } else { "false" }),
    }
}

pub(crate) fn number(key: &'static str, value: impl Into<f64>) -> Tag<'static> {
    Tag {
        key,
        value: Value::Number(value.into()),
    }
}
