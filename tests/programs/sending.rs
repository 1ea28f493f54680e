//! Many spans, large spans, spans at an agent that comes and goes.

use crate::{report, report_with};
use ddtrace::Span;
use ddtrace_core::trace::{Site, enter};
use serde_json::json;
use std::io::BufRead;
use std::time::{Duration, Instant};

ddtrace_core::site! { static ROOT: Site = Site::new("root", "root", module_path!(), file!(), line!()); }
ddtrace_core::site! { static CHILD: Site = Site::new("child", "child", module_path!(), file!(), line!()); }

/// A root with so many children; gives the number of spans.
pub(crate) fn trace(children: u64) -> u64 {
    let _root = enter(&ROOT);
    for _ in 0..children {
        drop(enter(&CHILD));
    }
    children + 1
}

/// Does as it is told, line by line: `make N` traces of two spans, `flush`.
pub(crate) fn steady() {
    let guard = ddtrace::init();
    let mut made = 0;
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("readable input");
        match line.split_once(' ') {
            Some(("make", count)) => {
                for _ in 0..count.parse::<u64>().expect("a number") {
                    made += trace(1);
                }
            }
            _ => {
                let began = Instant::now();
                let done = ddtrace::flush();
                let counts = ddtrace::counts();
                let took = began.elapsed().as_millis() as u64;
                println!(
                    "flushed {}",
                    json!({ "done": done, "ms": took, "sent": counts.sent_spans, "dropped": counts.dropped_spans })
                );
            }
        }
    }
    let began = Instant::now();
    let done = guard.shutdown(Duration::from_secs(5));
    report_with(
        made,
        json!({ "done": done, "ms": began.elapsed().as_millis() as u64 }),
    );
}

/// Two threads, as fast as they can: so many traces each, so many children.
pub(crate) fn flood(traces: u64, children: u64) {
    let guard = ddtrace::init();
    let mut longest = Duration::ZERO;
    let mut made = 0;
    std::thread::scope(|scope| {
        let work = || {
            let mut longest = Duration::ZERO;
            let mut made = 0;
            for _ in 0..traces {
                let began = Instant::now();
                made += trace(children);
                longest = longest.max(began.elapsed());
            }
            (made, longest)
        };
        for thread in [scope.spawn(work), scope.spawn(work)] {
            let (own, its_longest) = thread.join().expect("no panic");
            made += own;
            longest = longest.max(its_longest);
        }
    });
    let peak = peak_memory();
    guard.shutdown(Duration::from_secs(10));
    report_with(
        made,
        json!({ "longest_ms": longest.as_millis() as u64, "peak": peak }),
    );
}

/// A trace that fits, one that is larger than a payload may be, one that fits.
pub(crate) fn large(bytes: u64) {
    let guard = ddtrace::init();
    let text = "x".repeat(100_000);
    let mut made = trace(1);
    {
        let _root = enter(&ROOT);
        made += 1;
        let mut left = bytes;
        while left > 0 {
            let mut span = Span::start(&CHILD);
            // A value is cut at 25,000 characters, so several are needed.
            for key in ["a", "b", "c", "d"] {
                span.set_tag(key, &text[..]);
            }
            made += 1;
            left = left.saturating_sub(100_000);
        }
    }
    made += trace(1);
    drop(guard);
    report(made);
}

/// One trace of a million spans.
pub(crate) fn million() {
    let guard = ddtrace::init();
    let made = trace(999_999);
    let peak = peak_memory();
    guard.shutdown(Duration::from_secs(60));
    report_with(made, json!({ "peak": peak }));
}

/// Four threads, together about 20,000 spans a second for so many seconds.
pub(crate) fn soak(seconds: u64) {
    let guard = ddtrace::init();
    let began = Instant::now();
    let work = || {
        let mut made = 0;
        while began.elapsed() < Duration::from_secs(seconds) {
            for children in 0..10 {
                made += trace(children);
            }
            std::thread::sleep(Duration::from_millis(11));
        }
        made
    };
    let made = std::thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(work));
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    });
    guard.shutdown(Duration::from_secs(30));
    report(made);
}

/// Ends by `process::exit`, with a trace that had its time to be sent and one that had not.
pub(crate) fn exit() {
    let _guard = ddtrace::init();
    let made = trace(1);
    println!("made {made}");
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .expect("readable input");
    trace(1);
    std::process::exit(7);
}

/// The most memory that this process held, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux system");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("the kernel reports it");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .expect("a number")
        * 1024
}
