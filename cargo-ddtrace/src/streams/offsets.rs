//! Offsets of partitions, and how far consumer groups are behind.
//!
//! A backlog says how far something is: producers of a partition, its end, or what a group committed. Lag is the end less
//! what was committed. A cluster's name may be known to one side only, so a commit finds its partition without it if
//! there is just one.

use std::collections::HashMap;

use crate::intake::pipeline_stats::Backlog;

/// Offsets that are kept; the one that was silent longest makes room.
const MOST: usize = 10_000;
/// Characters of a name that are kept.
const NAME: usize = 400;

/// What an offset is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // named as in API.md
pub struct Key {
    pub cluster: String,
    pub topic: String,
    pub partition: String,
    /// The group, if this was committed.
    pub group: Option<String>,
    /// `kafka_produce`, `kafka_commit`, `kafka_high_watermark`.
    pub kind: String,
}

/// The last that was said.
#[derive(Debug, Clone)]
pub struct Offset {
    /// The highest offset.
    pub value: i64,
    /// When it came.
    pub updated: i64,
    /// Who said it.
    pub service: String,
}

/// All offsets.
#[derive(Debug, Default)]
pub struct Offsets {
    last: HashMap<Key, Offset>,
}

/// A partition and, if there is one, a group that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // named as in API.md
pub struct Lag {
    pub cluster: String,
    pub topic: String,
    pub partition: String,
    pub group: Option<String>,
    pub service: String,
    pub produced: Option<i64>,
    pub high_watermark: Option<i64>,
    pub committed: Option<i64>,
    pub lag: Option<i64>,
    pub updated: i64,
}

impl Offsets {
    /// Takes in a backlog.
    pub fn note(&mut self, backlog: &Backlog, service: &str, now: i64) {
        let tag = |key: &str| {
            let found = backlog.tags.iter().find_map(|tag| {
                let (own, value) = tag.split_once(':')?;
                (own == key).then_some(value)
            });
            found.map(|value| value.chars().take(NAME).collect::<String>())
        };
        let (Some(kind), Some(topic)) = (tag("type"), tag("topic").or_else(|| tag("queue"))) else {
            return;
        };
        let key = Key {
            cluster: tag("kafka_cluster_id").unwrap_or_default(),
            topic,
            partition: tag("partition").unwrap_or_default(),
            group: tag("consumer_group"),
            kind,
        };
        if self.last.len() >= MOST && !self.last.contains_key(&key) {
            let oldest = self.last.iter().min_by_key(|(_, offset)| offset.updated);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.last.remove(&oldest);
            }
        }
        // A topic that was made anew begins at 0 again: the last word counts, not the highest.
        self.last.insert(
            key,
            Offset {
                value: backlog.value,
                updated: now,
                service: service.chars().take(NAME).collect(),
            },
        );
    }

    /// The offset of a kind for a partition; the cluster may be unknown to one of the two sides.
    fn of(&self, kind: &str, like: &Key) -> Option<&Offset> {
        let own = |key: &&Key| {
            key.kind == kind && key.topic == like.topic && key.partition == like.partition
        };
        let exact = Key {
            kind: kind.to_owned(),
            group: None,
            ..like.clone()
        };
        self.last.get(&exact).or_else(|| {
            let mut near = self
                .last
                .iter()
                .filter(|(key, _)| own(key))
                .filter(|(key, _)| key.cluster.is_empty() || like.cluster.is_empty());
            let first = near.next()?;
            near.next().is_none().then_some(first.1)
        })
    }

    /// How far each group is behind on each partition, and partitions that nobody commits on.
    pub fn lags(&self) -> Vec<Lag> {
        let mut lags: Vec<Lag> = Vec::new();
        let mut keys: Vec<(&Key, &Offset)> = self.last.iter().collect();
        // Commits first: what they say of a partition need not be said again.
        keys.sort_by_key(|(key, _)| (key.group.is_none(), *key));
        for (key, offset) in keys {
            let is_commit = key.group.is_some();
            let is_said = |lag: &&Lag| {
                lag.topic == key.topic
                    && lag.partition == key.partition
                    && (lag.cluster == key.cluster
                        || lag.cluster.is_empty()
                        || key.cluster.is_empty())
            };
            if !is_commit && lags.iter().any(|lag| is_said(&lag)) {
                continue;
            }
            let produced = self.of("kafka_produce", key).map(|offset| offset.value);
            let high_watermark = self
                .of("kafka_high_watermark", key)
                .map(|offset| offset.value);
            let committed = is_commit.then_some(offset.value);
            let end = produced.into_iter().chain(high_watermark).max();
            lags.push(Lag {
                cluster: key.cluster.clone(),
                topic: key.topic.clone(),
                partition: key.partition.clone(),
                group: key.group.clone(),
                service: offset.service.clone(),
                produced,
                high_watermark,
                committed,
                lag: end
                    .zip(committed)
                    .map(|(end, committed)| end.saturating_sub(committed).max(0)),
                updated: offset.updated,
            });
        }
        lags.sort_by(|a, b| {
            (&a.topic, &a.group, a.partition.len(), &a.partition).cmp(&(
                &b.topic,
                &b.group,
                b.partition.len(),
                &b.partition,
            ))
        });
        lags
    }

    /// Bytes of memory, about.
    pub fn memory(&self) -> usize {
        self.last
            .keys()
            .map(|key| 160 + key.topic.len() + key.group.as_ref().map_or(0, String::len))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(backlogs: &[(&[&str], i64)]) -> Offsets {
        let mut offsets = Offsets::default();
        for (tags, value) in backlogs {
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            offsets.note(
                &Backlog {
                    tags,
                    value: *value,
                },
                "s",
                1,
            );
        }
        offsets
    }

    #[test]
    fn lag_is_what_was_produced_less_what_was_committed() {
        // spec/data-streams.md §15.5: the commit knows the cluster, the producer does not.
        let commit: &[&str] = &[
            "type:kafka_commit",
            "consumer_group:g1",
            "topic:orders",
            "partition:1",
            "kafka_cluster_id:abc",
        ];
        let produce: &[&str] = &["type:kafka_produce", "topic:orders", "partition:1"];
        let end: &[&str] = &["type:kafka_high_watermark", "topic:orders", "partition:1"];
        let lag = |backlogs: &[(&[&str], i64)]| offsets(backlogs).lags()[0].lag;
        assert_eq!(lag(&[(commit, 14), (produce, 34)]), Some(20));
        assert_eq!(lag(&[(commit, 14), (end, 40), (produce, 34)]), Some(26));
        assert_eq!(lag(&[(commit, 50), (produce, 34)]), Some(0));
        assert_eq!(lag(&[(commit, 14)]), None);
        assert_eq!(lag(&[(produce, 34)]), None);
        assert_eq!(
            offsets(&[(commit, 14), (produce, 34), (end, 3)])
                .lags()
                .len(),
            1
        );
    }

    #[test]
    fn a_partition_of_two_clusters_is_not_mixed_up() {
        let tags = |cluster: &str| {
            vec![
                "type:kafka_produce".to_owned(),
                "topic:t".into(),
                "partition:0".into(),
                format!("kafka_cluster_id:{cluster}"),
            ]
        };
        let mut offsets = offsets(&[(
            &[
                "type:kafka_commit",
                "consumer_group:g",
                "topic:t",
                "partition:0",
            ],
            1,
        )]);
        offsets.note(
            &Backlog {
                tags: tags("a"),
                value: 5,
            },
            "s",
            1,
        );
        assert_eq!(offsets.lags()[0].lag, Some(4));
        offsets.note(
            &Backlog {
                tags: tags("b"),
                value: 9,
            },
            "s",
            1,
        );
        assert_eq!(offsets.lags()[0].lag, None);
    }

    #[test]
    fn offsets_are_bounded() {
        let mut offsets = Offsets::default();
        for number in 0..MOST as i64 + 10 {
            let tags = vec![
                "type:kafka_produce".to_owned(),
                format!("topic:{number}"),
                "partition:0".into(),
            ];
            offsets.note(&Backlog { tags, value: 1 }, "s", number);
        }
        assert_eq!(offsets.last.len(), MOST);
    }
}
