use ddtrace::trace;

struct Opaque;

#[trace(tags(a = %value))]
fn no_display(value: Opaque) {
    let _ = value;
}

#[trace(tags(a = ?value))]
fn no_debug(value: Opaque) {
    let _ = value;
}

#[trace(tags(a = missing))]
fn no_such_name() {}

#[trace(parent = n)]
fn no_context(n: u8) {}

#[trace(link = n)]
fn no_link(n: u8) {}

#[trace(enabled = n)]
fn no_bool(n: u8) {}

#[trace(err)]
fn no_result(n: u8) -> Option<u8> {
    Some(n)
}

#[trace(err(filter = |n: &u8| *n > 1))]
fn wrong_filter() -> Result<(), String> {
    Ok(())
}

#[trace(ret = |value| value.missing())]
fn wrong_method() -> u8 {
    1
}

fn main() {}
