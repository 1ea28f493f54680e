//! What is printed and how it ends: as without us.

use crate::sample::{Ended, ddtrace, folder, plain, run};

/// Output without what differs between any two runs: times, thread ids, the order of parallel tests.
pub(crate) fn comparable(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with("all doctests ran in"))
        .map(|line| match line.find("; finished in ") {
            Some(at) => line[..at].to_owned(),
            None => line.to_owned(),
        })
        .map(
            |line| match (line.find("' ("), line.find(") panicked at")) {
                (Some(from), Some(to)) if line.starts_with("thread '") => {
                    format!("{}{}", &line[..from], &line[to + 1..])
                }
                _ => line,
            },
        )
        .collect()
}

fn both(words: &[&str]) -> (Ended, Ended) {
    let mut cargo = plain(folder());
    cargo.args(["test", "--offline"]).args(words);
    let mut ours = vec!["test", "--offline"];
    ours.extend(words);
    (run(cargo), run(ddtrace(&ours)))
}

#[test]
fn a_whole_workspace_prints_the_same_and_ends_the_same() {
    let (cargo, ours) = both(&["--workspace", "--no-fail-fast", "--", "--test-threads=1"]);
    assert_eq!(cargo.code(), Some(101));
    assert_eq!(ours.code(), Some(101), "{}", ours.err);
    assert_eq!(comparable(&ours.text()), comparable(&cargo.text()));
    assert!(
        !cargo.err.contains("deprecated") && !ours.err.contains("deprecated"),
        "{}",
        ours.err
    );
    // Merged doctests (edition 2024) warn if a runner is in their way.
    assert!(
        !ours.text().contains("WARNING") && !ours.err.contains("WARNING"),
        "{}",
        ours.err
    );
    assert!(
        ours.text().contains("own main: [\"--test-threads=1\"]\n"),
        "{}",
        ours.text()
    );
}

#[test]
fn the_summary_counts_what_libtest_counts() {
    let mut command = ddtrace(&[
        "test",
        "--offline",
        "--workspace",
        "--no-fail-fast",
        "--summary",
        "json",
    ]);
    let ours = run({
        command.env("SAMPLE", "own");
        command
    });
    // Of libtest's lines: 10 passed in the library and 5 that fail, and so on; `own` is one test that fails.
    let (mut passed, mut failed, mut ignored) = (0, 1, 0);
    for line in ours
        .text()
        .lines()
        .filter(|line| line.starts_with("test result: "))
    {
        let number = |what: &str| -> u64 {
            let at = line.find(what).unwrap();
            line[..at]
                .trim_end()
                .rsplit(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        passed += number(" passed");
        failed += number(" failed");
        ignored += number(" ignored");
    }
    let summary = ours.summary();
    assert_eq!(
        (&summary["passed"], &summary["failed"], &summary["skipped"]),
        (&passed.into(), &failed.into(), &ignored.into()),
        "{summary}"
    );
    assert_eq!(summary["tests"], passed + failed + ignored);
    for (key, value) in [
        ("flaky", 0),
        ("retried", 0),
        ("skipped_by_impact", 0),
        ("exit", 101),
    ] {
        assert_eq!(summary[key], value, "{key}");
    }
}

#[test]
fn arguments_of_libtest_mean_what_they_mean_without_us() {
    for words in [
        &["tests::nes", "--test-threads=1"][..],
        &["--exact", "tests::passes"],
        &["--skip", "fails", "--skip=errs", "--test-threads=1"],
        &["--ignored", "--test-threads=1"],
        &["--include-ignored", "--test-threads=1"],
        &["-q", "--test-threads=1"],
        &["nested", "--nocapture", "--test-threads=1"],
        &["nested", "--show-output", "--test-threads=1"],
        &["--list"],
        &["--list", "--format", "terse"],
        &["--help"],
        &["--no-such-option"],
        &["no test has this name"],
        &["--color=always", "nested", "--test-threads=1"],
    ] {
        let mut all = vec!["--lib", "--"];
        all.extend(words);
        let (cargo, ours) = both(&all);
        assert_eq!(ours.code(), cargo.code(), "{words:?}: {}", ours.err);
        assert_eq!(
            comparable(&ours.text()),
            comparable(&cargo.text()),
            "{words:?}"
        );
    }
}

#[test]
fn tests_that_run_alone_come_to_the_same() {
    let words = ["--workspace", "--no-fail-fast", "--", "--test-threads=1"];
    let (cargo, shared) = both(&words);
    let mut with = vec!["test", "--offline", "--isolate"];
    with.extend(words);
    let alone = run(ddtrace(&with));
    assert_eq!(
        (alone.code(), shared.code(), cargo.code()),
        (Some(101), Some(101), Some(101))
    );
    let results = |text: &str| -> Vec<String> {
        let mut lines: Vec<String> = comparable(text)
            .into_iter()
            .filter(|line| line.starts_with("test ") || line.starts_with("running "))
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(results(&alone.text()), results(&cargo.text()));
    for said in [
        "before it fails\n",
        "they differ",
        "before it errs\n",
        "Error: \"no luck\"",
        "note: test did not panic as expected",
        "expected substring: \"one thing\"",
    ] {
        assert!(alone.text().contains(said), "{said}: {}", alone.text());
    }
}

#[test]
fn a_foreign_harness_runs_once_as_it_is() {
    let ours = run(ddtrace(&[
        "test",
        "--offline",
        "--test",
        "own",
        "--",
        "a",
        "--list-not",
    ]));
    assert_eq!(ours.text(), "own main: [\"a\", \"--list-not\"]\n");
    assert_eq!(ours.code(), Some(0));
    let failing = |mut command: std::process::Command| {
        command.env("SAMPLE", "own");
        run(command)
    };
    let mut cargo = plain(folder());
    cargo.args(["test", "--offline", "--test", "own"]);
    let cargo = failing(cargo);
    let failing = failing(ddtrace(&["test", "--offline", "--test", "own"]));
    assert_eq!(failing.text(), "own main: []\n");
    assert_eq!(failing.code(), cargo.code());
    // Cargo says with which status the program ended.
    assert!(failing.err.contains("exit status: 9"), "{}", failing.err);
}

#[test]
fn a_runner_of_the_users_own_is_kept() {
    let mut ours = ddtrace(&["test", "--offline", "--test", "own"]);
    let triple = String::from_utf8(
        std::process::Command::new("rustc")
            .arg("-vV")
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    let triple = triple
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_uppercase()
        .replace('-', "_");
    ours.env(format!("CARGO_TARGET_{triple}_RUNNER"), "env SAMPLE=own");
    let ours = run(ours);
    assert!(ours.err.contains("exit status: 9"), "{}", ours.err);
}

#[test]
fn switched_off_it_is_cargo_test() {
    let mut ours = ddtrace(&[
        "test",
        "--offline",
        "--lib",
        "--summary",
        "json",
        "--",
        "nested",
    ]);
    ours.env("DD_CIVISIBILITY_ENABLED", "false");
    let ours = run(ours);
    assert_eq!(ours.code(), Some(0));
    assert!(
        ours.text().ends_with("\n\n") && !ours.err.contains("ddtrace:"),
        "{}",
        ours.err
    );
}

#[test]
fn a_junit_file_holds_every_test() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("junit.xml");
    let path = file.to_str().unwrap();
    let words = ["test", "--offline", "--lib", "--junit", path];
    assert_eq!(run(ddtrace(&words)).code(), Some(101));
    // An independent reader.
    let script = "import sys, xml.etree.ElementTree as e\nfor c in e.parse(sys.argv[1]).getroot().iter('testcase'): print(c.get('classname'), c.get('name'), ' '.join(sorted(k.tag for k in c if k.tag in ('failure', 'skipped'))))";
    let read = std::process::Command::new("python3")
        .args(["-c", script, path])
        .output()
        .unwrap();
    let text = String::from_utf8(read.stdout).unwrap();
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.sort_unstable();
    let expected = [
        "tests errs failure",
        "tests fails failure",
        "tests ignored skipped",
        "tests misses_its_panic failure",
        "tests panics",
        "tests panics_wrongly failure",
        "tests passes",
        "tests thread_panics failure",
        "tests::nested one",
        "tests::nested two",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn tags_of_the_environment_are_printed() {
    // The first vector of spec/ci-visibility.md §15 A.
    let mut command = ddtrace(&["ci-env", "--json", "--no-git"]);
    for (name, value) in [
        ("GITHUB_SHA", "b9f0fb3fdbb94c9d24b2c75b49663122a529e123"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "acme/widget"),
        ("GITHUB_RUN_ID", "7"),
        ("GITHUB_RUN_NUMBER", "3"),
        ("GITHUB_RUN_ATTEMPT", "2"),
        ("GITHUB_WORKFLOW", "ci"),
        ("GITHUB_JOB", "test"),
        ("GITHUB_REF", "refs/heads/main"),
        ("JOB_CHECK_RUN_ID", "55"),
        ("GITHUB_WORKSPACE", "/w"),
    ] {
        command.env(name, value);
    }
    let tags: serde_json::Value = serde_json::from_slice(&run(command).out).unwrap();
    for (tag, value) in [
        ("ci.provider.name", "github"),
        ("ci.pipeline.id", "7"),
        (
            "ci.pipeline.url",
            "https://github.com/acme/widget/actions/runs/7/attempts/2",
        ),
        (
            "ci.job.url",
            "https://github.com/acme/widget/actions/runs/7/job/55",
        ),
        ("git.branch", "main"),
        ("git.repository_url", "https://github.com/acme/widget.git"),
        ("ci.workspace_path", "/w"),
    ] {
        assert_eq!(tags[tag], value, "{tag}");
    }
}
