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
