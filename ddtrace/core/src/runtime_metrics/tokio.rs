//! Tokio's stable metrics, of the runtimes that are watched.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;

use super::Values;

/// The most runtimes that are watched; the oldest gives way. A program that makes one per test does not collect them.
const LIMIT: usize = 16;

/// The longest name, in bytes.
const MAX_NAME: usize = 100;

/// Replaced as a whole: nobody waits, not even in the child of a fork that happened meanwhile.
static WATCHED: ArcSwapOption<Vec<Arc<Watched>>> = ArcSwapOption::const_empty();

struct Watched {
    name: String,
    handle: Handle,
}

/// Adds a tokio runtime to the runtime metrics, under a name that becomes the tag `tokio_runtime`.
///
/// The runtime in which `init()` is called is watched as `main` already. At most 16 are; one of the same name is replaced.
///
/// ```
/// let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// ddtrace_core::runtime_metrics::watch_tokio("background", runtime.handle());
/// ```
pub fn watch_tokio(name: &str, handle: &Handle) {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let watched = Arc::new(Watched {
        name: name[..end].to_owned(),
        handle: handle.clone(),
    });
    WATCHED.rcu(|all| {
        let mut all = all.as_deref().cloned().unwrap_or_default();
        let same = all.iter().position(|other| other.name == watched.name);
        let oldest = (all.len() >= LIMIT).then_some(0);
        if let Some(at) = same.or(oldest) {
            all.remove(at);
        }
        all.push(Arc::clone(&watched));
        Some(Arc::new(all))
    });
}

/// Watches the runtime that the calling thread is in, if it is in one.
pub(crate) fn watch_current() {
    if let Ok(handle) = Handle::try_current() {
        watch_tokio("main", &handle);
    }
}

/// What all workers of a runtime did, for differences.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    busy: Duration,
    parks: u64,
}

#[derive(Default)]
pub(super) struct Sampler {
    last: Vec<(Arc<Watched>, Instant, Totals)>,
}

impl Sampler {
    pub(super) fn read(&mut self, values: &mut Values) {
        let watched = WATCHED.load_full();
        let watched = watched.as_deref().map(Vec::as_slice).unwrap_or_default();
        let mut last = Vec::with_capacity(watched.len());
        for watched in watched.iter().map(Arc::clone) {
            let tag = format!("tokio_runtime:{}", watched.name);
            let metrics = watched.handle.metrics();
            let workers = metrics.num_workers();
            values.push_tagged("tokio.workers", workers, &tag);
            values.push_tagged("tokio.alive_tasks", metrics.num_alive_tasks(), &tag);
            values.push_tagged(
                "tokio.global_queue_depth",
                metrics.global_queue_depth(),
                &tag,
            );
            let now = Instant::now();
            let totals = totals(&metrics);
            let before = self
                .last
                .iter()
                .find(|(other, ..)| Arc::ptr_eq(other, &watched));
            if let (Some((_, at, before)), Some(totals)) = (before, totals) {
                let time = now.duration_since(*at).as_secs_f64() * workers as f64;
                if time > 0.0 {
                    let busy = totals.busy.saturating_sub(before.busy).as_secs_f64();
                    values.push_tagged("tokio.worker.busy_ratio", (busy / time).min(1.0), &tag);
                }
                let parks = totals.parks.saturating_sub(before.parks);
                values.push_tagged("tokio.worker.park_count", parks, &tag);
            }
            last.push((watched, now, totals.unwrap_or_default()));
        }
        self.last = last;
    }
}

/// What tokio counts where the processor has atomics of 64 bits.
#[cfg(target_has_atomic = "64")]
fn totals(metrics: &tokio::runtime::RuntimeMetrics) -> Option<Totals> {
    let mut totals = Totals::default();
    for worker in 0..metrics.num_workers() {
        totals.busy += metrics.worker_total_busy_duration(worker);
        totals.parks += metrics.worker_park_count(worker);
    }
    Some(totals)
}

#[cfg(not(target_has_atomic = "64"))]
fn totals(_: &tokio::runtime::RuntimeMetrics) -> Option<Totals> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_is_watched_shows_its_workers_and_tasks() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        watch_tokio("tokio-test", runtime.handle());
        let mut sampler = Sampler::default();
        let read = |sampler: &mut Sampler| {
            let mut values = Values(Vec::new());
            sampler.read(&mut values);
            let mut own: Vec<_> = values
                .0
                .into_iter()
                .filter(|(_, _, tag)| tag.as_deref() == Some("tokio_runtime:tokio-test"))
                .map(|(name, value, _)| (name, value))
                .collect();
            own.sort_by(|one, other| one.0.cmp(&other.0));
            own
        };
        runtime.spawn(std::future::pending::<()>());
        let first = read(&mut sampler);
        assert_eq!(
            first,
            [
                ("tokio.alive_tasks".to_owned(), 1.0),
                ("tokio.global_queue_depth".to_owned(), 1.0),
                ("tokio.workers".to_owned(), 1.0),
            ]
        );
        runtime.block_on(async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let second = read(&mut sampler);
        let value = |name: &str| {
            let found = second.iter().find(|(other, _)| other == name);
            found.unwrap_or_else(|| panic!("no {name} in {second:?}")).1
        };
        assert!(value("tokio.worker.park_count") >= 3.0);
        assert!((0.0..=1.0).contains(&value("tokio.worker.busy_ratio")));
        assert_eq!(value("tokio.global_queue_depth"), 0.0);
    }
}
