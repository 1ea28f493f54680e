//! `GET /api/status`.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Shared;
use crate::store::counts::Client;
use crate::store::{Kept, now};
use crate::validate::Level;

pub(super) async fn get(State(shared): State<Shared>) -> Json<Value> {
    let store = shared.store().lock();
    let mut status = show(&shared, &store);
    let mut clients: Vec<_> = store.clients.iter().collect();
    clients.sort_by_key(|client| std::cmp::Reverse(client.last_seen));
    status["clients"] = clients.into_iter().map(show_client).collect();
    Json(status)
}

/// Everything but the clients.
pub(super) fn show(shared: &Shared, store: &Kept) -> Value {
    let inner = shared.inner();
    let (spans, requests, summaries) = store.memory();
    let counts = &store.counts;
    let streams = shared.data_streams().lock().memory();
    let llm = shared.llm().lock().memory() + shared.llm().backend().memory();
    json!({
        "name": "cargo-ddtrace",
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "rev": store.rev,
        "now": now().to_string(),
        "started": inner.started.to_string(),
        "uptime_ms": inner.begun.elapsed().as_millis() as u64,
        "viewer": inner.settings.viewer,
        "addresses": inner.addresses,
        "socket": if inner.settings.socket.is_empty() { Value::Null } else { inner.settings.socket.clone().into() },
        "command": inner.command,
        "strict": inner.strict,
        "keep_all": inner.settings.keep_all,
        "private": inner.policy.private,
        "counts": {
            "requests": counts.requests,
            "chunks": counts.chunks,
            "traces": counts.traces,
            "spans": counts.spans,
            "errors": counts.errors,
            "services": counts.services.len(),
            "rejected_payloads": counts.rejected_payloads,
            "dropped_chunks": counts.dropped_chunks,
            "dropped": counts.dropped,
            "sampled_out_traces": counts.sampled_out_traces,
            "sampled_out_spans": counts.sampled_out_spans,
            "problems": totals(store),
        },
        "memory": {
            "limit": store.limits.memory,
            "spans": spans,
            "requests": requests,
            "summaries": summaries,
            "streams": streams,
            "llm": llm,
            "total": spans + requests + summaries + streams + llm,
        },
        "evicted": {"spans": counts.evicted_spans, "traces": counts.evicted_traces, "requests": store.requests.evicted},
        "kept_since": store.kept_since().map(|time| time.to_string()),
        "services": counts.services,
        "forward": inner.forward.get().map(|forward| {
            let counts = forward.counts();
            let last = counts.last_status.load(Ordering::Relaxed);
            json!({
                "url": forward.url,
                "sent": counts.sent.load(Ordering::Relaxed),
                "failed": counts.failed.load(Ordering::Relaxed),
                "dropped": counts.dropped.load(Ordering::Relaxed),
                "last_status": (last != 0).then_some(last),
            })
        }),
    })
}

/// How many problems of each level.
pub(crate) fn totals(store: &Kept) -> Value {
    Level::ALL
        .iter()
        .map(|level| {
            (
                level.name().to_owned(),
                Value::from(store.problems.total(*level)),
            )
        })
        .collect()
}

fn show_client(client: &Client) -> Value {
    json!({
        "runtime_id": client.runtime_id,
        "service": client.service,
        "env": client.env,
        "app_version": client.app_version,
        "language": client.language,
        "language_version": client.language_version,
        "tracer_version": client.tracer_version,
        "pid": client.pid,
        "first_seen": client.first_seen.to_string(),
        "last_seen": client.last_seen.to_string(),
        "traces": client.traces,
        "telemetry": client.telemetry,
    })
}
