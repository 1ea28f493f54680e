//! Many threads that live for one trace each.

use crate::report_with;
use crate::sending::trace;
use ddtrace::{Context, Span};
use ddtrace_core::trace::Site;
use serde_json::json;
use std::time::Duration;

ddtrace_core::site! { static ROOT: Site = Site::new("shared", "shared", module_path!(), file!(), line!()); }

/// So many threads, a hundred at a time: each makes a trace of its own and a span in one that all share.
pub(crate) fn run(threads: u64) {
    let guard = ddtrace::init();
    let mut made = 1;
    let shared = Span::start_root(&ROOT);
    let context: Context = shared.context();
    let mut left = threads;
    while left > 0 {
        let now = left.min(100);
        std::thread::scope(|scope| {
            for _ in 0..now {
                scope.spawn(|| {
                    trace(1);
                    let _attached = context.attach();
                    trace(0);
                });
            }
        });
        made += now * 3;
        left -= now;
    }
    drop(shared);
    drop(context);
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux system");
    let alive = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"))
        .expect("it is listed")
        .trim()
        .to_owned();
    guard.shutdown(Duration::from_secs(30));
    report_with(made, json!({ "threads": alive }));
}
