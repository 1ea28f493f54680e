use ddtrace::trace;

#[trace(kind = customer)]
fn kind() {}

#[trace(ret(Debug))]
fn ret() -> u8 {
    1
}

#[trace(err(ignored))]
fn err() -> Result<(), String> {
    Ok(())
}

#[trace(future, stream)]
fn shapes() {}

#[trace(crate = "ddtrace")]
fn path() {}

fn main() {}
