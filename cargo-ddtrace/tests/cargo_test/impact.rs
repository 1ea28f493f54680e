//! Coverage of each test, and which tests a change touches.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::backend::{runs, sessions};
use crate::sample::{Ended, ddtrace_in, run};

/// A workspace: a library that includes a file, a program with a test that starts it, a second library that uses neither.
const FILES: [(&str, &str); 11] = [
    (
        "Cargo.toml",
        "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[features]\ncheap = []\n[workspace]\nmembers = [\"tools\"]\n\
         [profile.dev]\ndebug = false\n[package.metadata.ddtrace]\nunskippable = [\"smoke*\"]\n",
    ),
    (
        "src/lib.rs",
        r#"pub mod money;
pub mod stock;

pub const LIMIT: u32 = 10;

pub fn price(count: u32) -> u32 {
    money::of(count)
}

pub fn left(sold: u32) -> u32 {
    stock::left(sold)
}

#[cfg(test)]
mod tests {
    #[test]
    fn prices() {
        assert_eq!(super::price(2), 6);
    }

    #[test]
    fn leaves() {
        assert_eq!(super::left(4), 6);
    }

    #[test]
    #[should_panic]
    fn sells_too_much() {
        super::left(11);
    }
}
"#,
    ),
    (
        "src/money.rs",
        "pub fn of(count: u32) -> u32 {\n    let each: u32 = include_str!(\"../data/price.txt\").trim().parse().unwrap();\n    let each = if cfg!(feature = \"cheap\") { 1 } else { each };\n    each * count\n}\n",
    ),
    (
        "src/stock.rs",
        "pub fn left(sold: u32) -> u32 {\n    check(sold);\n    crate::LIMIT - sold\n}\n\nfn check(sold: u32) {\n    assert!(sold <= crate::LIMIT);\n}\n",
    ),
    (
        "src/main.rs",
        "fn main() {\n    let count = std::env::args().nth(1).unwrap().parse().unwrap();\n    println!(\"{}\", shop::price(count));\n    std::process::exit(3);\n}\n",
    ),
    ("data/price.txt", "3\n"),
    (
        "tests/program.rs",
        "#[test]\nfn prints_the_price() {\n    let out = std::process::Command::new(env!(\"CARGO_BIN_EXE_shop\")).arg(\"2\").output().unwrap();\n    assert_eq!(out.stdout, b\"6\\n\");\n}\n",
    ),
    (
        "tests/smoke.rs",
        "#[test]\nfn smoke() {}\n\n#[test]\nfn calm() {\n    let text = std::fs::read_to_string(\"data/other.txt\").unwrap_or_default();\n    assert_eq!(text, \"\");\n}\n",
    ),
    (
        "tools/Cargo.toml",
        "[package]\nname = \"tools\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    ),
    (
        "tools/src/lib.rs",
        "pub fn tool() -> u32 {\n    1\n}\n\n#[test]\nfn works() {\n    assert_eq!(tool(), 1);\n}\n",
    ),
    (".gitignore", "/target\n"),
];

/// The workspace in a folder of its own, and the folder for what is remembered of it.
struct Shop {
    folder: PathBuf,
    data: tempfile::TempDir,
}

impl Shop {
    fn new(name: &str) -> Shop {
        // Under the workspace's own target folder, so that a second run compiles little.
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let shop = Shop {
            folder,
            data: tempfile::tempdir().unwrap(),
        };
        for (path, text) in FILES {
            shop.write(path, text);
        }
        for (path, _) in [("data/other.txt", ""), ("src/extra.rs", "")] {
            let _ = std::fs::remove_file(shop.folder.join(path));
        }
        if !shop.folder.join(".git").exists() {
            let made = Command::new("git")
                .args(["init", "-q"])
                .current_dir(&shop.folder)
                .status();
            assert!(made.unwrap().success());
        }
        shop
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return;
        }
        std::fs::write(path, text).unwrap();
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let (_, text) = FILES.iter().find(|(name, _)| *name == path).unwrap();
        assert!(text.contains(from), "{path}: {from}");
        self.write(path, &text.replacen(from, to, 1));
    }

    fn restore(&self, path: &str) {
        match FILES.iter().find(|(name, _)| *name == path) {
            Some((_, text)) => self.write(path, text),
            None => std::fs::remove_file(self.folder.join(path)).unwrap(),
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let data = self.data.path().to_str().unwrap();
        let mut all = vec!["test", "--local", "--data", data, "--summary", "json"];
        all.extend(["--offline", "--workspace", "--no-fail-fast"]);
        all.extend(words);
        let mut command = ddtrace_in(&self.folder, &all);
        // New tests would be tried ten times.
        command.env("DD_CIVISIBILITY_EARLY_FLAKE_DETECTION_ENABLED", "0");
        command.env("DD_CIVISIBILITY_FLAKY_RETRY_ENABLED", "0");
        command
    }

    fn test(&self, words: &[&str]) -> Ended {
        run(self.command(words))
    }
}

fn number(ended: &Ended, key: &str) -> u64 {
    ended.summary()[key].as_u64().unwrap()
}

/// Names of the tests that ran, in the newest session.
fn ran(data: &Path) -> Vec<String> {
    let (_, all) = sessions(data).pop().unwrap();
    let mut names: Vec<String> = all
        .iter()
        .filter(|run| run["status"] != "skip")
        .map(|run| run["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

const ALL: [&str; 7] = [
    "calm",
    "leaves",
    "prices",
    "prints_the_price",
    "sells_too_much",
    "smoke",
    "works",
];

#[test]
fn each_test_has_the_lines_that_it_ran() {
    let shop = Shop::new("cargo-test-coverage");
    let ended = shop.test(&[]);
    assert_eq!(ended.code(), Some(0), "{}\n{}", ended.text(), ended.err);
    let (_, all) = sessions(shop.data.path()).pop().unwrap();
    let lines = |test: &str, file: &str| -> Vec<(u64, u64)> {
        let run = runs(&all, test)[0];
        let ranges = run["coverage"][file]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let pair = |range: &Value| (range[0].as_u64().unwrap(), range[1].as_u64().unwrap());
        ranges.iter().map(pair).collect()
    };
    let has = |test: &str, file: &str, line: u64| {
        lines(test, file)
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&line))
    };
    for (test, file, line, expected) in [
        ("prices", "src/lib.rs", 7, true),
        ("prices", "src/lib.rs", 11, false),
        ("prices", "src/money.rs", 4, true),
        ("prices", "src/stock.rs", 3, false),
        ("leaves", "src/stock.rs", 3, true),
        ("leaves", "src/money.rs", 4, false),
        // A program that a test starts, and that ends itself.
        ("prints_the_price", "src/main.rs", 3, true),
        ("prints_the_price", "src/money.rs", 4, true),
        // A function that a panic leaves.
        ("sells_too_much", "src/stock.rs", 7, true),
        ("works", "tools/src/lib.rs", 2, true),
        // What no line sees belongs to all.
        ("leaves", "data/price.txt", 1, true),
        ("leaves", "Cargo.toml", 1, true),
    ] {
        assert_eq!(
            has(test, file, line),
            expected,
            "{test} {file}:{line}: {:?}",
            lines(test, file)
        );
    }
    let files = runs(&all, "prices")[0]["coverage"].as_object().unwrap();
    assert!(
        files
            .keys()
            .all(|file| !file.contains("registry") && !file.starts_with('/')),
        "{files:?}"
    );
    // Nothing was compiled into, or left in, the folders of the packages.
    for folder in ["", "tools"] {
        for entry in std::fs::read_dir(shop.folder.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.ends_with(".profraw"), "{name}");
        }
    }
}

#[test]
fn only_tests_that_a_change_touches_run() {
    let shop = Shop::new("cargo-test-impact");
    let first = shop.test(&[]);
    assert_eq!(first.code(), Some(0), "{}\n{}", first.text(), first.err);
    assert_eq!(ran(shop.data.path()), ALL);
    assert_eq!(number(&first, "skipped_by_impact"), 0);

    // Nothing changed: only what must never be skipped runs, and the doctests of which there are none.
    let second = shop.test(&[]);
    assert_eq!(second.code(), Some(0));
    assert_eq!(ran(shop.data.path()), ["smoke"], "{}", second.err);
    assert_eq!(number(&second, "skipped_by_impact"), 6);
    let (_, all) = sessions(shop.data.path()).pop().unwrap();
    assert_eq!(
        runs(&all, "smoke")[0]["marks"],
        json!(["unskippable", "forced_run"])
    );
    assert_eq!(runs(&all, "prices")[0]["marks"], json!(["skipped_by_itr"]));

    // Each of these, by itself; tests that run are then known again.
    for (path, from, to, touched, status) in [
        (
            "src/stock.rs",
            "crate::LIMIT - sold",
            "crate::LIMIT + 0 - sold",
            &["leaves", "sells_too_much"][..],
            0,
        ),
        (
            "src/stock.rs",
            "sold <= crate::LIMIT",
            "sold < crate::LIMIT + 1",
            &["leaves", "sells_too_much"],
            0,
        ),
        (
            "src/money.rs",
            "each * count",
            "each * count * 2",
            &["prices", "prints_the_price"],
            101,
        ),
        (
            "src/main.rs",
            "std::process::exit(3)",
            "std::process::exit(4)",
            &["prints_the_price"],
            0,
        ),
        // A constant, which no line of coverage shows, and an included file.
        (
            "src/lib.rs",
            "LIMIT: u32 = 10",
            "LIMIT: u32 = 11",
            &[
                "calm",
                "leaves",
                "prices",
                "prints_the_price",
                "sells_too_much",
            ],
            101,
        ),
        (
            "data/price.txt",
            "3",
            "4",
            &[
                "calm",
                "leaves",
                "prices",
                "prints_the_price",
                "sells_too_much",
                "works",
            ],
            101,
        ),
        (
            "src/lib.rs",
            "    #[test]\n    #[should_panic]",
            "    #[test]\n    fn another() {}\n    #[test]\n    #[should_panic]",
            &["another"],
            0,
        ),
        ("tools/src/lib.rs", "    1\n", "    2\n", &["works"], 101),
        (
            "tests/smoke.rs",
            "fn smoke() {}",
            "fn smoke() { let _ = 1; }",
            &[],
            0,
        ),
    ] {
        shop.replace(path, from, to);
        let ended = shop.test(&[]);
        let mut expected: Vec<&str> = touched.to_vec();
        expected.push("smoke");
        expected.sort_unstable();
        assert_eq!(
            ran(shop.data.path()),
            expected,
            "{path}: {to}\n{}",
            ended.err
        );
        assert_eq!(ended.code(), Some(status), "{path}: {to}\n{}", ended.text());
        shop.restore(path);
        let restored = shop.test(&[]);
        assert_eq!(restored.code(), Some(0), "{path}: {}", restored.text());
    }

    // A file that a test reads while it runs.
    shop.write("data/other.txt", "there");
    let ended = shop.test(&[]);
    assert_eq!(ended.code(), Some(101));
    assert_eq!(ran(shop.data.path()), ALL);
    shop.restore("data/other.txt");
    shop.test(&[]);

    // A feature makes other binaries.
    let ended = shop.test(&["--features", "cheap"]);
    assert_eq!(ended.code(), Some(101), "{}", ended.text());
    let mut known = ran(shop.data.path());
    known.retain(|name| name != "works");
    assert_eq!(known, ALL[..6]);
    let all = shop.test(&["--all"]);
    assert_eq!(all.code(), Some(0));
    assert_eq!(ran(shop.data.path()), ALL);
}

#[test]
fn a_failed_test_runs_until_it_passes() {
    let shop = Shop::new("cargo-test-impact-failed");
    shop.replace("src/money.rs", "each * count", "each + count");
    for _ in 0..2 {
        let ended = shop.test(&["--lib"]);
        assert_eq!(ended.code(), Some(101), "{}", ended.text());
        assert!(ran(shop.data.path()).contains(&"prices".to_owned()));
    }
    assert!(!ran(shop.data.path()).contains(&"leaves".to_owned()));
    shop.restore("src/money.rs");
    assert_eq!(shop.test(&["--lib"]).code(), Some(0));
    assert_eq!(ran(shop.data.path()), ["prices"]);
    let nothing = shop.test(&["--lib"]);
    assert_eq!(number(&nothing, "skipped_by_impact"), 4, "{}", nothing.err);
}

#[test]
fn somebody_elses_measurement_keeps_its_files() {
    let shop = Shop::new("cargo-test-measured");
    let profiles = tempfile::tempdir().unwrap();
    let mut command = shop.command(&["--lib", "--isolate"]);
    command
        .env("LLVM_PROFILE_FILE", profiles.path().join("%p-%m.profraw"))
        .env("RUSTFLAGS", "-C instrument-coverage");
    let ended = run(command);
    assert_eq!(ended.code(), Some(0), "{}\n{}", ended.text(), ended.err);
    // One for each of the tests, at least.
    assert!(std::fs::read_dir(profiles.path()).unwrap().count() >= 4);
    let (_, all) = sessions(shop.data.path()).pop().unwrap();
    assert_eq!(runs(&all, "prices")[0]["coverage"], Value::Null);
}

/// A few of the mutants that `tests/long/mutants` makes by hundreds, of sources of this test's own.
#[test]
fn no_test_that_fails_on_a_mutant_was_skipped() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/long/mutants");
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("left out: there is no python3");
        return;
    }
    let shop = Shop::new("cargo-test-mutants");
    let made = Command::new("python3")
        .arg(&script)
        .arg("--folder")
        .arg(&shop.folder)
        .args(["--mutants", "8", "--seed", "3", "--verbose", "--program"])
        .arg(env!("CARGO_BIN_EXE_cargo-ddtrace"))
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&made.stdout);
    assert!(
        made.status.success(),
        "{out}\n{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["mutants"], &last["unsafe"]),
        (&json!(8), &json!(0)),
        "{out}"
    );
}
