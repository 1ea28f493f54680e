//! Messages that are passed on, as Data Streams Monitoring sees them.
//!
//! `unsafe` in this file: `fork`, `waitpid` and `_exit`.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::io::BufRead as _;
use std::time::{Duration, Instant};

use ddtrace::data_streams as dsm;
use ddtrace::{Context, Span};
use ddtrace_core::trace::{Site, enter};
use serde_json::json;

ddtrace_core::site! { static HANDLE: Site = Site::new("handle", "handle", module_path!(), file!(), line!()); }

type Headers = HashMap<String, String>;

/// One message is produced, consumed within a span, and produces two more, one of them on another thread. Says which hashes
/// there were.
pub(crate) fn run() {
    let guard = ddtrace::init();
    let mut order = Headers::new();
    let first = dsm::produce("kafka", "orders")
        .payload_size(100)
        .into(&mut order);

    let mut handling = Span::start_root(&HANDLE);
    let entered = handling.enter();
    let consumed = dsm::consume("kafka", "orders")
        .group("billing")
        .manual(false)
        .payload_size(149)
        .from(&order);
    let mut invoice = Headers::new();
    let here = dsm::produce("kafka", "invoices").into(&mut invoice);
    let context = Context::current();
    let elsewhere = std::thread::spawn(move || {
        let _attached = context.attach();
        let _span = enter(&HANDLE);
        dsm::produce("kafka", "shipping").without_headers()
    });
    let elsewhere = elsewhere.join().expect("it does not panic");
    drop(entered);
    drop(handling);
    // The pathway of the span is over; that of the thread goes on.
    let current = dsm::current_pathway();

    dsm::kafka_produce_offset("orders", 0, 7, Some("c1"));
    dsm::kafka_commit_offset("billing", "orders", 0, 5, None);
    dsm::track_transaction("order-1", "billed");
    ship("order-2");
    drop(guard);
    let hash = |pathway: Option<dsm::Pathway>| pathway.map(|pathway| pathway.hash().to_string());
    crate::report_with(
        2,
        json!({
            "first": hash(first), "consumed": hash(consumed), "here": hash(here),
            "elsewhere": hash(elsewhere), "current": hash(current),
            "header": order.get("dd-pathway-ctx-base64"),
        }),
    );
}

#[ddtrace::dsm_transaction(checkpoint = "shipped", id = arg(order))]
fn ship(order: &str) {
    let _ = order;
}

/// Messages before a fork, in the child before anything else happens there, and in the parent.
pub(crate) fn forked() {
    let guard = ddtrace::init();
    dsm::produce("kafka", "before").without_headers();
    // SAFETY: the child only uses what this test is about, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        dsm::produce("kafka", "in-child").without_headers();
        let done = ddtrace::flush_within(Duration::from_secs(60));
        // SAFETY: ends this process at once, without running what belongs to the parent.
        unsafe { libc::_exit(if done { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: `status` is ours to be written to.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child ended well");
    dsm::produce("kafka", "in-parent").without_headers();
    drop(guard);
    crate::report(0);
}

/// Does as it is told: `pass <count> <topic>` sends that many messages, each to a topic of its own, and everything else flushes.
pub(crate) fn steady() {
    let guard = ddtrace::init();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("readable input");
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["pass", count, topic] => {
                for number in 0..count.parse::<u64>().expect("a number") {
                    dsm::produce("kafka", &format!("{topic}{number}")).without_headers();
                }
            }
            _ => println!("flushed {}", ddtrace::flush_within(Duration::from_secs(60))),
        }
    }
    let began = Instant::now();
    drop(guard);
    let took = began.elapsed().as_millis() as u64;
    crate::report_with(0, json!({ "ms": took }));
}
