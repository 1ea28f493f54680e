use ddtrace::trace;

#[trace(tags(cart.items = 1))]
fn dotted() {}

#[trace(tags(items))]
fn no_value() {}

#[trace(tags(items = ))]
fn empty_value() {}

#[trace(tags(1 = 2))]
fn no_key() {}

fn main() {}
