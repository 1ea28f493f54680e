//! The brokers of a test, and what the integration tells about them.

use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use ddtrace_core::events::{
    self, MessageCommit, MessageConsume, MessageDelivered, MessageProcess, MessageProduce,
    MessageWatermark, Phase,
};
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_rdkafka::BaseConsumer;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::kafka::Brokers;

/// How long something may take on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One broker: real if the environment names any, or else played for this test alone.
pub(crate) struct Broker(Brokers);

impl Broker {
    pub(crate) fn new() -> Self {
        Self(Brokers::find())
    }

    /// With a topic of so many partitions.
    pub(crate) fn with(topic: &str, partitions: i32) -> Self {
        let broker = Self::new();
        broker.0.create_topic(topic, partitions);
        broker
    }

    /// One that is played whatever the environment says, for tests that steer it.
    pub(crate) fn played(topic: &str) -> Self {
        let broker = Self(Brokers::played());
        broker.0.create_topic(topic, 1);
        broker
    }

    /// A real one.
    pub(crate) fn at(servers: &str) -> Self {
        Self(Brokers::at(servers))
    }

    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) {
        self.0.create_topic(topic, partitions);
    }

    pub(crate) fn servers(&self) -> &str {
        self.0.servers()
    }

    /// Takes a broker that is played away.
    pub(crate) fn go_down(&self) {
        let steering = self.0.steering().expect("it is played");
        steering.broker_down(1).unwrap();
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.servers());
        config
    }

    pub(crate) fn group(&self, group: &str) -> ClientConfig {
        let mut config = self.config();
        config
            .set("group.id", group)
            .set("auto.offset.reset", "earliest");
        config
    }

    /// A consumer of one partition, from its beginning.
    pub(crate) fn consumer(&self, group: &str, topic: &str) -> BaseConsumer {
        let consumer: BaseConsumer = self.group(group).create().unwrap();
        consumer.assign(&beginning(topic, &[0])).unwrap();
        consumer
    }
}

/// Partitions from their beginning.
pub(crate) fn beginning(topic: &str, partitions: &[i32]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(topic, *partition, Offset::Beginning)
            .unwrap();
    }
    list
}

/// The next message of a consumer, however long the cluster takes.
pub(crate) fn next(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    until(|| consumer.poll(Duration::from_millis(50)).map(Result::unwrap))
}

/// What `look` finds, once it does.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it took too long");
    }
}

/// A recorder of a program with these variables; polls that find nothing are not recorded unless one of them says so.
pub(crate) fn recorder(variables: &[(&str, &str)]) -> Recorder {
    let quiet = [("DD_KAFKA_EMPTY_POLL_ENABLED", "false")];
    Recorder::with_variables(&[&quiet, variables].concat())
}

/// The spans of a name.
pub(crate) fn named<'a>(spans: &'a [SpanData], name: &str) -> Vec<&'a SpanData> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// What was told of a topic, by anybody in this process.
pub(crate) fn told(topic: &str) -> Vec<String> {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let about = told.iter().filter(|(of, _)| of == topic);
    about.map(|(_, what)| what.clone()).collect()
}

static TOLD: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

fn note(topic: &str, what: String) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.push((topic.to_owned(), what));
}

/// Listens to everything for as long as the process lives.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        events::on::<MessageProduce<'_>>(Phase::Product, "test", |event| {
            let topic = event.destination.unwrap_or_default();
            note(topic, format!("produce {}", event.size));
            if let Some(headers) = &mut event.headers {
                headers.as_carrier_mut().set("x-listener", b"was here");
            }
        });
        events::on::<MessageConsume<'_>>(Phase::Product, "test", |event| {
            let group = event.group.unwrap_or("nobody");
            let header = event.headers.get("x-listener").unwrap_or_default();
            let header = String::from_utf8_lossy(header);
            note(
                event.source,
                format!("consume {group} {} {header}", event.size),
            );
        });
        events::on::<MessageProcess<'_>>(Phase::Product, "test", |event| {
            let group = event.group.unwrap_or("nobody");
            note(event.source, format!("process {group}"));
        });
        events::on::<MessageDelivered<'_>>(Phase::Product, "test", |event| {
            let what = format!("delivered {} {:?}", event.partition, event.offset);
            note(event.destination, what);
        });
        events::on::<MessageCommit<'_>>(Phase::Product, "test", |event| {
            let what = format!(
                "commit {} {} {}",
                event.group, event.partition, event.offset
            );
            note(event.source, what);
        });
        events::on::<MessageWatermark<'_>>(Phase::Product, "test", |event| {
            let what = format!("watermark {} {}", event.partition, event.offset);
            note(event.source, what);
        });
    });
}
