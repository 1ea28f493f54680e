//! The task that adds observations up and sends them.
//!
//! User threads only put observations into a bounded queue; they do not even wake the worker, which looks after it ten times a
//! second while something comes, and twice a second otherwise. Every ten seconds, on a flush and at the end everything is
//! sent, the bucket under way included.

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ddtrace_core::config::Config;
use ddtrace_core::diagnostics;
use ddtrace_core::export::agent::{SendError, TRACER_VERSION};
use ddtrace_core::instrument::{Product, inventory};
use ddtrace_core::process_tags::ProcessTags;
use ddtrace_core::remote_config::{self, Capabilities};
use ddtrace_core::telemetry;
use ddtrace_core::trace::current_config;
use ddtrace_core::worker::task::{self, Task, TaskContext, TaskFuture, Turn};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::bucket::Buckets;
use crate::extractors;
use crate::hash::Node;
use crate::listen;
use crate::payload::{self, Sender};
use crate::switch::{self, Waiting};

inventory::submit! { Product::new("data streams", start) }

const TASK: Task = Task::new("data streams", run);

/// How often the queue is looked after while something comes, and otherwise.
const BUSY: Duration = Duration::from_millis(100);
const QUIET: Duration = Duration::from_millis(500);
/// The same while the product is off.
const OFF: Duration = Duration::from_secs(5);

/// What the settings of this process say, for when remote configuration has nothing to say any more.
static IS_CONFIGURED: AtomicBool = AtomicBool::new(false);
static EXTRACTORS: Mutex<Option<String>> = Mutex::new(None);

/// On the thread that calls `init()`: what passes a checkpoint right after it is observed.
fn start() {
    if let Some(config) = current_config() {
        switch::make_ready(node(&config, ""));
        IS_CONFIGURED.store(config.data_streams_enabled, Ordering::Relaxed);
        switch::count_requests(config.data_streams_http);
        let own = config.data_streams_transaction_extractors.clone();
        extractors::set(own.as_deref());
        if let Ok(mut configured) = EXTRACTORS.lock() {
            *configured = own;
        }
        set_on(config.data_streams_enabled);
    }
    listen::subscribe();
    task::add(TASK);
    remote_config::on_switch("data_streams_enabled", Capabilities::of(&[20]), |value| {
        set_on(value.unwrap_or_else(|| IS_CONFIGURED.load(Ordering::Relaxed)));
    });
    let extractors = "data_streams_transaction_extractors";
    remote_config::on_list(extractors, Capabilities::of(&[47]), |json| match json {
        Some(json) => extractors::set(Some(json)),
        None => {
            let configured = EXTRACTORS.lock();
            extractors::set(configured.ok().and_then(|own| own.clone()).as_deref());
        }
    });
}

fn set_on(on: bool) {
    if switch::is_on() != on {
        switch::set_on(on);
        telemetry::product_changed("data_streams", on);
    }
}

/// What all nodes of this process have in common, as far as it is known.
fn node(config: &Config, container_tags_hash: &str) -> Node {
    let tags = ProcessTags::of(config);
    let tags = Some(tags.as_str()).filter(|tags| !tags.is_empty());
    Node::new(
        &config.service,
        config.env.as_deref(),
        tags,
        container_tags_hash,
    )
}

fn run(context: TaskContext) -> Option<TaskFuture> {
    if !context.has_agent() {
        switch::set_on(false);
        return None;
    }
    let config = context.config();
    // The child of a fork has a queue of its own.
    let waiting = switch::take_waiting();
    let interval = config.data_streams_interval;
    let width = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX);
    let collector = Collector {
        waiting,
        buckets: Buckets::new(width),
        container_tags_hash: String::new(),
        has_warned: false,
    };
    Some(Box::pin(collector.run(context, interval)))
}

struct Collector {
    /// Nothing until the product is on for the first time.
    waiting: Option<Waiting>,
    buckets: Buckets,
    container_tags_hash: String,
    /// About checkpoints that have no number.
    has_warned: bool,
}

impl Collector {
    async fn run(mut self, mut context: TaskContext, interval: Duration) {
        let mut send_at = context.now() + interval;
        loop {
            let pause = match self.collect() {
                true => BUSY,
                false if switch::is_on() => QUIET,
                false => OFF,
            };
            self.learn(&context);
            let now = context.now();
            if now >= send_at || self.buckets.is_heavy() {
                self.send(&context).await;
                send_at = now + interval;
            }
            match context.turn((now + pause).min(send_at)).await {
                Turn::Due => {}
                Turn::Flush(_done) => {
                    self.collect();
                    self.send(&context).await;
                }
                Turn::Stop => {
                    switch::set_on(false);
                    self.collect();
                    return self.send(&context).await;
                }
                _ => {}
            }
        }
    }

    /// Takes what waits. True if there was anything.
    fn collect(&mut self) -> bool {
        let mut any = false;
        loop {
            let waiting = || self.waiting.as_ref()?.next();
            for observation in std::iter::from_fn(waiting) {
                self.buckets.add(observation);
                any = true;
            }
            // Made when the product was switched on.
            match switch::take_waiting() {
                Some(waiting) => self.waiting = Some(waiting),
                None => break,
            }
        }
        if self.buckets.names.are_too_many && !self.has_warned {
            self.has_warned = true;
            diagnostics::warn(format_args!(
                "transactions pass more than 254 different checkpoints: those beyond the first 254 are not reported"
            ));
        }
        any
    }

    /// Takes over what the agent says about the container: it is part of every hash.
    fn learn(&mut self, context: &TaskContext) {
        let Some(info) = context.info() else {
            return;
        };
        let hash = info.container_tags_hash.as_deref().unwrap_or_default();
        if hash != self.container_tags_hash {
            self.container_tags_hash = hash.to_owned();
            switch::set_node(node(&context.config(), hash));
        }
    }

    async fn send(&mut self, context: &TaskContext) {
        let unqueued = self.waiting.as_ref().map_or(0, Waiting::take_dropped);
        let dropped = std::mem::take(&mut self.buckets.dropped) + unqueued;
        if dropped > 0 {
            telemetry::count(
                telemetry::Namespace::Tracers,
                "dropped_points",
                &[],
                dropped,
            );
            diagnostics::warn(format_args!(
                "{dropped} checkpoints, offsets or transactions were dropped: more than the buffers of data streams hold"
            ));
        }
        let buckets = self.buckets.take();
        if buckets.is_empty() {
            return;
        }
        let config = context.config();
        let process_tags = ProcessTags::of(&config);
        let sender = Sender {
            service: &config.service,
            tracer_version: TRACER_VERSION,
            language: "rust",
            hostname: config.hostname.as_deref().unwrap_or_default(),
            env: config.env.as_deref(),
            version: config.version.as_deref(),
            process_tags: process_tags.iter().collect(),
            products: Some(u64::from(config.apm_tracing_enabled) | 2),
        };
        let names = self.buckets.names.blob();
        let payload = payload::encode(&sender, &buckets, self.buckets.width, names);
        if let Some(body) = compressed(payload::compress(&payload)) {
            deliver(context, body).await;
        }
    }
}

/// What can be sent. What cannot be is dropped and counted.
fn compressed(body: std::io::Result<Vec<u8>>) -> Option<Vec<u8>> {
    match body {
        Ok(body) => Some(body),
        Err(error) => {
            telemetry::count(telemetry::Namespace::Tracers, "dropped_payloads", &[], 1);
            diagnostics::error(format_args!(
                "data streams were dropped: the payload could not be made: {error}"
            ));
            None
        }
    }
}

/// The longest waits before the second and the third try.
const WAITS: [Duration; 2] = [Duration::from_millis(730), Duration::from_millis(1180)];

/// A wait of random length, so that the processes of a host do not come back to a restarted agent in the same moment.
fn at_random(longest: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8);
    longest.mul_f64(random as f64 / u64::MAX as f64)
}

/// Sends a payload; again, twice, if it cannot have arrived.
async fn deliver(context: &TaskContext, body: Vec<u8>) {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/msgpack"),
    );
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let body = bytes::Bytes::from(body);
    let mut waits = WAITS.into_iter();
    loop {
        let sent = context
            .agent()
            .post(payload::PATH, headers.clone(), body.clone());
        match sent.await {
            Ok(response) if response.status.is_success() => return,
            Ok(response) if response.status == http::StatusCode::NOT_FOUND => {
                return diagnostics::error(format_args!(
                    "data streams were dropped: the agent does not take them; this needs Agent 7.34 or later"
                ));
            }
            Ok(response) => {
                return diagnostics::error(format_args!(
                    "data streams were dropped: the agent answered {}",
                    response.status
                ));
            }
            Err(error) => {
                let wait = waits
                    .next()
                    .filter(|_| matches!(error, SendError::Connect { .. }));
                let Some(longest) = wait else {
                    return diagnostics::warn(format_args!("data streams were dropped: {error}"));
                };
                tokio::time::sleep(at_random(longest)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_random_within_their_limits() {
        for longest in WAITS {
            let waits: Vec<_> = (0..100).map(|_| at_random(longest)).collect();
            assert!(waits.iter().all(|wait| *wait <= longest));
            let half = longest / 2;
            assert!(waits.iter().any(|wait| *wait < half));
            assert!(waits.iter().any(|wait| *wait > half));
        }
    }

    #[test]
    fn a_payload_that_cannot_be_made_is_dropped() {
        let error = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        assert_eq!(compressed(Err(error)), None);
        assert_eq!(compressed(Ok(vec![1])), Some(vec![1]));
    }
}
