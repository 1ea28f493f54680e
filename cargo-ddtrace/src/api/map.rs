//! `GET /api/map`: who calls whom.
//!
//! An edge between services is an entry span whose parent belongs to another service. The parent may lie in another segment, so the first
//! walk collects entry spans and outgoing spans, and the second finds the services of the parents that are
//! asked for. An outgoing span that no entry span names as its parent called something that sends no spans: a peer.

use std::collections::{BTreeMap, HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Shared;
use super::error::ApiError;
use super::query::{Parameters, Raw};
use super::services::{Load, Window};
use super::trace::peer;
use crate::store::segment::{Row, Segment, flag};

#[derive(Default)]
struct Node {
    span_type: String,
    is_peer: bool,
    load: Load,
}

/// A span as far as an edge needs it.
struct Call {
    service: String,
    row: Row,
    peer: Option<(String, &'static str)>,
}

#[derive(Default)]
struct Walk {
    entries: Vec<Call>,
    outgoing: Vec<Call>,
    nodes: BTreeMap<String, Node>,
    /// Services of parents, by trace and span id.
    parents: HashMap<(u32, u64), Option<String>>,
}

pub(super) async fn get(State(shared): State<Shared>, raw: Raw) -> Result<Json<Value>, ApiError> {
    let parameters = Parameters::from(raw);
    let window = Window::read(&parameters, &shared.store().lock())?;
    let mut walk = Walk::default();
    shared.store().scan(
        &mut walk,
        |walk, segment| collect(walk, segment, window),
        |_, _| (),
    );
    for call in &walk.entries {
        if call.row.parent_id != 0 {
            walk.parents
                .insert((call.row.trace, call.row.parent_id), None);
        }
    }
    let mut answer = shared.store().scan(
        &mut walk,
        |walk, segment| {
            for row in &segment.rows {
                if let Some(service) = walk.parents.get_mut(&(row.trace, row.span_id)) {
                    *service = Some(segment.strings.get(row.service).to_owned());
                }
            }
        },
        |walk, store| {
            let mut shown = show(walk, &window);
            shown["rev"] = store.rev.into();
            shown
        },
    );
    window.show(&mut answer);
    Ok(Json(answer))
}

fn collect(walk: &mut Walk, segment: &Segment, window: Window) {
    for row in segment.rows.iter().filter(|row| window.holds(row)) {
        let text = |number| segment.strings.get(number);
        if row.is(flag::ENTRY) {
            let service = text(row.service).to_owned();
            let node = walk.nodes.entry(service.clone()).or_default();
            if node.span_type.is_empty() || text(row.span_type) == "web" {
                node.span_type = text(row.span_type).to_owned();
            }
            node.load.add(row);
            walk.entries.push(Call {
                service,
                row: row.clone(),
                peer: None,
            });
        }
        if row.is(flag::OUTGOING) {
            let named = peer(segment, row).map(|name| (name.to_owned(), peer_type(segment, row)));
            walk.outgoing.push(Call {
                service: text(row.service).to_owned(),
                row: row.clone(),
                peer: named,
            });
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
    let mut edges: BTreeMap<(String, String), Load> = BTreeMap::new();
    let mut answered: HashSet<(u32, u64)> = HashSet::new();
    for call in &walk.entries {
        let key = (call.row.trace, call.row.parent_id);
        let Some(Some(caller)) = walk.parents.get(&key) else {
            continue;
        };
        answered.insert(key);
        if *caller != call.service {
            edges
                .entry((caller.clone(), call.service.clone()))
                .or_default()
                .add(&call.row);
        }
    }
    for call in &walk.outgoing {
        if answered.contains(&(call.row.trace, call.row.span_id)) {
            continue;
        }
        let Some((name, kind)) = &call.peer else {
            continue;
        };
        // An uninstrumented peer may carry the name of a service that also sends; then that is meant.
        let id = if walk.nodes.get(name).is_some_and(|node| !node.is_peer) {
            name.clone()
        } else {
            let id = format!("peer:{name}");
            let node = walk.nodes.entry(id.clone()).or_default();
            (node.is_peer, node.span_type) = (true, (*kind).to_owned());
            node.load.add(&call.row);
            id
        };
        if id != call.service {
            edges
                .entry((call.service.clone(), id))
                .or_default()
                .add(&call.row);
            // A caller need not have an entry span of its own in the window.
            walk.nodes.entry(call.service.clone()).or_default();
        }
    }
    for (from, to) in edges.keys() {
        walk.nodes.entry(from.clone()).or_default();
        walk.nodes.entry(to.clone()).or_default();
    }
    let nodes: Vec<Value> = std::mem::take(&mut walk.nodes)
        .into_iter()
        .map(|(id, mut node)| {
            let mut shown = node.load.show(window);
            shown["label"] = id
                .strip_prefix("peer:")
                .filter(|_| node.is_peer)
                .unwrap_or(&id)
                .into();
            shown["id"] = id.into();
            shown["kind"] = if node.is_peer { "peer" } else { "service" }.into();
            shown["type"] = node.span_type.into();
            shown
        })
        .collect();
    let edges: Vec<Value> = edges
        .into_iter()
        .map(|((from, to), mut load)| {
            let mut shown = load.show(window);
            shown["histogram"] = histogram(&load.durations);
            shown["from"] = from.into();
            shown["to"] = to.into();
            shown
        })
        .collect();
    json!({"nodes": nodes, "edges": edges})
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
