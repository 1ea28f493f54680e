//! Memory as the program's allocator sees it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::Values;

/// What an allocator says about itself, in bytes; what it does not know is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocatorStats {
    /// Held by the program.
    pub allocated: Option<u64>,
    /// In pages that hold something.
    pub active: Option<u64>,
    /// In memory.
    pub resident: Option<u64>,
}

type Read = Box<dyn Fn() -> Option<AllocatorStats> + Send + Sync>;

static WATCHED: ArcSwapOption<Read> = ArcSwapOption::const_empty();

/// Adds the allocator to the runtime metrics, by a function that asks it. It is called every ten seconds on the worker's
/// thread; one that panics is not called again.
///
/// With jemalloc, by the crate `tikv-jemalloc-ctl`:
///
/// ```ignore
/// use ddtrace::runtime_metrics::{AllocatorStats, watch_allocator};
/// use tikv_jemalloc_ctl::{epoch, stats};
///
/// watch_allocator(|| {
///     epoch::advance().ok()?;
///     Some(AllocatorStats {
///         allocated: stats::allocated::read().ok().map(|bytes| bytes as u64),
///         active: stats::active::read().ok().map(|bytes| bytes as u64),
///         resident: stats::resident::read().ok().map(|bytes| bytes as u64),
///     })
/// });
/// ```
pub fn watch_allocator(read: impl Fn() -> Option<AllocatorStats> + Send + Sync + 'static) {
    WATCHED.store(Some(Arc::new(Box::new(read))));
}

pub(super) fn read(values: &mut Values) {
    let Some(watched) = WATCHED.load_full() else {
        return;
    };
    let Some(stats) = crate::text::guarded(|| watched()) else {
        crate::diagnostics::error(format_args!(
            "the function that reads the allocator panicked and is not called again"
        ));
        WATCHED.store(None);
        return;
    };
    let stats = stats.unwrap_or_default();
    for (name, value) in [
        ("mem.allocator.allocated", stats.allocated),
        ("mem.allocator.active", stats.active),
        ("mem.allocator.resident", stats.resident),
    ] {
        if let Some(value) = value {
            values.push(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_allocator_knows_is_sent_until_it_panics() {
        let names = || {
            let mut values = Values(Vec::new());
            read(&mut values);
            values
                .0
                .into_iter()
                .map(|value| (value.0, value.1))
                .collect::<Vec<_>>()
        };
        watch_allocator(|| {
            Some(AllocatorStats {
                allocated: Some(10),
                resident: Some(30),
                active: None,
            })
        });
        assert_eq!(
            names(),
            [
                ("mem.allocator.allocated".to_owned(), 10.0),
                ("mem.allocator.resident".to_owned(), 30.0)
            ]
        );
        watch_allocator(|| None);
        assert_eq!(names(), []);
        watch_allocator(|| panic!("by design"));
        assert_eq!(names(), []);
        assert!(WATCHED.load().is_none());
    }
}
