//! The task that sends statistics: closed buckets every ten seconds, everything on a flush and at the end.
//!
//! Counting is the pipeline's business (`export::stats`). What cannot be delivered is dropped: the next buckets are worth more than old ones, and an
//! agent that is away counts nothing either.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::task::{Task, TaskContext, TaskFuture, Turn};
use crate::diagnostics;
use crate::export::agent::{RetryPolicy, SendError};
use crate::export::stats::{OBFUSCATION_VERSION, PATH, StatsPayload};
use crate::trace::clock;

pub(super) const TASK: Task = Task::new("statistics", start);

/// The length of a bucket, and the time between two payloads.
const INTERVAL: Duration = Duration::from_secs(10);

const OBFUSCATION: HeaderName = HeaderName::from_static("datadog-obfuscation-version");

fn start(mut context: TaskContext) -> Option<TaskFuture> {
    if !context.has_agent() {
        return None;
    }
    Some(Box::pin(async move {
        let mut due = context.now() + INTERVAL;
        loop {
            match context.turn(due).await {
                Turn::Due => {
                    due = context.now() + INTERVAL;
                    send(&context, false).await;
                }
                Turn::Flush(_done) => send(&context, true).await,
                Turn::Stop => return send(&context, true).await,
            }
        }
    }))
}

async fn send(context: &TaskContext, all: bool) {
    let now = u64::try_from(clock::wall()).unwrap_or(0);
    let config = context.config();
    let payloads = context
        .tracer
        .stats
        .lock()
        .take(&config, context.runtime_id(), now, all);
    for payload in payloads {
        if let Err(why) = deliver(context, payload).await {
            diagnostics::error(format_args!("statistics were dropped: {why}"));
        }
    }
}

/// Sends one payload, again if it cannot have arrived.
async fn deliver(context: &TaskContext, payload: StatsPayload) -> Result<(), String> {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/msgpack"),
    );
    if payload.is_obfuscated {
        headers.insert(OBFUSCATION, HeaderValue::from(OBFUSCATION_VERSION));
    }
    let body = bytes::Bytes::from(payload.body);
    let retry = RetryPolicy::default();
    let mut tries = 0;
    loop {
        tries += 1;
        let sent = context.agent().post(PATH, headers.clone(), body.clone());
        match sent.await {
            Ok(response) if response.status.is_success() => return Ok(()),
            Ok(response) => return Err(format!("the agent answered {}", response.status)),
            // Anything later than the dialling may have arrived: counted twice is worse than not at all.
            Err(SendError::Connect { .. }) if tries < retry.tries => {
                tokio::time::sleep(retry.pause_after(tries)).await;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
