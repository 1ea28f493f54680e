#![deny(warnings)]

use ddtrace::trace;

#[trace]
pub fn unused(n: u8) -> Result<(), String> {
    let m = 1;
    Err("no")?;
    Ok(())
}

#[trace]
pub async fn unreachable(n: u8) -> u8 {
    return n;
    2
}

#[trace]
pub async fn must_use() {
    std::future::ready(());
}

fn main() {}
