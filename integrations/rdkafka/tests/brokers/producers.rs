//! What producers make of messages.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddtrace_core::trace::Span;
use ddtrace_rdkafka::{BaseConsumer, BaseProducer, FutureProducer, ThreadedProducer};
use futures_util::FutureExt as _;
use rdkafka::ClientContext;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, DeliveryResult, FutureRecord, NoCustomPartitioner,
    Producer as _, ProducerContext,
};

use super::broker::{Broker, PATIENCE, beginning, listen, named, next, recorder, told, until};

/// A context of the user's, which is told everything that it was told before.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<Delivered>>>);

/// The number of a message, and its offset or why it has none.
type Delivered = (u32, Result<i64, String>);

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Box<u32>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<u32>) {
        let result = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.to_string()),
        };
        self.0.lock().unwrap().push((*number, result));
    }
}

#[test]
fn a_message_is_described_and_its_headers_lead_to_the_span() {
    let recorder = recorder(&[]);
    let broker = Broker::with("described", 1);
    let producer: BaseProducer = broker.config().create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "mine",
            value: Some("1"),
        })
        .insert(Header {
            key: "Traceparent",
            value: Some("of whoever sent it before"),
        });
    let mut outer = Span::builder("outer").start();
    let sent = {
        let _active = outer.enter();
        producer.send(
            BaseRecord::to("described")
                .partition(0)
                .key("k\u{e9}y")
                .payload("tea")
                .headers(headers),
        )
    };
    assert!(sent.is_ok());
    drop(outer);
    producer.flush(PATIENCE).unwrap();

    let spans = recorder.take();
    let span = named(&spans, "kafka.produce")[0];
    assert_eq!(
        (span.service.as_str(), span.span_type.as_str()),
        ("kafka", "worker")
    );
    assert_eq!(span.resource, "kafka.produce");
    let servers = broker.servers();
    for (tag, expected) in [
        ("component", Some("rdkafka")),
        ("span.kind", Some("producer")),
        ("messaging.system", Some("kafka")),
        ("messaging.destination.name", Some("described")),
        ("kafka.topic", Some("described")),
        ("kafka.message_key", Some("k\u{e9}y")),
        ("kafka.tombstone", Some("false")),
        ("messaging.kafka.bootstrap.servers", Some(servers)),
        ("_dd.svc_src", Some("kafka")),
    ] {
        assert_eq!(span.meta(tag), expected, "{tag}");
    }
    assert_eq!(span.metric("kafka.partition"), Some(0.0));
    assert_eq!(span.metric("_dd.measured"), Some(1.0));
    assert!(!span.error);
    let outer = named(&spans, "outer")[0];
    assert_eq!(
        (span.trace_id, span.parent_id),
        (outer.trace_id, outer.span_id)
    );

    let consumer = broker.consumer("g", "described");
    let message = next(&consumer);
    let headers = message.headers().unwrap();
    let of = |name: &str| -> Vec<String> {
        headers
            .iter()
            .filter(|header| header.key.eq_ignore_ascii_case(name))
            .map(|header| String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned())
            .collect()
    };
    assert_eq!(of("mine"), ["1"]);
    assert_eq!(of("x-datadog-parent-id"), [span.span_id.to_string()]);
    let [traceparent] = &of("traceparent")[..] else {
        panic!("one, and it is ours: {:?}", of("traceparent"));
    };
    assert!(
        traceparent.contains(&format!("{:016x}", span.span_id)),
        "{traceparent}"
    );
}

#[test]
fn names_and_services_follow_the_settings() {
    // Variables, name, service.
    for (variables, name, service) in [
        (&[][..], "kafka.produce", "kafka"),
        (&[("DD_KAFKA_SERVICE", "post")], "kafka.produce", "post"),
        (
            &[("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1")],
            "kafka.send",
            "test",
        ),
    ] {
        let recorder = recorder(variables);
        let producer: BaseProducer = Broker::new().config().create().unwrap();
        assert!(producer.send(BaseRecord::<(), ()>::to("named")).is_ok());
        let spans = recorder.take();
        assert_eq!((&*spans[0].name, &*spans[0].service), (name, service));
        assert_eq!(spans[0].meta("kafka.tombstone"), Some("true"));
        assert_eq!(spans[0].metric("kafka.partition"), Some(-1.0));
    }
}

#[test]
fn context_is_kept_out_of_headers_by_setting_and_switched_off_nothing_is_done() {
    listen();
    for (number, (variables, spans, context, listener)) in [
        (("DD_KAFKA_PROPAGATION_ENABLED", "false"), 1, false, true),
        (("DD_KAFKA_DISTRIBUTED_TRACING", "false"), 1, false, true),
        (("DD_TRACE_KAFKA_ENABLED", "false"), 0, false, false),
        (("DD_ENV", "prod"), 1, true, true),
    ]
    .map(|(variable, spans, context, listener)| ([variable], spans, context, listener))
    .into_iter()
    .enumerate()
    {
        let recorder = recorder(&variables);
        let topic = format!("kept-out-{number}");
        let broker = Broker::with(&topic, 1);
        let producer: BaseProducer = broker.config().create().unwrap();
        assert!(
            producer
                .send(BaseRecord::<(), _>::to(&topic).payload("p"))
                .is_ok()
        );
        producer.flush(PATIENCE).unwrap();
        assert_eq!(recorder.take().len(), spans, "{variables:?}");
        let consumer = broker.consumer("g", &topic);
        let message = next(&consumer);
        let names: Vec<_> = message
            .headers()
            .into_iter()
            .flat_map(|headers| headers.iter().map(|header| header.key.to_owned()))
            .collect();
        assert_eq!(
            names.iter().any(|name| name == "traceparent"),
            context,
            "{names:?}"
        );
        assert_eq!(
            names.iter().any(|name| name == "x-listener"),
            listener,
            "{names:?}"
        );
    }
}

#[test]
fn a_context_of_the_users_is_told_what_it_was_told_before() {
    listen();
    let recorder = recorder(&[]);
    let broker = Broker::with("opaque", 1);
    let deliveries = Deliveries::default();
    let producer: BaseProducer<Deliveries> = broker
        .config()
        .create_with_context(deliveries.clone())
        .unwrap();
    for number in 0..3 {
        let record = BaseRecord::with_opaque_to("opaque", Box::new(number)).partition(0);
        assert!(producer.send(record.key("k").payload("12345")).is_ok());
    }
    producer.flush(PATIENCE).unwrap();
    let expected = [(0, Ok(0)), (1, Ok(1)), (2, Ok(2))];
    assert_eq!(*deliveries.0.lock().unwrap(), expected);
    assert_eq!(
        producer.context().0.lock().unwrap().len(),
        3,
        "it can be reached as before"
    );
    assert_eq!(recorder.take().len(), 3);

    let told = told("opaque");
    let produced: Vec<_> = told
        .iter()
        .filter(|what| what.starts_with("produce"))
        .collect();
    assert_eq!(produced.len(), 3);
    // Value, key, and the headers of trace context that are there already.
    assert!(
        produced.iter().all(|what| {
            let size: u64 = what.trim_start_matches("produce ").parse().unwrap();
            size > 6 + 100
        }),
        "{produced:?}"
    );
    let delivered: Vec<_> = told
        .iter()
        .filter(|what| what.starts_with("delivered"))
        .collect();
    assert_eq!(
        delivered,
        [
            "delivered 0 Some(0)",
            "delivered 0 Some(1)",
            "delivered 0 Some(2)"
        ]
    );
}

#[test]
fn a_threaded_producer_and_its_clones_make_spans() {
    let recorder = recorder(&[]);
    let broker = Broker::with("threaded", 1);
    let deliveries = Deliveries::default();
    let producer: ThreadedProducer<Deliveries> = broker
        .config()
        .create_with_context(deliveries.clone())
        .unwrap();
    let clone = producer.clone();
    for (number, producer) in [&producer, &clone].into_iter().enumerate() {
        let record = BaseRecord::with_opaque_to("threaded", Box::new(number as u32));
        assert!(producer.send(record.key("k").payload("v")).is_ok());
    }
    until(|| (deliveries.0.lock().unwrap().len() == 2).then_some(()));
    assert_eq!(recorder.take().len(), 2);
}

#[test]
fn transactions_are_the_library_s_and_their_messages_carry_context() {
    let recorder = recorder(&[]);
    // The real one of tests/long knows none.
    let broker = Broker::played("transacted");
    let mut config = broker.config();
    config.set("transactional.id", "of-the-test");
    // The library waits for deliveries, which somebody has to ask for meanwhile.
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let in_transaction = || {
        producer.begin_transaction().unwrap();
        let record = BaseRecord::to("transacted").partition(0).key("k");
        assert!(producer.send(record.payload("v")).is_ok());
    };
    in_transaction();
    producer.commit_transaction(PATIENCE).unwrap();
    let sent = recorder.take();
    assert_eq!((sent.len(), sent[0].error), (1, false));
    let mut config = broker.group("g");
    config.set("isolation.level", "read_committed");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.assign(&beginning("transacted", &[0])).unwrap();
    next(&consumer);
    assert_eq!(recorder.take()[0].parent_id, sent[0].span_id);
    in_transaction();
    producer.abort_transaction(PATIENCE).unwrap();
    let error = producer.commit_transaction(PATIENCE).unwrap_err();
    assert!(matches!(error, KafkaError::Transaction(_)), "{error}");
}

#[test]
fn a_record_that_is_refused_comes_back_as_it_was_given() {
    let recorder = recorder(&[]);
    let broker = Broker::with("full", 1);
    let mut config = broker.config();
    config.set("queue.buffering.max.messages", "1");
    let producer: BaseProducer = config.create().unwrap();
    let record = || {
        let headers = OwnedHeaders::new().insert(Header {
            key: "mine",
            value: Some("1"),
        });
        BaseRecord::to("full")
            .key("k")
            .payload("v")
            .headers(headers)
    };
    assert!(producer.send(record()).is_ok());
    let (error, back) = producer.send(record()).unwrap_err();
    assert_eq!(
        error,
        KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
    );
    let names: Vec<_> = back
        .headers
        .iter()
        .flat_map(|headers| headers.iter().map(|header| header.key.to_owned()))
        .collect();
    assert_eq!(names, ["mine"]);
    let (_, back) = producer
        .send(BaseRecord::<(), _>::to("full").payload("v"))
        .unwrap_err();
    assert!(back.headers.is_none());
    let spans = recorder.take();
    let failed: Vec<_> = spans.iter().map(|span| span.error).collect();
    assert_eq!(failed, [false, true, true]);
    assert_eq!(
        spans[1].meta("error.type"),
        Some("rdkafka::error::KafkaError")
    );
    assert!(
        spans[1]
            .meta("error.message")
            .unwrap()
            .contains("QueueFull")
    );
    // What was refused can be sent again.
    producer.flush(PATIENCE).unwrap();
    assert!(producer.send(back).is_ok());
}

#[test]
fn a_message_as_large_as_the_library_takes_is_sent_without_headers_of_ours() {
    let recorder = recorder(&[]);
    let broker = Broker::with("large", 1);
    let mut config = broker.config();
    config.set("message.max.bytes", "10000");
    let producer: BaseProducer = config.create().unwrap();
    let headers = || {
        OwnedHeaders::new().insert(Header {
            key: "mine",
            value: Some("1"),
        })
    };
    for (size, is_sent, is_written) in [
        (9_000, true, true),
        (9_900, true, false),
        (10_001, false, false),
    ] {
        let payload = vec![0u8; size];
        let record = BaseRecord::<(), _>::to("large")
            .payload(&payload)
            .headers(headers());
        assert_eq!(producer.send(record).is_ok(), is_sent, "{size}");
        producer.flush(PATIENCE).unwrap();
        if !is_sent {
            continue;
        }
        let consumer = broker.consumer("g", "large");
        let message = until(|| {
            let message = next(&consumer);
            (message.payload_len() == size).then_some(message.detach())
        });
        let names: Vec<_> = message
            .headers()
            .unwrap()
            .iter()
            .map(|header| header.key.to_owned())
            .collect();
        assert_eq!(
            names.contains(&"traceparent".to_owned()),
            is_written,
            "{names:?}"
        );
        assert!(names.contains(&"mine".to_owned()));
    }
    let failed = recorder.take().iter().filter(|span| span.error).count();
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn a_future_producer_says_where_the_message_went() {
    listen();
    let recorder = recorder(&[]);
    let broker = Broker::with("future", 1);
    let producer: FutureProducer = broker.config().create().unwrap();
    for offset in 0..2 {
        let record = FutureRecord::to("future").key("k").payload("v");
        let delivery = producer.send(record, PATIENCE).await.unwrap();
        assert_eq!((delivery.partition, delivery.offset), (0, offset));
    }
    let record = FutureRecord::to("future").key("k").payload("v");
    let delivery = producer
        .send_result(record)
        .unwrap()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(delivery.offset, 2);
    let spans = recorder.take();
    let offsets: Vec<_> = spans
        .iter()
        .map(|span| span.metric("kafka.message_offset"))
        .collect();
    assert_eq!(offsets, [Some(0.0), Some(1.0), None]);
    let delivered: Vec<_> = told("future")
        .into_iter()
        .filter(|what| what.starts_with("delivered"))
        .collect();
    assert_eq!(
        delivered,
        [
            "delivered 0 Some(0)",
            "delivered 0 Some(1)",
            "delivered 0 Some(2)"
        ]
    );
    // The cluster is known once the library has talked to it.
    let cluster = producer.client().fetch_cluster_id(PATIENCE).unwrap();
    let record = FutureRecord::to("future").key("k").payload("v");
    producer.send(record, PATIENCE).await.unwrap();
    assert_eq!(recorder.take()[0].meta("kafka.cluster_id"), Some(&*cluster));
}

#[tokio::test]
async fn a_delivery_that_nobody_waits_for_is_heard_of_with_the_next_message() {
    listen();
    let _recorder = recorder(&[]);
    let broker = Broker::with("dropped", 1);
    let producer: FutureProducer = broker.config().create().unwrap();
    let record = || {
        FutureRecord::to("dropped")
            .partition(0)
            .key("k")
            .payload("v")
    };
    drop(producer.send_result(record()).unwrap());
    producer.flush(PATIENCE).unwrap();
    assert_eq!(
        told("dropped")
            .iter()
            .filter(|what| what.starts_with("delivered"))
            .count(),
        0
    );
    until(|| {
        drop(producer.send_result(record()).unwrap());
        std::thread::sleep(Duration::from_millis(5));
        told("dropped")
            .contains(&"delivered 0 Some(0)".to_owned())
            .then_some(())
    });
}

#[tokio::test]
async fn a_future_that_is_dropped_ends_its_span_and_not_its_message() {
    let recorder = recorder(&[]);
    let broker = Broker::with("abandoned", 1);
    let producer: FutureProducer = broker.config().create().unwrap();
    {
        let record = FutureRecord::to("abandoned").key("k").payload("v");
        let mut sending = std::pin::pin!(producer.send(record, PATIENCE));
        assert!(sending.as_mut().now_or_never().is_none());
    }
    let spans = recorder.take();
    assert_eq!(spans.len(), 1);
    assert!(!spans[0].error);
    assert_eq!(spans[0].meta("ddtrace.cancelled"), Some("true"));
    let consumer = broker.consumer("g", "abandoned");
    assert_eq!(next(&consumer).payload(), Some(&b"v"[..]));
}
