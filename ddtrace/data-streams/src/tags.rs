//! Edge tags: what tells one edge of a pathway from another.
//!
//! A tag is text, usually `key:value`. Hashing wants them sorted by their bytes. Both the sorting and the hash of a pathway
//! are remembered per thread, because a program passes the same few edges again and again: see [`Cache`].

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::hash::Node;

/// A tag in the making: not yet joined, so that nothing is allocated for an edge that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    key: &'a str,
    /// Nothing if `key` is the whole tag.
    value: Option<&'a str>,
}

impl<'a> Tag<'a> {
    pub(crate) const fn pair(key: &'a str, value: &'a str) -> Self {
        Self {
            key,
            value: Some(value),
        }
    }

    pub(crate) const fn whole(text: &'a str) -> Self {
        Self {
            key: text,
            value: None,
        }
    }

    /// Whether it was made as a pair with this key.
    pub(crate) fn has_key(self, key: &str) -> bool {
        self.value.is_some() && self.key == key
    }

    fn to_text(self) -> Box<str> {
        match self.value {
            Some(value) => format!("{}:{value}", self.key).into(),
            None => self.key.into(),
        }
    }

    fn is(self, text: &str) -> bool {
        let (text, key) = (text.as_bytes(), self.key.as_bytes());
        let Some(value) = self.value.map(str::as_bytes) else {
            return same(text, key);
        };
        text.len() == key.len() + 1 + value.len()
            && text[key.len()] == b':'
            && same(&text[..key.len()], key)
            && same(&text[key.len() + 1..], value)
    }
}

/// Whether two texts are the same; for short ones that mostly are, a few instructions instead of a call.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
        one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
    }
    one.len() == other.len()
        && match one.len() {
            0..4 => one.iter().zip(other).all(|(one, other)| one == other),
            4..8 => ends::<4>(one, other),
            8..16 => ends::<8>(one, other),
            16..=32 => ends::<16>(one, other),
            _ => one == other,
        }
}

/// As many tags as edges have.
pub(crate) type Tags<'a> = SmallVec<[Tag<'a>; 8]>;

/// Which way a message goes at a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The tags do not say.
    #[default]
    None,
    In,
    Out,
    /// A direction of somebody's own.
    Other,
}

/// The tags of an edge, sorted.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct EdgeTags {
    sorted: Box<[Box<str>]>,
}

impl EdgeTags {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(|tag| &**tag)
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// What the first tag that names a direction says.
    pub(crate) fn direction(&self) -> Direction {
        let direction = self.iter().find_map(|tag| tag.strip_prefix("direction:"));
        match direction {
            None => Direction::None,
            Some("in") => Direction::In,
            Some("out") => Direction::Out,
            Some(_) => Direction::Other,
        }
    }
}

/// An edge as it was given once, with what follows from it.
#[derive(Clone, Debug)]
struct Edge {
    given: Box<[Box<str>]>,
    fingerprint: u64,
    tags: Arc<EdgeTags>,
    direction: Direction,
}

/// Edges that a thread has passed, and the pathways by which: at most [`Cache::LIMIT`] of each, then it begins anew.
///
/// The pathway by which an edge was passed last is found by comparing the tags, without a hash: most threads pass the same few
/// edges by one pathway each.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    node: Option<Node>,
    /// Each where [`place`] says.
    recent: [Option<Recent>; Cache::RECENT],
    edges: HashMap<u64, Arc<Edge>, Fingerprints>,
    /// By the edge's fingerprint mixed with the parent: both, and the hash.
    pathways: HashMap<u64, (u64, u64, u64), Fingerprints>,
}

/// An edge, and how it was passed the last time.
#[derive(Debug)]
struct Recent {
    edge: Arc<Edge>,
    parent: u64,
    hash: u64,
}

/// An edge that is in a [`Cache`].
pub(crate) struct Passed {
    fingerprint: u64,
    place: usize,
    pub(crate) tags: Arc<EdgeTags>,
    pub(crate) direction: Direction,
}

impl Cache {
    const LIMIT: usize = 1000;
    const RECENT: usize = 16;

    /// The edge with these tags, as passed at this node.
    pub(crate) fn edge(&mut self, given: &[Tag<'_>], node: Node) -> Passed {
        if self.node != Some(node) {
            // The agent told something about the container, or a test changed the service.
            self.pathways.clear();
            self.recent = Default::default();
            self.node = Some(node);
        }
        let place = place(given);
        if let Some(recent) = &self.recent[place] {
            if recent.edge.is(given) {
                return recent.edge.passed(place);
            }
        }
        let fingerprint = fingerprint(given);
        if let Some(edge) = self.edges.get(&fingerprint).filter(|edge| edge.is(given)) {
            return edge.passed(place);
        }
        if self.edges.len() >= Self::LIMIT {
            self.edges.clear();
            self.pathways.clear();
        }
        let tags = sorted(given);
        let edge = Edge {
            given: given.iter().map(|tag| tag.to_text()).collect(),
            fingerprint,
            direction: tags.direction(),
            tags,
        };
        let passed = edge.passed(place);
        if self.edges.insert(fingerprint, Arc::new(edge)).is_some() {
            // Two edges share a fingerprint: what is known of pathways may be the other's.
            self.pathways.clear();
        }
        passed
    }

    /// The hash of the pathway that goes on by an edge.
    pub(crate) fn hash(&mut self, edge: &Passed, node: Node, parent: u64) -> u64 {
        if let Some(recent) = &self.recent[edge.place] {
            if recent.parent == parent && Arc::ptr_eq(&recent.edge.tags, &edge.tags) {
                return recent.hash;
            }
        }
        let hash = self.known_hash(edge, node, parent);
        if let Some(known) = self.edges.get(&edge.fingerprint) {
            if Arc::ptr_eq(&known.tags, &edge.tags) {
                let edge_here = Arc::clone(known);
                self.recent[edge.place] = Some(Recent {
                    edge: edge_here,
                    parent,
                    hash,
                });
            }
        }
        hash
    }

    fn known_hash(&mut self, edge: &Passed, node: Node, parent: u64) -> u64 {
        let mut key = Mixed(edge.fingerprint);
        key.mix(parent);
        if let Some(&(fingerprint, known_parent, hash)) = self.pathways.get(&key.0) {
            if fingerprint == edge.fingerprint && known_parent == parent {
                return hash;
            }
        }
        if self.pathways.len() >= Self::LIMIT {
            self.pathways.clear();
        }
        let hash = node.hash(edge.tags.iter(), parent);
        self.pathways
            .insert(key.0, (edge.fingerprint, parent, hash));
        hash
    }
}

impl Edge {
    fn is(&self, given: &[Tag<'_>]) -> bool {
        self.given.len() == given.len()
            && self.given.iter().zip(given).all(|(text, tag)| tag.is(text))
    }

    fn passed(&self, place: usize) -> Passed {
        Passed {
            fingerprint: self.fingerprint,
            place,
            tags: Arc::clone(&self.tags),
            direction: self.direction,
        }
    }
}

/// Where among the recent edges one with these tags is: by the length and the last byte of each, in which edges of one program
/// mostly differ.
fn place(given: &[Tag<'_>]) -> usize {
    let mixed = given.iter().fold(0_usize, |mixed, tag| {
        let text = tag.value.unwrap_or(tag.key).as_bytes();
        let last = text.last().copied().unwrap_or_default();
        mixed.wrapping_mul(31) + text.len() % 256 + usize::from(last)
    });
    (mixed ^ mixed >> 4) % Cache::RECENT
}

fn sorted(given: &[Tag<'_>]) -> Arc<EdgeTags> {
    let mut sorted: Vec<_> = given.iter().map(|tag| tag.to_text()).collect();
    sorted.sort_unstable();
    Arc::new(EdgeTags {
        sorted: sorted.into(),
    })
}

/// A number that edges rarely share; whoever finds one compares the tags themselves.
fn fingerprint(given: &[Tag<'_>]) -> u64 {
    let mut mixed = Mixed(0x9e37_79b9_7f4a_7c15);
    for tag in given {
        mixed.write(tag.key.as_bytes());
        mixed.write(tag.value.unwrap_or_default().as_bytes());
    }
    mixed.0
}

/// Eight bytes at a time by one multiplication each.
struct Mixed(u64);

impl Mixed {
    fn mix(&mut self, word: u64) {
        let wide =
            u128::from(self.0 ^ word).wrapping_mul(0xa076_1d64_78bd_642f_e703_7ed1_a0b4_28db);
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let word = chunk.try_into().map_or(0, u64::from_le_bytes);
            self.mix(word);
        }
        let rest = chunks.remainder();
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(word) ^ (bytes.len() as u64) << 56);
    }
}

/// The map's keys are fingerprints: mixed already.
#[derive(Clone, Copy, Debug, Default)]
struct Fingerprints;

struct AsIs(u64);

impl BuildHasher for Fingerprints {
    type Hasher = AsIs;

    fn build_hasher(&self) -> AsIs {
        AsIs(0)
    }
}

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags<'a>(given: &[&'a str]) -> Tags<'a> {
        given.iter().map(|tag| Tag::whole(tag)).collect()
    }

    #[test]
    fn tags_are_sorted_by_their_bytes_and_say_a_direction() {
        for (given, expected, direction) in [
            (
                &["type:kafka", "topic:é", "direction:out", "topic:z"][..],
                &["direction:out", "topic:z", "topic:é", "type:kafka"][..],
                Direction::Out,
            ),
            (&["b", "a"], &["a", "b"], Direction::None),
            (&["direction:in"], &["direction:in"], Direction::In),
            (&["direction:up"], &["direction:up"], Direction::Other),
        ] {
            let edge = sorted(&tags(given));
            assert_eq!(edge.iter().collect::<Vec<_>>(), expected);
            assert_eq!(edge.direction(), direction);
        }
    }

    #[test]
    fn texts_are_the_same_if_every_byte_is() {
        for length in 0..40 {
            let text = vec![b'a'; length];
            assert!(same(&text, &text.clone()), "{length}");
            assert!(!same(&text, &[&*text, b"a"].concat()));
            for at in 0..length {
                let mut other = text.clone();
                other[at] = b'b';
                assert!(!same(&text, &other), "{length}, {at}");
            }
        }
        let pair = Tag::pair("topic", "a:b");
        for (text, expected) in [
            ("topic:a:b", true),
            ("topic:a:c", false),
            ("topic;a:b", false),
            ("tonic:a:b", false),
            ("topic:a:b:", false),
            ("topic", false),
            ("", false),
        ] {
            assert_eq!(pair.is(text), expected, "{text}");
        }
    }

    #[test]
    fn pairs_and_whole_tags_are_the_same_edge() {
        let node = Node::new("s", None, None, "");
        let mut cache = Cache::default();
        let pairs = cache.edge(
            &[Tag::pair("topic", "a:b"), Tag::pair("type", "kafka")],
            node,
        );
        let wholes = cache.edge(&tags(&["topic:a:b", "type:kafka"]), node);
        assert_eq!(pairs.tags, wholes.tags);
        assert_eq!(cache.hash(&pairs, node, 7), cache.hash(&wholes, node, 7));
    }

    #[test]
    fn what_is_remembered_is_what_would_be_computed() {
        let nodes = [
            Node::new("s", None, None, ""),
            Node::new("s", Some("prod"), None, ""),
        ];
        let mut cache = Cache::default();
        // More edges than are remembered, each asked for twice, with the node changing in between.
        for _ in 0..2 {
            for topic in 0..Cache::LIMIT + 500 {
                let topic = topic.to_string();
                for (parent, node) in [(0, nodes[0]), (9, nodes[0]), (0, nodes[1])] {
                    let given = [Tag::pair("topic", &topic), Tag::pair("direction", "in")];
                    let edge = cache.edge(&given, node);
                    assert_eq!(edge.tags, sorted(&given));
                    let expected = node.hash(sorted(&given).iter(), parent);
                    assert_eq!(cache.hash(&edge, node, parent), expected);
                    // As the edge that was passed last, and by another parent.
                    let again = cache.edge(&given, node);
                    assert_eq!(cache.hash(&again, node, parent), expected);
                    let other = node.hash(sorted(&given).iter(), parent + 1);
                    assert_eq!(cache.hash(&again, node, parent + 1), other);
                }
            }
        }
        assert!(cache.edges.len() <= Cache::LIMIT && cache.pathways.len() <= Cache::LIMIT);
    }
}
