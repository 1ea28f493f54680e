//! How far producers and consumers of Kafka are: the backend computes the lag of a group from it.

use crate::bucket::{Position, PositionKind, Rare};
use crate::switch;
use crate::time::Nanoseconds;
use crate::transaction::Transaction;

/// A message was stored at this offset. `cluster` is the cluster's id, if it is known.
pub fn kafka_produce_offset(topic: &str, partition: i32, offset: i64, cluster: Option<&str>) {
    observe(PositionKind::Produce, "", topic, partition, offset, cluster);
}

/// A consumer of this group has committed this offset: the next one that it will read.
pub fn kafka_commit_offset(
    group: &str,
    topic: &str,
    partition: i32,
    offset: i64,
    cluster: Option<&str>,
) {
    observe(
        PositionKind::Commit,
        group,
        topic,
        partition,
        offset,
        cluster,
    );
}

/// The partition's end is at this offset.
pub fn kafka_high_watermark(topic: &str, partition: i32, offset: i64, cluster: Option<&str>) {
    observe(
        PositionKind::HighWatermark,
        "",
        topic,
        partition,
        offset,
        cluster,
    );
}

fn observe(
    kind: PositionKind,
    group: &str,
    topic: &str,
    partition: i32,
    offset: i64,
    cluster: Option<&str>,
) {
    // Below zero are the client's marks for "unknown", "the beginning", "the end".
    if offset < 0 {
        return;
    }
    switch::with(|running, _| {
        let position = Position {
            kind,
            group: group.into(),
            topic: topic.into(),
            partition,
            cluster: cluster.unwrap_or_default().into(),
        };
        running.observe(Rare::Offset(position, offset, Nanoseconds::now()).into());
    });
}

/// A transaction of the user's, by an id of the user's, passes a checkpoint of the user's.
///
/// There are at most 254 checkpoints in a process; ids are cut after 255 bytes. Every passage costs about a dozen bytes
/// and the id in the next payload.
pub fn track_transaction(id: &str, checkpoint: &str) {
    switch::with(|running, _| {
        let transaction = Transaction {
            id: id.into(),
            checkpoint: checkpoint.into(),
            at: Nanoseconds::now(),
        };
        running.observe(Rare::Transaction(transaction).into());
    });
}
