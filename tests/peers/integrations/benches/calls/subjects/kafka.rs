//! rdkafka: sending into the library's queue, and taking out of it what was fetched before. The broker is librdkafka's own mock, in the
//! parent's process. No crate traces it but ours.

use super::{Rooted, Subject, Work, rooted, variable, variants};
use crate::KAFKA;
use ddtrace_peers_integrations::tracers::Tracer;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use std::time::Duration;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Topic that is written to.
pub(crate) const SENT: &str = "sent";
/// Topic that is read from. The parent has filled it.
pub(crate) const RECEIVED: &str = "received";
/// What a message holds.
pub(crate) const PAYLOAD: &[u8] = &[b'x'; 100];

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) static SUBJECTS: &[Subject] = &[
    Subject {
        name: "rdkafka, send",
        needs: Some(KAFKA),
        burst: 500,
        spans: 1,
        rooted: true,
        variants: variants! { tracer:
            Bare, "" => producing(tracer, config().create().expect("a producer"));
            Off, "ddtrace::rdkafka" => producing_ours(tracer);
            Ddtrace, "ddtrace::rdkafka" => producing_ours(tracer);
            Otel, "by hand" => producing_otel(tracer);
            Datadog, "by hand" => producing_otel(tracer);
            Fastrace, "by hand" => producing_fastrace(tracer);
        },
    },
    Subject {
        name: "rdkafka, poll",
        needs: Some(KAFKA),
        burst: 500,
        spans: 1,
        rooted: true,
        variants: variants! { tracer:
            Bare, "" => rooted(tracer, consumer(), async |consumer| {
                let message = consumer.poll(PATIENCE);
                check(&message.expect("a message").expect("no error"));
            });
            Off, "ddtrace::rdkafka" => consuming_ours(tracer);
            Ddtrace, "ddtrace::rdkafka" => consuming_ours(tracer);
            Otel, "by hand" => consuming_otel(tracer);
            Datadog, "by hand" => consuming_otel(tracer);
            Fastrace, "by hand" => rooted(tracer, consumer(), async |consumer| {
                let message = consumer.poll(PATIENCE);
                let message = message.expect("a message").expect("no error");
                let parent = message.headers().and_then(|headers| Text(headers).get("traceparent"));
                let parent = parent.and_then(fastrace::collector::SpanContext::decode_w3c_traceparent);
                let parent = parent.expect("all messages have a context");
                let _span = fastrace::Span::root("process received", parent)
                    .with_properties(|| [("messaging.system", "kafka"), ("messaging.destination.name", RECEIVED)]);
                check(&message);
            });
        },
    },
];

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", variable(KAFKA));
    config
}

type Record<'a> = BaseRecord<'a, str, [u8]>;

fn record() -> Record<'static> {
    BaseRecord::to(SENT)
        .partition(0)
        .key("key")
        .payload(PAYLOAD)
}

type Bare = rdkafka::producer::BaseProducer;
type Ours = ddtrace::rdkafka::BaseProducer;

fn sent<E: std::fmt::Debug>(result: Result<(), (E, Record<'_>)>) {
    assert!(result.is_ok(), "{:?}", result.map_err(|(error, _)| error));
}

fn producing(tracer: Tracer, producer: Bare) -> Box<dyn Work> {
    producing_by(tracer, producer, async |producer| {
        sent(producer.send(record()))
    })
}

/// Messages wait in the queue until the batch is over; delivering them is the library's work.
fn producing_by(
    tracer: Tracer,
    producer: Bare,
    call: impl AsyncFn(&mut Bare) + 'static,
) -> Box<dyn Work> {
    Box::new(Rooted {
        tracer,
        client: producer,
        call,
        settle: |producer| producer.flush(PATIENCE).expect("messages arrive"),
    })
}

fn producing_ours(tracer: Tracer) -> Box<dyn Work> {
    let producer: Ours = config().create().expect("a producer");
    Box::new(Rooted {
        tracer,
        client: producer,
        call: async |producer: &mut Ours| sent(producer.send(record())),
        settle: |producer| producer.flush(PATIENCE).expect("messages arrive"),
    })
}

fn producing_otel(tracer: Tracer) -> Box<dyn Work> {
    let producer = config().create().expect("a producer");
    producing_by(tracer, producer, async |producer| {
        let span = tracing::info_span!(
            "send sent",
            otel.kind = "producer",
            messaging.system = "kafka",
            messaging.operation.type = "send",
            messaging.destination.name = SENT,
            messaging.destination.partition.id = "0",
            messaging.kafka.message.key = "key",
        );
        let mut headers = Written(Some(OwnedHeaders::new()));
        let context = span.context();
        opentelemetry::global::get_text_map_propagator(|it| {
            it.inject_context(&context, &mut headers)
        });
        let headers = headers.0.expect("they are put back");
        span.in_scope(|| sent(producer.send(record().headers(headers))));
    })
}

fn producing_fastrace(tracer: Tracer) -> Box<dyn Work> {
    let producer = config().create().expect("a producer");
    producing_by(tracer, producer, async |producer| {
        let span = fastrace::local::LocalSpan::enter_with_local_parent("send sent")
            .with_properties(|| {
                [
                    ("messaging.system", "kafka"),
                    ("messaging.destination.name", SENT),
                ]
            });
        let context = fastrace::collector::SpanContext::current_local_parent();
        let context = context.expect("a root is above").encode_w3c_traceparent();
        let header = Header {
            key: "traceparent",
            value: Some(&context),
        };
        let headers = OwnedHeaders::new().insert(header);
        sent(producer.send(record().headers(headers)));
        drop(span);
    })
}

/// Headers are made by value.
struct Written(Option<OwnedHeaders>);

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        let header = Header {
            key,
            value: Some(&value),
        };
        self.0 = self.0.take().map(|headers| headers.insert(header));
    }
}

/// Where a propagator finds them again.
struct Text<'a>(&'a BorrowedHeaders);

impl<'a> Text<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        let header = self.0.iter().find(|header| header.key == key)?;
        std::str::from_utf8(header.value?).ok()
    }
}

impl Extractor for Text<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        Text::get(self, key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|header| header.key).collect()
    }
}

/// Reads from the beginning, by itself.
fn assigned<C: rdkafka::config::FromClientConfig>(assign: fn(&C, &TopicPartitionList)) -> C {
    let mut config = config();
    config
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("queued.min.messages", "1000000")
        .set("fetch.wait.max.ms", "10");
    let mut beginning = TopicPartitionList::new();
    beginning
        .add_partition_offset(RECEIVED, 0, Offset::Beginning)
        .expect("a list");
    let consumer = config.create().expect("a consumer");
    assign(&consumer, &beginning);
    consumer
}

fn consumer() -> rdkafka::consumer::BaseConsumer {
    assigned(|consumer: &rdkafka::consumer::BaseConsumer, list| {
        consumer.assign(list).expect("a partition");
    })
}

fn check(message: &BorrowedMessage<'_>) {
    assert_eq!(message.payload().map(<[u8]>::len), Some(PAYLOAD.len()));
}

fn consuming_ours(tracer: Tracer) -> Box<dyn Work> {
    let consumer = assigned(|consumer: &ddtrace::rdkafka::BaseConsumer, list| {
        consumer.assign(list).expect("a partition");
    });
    rooted(tracer, consumer, async |consumer| {
        let message = consumer.poll(PATIENCE);
        check(&message.expect("a message").expect("no error"));
    })
}

fn consuming_otel(tracer: Tracer) -> Box<dyn Work> {
    rooted(tracer, consumer(), async |consumer| {
        let message = consumer.poll(PATIENCE);
        let message = message.expect("a message").expect("no error");
        let span = tracing::info_span!(
            "process received",
            otel.kind = "consumer",
            messaging.system = "kafka",
            messaging.operation.type = "process",
            messaging.destination.name = RECEIVED,
            messaging.destination.partition.id = "0",
            messaging.kafka.offset = message.offset(),
        );
        let headers = message.headers().expect("all messages have headers");
        let of_sender =
            opentelemetry::global::get_text_map_propagator(|it| it.extract(&Text(headers)));
        span.add_link(of_sender.span().span_context().clone());
        span.in_scope(|| check(&message));
    })
}
