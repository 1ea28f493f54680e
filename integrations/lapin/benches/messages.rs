//! What a message costs more with the integration than with the library alone.
//!
//! ```text
//! bash tests/run --exec cargo bench -p ddtrace-lapin --bench messages
//! ```
//!
//! Batches of messages go through both in turns, in one process; the fastest batch of each counts, since whatever else the machine does only
//! adds to it. Sending lasts until the library has written the message to its socket, on a thread of its own; receiving is taking what has
//! arrived before.

use std::time::{Duration, Instant};

use ddtrace_core::test_support::Recorder;
use ddtrace_lapin::{Channel, Connection};
use futures_util::{Stream, StreamExt as _};
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ConnectionProperties};

const BATCH: u32 = 200;
const ROUNDS: u32 = 100;
const QUEUE: &str = "ddtrace-bench";
const PAYLOAD: &[u8] = &[b'x'; 100];
const OPTIONS: BasicPublishOptions = BasicPublishOptions {
    mandatory: false,
    immediate: false,
};

/// The fastest batch so far, per message.
struct Best(Duration);

impl Best {
    async fn time(&mut self, work: impl Future<Output = ()>) {
        let began = Instant::now();
        work.await;
        self.0 = self.0.min(began.elapsed() / BATCH);
    }
}

/// A batch without the integration. Both send alike.
async fn send_bare(channel: &lapin::Channel) {
    for _ in 0..BATCH {
        let properties = BasicProperties::default();
        let sent = channel.basic_publish("".into(), QUEUE.into(), OPTIONS, PAYLOAD, properties);
        sent.await.expect("it is sent");
    }
}

async fn send(channel: &Channel) {
    for _ in 0..BATCH {
        let properties = BasicProperties::default();
        let sent = channel.basic_publish("".into(), QUEUE.into(), OPTIONS, PAYLOAD, properties);
        sent.await.expect("it is sent");
    }
}

async fn sending(channel: &Channel) -> [Duration; 3] {
    let mut best = [(); 3].map(|()| Best(Duration::MAX));
    for round in 0..ROUNDS {
        // Each comes first as often as the others: what the broker does with the batch before takes time as well.
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => best[0].time(send_bare(channel)).await,
                1 => {
                    let off = ("DD_TRACE_RABBITMQ_ENABLED", "false");
                    let _off = Recorder::with_variables(&[off]);
                    best[1].time(send(channel)).await;
                }
                _ => {
                    let on = Recorder::new();
                    best[2].time(send(channel)).await;
                    assert_eq!(on.take().len(), BATCH as usize);
                }
            }
        }
        let options = QueuePurgeOptions::default();
        let purged = channel.queue_purge(QUEUE.into(), options);
        purged.await.expect("they are gone");
    }
    best.map(|best| best.0)
}

async fn take<S>(messages: &mut S)
where
    S: Stream<Item = lapin::Result<lapin::message::Delivery>> + Unpin,
{
    for _ in 0..BATCH {
        let message = messages.next().await;
        message.expect("a message").expect("no error");
    }
}

async fn receiving(channel: &Channel) -> [Duration; 2] {
    let options = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    let consumer = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default());
    let mut ours = consumer.await.expect("a consumer");
    let mut bare = ours.clone().into_inner();
    let mut best = [(); 2].map(|()| Best(Duration::MAX));
    for _ in 0..ROUNDS {
        for with_spans in [false, true] {
            let on = Recorder::new();
            send(channel).await;
            on.take();
            // Until they have arrived: those that have not only make a batch that does not count.
            tokio::time::sleep(Duration::from_millis(30)).await;
            if with_spans {
                best[1].time(take(&mut ours)).await;
                assert_eq!(on.take().len(), BATCH as usize);
            } else {
                best[0].time(take(&mut bare)).await;
            }
        }
    }
    best.map(|best| best.0)
}

async fn all(broker: &str) -> lapin::Result<()> {
    let connection = Connection::connect(broker, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(QUEUE.into(), options, FieldTable::default())
        .await?;
    let against = |ours: Duration, bare: Duration| {
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        format!("{:>6} ns ({ratio:.2}x)", ours.as_nanos())
    };
    let [bare, off, on] = sending(&channel).await;
    let nanoseconds = bare.as_nanos();
    let (off, on) = (against(off, bare), against(on, bare));
    println!("send     bare {nanoseconds:>6} ns   switched off {off}   with spans {on}");
    let [bare, on] = receiving(&channel).await;
    let (nanoseconds, on) = (bare.as_nanos(), against(on, bare));
    println!("receive  bare {nanoseconds:>6} ns   with spans {on}");
    Ok(())
}

fn main() {
    let Ok(broker) = std::env::var("RABBITMQ_URL") else {
        println!("left out: RABBITMQ_URL is not set; `bash tests/run` sets it");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime
        .block_on(all(&broker))
        .expect("the broker does as it is told");
}
