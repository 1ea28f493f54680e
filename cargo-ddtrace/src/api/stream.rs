//! `GET /api/stream`: server-sent events.
//!
//! A task per stream waits for the store's revision to change, lets a tenth of a second of further changes gather, and
//! writes what changed. Its channel is short: a reader that does not read holds the task up, not the store; if the
//! list of changes has moved past it meanwhile, it is told to load again.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use serde_json::{Value, json};

use super::error::ApiError;
use super::problems::show_group;
use super::query::{Parameters, Raw};
use super::traces::show_summary;
use super::{Shared, requests, status};
use crate::store::{Change, Kept};

/// Streams at once.
const STREAMS: usize = 16;
/// The least time between two events of a topic.
const PACE: Duration = Duration::from_millis(100);
/// How often a comment proves that the connection lives.
const ALIVE: Duration = Duration::from_secs(15);
/// How often `status` comes without a change.
const STATUS: Duration = Duration::from_secs(5);
/// Traces or requests of one event.
const MOST: usize = 200;

#[derive(Clone, Copy)]
struct Topics {
    traces: bool,
    problems: bool,
    requests: bool,
    status: bool,
    config: bool,
    tests: bool,
    streams: bool,
    llm: bool,
}

/// One of the streams that may be open; frees its place on drop.
struct Seat(Shared);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.inner().streams.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) async fn get(
    State(shared): State<Shared>,
    headers: HeaderMap,
    raw: Raw,
) -> Result<Response, ApiError> {
    let parameters = Parameters::from(raw);
    let named = parameters.text("topics");
    let has = |topic: &str| {
        named.is_none_or(|topics| topics.split(',').any(|named| named.trim() == topic))
    };
    let topics = Topics {
        traces: has("traces"),
        problems: has("problems"),
        requests: has("requests"),
        status: has("status"),
        config: has("config"),
        tests: has("tests"),
        streams: has("streams"),
        llm: has("llm"),
    };
    if shared.inner().streams.fetch_add(1, Ordering::Relaxed) >= STREAMS {
        shared.inner().streams.fetch_sub(1, Ordering::Relaxed);
        return Err(ApiError::busy("16 streams are open"));
    }
    let seat = Seat(shared.clone());
    let resume = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let (sender, body) = Channel::<Bytes, Infallible>::new(4);
    tokio::spawn(run(shared, topics, resume, sender));
    // The body holds the seat: it goes with the connection, not when the task next finds nobody to write to.
    let body = body.map_frame(move |frame| {
        let _held = &seat;
        frame
    });
    Ok((
        [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        Body::new(body),
    )
        .into_response())
}

/// Ends when the reader is gone.
async fn run(
    shared: Shared,
    topics: Topics,
    resume: Option<u64>,
    mut sender: Sender<Bytes, Infallible>,
) {
    let mut changes = shared.store().changes();
    let mut seen = resume.unwrap_or_else(|| shared.store().lock().rev);
    let mut first = true;
    loop {
        changes.mark_unchanged();
        let text = {
            let store = shared.store().lock();
            let text = events(&shared, &store, topics, seen, first);
            seen = store.rev;
            text
        };
        first = false;
        if !text.is_empty() && sender.send_data(text.into()).await.is_err() {
            break;
        }
        tokio::time::sleep(PACE).await;
        let wait = if topics.status { STATUS } else { ALIVE };
        if tokio::time::timeout(wait, changes.changed()).await.is_err() {
            // Nothing changed: prove that the connection lives, and let `status` tick.
            first = true;
            if sender
                .send_data(Bytes::from_static(b": alive\n\n"))
                .await
                .is_err()
            {
                break;
            }
        }
    }
}

fn event(text: &mut String, name: &str, rev: u64, data: &Value) {
    use std::fmt::Write as _;
    let _ = write!(text, "event: {name}\nid: {rev}\ndata: {data}\n\n");
}

/// What changed after `seen`, written out. `tick` asks for the status in any case.
fn events(shared: &Shared, store: &Kept, topics: Topics, seen: u64, tick: bool) -> String {
    let mut text = String::new();
    let rev = store.rev;
    let Some(changes) = store.changes_after(seen) else {
        event(&mut text, "reset", rev, &json!({"rev": rev}));
        return text;
    };
    let (mut traces, mut numbers) = (BTreeSet::new(), Vec::new());
    let (mut problems, mut any, mut cleared, mut config) = (false, false, false, false);
    let (mut tests, mut streams, mut llm) = (false, false, false);
    for change in changes {
        any = true;
        match change {
            Change::Trace(number) => drop(traces.insert(number)),
            Change::Request(number) => numbers.push(number),
            Change::Problems => problems = true,
            Change::Status => {}
            Change::RemoteConfig => config = true,
            Change::Tests => tests = true,
            Change::Streams => streams = true,
            Change::Llm => llm = true,
            Change::Cleared => {
                cleared = true;
                traces.clear();
                numbers.clear();
            }
        }
    }
    if cleared {
        event(&mut text, "cleared", rev, &json!({"rev": rev}));
    }
    if topics.traces && !traces.is_empty() {
        // The newest are those that somebody wants to see if not all fit.
        let shown: Vec<Value> = traces
            .iter()
            .rev()
            .take(MOST)
            .filter_map(|number| store.trace(*number))
            .map(|summary| show_summary(summary, None))
            .collect();
        let more = traces.len().saturating_sub(MOST);
        event(
            &mut text,
            "traces",
            rev,
            &json!({"rev": rev, "traces": shown, "more": more}),
        );
    }
    if topics.problems && problems {
        let groups: Vec<Value> = store
            .problems
            .groups()
            .into_iter()
            .filter(|group| group.rev > seen)
            .map(|group| show_group(group, std::iter::empty()))
            .collect();
        event(
            &mut text,
            "problems",
            rev,
            &json!({"rev": rev, "totals": status::totals(store), "groups": groups}),
        );
    }
    if topics.requests && !numbers.is_empty() {
        let more = numbers.len().saturating_sub(MOST);
        let shown: Vec<Value> = numbers
            .iter()
            .rev()
            .take(MOST)
            .filter_map(|n| store.requests.get(*n))
            .map(requests::show)
            .collect();
        event(
            &mut text,
            "requests",
            rev,
            &json!({"rev": rev, "requests": shown, "more": more}),
        );
    }
    if topics.config && config {
        event(&mut text, "config", rev, &json!({"rev": rev}));
    }
    for (name, wanted) in [
        ("tests", topics.tests && tests),
        ("streams", topics.streams && streams),
        ("llm", topics.llm && llm),
    ] {
        if wanted {
            event(&mut text, name, rev, &json!({"rev": rev}));
        }
    }
    if topics.status && (any || tick) {
        event(&mut text, "status", rev, &status::show(shared, store));
    }
    text
}
