use ddtrace::trace;

#[trace]
struct Cart;

#[trace]
pub enum Kind {
    A,
}

#[trace]
trait Shop {}

#[trace]
static ONE: u8 = 1;

#[trace]
use std::fmt as _;

#[trace]
mod elsewhere;

fn main() {
    let _ = (Cart, Kind::A, ONE);
}
