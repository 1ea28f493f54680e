//! A program that sends metrics of its own, in the parent and in a forked child.
//!
//! `unsafe` in this file: `fork`, `waitpid` and `_exit`.
#![allow(unsafe_code)]

use std::time::Duration;

use ddtrace::dogstatsd::{self, AlertType, Event, Metric, ServiceCheck, ServiceStatus};

/// One of each kind.
pub(crate) fn each_kind() {
    dogstatsd::increment("before.init", 1, &[]);
    let guard = ddtrace::init();
    dogstatsd::increment("orders", 2, &["currency:eur"]);
    dogstatsd::decrement("orders", 1, &[]);
    dogstatsd::gauge("depth", 2.5, &[]);
    dogstatsd::histogram("rows", 7_u64, &[]);
    dogstatsd::distribution("size", 8, &[]);
    dogstatsd::timing("took", Duration::from_millis(3), &[]);
    dogstatsd::set("users", "alice|bob", &[]);
    dogstatsd::send(Metric::gauge("then", 1).at(1_700_000_000));
    dogstatsd::service_check(ServiceCheck::new("database", ServiceStatus::Ok));
    dogstatsd::event(Event::new("deployed", "one\ntwo").alert_type(AlertType::Success));
    drop(guard);
    dogstatsd::increment("after.the.end", 1, &[]);
    crate::report(0);
}

/// The same client in parent and child.
pub(crate) fn forked() {
    let guard = ddtrace::init();
    dogstatsd::increment("before.fork", 1, &[]);
    // SAFETY: the child only uses what this test is about, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        dogstatsd::increment("in.child", 1, &[]);
        let done = ddtrace::flush_within(Duration::from_secs(20));
        // SAFETY: ends this process at once, without running what belongs to the parent.
        unsafe { libc::_exit(if done { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: `status` is ours to be written to.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child ended well");
    dogstatsd::increment("in.parent", 1, &[]);
    drop(guard);
    crate::report(0);
}

/// Runs until its input is closed.
pub(crate) fn waits() {
    let guard = ddtrace::init();
    let made = crate::sending::trace(2);
    ddtrace::flush();
    println!("ready");
    let _ = std::io::read_to_string(std::io::stdin());
    drop(guard);
    crate::report(made);
}
