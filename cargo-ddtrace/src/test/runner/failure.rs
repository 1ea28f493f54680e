//! Why a test failed, out of what it wrote.
//!
//! Headers of panics have had three forms; all of them are read, because a binary may be built by any compiler:
//!
//! ```text
//! thread 'NAME' (TID) panicked at FILE:LINE:COL:      since 1.91, the message follows
//! thread 'NAME' panicked at FILE:LINE:COL:            since 1.73
//! thread 'NAME' panicked at 'MESSAGE', FILE:LINE:COL  before
//! ```

use super::event::Cause;

/// Characters of a message and of a stack that are kept.
const LONGEST: usize = 16_000;
/// Characters of the output that stand for a stack when there is no panic.
const TAIL: usize = 5000;

/// Reads the cause of a failure. `reason` is what libtest's log says.
pub(crate) fn cause(name: &str, output: &[u8], reason: &str) -> Cause {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().collect();
    let panic = last_panic(name, &lines);
    // The note stands in libtest's log or, of a test that ran alone, at the end of what libtest printed.
    let note = note(reason).or_else(|| {
        let at = lines.iter().rposition(|line| {
            line.strip_prefix("note: ")
                .is_some_and(|rest| note(rest).is_some())
        })?;
        let block: Vec<&str> = lines[at..]
            .iter()
            .take_while(|line| !line.is_empty() && !line.starts_with("---- "))
            .copied()
            .collect();
        Some(block.join("\n").trim_start_matches("note: ").to_owned())
    });
    if let Some(note) = note {
        return Cause {
            kind: "should_panic".to_owned(),
            message: cut(&note),
            stack: panic.map_or(String::new(), |panic| cut(&panic.stack)),
        };
    }
    if let Some(panic) = panic {
        return Cause {
            kind: "panic".to_owned(),
            message: cut(&panic.message),
            stack: cut(&panic.stack),
        };
    }
    if let Some(at) = lines.iter().rposition(|line| line.starts_with("Error: ")) {
        let message = lines[at..].join("\n");
        return Cause {
            kind: "Error".to_owned(),
            message: cut(message.trim_start_matches("Error: ").trim_end()),
            stack: String::new(),
        };
    }
    Cause {
        kind: "failure".to_owned(),
        message: cut(if reason.is_empty() {
            "the test failed without a message"
        } else {
            reason
        }),
        stack: tail(&text, TAIL).to_owned(),
    }
}

/// The last characters of the output, for failures that say nothing themselves.
pub(crate) fn last_output(output: &[u8]) -> String {
    tail(&String::from_utf8_lossy(output), TAIL).to_owned()
}

fn note(reason: &str) -> Option<String> {
    [
        "test did not panic as expected",
        "panic did not contain expected string",
        "expected panic with string value",
    ]
    .iter()
    .any(|start| reason.starts_with(start))
    .then(|| reason.to_owned())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

fn tail(text: &str, most: usize) -> &str {
    let text = text.trim_end();
    match text.char_indices().rev().nth(most.saturating_sub(1)) {
        Some((at, _)) => &text[at..],
        None => text,
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Panic {
    message: String,
    stack: String,
}

/// The last panic of the test's own thread, or the last of any.
fn last_panic(name: &str, lines: &[&str]) -> Option<Panic> {
    let headers: Vec<(usize, Header<'_>)> = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| Some((at, header(line)?)))
        .collect();
    let (at, found) = headers
        .iter()
        .rfind(|(_, header)| header.thread == name)
        .or(headers.last())?;
    let end = headers
        .iter()
        .map(|(at, _)| *at)
        .find(|other| other > at)
        .unwrap_or(lines.len());
    let body = &lines[at + 1..end];
    let stack_at = body
        .iter()
        .position(|line| *line == "stack backtrace:")
        .unwrap_or(body.len());
    let message = match found.message {
        Some(message) => message.to_owned(),
        None => {
            let is_end = |line: &&str| {
                line.starts_with("note: run with `RUST_BACKTRACE=")
                    || line.starts_with("note: Some details are omitted")
                    || line.starts_with("note: test did not panic")
                    || line.starts_with("note: panic did not contain")
            };
            let message: Vec<&str> = body[..stack_at]
                .iter()
                .take_while(|line| !is_end(line))
                .copied()
                .collect();
            message.join("\n").trim_end().to_owned()
        }
    };
    let mut stack = vec![lines[*at]];
    stack.extend(frames(&body[stack_at..]));
    Some(Panic {
        message,
        stack: stack.join("\n"),
    })
}

struct Header<'l> {
    thread: &'l str,
    /// The message, if it stands in the header.
    message: Option<&'l str>,
}

fn header(line: &str) -> Option<Header<'_>> {
    let rest = line.strip_prefix("thread '")?;
    let at = rest.find("' panicked at ").or_else(|| {
        // A thread's number stands between its name and the verb.
        let at = rest.find(" panicked at ")?;
        rest[..at]
            .ends_with(')')
            .then(|| rest[..at].rfind("' ("))
            .flatten()
    })?;
    let thread = &rest[..at];
    let place = rest.split_once(" panicked at ")?.1;
    if place.ends_with(':') {
        return Some(Header {
            thread,
            message: None,
        });
    }
    let (message, _) = place.strip_prefix('\'')?.rsplit_once("', ")?;
    Some(Header {
        thread,
        message: Some(message),
    })
}

/// The frames of a backtrace, those of the standard library and of libtest left out.
fn frames<'l>(lines: &[&'l str]) -> Vec<&'l str> {
    let is_full = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value == "full");
    let mut kept = Vec::new();
    let mut keeps = false;
    for line in lines.iter().skip(1) {
        let trimmed = line.trim_start();
        let frame = trimmed
            .split_once(": ")
            .filter(|(number, _)| number.parse::<u32>().is_ok());
        match frame {
            Some((_, function)) => {
                let function = function.trim_start();
                keeps = is_full
                    || ![
                        "std::",
                        "core::",
                        "test::",
                        "alloc::",
                        "__rustc::",
                        "<fn() -> ",
                        "__rust_",
                        "rust_begin_unwind",
                        "<alloc::",
                        "<core::",
                        "<std::",
                        "__pthread",
                        "clone",
                        "start_thread",
                        "_start",
                        "main",
                    ]
                    .iter()
                    .any(|foreign| function.starts_with(foreign));
            }
            None if trimmed.starts_with("at ") => {}
            None => break,
        }
        if keeps {
            kept.push(*line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_a_panic_are_read() {
        for (output, message) in [
            (
                "\nthread 'a::b' (17) panicked at src/lib.rs:9:26:\nthey differ\n  left: 1\n right: 2\nnote: run with `RUST_BACKTRACE=1` environment variable\n",
                "they differ\n  left: 1\n right: 2",
            ),
            (
                "thread 'a::b' panicked at src/lib.rs:9:26:\nthey differ\n",
                "they differ",
            ),
            (
                "thread 'a::b' panicked at 'they differ', src/lib.rs:9:26\n",
                "they differ",
            ),
        ] {
            let cause = cause("a::b", output.as_bytes(), "");
            assert_eq!(
                (cause.kind.as_str(), cause.message.as_str()),
                ("panic", message),
                "{output}"
            );
            assert!(cause.stack.contains("src/lib.rs:9:26"), "{}", cause.stack);
        }
    }

    #[test]
    fn the_panic_of_the_tests_own_thread_wins() {
        let output = "thread 'a' (1) panicked at src/a.rs:1:1:\nmine\n\nthread '<unnamed>' (2) panicked at src/a.rs:2:2:\nanother\n";
        assert_eq!(cause("a", output.as_bytes(), "").message, "mine");
        assert_eq!(cause("z", output.as_bytes(), "").message, "another");
    }

    #[test]
    fn frames_of_the_standard_library_are_left_out() {
        let output = "thread 'm::t' (1) panicked at src/lib.rs:9:26:\nx\nstack backtrace:\n   0: __rustc::rust_begin_unwind\n             at /rustc/1/library/std/src/panicking.rs:689:5\n   1: core::panicking::panic_fmt\n   2: sample::m::t\n             at ./src/lib.rs:9:26\n   3: core::ops::function::FnOnce::call_once\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n";
        let cause = cause("m::t", output.as_bytes(), "");
        assert_eq!(cause.message, "x");
        assert_eq!(
            cause.stack,
            "thread 'm::t' (1) panicked at src/lib.rs:9:26:\n   2: sample::m::t\n             at ./src/lib.rs:9:26"
        );
    }

    #[test]
    fn a_missed_panic_an_error_and_silence_have_their_causes() {
        let shared = cause(
            "t",
            b"hello\n",
            "test did not panic as expected at src/lib.rs:1:4",
        );
        assert_eq!(
            (shared.kind.as_str(), shared.message.as_str()),
            (
                "should_panic",
                "test did not panic as expected at src/lib.rs:1:4"
            )
        );
        let alone = cause("t", b"thread 't' (1) panicked at src/lib.rs:1:1:\nx\nnote: panic did not contain expected string\n      panic message: \"x\"\n expected substring: \"abc\"\n", "");
        assert_eq!(alone.kind, "should_panic");
        assert!(
            alone.message.ends_with("expected substring: \"abc\""),
            "{}",
            alone.message
        );
        let error = cause("t", b"some\nError: Custom {\n    a: 1,\n}\n", "");
        assert_eq!(
            (error.kind.as_str(), error.message.as_str()),
            ("Error", "Custom {\n    a: 1,\n}")
        );
        let silent = cause("t", b"what it wrote", "");
        assert_eq!(
            (silent.kind.as_str(), silent.stack.as_str()),
            ("failure", "what it wrote")
        );
    }

    #[test]
    fn what_is_not_utf8_or_endless_is_read_all_the_same() {
        let mut output = b"\xff\xfe\nthread 't' (1) panicked at a.rs:1:1:\n\xff ".to_vec();
        output.extend(std::iter::repeat_n(b'x', 1 << 20));
        let cause = cause("t", &output, "");
        assert_eq!(cause.kind, "panic");
        assert_eq!(cause.message.chars().count(), LONGEST);
    }
}
