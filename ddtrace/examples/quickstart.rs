//! The smallest program with spans: `cargo run -p cargo-ddtrace -- run --example quickstart`.

use std::num::ParseIntError;

use ddtrace::trace;

#[trace(name = "order.total", tags(lines = lines.len()), ret)]
fn total(lines: &[&str]) -> Result<i64, ParseIntError> {
    let mut cents = 0;
    for line in lines {
        cents += price(line)?;
    }
    Ok(cents)
}

#[trace(args(line))]
fn price(line: &str) -> Result<i64, ParseIntError> {
    line.trim().parse()
}

#[ddtrace::main]
fn main() {
    for lines in [["250", "199"], ["1200", "free"]] {
        match total(&lines) {
            Ok(cents) => println!("{lines:?} cost {cents} cents"),
            Err(error) => println!("{lines:?}: {error}"),
        }
    }
}
