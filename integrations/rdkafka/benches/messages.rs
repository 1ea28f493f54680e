//! What a message costs more with the integration than with the library alone, on the thread that sends or receives it.
//!
//! ```text
//! cargo bench -p ddtrace-rdkafka --bench messages
//! ```
//!
//! Batches of messages go through both in turns, in one process; the fastest batch of each counts, since whatever else the machine does only
//! adds to it. Sending is putting into the library's queue; receiving is taking out of it what was fetched before.
//!
//! With a case as argument (`send bare`, `send off`, `send on`, `receive bare`, `receive read`, which looks at all
//! headers with the library alone, `receive on`) it makes one batch for callgrind, which is to
//! count what [`counted`] does and nothing else: instructions of the other threads, which are librdkafka's, are not among it.
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='*counted*' target/release/deps/messages-… send on
//! ```

use std::time::{Duration, Instant};

use ddtrace_core::test_support::Recorder;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const BATCH: u32 = 200;
const ROUNDS: u32 = 100;
const TOPIC: &str = "bench";
const PAYLOAD: &[u8] = &[b'x'; 100];

/// The fastest batch so far, per message.
struct Best(Duration);

impl Best {
    fn time(&mut self, work: impl FnOnce()) {
        let began = Instant::now();
        work();
        self.0 = self.0.min(began.elapsed() / BATCH);
    }
}

fn config(cluster: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster);
    config
}

fn sending(cluster: &str) -> [Duration; 3] {
    let bare: rdkafka::producer::BaseProducer = config(cluster).create().expect("a producer");
    let ours: ddtrace_rdkafka::BaseProducer = config(cluster).create().expect("a producer");
    let record = || {
        BaseRecord::to(TOPIC)
            .partition(0)
            .key("key")
            .payload(PAYLOAD)
    };
    let mut best = [(); 3].map(|()| Best(Duration::MAX));
    let flush = || {
        bare.flush(Duration::from_secs(60))
            .expect("bare messages arrive");
        ours.flush(Duration::from_secs(60))
            .expect("our messages arrive");
    };
    for _ in 0..ROUNDS {
        best[0].time(|| {
            for _ in 0..BATCH {
                let _ = bare.send(record());
            }
        });
        flush();
        let off = Recorder::with_variables(&[("DD_TRACE_KAFKA_ENABLED", "false")]);
        best[1].time(|| {
            for _ in 0..BATCH {
                let _ = ours.send(record());
            }
        });
        drop(off);
        flush();
        let on = Recorder::with_variables(&[]);
        best[2].time(|| {
            for _ in 0..BATCH {
                let _ = ours.send(record());
            }
        });
        assert_eq!(on.take().len(), BATCH as usize);
        flush();
    }
    best.map(|best| best.0)
}

/// Receives what `sending` has sent, a batch at a time.
fn receiving(cluster: &str) -> [Duration; 2] {
    let mut config = config(cluster);
    config
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10");
    let mut beginning = TopicPartitionList::new();
    beginning
        .add_partition_offset(TOPIC, 0, Offset::Beginning)
        .expect("a list");
    let bare: rdkafka::consumer::BaseConsumer = config.create().expect("a consumer");
    let ours: ddtrace_rdkafka::BaseConsumer = config.create().expect("a consumer");
    bare.assign(&beginning).expect("a partition");
    ours.assign(&beginning).expect("a partition");
    let mut best = [(); 2].map(|()| Best(Duration::MAX));
    for _ in 0..ROUNDS {
        best[0].time(|| {
            for _ in 0..BATCH {
                let message = bare.poll(Duration::from_secs(60));
                message.expect("a message").expect("no error");
            }
        });
        let on = Recorder::with_variables(&[]);
        best[1].time(|| {
            for _ in 0..BATCH {
                let message = ours.poll(Duration::from_secs(60));
                message.expect("a message").expect("no error");
            }
        });
        assert!(on.take().len() >= BATCH as usize);
    }
    best.map(|best| best.0)
}

/// What callgrind counts, by its name.
#[inline(never)]
fn counted(work: impl FnOnce()) {
    work();
    // A call at the end would leave the function by a jump.
    std::hint::black_box(());
}

/// One batch after another that brings everything into its steady state.
fn count_sending(cluster: &str, which: &str) {
    let enabled = if which == "on" { "true" } else { "false" };
    let recorder = Recorder::with_variables(&[("DD_TRACE_KAFKA_ENABLED", enabled)]);
    macro_rules! count {
        ($producer:ty) => {
            let producer: $producer = config(cluster).create().expect("a producer");
            let batch = || {
                for _ in 0..BATCH {
                    let record = BaseRecord::to(TOPIC).partition(0).key("key");
                    let _ = producer.send(record.payload(PAYLOAD));
                }
            };
            batch();
            producer
                .flush(Duration::from_secs(600))
                .expect("they arrive");
            recorder.take();
            counted(batch);
        };
    }
    if which == "bare" {
        count!(rdkafka::producer::BaseProducer);
    } else {
        count!(ddtrace_rdkafka::BaseProducer);
    }
}

fn count_receiving(cluster: &str, which: &str) {
    let recorder = Recorder::with_variables(&[]);
    let producer: ddtrace_rdkafka::BaseProducer = config(cluster).create().expect("a producer");
    for _ in 0..2 * BATCH {
        let record = BaseRecord::to(TOPIC).partition(0).key("key");
        let _ = producer.send(record.payload(PAYLOAD));
    }
    producer
        .flush(Duration::from_secs(600))
        .expect("they arrive");
    let mut beginning = TopicPartitionList::new();
    beginning
        .add_partition_offset(TOPIC, 0, Offset::Beginning)
        .expect("a list");
    let reads_headers = which == "read";
    macro_rules! count {
        ($consumer:ty) => {
            let mut config = config(cluster);
            config
                .set("group.id", "bench")
                .set("enable.auto.commit", "false");
            let consumer: $consumer = config.create().expect("a consumer");
            consumer.assign(&beginning).expect("a partition");
            let batch = || {
                for _ in 0..BATCH {
                    let message = consumer.poll(Duration::from_secs(600));
                    let message = message.expect("a message").expect("no error");
                    if reads_headers {
                        let headers = message.headers().expect("headers");
                        std::hint::black_box(headers.iter().last());
                    }
                }
            };
            batch();
            recorder.take();
            counted(batch);
        };
    }
    if which != "on" {
        count!(rdkafka::consumer::BaseConsumer);
    } else {
        count!(ddtrace_rdkafka::BaseConsumer);
    }
}

fn main() {
    let cluster = MockCluster::new(1).expect("a cluster");
    cluster.create_topic(TOPIC, 1, 1).expect("a topic");
    let servers = cluster.bootstrap_servers();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["send", which, ..] => return count_sending(&servers, which),
        ["receive", which, ..] => return count_receiving(&servers, which),
        _ => {}
    }
    let [bare, off, on] = sending(&servers);
    let against = |ours: Duration, bare: Duration| {
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        format!("{:>6} ns ({ratio:.2}x)", ours.as_nanos())
    };
    let nanoseconds = bare.as_nanos();
    let (off, on) = (against(off, bare), against(on, bare));
    println!("send     bare {nanoseconds:>6} ns   switched off {off}   with spans {on}");
    let [bare, on] = receiving(&servers);
    let (nanoseconds, on) = (bare.as_nanos(), against(on, bare));
    println!("receive  bare {nanoseconds:>6} ns   with spans {on}");
}
