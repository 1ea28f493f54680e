use ddtrace::{Context, trace};

#[trace(name = "a", short_name)]
fn two_names() {}

#[trace(parent = context, root)]
fn root_with_parent(context: &Context) {}

#[trace(skip)]
fn bare_skip() {}

#[trace(recursive)]
fn recursive() {}

#[trace(include(a))]
fn include() {}

#[trace(args(a), args_all)]
fn all_and_some(a: u8) {}

#[trace(skip(a))]
fn skip_of_nothing(a: u8) {}

#[trace(args(b))]
fn no_such_parameter(a: u8) {}

#[trace(future)]
async fn future_already() {}

#[trace(enter_on_poll)]
fn never_polled() {}

#[trace(err)]
fn returns_nothing() {}

#[trace(iter, ret)]
fn iterator() -> impl Iterator<Item = u8> {
    0..1
}

#[trace(enter_on_poll, ret)]
async fn many_spans() -> u8 {
    1
}

fn main() {}
