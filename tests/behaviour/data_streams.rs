//! Data Streams Monitoring, from checkpoints in a program to what an agent is sent.

use crate::program::command;
use ddtrace_tests::process;
use ddtrace_tests::test_agent::{TestAgent, body};
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Payload {
    service: String,
    pub(crate) lang: String,
    #[serde(default)]
    env: String,
    /// Bits that the Python tracer does not send.
    #[serde(default)]
    product_mask: u64,
    #[serde(default)]
    process_tags: Vec<String>,
    pub(crate) stats: Vec<Bucket>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Bucket {
    pub(crate) duration: u64,
    pub(crate) stats: Vec<Group>,
    pub(crate) backlogs: Vec<Backlog>,
    transactions: Option<serde_bytes_of::Bytes>,
    #[serde(rename = "TransactionCheckpointIds")]
    names: Option<serde_bytes_of::Bytes>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Group {
    pub(crate) edge_tags: Vec<String>,
    pub(crate) hash: u64,
    pub(crate) parent_hash: u64,
    pathway_latency: serde_bytes_of::Bytes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Backlog {
    pub(crate) tags: Vec<String>,
    pub(crate) value: i64,
}

/// MessagePack's bytes, which are no list of numbers.
mod serde_bytes_of {
    use serde::de::{Deserialize, Deserializer, Error, Visitor};

    #[derive(Debug)]
    pub(crate) struct Bytes(pub(crate) Vec<u8>);

    struct Reader;

    impl Visitor<'_> for Reader {
        type Value = Bytes;

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
            Ok(Bytes(bytes.to_vec()))
        }
    }

    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_bytes(Reader)
        }
    }
}

pub(crate) fn payloads(agent: &TestAgent) -> Vec<Payload> {
    let requests = agent.requests();
    let of_pathways = requests.iter().filter(|request| {
        let url = request["url"].as_str().expect("a URL");
        url.ends_with("/v0.1/pipeline_stats")
    });
    of_pathways
        .map(|request| {
            // The agent has unpacked it.
            rmp_serde::from_slice(&body(request)).expect("a payload")
        })
        .collect()
}

#[test]
fn checkpoints_of_a_program_are_one_pathway_across_threads() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let mut command = command(&["data-streams"], &agent.url());
    command
        .env("DD_DATA_STREAMS_ENABLED", "true")
        .env("DD_ENV", "staging");
    let report = process::run(&mut command).report();
    let hash = |name: &str| -> u64 {
        let text = report["more"][name].as_str().unwrap_or("0");
        text.parse().expect("a hash")
    };
    let payloads = payloads(&agent);
    let [payload] = &payloads[..] else {
        panic!("one payload, at the end: {payloads:#?}");
    };
    assert_eq!(
        (&*payload.service, &*payload.lang, &*payload.env),
        ("tests", "rust", "staging")
    );
    assert_eq!(payload.product_mask, 3);
    assert!(payload.process_tags.contains(&"svc.user:true".to_owned()));

    // The ten seconds may have turned meanwhile.
    let groups: Vec<_> = payload
        .stats
        .iter()
        .flat_map(|bucket| &bucket.stats)
        .collect();
    let shown: Vec<_> = groups
        .iter()
        .map(|group| (group.edge_tags.join(" "), group.hash, group.parent_hash))
        .collect();
    let produce =
        |topic: &str| format!("direction:out manual_checkpoint:true topic:{topic} type:kafka");
    let expected = [
        (produce("orders"), hash("first"), 0),
        (
            "direction:in group:billing topic:orders type:kafka".to_owned(),
            hash("consumed"),
            hash("first"),
        ),
        (produce("invoices"), hash("here"), hash("consumed")),
        (produce("shipping"), hash("elsewhere"), hash("consumed")),
    ];
    assert_eq!(shown, expected);
    assert_eq!(
        hash("current"),
        hash("first"),
        "the span took its pathway with it"
    );
    assert!(
        groups
            .iter()
            .all(|group| group.pathway_latency.0.len() > 20)
    );
    assert!(
        payload
            .stats
            .iter()
            .all(|bucket| bucket.duration == 10_000_000_000)
    );

    let backlogs: Vec<_> = payload
        .stats
        .iter()
        .flat_map(|bucket| &bucket.backlogs)
        .map(|backlog| (backlog.tags.join(" "), backlog.value))
        .collect();
    assert_eq!(
        backlogs,
        [
            (
                "type:kafka_commit consumer_group:billing topic:orders partition:0".to_owned(),
                5
            ),
            (
                "type:kafka_produce topic:orders partition:0 kafka_cluster_id:c1".to_owned(),
                7
            ),
        ]
    );
    // Number of the checkpoint, eight bytes of time, length and text of the id; of names number, length and text.
    let mut records = payload.stats.iter().flat_map(|bucket| {
        let records = bucket.transactions.as_ref();
        records.map_or(&[][..], |bytes| &*bytes.0)
    });
    let mut passed = Vec::new();
    while let Some(number) = records.next() {
        let length = records.by_ref().nth(8).expect("a length");
        let id: Vec<u8> = (records.by_ref().take((*length).into())).copied().collect();
        passed.push((*number, String::from_utf8(id).expect("an id")));
    }
    assert_eq!(
        passed,
        [(1, "order-1".to_owned()), (2, "order-2".to_owned())]
    );
    let names = payload
        .stats
        .iter()
        .find_map(|bucket| bucket.names.as_ref())
        .expect("the names");
    assert_eq!(names.0, b"\x01\x06billed\x02\x07shipped");

    let tagged: Vec<_> = agent
        .traces()
        .iter()
        .flatten()
        .filter_map(|span| span["meta"]["pathway.hash"].as_str().map(str::to_owned))
        .collect();
    // The last checkpoint under a span is what it says.
    assert!(tagged.contains(&hash("here").to_string()), "{tagged:?}");
    assert!(
        tagged.contains(&hash("elsewhere").to_string()),
        "{tagged:?}"
    );
    agent.assert_checks_passed();
}

#[test]
fn switched_off_nothing_is_sent_and_no_header_written() {
    let Some(agent) = TestAgent::start() else {
        return;
    };
    let report = process::run(&mut command(&["data-streams"], &agent.url())).report();
    let more = &report["more"];
    for name in [
        "first",
        "consumed",
        "here",
        "elsewhere",
        "current",
        "header",
    ] {
        assert_eq!(more[name], Value::Null, "{name}");
    }
    assert!(payloads(&agent).is_empty());
}
