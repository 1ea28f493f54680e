//! A program that forks in the middle of a trace.
//!
//! `unsafe` in this file: `fork`, `waitpid` and `_exit`.
#![allow(unsafe_code)]

use crate::sending::trace;
use ddtrace_core::trace::{Site, enter};
use std::time::Duration;

ddtrace_core::site! { static PARENT: Site = Site::new("parent", "parent", module_path!(), file!(), line!()); }
ddtrace_core::site! { static FORKED: Site = Site::new("forked", "forked", module_path!(), file!(), line!()); }

pub(crate) fn run() {
    let guard = ddtrace::init();
    // The worker is in the middle of something, and the thread's buffers are not empty.
    let mut made = trace(3);
    let open = enter(&PARENT);
    made += trace(2);
    // SAFETY: the child only uses what this test is about, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // What the parent was doing is not the child's to report; the trace goes on below the open span.
        drop(enter(&FORKED));
        drop(open);
        trace(1);
        let done = ddtrace::flush_within(Duration::from_secs(20));
        if !done {
            tell_what_threads_do();
        }
        let counts = ddtrace::counts();
        println!(
            "child {}",
            serde_json::json!({ "done": done, "sent": counts.sent_spans, "dropped": counts.dropped_spans })
        );
        // SAFETY: ends this process at once, without running what belongs to the parent.
        unsafe { libc::_exit(if done { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: `status` is ours to be written to.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child ended well");
    drop(open);
    made += 1 + trace(1);
    drop(guard);
    crate::report(made);
}

/// Says on standard error what every thread of this process waits for, as the kernel sees it: a child that hangs is rare, and
/// this is all that is left of it.
fn tell_what_threads_do() {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a Linux system");
    for task in tasks.flatten() {
        let read = |name: &str| {
            std::fs::read_to_string(task.path().join(name))
                .unwrap_or_else(|error| error.to_string())
        };
        let (name, call, place) = (read("comm"), read("syscall"), read("wchan"));
        eprintln!(
            "thread {}: in system call {}, at {place}",
            name.trim(),
            call.trim()
        );
    }
    if let Ok(maps) = std::fs::read_to_string("/proc/self/maps") {
        eprintln!("{maps}");
    }
}
