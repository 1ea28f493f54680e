//! What only a real broker shows: true offsets and times, much at once, and a broker that is killed.
//!
//! `bash tests/long/kafka` runs these. Where to find the brokers is in `KAFKA_BROKERS`, and the program of one that may be killed in
//! `TANSU`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ddtrace_rdkafka::{
    BaseConsumer, BaseProducer, FutureProducer, ProcessSpan as _, StreamConsumer, ThreadedProducer,
    batch_span,
};
use rdkafka::Offset;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, FutureRecord, Producer as _};

use super::broker::{Broker, PATIENCE, beginning, listen, named, next, recorder, told, until};

fn broker(topic: &str, partitions: i32) -> Broker {
    let servers = std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS, see tests/long/kafka");
    let broker = Broker::at(&servers);
    broker.create_topic(topic, partitions);
    broker
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[test]
#[ignore = "needs a real broker: bash tests/long/kafka"]
fn offsets_lag_and_times_are_the_broker_s() {
    listen();
    let recorder = recorder(&[]);
    let broker = broker("measured", 2);
    let producer: BaseProducer = broker.config().create().unwrap();
    let began = now();
    // Of both partitions, not as many.
    for number in 0..15 {
        let record = BaseRecord::to("measured").partition(number % 3 % 2);
        assert!(producer.send(record.key("k").payload("v")).is_ok());
    }
    producer.flush(PATIENCE).unwrap();
    let ended = now();
    let produced = recorder.take();

    let mut config = broker.group("measuring");
    config.set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.assign(&beginning("measured", &[0, 1])).unwrap();
    let mut messages: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for _ in 0..15 {
        let message = next(&consumer);
        let at = message.timestamp().to_millis().unwrap();
        assert!(began <= at && at <= ended, "{began} {at} {ended}");
        messages
            .entry(message.partition())
            .or_default()
            .push(message.offset());
        // Of the first partition not all are done.
        if message.offset() < 4 {
            consumer.commit_message(&message, CommitMode::Sync).unwrap();
        }
    }
    let expected = BTreeMap::from([(0, (0..10).collect()), (1, (0..5).collect::<Vec<_>>())]);
    assert_eq!(messages, expected);
    for span in named(&recorder.take(), "kafka.consume") {
        let sender = produced.iter().find(|it| it.span_id == span.parent_id);
        assert!(sender.is_some_and(|it| it.start <= span.start), "{span:#?}");
    }

    // What was told is what the broker says when it is asked without us.
    let told = told("measured");
    let last = |what: &str, partition: i32| -> i64 {
        let start = format!("{what} {partition} ");
        let mut all = told.iter().filter_map(|it| it.strip_prefix(&start));
        let number = all
            .next_back()
            .unwrap_or_else(|| panic!("{start}: {told:?}"));
        let number = number.trim_start_matches("Some(").trim_end_matches(')');
        number.parse().unwrap()
    };
    let bare: rdkafka::consumer::BaseConsumer = broker.group("measuring").create().unwrap();
    let committed = bare
        .committed_offsets(beginning("measured", &[0, 1]), PATIENCE)
        .unwrap();
    for (partition, end) in [(0, 10), (1, 5)] {
        // By what was read: asked for the ends themselves, tansu counts batches.
        assert_eq!(last("watermark", partition), end);
        assert_eq!(last("delivered", partition), end - 1);
        let of_group = committed.find_partition("measured", partition).unwrap();
        let by_us = last("commit measuring", partition);
        assert_eq!(of_group.offset(), Offset::Offset(by_us));
        assert_eq!(by_us, 4, "and the rest is the lag");
    }
}

#[test]
#[ignore = "needs a real broker: bash tests/long/kafka"]
fn ten_thousand_messages_keep_their_traces() {
    const MESSAGES: usize = 10_000;
    let recorder = recorder(&[]);
    let broker = broker("many", 4);
    let producer: ThreadedProducer<DefaultProducerContext> = broker.config().create().unwrap();
    for number in 0..MESSAGES {
        let (key, text) = ((number % 100).to_string(), number.to_string());
        until(|| {
            let record = BaseRecord::to("many").key(&key).payload(&text);
            producer.send(record).is_ok().then_some(())
        });
    }
    producer.flush(PATIENCE).unwrap();
    let spans = recorder.take();
    let produced: BTreeSet<u64> = named(&spans, "kafka.produce")
        .iter()
        .filter(|span| !span.error)
        .map(|span| span.span_id)
        .collect();
    assert_eq!(produced.len(), MESSAGES);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut parents = BTreeSet::new();
    let seen: Vec<OwnedMessage> = runtime.block_on(async {
        let consumer: StreamConsumer = broker.group("many").create().unwrap();
        consumer.subscribe(&["many"]).unwrap();
        let mut seen = Vec::new();
        while seen.len() < MESSAGES {
            let message = tokio::time::timeout(PATIENCE, consumer.recv()).await;
            seen.push(message.unwrap().unwrap().detach());
            // More than are kept for an exporter that does not come would be dropped.
            if seen.len() % 1000 == 0 {
                let spans = recorder.take();
                parents.extend(named(&spans, "kafka.consume").iter().map(|it| it.parent_id));
            }
        }
        seen
    });
    let texts: BTreeSet<&[u8]> = seen
        .iter()
        .filter_map(|message| message.payload())
        .collect();
    assert_eq!(texts.len(), MESSAGES);
    assert_eq!(parents, produced, "each has the span of its sender");

    // As one piece of work.
    drop(batch_span(&seen[..100]));
    let spans = recorder.take();
    let batch = named(&spans, "kafka.process")[0];
    assert_eq!(batch.metric("messaging.batch.message_count"), Some(100.0));
    let mut senders: Vec<u64> = vec![batch.parent_id];
    senders.extend(batch.links.iter().map(|link| link.target.span_id.get()));
    assert_eq!(senders.len(), 100);
    assert!(senders.iter().all(|sender| produced.contains(sender)));
}

#[test]
#[ignore = "needs a real broker: bash tests/long/kafka"]
fn messages_of_a_megabyte_arrive_whole() {
    let recorder = recorder(&[]);
    let broker = broker("large-ones", 1);
    let producer: BaseProducer = broker.config().create().unwrap();
    // The library takes a million bytes, and what it adds is in them.
    let sizes: Vec<usize> = (0..20).map(|number| 990_000 + number * 500).collect();
    for size in &sizes {
        let payload = vec![b'x'; *size];
        let record = BaseRecord::<(), _>::to("large-ones").payload(&payload);
        assert!(producer.send(record).is_ok(), "{size}");
    }
    producer.flush(PATIENCE).unwrap();
    let produced = recorder.take();
    assert!(produced.iter().all(|span| !span.error));
    let consumer = broker.consumer("large-ones", "large-ones");
    for (size, sender) in sizes.iter().zip(&produced) {
        let message = next(&consumer);
        assert_eq!(message.payload_len(), *size);
        drop(message.process_span());
        let spans = recorder.take();
        // Where there was no room for headers there is no trace.
        if message.headers().is_some() {
            assert!(spans.iter().all(|span| span.parent_id == sender.span_id));
        }
        assert_eq!(spans.len(), 2);
    }
}

/// A broker of this test's own, which keeps everything in memory.
struct Mortal {
    process: Child,
    port: u16,
}

impl Mortal {
    fn start(port: u16) -> Self {
        let program = std::env::var("TANSU").expect("TANSU, see tests/long/kafka");
        let url = format!("tcp://127.0.0.1:{port}");
        let process = Command::new(program)
            .args(["broker", "--storage-engine", "memory://tansu/"])
            .args(["--listener-url", &url, "--advertised-listener-url", &url])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let this = Self { process, port };
        until(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        this
    }

    fn broker(&self) -> Broker {
        Broker::at(&format!("127.0.0.1:{}", self.port))
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
#[ignore = "needs a real broker: bash tests/long/kafka"]
async fn a_broker_that_is_killed_is_missed_and_its_successor_is_found() {
    listen();
    let recorder = recorder(&[]);
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let record = || FutureRecord::to("mortal").partition(0).key("k");
    for life in ["first", "second"] {
        let mortal = Mortal::start(port);
        let broker = mortal.broker();
        broker.create_topic("mortal", 1);
        let mut config = broker.config();
        config.set("message.timeout.ms", "60000");
        let patient: FutureProducer = config.create().unwrap();
        config.set("message.timeout.ms", "1000");
        let impatient: FutureProducer = config.create().unwrap();
        let sent = patient.send(record().payload(life), PATIENCE).await;
        assert_eq!(
            sent.unwrap().offset,
            0,
            "nothing of an earlier life is left"
        );
        let sender = recorder.take().remove(0);
        let consumer = broker.consumer("mortal", "mortal");
        assert_eq!(next(&consumer).payload(), Some(life.as_bytes()));
        let read = recorder.take();
        assert_eq!(named(&read, "kafka.consume")[0].parent_id, sender.span_id);

        drop(mortal);
        let (error, message) = impatient
            .send(record().payload("lost"), PATIENCE)
            .await
            .unwrap_err();
        assert_eq!(
            error,
            KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)
        );
        assert_eq!(message.payload(), Some(&b"lost"[..]));
        // The library's own error reaches the caller, in a span of its own.
        let error = until(|| consumer.poll(Duration::from_millis(50))).unwrap_err();
        let spans = recorder.take();
        for (name, says) in [
            ("kafka.produce", "MessageTimedOut".to_owned()),
            ("kafka.consume", error.to_string()),
        ] {
            let failed: Vec<_> = named(&spans, name)
                .into_iter()
                .filter(|it| it.error)
                .collect();
            assert_eq!(failed.len(), 1, "{name}: {spans:#?}");
            assert!(failed[0].meta("error.message").unwrap().contains(&says));
        }
        // The clients end before the topic is there again with another id: librdkafka 2.12 crashes on that now and then
        // (`rd_kafka_metadata_update_op`), with us or without.
    }
    assert_eq!(
        told("mortal")
            .iter()
            .filter(|what| *what == "delivered 0 Some(0)")
            .count(),
        2
    );
}
