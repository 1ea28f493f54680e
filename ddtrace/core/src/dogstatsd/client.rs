//! The client: from a call to a line in the buffer.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use super::buffer::{Added, Buffer};
use super::event::{Event, ServiceCheck};
use super::line;
use super::metric::{self, Metric};
use super::origin::Origin;
use crate::config::{Config, DogstatsdAddress};
use crate::export::agent::ContainerIdentity;
use crate::trace::tracer;

/// Sends metrics to DogStatsD; cheap to clone, usable from every thread.
///
/// [`dogstatsd::client()`](super::client()) gives the one that `init()` started.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) buffer: Buffer,
    pub(super) address: DogstatsdAddress,
    origin: Origin,
    /// Which fork of the process it belongs to.
    forks: u32,
    pub(super) counters: Counters,
    /// Something waits to be sent, within the flush interval or at once.
    pub(super) waits: Notify,
    pub(super) hurry: Notify,
}

/// What became of metrics, in numbers that only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Metrics, events and checks that were handed in, those that sampling left out not counted.
    pub metrics: u64,
    /// Those that were lost on the way: no room, too long, or no finite number.
    pub dropped_metrics: u64,
    /// Datagrams that were sent.
    pub sent_datagrams: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams that could not be sent: nobody listens, or not fast enough.
    pub dropped_datagrams: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    metrics: AtomicU64,
    dropped_metrics: AtomicU64,
    sent_datagrams: AtomicU64,
    sent_bytes: AtomicU64,
    dropped_datagrams: AtomicU64,
    dropped_bytes: AtomicU64,
}

impl Counters {
    pub(super) fn sent(&self, bytes: usize) {
        self.sent_datagrams.fetch_add(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, bytes: usize) {
        self.dropped_datagrams.fetch_add(1, Ordering::Relaxed);
        self.dropped_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client")
            .field("address", &self.inner.address)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// The last line's memory, for the next one.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

impl Client {
    /// A client for the address and identity that the configuration says. Lines wait until the worker comes for them.
    pub(crate) fn new(config: &Config) -> Self {
        let entity = ContainerIdentity::detect().entity_id;
        Self {
            inner: Arc::new(Inner {
                buffer: Buffer::new(),
                address: config.dogstatsd.clone(),
                origin: Origin::new(config, entity.as_deref()),
                forks: tracer::forks(),
                counters: Counters::default(),
                waits: Notify::new(),
                hurry: Notify::new(),
            }),
        }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(super) fn forks(&self) -> u32 {
        self.inner.forks
    }

    /// The lines that wait, taken out.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.inner.buffer.drain(&mut Vec::new(), |lines| {
            let lines = std::str::from_utf8(lines).expect("lines are text");
            all.extend(lines.lines().map(str::to_owned));
        });
        all
    }

    /// What became of metrics so far.
    pub fn counts(&self) -> Counts {
        let counters = &self.inner.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            metrics: read(&counters.metrics),
            dropped_metrics: read(&counters.dropped_metrics),
            sent_datagrams: read(&counters.sent_datagrams),
            sent_bytes: read(&counters.sent_bytes),
            dropped_datagrams: read(&counters.dropped_datagrams),
            dropped_bytes: read(&counters.dropped_bytes),
        }
    }

    /// Sends a metric. One without a finite value is dropped and counted.
    pub fn send(&self, metric: Metric<'_>) {
        if metric.rate < 1.0 && !is_drawn(metric.rate) {
            return;
        }
        if !metric.value.is_finite() {
            self.count(Added::Dropped);
            return;
        }
        self.add(metric.name, |out, origin| {
            line::metric(out, &metric, origin)
        });
    }

    /// Adds an element to a set.
    pub fn set(&self, name: &str, element: impl fmt::Display, tags: &[&str]) {
        match metric::bounded(&element) {
            Some(element) => self.add(name, |out, origin| {
                line::set(out, name, &element, tags, origin);
            }),
            None => self.count(Added::Dropped),
        }
    }

    /// Reports the state of a service.
    pub fn service_check(&self, check: ServiceCheck<'_>) {
        self.add("_sc", |out, origin| check.write(out, origin));
    }

    /// Posts an event.
    pub fn event(&self, event: Event<'_>) {
        self.add("_e", |out, origin| event.write(out, origin));
    }

    fn add(&self, name: &str, write: impl FnOnce(&mut String, &Origin)) {
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        write(&mut line, &self.inner.origin);
        let added = if line.len() > line::LIMIT {
            Added::Dropped
        } else {
            self.inner.buffer.add(name, &line)
        };
        if line.capacity() <= 2 * line::LIMIT {
            let _ = LINE.try_with(|kept| kept.set(line));
        }
        self.count(added);
    }

    fn count(&self, added: Added) {
        let counters = &self.inner.counters;
        counters.metrics.fetch_add(1, Ordering::Relaxed);
        match added {
            Added::Waits => {}
            Added::First => self.inner.waits.notify_one(),
            Added::Hurry => self.inner.hurry.notify_one(),
            Added::Dropped => {
                counters.dropped_metrics.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Draws with a probability; by a Weyl sequence per thread through a mixer.
fn is_drawn(rate: f64) -> bool {
    use std::hash::{BuildHasher, RandomState};
    let drawn = RANDOM.try_with(|random| {
        let state = match random.get() {
            0 => RandomState::new().hash_one(std::process::id()),
            state => state.wrapping_add(0x9e37_79b9_7f4a_7c15),
        };
        random.set(state);
        let mixed = (state ^ (state >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    });
    drawn.is_ok_and(|drawn| drawn < rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;

    fn client() -> Client {
        let environment = MapEnvironment::new().variable("DD_ORIGIN_DETECTION_ENABLED", "false");
        Client::new(&Config::builder().environment(&environment).build())
    }

    #[test]
    fn sampling_sends_its_share() {
        let client = client();
        for rate in [0.0, 0.25, 1.0, f64::NAN] {
            let before = client.counts().metrics;
            for _ in 0..2_000 {
                client.send(Metric::count("a", 1).sample_rate(rate));
            }
            let sent = client.counts().metrics - before;
            let expected = match rate {
                0.0 => 0..=0,
                // Six standard deviations to each side.
                0.25 => 384..=616,
                _ => 2_000..=2_000,
            };
            assert!(expected.contains(&sent), "{rate}: {sent}");
        }
    }

    #[test]
    fn what_can_not_be_sent_is_counted() {
        struct Panics;
        impl fmt::Display for Panics {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("by design")
            }
        }
        let client = client();
        let long = "x".repeat(line::LIMIT + 1);
        client.send(Metric::gauge("nan", f64::NAN));
        client.send(Metric::gauge("infinite", f64::INFINITY));
        client.send(Metric::gauge(&long, 1));
        client.set("long", &long, &[]);
        client.set("panics", Panics, &[]);
        client.send(Metric::gauge("fine", 1));
        let counts = client.counts();
        assert_eq!((counts.metrics, counts.dropped_metrics), (6, 5));
        assert_eq!(client.lines(), ["fine:1|g"]);
    }

    #[test]
    fn all_threads_get_their_lines_in() {
        let client = client();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let client = &client;
                scope.spawn(move || {
                    let name = format!("thread.{thread}");
                    for _ in 0..500 {
                        client.send(Metric::count(&name, 1));
                        client.send(Metric::count("shared", 1));
                    }
                });
            }
        });
        let counts = client.counts();
        assert_eq!(counts.metrics, 4_000);
        assert_eq!(
            client.lines().len() as u64,
            counts.metrics - counts.dropped_metrics
        );
    }
}
