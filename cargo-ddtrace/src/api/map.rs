//! `GET /api/map`: who calls whom.
//!
//! An edge between services is an entry span whose parent belongs to another service. The parent may lie in another
//! segment, so the first walk collects entry spans and outgoing spans, and the second finds the services of the
//! parents that are asked for. An outgoing span that no entry span names as its parent called something that sends no
//! spans: a peer. Names are numbers until the end, and there are at most `NAMES` of them: what a tag says may differ in every
//! span.

use std::collections::{BTreeMap, HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::error::ApiError;
use super::peers::{Callers, Peers};
use super::query::{Parameters, Raw};
use super::services::{Load, Window};
use super::{Shared, apart};
use crate::store::segment::{Row, Segment, flag};

/// Services and peers that are told apart; all further ones are one node.
const NAMES: usize = 500;
/// The name of that node.
const OTHERS: &str = "(others)";

/// A span as far as an edge needs it.
struct Call {
    trace: u32,
    /// Of an entry span its parent's id, of an outgoing span its own.
    span: u64,
    service: u32,
    /// What an outgoing span called.
    peer: u32,
    duration: u64,
    error: bool,
}

#[derive(Default)]
struct Node {
    span_type: String,
    load: Load,
}

#[derive(Default)]
struct Walk {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
    services: HashMap<u32, Node>,
    peer_types: HashMap<u32, &'static str>,
    entries: Vec<Call>,
    outgoing: Vec<Call>,
    /// Services of parents, by trace and span id.
    parents: HashMap<(u32, u64), Option<u32>>,
}

impl Walk {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name = if self.names.len() < NAMES {
            name
        } else {
            OTHERS
        };
        let number = self.names.len() as u32;
        let number = *self.numbers.entry(name.to_owned()).or_insert(number);
        if number as usize == self.names.len() {
            self.names.push(name.to_owned());
        }
        number
    }
}

pub(super) async fn get(State(shared): State<Shared>, raw: Raw) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let window = Window::read(&parameters, &shared.store().lock())?;
    let answer = apart(move || walk(&shared, window)).await;
    Ok(Json(answer))
}

fn walk(shared: &Shared, window: Window) -> Value {
    let mut walk = Walk::default();
    shared.store().scan(
        &mut walk,
        |walk, segment| collect(walk, segment, window),
        |_, _| (),
    );
    walk.parents = walk
        .entries
        .iter()
        .map(|call| ((call.trace, call.span), None))
        .collect();
    let mut answer = shared.store().scan(&mut walk, find_parents, |walk, store| {
        let mut shown = show(walk, &window);
        shown["rev"] = store.rev.into();
        shown
    });
    window.show(&mut answer);
    answer
}

fn collect(walk: &mut Walk, segment: &Segment, window: Window) {
    let text = |number| segment.strings.get(number);
    let (peers, callers) = (Peers::of(segment), Callers::of(segment));
    // Numbers of the walk by numbers of the segment.
    let mut known: HashMap<u32, u32> = HashMap::new();
    let mut named: HashMap<u32, u32> = HashMap::new();
    for row in segment.rows.iter().filter(|row| window.holds(row)) {
        if !row.is(flag::ENTRY | flag::OUTGOING) {
            continue;
        }
        let caller = callers.service(segment, row);
        let service = *known
            .entry(caller)
            .or_insert_with(|| walk.number(text(caller)));
        let call = |span: u64, peer: u32| Call {
            trace: row.trace,
            span,
            service,
            peer,
            duration: row.duration.max(0) as u64,
            error: row.is(flag::ERROR),
        };
        // A call under the name of its integration enters no service.
        if row.is(flag::ENTRY) && caller == row.service {
            let node = walk.services.entry(service).or_default();
            if node.span_type.is_empty() || text(row.span_type) == "web" {
                node.span_type = text(row.span_type).to_owned();
            }
            node.load.add(row);
            if row.parent_id != 0 {
                walk.entries.push(call(row.parent_id, 0));
            }
        }
        if let Some(name) = peers.name(segment, row).filter(|_| row.is(flag::OUTGOING)) {
            let peer = *named
                .entry(name)
                .or_insert_with(|| walk.number(&format!("peer:{}", text(name))));
            walk.peer_types
                .entry(peer)
                .or_insert_with(|| peer_type(segment, row));
            walk.outgoing.push(call(row.span_id, peer));
        }
    }
}

fn find_parents(walk: &mut Walk, segment: &Segment) {
    if walk.parents.is_empty() {
        return;
    }
    let callers = Callers::of(segment);
    let mut known: HashMap<u32, u32> = HashMap::new();
    for row in &segment.rows {
        if walk.parents.contains_key(&(row.trace, row.span_id)) {
            let caller = callers.service(segment, row);
            let service = *known
                .entry(caller)
                .or_insert_with(|| walk.number(segment.strings.get(caller)));
            walk.parents.insert((row.trace, row.span_id), Some(service));
        }
    }
}

/// What kind of thing an outgoing span called.
fn peer_type(segment: &Segment, row: &Row) -> &'static str {
    match segment.strings.get(row.span_type) {
        "sql" | "db" | "mongodb" | "cassandra" | "elasticsearch" => "db",
        "cache" | "redis" | "memcached" => "cache",
        "queue" => "queue",
        "http" | "web" => "http",
        _ if segment.tag(row, "messaging.system").is_some() => "queue",
        _ if segment.tag(row, "db.system").is_some() => "db",
        _ => "",
    }
}

fn show(walk: &mut Walk, window: &Window) -> Value {
    let mut edges: HashMap<(u32, u32), Load> = HashMap::new();
    let mut peers: HashMap<u32, Load> = HashMap::new();
    let mut answered: HashSet<(u32, u64)> = HashSet::new();
    for call in &walk.entries {
        let key = (call.trace, call.span);
        let Some(Some(caller)) = walk.parents.get(&key) else {
            continue;
        };
        answered.insert(key);
        if *caller != call.service {
            edges
                .entry((*caller, call.service))
                .or_default()
                .add_one(call.duration, call.error);
        }
    }
    for call in &walk.outgoing {
        if answered.contains(&(call.trace, call.span)) {
            continue;
        }
        // A peer may carry the name of a service that also sends; then that is meant.
        let name = walk.names[call.peer as usize]
            .strip_prefix("peer:")
            .unwrap_or(OTHERS);
        let sender = walk
            .numbers
            .get(name)
            .filter(|number| walk.services.contains_key(number));
        let called = *sender.unwrap_or(&call.peer);
        if sender.is_none() {
            peers
                .entry(called)
                .or_default()
                .add_one(call.duration, call.error);
        }
        if called != call.service {
            edges
                .entry((call.service, called))
                .or_default()
                .add_one(call.duration, call.error);
        }
    }
    // A caller need not have an entry span of its own in the window.
    for number in edges.keys().flat_map(|(from, to)| [*from, *to]) {
        if !peers.contains_key(&number) {
            walk.services.entry(number).or_default();
        }
    }
    let name = |number: u32| walk.names[number as usize].as_str();
    let mut nodes: BTreeMap<&str, Value> = BTreeMap::new();
    for (number, node) in &mut walk.services {
        let mut shown = node.load.show(window);
        shown["id"] = name(*number).into();
        shown["label"] = name(*number).into();
        shown["kind"] = "service".into();
        shown["type"] = node.span_type.as_str().into();
        nodes.insert(name(*number), shown);
    }
    for (number, mut load) in peers {
        let mut shown = load.show(window);
        shown["id"] = name(number).into();
        shown["label"] = name(number).strip_prefix("peer:").unwrap_or(OTHERS).into();
        shown["kind"] = "peer".into();
        shown["type"] = walk
            .peer_types
            .get(&number)
            .copied()
            .unwrap_or_default()
            .into();
        nodes.insert(name(number), shown);
    }
    let edges: BTreeMap<(&str, &str), Value> = edges
        .into_iter()
        .map(|((from, to), mut load)| {
            let mut shown = load.show(window);
            shown["histogram"] = histogram(&load.durations);
            shown["from"] = name(from).into();
            shown["to"] = name(to).into();
            ((name(from), name(to)), shown)
        })
        .collect();
    json!({
        "nodes": nodes.into_values().collect::<Vec<_>>(),
        "edges": edges.into_values().collect::<Vec<_>>(),
    })
}

/// Counts by duration, each bound twice the one before; `sorted` is in order.
fn histogram(sorted: &[u64]) -> Value {
    const STEPS: u32 = 16;
    let least = 250_000u64;
    let bounds: Vec<u64> = (0..STEPS).map(|step| least << step).collect();
    let mut counts = Vec::with_capacity(bounds.len() + 1);
    let mut before = 0;
    for bound in &bounds {
        let below = sorted.partition_point(|duration| duration < bound);
        counts.push(below - before);
        before = below;
    }
    counts.push(sorted.len() - before);
    json!({"bounds_ns": bounds, "counts": counts})
}
