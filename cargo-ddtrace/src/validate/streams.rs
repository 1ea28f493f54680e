//! Rules about Data Streams: what a payload of pipeline statistics says, field by field.
//!
//! The hash of a node follows from its service, environment, process tags and edge tags, so it can be computed again here
//! (`spec/data-streams.md` §3.2). The hash of container tags, which an Agent may add, this agent never sends.

use super::{Check, Finding, Findings, Level, Rule};
use crate::intake::pipeline_stats::{Backlog, Payload, Point};

/// The rules of this file.
pub static RULES: &[&Rule] = &[
    &HEADER,
    &ENCODING,
    &FIELD,
    &UNKNOWN,
    &BUCKET,
    &TAGS,
    &HASH,
    &SKETCH,
    &BACKLOG,
    &TRANSACTIONS,
    &PARENT,
];

/// Headers that are missing or say something else.
pub static HEADER: Rule = Rule {
    id: "streams.header",
    level: Level::Violation,
    sentence: "the headers of the pipeline statistics do not say what its body says",
    advice: "send Datadog-Meta-Lang and Datadog-Meta-Tracer-Version as in the body, and Content-Type: application/msgpack",
    check: Check::Elsewhere,
};

/// Not compressed.
pub static ENCODING: Rule = Rule {
    id: "streams.encoding",
    level: Level::Violation,
    sentence: "the pipeline statistics are not gzipped",
    advice: "compress the body and send Content-Encoding: gzip: the Agent passes it on as it is",
    check: Check::Elsewhere,
};

/// A field is missing or empty.
pub static FIELD: Rule = Rule {
    id: "streams.field",
    level: Level::Violation,
    sentence: "the pipeline statistics lack a field",
    advice: "send every field of the payload, its buckets, points and backlogs",
    check: Check::Elsewhere,
};

/// A key that nobody knows.
pub static UNKNOWN: Rule = Rule {
    id: "streams.unknown_key",
    level: Level::Hint,
    sentence: "the pipeline statistics have a key that the format does not know",
    advice: "compare it with the format: keys are case-sensitive",
    check: Check::Elsewhere,
};

/// Not ten seconds.
pub static BUCKET: Rule = Rule {
    id: "streams.bucket",
    level: Level::Violation,
    sentence: "a bucket is not ten seconds that begin at a multiple of ten",
    advice: "start buckets at now − now mod 10 s, and send their duration as 10^10 ns",
    check: Check::Elsewhere,
};

/// Out of order, or no tags.
pub static TAGS: Rule = Rule {
    id: "streams.tags",
    level: Level::Violation,
    sentence: "edge tags are not sorted, or one is no key and value",
    advice: "sort the tags by their bytes before they are hashed, and keep the list as it is",
    check: Check::Elsewhere,
};

/// Another hash.
pub static HASH: Rule = Rule {
    id: "streams.hash",
    level: Level::Violation,
    sentence: "the hash does not follow from the parent, the service, the environment and the edge tags",
    advice: "hash with FNV-1 of 64 bits: nodes of other languages would not be recognised",
    check: Check::Elsewhere,
};

/// No sketch, or one that cannot be merged.
pub static SKETCH: Rule = Rule {
    id: "streams.sketch",
    level: Level::Violation,
    sentence: "a sketch cannot be decoded, is mapped in another way, or counts otherwise than its neighbours",
    advice: "use gamma 65/64, offset 1338.5, no interpolation, and add every message to all three sketches",
    check: Check::Elsewhere,
};

/// An offset that says nothing.
pub static BACKLOG: Rule = Rule {
    id: "streams.backlog",
    level: Level::Violation,
    sentence: "a backlog lacks a tag, or its offset is negative",
    advice: "send type, consumer_group (of commits), topic and partition in this order, and no offset below 0",
    check: Check::Elsewhere,
};

/// Records that cannot be read.
pub static TRANSACTIONS: Rule = Rule {
    id: "streams.transactions",
    level: Level::Violation,
    sentence: "the transactions of a bucket cannot be decoded",
    advice: "compare the records with the format, and name every checkpoint that they use",
    check: Check::Elsewhere,
};

/// The checkpoint before never came.
pub static PARENT: Rule = Rule {
    id: "streams.parent",
    level: Level::Hint,
    sentence: "the checkpoint before this one never came",
    advice: "the service that produces may not send data streams here, or its headers were changed on the way",
    check: Check::Elsewhere,
};

/// The headers that rules look at.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    /// `Content-Type`.
    pub content_type: String,
    /// `Content-Encoding`.
    pub encoding: String,
    /// `Datadog-Meta-Lang`.
    pub language: String,
    /// `Datadog-Meta-Tracer-Version`.
    pub tracer_version: String,
}

/// Ten seconds.
const WIDTH: u64 = 10_000_000_000;

/// Applies the rules to a payload.
pub fn check(payload: &Payload, headers: &Headers, out: &mut Findings) {
    let mut find = |rule: &'static Rule, field: &str, detail: String| {
        out.add(Finding {
            rule,
            chunk: None,
            span: None,
            field: field.to_owned(),
            detail,
        });
    };
    if headers.encoding != "gzip" {
        find(
            &ENCODING,
            "header Content-Encoding",
            format!("found {:?}", headers.encoding),
        );
    }
    if headers.content_type != "application/msgpack" {
        find(
            &HEADER,
            "header Content-Type",
            format!("found {:?}", headers.content_type),
        );
    }
    for (name, header, body) in [
        ("Datadog-Meta-Lang", &headers.language, &payload.language),
        (
            "Datadog-Meta-Tracer-Version",
            &headers.tracer_version,
            &payload.tracer_version,
        ),
    ] {
        if header != body || header.is_empty() {
            find(
                &HEADER,
                &format!("header {name}"),
                format!("{header:?} beside {body:?}"),
            );
        }
    }
    if payload.service.is_empty() {
        find(&FIELD, "Service", "it is empty".to_owned());
    }
    if payload.language == "rust" && payload.product_mask.is_none_or(|mask| mask & 2 == 0) {
        find(
            &FIELD,
            "ProductMask",
            "data streams, bit 1, are not in it".to_owned(),
        );
    }
    let base = base(payload);
    for (number, bucket) in payload.buckets.iter().enumerate() {
        let place = format!("Stats[{number}]");
        if bucket.duration != WIDTH || bucket.start % WIDTH != 0 {
            let detail = format!("start {}, duration {}", bucket.start, bucket.duration);
            find(&BUCKET, &place, detail);
        }
        for (number, point) in bucket.points.iter().enumerate() {
            let place = format!("{place}.Stats[{number}]");
            if let Some(wrong) = wrong_tags(point) {
                find(&TAGS, &format!("{place}.EdgeTags"), wrong);
            }
            if let Some(wrong) = wrong_hash(payload, base, point) {
                find(&HASH, &format!("{place}.Hash"), wrong);
            }
            let counts = [
                &point.pathway_latency,
                &point.edge_latency,
                &point.payload_size,
            ]
            .map(crate::intake::sketch::Sketch::count);
            if counts[0] != counts[1] || counts[1] != counts[2] {
                find(&SKETCH, &place, format!("they count {counts:?}"));
            }
        }
        for (number, backlog) in bucket.backlogs.iter().enumerate() {
            if let Some(wrong) = wrong_backlog(backlog) {
                find(&BACKLOG, &format!("{place}.Backlogs[{number}]"), wrong);
            }
        }
    }
}

fn wrong_tags(point: &Point) -> Option<String> {
    let is_tag = |tag: &str| tag.split_once(':').is_some_and(|(key, _)| !key.is_empty());
    if let Some(tag) = point.edge_tags.iter().find(|tag| !is_tag(tag)) {
        return Some(format!(
            "found {:?}",
            tag.chars().take(100).collect::<String>()
        ));
    }
    (!point.edge_tags.is_sorted()).then(|| "they are not sorted".to_owned())
}

/// FNV-1 of 64 bits: multiply, then exclusive or.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte)
    })
}

const FNV: u64 = 0xcbf2_9ce4_8422_2325;

/// What all nodes of a process have in common.
fn base(payload: &Payload) -> u64 {
    let env = if payload.env.is_empty() {
        "none"
    } else {
        &payload.env
    };
    let hash = fnv(fnv(FNV, payload.service.as_bytes()), env.as_bytes());
    if payload.process_tags.is_empty() {
        return hash;
    }
    let tags = fnv(FNV, payload.process_tags.join(",").as_bytes());
    fnv(hash, &tags.to_le_bytes())
}

fn wrong_hash(payload: &Payload, base: u64, point: &Point) -> Option<String> {
    // Other languages hash more, or otherwise.
    if !matches!(payload.language.as_str(), "rust" | "python") {
        return None;
    }
    // A tag that was cut for sending was hashed whole.
    if point.edge_tags.iter().any(|tag| tag.ends_with('…')) {
        return None;
    }
    let node = point
        .edge_tags
        .iter()
        .fold(base, |hash, tag| fnv(hash, tag.as_bytes()));
    let expected = fnv(
        fnv(FNV, &node.to_le_bytes()),
        &point.parent_hash.to_le_bytes(),
    );
    (expected != point.hash).then(|| format!("expected {expected}, found {}", point.hash))
}

fn wrong_backlog(backlog: &Backlog) -> Option<String> {
    if backlog.value < 0 {
        return Some(format!("offset {}", backlog.value));
    }
    let mut keys = backlog
        .tags
        .iter()
        .map(|tag| tag.split_once(':').map_or("", |(key, _)| key));
    let kind = backlog
        .tags
        .first()
        .and_then(|tag| tag.strip_prefix("type:"));
    let expected: &[&str] = match kind {
        Some("kafka_commit") => &["type", "consumer_group", "topic", "partition"],
        Some("kafka_produce" | "kafka_high_watermark") => &["type", "topic", "partition"],
        // Other tracers know more of them.
        Some(_) => return None,
        None => return Some("the first tag is no type".to_owned()),
    };
    let found: Vec<&str> = keys.by_ref().take(expected.len()).collect();
    let rest: Vec<&str> = keys.collect();
    let is_cluster = rest.is_empty() || rest == ["kafka_cluster_id"];
    (found != expected || !is_cluster).then(|| format!("found {found:?} {rest:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::pipeline_stats::{read, tests::golden};

    fn headers() -> Headers {
        Headers {
            content_type: "application/msgpack".into(),
            encoding: "gzip".into(),
            language: "python".into(),
            tracer_version: "4.16.0".into(),
        }
    }

    /// The payload of the dossier, and what is found once it was changed.
    fn found(change: impl FnOnce(&mut Payload, &mut Headers)) -> Vec<&'static str> {
        let mut findings = Findings::default();
        let mut payload = read(&golden(), &mut findings).unwrap();
        let mut headers = headers();
        change(&mut payload, &mut headers);
        check(&payload, &headers, &mut findings);
        let mut rules: Vec<_> = findings.list.iter().map(|found| found.rule.id).collect();
        rules.dedup();
        rules
    }

    #[test]
    fn the_payload_of_the_dossier_breaks_no_rule() {
        assert_eq!(found(|_, _| ()), [""; 0]);
    }

    #[test]
    fn each_rule_has_a_change_that_breaks_it_alone() {
        type Change = fn(&mut Payload, &mut Headers);
        let cases: [(&str, Change); 12] = [
            ("streams.encoding", |_, headers| headers.encoding.clear()),
            ("streams.header", |_, headers| headers.language.clear()),
            ("streams.header", |_, headers| {
                headers.tracer_version.push('1')
            }),
            ("streams.header", |_, headers| {
                headers.content_type = "text/plain".into()
            }),
            ("streams.bucket", |payload, _| payload.buckets[0].start += 1),
            ("streams.bucket", |payload, _| {
                payload.buckets[0].duration = 1
            }),
            ("streams.hash", |payload, _| {
                payload.buckets[0].points[0].hash ^= 1
            }),
            ("streams.hash", |payload, _| payload.env.clear()),
            ("streams.sketch", |payload, _| {
                payload.buckets[0].points[0].payload_size =
                    crate::intake::sketch::Sketch::default();
            }),
            ("streams.backlog", |payload, _| {
                payload.buckets[0].backlogs[0].value = -1
            }),
            ("streams.backlog", |payload, _| {
                drop(payload.buckets[0].backlogs[1].tags.remove(1))
            }),
            ("streams.backlog", |payload, _| {
                payload.buckets[0].backlogs[0].tags.swap(1, 2)
            }),
        ];
        for (number, (rule, change)) in cases.into_iter().enumerate() {
            assert_eq!(found(change), [rule], "case {number}");
        }
        let both = found(|payload, _| payload.buckets[0].points[0].edge_tags.swap(0, 1));
        assert_eq!(both, ["streams.tags", "streams.hash"]);
    }

    #[test]
    fn process_tags_take_part_in_the_hash() {
        // spec/data-streams.md §15, V10: the digest of these process tags without a hash of the container.
        let tags = [
            "entrypoint.basedir:app",
            "entrypoint.name:worker",
            "entrypoint.type:script",
            "entrypoint.workdir:srv",
            "svc.user:true",
        ];
        assert_eq!(
            fnv(FNV, tags.join(",").as_bytes()),
            5_957_115_907_604_155_752
        );
        let with = |hash: u64| {
            found(|payload, _| {
                payload.process_tags = tags.map(str::to_owned).to_vec();
                let points = &mut payload.buckets[0].points;
                points.truncate(1);
                points[0].hash = hash;
            })
        };
        assert_eq!(with(12_444_346_707_988_441_787), [""; 0]);
        assert_eq!(with(7_333_709_291_926_734_956), ["streams.hash"]);
    }
}
