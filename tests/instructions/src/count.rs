//! Counting: instructions by callgrind, allocations by the allocator.
//!
//! This file uses `unsafe`: a global allocator cannot be had without it.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};

thread_local! {
    static IS_COUNTING: Cell<bool> = const { Cell::new(false) };
    static ALLOCATED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Makes calls that are counted. Callgrind knows this function by its name, and counts only the thread that is in it.
#[inline(never)]
pub(crate) fn counted(calls: u32, work: &mut dyn FnMut(u32)) {
    IS_COUNTING.set(true);
    work(black_box(calls));
    IS_COUNTING.set(false);
}

/// Allocations of this thread while it was counted, and their bytes.
pub(crate) fn allocations() -> (u64, u64) {
    ALLOCATED.get()
}

/// Whether there is anything to count instructions with.
pub(crate) fn has_valgrind() -> bool {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// Runs a program under callgrind, which writes `file`, and gives the instructions of [`counted`].
pub(crate) fn instructions(program: &Path, arguments: &[&str], file: &Path) -> f64 {
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg("--toggle-collect=*count::counted*")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(arguments)
        .output()
        .expect("valgrind runs");
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(file).expect("callgrind wrote its file");
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let totals = totals.and_then(|totals| totals.trim().parse().ok());
    let totals: f64 = totals.expect("callgrind gives totals");
    assert!(
        totals > 0.0,
        "callgrind did not find the function that is counted"
    );
    totals
}

/// The system's allocator, counting for threads that want it.
pub(crate) struct Counting;

fn count(bytes: usize) {
    // A thread that is ending has nothing to count any more.
    if IS_COUNTING.try_with(Cell::get).unwrap_or(false) {
        let _ = ALLOCATED.try_with(|allocated| {
            let (number, total) = allocated.get();
            allocated.set((number + 1, total + bytes as u64));
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
