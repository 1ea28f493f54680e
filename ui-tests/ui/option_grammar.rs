use ddtrace::trace;

#[trace(name)]
fn no_value() {}

#[trace(name = )]
fn empty_value() {}

#[trace(name("a"))]
fn list_for_value() {}

#[trace(root = true)]
fn value_for_flag() {}

#[trace(root(a))]
fn list_for_flag() {}

#[trace(tags)]
fn no_list() {}

#[trace(args = a)]
fn value_for_list(a: u8) {}

#[trace(args(1))]
fn no_names(a: u8) {}

#[trace(propagate = off())]
fn not_decided() {}

#[trace(root short_name)]
fn no_comma() {}

#[trace("name")]
fn no_option() {}

fn main() {}
