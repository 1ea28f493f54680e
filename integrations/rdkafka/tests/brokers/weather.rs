//! Bad weather: brokers that go away, groups that change, messages that cannot be read.

use std::collections::BTreeSet;
use std::time::Duration;

use ddtrace_core::trace::Span;
use ddtrace_rdkafka::{BaseConsumer, BaseProducer, FutureProducer};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseRecord, FutureRecord, Producer as _};

use super::broker::{Broker, PATIENCE, beginning, listen, named, recorder, told, until};
use super::proxy::Proxy;

#[tokio::test]
async fn a_broker_that_is_gone_fails_the_delivery_with_the_library_s_own_error() {
    listen();
    let recorder = recorder(&[]);
    let broker = Broker::played("gone");
    let mut config = broker.config();
    config.set("message.timeout.ms", "300");
    let producer: FutureProducer = config.create().unwrap();
    broker.go_down();
    let record = FutureRecord::to("gone").key("k").payload("v");
    let (error, message) = producer.send(record, PATIENCE).await.unwrap_err();
    assert_eq!(
        error,
        KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)
    );
    assert_eq!(message.payload(), Some(&b"v"[..]));
    assert_eq!(
        message.headers().map_or(0, |headers| headers.count()),
        0,
        "as it was given"
    );
    let spans = recorder.take();
    assert_eq!(spans.len(), 1);
    assert!(spans[0].error);
    assert_eq!(spans[0].meta("error.message"), Some(&*error.to_string()));
    assert!(
        told("gone")
            .iter()
            .any(|what| what == "delivered 0 None" || what == "delivered -1 None")
    );
}

#[test]
fn an_error_that_comes_late_reaches_the_span_while_its_trace_is_open() {
    let recorder = recorder(&[]);
    let broker = Broker::played("late");
    let mut config = broker.config();
    config.set("message.timeout.ms", "300");
    let producer: BaseProducer = config.create().unwrap();
    broker.go_down();
    let mut outer = Span::builder("outer").start();
    {
        let _active = outer.enter();
        assert!(
            producer
                .send(BaseRecord::to("late").key("k").payload("v"))
                .is_ok()
        );
    }
    until(|| {
        producer.poll(Duration::from_millis(50));
        (producer.in_flight_count() == 0).then_some(())
    });
    drop(outer);
    let spans = recorder.take();
    let span = named(&spans, "kafka.produce")[0];
    assert!(span.error, "{span:#?}");
    assert!(
        span.meta("error.message")
            .unwrap()
            .contains("MessageTimedOut")
    );
    assert!(!named(&spans, "outer")[0].error);
}

#[test]
fn a_connection_that_is_cut_delays_messages_and_loses_no_trace() {
    listen();
    let recorder = recorder(&[]);
    let broker = Broker::with("cut", 1);
    let proxy = Proxy::before(broker.servers());
    let mut config = broker.group("cut");
    config
        .set("bootstrap.servers", proxy.servers())
        .set("reconnect.backoff.max.ms", "500");
    let producer: BaseProducer = config.create().unwrap();
    let send = |text: &str| {
        let record = BaseRecord::to("cut").partition(0).key("k").payload(text);
        assert!(producer.send(record).is_ok());
        let spans = recorder.take();
        named(&spans, "kafka.produce")[0].span_id
    };
    let before = send("before");
    producer.flush(PATIENCE).unwrap();
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.assign(&beginning("cut", &[0])).unwrap();
    let read = || {
        let found = until(|| {
            let message = consumer.poll(Duration::from_millis(50))?.ok()?;
            Some(message.payload().unwrap().to_vec())
        });
        let spans = recorder.take();
        let read = named(&spans, "kafka.consume");
        let parent = read.last().unwrap().parent_id;
        (String::from_utf8(found).unwrap(), parent)
    };
    assert_eq!(read(), ("before".to_owned(), before));

    proxy.cut();
    let meanwhile = send("meanwhile");
    // The library says that nobody is there.
    let error = until(|| {
        producer.poll(Duration::ZERO);
        consumer.poll(Duration::from_millis(50))
    })
    .unwrap_err();
    let failed = recorder.take();
    let failed: Vec<_> = failed.iter().filter(|span| span.error).collect();
    assert_eq!(failed.len(), 1, "{error}");
    assert_eq!(failed[0].meta("error.message"), Some(&*error.to_string()));
    let delivered = || -> Vec<String> {
        let told = told("cut").into_iter();
        told.filter(|what| what.starts_with("delivered")).collect()
    };
    assert_eq!(delivered(), ["delivered 0 Some(0)"]);

    proxy.mend();
    producer.flush(PATIENCE).unwrap();
    assert_eq!(read(), ("meanwhile".to_owned(), meanwhile));
    assert_eq!(delivered(), ["delivered 0 Some(0)", "delivered 0 Some(1)"]);
}

#[test]
fn a_group_that_changes_loses_no_message_and_no_trace() {
    let recorder = recorder(&[]);
    let broker = Broker::with("moved", 4);
    let producer: BaseProducer = broker.config().create().unwrap();
    let send = |from: i32, to: i32| {
        for number in from..to {
            let text = number.to_string();
            let record = BaseRecord::to("moved")
                .partition(number % 4)
                .key("k")
                .payload(&text);
            assert!(producer.send(record).is_ok());
        }
        producer.flush(PATIENCE).unwrap();
    };
    let join = || {
        let mut config = broker.group("changing");
        config
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "500");
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.subscribe(&["moved"]).unwrap();
        consumer
    };
    send(0, 20);
    let first = join();
    let mut seen = BTreeSet::new();
    // How many different ones were read so far.
    let mut read = |consumer: &BaseConsumer| {
        let message = consumer.poll(Duration::from_millis(20));
        if let Some(Ok(message)) = message {
            let text = message.payload_view::<str>().unwrap().unwrap();
            seen.insert(text.parse::<i32>().unwrap());
        }
        seen.len()
    };
    until(|| {
        read(&first);
        (first.assignment().unwrap().count() == 4).then_some(())
    });
    let second = join();
    until(|| {
        read(&first);
        read(&second);
        let counts = [&first, &second].map(|it| it.assignment().unwrap().count());
        (counts == [2, 2]).then_some(())
    });
    send(20, 40);
    // A consumer that closes passes over what it has fetched and nobody has read.
    until(|| {
        read(&first);
        (read(&second) == 40).then_some(())
    });
    // The first one leaves without a word: the second gets its partitions.
    drop(first);
    until(|| {
        read(&second);
        (second.assignment().unwrap().count() == 4).then_some(())
    });
    send(40, 60);
    until(|| (read(&second) == 60).then_some(()));
    let spans = recorder.take();
    let produced: BTreeSet<_> = named(&spans, "kafka.produce")
        .iter()
        .map(|span| span.span_id)
        .collect();
    let consumed = named(&spans, "kafka.consume");
    assert!(consumed.len() >= 60, "{}", consumed.len());
    assert!(
        consumed
            .iter()
            .all(|span| produced.contains(&span.parent_id))
    );
}

#[test]
fn ten_thousand_topics_are_as_one() {
    let recorder = recorder(&[]);
    // Nobody listens there: the messages stay in the library's queue.
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", "127.0.0.1:1")
        .set("log_level", "0");
    let producer: BaseProducer = config.create().unwrap();
    for number in 0..10_000 {
        let topic = format!("t{number}");
        assert!(
            producer
                .send(BaseRecord::<(), _>::to(&topic).payload("v"))
                .is_ok()
        );
    }
    let spans = recorder.take();
    assert_eq!(named(&spans, "kafka.produce").len(), 10_000);
}
