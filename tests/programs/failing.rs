//! Code of the user's that panics, and futures that are given up.

use crate::report;
use ddtrace::Span;
use ddtrace_core::trace::{Site, enter, instrument};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

ddtrace_core::site! { static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!()); }
ddtrace_core::site! { static INNER: Site = Site::new("inner", "inner", module_path!(), file!(), line!()); }

/// An error whose texts can't be had.
pub(crate) struct Explosive;

impl std::fmt::Debug for Explosive {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("Debug panics")
    }
}

impl std::fmt::Display for Explosive {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("Display panics")
    }
}

impl std::error::Error for Explosive {}

pub(crate) fn run() {
    let guard = ddtrace::init();
    std::panic::set_hook(Box::new(|_| {}));
    let mut made = 0;
    // A panic goes through two spans and comes out as it was.
    let result = catch_unwind(|| {
        let _work = enter(&WORK);
        let _inner = enter(&INNER);
        std::panic::panic_any(42_i32);
    });
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&42));
    made += 2;
    // The error that is recorded panics when it is asked what it is.
    let survived = catch_unwind(AssertUnwindSafe(|| {
        let work = enter(&WORK);
        work.set_error(&Explosive);
        work.record_exception(&Explosive);
        1
    }));
    assert_eq!(survived.expect("the tracer holds it back"), 1);
    made += 1;
    // After all that the thread traces as before.
    drop(enter(&WORK));
    made += 1;
    drop(guard);
    report(made);
}

/// Futures dropped before, in the middle of, and after their work.
pub(crate) fn dropped_futures() {
    let guard = ddtrace::init();
    let mut made = 0;
    let mut context = Context::from_waker(Waker::noop());
    for polls in 0..3 {
        let mut yielded = false;
        let future = std::future::poll_fn(move |_| {
            drop(enter(&INNER));
            if std::mem::replace(&mut yielded, true) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        });
        let mut future = pin!(instrument(Span::start_root(&WORK), future));
        for _ in 0..polls {
            let _ = future.as_mut().poll(&mut context);
            made += 1;
        }
        made += 1;
    }
    drop(guard);
    report(made);
}
