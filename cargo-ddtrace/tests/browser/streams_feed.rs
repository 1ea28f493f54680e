//! Pipeline statistics as the library sends them, for the page of streams.

use std::io::Write as _;

use ddtrace_core::sketch::Sketch;

use super::feed;

/// What passed one checkpoint.
pub(crate) struct Point {
    pub(crate) tags: Vec<String>,
    pub(crate) parent: u64,
    /// Seconds: from the checkpoint before, from the beginning.
    pub(crate) latencies: Vec<(f64, f64)>,
    pub(crate) size: f64,
}

fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        })
}

/// The hash of a checkpoint without process tags (`spec/data-streams.md` §3.2).
pub(crate) fn hash(service: &str, env: &str, tags: &[String], parent: u64) -> u64 {
    let node = fnv(format!("{service}{env}{}", tags.concat()).into_bytes());
    fnv(node.to_le_bytes().into_iter().chain(parent.to_le_bytes()))
}

fn text(out: &mut Vec<u8>, text: &str) {
    rmp::encode::write_str(out, text).expect("memory takes it");
}

fn sketch(out: &mut Vec<u8>, values: impl Iterator<Item = f64>) {
    let mut sketch = Sketch::default();
    for value in values {
        assert!(sketch.add(value));
    }
    let mut bytes = Vec::new();
    sketch.encode(&mut bytes);
    rmp::encode::write_bin(out, &bytes).expect("memory takes it");
}

fn texts(out: &mut Vec<u8>, list: &[String]) {
    rmp::encode::write_array_len(out, list.len() as u32).expect("memory takes it");
    list.iter().for_each(|tag| text(out, tag));
}

/// A payload of one bucket of this moment.
pub(crate) fn payload(
    service: &str,
    points: &[Point],
    backlogs: &[(Vec<String>, i64)],
    transactions: &[(&str, &str, i64)],
) -> Vec<u8> {
    let mut out = Vec::new();
    let start = feed::now() as u64 / 10_000_000_000 * 10_000_000_000;
    rmp::encode::write_map_len(&mut out, 7).expect("memory takes it");
    for (key, value) in [
        ("Service", service),
        ("TracerVersion", "0.1.0"),
        ("Lang", "rust"),
        ("Hostname", "here"),
        ("Env", "dev"),
    ] {
        text(&mut out, key);
        text(&mut out, value);
    }
    text(&mut out, "ProductMask");
    rmp::encode::write_uint(&mut out, 3).expect("memory takes it");
    text(&mut out, "Stats");
    rmp::encode::write_array_len(&mut out, 1).expect("memory takes it");
    let has_transactions = !transactions.is_empty();
    rmp::encode::write_map_len(&mut out, 4 + 2 * u32::from(has_transactions))
        .expect("memory takes it");
    text(&mut out, "Start");
    rmp::encode::write_u64(&mut out, start).expect("memory takes it");
    text(&mut out, "Duration");
    rmp::encode::write_u64(&mut out, 10_000_000_000).expect("memory takes it");
    text(&mut out, "Stats");
    rmp::encode::write_array_len(&mut out, points.len() as u32).expect("memory takes it");
    for point in points {
        rmp::encode::write_map_len(&mut out, 6).expect("memory takes it");
        text(&mut out, "EdgeTags");
        texts(&mut out, &point.tags);
        text(&mut out, "Hash");
        let hash = hash(service, "dev", &point.tags, point.parent);
        rmp::encode::write_uint(&mut out, hash).expect("memory takes it");
        text(&mut out, "ParentHash");
        rmp::encode::write_uint(&mut out, point.parent).expect("memory takes it");
        text(&mut out, "PathwayLatency");
        sketch(&mut out, point.latencies.iter().map(|(_, all)| *all));
        text(&mut out, "EdgeLatency");
        sketch(&mut out, point.latencies.iter().map(|(step, _)| *step));
        text(&mut out, "PayloadSize");
        sketch(&mut out, point.latencies.iter().map(|_| point.size));
    }
    text(&mut out, "Backlogs");
    rmp::encode::write_array_len(&mut out, backlogs.len() as u32).expect("memory takes it");
    for (tags, value) in backlogs {
        rmp::encode::write_map_len(&mut out, 2).expect("memory takes it");
        text(&mut out, "Tags");
        texts(&mut out, tags);
        text(&mut out, "Value");
        rmp::encode::write_sint(&mut out, *value).expect("memory takes it");
    }
    if has_transactions {
        let (mut records, mut names) = (Vec::new(), Vec::new());
        for (number, (id, checkpoint, time)) in (1_u8..).zip(transactions) {
            names.extend([number, checkpoint.len() as u8]);
            names.extend(checkpoint.bytes());
            records.push(number);
            records.extend(time.to_be_bytes());
            records.push(id.len() as u8);
            records.extend(id.bytes());
        }
        text(&mut out, "Transactions");
        rmp::encode::write_bin(&mut out, &records).expect("memory takes it");
        text(&mut out, "TransactionCheckpointIds");
        rmp::encode::write_bin(&mut out, &names).expect("memory takes it");
    }
    out
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// Sends a payload, which must be taken.
pub(crate) fn send(address: &str, body: &[u8]) {
    let headers = [("Content-Encoding", "gzip")];
    let path = "/v0.1/pipeline_stats";
    let answer = feed::post_with(address, path, "application/msgpack", &headers, &gzip(body));
    assert_eq!(answer.status, 202, "{}", answer.body);
}

fn tags(list: &[&str]) -> Vec<String> {
    let mut tags: Vec<String> = list.iter().map(|tag| (*tag).to_owned()).collect();
    tags.sort();
    tags
}

fn backlog(list: &[&str]) -> Vec<String> {
    list.iter().map(|tag| (*tag).to_owned()).collect()
}

/// A shop: orders go from the storefront to the warehouse and to billing, which go on by way of RabbitMQ.
pub(crate) fn shop(address: &str) {
    let spread = |middle: f64, before: f64| -> Vec<(f64, f64)> {
        (0..40)
            .map(|n| {
                let step = middle * (0.5 + f64::from(n) / 20.0);
                (step, before + step)
            })
            .collect()
    };
    let zero = vec![(0.0, 0.0); 40];
    let out = tags(&["direction:out", "topic:orders", "type:kafka"]);
    let ordered = hash("storefront", "dev", &out, 0);
    let now = feed::now();
    let storefront = Point {
        tags: out,
        parent: 0,
        latencies: zero,
        size: 1_240.0,
    };
    let produced: Vec<(Vec<String>, i64)> = (0..3)
        .map(|n| {
            (
                backlog(&[
                    "type:kafka_produce",
                    "topic:orders",
                    &format!("partition:{n}"),
                    "kafka_cluster_id:c1",
                ]),
                4_000 + 31 * n,
            )
        })
        .collect();
    send(
        address,
        &payload(
            "storefront",
            &[storefront],
            &produced,
            &[
                ("order-4711", "ordered", now - 900_000_000),
                ("order-4712", "ordered", now - 400_000_000),
            ],
        ),
    );

    let read = |group: &str| {
        tags(&[
            "direction:in",
            "topic:orders",
            "type:kafka",
            &format!("group:{group}"),
        ])
    };
    for (service, group, middle, lag, next) in [
        ("warehouse", "picking", 0.004, 12, Some("parcels")),
        ("billing", "billing", 0.08, 1_930, None),
    ] {
        let at = hash(service, "dev", &read(group), ordered);
        let mut points = vec![Point {
            tags: read(group),
            parent: ordered,
            latencies: spread(middle, 0.0),
            size: 1_240.0,
        }];
        if let Some(exchange) = next {
            points.push(Point {
                tags: tags(&[
                    "direction:out",
                    &format!("exchange:{exchange}"),
                    "has_routing_key:true",
                    "type:rabbitmq",
                ]),
                parent: at,
                latencies: spread(0.02, middle),
                size: 310.0,
            });
        }
        let committed: Vec<(Vec<String>, i64)> = (0..3)
            .map(|n| {
                (
                    backlog(&[
                        "type:kafka_commit",
                        &format!("consumer_group:{group}"),
                        "topic:orders",
                        &format!("partition:{n}"),
                    ]),
                    4_000 + 31 * n - lag * (n % 2) - lag / 4,
                )
            })
            .collect();
        send(
            address,
            &payload(
                service,
                &points,
                &committed,
                &[(
                    "order-4711",
                    if next.is_some() { "picked" } else { "billed" },
                    now - 300_000_000 + lag * 1000,
                )],
            ),
        );
    }
    let picked = hash("warehouse", "dev", &read("picking"), ordered);
    let sent = tags(&[
        "direction:out",
        "exchange:parcels",
        "has_routing_key:true",
        "type:rabbitmq",
    ]);
    let shipped = hash("warehouse", "dev", &sent, picked);
    let courier = Point {
        tags: tags(&["direction:in", "topic:parcels.north", "type:rabbitmq"]),
        parent: shipped,
        latencies: spread(0.3, 0.03),
        size: 310.0,
    };
    send(address, &payload("courier", &[courier], &[], &[]));
}
