//! No round trip more: a client of ours asks of a broker what the library's own client asks, request for request.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{BaseRecord, FutureRecord, Producer as _};
use tokio::runtime::Runtime;

use super::broker::{Broker, PATIENCE, beginning, listen, recorder, until};
use super::proxy::{Proxy, Requests};

/// How long one look for a message takes.
const A_MOMENT: Duration = Duration::from_millis(50);

/// Messages of one run.
const MESSAGES: u64 = 20;

/// What one client has asked: until it was under way, and from then on.
struct Asked {
    first: Requests,
    then: Requests,
}

/// Runs a client that calls back as soon as it is under way, and again at its end.
fn ask(broker: &Broker, client: impl FnOnce(&ClientConfig, &mut dyn FnMut())) -> Asked {
    let proxy = Proxy::before(broker.servers());
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", proxy.servers())
        // Whatever goes by the clock alone would come when it likes.
        .set("topic.metadata.refresh.interval.ms", "-1");
    let mut looks = Vec::new();
    client(&config, &mut || looks.push(proxy.requests()));
    let [first, all] = looks.try_into().expect("two looks");
    let mut then = all;
    for (kind, count) in &first {
        *then.get_mut(kind).unwrap() -= count;
    }
    then.retain(|_, count| *count > 0);
    Asked { first, then }
}

impl Asked {
    fn kinds(&self) -> BTreeSet<&'static str> {
        self.first.keys().chain(self.then.keys()).copied().collect()
    }

    /// Without what depends on how long the run takes, however little is done in it.
    fn counted(&self) -> Requests {
        let by_time = ["Fetch", "Heartbeat"];
        let mut counted = self.then.clone();
        counted.retain(|kind, _| !by_time.contains(kind));
        counted
    }
}

/// Both clients ask for the same, and for each message what is expected.
fn compare(bare: &Asked, ours: &Asked, per_message: &[&'static str]) {
    assert_eq!(ours.kinds(), bare.kinds());
    let expected: Requests = per_message.iter().map(|kind| (*kind, MESSAGES)).collect();
    assert_eq!(
        (bare.counted(), ours.counted()),
        (expected.clone(), expected)
    );
}

/// A producer, the library's or ours.
trait Sends: FromClientConfig {
    /// Sends a message and waits until it is delivered.
    fn send(&self, topic: &str);
}

macro_rules! sends {
    ($($producer:ty => $send:ident($record:ident)),+ $(,)?) => {$(
        impl Sends for $producer {
            fn send(&self, topic: &str) {
                let record = $record::to(topic).key("k").payload("v");
                assert!(self.$send(record).is_ok());
                self.flush(PATIENCE).unwrap();
            }
        }
    )+};
}

sends! {
    rdkafka::producer::BaseProducer => send(BaseRecord),
    ddtrace_rdkafka::BaseProducer => send(BaseRecord),
    rdkafka::producer::FutureProducer => send_result(FutureRecord),
    ddtrace_rdkafka::FutureProducer => send_result(FutureRecord),
}

/// Under way with the first message: who leads a partition, and the cluster's id, are known by then.
fn produce<P: Sends>(broker: &Broker, topic: &str) -> Asked {
    ask(broker, |config, look| {
        let producer: P = config.create().unwrap();
        producer.send(topic);
        look();
        for _ in 0..MESSAGES {
            producer.send(topic);
        }
        look();
    })
}

#[test]
fn a_producer_asks_for_nothing_but_to_produce() {
    use rdkafka::producer as bare;
    listen();
    let recorder = recorder(&[]);
    let broker = Broker::with("asked-by-producers", 1);
    let topic = "asked-by-producers";
    let pairs = [
        (
            produce::<bare::BaseProducer>(&broker, topic),
            produce::<ddtrace_rdkafka::BaseProducer>(&broker, topic),
        ),
        (
            produce::<bare::FutureProducer>(&broker, topic),
            produce::<ddtrace_rdkafka::FutureProducer>(&broker, topic),
        ),
    ];
    for (bare, ours) in &pairs {
        compare(bare, ours, &["Produce"]);
    }
    // Ours were watched.
    assert_eq!(recorder.take().len() as u64, 2 * (MESSAGES + 1));
}

/// A consumer, the library's or ours.
trait Reads: FromClientConfig + Consumer {
    fn next(&self, runtime: &Runtime) -> BorrowedMessage<'_>;
}

macro_rules! reads {
    ($($consumer:ty => |$this:ident, $runtime:ident| $next:expr),+ $(,)?) => {$(
        impl Reads for $consumer {
            fn next(&self, $runtime: &Runtime) -> BorrowedMessage<'_> {
                let $this = self;
                $next
            }
        }
    )+};
}

reads! {
    rdkafka::consumer::BaseConsumer => |this, _runtime| until(|| this.poll(A_MOMENT)).unwrap(),
    ddtrace_rdkafka::BaseConsumer => |this, _runtime| until(|| this.poll(A_MOMENT)).unwrap(),
    rdkafka::consumer::StreamConsumer => |this, runtime| runtime.block_on(this.recv()).unwrap(),
    ddtrace_rdkafka::StreamConsumer => |this, runtime| runtime.block_on(this.recv()).unwrap(),
}

/// Reads and commits every message. A member of a group is given its partition, and any other takes it.
fn consume<C: Reads>(broker: &Broker, topic: &str, group: &str, is_member: bool) -> Asked {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _context = runtime.enter();
    ask(broker, |config, look| {
        let consumer: C = config
            .clone()
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        if is_member {
            consumer.subscribe(&[topic]).unwrap();
        } else {
            consumer.assign(&beginning(topic, &[0])).unwrap();
        }
        for number in 0..=MESSAGES {
            let message = consumer.next(&runtime);
            assert_eq!(message.offset() as u64, number);
            consumer.commit_message(&message, CommitMode::Sync).unwrap();
            if number == 0 || number == MESSAGES {
                look();
            }
        }
    })
}

#[test]
fn a_consumer_asks_for_nothing_but_to_fetch_and_to_commit() {
    use rdkafka::consumer as bare;
    listen();
    let recorder = recorder(&[]);
    let broker = Broker::with("asked-by-consumers", 1);
    let topic = "asked-by-consumers";
    produce::<ddtrace_rdkafka::BaseProducer>(&broker, topic);
    recorder.take();
    for is_member in [false, true] {
        // Each in a group of its own: another one's commits would be read.
        let group = |name: &str| format!("{name}-{is_member}");
        let pairs = [
            (
                consume::<bare::BaseConsumer>(&broker, topic, &group("a"), is_member),
                consume::<ddtrace_rdkafka::BaseConsumer>(&broker, topic, &group("b"), is_member),
            ),
            (
                consume::<bare::StreamConsumer>(&broker, topic, &group("c"), is_member),
                consume::<ddtrace_rdkafka::StreamConsumer>(&broker, topic, &group("d"), is_member),
            ),
        ];
        for (bare, ours) in &pairs {
            compare(bare, ours, &["OffsetCommit"]);
        }
        // Ours were watched.
        assert_eq!(recorder.take().len() as u64, 2 * (MESSAGES + 1));
    }
}
