//! What a process can be asked about itself: allocations, processor time, the most memory that it held.
//!
//! This file uses `unsafe`: a global allocator and the process clock can't be had without it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The system's allocator, counting while it is told to.
pub struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static OWN: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

fn count(bytes: usize) {
    if COUNTING.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
        let _ = OWN.try_with(|own| {
            let (allocations, total) = own.get();
            own.set((allocations + 1, total + bytes as u64));
        });
    }
}

// SAFETY: everything is handed on to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Allocations and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocations {
    /// How often.
    pub count: u64,
    /// How much.
    pub bytes: u64,
}

/// Counts what `work` allocates on this thread, and what the whole process allocates until `rest` has run as well.
pub fn allocations(work: impl FnOnce(), rest: impl FnOnce()) -> (Allocations, Allocations) {
    let all_before = (
        ALLOCATIONS.load(Ordering::Relaxed),
        BYTES.load(Ordering::Relaxed),
    );
    let before = OWN.get();
    COUNTING.store(true, Ordering::SeqCst);
    work();
    let after = OWN.get();
    rest();
    COUNTING.store(false, Ordering::SeqCst);
    let all_after = (
        ALLOCATIONS.load(Ordering::Relaxed),
        BYTES.load(Ordering::Relaxed),
    );
    (
        Allocations {
            count: after.0 - before.0,
            bytes: after.1 - before.1,
        },
        Allocations {
            count: all_after.0 - all_before.0,
            bytes: all_after.1 - all_before.1,
        },
    )
}

/// Processor time of this process so far, ended threads included.
pub fn process_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists on every Linux, and `time` is ours to be written to.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0, "the process clock can be read");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory that this process ever held, in bytes.
pub fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a Linux system");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("the kernel reports the peak");
    line.split_whitespace()
        .nth(1)
        .and_then(|it| it.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}
