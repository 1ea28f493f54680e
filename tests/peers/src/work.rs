//! What the traced functions of every peer do: as little as possible, so that the tracer is what is measured.

use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// A text that only the running program knows.
pub fn user() -> &'static str {
    black_box("user-4711")
}

/// Another one.
pub fn cart() -> &'static str {
    black_box("0b6f0f3a-6c1c-4a0e-9a53-2f1f6f3d9b11")
}

/// The body of a child.
#[inline(always)]
pub fn step(i: u64) -> u64 {
    black_box(i) ^ 1
}

/// Is pending once.
#[derive(Default)]
pub struct YieldOnce(bool);

impl Future for YieldOnce {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Runs a future on this thread without a runtime, so that none is in the bill.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
