//! What consumers make of messages.

use std::sync::Arc;
use std::time::Duration;

use ddtrace_core::trace::{Span, current_span};
use ddtrace_rdkafka::{
    BaseConsumer, BaseProducer, FutureProducer, ProcessSpan as _, StreamConsumer, batch_span,
};
use futures_util::{FutureExt as _, StreamExt as _};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, FutureRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::broker::{Broker, PATIENCE, beginning, listen, named, next, recorder, told, until};

/// Puts messages into partition 0 of a topic, each under a span of its own.
fn fill(broker: &Broker, topic: &str, payloads: &[Option<&str>]) {
    let producer: BaseProducer = broker.config().create().unwrap();
    for payload in payloads {
        let mut span = Span::builder("sender").root().start();
        let _active = span.enter();
        let mut record = BaseRecord::to(topic).partition(0).key("k");
        record.payload = *payload;
        assert!(producer.send(record).is_ok());
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn a_message_continues_its_trace_and_is_described() {
    listen();
    let recorder = recorder(&[]);
    let broker = Broker::with("consumed", 1);
    fill(&broker, "consumed", &[Some("tea"), None]);
    let sent = recorder.take();
    let consumer = broker.consumer("billing", "consumed");
    let messages = [next(&consumer), next(&consumer)];
    assert_eq!(messages[0].payload(), Some(&b"tea"[..]));

    let spans = recorder.take();
    let (produced, consumed) = (
        named(&sent, "kafka.produce"),
        named(&spans, "kafka.consume"),
    );
    assert_eq!((produced.len(), consumed.len()), (2, 2));
    let servers = broker.servers();
    for (number, (producer, span)) in produced.iter().zip(consumed).enumerate() {
        assert_eq!(
            (span.trace_id, span.parent_id),
            (producer.trace_id, producer.span_id)
        );
        assert_eq!((&*span.service, &*span.span_type), ("kafka", "worker"));
        assert_eq!(span.resource, "kafka.consume");
        let tombstone = if number == 0 { "false" } else { "true" };
        for (tag, expected) in [
            ("component", "rdkafka"),
            ("span.kind", "consumer"),
            ("messaging.system", "kafka"),
            ("messaging.destination.name", "consumed"),
            ("kafka.topic", "consumed"),
            ("kafka.group_id", "billing"),
            ("kafka.received_message", "true"),
            ("kafka.message_key", "k"),
            ("kafka.tombstone", tombstone),
            ("messaging.kafka.bootstrap.servers", servers),
        ] {
            assert_eq!(span.meta(tag), Some(expected), "{tag}");
        }
        assert_eq!(span.metric("kafka.partition"), Some(0.0));
        assert_eq!(span.metric("kafka.message_offset"), Some(number as f64));
        assert_eq!(span.metric("_dd.measured"), Some(1.0));
    }
    let told = told("consumed");
    assert_eq!(
        told.iter()
            .filter(|what| what.starts_with("consume billing "))
            .count(),
        2
    );
    assert!(
        told.iter().any(|what| what.ends_with(" was here")),
        "{told:?}"
    );
    // With automatic commits a message counts as committed when it is handed out.
    for expected in ["commit billing 0 1", "commit billing 0 2", "watermark 0 2"] {
        assert!(
            told.iter().any(|what| what == expected),
            "{expected}: {told:?}"
        );
    }
}

#[test]
fn work_on_a_message_is_a_child_of_its_producer_wherever_it_is_done() {
    listen();
    let recorder = recorder(&[]);
    let broker = Broker::with("worked-on", 1);
    fill(&broker, "worked-on", &[Some("a"), Some("b")]);
    let sent = recorder.take();
    let consumer = broker.consumer("workers", "worked-on");
    let first = next(&consumer);
    let second = next(&consumer).detach();
    recorder.take();
    {
        let mut span = first.process_span();
        let _active = span.enter();
        current_span().set_tag("work", "first");
    }
    drop(second.process_span());
    drop(batch_span([&first.detach(), &second]));

    let spans = recorder.take();
    let produced = named(&sent, "kafka.produce");
    let processed = named(&spans, "kafka.process");
    let parents: Vec<_> = processed.iter().map(|span| span.parent_id).collect();
    let [one, other] = [produced[0].span_id, produced[1].span_id];
    assert_eq!(parents, [one, other, one]);
    assert_eq!(processed[0].trace_id, produced[0].trace_id);
    for span in &processed {
        assert_eq!(span.meta("span.kind"), Some("consumer"));
        assert_eq!(span.meta("kafka.group_id"), Some("workers"));
        assert_eq!(span.meta("kafka.topic"), Some("worked-on"));
    }
    assert_eq!(processed[0].meta("work"), Some("first"));
    assert_eq!(
        processed[2].metric("messaging.batch.message_count"),
        Some(2.0)
    );
    let linked: Vec<_> = processed[2]
        .links
        .iter()
        .map(|link| link.target.span_id.get())
        .collect();
    assert_eq!(linked, [other]);
    let told = told("worked-on");
    assert_eq!(
        told.iter()
            .filter(|what| *what == "process workers")
            .count(),
        4
    );
}

#[test]
fn without_a_producer_s_context_it_is_a_child_of_what_is_active() {
    let recorder = recorder(&[]);
    let broker = Broker::with("bare", 1);
    let producer: rdkafka::producer::BaseProducer = broker.config().create().unwrap();
    let hostile = OwnedHeaders::new()
        .insert(Header {
            key: "x-datadog-trace-id",
            value: Some(&b"\xff\xfe\0"[..]),
        })
        .insert(Header {
            key: "traceparent",
            value: Some(&vec![b'0'; 100_000][..]),
        })
        .insert(Header::<&[u8]> {
            key: "tracestate",
            value: None,
        })
        .insert(Header {
            key: "dd-pathway-ctx-base64",
            value: Some(&[0xff; 4096][..]),
        });
    for headers in [None, Some(hostile)] {
        let mut record = BaseRecord::<(), _>::to("bare").partition(0).payload("v");
        record.headers = headers;
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let consumer = broker.consumer("g", "bare");
    let mut outer = Span::builder("outer").start();
    {
        let _active = outer.enter();
        for _ in 0..2 {
            let message = next(&consumer);
            drop(message.process_span());
        }
    }
    drop(outer);
    let spans = recorder.take();
    let outer = named(&spans, "outer")[0];
    for span in spans.iter().filter(|span| span.name != "outer") {
        assert_eq!(
            (span.trace_id, span.parent_id),
            (outer.trace_id, outer.span_id),
            "{}",
            span.name
        );
    }
    assert_eq!(spans.len(), 5);
}

#[test]
fn polls_that_find_nothing_and_errors_are_spans_of_their_own() {
    for (setting, count) in [("true", 1), ("false", 0)] {
        let recorder = recorder(&[("DD_KAFKA_EMPTY_POLL_ENABLED", setting)]);
        let consumer: BaseConsumer = ClientConfig::new()
            .set("group.id", "g")
            .set("test.mock.num.brokers", "1")
            .create()
            .unwrap();
        assert!(consumer.poll(Duration::ZERO).is_none());
        let spans = recorder.take();
        assert_eq!(spans.len(), count);
        for span in spans {
            assert_eq!(span.meta("kafka.received_message"), Some("false"));
            assert_eq!(span.meta("kafka.topic"), None);
            assert!(!span.error);
        }
    }
    let recorder = recorder(&[]);
    let broker = Broker::played("broken");
    let mut config = broker.group("g");
    config.set("auto.offset.reset", "error");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut far = TopicPartitionList::new();
    far.add_partition_offset("broken", 0, Offset::Offset(999))
        .unwrap();
    consumer.assign(&far).unwrap();
    let error = until(|| consumer.poll(Duration::from_millis(50))).unwrap_err();
    let spans = recorder.take();
    let failed: Vec<_> = spans.iter().filter(|span| span.error).collect();
    assert_eq!(failed.len(), 1, "{error}: {spans:#?}");
    assert_eq!(failed[0].meta("error.message"), Some(&*error.to_string()));
}

#[test]
fn what_is_committed_is_told_once_and_as_the_next_offset() {
    listen();
    let _recorder = recorder(&[]);
    let commits = |topic: &str| -> Vec<String> {
        told(topic)
            .into_iter()
            .filter(|what| what.starts_with("commit"))
            .collect()
    };
    // By hand.
    let broker = Broker::with("by-hand", 1);
    fill(&broker, "by-hand", &[Some("a"), Some("b"), Some("c")]);
    let mut config = broker.group("g");
    config.set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.assign(&beginning("by-hand", &[0])).unwrap();
    let message = next(&consumer);
    assert_eq!(commits("by-hand"), [""; 0]);
    consumer.commit_message(&message, CommitMode::Sync).unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset("by-hand", 0, Offset::Offset(3))
        .unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
    assert_eq!(commits("by-hand"), ["commit g 0 1", "commit g 0 3"]);
    assert_eq!(
        consumer
            .committed_offsets(offsets.clone(), PATIENCE)
            .unwrap()
            .elements()[0]
            .offset(),
        Offset::Offset(3)
    );

    // By storing, for the library to commit.
    let broker = Broker::with("stored", 1);
    fill(&broker, "stored", &[Some("a"), Some("b")]);
    let mut config = broker.group("g");
    config.set("enable.auto.offset.store", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.assign(&beginning("stored", &[0])).unwrap();
    let message = next(&consumer);
    assert_eq!(commits("stored"), [""; 0]);
    consumer.store_offset_from_message(&message).unwrap();
    consumer.store_offset("stored", 0, 1).unwrap();
    assert_eq!(commits("stored"), ["commit g 0 1", "commit g 0 2"]);
}

#[tokio::test]
async fn a_stream_consumer_hands_the_trace_on() {
    let recorder = recorder(&[]);
    let broker = Broker::with("streamed", 1);
    let producer: FutureProducer = broker.config().create().unwrap();
    for _ in 0..2 {
        let record = FutureRecord::to("streamed").key("k").payload("v");
        producer.send(record, PATIENCE).await.unwrap();
    }
    let sent = recorder.take();
    let consumer: StreamConsumer = broker.group("g").create().unwrap();
    consumer.assign(&beginning("streamed", &[0])).unwrap();
    let first = tokio::time::timeout(PATIENCE, consumer.recv())
        .await
        .unwrap()
        .unwrap();
    let mut stream = consumer.stream();
    let second = tokio::time::timeout(PATIENCE, stream.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!((first.offset(), second.offset()), (0, 1));
    let spans = recorder.take();
    let parents: Vec<_> = spans.iter().map(|span| span.parent_id).collect();
    let producers: Vec<_> = sent.iter().map(|span| span.span_id).collect();
    assert_eq!(parents, producers);
    assert!(spans.iter().all(|span| span.name == "kafka.consume"));
    // A `recv` that is given up makes no span and loses no message.
    drop(stream);
    {
        let mut receiving = std::pin::pin!(consumer.recv());
        assert!(receiving.as_mut().now_or_never().is_none());
    }
    let record = FutureRecord::to("streamed").key("k").payload("v");
    producer.send(record, PATIENCE).await.unwrap();
    let third = tokio::time::timeout(PATIENCE, consumer.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(third.offset(), 2);
}

#[test]
fn queues_of_single_partitions_are_watched() {
    let recorder = recorder(&[]);
    let broker = Broker::with("split", 2);
    fill(&broker, "split", &[Some("a")]);
    recorder.take();
    let consumer: Arc<BaseConsumer> = Arc::new(broker.group("g").create().unwrap());
    consumer.assign(&beginning("split", &[0, 1])).unwrap();
    let queue = consumer.split_partition_queue("split", 0).unwrap();
    let payload = until(|| {
        assert!(consumer.poll(Duration::ZERO).is_none());
        let message = queue.poll(Duration::from_millis(50))?.unwrap();
        message.payload().map(<[u8]>::to_vec)
    });
    assert_eq!(payload, b"a");
    assert_eq!(named(&recorder.take(), "kafka.consume").len(), 1);
}

#[test]
fn listed_as_linked_the_producer_is_not_the_parent() {
    let recorder = recorder(&[("DD_TRACE_PROPAGATION_AS_SPAN_LINKS", "kafka")]);
    let broker = Broker::with("linked", 1);
    fill(&broker, "linked", &[Some("a")]);
    let sent = recorder.take();
    let consumer = broker.consumer("g", "linked");
    let mut outer = Span::builder("outer").start();
    {
        let _active = outer.enter();
        next(&consumer);
    }
    drop(outer);
    let spans = recorder.take();
    let (outer, span) = (named(&spans, "outer")[0], named(&spans, "kafka.consume")[0]);
    assert_eq!(span.parent_id, outer.span_id);
    let producer = named(&sent, "kafka.produce")[0];
    let linked: Vec<_> = span
        .links
        .iter()
        .map(|link| link.target.span_id.get())
        .collect();
    assert_eq!(linked, [producer.span_id]);
}
