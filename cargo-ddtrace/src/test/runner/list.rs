//! The tests of a binary, as it lists them itself.
//!
//! libtest's list in JSON names file and line. It is unstable, so the process that lists gets `RUSTC_BOOTSTRAP=1`; no
//! test runs there, so the variable can't reach one. It is read leniently, and where it is refused the
//! plain list does.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::arguments::Arguments;
use super::event::Listed;
use super::harness::Harness;
use super::process::{Binary, Registered};

/// How long a list may take.
const TIME: Duration = Duration::from_secs(60);
/// Bytes that a list may have: some hundred thousand tests.
const MOST: u64 = 256 << 20;

/// Lists the tests that the user selected; `None` if the binary does not do so.
pub(crate) fn list(
    binary: &Binary,
    arguments: &Arguments,
    harness: Harness,
) -> Option<Vec<Listed>> {
    if harness == Harness::Libtest
        && let Some(text) = output(binary, arguments, true)
        && let Some(tests) = from_json(&text)
    {
        return Some(tests);
    }
    let mut tests = from_terse(&output(binary, arguments, false)?);
    // Which of them are ignored is only said by a second list.
    if !arguments.ignored {
        let only_ignored = Arguments {
            ignored: true,
            include_ignored: false,
            ..arguments.clone()
        };
        let ignored = from_terse(&output(binary, &only_ignored, false)?);
        let ignored: std::collections::HashSet<String> =
            ignored.into_iter().map(|test| test.name).collect();
        for test in &mut tests {
            test.ignored = ignored.contains(&test.name);
        }
    } else {
        tests.iter_mut().for_each(|test| test.ignored = true);
    }
    Some(tests)
}

fn output(binary: &Binary, arguments: &Arguments, json: bool) -> Option<String> {
    let mut command = binary.command();
    command
        .args(arguments.list(json))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if json {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
    let mut child = command.spawn().ok()?;
    let pid = child.id();
    let registered = Registered::new(pid, true);
    let stdout = child.stdout.take()?;
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.take(MOST).read_to_end(&mut bytes);
        // Nobody waits any more if it took too long.
        let _ = sender.send(read.map(|_| bytes));
    });
    let read = receiver.recv_timeout(TIME);
    if read.is_err() {
        super::os::signal_group(pid, libc::SIGKILL);
    }
    let status = child.wait().ok()?;
    drop(registered);
    let bytes = read.ok()?.ok()?;
    status
        .success()
        .then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn from_json(text: &str) -> Option<Vec<Listed>> {
    let mut tests = Vec::new();
    let mut is_complete = false;
    for line in text.lines() {
        // A constructor of the program may have printed something in between.
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let number = |key: &str| u32::try_from(value[key].as_u64().unwrap_or(0)).unwrap_or(0);
        match (value["type"].as_str(), value["event"].as_str()) {
            (Some("test"), Some("discovered")) => tests.push(Listed {
                name: value["name"].as_str()?.to_owned(),
                ignored: value["ignore"].as_bool().unwrap_or(false),
                ignore_message: value["ignore_message"].as_str().unwrap_or("").to_owned(),
                source_path: value["source_path"]
                    .as_str()
                    .filter(|path| !path.is_empty())
                    .map(str::to_owned),
                line: number("start_line"),
                column: number("start_col"),
            }),
            (Some("suite"), Some("completed")) => is_complete = true,
            _ => {}
        }
    }
    is_complete.then_some(tests)
}

fn from_terse(text: &str) -> Vec<Listed> {
    text.lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(|name| Listed {
            name: name.to_owned(),
            ..Listed::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_are_read_and_noise_between_is_passed_over() {
        let json = concat!(
            "hello from a constructor\n",
            "{ \"type\": \"suite\", \"event\": \"discovery\" }\n",
            "{ \"type\": \"test\", \"event\": \"discovered\", \"name\": \"tests::ign\", \"ignore\": true, \"ignore_message\": \"why\", \"source_path\": \"src/lib.rs\", \"start_line\": 13, \"start_col\": 32, \"end_line\": 13, \"end_col\": 35 }\n",
            "{ \"type\": \"suite\", \"event\": \"completed\", \"tests\": 1, \"benchmarks\": 0, \"total\": 1, \"ignored\": 1 }\n",
        );
        let expected = Listed {
            name: "tests::ign".into(),
            ignored: true,
            ignore_message: "why".into(),
            source_path: Some("src/lib.rs".into()),
            line: 13,
            column: 32,
        };
        assert_eq!(from_json(json), Some(vec![expected]));
        assert_eq!(
            from_json("{\"type\":\"suite\",\"event\":\"discovery\"}"),
            None
        );
        let names: Vec<String> =
            from_terse("a::b: test\nbench: benchmark\n[kind] x y: test\n\n2 tests, 1 benchmark\n")
                .into_iter()
                .map(|test| test.name)
                .collect();
        assert_eq!(names, ["a::b", "[kind] x y"]);
    }
}
