//! The payload: one map in MessagePack, gzipped, for `POST /v0.1/pipeline_stats`.
//!
//! The order of the keys means nothing to the agent, but is that of the reference, so that bytes can be compared. Source:
//! dd-trace-py, `ddtrace/internal/datastreams/processor.py`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write as _;

use ddtrace_core::sketch::Sketch;
use flate2::Compression;
use flate2::write::GzEncoder;
use rmp::encode as msgpack;

use crate::bucket::{Bucket, Group, GroupKey, Position, PositionKind};

/// Where it goes.
pub(crate) const PATH: &str = "/v0.1/pipeline_stats";

/// A longer edge tag is cut for the backend's eyes; it was hashed whole.
const MAX_TAG: usize = 200;

/// Who sends.
#[derive(Clone, Debug)]
pub(crate) struct Sender<'a> {
    pub(crate) service: &'a str,
    pub(crate) tracer_version: &'a str,
    pub(crate) language: &'a str,
    pub(crate) hostname: &'a str,
    pub(crate) env: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) process_tags: Vec<&'a str>,
    /// Bit 0: traces, bit 1: data streams. The reference does not say it.
    pub(crate) products: Option<u64>,
}

/// The payload before it is compressed.
pub(crate) fn encode(
    sender: &Sender<'_>,
    buckets: &BTreeMap<i64, Bucket>,
    width: i64,
    checkpoint_names: &[u8],
) -> Vec<u8> {
    let mut payload = Payload(Vec::with_capacity(1024));
    let fields = 5
        + usize::from(sender.env.is_some())
        + usize::from(sender.version.is_some())
        + usize::from(!sender.process_tags.is_empty())
        + usize::from(sender.products.is_some());
    payload.map(fields);
    payload.text("Service").text(sender.service);
    payload.text("TracerVersion").text(sender.tracer_version);
    payload.text("Lang").text(sender.language);
    payload.text("Stats").array(buckets.len());
    for (start, bucket) in buckets {
        payload.bucket(*start, width, bucket, checkpoint_names);
    }
    payload.text("Hostname").text(sender.hostname);
    if let Some(env) = sender.env {
        payload.text("Env").text(env);
    }
    if let Some(version) = sender.version {
        payload.text("Version").text(version);
    }
    if !sender.process_tags.is_empty() {
        payload.text("ProcessTags").array(sender.process_tags.len());
        for tag in &sender.process_tags {
            payload.text(tag);
        }
    }
    if let Some(products) = sender.products {
        payload.text("ProductMask").number(products as i64);
    }
    payload.0
}

/// The body of the request.
pub(crate) fn compress(payload: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(payload)?;
    encoder.finish()
}

/// Writes into memory, which cannot fail.
struct Payload(Vec<u8>);

impl Payload {
    fn map(&mut self, length: usize) -> &mut Self {
        let _ = msgpack::write_map_len(&mut self.0, length as u32);
        self
    }

    fn array(&mut self, length: usize) -> &mut Self {
        let _ = msgpack::write_array_len(&mut self.0, length as u32);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        let _ = msgpack::write_str(&mut self.0, text);
        self
    }

    fn number(&mut self, number: i64) -> &mut Self {
        let _ = msgpack::write_sint(&mut self.0, number);
        self
    }

    /// A hash, as short as it can be said.
    fn hash(&mut self, hash: u64) -> &mut Self {
        let _ = msgpack::write_uint(&mut self.0, hash);
        self
    }

    /// A time or a length of time: always eight bytes, as in the reference.
    fn time(&mut self, nanoseconds: i64) -> &mut Self {
        let _ = msgpack::write_u64(&mut self.0, nanoseconds as u64);
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = msgpack::write_bin(&mut self.0, bytes);
        self
    }

    fn sketch(&mut self, sketch: &Sketch) -> &mut Self {
        let mut bytes = Vec::new();
        sketch.encode(&mut bytes);
        self.bytes(&bytes)
    }

    fn bucket(&mut self, start: i64, width: i64, bucket: &Bucket, checkpoint_names: &[u8]) {
        let transactions = bucket.transactions.as_slice();
        let has_transactions = !transactions.is_empty();
        self.map(4 + 2 * usize::from(has_transactions));
        self.text("Start").time(start);
        self.text("Duration").time(width);
        let groups = bucket.groups();
        self.text("Stats").array(groups.len());
        for (key, group) in groups {
            self.group(key, group);
        }
        let offsets = bucket.offsets();
        self.text("Backlogs").array(offsets.len());
        for (position, offset) in offsets {
            self.offset(position, offset);
        }
        if has_transactions {
            self.text("Transactions").bytes(transactions);
            self.text("TransactionCheckpointIds")
                .bytes(checkpoint_names);
        }
    }

    fn group(&mut self, key: &GroupKey, group: &Group) {
        self.map(6);
        self.text("EdgeTags").array(key.tags.len());
        for tag in key.tags.iter() {
            self.text(&cut(tag));
        }
        self.text("Hash").hash(key.hash);
        self.text("ParentHash").hash(key.parent);
        self.text("PathwayLatency").sketch(&group.pathway_latency);
        self.text("EdgeLatency").sketch(&group.edge_latency);
        self.text("PayloadSize").sketch(&group.payload_size);
    }

    fn offset(&mut self, position: &Position, offset: i64) {
        let Position {
            kind,
            group,
            topic,
            partition,
            cluster,
        } = position;
        let kind_name = match kind {
            PositionKind::Commit => "kafka_commit",
            PositionKind::Produce => "kafka_produce",
            PositionKind::HighWatermark => "kafka_high_watermark",
        };
        let has_group = *kind == PositionKind::Commit;
        let has_cluster = !cluster.is_empty();
        self.map(2);
        self.text("Tags")
            .array(3 + usize::from(has_group) + usize::from(has_cluster));
        self.tag("type", kind_name);
        if has_group {
            self.tag("consumer_group", group);
        }
        self.tag("topic", topic);
        self.tag("partition", partition);
        if has_cluster {
            self.tag("kafka_cluster_id", cluster);
        }
        self.text("Value").number(offset);
    }

    fn tag(&mut self, key: &str, value: impl Display) {
        self.text(&format!("{key}:{value}"));
    }
}

/// A tag of at most [`MAX_TAG`] bytes.
fn cut(tag: &str) -> Cow<'_, str> {
    const MARK: &str = "…";
    if tag.len() <= MAX_TAG {
        return tag.into();
    }
    let mut end = MAX_TAG - MARK.len();
    while !tag.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &tag[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{Buckets, Observation, Rare};
    use crate::hash::Node;
    use crate::pathway::{Passage, Pathway};
    use crate::tags::{Cache, Direction, Given};
    use crate::time::Nanoseconds;
    use crate::transaction::Transaction;

    const WIDTH: i64 = 10_000_000_000;

    /// §15.5: the whole payload of dd-trace-py 4.16.0, byte for byte.
    const EXPECTED: &str = "\
87a753657276696365a8636865636b6f7574ad54726163657256657273696f6ea6342e31362e30a44c616e67a6707974686f6ea553746174739184a5\
5374617274cf17979cfe362a0000a84475726174696f6ecf00000002540be400a553746174739286a8456467655461677393ad646972656374696f6e\
3a6f7574ac746f7069633a6f7264657273aa747970653a6b61666b61a448617368cf65c691becf46486caa506172656e744861736800ae5061746877\
61794c6174656e6379c4210a1209000000000040f03f110000000000ea944012001a0021000000000000f03fab456467654c6174656e6379c4210a12\
09000000000040f03f110000000000ea944012001a0021000000000000f03fab5061796c6f616453697a65c4250a1209000000000040f03f11000000\
0000ea9440120d1208000000000000f03f18c4191a0086a8456467655461677394ac646972656374696f6e3a696ea867726f75703a6731ac746f7069\
633a6f7264657273aa747970653a6b61666b61a448617368cf69cfd9ab52e8eec3aa506172656e7448617368cf65c691becf46486cae506174687761\
794c6174656e6379c4250a1209000000000040f03f110000000000ea9440120d1208000000000000f03f189a141a00ab456467654c6174656e6379c4\
250a1209000000000040f03f110000000000ea9440120d1208000000000000f03f189a141a00ab5061796c6f616453697a65c4250a12090000000000\
40f03f110000000000ea9440120d1208000000000000f03f1898191a00a84261636b6c6f67739282a45461677395b1747970653a6b61666b615f636f\
6d6d6974b1636f6e73756d65725f67726f75703a6731ac746f7069633a6f7264657273ab706172746974696f6e3a31b46b61666b615f636c75737465\
725f69643a616263a556616c75650e82a45461677393b2747970653a6b61666b615f70726f64756365ac746f7069633a6f7264657273ab7061727469\
74696f6e3a31a556616c756522a8486f73746e616d65a6686f73742d31a3456e76a470726f64a756657273696f6ea5312e322e33";

    fn sender() -> Sender<'static> {
        Sender {
            service: "checkout",
            tracer_version: "4.16.0",
            language: "python",
            hostname: "host-1",
            env: Some("prod"),
            version: Some("1.2.3"),
            process_tags: Vec::new(),
            products: None,
        }
    }

    #[test]
    fn the_payload_is_that_of_the_reference() {
        let start = Nanoseconds::new(1_700_000_003_000_000_000);
        let later = Nanoseconds::new(1_700_000_003_500_000_000);
        let node = Node::new("checkout", Some("prod"), None, "");
        let (mut pathway, mut cache) = (Pathway::begin(start), Cache::default());
        let mut buckets = Buckets::new(WIDTH);
        for (tags, payload_size, now) in [
            (
                &["direction:out", "topic:orders", "type:kafka"][..],
                50 + pathway.header_size(),
                start,
            ),
            (
                &["direction:in", "group:g1", "topic:orders", "type:kafka"],
                70,
                later,
            ),
        ] {
            let passage = Passage {
                payload_size,
                ..Passage::default()
            };
            let point = pathway.pass(node, &mut cache, &Given::of(tags), passage, now);
            buckets.add(Observation::Point(point));
        }
        let position = |kind, group: &str, cluster: &str| Position {
            kind,
            group: group.into(),
            topic: "orders".into(),
            partition: 1,
            cluster: cluster.into(),
        };
        for (position, offset) in [
            (position(PositionKind::Produce, "", ""), 34),
            (position(PositionKind::Produce, "", ""), 30),
            (position(PositionKind::Commit, "g1", "abc"), 14),
        ] {
            buckets.add(Rare::Offset(position, offset, later).into());
        }
        let payload = encode(&sender(), &buckets.take(), WIDTH, &[]);
        let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, EXPECTED);
    }

    #[test]
    fn what_is_ours_comes_on_top() {
        let mut buckets = Buckets::new(WIDTH);
        let transaction = Transaction {
            id: "tx-1".into(),
            checkpoint: "a".into(),
            at: Nanoseconds::new(5),
        };
        buckets.add(Rare::Transaction(transaction).into());
        let names = buckets.names.blob().to_vec();
        let sender = Sender {
            process_tags: vec!["entrypoint.name:worker", "svc.user:true"],
            products: Some(3),
            env: None,
            version: None,
            ..sender()
        };
        let payload = encode(&sender, &buckets.take(), WIDTH, &names);
        let decoded: Decoded = rmp_serde::from_slice(&payload).unwrap();
        assert_eq!(decoded.products, 3);
        assert_eq!(decoded.process_tags, sender.process_tags);
        assert_eq!((decoded.env, decoded.version), (None, None));
        assert_eq!(decoded.stats[0].transactions.len(), 14);
        assert_eq!(decoded.stats[0].names, [1, 1, b'a']);
    }

    /// What tests look at.
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Decoded {
        #[serde(rename = "ProductMask", default)]
        products: u64,
        #[serde(default)]
        process_tags: Vec<String>,
        env: Option<String>,
        version: Option<String>,
        stats: Vec<DecodedBucket>,
    }

    #[derive(serde::Deserialize)]
    struct DecodedBucket {
        #[serde(rename = "Stats")]
        stats: Vec<DecodedGroup>,
        #[serde(rename = "Transactions", with = "bytes_of_msgpack", default)]
        transactions: Vec<u8>,
        #[serde(
            rename = "TransactionCheckpointIds",
            with = "bytes_of_msgpack",
            default
        )]
        names: Vec<u8>,
    }

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct DecodedGroup {
        edge_tags: Vec<String>,
        hash: u64,
    }

    mod bytes_of_msgpack {
        use serde::de::{Deserializer, Error, Visitor};

        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }

        pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
            from.deserialize_bytes(Bytes)
        }
    }

    #[test]
    fn long_tags_are_cut_between_characters() {
        assert_eq!(cut("topic:a"), "topic:a");
        for letter in ["x", "é", "☃"] {
            let long = cut(&letter.repeat(300)).into_owned();
            assert!(long.len() <= MAX_TAG && long.ends_with('…'), "{long}");
        }
    }

    /// §16: a tag is cut where it is shown, and nowhere before.
    #[test]
    fn what_is_cut_was_hashed_whole() {
        let long = "x".repeat(300);
        let shown = |end: &str| {
            let topic = format!("{long}{end}");
            let given = Given {
                direction: Direction::Out,
                topic: Some(&topic),
                ..Given::default()
            };
            let node = Node::new("s", None, None, "");
            let now = Nanoseconds::new(1);
            let mut pathway = Pathway::begin(now);
            let passage = Passage::default();
            let point = pathway.pass(node, &mut Cache::default(), &given, passage, now);
            let whole = ["direction:out", &format!("topic:{topic}")];
            assert_eq!(point.hash, node.hash(whole, 0));
            let mut buckets = Buckets::new(WIDTH);
            buckets.add(Observation::Point(point));
            let payload = encode(&sender(), &buckets.take(), WIDTH, &[]);
            let mut payload: Decoded = rmp_serde::from_slice(&payload).unwrap();
            let mut group = payload.stats.remove(0).stats.remove(0);
            (group.edge_tags.remove(1), group.hash)
        };
        let (one, other) = (shown("1"), shown("2"));
        assert_eq!(one.0, format!("topic:{}…", "x".repeat(200 - 6 - 3)));
        assert!(one.0 == other.0 && one.1 != other.1);
    }

    #[test]
    fn the_body_is_gzip() {
        let body = compress(b"payload").unwrap();
        let mut plain = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*body), &mut plain)
            .unwrap();
        assert_eq!(plain, "payload");
    }
}
