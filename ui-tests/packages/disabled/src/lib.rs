//! A program in which nobody switched the feature `enabled` on: the attributes are still there and do nothing.

#![deny(warnings)]

use ddtrace::{span, trace, trace_block};

/// No span.
#[trace(args(n))]
pub fn f(n: u8) -> Result<u8, String> {
    let _span = span!("inner", n = n);
    trace_block!("block", { if n == 0 { Err("zero".to_owned()) } else { Ok(n) } })
}

/// No span, and still an `async fn`.
#[trace]
pub async fn g() -> u8 {
    1
}

#[trace]
impl Cart {
    #[trace(skip)]
    fn h(&self) {}
}

struct Cart;

#[ddtrace::main]
fn program() {
    Cart.h();
}

#[test]
fn nothing_is_recorded() {
    let recorder = ddtrace::test_support::Recorder::new();
    let _ = (f(0), f(1));
    program();
    assert!(recorder.take().is_empty());
}
