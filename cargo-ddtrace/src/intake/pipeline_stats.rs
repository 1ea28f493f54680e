//! `POST /v0.1/pipeline_stats`, gzipped msgpack: what passed the checkpoints of Data Streams in ten seconds.
//!
//! A map of texts and `Stats`, an array of buckets; a bucket holds points (edge tags, hashes, three sketches), backlogs
//! (offsets by tags) and, from our library, transactions. What has another type than the format says is refused; what is
//! missing, or cannot be decoded within a point, is found and passed over, so that the rest is still seen. The number of
//! elements is bounded beside the size of the body, since an element takes far less there than in memory.

use std::sync::Arc;

use super::msgpack::{Fault, Read, Reader};
use super::sketch::Sketch;
use crate::validate::{Finding, Findings, Rule, streams as rules};

/// Points and backlogs of one payload.
const POINTS: usize = 50_000;
/// Tags of all points and backlogs of one payload.
const TAGS: usize = 500_000;
/// Transactions of one payload; the library ends at 2.3 MB of them.
const TRANSACTIONS: usize = 200_000;

/// A payload.
#[derive(Debug, Default)]
pub struct Payload {
    /// Service.
    pub service: String,
    /// Environment.
    pub env: String,
    /// The service's version.
    pub version: String,
    /// Language of the tracer.
    pub language: String,
    /// Version of the tracer.
    pub tracer_version: String,
    /// Host name.
    pub hostname: String,
    /// Process tags, which take part in hashes.
    pub process_tags: Vec<String>,
    /// Which products are on: bit 0 tracing, bit 1 data streams.
    pub product_mask: Option<u64>,
    /// What happened, by time.
    pub buckets: Vec<Bucket>,
}

/// What happened within a time.
#[derive(Debug, Default)]
pub struct Bucket {
    /// Nanoseconds since the epoch.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
    /// By pathway.
    pub points: Vec<Point>,
    /// Offsets.
    pub backlogs: Vec<Backlog>,
    /// Transactions that were tracked.
    pub transactions: Vec<Transaction>,
}

/// One pathway at one checkpoint.
#[derive(Debug, Default)]
pub struct Point {
    /// Sorted by their bytes.
    pub edge_tags: Vec<String>,
    /// This checkpoint, by way of all before.
    pub hash: u64,
    /// The one before; 0 if it is the first.
    pub parent_hash: u64,
    /// Seconds since the pathway began.
    pub pathway_latency: Sketch,
    /// Seconds since the checkpoint before.
    pub edge_latency: Sketch,
    /// Bytes of messages.
    pub payload_size: Sketch,
}

/// An offset.
#[derive(Debug, Default)]
pub struct Backlog {
    /// `type:kafka_commit`, `topic:orders`, …
    pub tags: Vec<String>,
    /// The offset.
    pub value: i64,
}

/// A transaction at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Name of the checkpoint.
    pub checkpoint: Arc<str>,
    /// Nanoseconds since the epoch.
    pub time: i64,
    /// Its id.
    pub id: String,
}

/// How much of a payload may still be read.
struct Room {
    points: usize,
    tags: usize,
    transactions: usize,
}

impl Room {
    fn take(left: &mut usize, reader: &Reader<'_>, what: &str) -> Read<()> {
        match left.checked_sub(1) {
            Some(less) => {
                *left = less;
                Ok(())
            }
            None => reader.error(Fault::Impossible(format!("too many {what}"))),
        }
    }
}

/// What is read, and what is found on the way.
struct Reading<'f> {
    room: Room,
    findings: &'f mut Findings,
}

/// Reads a payload; what is wrong with its fields goes to `findings`.
pub fn read(body: &[u8], findings: &mut Findings) -> Read<Payload> {
    let mut reader = Reader::new(body);
    let mut payload = Payload::default();
    let room = Room {
        points: POINTS,
        tags: TAGS,
        transactions: TRANSACTIONS,
    };
    let mut reading = Reading { room, findings };
    let mut seen = Seen::new(["Service", "TracerVersion", "Lang", "Stats", "Hostname"]);
    let mut broken = false;
    for _ in 0..reader.map()? {
        let key = reader.key()?;
        seen.note(key);
        match key {
            b"Service" => payload.service = reader.text(&mut broken)?.into_owned(),
            b"Env" => payload.env = reader.text(&mut broken)?.into_owned(),
            b"Version" => payload.version = reader.text(&mut broken)?.into_owned(),
            b"Lang" => payload.language = reader.text(&mut broken)?.into_owned(),
            b"TracerVersion" => payload.tracer_version = reader.text(&mut broken)?.into_owned(),
            b"Hostname" => payload.hostname = reader.text(&mut broken)?.into_owned(),
            b"ProcessTags" => payload.process_tags = reading.texts(&mut reader)?,
            b"ProductMask" => payload.product_mask = Some(reader.id()?),
            b"Stats" if reader.nil() => {}
            b"Stats" => {
                for number in 0..reader.array()? {
                    let bucket = reading.bucket(&mut reader, number)?;
                    payload.buckets.push(bucket);
                }
            }
            key => {
                reading.unknown(key, "");
                reader.skip()?;
            }
        }
    }
    reader.finish()?;
    // Languages other than Rust and Python leave the host's name to the Agent.
    if !matches!(payload.language.as_str(), "rust" | "python") {
        seen.note(b"Hostname");
    }
    seen.missing("", reading.findings);
    if broken {
        reading.find(&rules::FIELD, "", "a text is no UTF-8".to_owned());
    }
    Ok(payload)
}

impl Reading<'_> {
    fn find(&mut self, rule: &'static Rule, field: &str, detail: String) {
        self.findings.add(Finding {
            rule,
            chunk: None,
            span: None,
            field: field.to_owned(),
            detail,
        });
    }

    fn unknown(&mut self, key: &[u8], place: &str) {
        let key: String = String::from_utf8_lossy(key).chars().take(100).collect();
        self.find(&rules::UNKNOWN, place, format!("found {key:?}"));
    }

    fn texts(&mut self, reader: &mut Reader<'_>) -> Read<Vec<String>> {
        let mut texts = Vec::new();
        if reader.nil() {
            return Ok(texts);
        }
        let mut broken = false;
        for _ in 0..reader.array()? {
            Room::take(&mut self.room.tags, reader, "tags")?;
            texts.push(reader.text(&mut broken)?.into_owned());
        }
        Ok(texts)
    }

    fn bucket(&mut self, reader: &mut Reader<'_>, number: usize) -> Read<Bucket> {
        let place = format!("Stats[{number}]");
        let mut bucket = Bucket::default();
        let (mut blob, mut names) = (&b""[..], &b""[..]);
        let mut seen = Seen::new(["Start", "Duration", "Stats", "Backlogs"]);
        for _ in 0..reader.map()? {
            let key = reader.key()?;
            seen.note(key);
            match key {
                b"Start" => bucket.start = reader.id()?,
                b"Duration" => bucket.duration = reader.id()?,
                b"Stats" | b"Backlogs" if reader.nil() => {}
                b"Stats" => {
                    for number in 0..reader.array()? {
                        Room::take(&mut self.room.points, reader, "points")?;
                        let point = self.point(reader, &format!("{place}.Stats[{number}]"))?;
                        bucket.points.push(point);
                    }
                }
                b"Backlogs" => {
                    for number in 0..reader.array()? {
                        Room::take(&mut self.room.points, reader, "backlogs")?;
                        let place = format!("{place}.Backlogs[{number}]");
                        let backlog = self.backlog(reader, &place)?;
                        bucket.backlogs.push(backlog);
                    }
                }
                b"Transactions" => blob = reader.bytes()?,
                b"TransactionCheckpointIds" => names = reader.bytes()?,
                key => {
                    self.unknown(key, &place);
                    reader.skip()?;
                }
            }
        }
        // Other tracers leave out an empty list.
        seen.note(b"Backlogs");
        seen.missing(&place, self.findings);
        match transactions(blob, names, &mut self.room.transactions) {
            Ok(transactions) => bucket.transactions = transactions,
            Err(what) => self.find(
                &rules::TRANSACTIONS,
                &format!("{place}.Transactions"),
                what.to_owned(),
            ),
        }
        Ok(bucket)
    }

    fn point(&mut self, reader: &mut Reader<'_>, place: &str) -> Read<Point> {
        let mut point = Point::default();
        let sketches = ["PathwayLatency", "EdgeLatency", "PayloadSize"];
        let mut seen = Seen::new(["EdgeTags", "Hash", "ParentHash"]);
        let mut has_sketch = [false; 3];
        for _ in 0..reader.map()? {
            let key = reader.key()?;
            seen.note(key);
            match key {
                b"EdgeTags" => point.edge_tags = self.texts(reader)?,
                b"Hash" => point.hash = reader.id()?,
                b"ParentHash" => point.parent_hash = reader.id()?,
                // Go and Java also group by the time of origin, and say which.
                b"TimestampType" | b"Service" | b"EdgeType" => reader.skip()?,
                key => {
                    let Some(at) = sketches.iter().position(|name| name.as_bytes() == key) else {
                        self.unknown(key, place);
                        reader.skip()?;
                        continue;
                    };
                    has_sketch[at] = true;
                    let sketch = Sketch::decode(reader.bytes()?).unwrap_or_else(|error| {
                        let field = format!("{place}.{}", sketches[at]);
                        self.find(&rules::SKETCH, &field, error.to_string());
                        Sketch::default()
                    });
                    match at {
                        0 => point.pathway_latency = sketch,
                        1 => point.edge_latency = sketch,
                        _ => point.payload_size = sketch,
                    }
                }
            }
        }
        seen.missing(place, self.findings);
        for (name, has) in sketches.iter().zip(has_sketch) {
            if !has {
                self.find(&rules::FIELD, place, format!("{name} is missing"));
            }
        }
        Ok(point)
    }

    fn backlog(&mut self, reader: &mut Reader<'_>, place: &str) -> Read<Backlog> {
        let mut backlog = Backlog::default();
        let mut seen = Seen::new(["Tags", "Value"]);
        for _ in 0..reader.map()? {
            let key = reader.key()?;
            seen.note(key);
            match key {
                b"Tags" => backlog.tags = self.texts(reader)?,
                b"Value" => backlog.value = reader.int()?,
                key => {
                    self.unknown(key, place);
                    reader.skip()?;
                }
            }
        }
        seen.missing(place, self.findings);
        Ok(backlog)
    }
}

/// Which of the keys that a map must have were there.
struct Seen<const N: usize> {
    keys: [&'static str; N],
    seen: [bool; N],
}

impl<const N: usize> Seen<N> {
    fn new(keys: [&'static str; N]) -> Self {
        Seen {
            keys,
            seen: [false; N],
        }
    }

    fn note(&mut self, key: &[u8]) {
        if let Some(at) = self.keys.iter().position(|own| own.as_bytes() == key) {
            self.seen[at] = true;
        }
    }

    fn missing(&self, place: &str, findings: &mut Findings) {
        for (key, seen) in self.keys.iter().zip(self.seen) {
            if !seen {
                findings.add(Finding {
                    rule: &rules::FIELD,
                    chunk: None,
                    span: None,
                    field: place.to_owned(),
                    detail: format!("{key} is missing"),
                });
            }
        }
    }
}

/// Records `[checkpoint][time, 8 bytes][length][id]`, with the names of checkpoints `[checkpoint][length][name]`.
fn transactions(
    mut blob: &[u8],
    mut names: &[u8],
    room: &mut usize,
) -> Result<Vec<Transaction>, &'static str> {
    let mut by_id: [Option<Arc<str>>; 256] = [const { None }; 256];
    while let [id, length, rest @ ..] = names {
        let (name, rest) = rest
            .split_at_checked(usize::from(*length))
            .ok_or("the names of checkpoints end early")?;
        by_id[usize::from(*id)] = Some(String::from_utf8_lossy(name).into());
        names = rest;
    }
    if !names.is_empty() {
        return Err("the names of checkpoints end early");
    }
    let mut found = Vec::new();
    while let [checkpoint, rest @ ..] = blob {
        let (time, rest) = rest
            .split_first_chunk::<8>()
            .ok_or("the records end early")?;
        let (length, rest) = rest.split_first().ok_or("the records end early")?;
        let (id, rest) = rest
            .split_at_checked(usize::from(*length))
            .ok_or("the records end early")?;
        blob = rest;
        let name = by_id[usize::from(*checkpoint)].as_ref();
        *room = room.checked_sub(1).ok_or("too many records")?;
        found.push(Transaction {
            checkpoint: name.ok_or("a checkpoint has no name")?.clone(),
            time: i64::from_be_bytes(*time),
            id: String::from_utf8_lossy(id).into_owned(),
        });
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// spec/data-streams.md §15.5.
    pub(crate) fn golden() -> Vec<u8> {
        let digits = include_str!("../../tests/it/pipeline_stats.hex").replace('\n', "");
        (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn the_payload_of_the_dossier_is_read_whole() {
        let mut findings = Findings::default();
        let payload = read(&golden(), &mut findings).unwrap();
        assert!(findings.list.is_empty(), "{:?}", findings.list);
        assert_eq!(
            [
                &payload.service,
                &payload.env,
                &payload.version,
                &payload.hostname
            ],
            ["checkout", "prod", "1.2.3", "host-1"]
        );
        let bucket = &payload.buckets[0];
        assert_eq!(
            (bucket.start, bucket.duration),
            (1_700_000_000_000_000_000, 10_000_000_000)
        );
        let [produce, consume] = &bucket.points[..] else {
            panic!("two points")
        };
        assert_eq!(
            produce.edge_tags,
            ["direction:out", "topic:orders", "type:kafka"]
        );
        assert_eq!(
            (produce.parent_hash, consume.parent_hash),
            (0, produce.hash)
        );
        assert_eq!(consume.edge_latency.count(), 1.0);
        let [commit, offset] = &bucket.backlogs[..] else {
            panic!("two backlogs")
        };
        assert_eq!((commit.value, offset.value), (14, 34));
        assert_eq!(
            offset.tags,
            ["type:kafka_produce", "topic:orders", "partition:1"]
        );
    }

    #[test]
    fn what_is_missing_or_unknown_is_found_and_the_rest_read() {
        let found = |from: &[u8], to: &[u8]| {
            let mut body = golden();
            let at = body.windows(from.len()).position(|bytes| bytes == from);
            let at = at.expect("it is there");
            body.splice(at..at + from.len(), to.iter().copied());
            let mut findings = Findings::default();
            let payload = read(&body, &mut findings).unwrap();
            assert_eq!(payload.buckets[0].points.len(), 2);
            let show =
                |found: &Finding| format!("{} {} {}", found.rule.id, found.field, found.detail);
            findings.list.iter().map(show).collect::<Vec<_>>()
        };
        assert_eq!(
            found(b"Hostname", b"hostname"),
            [
                "streams.unknown_key  found \"hostname\"",
                "streams.field  Hostname is missing"
            ]
        );
        assert_eq!(
            found(b"ParentHash", b"Parenthash"),
            [
                "streams.unknown_key Stats[0].Stats[0] found \"Parenthash\"",
                "streams.field Stats[0].Stats[0] ParentHash is missing"
            ]
        );
        assert_eq!(
            found(b"EdgeLatency", b"Edgelatency"),
            [
                "streams.unknown_key Stats[0].Stats[0] found \"Edgelatency\"",
                "streams.field Stats[0].Stats[0] EdgeLatency is missing"
            ]
        );
        // A sketch whose mapping has another gamma.
        let (gamma, other) = (
            [0xf0, 0x3f, 0x11, 0, 0, 0, 0, 0, 0xea],
            [0xf1, 0x3f, 0x11, 0, 0, 0, 0, 0, 0xea],
        );
        let wrong = found(&gamma, &other);
        assert_eq!(wrong.len(), 1);
        assert!(
            wrong[0].starts_with("streams.sketch Stats[0].Stats[0].PathwayLatency"),
            "{wrong:?}"
        );
        // A bucket whose records have no names of their checkpoints.
        let mut body = b"\x81\xa5Stats\x91\x81\xacTransactions\xc4\x0e".to_vec();
        body.extend(b"\x01\x17\x97\x9c\xfe\x36\x2a\x00\x00\x04tx-1");
        let mut findings = Findings::default();
        read(&body, &mut findings).unwrap();
        let found = findings
            .list
            .iter()
            .find(|found| found.rule.id == "streams.transactions");
        assert_eq!(
            found.map(|found| found.detail.as_str()),
            Some("a checkpoint has no name")
        );
    }

    #[test]
    fn transactions_are_read_with_the_names_of_their_checkpoints() {
        // spec/data-streams.md §15.7.
        let names = [1, 1, b'a', 2, 2, b'b', b'c'];
        let blob = b"\x01\x17\x97\x9c\xfe\x36\x2a\x00\x00\x04tx-1";
        let mut room = 10;
        assert_eq!(
            transactions(blob, &names, &mut room),
            Ok(vec![Transaction {
                checkpoint: "a".into(),
                time: 1_700_000_000_000_000_000,
                id: "tx-1".into()
            }])
        );
        for (blob, names) in [
            (&blob[..13], &names[..]),
            (&blob[..5], &names),
            (blob, &names[3..]),
            (blob, &names[..6]),
        ] {
            assert!(transactions(blob, names, &mut room).is_err());
        }
        assert!(transactions(blob, &names, &mut 0).is_err());
    }

    #[test]
    fn a_body_of_few_bytes_cannot_fill_the_memory() {
        // A million empty tags are a million bytes, and would be 24 times that here.
        let mut body = vec![0x81, 0xab];
        body.extend(b"ProcessTags");
        body.extend([0xdd, 0x00, 0x0f, 0x42, 0x40]);
        body.extend(std::iter::repeat_n(0xa0, 1_000_000));
        let error = read(&body, &mut Findings::default()).unwrap_err();
        assert!(error.to_string().contains("too many tags"), "{error}");
    }

    proptest! {
        #[test]
        fn no_change_of_a_payload_makes_it_panic(at in 0..772_usize, byte in any::<u8>(), cut in 0..772_usize) {
            let mut body = golden();
            body[at] = byte;
            let mut findings = Findings::default();
            let _ = read(&body, &mut findings);
            let _ = read(&body[..cut], &mut findings);
        }

        #[test]
        fn no_blob_makes_it_panic(blob in prop::collection::vec(any::<u8>(), 0..60), names in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(found) = transactions(&blob, &names, &mut 1000) {
                prop_assert!(found.len() * 10 <= blob.len());
            }
        }
    }
}
