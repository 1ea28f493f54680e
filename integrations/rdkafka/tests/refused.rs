//! A broker that does not know headers: a process of its own, since it changes what the whole process does.

use std::time::Duration;

use ddtrace_core::test_support::Recorder;
use ddtrace_rdkafka::{BaseConsumer, FutureProducer};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::FutureRecord;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

#[tokio::test]
async fn after_the_error_minus_one_no_headers_are_written_any_more() {
    let recorder = Recorder::new();
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("old", 1, 1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    let producer: FutureProducer = config.create().unwrap();
    let timeout = Duration::from_secs(60);
    let send = || {
        let record = FutureRecord::to("old").partition(0).key("k").payload("v");
        producer.send(record, timeout)
    };
    send().await.unwrap();
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN],
    );
    let (error, _) = send().await.unwrap_err();
    assert_eq!(
        error,
        KafkaError::MessageProduction(RDKafkaErrorCode::Unknown)
    );
    send().await.unwrap();

    let consumer: BaseConsumer = config.set("group.id", "g").create().unwrap();
    let mut from_beginning = TopicPartitionList::new();
    from_beginning
        .add_partition_offset("old", 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&from_beginning).unwrap();
    let deadline = std::time::Instant::now() + timeout;
    let mut counts = Vec::new();
    while counts.len() < 2 {
        assert!(std::time::Instant::now() < deadline);
        if let Some(message) = consumer.poll(Duration::from_millis(50)) {
            let message = message.unwrap();
            counts.push(message.headers().map_or(0, |headers| headers.count()));
        }
    }
    assert!(counts[0] > 0 && counts[1] == 0, "{counts:?}");
    // Spans are made as before.
    let spans = recorder.take();
    let produced: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "kafka.produce")
        .map(|span| span.error)
        .collect();
    assert_eq!(produced, [false, true, false]);
}
