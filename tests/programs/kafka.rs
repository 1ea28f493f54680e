//! A program with Kafka: produces, consumes, and passes on, as its arguments say.

use std::time::{Duration, Instant};

use ddtrace::rdkafka::{BaseConsumer, BaseProducer, ProcessSpan as _};
use rdkafka::consumer::Consumer as _;
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(60);

/// The brokers, then steps: `produce:TOPIC`, `consume:TOPIC:GROUP`, `pass:TOPIC:GROUP:TOPIC`.
pub(crate) fn run(arguments: &[String]) {
    let guard = ddtrace::init();
    let (servers, steps) = arguments.split_first().expect("brokers");
    for step in steps {
        let words: Vec<&str> = step.split(':').collect();
        match words[..] {
            ["produce", topic] => produce(servers, topic),
            ["consume", topic, group] => consume(servers, topic, group, None),
            ["pass", topic, group, on] => consume(servers, topic, group, Some(on)),
            _ => panic!("there is no step {step:?}"),
        }
    }
    drop(guard);
    crate::report(0);
}

fn produce(servers: &str, topic: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .create()
        .expect("a producer");
    // The Python tracer asks for the cluster's id before the first message; ours takes what is known.
    producer
        .client()
        .fetch_cluster_id(PATIENCE)
        .expect("a cluster");
    let record = BaseRecord::to(topic)
        .partition(0)
        .key("k")
        .payload("from Rust");
    producer
        .send(record)
        .map_err(|(error, _)| error)
        .expect("it fits in the queue");
    producer.flush(PATIENCE).expect("it is delivered");
}

fn consume(servers: &str, topic: &str, group: &str, then: Option<&str>) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", group)
        .create()
        .expect("a consumer");
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning)
        .expect("a list");
    consumer.assign(&from).expect("a partition");
    let deadline = Instant::now() + PATIENCE;
    let message = loop {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) {
            break message;
        }
        assert!(Instant::now() < deadline, "no message");
    };
    let mut span = message.process_span();
    let _active = span.enter();
    if let Some(topic) = then {
        produce(servers, topic);
    }
}
