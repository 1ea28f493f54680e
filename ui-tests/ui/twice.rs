use ddtrace::trace;

#[trace]
#[trace(name = "b")]
fn f() {}

#[trace(root)]
#[inline]
#[ddtrace::trace]
fn g() {}

fn main() {}
