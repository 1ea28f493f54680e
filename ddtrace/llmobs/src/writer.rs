//! The task that sends spans and evaluations.
//!
//! Once a second, on a flush and at the end, and as soon as the queue is half full, everything that waits is put into as few
//! requests as their size allows. A request that may succeed later is tried three times; what is dropped is counted. Requests of
//! other parts of the product ([`call`]) run beside.
//!
//! Source: `spec/llmobs.md` §14.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use ddtrace_core::config::AgentUrl;
use ddtrace_core::diagnostics;
use ddtrace_core::export::agent::AgentInfo;
use ddtrace_core::worker::task::{Flushed, Task, TaskContext, TaskFuture, Turn};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::queue::{self, Queue};
use crate::route::Mode;
use crate::switch::{self, Running};
use crate::telemetry;
use crate::transport::{self, Answer, Call, CallError, Subdomain};

pub(crate) const TASK: Task = Task::new("llm observability", run);

const SPANS: &str = "/api/v2/llmobs";
const EVALUATIONS: &str = "/api/intake/llm-obs/v2/eval-metric";

/// Tries of one request, and the longest waits between them.
const WAITS: [Duration; 2] = [Duration::from_millis(360), Duration::from_millis(590)];

/// What another part of the product asks for, with who waits for it.
enum Asked {
    Call(Box<Call>, oneshot::Sender<Result<Answer, CallError>>),
    Sleep(Duration, oneshot::Sender<()>),
}

static CALLS: Mutex<Option<mpsc::UnboundedSender<Asked>>> = Mutex::new(None);

/// Sends a request on the worker and waits for its answer, on whatever runtime.
pub(crate) async fn call(call: Call) -> Result<Answer, CallError> {
    let (tell, told) = oneshot::channel();
    let sender = CALLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let sender = sender.ok_or(CallError::NotRunning)?;
    sender
        .send(Asked::Call(Box::new(call), tell))
        .map_err(|_| CallError::NotRunning)?;
    told.await.unwrap_or(Err(CallError::NotRunning))
}

/// The same, again after these waits at most if that may help. The last answer counts.
pub(crate) async fn call_again(call: Call, waits: &[Duration]) -> Result<Answer, CallError> {
    let mut waits = waits.iter();
    loop {
        let answer = self::call(call.clone()).await;
        let is_passing = match &answer {
            Ok(answer) => matches!(answer.status.as_u16(), 408 | 429 | 500..),
            Err(CallError::Network(_)) => true,
            Err(_) => false,
        };
        match waits.next().filter(|_| is_passing) {
            Some(longest) => pause(longest.mul_f64(fraction())).await,
            None => return answer,
        }
    }
}

/// Sleeps on the worker, for whoever has no clock.
pub(crate) async fn pause(time: Duration) {
    let (tell, told) = oneshot::channel();
    let sender = CALLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(sender) = sender {
        if sender.send(Asked::Sleep(time, tell)).is_ok() {
            let _ = told.await;
        }
    }
}

fn run(context: TaskContext) -> Option<TaskFuture> {
    let queue = queue::of_this_process();
    let (sender, calls) = mpsc::unbounded_channel();
    *CALLS.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    Some(Box::pin(async move {
        Writer { queue, calls }.run(context).await;
    }))
}

struct Writer {
    queue: Arc<Queue>,
    calls: mpsc::UnboundedReceiver<Asked>,
}

/// What the task wakes up for.
enum Wake {
    Turn(Turn),
    HalfFull,
    Asked(Asked),
}

impl Writer {
    async fn run(mut self, mut context: TaskContext) {
        let url = context.config().agent_url.clone();
        let mut has_asked = false;
        loop {
            let interval = switch::peek()
                .as_ref()
                .map_or(Duration::from_secs(1), |running| {
                    running.settings.writer_interval
                });
            let due = context.now() + interval;
            let wake = self.wait(&mut context, due).await;
            let Some(running) = switch::running() else {
                continue;
            };
            if switch::is_on() && !has_asked {
                has_asked = true;
                find_agent(&running, &context).await;
            }
            match wake {
                Wake::Turn(Turn::Due) | Wake::HalfFull => self.send(&running, &url).await,
                Wake::Turn(Turn::Flush(done)) => self.flush(&running, &url, done).await,
                Wake::Turn(_) => return self.send(&running, &url).await,
                Wake::Asked(Asked::Call(call, tell)) => {
                    let url = url.clone();
                    tokio::spawn(async move {
                        let answer = transport::send(&running.settings, &url, &call).await;
                        let _ = tell.send(answer);
                    });
                }
                Wake::Asked(Asked::Sleep(time, tell)) => {
                    tokio::spawn(async move {
                        tokio::time::sleep(time).await;
                        let _ = tell.send(());
                    });
                }
            }
        }
    }

    /// Waits for whatever comes first.
    async fn wait(&mut self, context: &mut TaskContext, due: Instant) -> Wake {
        let mut turn = pin!(context.turn(due));
        let mut half_full = pin!(self.queue.half_full());
        let calls = &mut self.calls;
        poll_fn(|waker| {
            if let Poll::Ready(turn) = turn.as_mut().poll(waker) {
                return Poll::Ready(Wake::Turn(turn));
            }
            if let Poll::Ready(Some(call)) = calls.poll_recv(waker) {
                return Poll::Ready(Wake::Asked(call));
            }
            half_full.as_mut().poll(waker).map(|()| Wake::HalfFull)
        })
        .await
    }

    /// The traces of a flush go through the pipeline beside it and may leave something here.
    async fn flush(&mut self, running: &Running, url: &AgentUrl, done: Flushed) {
        self.send(running, url).await;
        drop(done);
    }

    async fn send(&mut self, running: &Running, url: &AgentUrl) {
        let taken = self.queue.take();
        for (metric, what, dropped) in [
            ("dropped_span_events", "spans", taken.dropped_spans),
            (
                "dropped_eval_events",
                "evaluations",
                taken.dropped_evaluations,
            ),
        ] {
            if dropped > 0 {
                telemetry::dropped(metric, "buffer_full", dropped as u64);
                diagnostics::warn(format_args!(
                    "{dropped} {what} of LLM Observability were dropped: more than the buffer holds"
                ));
            }
        }
        for (body, count) in batches(taken.waiting.spans, running.settings.payload_limit) {
            let call = delivery(running, Subdomain::Intake, SPANS, body);
            deliver(running, url, call, "dropped_span_events", count).await;
        }
        let evaluations = taken.waiting.evaluations.iter();
        let evaluations: Vec<_> = evaluations
            .map(|metric| serde_json::to_vec(metric).unwrap_or_default())
            .collect();
        for (metrics, count) in batches(evaluations, running.settings.payload_limit) {
            let body = [EVALUATIONS_BEGIN, &metrics, EVALUATIONS_END].concat();
            let call = delivery(running, Subdomain::Api, EVALUATIONS, body);
            deliver(running, url, call, "dropped_eval_events", count).await;
        }
    }
}

const EVALUATIONS_BEGIN: &[u8] = br#"{"data":{"attributes":{"metrics":"#;
const EVALUATIONS_END: &[u8] = br#"},"type":"evaluation_metric"}}"#;

/// Asks the agent whether it passes requests on, where nobody has said how to send.
async fn find_agent(running: &Running, context: &TaskContext) {
    if running.settings.agentless.is_some() || running.settings.apm_agentless {
        return;
    }
    let mut found = None;
    for _ in 0..2 {
        if let Ok(Some(info)) = AgentInfo::fetch(context.agent()).await {
            let mut endpoints = info.endpoints.iter();
            found = Some(endpoints.any(|path| path.contains("/evp_proxy/v2")));
            break;
        }
    }
    let is_there = found.unwrap_or(false);
    let could_do_without = running.settings.api_key.is_some()
        && (cfg!(feature = "agentless") || running.settings.override_origin.is_some());
    if is_there || could_do_without {
        running.found_agent(is_there);
    } else {
        // There is no other way: an agent may come.
        diagnostics::warn(format_args!(
            "LLM Observability found no agent that passes its requests on, and no DD_API_KEY to do without: it goes on trying"
        ));
    }
}

fn delivery(running: &Running, subdomain: Subdomain, path: &str, body: Vec<u8>) -> Call {
    Call {
        method: Method::POST,
        subdomain,
        path: path.to_owned(),
        content_type: "application/json".to_owned(),
        body: Bytes::from(body),
        timeout: running.settings.writer_timeout,
        needs_app_key: false,
        is_direct: running.intake_mode() == Mode::Agentless,
        headers: HeaderMap::new(),
    }
}

/// Puts events into lists that are no longer than `limit`, with how many are in each. An event that is longer alone goes alone.
fn batches(events: Vec<Vec<u8>>, limit: usize) -> Vec<(Vec<u8>, usize)> {
    let mut all = Vec::new();
    let mut body = Vec::new();
    let mut count = 0;
    for event in events {
        if count > 0 && body.len() + event.len() + 2 > limit {
            body.push(b']');
            all.push((std::mem::take(&mut body), std::mem::take(&mut count)));
        }
        body.push(if count == 0 { b'[' } else { b',' });
        body.extend_from_slice(&event);
        count += 1;
    }
    if count > 0 {
        body.push(b']');
        all.push((body, count));
    }
    all
}

/// Sends a request, and again if that may help.
async fn deliver(running: &Running, url: &AgentUrl, call: Call, metric: &str, count: usize) {
    let count = count as u64;
    for tried in 0.. {
        let (reason, text, is_passing) = match transport::send(&running.settings, url, &call).await
        {
            Ok(answer) if answer.status.as_u16() < 300 => return,
            Ok(answer) => {
                let status = answer.status.as_u16();
                let is_passing = matches!(status, 408 | 429 | 500..);
                ("http_error", format!("the answer was {status}"), is_passing)
            }
            Err(CallError::Network(text)) => ("connection_error", text, true),
            Err(error) => ("connection_error", error.to_string(), false),
        };
        match WAITS.get(tried).filter(|_| is_passing) {
            Some(longest) => tokio::time::sleep(longest.mul_f64(fraction())).await,
            None => {
                telemetry::dropped(metric, reason, count);
                return diagnostics::error(format_args!(
                    "{count} events of LLM Observability were dropped: {text}"
                ));
            }
        }
    }
}

/// A number between 0 and 1 that nobody can foresee; it need not be a good one.
fn fraction() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    f64::from(since.map_or(0, |since| since.subsec_nanos()) % 1000) / 1000.0
}

/// The body of a request in the envelope of JSON:API.
pub(crate) fn envelope(kind: &str, attributes: Value) -> Value {
    json!({ "data": { "type": kind, "attributes": attributes } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_long_as_they_may_be() {
        let event = |size: usize| vec![b'1'; size];
        let sizes = |events: Vec<Vec<u8>>| {
            let all = batches(events, 10);
            all.into_iter()
                .map(|(body, count)| (String::from_utf8(body).unwrap(), count))
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(vec![]), []);
        assert_eq!(
            sizes(vec![event(3), event(3), event(4), event(20), event(1)]),
            [
                ("[111,111]".to_owned(), 2),
                ("[1111]".to_owned(), 1),
                (format!("[{}]", "1".repeat(20)), 1),
                ("[1]".to_owned(), 1),
            ]
        );
    }
}
