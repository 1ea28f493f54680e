use ddtrace::trace;

#[trace(name = "a", root, name = "b")]
fn f() {}

#[trace(tags(a = 1, b = 2, a = 3))]
fn g() {}

fn main() {}
