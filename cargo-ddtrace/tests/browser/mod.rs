//! The page in a real browser, against the agent as users start it.
//!
//! Each test has an agent and a browser of its own; they take turns, since two browsers at once only slow each
//! other down. At the end of every test nothing may stand on the console, no request may have left the origin,
//! and the content policy may not have been touched: [`Stage::done`].
//!
//! `CHROMIUM` names the browser. Screenshots are kept where `SCREENSHOT_DIR` says, else in the build's folder
//! for temporary files.

mod appearance;
mod driver;
mod feed;
mod layout;
mod list;
mod llm;
mod llm_feed;
mod pages;
mod reading;
mod settings;
mod streams;
mod streams_feed;
mod tests;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use driver::Browser;

static TURN: Mutex<()> = Mutex::new(());

/// An agent and a browser.
struct Stage {
    // Ends before the agent does: fields drop in this order.
    browser: Browser,
    agent: Agent,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    fn new() -> Stage {
        Stage::sized(1440, 900)
    }

    fn sized(width: u32, height: u32) -> Stage {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = Agent::start();
        let mut browser = Browser::start(width, height);
        browser.prefer("light", true);
        Stage {
            browser,
            agent,
            _turn: turn,
        }
    }

    /// Opens a page by its path, and fails if the one before left anything behind.
    fn open(&mut self, path: &str) {
        self.quiet();
        self.browser
            .open(&format!("http://{}{path}", self.agent.address));
    }

    /// Sends chunks of spans, which must be taken.
    fn send(&self, chunks: Vec<Vec<feed::Span>>) {
        let answer = feed::send(&self.agent.address, chunks);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    fn quiet(&mut self) {
        let trouble = self.browser.trouble();
        assert!(trouble.is_empty(), "{trouble:#?}");
    }

    fn done(mut self) {
        self.quiet();
    }

    fn screenshot(&mut self, name: &str) {
        self.browser
            .screenshot(&screenshots().join(format!("{name}.png")));
    }
}

fn screenshots() -> PathBuf {
    std::env::var_os("SCREENSHOT_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots"),
        PathBuf::from,
    )
}

/// `cargo-ddtrace agent` on a free port.
struct Agent {
    child: Child,
    /// `host:port`
    address: String,
}

impl Agent {
    fn start() -> Agent {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cargo-ddtrace"))
            .args(["agent", "--port", "0", "--announce", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the agent starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("standard output is a pipe"))
            .read_line(&mut line)
            .expect("the agent announces itself");
        let announced: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let addresses = announced["addresses"].as_array().expect("addresses");
        let first = addresses
            .iter()
            .filter_map(Value::as_str)
            .find(|address| address.starts_with("127."))
            .expect("an IPv4 address");
        Agent {
            child,
            address: first.to_owned(),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
