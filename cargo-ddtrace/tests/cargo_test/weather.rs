//! Tests that misbehave, and sessions that are ended.

use std::process::Command;

use crate::sample::{Ended, ddtrace, eventually, run, wait};

fn with(sample: &str, words: &[&str]) -> Command {
    let mut all = vec![
        "test",
        "--offline",
        "--test",
        "behaves",
        "--summary",
        "json",
    ];
    all.extend(words);
    let mut command = ddtrace(&all);
    command.env("SAMPLE", sample);
    command
}

/// Which tests the output says failed.
fn failed(ended: &Ended) -> Vec<String> {
    let text = ended.text();
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("test ")?
                .strip_suffix(" ... FAILED")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn the_test_that_ends_its_process_is_the_one_that_fails() {
    for (sample, said) in [
        ("abort", "the test was ended by SIGABRT"),
        ("overflow", "the test was ended by SIGABRT"),
        ("exit", "the test ended its process with status 7"),
        ("group", "the test was ended by SIGKILL"),
    ] {
        for mode in [&[][..], &["--isolate"]] {
            let ended = run(with(sample, mode));
            assert_eq!(ended.code(), Some(101), "{sample} {mode:?}: {}", ended.err);
            assert_eq!(
                failed(&ended),
                ["misbehaves"],
                "{sample} {mode:?}: {}",
                ended.text()
            );
            assert!(
                ended.text().contains(said),
                "{sample} {mode:?}: {}",
                ended.text()
            );
            let summary = ended.summary();
            assert_eq!(
                (&summary["tests"], &summary["passed"], &summary["failed"]),
                (&4.into(), &3.into(), &1.into()),
                "{sample} {mode:?}"
            );
        }
    }
}

#[test]
fn a_test_that_ends_its_process_in_good_order_takes_no_other_with_it() {
    let ended = run(with("exit0", &[]));
    assert_eq!(ended.code(), Some(0), "{}", ended.text());
    assert_eq!(ended.summary()["passed"], 4);
}

#[test]
fn a_test_that_takes_too_long_is_ended_with_what_it_started() {
    let ended = run(with("hang", &["--isolate", "--test-timeout", "1s"]));
    assert_eq!(failed(&ended), ["misbehaves"]);
    assert!(ended.text().contains("it hangs\n"), "{}", ended.text());
    assert!(
        ended
            .text()
            .contains("the test took longer than 1s and was ended"),
        "{}",
        ended.text()
    );
    assert_eq!(ended.summary()["passed"], 3);
}

#[test]
fn a_process_that_lives_on_holds_nothing_up() {
    for mode in [&[][..], &["--isolate"]] {
        let begun = std::time::Instant::now();
        let ended = run(with("leak", mode));
        assert_eq!(ended.code(), Some(0), "{}", ended.text());
        // The process that is left behind sleeps for a minute.
        assert!(begun.elapsed() < std::time::Duration::from_secs(55));
    }
}

#[test]
fn what_tests_print_decides_nothing() {
    let ended = run(with("fake", &[]));
    assert_eq!(ended.code(), Some(0));
    assert_eq!(ended.summary()["passed"], 4);
    assert!(
        ended
            .text()
            .contains("test result: FAILED. 9 passed; 9 failed\n"),
        "{}",
        ended.text()
    );
}

#[test]
fn much_output_passes_through() {
    let ended = run(with("much", &["--", "writes"]));
    assert_eq!(ended.code(), Some(0));
    let written = ended.out.iter().filter(|byte| **byte == b'x').count();
    assert!(written >= 100 << 20, "{written}");
    let captured = run(with("captured", &["--", "writes"]));
    assert_eq!(failed(&captured), ["writes"]);
    let line = "y".repeat(1000);
    let text = captured.text();
    assert_eq!(text.lines().filter(|one| *one == line).count(), 20_000);
}

#[test]
fn bytes_that_are_no_text_pass_through() {
    for mode in [&[][..], &["--isolate"]] {
        let ended = run(with("bytes", mode));
        assert_eq!(failed(&ended), ["writes"], "{}", ended.text());
        let bytes = b"\xff\xfe not text \x80\n";
        assert!(
            ended.out.windows(bytes.len()).any(|window| window == bytes),
            "{}",
            ended.text()
        );
    }
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    for (mode, signal) in [(&[][..], "TERM"), (&["--isolate"], "TERM"), (&[], "INT")] {
        let folder = tempfile::tempdir().unwrap();
        let flag = folder.path().join("pid");
        let temporary = folder.path().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        let mut command = with("hang", mode);
        command.env("SAMPLE_FLAG", &flag).env("TMPDIR", &temporary);
        // A terminal sends its interrupt to the whole group.
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
        let child = command.spawn().unwrap();
        let test = eventually("the test hangs", || {
            std::fs::read_to_string(&flag).ok()?.parse::<u32>().ok()
        });
        let to = if signal == "INT" {
            format!("-{}", child.id())
        } else {
            child.id().to_string()
        };
        let sent = Command::new("kill")
            .args(["-s", signal, "--", &to])
            .status()
            .unwrap();
        assert!(sent.success());
        let ended = wait(child);
        assert!(!ended.status.success(), "{signal} {mode:?}");
        eventually("the test's process is gone", || {
            (!std::path::Path::new(&format!("/proc/{test}")).exists()).then_some(())
        });
        eventually("no folder is left", || {
            std::fs::read_dir(&temporary)
                .unwrap()
                .next()
                .is_none()
                .then_some(())
        });
        assert_eq!(ended.summary()["interrupted"], true, "{signal} {mode:?}");
    }
}
