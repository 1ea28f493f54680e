//! Edge tags: what tells one edge of a pathway from another.
//!
//! A tag is text, usually `key:value`. Hashing wants them sorted by their bytes. Both the sorting and the hash of a pathway
//! are remembered per thread, because a program passes the same few edges again and again: see [`Cache`]. Asked for is an edge as
//! it is [`Given`], field by field: for one that is known no text is made, and none but its own is looked at.

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

/// The same for texts that may be missing.
#[inline]
fn same_if_any(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one.as_bytes(), other.as_bytes()),
        (one, other) => one.is_none() == other.is_none(),
    }
}

/// The tags of an edge that are no field of [`Given`]: few edges have any.
pub(crate) type Tags<'a> = SmallVec<[Tag<'a>; 2]>;

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

/// An edge as somebody gives it who passes a checkpoint there; nothing is sorted or joined.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given<'a> {
    /// `direction:in` or `direction:out`, or a tag of somebody's own among `more`.
    pub(crate) direction: Direction,
    /// `manual_checkpoint:true`.
    pub(crate) is_manual: bool,
    /// `type:…`
    pub(crate) system: Option<&'a str>,
    /// `topic:…`
    pub(crate) topic: Option<&'a str>,
    /// `group:…`
    pub(crate) group: Option<&'a str>,
    pub(crate) more: Tags<'a>,
}

impl<'a> Given<'a> {
    /// All tags, in no order.
    fn tags(&self) -> impl Iterator<Item = Tag<'a>> {
        let direction = match self.direction {
            Direction::In => Some(Tag::whole("direction:in")),
            Direction::Out => Some(Tag::whole("direction:out")),
            Direction::None | Direction::Other => None,
        };
        let pair = |key| move |value| Tag::pair(key, value);
        let manual = self
            .is_manual
            .then_some(Tag::whole("manual_checkpoint:true"));
        [
            direction,
            manual,
            self.system.map(pair("type")),
            self.topic.map(pair("topic")),
            self.group.map(pair("group")),
        ]
        .into_iter()
        .flatten()
        .chain(self.more.iter().copied())
    }

    fn sorted(&self) -> Arc<EdgeTags> {
        let mut sorted: Vec<_> = self.tags().map(Tag::to_text).collect();
        sorted.sort_unstable();
        Arc::new(EdgeTags {
            sorted: sorted.into(),
        })
    }

    /// Where among the recent edges it is: by the length and the last byte of what edges of one program mostly differ in.
    #[inline]
    fn place(&self) -> usize {
        fn mix(mixed: usize, text: &str) -> usize {
            let last = text.as_bytes().last().copied().unwrap_or_default();
            mixed.wrapping_mul(31) + text.len() % 256 + usize::from(last)
        }
        let mut mixed = self.direction as usize;
        for text in [self.topic, self.group].into_iter().flatten() {
            mixed = mix(mixed, text);
        }
        for tag in &self.more {
            mixed = mix(mixed, tag.value.unwrap_or(tag.key));
        }
        (mixed ^ mixed >> 4) % Cache::RECENT
    }

    /// A number that edges rarely share; whoever finds one compares the tags themselves.
    fn fingerprint(&self) -> u64 {
        let mut mixed = Mixed(0x9e37_79b9_7f4a_7c15);
        for tag in self.tags() {
            mixed.write(tag.key.as_bytes());
            mixed.write(tag.value.unwrap_or_default().as_bytes());
        }
        mixed.0
    }
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
#[derive(Debug)]
struct Edge {
    /// Its own among the edges of the thread.
    number: u64,
    given: (Direction, bool),
    system: Option<Box<str>>,
    topic: Option<Box<str>>,
    group: Option<Box<str>>,
    more: Box<[Box<str>]>,
    tags: Arc<EdgeTags>,
    /// By its tags.
    direction: Direction,
}

impl Edge {
    fn new(number: u64, given: &Given<'_>) -> Self {
        let tags = given.sorted();
        Self {
            number,
            given: (given.direction, given.is_manual),
            system: given.system.map(Into::into),
            topic: given.topic.map(Into::into),
            group: given.group.map(Into::into),
            more: given.more.iter().map(|tag| tag.to_text()).collect(),
            direction: tags.direction(),
            tags,
        }
    }

    #[inline]
    fn is(&self, given: &Given<'_>) -> bool {
        self.given == (given.direction, given.is_manual)
            && self.more.len() == given.more.len()
            && same_if_any(self.topic.as_deref(), given.topic)
            && same_if_any(self.group.as_deref(), given.group)
            && same_if_any(self.system.as_deref(), given.system)
            && (self.more.iter().zip(&given.more)).all(|(text, tag)| tag.is(text))
    }
}

/// Edges that a thread has passed, and the pathways by which: at most [`Cache::LIMIT`] of each, then it begins anew.
///
/// The pathway by which an edge was passed last is found by comparing the tags, without a hash: most threads pass the same few
/// edges by one pathway each. What is remembered of pathways belongs to one node: whoever changes it [forgets](Cache::forget_pathways).
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Each where [`Given::place`] says.
    recent: [Option<Recent>; Cache::RECENT],
    edges: HashMap<u64, Arc<Edge>, Fingerprints>,
    /// By the edge's number mixed with the parent: both, and the hash.
    pathways: HashMap<u64, (u64, u64, u64), Fingerprints>,
    /// The next edge's.
    number: u64,
}

/// An edge, and how it was passed the last time.
#[derive(Debug)]
struct Recent {
    edge: Arc<Edge>,
    parent: u64,
    /// 0 if it has not been passed by way of that parent.
    hash: u64,
}

/// A passage of an edge.
pub(crate) struct Passed {
    pub(crate) tags: Arc<EdgeTags>,
    pub(crate) parent: u64,
    pub(crate) hash: u64,
}

impl Cache {
    const LIMIT: usize = 1000;
    const RECENT: usize = 16;

    /// Goes by an edge, from the pathway that `parent` gives for the direction that its tags say.
    #[inline]
    pub(crate) fn pass(
        &mut self,
        given: &Given<'_>,
        node: Node,
        parent: impl FnOnce(Direction) -> u64,
    ) -> Passed {
        let place = given.place();
        if !matches!(&self.recent[place], Some(recent) if recent.edge.is(given)) {
            self.recent[place] = Some(Recent {
                edge: self.edge(given),
                parent: 0,
                hash: 0,
            });
        }
        let Some(recent) = &mut self.recent[place] else {
            // It was put there.
            let tags = given.sorted();
            let parent = parent(tags.direction());
            let hash = node.hash(tags.iter(), parent);
            return Passed { tags, parent, hash };
        };
        let parent = parent(recent.edge.direction);
        if recent.hash == 0 || recent.parent != parent {
            recent.parent = parent;
            recent.hash = hash(&mut self.pathways, &recent.edge, node, parent);
        }
        Passed {
            tags: Arc::clone(&recent.edge.tags),
            parent,
            hash: recent.hash,
        }
    }

    /// Another node is going to be passed: the agent told something about the container, or a test changed the service.
    pub(crate) fn forget_pathways(&mut self) {
        self.pathways.clear();
        self.recent = Default::default();
    }

    /// The edge with these tags.
    #[cold]
    #[inline(never)]
    fn edge(&mut self, given: &Given<'_>) -> Arc<Edge> {
        let fingerprint = given.fingerprint();
        if let Some(edge) = self.edges.get(&fingerprint).filter(|edge| edge.is(given)) {
            return Arc::clone(edge);
        }
        if self.edges.len() >= Self::LIMIT {
            self.edges.clear();
            self.pathways.clear();
        }
        self.number += 1;
        let edge = Arc::new(Edge::new(self.number, given));
        self.edges.insert(fingerprint, Arc::clone(&edge));
        edge
    }
}

/// The hash of the pathway that goes on by an edge.
#[inline(never)]
fn hash(
    pathways: &mut HashMap<u64, (u64, u64, u64), Fingerprints>,
    edge: &Edge,
    node: Node,
    parent: u64,
) -> u64 {
    let mut key = Mixed(edge.number);
    key.mix(parent);
    if let Some(&(number, known_parent, hash)) = pathways.get(&key.0) {
        if number == edge.number && known_parent == parent {
            return hash;
        }
    }
    if pathways.len() >= Cache::LIMIT {
        pathways.clear();
    }
    let hash = node.hash(edge.tags.iter(), parent);
    pathways.insert(key.0, (edge.number, parent, hash));
    hash
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
impl<'a> Given<'a> {
    /// An edge with these tags as they stand.
    pub(crate) fn of(tags: &[&'a str]) -> Self {
        Self {
            more: tags.iter().map(|tag| Tag::whole(tag)).collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let edge = Given::of(given).sorted();
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

    /// Every edge that differs from the first in one thing, and the tags that each stands for.
    fn edges() -> [(Given<'static>, &'static str); 11] {
        let first = Given {
            direction: Direction::In,
            is_manual: false,
            system: Some("kafka"),
            topic: Some("orders"),
            group: Some("billing"),
            more: [Tag::pair("exchange", "e")].into_iter().collect(),
        };
        let with = |change: fn(&mut Given<'static>)| {
            let mut given = first.clone();
            change(&mut given);
            given
        };
        [
            (
                first.clone(),
                "direction:in exchange:e group:billing topic:orders type:kafka",
            ),
            (
                with(|it| it.direction = Direction::Out),
                "direction:out exchange:e group:billing topic:orders type:kafka",
            ),
            (
                with(|it| it.direction = Direction::None),
                "exchange:e group:billing topic:orders type:kafka",
            ),
            (
                with(|it| it.is_manual = true),
                "direction:in exchange:e group:billing manual_checkpoint:true topic:orders type:kafka",
            ),
            (
                with(|it| it.system = Some("kaffa")),
                "direction:in exchange:e group:billing topic:orders type:kaffa",
            ),
            (
                with(|it| it.topic = Some("order")),
                "direction:in exchange:e group:billing topic:order type:kafka",
            ),
            (
                with(|it| it.topic = None),
                "direction:in exchange:e group:billing type:kafka",
            ),
            (
                with(|it| it.topic = Some("")),
                "direction:in exchange:e group:billing topic: type:kafka",
            ),
            (
                with(|it| it.group = None),
                "direction:in exchange:e topic:orders type:kafka",
            ),
            (
                with(|it| it.more.clear()),
                "direction:in group:billing topic:orders type:kafka",
            ),
            (
                with(|it| it.more[0] = Tag::whole("exchange;e")),
                "direction:in exchange;e group:billing topic:orders type:kafka",
            ),
        ]
    }

    #[test]
    fn edges_that_differ_in_anything_are_told_apart() {
        let node = Node::new("s", None, None, "");
        let mut cache = Cache::default();
        for _ in 0..2 {
            for (given, expected) in &edges() {
                let passed = cache.pass(given, node, |_| 7);
                let tags: Vec<_> = passed.tags.iter().collect();
                assert_eq!(tags.join(" "), *expected);
                assert_eq!(passed.hash, node.hash(tags, 7), "{expected}");
                let known: Vec<_> = edges()
                    .iter()
                    .filter(|(other, _)| Edge::new(0, given).is(other))
                    .map(|(_, tags)| *tags)
                    .collect();
                assert_eq!(known, [*expected]);
            }
        }
    }

    #[test]
    fn pairs_and_whole_tags_are_the_same_edge() {
        let node = Node::new("s", None, None, "");
        let mut cache = Cache::default();
        let pairs = Given {
            topic: Some("a:b"),
            system: Some("kafka"),
            ..Given::default()
        };
        let pairs = cache.pass(&pairs, node, |_| 7);
        let wholes = cache.pass(&Given::of(&["topic:a:b", "type:kafka"]), node, |_| 7);
        assert_eq!((pairs.tags, pairs.hash), (wholes.tags, wholes.hash));
    }

    #[test]
    fn the_parent_is_asked_for_by_the_direction_of_the_tags() {
        let node = Node::new("s", None, None, "");
        for (given, expected) in [
            (Given::of(&["direction:out"]), Direction::Out),
            (Given::of(&["topic:a"]), Direction::None),
            (
                Given {
                    direction: Direction::In,
                    ..Given::of(&["direction:ahead"])
                },
                Direction::Other,
            ),
        ] {
            let mut asked = None;
            let passed = Cache::default().pass(&given, node, |direction| {
                asked = Some(direction);
                9
            });
            assert_eq!((asked, passed.parent), (Some(expected), 9));
        }
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
            for node in nodes {
                cache.forget_pathways();
                for topic in 0..Cache::LIMIT + 500 {
                    let topic = topic.to_string();
                    let given = Given {
                        direction: Direction::In,
                        topic: Some(&topic),
                        ..Given::default()
                    };
                    // As the edge that was passed last, and by another parent.
                    for parent in [0, 9, 9, 10] {
                        let passed = cache.pass(&given, node, |_| parent);
                        assert_eq!(passed.tags, given.sorted());
                        let expected = node.hash(given.sorted().iter(), parent);
                        assert_eq!(passed.hash, expected);
                    }
                }
            }
        }
        assert!(cache.edges.len() <= Cache::LIMIT && cache.pathways.len() <= Cache::LIMIT);
    }
}
