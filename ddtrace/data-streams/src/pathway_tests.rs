//! Chains of checkpoints, as the reference passes them.

use ddtrace_core::base64;

use super::*;

/// One row of §15.3: tenths of milliseconds since the start, tags, payload size; hash, parent, latencies in seconds, context.
struct Row {
    at: i64,
    tags: &'static [&'static str],
    size: u64,
    hash: u64,
    parent: u64,
    edge: f64,
    pathway: f64,
    context: &'static str,
}

const fn row(
    at: i64,
    tags: &'static [&'static str],
    size: u64,
    hash: u64,
    parent: u64,
    latencies: (f64, f64),
    context: &'static str,
) -> Row {
    let (edge, pathway) = latencies;
    Row {
        at,
        tags,
        size,
        hash,
        parent,
        edge,
        pathway,
        context,
    }
}

struct Chain {
    name: &'static str,
    /// Seconds since the epoch.
    start: i64,
    service: &'static str,
    env: Option<&'static str>,
    process_tags: Option<&'static str>,
    container: &'static str,
    /// The context that it begins with.
    arrived: Option<&'static str>,
    rows: &'static [Row],
}

const PLAIN: Chain = Chain {
    name: "",
    start: 0,
    service: "",
    env: None,
    process_tags: None,
    container: "",
    arrived: None,
    rows: &[],
};

const PROCESS_TAGS: &str = "entrypoint.basedir:app,entrypoint.name:worker,entrypoint.type:script,\
                            entrypoint.workdir:srv,svc.user:true";

/// The chains V1 to V11, made by dd-trace-py 4.16.0 with its clock held.
const CHAINS: &[Chain] = &[
    Chain {
        name: "V1",
        start: 1_700_000_000,
        service: "weblog",
        env: Some("system-tests"),
        rows: &[
            row(
                0,
                &[
                    "direction:out",
                    "topic:dsm-system-tests-queue",
                    "type:kafka",
                ],
                149,
                4463699290244539355,
                0,
                (0.0, 0.0),
                "22Mw09o+8j2AoKv++WKAoKv++WI=",
            ),
            row(
                5000,
                &[
                    "direction:in",
                    "group:testgroup1",
                    "topic:dsm-system-tests-queue",
                    "type:kafka",
                ],
                100,
                3735318893869752335,
                4463699290244539355,
                (0.5, 0.5),
                "D2DpT76E1jOAoKv++WLop6v++WI=",
            ),
        ],
        ..PLAIN
    },
    Chain {
        name: "V2",
        start: 1_700_000_000,
        service: "weblog",
        env: Some("system-tests"),
        rows: &[
            row(
                0,
                &[
                    "direction:out",
                    "topic:dsm-system-tests-queue",
                    "type:kafka",
                    "kafka_cluster_id:5L6g3nShT-eMCtK--X86sw",
                ],
                49,
                14216899112169674443,
                0,
                (0.0, 0.0),
                "y5ZwDGuSTMWAoKv++WKAoKv++WI=",
            ),
            row(
                12500,
                &[
                    "direction:in",
                    "group:testgroup1",
                    "topic:dsm-system-tests-queue",
                    "type:kafka",
                    "kafka_cluster_id:5L6g3nShT-eMCtK--X86sw",
                ],
                0,
                4247242616665718048,
                14216899112169674443,
                (1.25, 1.25),
                "IL1CMag88TqAoKv++WLEs6v++WI=",
            ),
        ],
        ..PLAIN
    },
    Chain {
        name: "V3",
        start: 1_715_000_000,
        service: "weblog",
        env: Some("system-tests"),
        arrived: Some("nMKD2ZEAtFOy/f/K5mOy/f/K5mM="),
        rows: &[row(
            0,
            &["direction:in", "topic:dsm-injection-topic", "type:kafka"],
            0,
            12795903374559614717,
            6031446427375485596,
            (424099.495, 424099.495),
            "/RbZ1FIulLGy/f/K5mOA+Lnf6WM=",
        )],
        ..PLAIN
    },
    Chain {
        name: "V4",
        start: 1_710_000_000,
        service: "checkout",
        env: Some("prod"),
        rows: &[
            row(
                1000,
                &["direction:in", "group:g1", "topic:orders", "type:kafka"],
                10,
                2114784025120548058,
                0,
                (0.1, 0.1),
                "2iT7wd04WR2AsIq/xGPIsYq/xGM=",
            ),
            row(
                2000,
                &["direction:out", "topic:billing", "type:kafka"],
                69,
                200981215093272205,
                2114784025120548058,
                (0.1, 0.2),
                "jS4prFkHygKAsIq/xGOQs4q/xGM=",
            ),
            row(
                4000,
                &["direction:out", "topic:shipping", "type:kafka"],
                79,
                17645970433130840392,
                2114784025120548058,
                (0.2, 0.4),
                "SEHP150U4/SAsIq/xGOgtoq/xGM=",
            ),
            row(
                9000,
                &["direction:out", "topic:audit", "type:kafka"],
                89,
                3906251420047075241,
                2114784025120548058,
                (0.7, 0.9),
                "qWdFZ/jKNTaAsIq/xGOIvoq/xGM=",
            ),
        ],
        ..PLAIN
    },
    Chain {
        name: "V5",
        start: 1_710_000_000,
        service: "ticker",
        env: Some("dev"),
        rows: &[
            row(
                10000,
                &["direction:out", "topic:ticks", "type:kafka"],
                49,
                5120147720347757801,
                0,
                (1.0, 1.0),
                "6azaVDlrDkeAsIq/xGPQv4q/xGM=",
            ),
            row(
                20000,
                &["direction:out", "topic:ticks", "type:kafka"],
                49,
                5120147720347757801,
                0,
                (0.0, 0.0),
                "6azaVDlrDkegz4q/xGOgz4q/xGM=",
            ),
            row(
                30000,
                &["direction:out", "topic:ticks", "type:kafka"],
                49,
                5120147720347757801,
                0,
                (0.0, 0.0),
                "6azaVDlrDkfw3oq/xGPw3oq/xGM=",
            ),
        ],
        ..PLAIN
    },
    Chain {
        name: "V6",
        start: 1_710_000_000,
        service: "ticker",
        env: Some("dev"),
        rows: &[
            row(
                10000,
                &["direction:in", "topic:a", "type:sqs"],
                0,
                13704931056527433103,
                0,
                (1.0, 1.0),
                "j12JHy+yMb6AsIq/xGPQv4q/xGM=",
            ),
            row(
                20000,
                &["direction:in", "topic:b", "type:sqs"],
                0,
                12926612010123465989,
                0,
                (0.0, 0.0),
                "BRW1lCKNZLOgz4q/xGOgz4q/xGM=",
            ),
            row(
                25000,
                &["direction:out", "topic:c", "type:sqs"],
                49,
                8230877197612662374,
                12926612010123465989,
                (0.5, 0.5),
                "Zr6QwTPzOXKgz4q/xGOI14q/xGM=",
            ),
        ],
        ..PLAIN
    },
    Chain {
        name: "V7",
        start: 1_720_000_000,
        service: "inventory",
        rows: &[
            row(
                0,
                &[
                    "type:kinesis",
                    "topic:stream-123",
                    "direction:out",
                    "manual_checkpoint:true",
                ],
                49,
                15387768047862798685,
                0,
                (0.0, 0.0),
                "Xdn3+oJVjNWAwOn/jmSAwOn/jmQ=",
            ),
            row(
                7500,
                &[
                    "type:kinesis",
                    "topic:stream-123",
                    "direction:in",
                    "manual_checkpoint:true",
                ],
                0,
                7384691262676006811,
                15387768047862798685,
                (0.75, 0.75),
                "m/e735Oxe2aAwOn/jmTcy+n/jmQ=",
            ),
        ],
        ..PLAIN
    },
    Chain {
        name: "V8",
        start: 1_720_000_000,
        service: "café",
        env: Some("prod"),
        rows: &[row(
            0,
            &[
                "type:eventbridge",
                "topic:détail",
                "direction:out",
                "manual_checkpoint:true",
                "exchange:my-bus",
            ],
            49,
            2011555861105388720,
            0,
            (0.0, 0.0),
            "sKwK42V76huAwOn/jmSAwOn/jmQ=",
        )],
        ..PLAIN
    },
    Chain {
        name: "V9",
        start: 1_720_000_000,
        service: "checkout",
        env: Some("prod"),
        process_tags: Some(PROCESS_TAGS),
        container: "container-hash-123",
        rows: &[
            row(
                0,
                &["direction:out", "topic:orders", "type:kafka"],
                49,
                6935968616416179496,
                0,
                (0.0, 0.0),
                "KHW+UrWCQWCAwOn/jmSAwOn/jmQ=",
            ),
            row(
                2000,
                &["direction:in", "group:g", "topic:orders", "type:kafka"],
                0,
                16526514675006504868,
                6935968616416179496,
                (0.2, 0.2),
                "pP8KI4n5WeWAwOn/jmSQw+n/jmQ=",
            ),
        ],
        ..PLAIN
    },
    Chain {
        name: "V10",
        start: 1_720_000_000,
        service: "checkout",
        env: Some("prod"),
        process_tags: Some(PROCESS_TAGS),
        rows: &[row(
            0,
            &["direction:out", "topic:orders", "type:kafka"],
            49,
            12444346707988441787,
            0,
            (0.0, 0.0),
            "u+pz32Uzs6yAwOn/jmSAwOn/jmQ=",
        )],
        ..PLAIN
    },
    Chain {
        name: "V11",
        start: 1_700_000_003,
        service: "checkout",
        env: Some("prod"),
        rows: &[
            row(
                0,
                &["direction:out", "topic:orders", "type:kafka"],
                99,
                7333709291926734956,
                0,
                (0.0, 0.0),
                "bEhGz76RxmXwzqv++WLwzqv++WI=",
            ),
            row(
                5000,
                &["direction:in", "group:g1", "topic:orders", "type:kafka"],
                70,
                7624552024015171267,
                7333709291926734956,
                (0.5, 0.5),
                "w+7oUqvZz2nwzqv++WLY1qv++WI=",
            ),
        ],
        ..PLAIN
    },
];

#[test]
fn chains_of_checkpoints_are_those_of_the_reference() {
    for chain in CHAINS {
        let node = Node::new(
            chain.service,
            chain.env,
            chain.process_tags,
            chain.container,
        );
        let at = |tenths: i64| Nanoseconds::new(chain.start * 1_000_000_000 + tenths * 100_000);
        let mut pathway = match chain.arrived {
            Some(text) => {
                let bytes = base64::decode(text).unwrap();
                Pathway::arrived(Travelling::decode(&bytes).unwrap())
            }
            None => Pathway::begin(at(0)),
        };
        let mut cache = Cache::default();
        for (index, row) in chain.rows.iter().enumerate() {
            let place = format!("{} row {index}", chain.name);
            let tags = Given::of(row.tags);
            let passage = Passage {
                payload_size: row.size,
                ..Passage::default()
            };
            let point = pathway.pass(node, &mut cache, &tags, passage, at(row.at));
            assert_eq!(
                (point.hash, point.parent),
                (row.hash, row.parent),
                "{place}"
            );
            assert!(
                (point.edge_latency.seconds() - row.edge).abs() < 1e-6,
                "{place}: {point:?}"
            );
            assert!(
                (point.pathway_latency.seconds() - row.pathway).abs() < 1e-6,
                "{place}: {point:?}"
            );
            assert_eq!(point.payload_size, row.size, "{place}");
            assert_same_context(&pathway, row.context, &place);
        }
    }
}

/// The reference holds seconds as floating point, and may say a millisecond less.
fn assert_same_context(pathway: &Pathway, expected: &str, place: &str) {
    let expected = Travelling::decode(&base64::decode(expected).unwrap()).unwrap();
    let ours = pathway.travelling().unwrap();
    assert_eq!(ours.hash, expected.hash, "{place}");
    for (ours, expected) in [
        (ours.pathway_start, expected.pathway_start),
        (ours.edge_start, expected.edge_start),
    ] {
        let late = ours.milliseconds() - expected.milliseconds();
        assert!((0..=1).contains(&late), "{place}: {late} ms");
    }
}

/// Of the edge and of the pathway, in seconds.
fn latencies(point: &Point) -> (f64, f64) {
    (
        point.edge_latency.seconds(),
        point.pathway_latency.seconds(),
    )
}

#[test]
fn the_header_counts_49_bytes_with_times_of_our_days() {
    let mut pathway = Pathway::begin(Nanoseconds::of_milliseconds(1_700_000_000_000));
    assert_eq!(pathway.header_size(), 49);
    let node = Node::new("s", None, None, "");
    let tags = Given::of(&["direction:in"]);
    let now = Nanoseconds::of_milliseconds(1_700_000_000_500);
    let passage = Passage {
        payload_size: 100,
        adds_header: true,
        ..Passage::default()
    };
    let point = pathway.pass(node, &mut Cache::default(), &tags, passage, now);
    assert_eq!((point.payload_size, pathway.header_size()), (149, 49));
}

#[test]
fn a_checkpoint_without_a_direction_begins_anew_without_latency() {
    let start = Nanoseconds::of_milliseconds(1_700_000_000_000);
    let mut pathway = Pathway::begin(start);
    let node = Node::new("s", None, None, "");
    let now = Nanoseconds::of_milliseconds(1_700_000_009_000);
    let tags = Given::of(&["topic:a"]);
    let point = pathway.pass(node, &mut Cache::default(), &tags, Passage::default(), now);
    assert_eq!((point.parent, latencies(&point)), (0, (0.0, 0.0)));
}

#[test]
fn a_clock_that_steps_back_gives_no_latency_below_zero() {
    let mut pathway = Pathway::begin(Nanoseconds::of_milliseconds(1_700_000_009_000));
    let node = Node::new("s", None, None, "");
    let tags = Given::of(&["direction:in"]);
    let now = Nanoseconds::of_milliseconds(1_700_000_000_000);
    let point = pathway.pass(node, &mut Cache::default(), &tags, Passage::default(), now);
    assert_eq!(latencies(&point), (0.0, 0.0));
}

#[test]
fn starts_can_be_set_from_outside() {
    let mut pathway = Pathway::begin(Nanoseconds::of_milliseconds(5_000));
    let node = Node::new("s", None, None, "");
    let arrival = Nanoseconds::of_milliseconds(3_000);
    let passage = Passage {
        edge_start: Some(arrival),
        pathway_start: Some(arrival),
        ..Passage::default()
    };
    let tags = Given::of(&["direction:in"]);
    let now = Nanoseconds::of_milliseconds(5_500);
    let point = pathway.pass(node, &mut Cache::default(), &tags, passage, now);
    assert_eq!(latencies(&point), (2.5, 2.5));
    assert_eq!(pathway.pathway_start, arrival);
}

#[test]
fn every_pathway_of_a_batch_can_be_the_one() {
    assert_eq!(Pathway::merge([]), None);
    let pathways: Vec<_> = (1..=3)
        .map(|hash| Pathway {
            hash,
            ..Pathway::begin(Nanoseconds::new(0))
        })
        .collect();
    let mut seen = [0; 4];
    for _ in 0..3000 {
        seen[Pathway::merge(pathways.iter().copied()).unwrap().hash as usize] += 1;
    }
    // Each a thousand times on average; 700 is more than eleven deviations away.
    assert!(
        seen[0] == 0 && seen[1..].iter().all(|times| *times > 700),
        "{seen:?}"
    );
}
