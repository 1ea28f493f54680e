//! Takes a picture of a page of the viewer: the driver of the browser tests as a command.
//!
//! ```text
//! cargo run -p cargo-ddtrace --example screenshot -- URL FILE [--width W] [--height H] [--dark] [--wait TEXT] [--click SELECTOR]...
//! ```
//!
//! It waits until the page shows `TEXT` (by default: until rows, a drawing or an empty state are there), then clicks each selector in turn.

use std::path::Path;

#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "the driver belongs to the tests; this uses a part of it"
)]
#[path = "../tests/browser/driver.rs"]
mod driver;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut places, mut clicks) = (Vec::new(), Vec::new());
    let (mut width, mut height, mut scheme, mut text) = (1440, 900, "light", None);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .unwrap_or_else(|| usage(&format!("{argument} needs a value")))
        };
        match argument.as_str() {
            "--width" => width = number(&value()),
            "--height" => height = number(&value()),
            "--dark" => scheme = "dark",
            "--wait" => text = Some(value()),
            "--click" => clicks.push(value()),
            _ if argument.starts_with("--") => usage(&format!("{argument} is not known")),
            _ => places.push(argument),
        }
    }
    let [address, file] = &places[..] else {
        usage("an address and a file are needed")
    };
    let mut browser = driver::Browser::start(width, height);
    browser.prefer(scheme, true);
    browser.open(address);
    match text {
        Some(text) => browser.wait_text(&text),
        None => drop(browser.wait(
            "document.querySelector('main .row, main .map, main .empty, main summary') !== null",
        )),
    }
    for selector in clicks {
        browser.click(&selector);
        browser.wait("new Promise((done) => setTimeout(() => done(true), 400))");
    }
    browser.wait("document.fonts.ready.then(() => true)");
    browser.screenshot(Path::new(file));
    println!("{file}");
}

fn number(text: &str) -> u32 {
    text.parse()
        .unwrap_or_else(|_| usage(&format!("{text} is not a number")))
}

fn usage(problem: &str) -> ! {
    eprintln!(
        "{problem}\nusage: screenshot URL FILE [--width W] [--height H] [--dark] [--wait TEXT] [--click SELECTOR]..."
    );
    std::process::exit(2);
}
