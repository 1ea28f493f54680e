//! The concentrator: hits, errors and durations by group and by ten seconds.
//!
//! A span counts in the bucket of its **end**. The current bucket and the one before are open; older ones are taken every ten
//! seconds. What comes late counts in the oldest open bucket, what claims to end in the future in the current one, so there are
//! never more than three buckets, whatever clocks say.
//!
//! **Limits.** A bucket holds a bounded number of groups, and a bounded number of distinct resources, endpoints, sets of peer tags and
//! sets of additional tags. A key that would be one too many has that field replaced by [`BLOCKED`]; beyond the groups in
//! all, everything is. Keys that exist are never affected, which is why only new ones are checked.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use super::key::{BLOCKED, Key};
use super::obfuscation::Obfuscator;

use crate::config::StatsLimits;
use crate::export::finished::FinishedSpan;
use crate::sketch::Sketch;

/// The length of a bucket in nanoseconds.
pub(super) const BUCKET: u64 = 10_000_000_000;

/// The kinds that are counted if the agent names none.
const KINDS: [&str; 4] = ["server", "client", "producer", "consumer"];

/// How spans are grouped: settings, and what the agent said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rules {
    /// Kinds in lower case whose spans are counted even if they are neither top-level nor measured.
    pub(super) kinds: Vec<String>,
    pub(super) peer_tags: Vec<String>,
    /// At most four.
    pub(super) additional: Vec<String>,
    pub(super) limits: StatsLimits,
    /// Whether resources are obfuscated here.
    pub(super) obfuscate: bool,
}

/// A group's numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Group {
    pub(super) hits: u64,
    pub(super) errors: u64,
    pub(super) top_level_hits: u64,
    /// Nanoseconds.
    pub(super) duration: u64,
    pub(super) ok: Sketch,
    pub(super) error: Sketch,
}

impl Group {
    fn add(&mut self, span: &FinishedSpan<'_>, is_top_level: bool) {
        let duration = u64::try_from(span.duration).unwrap_or(0);
        self.hits += 1;
        self.top_level_hits += u64::from(is_top_level);
        self.duration = self.duration.saturating_add(duration);
        if span.error {
            self.errors += 1;
            self.error.add(duration as f64);
        } else {
            self.ok.add(duration as f64);
        }
    }
}

/// Ten seconds.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Nanoseconds since the epoch, a multiple of [`BUCKET`].
    pub(super) start: u64,
    pub(super) groups: HashMap<Box<[u8]>, Group>,
    /// Whether resources were obfuscated, the same for all of a bucket.
    pub(super) is_obfuscated: bool,
    /// Hashes of distinct values.
    resources: HashSet<u64>,
    endpoints: HashSet<u64>,
    peer_tags: HashSet<u64>,
    additional: HashSet<u64>,
}

impl Bucket {
    fn new(start: u64, is_obfuscated: bool) -> Self {
        Self {
            start,
            groups: HashMap::new(),
            is_obfuscated,
            resources: HashSet::new(),
            endpoints: HashSet::new(),
            peer_tags: HashSet::new(),
            additional: HashSet::new(),
        }
    }

    /// Replaces what there is too much of.
    fn limit(&mut self, key: &mut Key<'_>, limits: StatsLimits, hasher: &RandomState) {
        fn is_admitted(known: &mut HashSet<u64>, hash: u64, limit: usize) -> bool {
            known.contains(&hash) || (known.len() < limit && known.insert(hash))
        }
        if !is_admitted(
            &mut self.resources,
            hasher.hash_one(&*key.resource),
            limits.resources,
        ) {
            key.resource = BLOCKED.into();
        }
        if !is_admitted(
            &mut self.endpoints,
            hasher.hash_one(key.endpoint),
            limits.http_endpoints,
        ) {
            key.endpoint = BLOCKED;
        }
        if !is_admitted(
            &mut self.peer_tags,
            hasher.hash_one(&key.peer_tags),
            limits.peer_tags,
        ) {
            key.peer_tags = vec![(BLOCKED, "".into())];
        }
        if !is_admitted(
            &mut self.additional,
            hasher.hash_one(&key.additional),
            limits.additional_tags,
        ) {
            key.additional = vec![(BLOCKED, "")];
        }
    }
}

/// Counts spans.
#[derive(Debug)]
pub(super) struct Concentrator {
    rules: Rules,
    /// Few, in no order.
    buckets: Vec<Bucket>,
    /// Where the oldest open bucket starts.
    oldest: u64,
    obfuscator: Obfuscator,
    /// The key in hand.
    scratch: Vec<u8>,
    hasher: RandomState,
    /// Spans in the group of what was too much, since the last [`take`](Self::take).
    collapsed: u64,
}

impl Concentrator {
    pub(super) fn new(rules: Rules, now: u64) -> Self {
        Self {
            rules,
            buckets: Vec::new(),
            oldest: aligned(now).saturating_sub(BUCKET),
            obfuscator: Obfuscator::default(),
            scratch: Vec::new(),
            hasher: RandomState::new(),
            collapsed: 0,
        }
    }

    /// Groups by other rules from here on. What is counted stays.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Whether the rules are these.
    pub(super) fn has_rules(&self, rules: &Rules) -> bool {
        self.rules == *rules
    }

    /// Counts a span if it is one that counts. `now` in nanoseconds since the epoch.
    pub(super) fn add(&mut self, span: &FinishedSpan<'_>, now: u64) {
        let is_on = |key| span.metric(key) == Some(1.0);
        let is_top_level = is_on("_dd.top_level");
        let kind = span.meta("span.kind").unwrap_or_default();
        let counts = is_top_level || is_on("_dd.measured") || self.rules.counts_kind(kind);
        let is_snapshot = || {
            span.metric("_dd.partial_version")
                .is_some_and(|version| version >= 0.0)
        };
        if !counts || is_snapshot() {
            return;
        }
        let end = span.start.saturating_add(span.duration);
        let start = aligned(u64::try_from(end).unwrap_or(0))
            .clamp(self.oldest, aligned(now).max(self.oldest));
        let at = match self.buckets.iter().position(|bucket| bucket.start == start) {
            Some(at) => at,
            None => {
                self.buckets.push(Bucket::new(start, self.rules.obfuscate));
                self.buckets.len() - 1
            }
        };
        let bucket = &mut self.buckets[at];
        let resource = if bucket.is_obfuscated {
            self.obfuscator.resource(span)
        } else {
            Cow::Borrowed(span.resource)
        };
        let Rules {
            peer_tags,
            additional,
            limits,
            ..
        } = &self.rules;
        let mut key = Key::of(span, resource, kind, peer_tags, additional);
        self.scratch.clear();
        key.write(&mut self.scratch);
        if let Some(group) = bucket.groups.get_mut(&*self.scratch) {
            group.add(span, is_top_level);
            return;
        }
        bucket.limit(&mut key, *limits, &self.hasher);
        self.scratch.clear();
        key.write(&mut self.scratch);
        if bucket.groups.len() >= limits.groups && !bucket.groups.contains_key(&*self.scratch) {
            self.scratch.clear();
            Key::overflow().write(&mut self.scratch);
            self.collapsed += 1;
        }
        bucket
            .groups
            .entry(self.scratch.as_slice().into())
            .or_default()
            .add(span, is_top_level);
    }

    /// Takes the buckets that are closed, or with `all` every one. `now` in nanoseconds since the epoch.
    pub(super) fn take(&mut self, now: u64, all: bool) -> Vec<Bucket> {
        let current = aligned(now);
        self.oldest = if all {
            current
        } else {
            current.saturating_sub(BUCKET)
        };
        let limit = now.saturating_sub(2 * BUCKET);
        let (taken, kept) = std::mem::take(&mut self.buckets)
            .into_iter()
            .partition(|bucket| all || bucket.start <= limit);
        self.buckets = kept;
        taken
    }

    /// Spans that were in the group of what was too much since the last call.
    pub(super) fn take_collapsed(&mut self) -> u64 {
        std::mem::take(&mut self.collapsed)
    }
}

impl Rules {
    /// The kinds of an agent that names them, or the usual ones.
    pub(super) fn kinds_of(named: &[String]) -> Vec<String> {
        if named.is_empty() {
            return KINDS.map(str::to_owned).to_vec();
        }
        named.iter().map(|kind| kind.to_lowercase()).collect()
    }

    fn counts_kind(&self, kind: &str) -> bool {
        !kind.is_empty()
            && self
                .kinds
                .iter()
                .any(|counted| counted.eq_ignore_ascii_case(kind))
    }
}

/// The start of the bucket that a moment is in.
fn aligned(nanoseconds: u64) -> u64 {
    nanoseconds - nanoseconds % BUCKET
}
