use ddtrace::trace;

#[trace(nam = "a")]
fn misspelled() {}

#[trace(skip_all, fields(a = 1))]
fn from_another_library() {}

#[trace(type = "web")]
fn keyword() {}

fn main() {}
