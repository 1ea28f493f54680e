//! The map of pathways: services and what they pass messages through, with what the checkpoints between them measured.
//!
//! A checkpoint out leads from its service to a queue, one in from the queue to its service. Where the name that a
//! message was sent to is another than the one it was read from (an exchange and a queue, a topic and its
//! subscription), the hash of the parent tells that they belong together, and an edge joins them.
//!
//! Requests of HTTP and gRPC pass through nothing that has a name: by their hashes an edge leads from service to service.

use std::collections::{BTreeMap, HashMap};

use super::{Bucket, Sender};
use crate::intake::pipeline_stats::Point;
use crate::intake::sketch::Sketch;

/// Pathways of one answer.
const PATHWAYS: usize = 2000;

/// What was measured, merged over a window.
#[derive(Debug, Default, Clone)]
pub struct Measured {
    /// Seconds from the checkpoint before.
    pub edge: Sketch,
    /// Seconds from the beginning of the pathway.
    pub pathway: Sketch,
    /// Bytes.
    pub size: Sketch,
}

impl Measured {
    fn add(&mut self, point: &Point) {
        self.edge.merge(&point.edge_latency);
        self.pathway.merge(&point.pathway_latency);
        self.size.merge(&point.payload_size);
    }

    /// How many messages.
    pub fn messages(&self) -> f64 {
        self.edge.count().max(self.pathway.count())
    }
}

/// What the edge tags say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)] // named as in API.md
pub struct Where {
    pub direction: String,
    pub kind: String,
    pub name: String,
    pub group: String,
    pub is_manual: bool,
    /// Whether messages pass through anything between the services, be its name known or not.
    pub has_queue: bool,
}

impl Where {
    /// Reads edge tags.
    pub fn of(tags: &[String]) -> Where {
        let mut found = Where::default();
        for (key, value) in tags.iter().filter_map(|tag| tag.split_once(':')) {
            found.has_queue |= matches!(key, "topic" | "exchange" | "queue" | "subscription");
            match key {
                "direction" => found.direction = value.to_owned(),
                "type" => found.kind = value.to_owned(),
                "topic" => found.name = value.to_owned(),
                "exchange" | "queue" | "subscription" if found.name.is_empty() => {
                    found.name = value.to_owned();
                }
                "group" => found.group = value.to_owned(),
                "manual_checkpoint" => found.is_manual = value == "true",
                _ => {}
            }
        }
        found
    }

    /// The id of what messages pass through.
    fn queue(&self) -> String {
        format!("queue:{}:{}", self.kind, self.name)
    }
}

/// A service or a queue.
#[derive(Debug, Default)]
#[allow(missing_docs)] // named as in API.md
pub struct Node {
    pub label: String,
    pub is_service: bool,
    pub kind: String,
    pub env: String,
    pub language: String,
    pub version: String,
    /// What came in and what went out.
    pub consumed: f64,
    pub produced: f64,
}

/// Messages between two nodes.
#[derive(Debug, Default)]
#[allow(missing_docs)] // named as in API.md
pub struct Edge {
    pub direction: String,
    pub groups: Vec<String>,
    pub measured: Measured,
}

/// One pathway at one checkpoint.
#[derive(Debug)]
#[allow(missing_docs)] // named as in API.md
pub struct Pathway<'k> {
    pub hash: u64,
    pub parent: u64,
    pub sender: &'k Sender,
    pub tags: &'k [String],
    pub at: Where,
    pub measured: Measured,
    pub last: i64,
}

/// The map of a window.
#[derive(Debug, Default)]
pub struct Map<'k> {
    /// By id.
    pub nodes: BTreeMap<String, Node>,
    /// By the ids of their ends.
    pub edges: BTreeMap<(String, String), Edge>,
    /// Those that end most first; at most 2000 of them.
    pub pathways: Vec<Pathway<'k>>,
    /// Pathways that are left out.
    pub more: usize,
}

impl<'k> Map<'k> {
    /// Of some buckets.
    pub fn of(buckets: impl Iterator<Item = &'k Bucket>) -> Map<'k> {
        let mut pathways: HashMap<(u64, u64, &str), Pathway<'k>> = HashMap::new();
        for bucket in buckets {
            for point in &bucket.points {
                let key = (
                    point.hash,
                    point.parent_hash,
                    bucket.sender.service.as_str(),
                );
                let pathway = pathways.entry(key).or_insert_with(|| Pathway {
                    hash: point.hash,
                    parent: point.parent_hash,
                    sender: &bucket.sender,
                    tags: &point.edge_tags,
                    at: Where::of(&point.edge_tags),
                    measured: Measured::default(),
                    last: 0,
                });
                pathway.measured.add(point);
                pathway.last = pathway
                    .last
                    .max(bucket.start.saturating_add(bucket.duration));
            }
        }
        let mut pathways: Vec<Pathway<'k>> = pathways.into_values().collect();
        pathways.sort_by(|a, b| {
            let number = |pathway: &Pathway<'_>| pathway.measured.messages();
            number(b).total_cmp(&number(a)).then(a.hash.cmp(&b.hash))
        });
        let mut map = Map::default();
        for pathway in &pathways {
            map.draw(pathway);
        }
        map.route(&pathways);
        map.more = pathways.len().saturating_sub(PATHWAYS);
        pathways.truncate(PATHWAYS);
        map.pathways = pathways;
        map
    }

    fn draw(&mut self, pathway: &Pathway<'_>) {
        let service = format!("service:{}", pathway.sender.service);
        let messages = pathway.measured.messages();
        let node = self.nodes.entry(service.clone()).or_insert_with(|| Node {
            label: pathway.sender.service.clone(),
            is_service: true,
            env: pathway.sender.env.clone(),
            language: pathway.sender.language.clone(),
            version: pathway.sender.version.clone(),
            ..Node::default()
        });
        let is_out = match pathway.at.direction.as_str() {
            "out" => true,
            "in" => false,
            // A checkpoint without a direction is a place within its service.
            _ => return,
        };
        if is_out {
            node.produced += messages;
        } else {
            node.consumed += messages;
        }
        if !pathway.at.has_queue {
            return;
        }
        let queue = pathway.at.queue();
        let label = match pathway.at.name.as_str() {
            "" => &pathway.at.kind,
            name => name,
        };
        let node = self.nodes.entry(queue.clone()).or_insert_with(|| Node {
            label: label.to_owned(),
            kind: pathway.at.kind.clone(),
            ..Node::default()
        });
        let ends = if is_out {
            node.consumed += messages;
            (service, queue)
        } else {
            node.produced += messages;
            (queue, service)
        };
        let edge = self.edges.entry(ends).or_default();
        edge.direction = if is_out { "out" } else { "in" }.to_owned();
        if !pathway.at.group.is_empty() && !edge.groups.contains(&pathway.at.group) {
            edge.groups.push(pathway.at.group.clone());
            edge.groups.sort();
        }
        edge.measured.merge(&pathway.measured);
    }

    /// Joins what messages were sent to with what they were read from.
    fn route(&mut self, pathways: &[Pathway<'_>]) {
        let sent: HashMap<u64, &Pathway<'_>> = pathways
            .iter()
            .filter(|pathway| pathway.at.direction == "out")
            .map(|pathway| (pathway.hash, pathway))
            .collect();
        for read in pathways
            .iter()
            .filter(|pathway| pathway.at.direction == "in")
        {
            let Some(sent) = sent.get(&read.parent) else {
                continue;
            };
            let end = |pathway: &Pathway<'_>| match pathway.at.has_queue {
                true => pathway.at.queue(),
                false => format!("service:{}", pathway.sender.service),
            };
            let (from, to) = (end(sent), end(read));
            let is_call = !sent.at.has_queue && !read.at.has_queue;
            if from != to || is_call {
                let edge = self.edges.entry((from, to)).or_default();
                edge.direction = if is_call { "call" } else { "route" }.to_owned();
                edge.measured.merge(&read.measured);
            }
        }
    }
}

impl Measured {
    fn merge(&mut self, other: &Measured) {
        self.edge.merge(&other.edge);
        self.pathway.merge(&other.pathway);
        self.size.merge(&other.size);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kept, Streams, tests::payload};
    use super::*;

    fn kept(change: impl FnOnce(&mut crate::intake::pipeline_stats::Payload)) -> Streams {
        let streams = Streams::new(1 << 20);
        let mut sent = payload();
        change(&mut sent);
        streams.lock().take(sent, 1, 0, 0);
        streams
    }

    fn ends(kept: &Kept) -> Vec<String> {
        let map = Map::of(kept.buckets.iter());
        map.edges
            .keys()
            .map(|(from, to)| format!("{from} {to}"))
            .collect()
    }

    #[test]
    fn a_topic_stands_between_who_writes_and_who_reads() {
        let streams = kept(|_| ());
        let kept = streams.lock();
        assert_eq!(
            ends(&kept),
            [
                "queue:kafka:orders service:checkout",
                "service:checkout queue:kafka:orders"
            ]
        );
        let map = Map::of(kept.buckets.iter());
        let edge = &map.edges[&(
            "queue:kafka:orders".to_owned(),
            "service:checkout".to_owned(),
        )];
        assert_eq!(edge.groups, ["g1"]);
        // spec/data-streams.md §15.5: consumed half a second after it was produced.
        let latency = edge.measured.edge.quantile(0.5).unwrap();
        assert!((latency - 0.5).abs() < 0.005, "{latency}");
        assert_eq!(map.pathways.len(), 2);
    }

    #[test]
    fn an_exchange_is_joined_with_the_queue_that_is_read() {
        let streams = kept(|payload| {
            let points = &mut payload.buckets[0].points;
            points[0].edge_tags = vec![
                "direction:out".into(),
                "exchange:E".into(),
                "type:rabbitmq".into(),
            ];
            points[1].edge_tags = vec![
                "direction:in".into(),
                "topic:q".into(),
                "type:rabbitmq".into(),
            ];
        });
        assert_eq!(
            ends(&streams.lock()),
            [
                "queue:rabbitmq:E queue:rabbitmq:q",
                "queue:rabbitmq:q service:checkout",
                "service:checkout queue:rabbitmq:E"
            ]
        );
    }

    #[test]
    fn requests_lead_from_service_to_service() {
        let streams = kept(|payload| {
            let points = &mut payload.buckets[0].points;
            points[0].edge_tags = vec!["direction:out".into(), "type:http".into()];
            points[1].edge_tags = vec!["direction:in".into(), "type:http".into()];
        });
        let kept = streams.lock();
        assert_eq!(ends(&kept), ["service:checkout service:checkout"]);
        let map = Map::of(kept.buckets.iter());
        assert_eq!(map.nodes.len(), 1);
        let edge = map.edges.values().next().unwrap();
        assert_eq!(edge.direction, "call");
        assert_eq!(edge.measured.messages(), 1.0);
    }

    #[test]
    fn a_queue_whose_name_is_not_known_is_one_all_the_same() {
        let streams = kept(|payload| {
            for point in &mut payload.buckets[0].points {
                point.edge_tags[1] = "topic:".into();
                point.edge_tags.truncate(2);
                point.edge_tags.push("type:kafka".into());
            }
        });
        let kept = streams.lock();
        assert!(
            Map::of(kept.buckets.iter())
                .nodes
                .contains_key("queue:kafka:")
        );
    }

    #[test]
    fn a_checkpoint_without_a_direction_draws_its_service_only() {
        let streams = kept(|payload| {
            for point in &mut payload.buckets[0].points {
                point.edge_tags = vec!["type:custom".into()];
            }
        });
        let kept = streams.lock();
        let map = Map::of(kept.buckets.iter());
        assert_eq!((map.nodes.len(), map.edges.len()), (1, 0));
    }
}
