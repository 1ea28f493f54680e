//! The test that is running, for what it says about itself and for the spans that it makes.
//!
//! `cargo ddtrace test` needs nothing in the code of a test. A test that runs in a process of its own and begins with
//! [`begin`], or has the attribute `#[ddtrace::test]`, becomes the root of what its code traces: spans appear below the test, and not
//! as traces of their own. Under any other runner, and for tests that share a process, all of this does nothing.
//!
//! ```
//! use ddtrace::testing;
//!
//! fn a_test() {
//!     let _test = testing::begin();
//!     testing::tag("cart.size", "3");
//!     // what is traced here belongs to the test
//! }
//! # a_test();
//! ```
//!
//! Spans and tags go to files in a folder that the runner made for this run, and that it reads once the process has ended:
//! nothing is sent from here. If the program starts the tracer itself afterwards, that call changes nothing.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use ddtrace_core::trace::{Attached, Span};

use crate::Guard;

/// The folder of this run; only tests that run alone have one.
const FOLDER: &str = "_DD_TEST_RUN";
/// Trace and span of the test, as two decimal numbers with a colon between them.
const SPAN: &str = "_DD_TEST_SPAN";

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// A test that is under way; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the test's span is active until this is dropped"]
pub struct Test {
    // In this order: the span is left, it ends, and what was traced is written.
    _active: Option<Attached>,
    _span: Option<Span>,
    _tracer: Option<Guard>,
}

impl Test {
    /// See [`tag`].
    pub fn tag(&self, key: &str, value: &str) {
        tag(key, value);
    }
}

/// Makes the running test the root of what this thread traces from now on, if the runner wants to know.
pub fn begin() -> Test {
    try_begin().unwrap_or(Test {
        _active: None,
        _span: None,
        _tracer: None,
    })
}

fn try_begin() -> Option<Test> {
    let (trace, span) = std::env::var(SPAN).ok().and_then(|ids| {
        let (trace, span) = ids.split_once(':')?;
        Some((trace.to_owned(), span.to_owned()))
    })?;
    let file = std::fs::File::create(folder()?.join("spans.jsonl")).ok()?;
    let tracer = crate::builder().json_lines(file).init();
    let headers: BTreeMap<String, String> = [
        ("x-datadog-trace-id", trace),
        ("x-datadog-parent-id", span),
        // A test is always kept.
        ("x-datadog-sampling-priority", "1".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let extracted = ddtrace_core::trace::extract(&headers);
    let span = Span::builder("ddtrace.test").continuing(extracted).start();
    Some(Test {
        _active: Some(span.context().attach()),
        _span: Some(span),
        _tracer: Some(tracer),
    })
}

/// Adds a tag to the running test. At most 64 of 64 KiB in all are taken; tags that the runner sets stay.
pub fn tag(key: &str, value: &str) {
    let Some(folder) = folder() else { return };
    // A tag is one record, its parts told apart by a character that neither has any use for.
    let plain = |text: &str| text.replace(['\u{1e}', '\u{1f}'], " ");
    let record = format!("{}\u{1f}{}\u{1e}", plain(key), plain(value));
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("tags"));
    // A test does not fail because nobody hears what it says.
    let _ = file.and_then(|mut file| file.write_all(record.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "the other test starts it in a process of its own"]
    fn traced() {
        let test = begin();
        test.tag("cart.size", "3");
        tag("odd", "a\u{1f}b");
        drop(Span::builder("work").start());
    }

    #[test]
    fn a_test_is_the_root_of_what_it_traces() {
        let folder = std::env::temp_dir().join(format!("ddtrace-testing-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let run = |with_span: bool| {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "testing::tests::traced", "--ignored"]);
            command.env("DD_TRACE_AGENT_URL", "http://127.0.0.1:9");
            if with_span {
                command.env(FOLDER, &folder).env(SPAN, "7:9");
            }
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && text.contains("1 passed"),
                "{text}"
            );
        };
        run(false);
        assert!(std::fs::read_dir(&folder).unwrap().next().is_none());
        run(true);
        let tags = std::fs::read_to_string(folder.join("tags")).unwrap();
        assert_eq!(tags, "cart.size\u{1f}3\u{1e}odd\u{1f}a b\u{1e}");
        let spans = std::fs::read_to_string(folder.join("spans.jsonl")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        for part in [
            "\"trace_id\":\"0000000000000007\"",
            "\"parent_id\":\"0000000000000009\"",
            "\"name\":\"ddtrace.test\"",
            "\"name\":\"work\"",
        ] {
            assert!(spans.contains(part), "{part}: {spans}");
        }
        assert!(!spans.contains("_dd.p.tid"), "{spans}");
    }
}
