//! A crate that forbids what it can.

#![deny(warnings, missing_docs, unreachable_pub, unused, clippy::all, clippy::pedantic)]
#![forbid(unsafe_code)]

use ddtrace::{span, trace};

/// Documented.
#[trace(args_all, ret, tags(a = 1, "b.c" = %n))]
pub fn documented(n: u8) -> Result<u8, String> {
    if n == 0 {
        return Err("zero".to_owned());
    }
    Ok(n)
}

/// Documented.
#[trace]
pub async fn future(list: Vec<u8>, mut n: u8) -> Result<u8, Box<dyn std::error::Error>> {
    let _guard = span!("inner");
    n += 1;
    Ok(list.first().copied().ok_or("empty")? + n)
}

/// Documented.
#[derive(Debug)]
pub struct Cart;

#[trace]
impl Cart {
    /// Documented.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }
}

#[ddtrace::main]
fn main() {
    let _ = (documented(1), Cart.len());
    drop(future(vec![], 1));
}
