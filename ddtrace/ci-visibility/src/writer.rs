//! Collects written items and delivers them in the background (`spec/ci-visibility.md` §4, §5).
//!
//! Putting an item in never waits: it goes into a bounded buffer, and beyond the bound it is
//! dropped and counted. A task takes the buffer when enough has come, from time to time, and at the
//! end. After three deliveries in a row that failed (each with its tries) what comes is dropped,
//! and only every third time it is tried whether the backend is back.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ddtrace_core::diagnostics;
use ddtrace_core::export::agent::Deadline;
use tokio::sync::Notify;

use crate::payload::Shape;
use crate::payload_files;
use crate::telemetry::{Metrics, Tag};
use crate::transport::{Call, Subdomain, Transport};

/// Failed deliveries in a row after which items are dropped.
const MAX_FAILURES: u32 = 3;

/// The most bytes that wait.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Where items go.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// The backend.
    Backend(Arc<Transport>),
    /// Files in this folder.
    Files(PathBuf),
}

/// What kind of items a writer has.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) shape: Shape,
    pub(crate) subdomain: Subdomain,
    pub(crate) path: &'static str,
    /// The value of the telemetry tag `endpoint`, and the word in names of files.
    pub(crate) endpoint: Option<&'static str>,
    pub(crate) file_kind: &'static str,
    pub(crate) max_waiting: usize,
    pub(crate) interval: Duration,
}

impl Stream {
    pub(crate) fn tests(shape: Shape) -> Stream {
        Stream {
            shape,
            subdomain: Subdomain::TestCycle,
            path: "/api/v2/citestcycle",
            endpoint: Some("test_cycle"),
            file_kind: "tests",
            max_waiting: 200_000,
            interval: Duration::from_secs(60),
        }
    }

    pub(crate) fn coverage() -> Stream {
        Stream {
            shape: Shape::Coverage,
            subdomain: Subdomain::TestCoverage,
            path: "/api/v2/citestcov",
            endpoint: Some("code_coverage"),
            file_kind: "coverage",
            ..Stream::tests(Shape::Coverage)
        }
    }

    pub(crate) fn logs() -> Stream {
        Stream {
            shape: Shape::Logs,
            subdomain: Subdomain::Logs,
            path: "/api/v2/logs",
            endpoint: None,
            file_kind: "logs",
            max_waiting: 10_000,
            interval: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    items: Vec<Vec<u8>>,
    bytes: usize,
}

#[derive(Debug)]
struct Inner {
    stream: Stream,
    destination: Destination,
    metrics: Arc<Metrics>,
    waiting: Mutex<Waiting>,
    threshold: AtomicUsize,
    wake: Notify,
    sent: AtomicU64,
    dropped: AtomicU64,
    is_ending: std::sync::atomic::AtomicBool,
}

/// A buffer with a task that empties it.
#[derive(Debug)]
pub(crate) struct Writer {
    inner: Arc<Inner>,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Writer {
    /// Starts a writer on the runtime at hand. `deadline` ends everything.
    pub(crate) fn start(
        stream: Stream,
        destination: Destination,
        metrics: Arc<Metrics>,
        deadline: Deadline,
    ) -> Writer {
        let inner = Arc::new(Inner {
            stream,
            destination,
            metrics,
            waiting: Mutex::default(),
            threshold: AtomicUsize::new(100),
            wake: Notify::new(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            is_ending: false.into(),
        });
        let task = tokio::spawn(Arc::clone(&inner).work(deadline));
        Writer {
            inner,
            task: Mutex::new(Some(task)),
        }
    }

    /// Whether items are to be written as JSON.
    pub(crate) fn wants_json(&self) -> bool {
        matches!(self.inner.destination, Destination::Files(_))
    }

    /// How many items make a delivery.
    pub(crate) fn set_threshold(&self, items: usize) {
        self.inner.threshold.store(items.max(1), Ordering::Relaxed);
    }

    /// Takes an item, or drops it.
    pub(crate) fn put(&self, item: Vec<u8>) {
        let inner = &self.inner;
        let mut waiting = inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = waiting.items.len() >= inner.stream.max_waiting
            || waiting.bytes + item.len() > MAX_WAITING_BYTES;
        if is_full {
            drop(waiting);
            inner.count_dropped(1, "waiting for the backend");
            return;
        }
        waiting.bytes += item.len();
        waiting.items.push(item);
        let is_enough = waiting.items.len() >= inner.threshold.load(Ordering::Relaxed);
        drop(waiting);
        if is_enough {
            inner.wake.notify_one();
        }
    }

    /// Delivers what is left. What is not delivered when the deadline comes counts as dropped.
    pub(crate) async fn finish(&self) {
        self.inner.is_ending.store(true, Ordering::Release);
        self.inner.wake.notify_one();
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            // A task that panicked has nothing more to deliver.
            let _ = task.await;
        }
        let left = self.inner.take().len();
        self.inner.count_dropped(left as u64, "the end of the run");
    }

    /// How many items were delivered, and how many dropped.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.inner.sent), load(&self.inner.dropped))
    }
}

impl Inner {
    async fn work(self: Arc<Self>, mut deadline: Deadline) {
        let mut failures = 0;
        loop {
            let wait = tokio::time::timeout(self.stream.interval, self.wake.notified());
            if deadline.limit(wait).await.is_none() {
                return;
            }
            let is_ending = self.is_ending.load(Ordering::Acquire);
            let items = self.take();
            if !items.is_empty() {
                self.flush(items, &mut failures, is_ending, &mut deadline)
                    .await;
            } else if is_ending {
                return;
            }
            if is_ending {
                // What came while that was delivered goes along.
                self.wake.notify_one();
            }
        }
    }

    fn take(&self) -> Vec<Vec<u8>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting).items
    }

    async fn flush(
        &self,
        items: Vec<Vec<u8>>,
        failures: &mut u32,
        is_ending: bool,
        deadline: &mut Deadline,
    ) {
        let count = items.len() as u64;
        if *failures >= MAX_FAILURES {
            *failures += 1;
            // The last delivery is worth a try, too.
            if *failures % MAX_FAILURES != 0 && !is_ending {
                self.count_dropped(count, "a backend that does not answer");
                return;
            }
        }
        let delivered = self.deliver(items, deadline).await;
        self.sent.fetch_add(delivered, Ordering::Relaxed);
        if delivered == count {
            *failures = 0;
        } else {
            *failures += u32::from(*failures < MAX_FAILURES);
            self.count_dropped(count - delivered, "a backend that does not answer");
        }
    }

    /// How many items were delivered; after a failure the rest is not tried.
    async fn deliver(&self, items: Vec<Vec<u8>>, deadline: &mut Deadline) -> u64 {
        match &self.destination {
            Destination::Files(folder) => {
                let files = self.stream.shape.files(&items);
                let written = files
                    .iter()
                    .all(|file| payload_files::write(folder, self.stream.file_kind, file).is_ok());
                if written { items.len() as u64 } else { 0 }
            }
            Destination::Backend(transport) => self.send(transport, &items, deadline).await,
        }
    }

    async fn send(&self, transport: &Transport, items: &[Vec<u8>], deadline: &mut Deadline) -> u64 {
        let begin = Instant::now();
        let bodies = self.stream.shape.bodies(items);
        self.distribution(
            "endpoint_payload.events_serialization_ms",
            millis(begin.elapsed()),
        );
        let mut delivered = 0;
        for (form, count) in bodies {
            self.distribution("endpoint_payload.bytes", form.body.len() as f64);
            self.distribution("endpoint_payload.events_count", count as f64);
            self.count("endpoint_payload.requests", &[]);
            let (subdomain, path) = (self.stream.subdomain, self.stream.path);
            let call = Call::delivery(subdomain, path, &form.content_type, form.body, true);
            match transport.post(&call, deadline).await {
                Ok(answer) => {
                    self.distribution("endpoint_payload.requests_ms", millis(answer.took));
                    delivered += count as u64;
                }
                Err(error) => {
                    let kind = Tag("error_type", error.error_type().into());
                    self.count("endpoint_payload.requests_errors", &[kind]);
                    diagnostics::warn(format_args!(
                        "test events could not be delivered ({}): {error}",
                        subdomain.as_str()
                    ));
                    return delivered;
                }
            }
        }
        delivered
    }

    fn count_dropped(&self, items: u64, at: &str) {
        if items > 0 {
            self.dropped.fetch_add(items, Ordering::Relaxed);
            self.count("endpoint_payload.dropped", &[]);
            diagnostics::warn(format_args!(
                "{items} items for {} were dropped, {at}",
                self.stream.subdomain.as_str()
            ));
        }
    }

    fn count(&self, name: &'static str, more: &[Tag]) {
        if let Some(endpoint) = self.stream.endpoint {
            let mut tags = vec![Tag("endpoint", endpoint.into())];
            tags.extend_from_slice(more);
            self.metrics.count(name, &tags, 1);
        }
    }

    fn distribution(&self, name: &'static str, value: f64) {
        if let Some(endpoint) = self.stream.endpoint {
            let tags = [Tag("endpoint", endpoint.into())];
            self.metrics.distribution(name, &tags, value);
        }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// How many events make a delivery in a session of this many tests.
pub(crate) fn threshold_for(tests: usize) -> usize {
    (tests / 10).clamp(100, 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{Mock, Reply, TESTS, run};
    use ddtrace_core::config::AgentUrl;
    use ddtrace_core::export::agent::deadline;

    fn writer(mock: &Mock, limit: Deadline) -> (Writer, Arc<Metrics>) {
        let route = crate::transport::Route::Agent {
            url: AgentUrl::http("127.0.0.1", mock.port),
            proxy: crate::transport::Proxy::V4,
        };
        let transport = Arc::new(Transport::new(route, Duration::from_secs(30)));
        let stream = Stream::tests(Shape::Tests(Arc::default()));
        let metrics = Arc::new(Metrics::default());
        let to = Destination::Backend(transport);
        let writer = Writer::start(stream, to, Arc::clone(&metrics), limit);
        (writer, metrics)
    }

    fn item() -> Vec<u8> {
        // An empty map.
        vec![0x80]
    }

    async fn until(mock: &Mock, requests: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while mock.requests(TESTS).len() < requests {
            assert!(Instant::now() < deadline, "no request came");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    #[test]
    fn enough_items_are_delivered_at_once_and_the_rest_at_the_end() {
        run(async {
            let mock = Mock::start().await;
            let (writer, metrics) = writer(&mock, Deadline::never());
            writer.set_threshold(3);
            (0..3).for_each(|_| writer.put(item()));
            until(&mock, 1).await;
            writer.put(item());
            writer.finish().await;
            let sizes: Vec<usize> = mock
                .requests(TESTS)
                .iter()
                .map(|request| {
                    request.msgpack()["events"]
                        .as_array()
                        .expect("events")
                        .len()
                })
                .collect();
            assert_eq!(sizes.iter().sum::<usize>(), 4);
            assert_eq!(writer.counts(), (4, 0));
            let taken = metrics.take();
            assert_eq!(taken.total("endpoint_payload.requests"), sizes.len() as u64);
            assert_eq!(taken.total("endpoint_payload.dropped"), 0);
        });
    }

    #[test]
    fn a_backend_that_is_down_is_left_alone_and_probed() {
        run(async {
            let mock = Mock::start().await;
            mock.on(TESTS, [Reply::status(400)]);
            let (writer, _) = writer(&mock, Deadline::never());
            writer.set_threshold(1);
            // Three that fail, two that are dropped unseen, one that probes.
            for round in 1..=6_u64 {
                writer.put(item());
                let deadline = Instant::now() + Duration::from_secs(60);
                while writer.counts().1 < round {
                    assert!(Instant::now() < deadline, "nothing was dropped");
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            assert_eq!(mock.requests(TESTS).len(), 4);
            // The backend comes back: the last delivery finds out.
            mock.on(TESTS, [Reply::status(202)]);
            writer.put(item());
            writer.finish().await;
            assert_eq!(writer.counts().0 + writer.counts().1, 7);
        });
    }

    #[test]
    fn a_silent_backend_costs_no_more_than_the_deadline() {
        run(async {
            let mock = Mock::start().await;
            mock.on(TESTS, [Reply::Hang]);
            let (setter, limit) = deadline();
            let (writer, _) = writer(&mock, limit);
            writer.put(item());
            setter.set((Instant::now() + Duration::from_millis(200)).into());
            writer.finish().await;
            assert_eq!(writer.counts(), (0, 1));
        });
    }

    #[test]
    fn what_cannot_wait_is_dropped_and_counted() {
        run(async {
            let mock = Mock::start().await;
            mock.on(TESTS, [Reply::Hang]);
            let (writer, _) = writer(&mock, Deadline::never());
            writer.set_threshold(usize::MAX);
            for _ in 0..5 {
                writer.put(vec![0xc0; MAX_WAITING_BYTES / 4]);
            }
            assert_eq!(writer.counts(), (0, 1));
        });
    }

    #[test]
    fn the_threshold_grows_with_the_tests() {
        let found = [0, 999, 5000, 1_000_000].map(threshold_for);
        assert_eq!(found, [100, 100, 500, 1000]);
    }
}
