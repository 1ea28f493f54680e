//! A small workspace with every kind of test, written and compiled once for all tests here.
//!
//! What a test does is chosen by the environment (`SAMPLE=abort`), so nothing has to be compiled twice.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Far more than anything here takes, even on a machine that does much else.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);

const FILES: [(&str, &str); 8] = [
    (
        "Cargo.toml",
        "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\nmembers = [\"older\"]\n\
         [profile.dev]\ndebug = false\n[[test]]\nname = \"own\"\nharness = false\n",
    ),
    (
        "src/lib.rs",
        r#"//! A sample.
//!
//! ```
//! assert_eq!(sample::twice(2), 4);
//! ```

/// Doubles.
///
/// ```
/// assert_eq!(sample::twice(1), 2);
/// ```
///
/// ```should_panic
/// assert_eq!(sample::twice(1), 3);
/// ```
///
/// ```ignore
/// no code
/// ```
pub fn twice(n: u32) -> u32 {
    n * 2
}

#[cfg(test)]
mod tests {
    #[test]
    fn passes() {}

    #[test]
    fn fails() {
        println!("before it fails");
        assert_eq!(super::twice(1), 3, "they differ");
    }

    #[test]
    #[should_panic]
    fn panics() {
        panic!("as it should");
    }

    #[test]
    #[should_panic]
    fn misses_its_panic() {}

    #[test]
    #[should_panic(expected = "one thing")]
    fn panics_wrongly() {
        panic!("another thing");
    }

    #[test]
    #[ignore = "it is slow"]
    fn ignored() {}

    #[test]
    fn errs() -> Result<(), String> {
        eprintln!("before it errs");
        Err("no luck".into())
    }

    #[test]
    fn thread_panics() {
        std::thread::spawn(|| panic!("in a thread")).join().unwrap();
    }

    mod nested {
        macro_rules! checks {
            ($($name:ident => $value:expr),* $(,)?) => { $(#[test] fn $name() { assert!($value); })* };
        }
        checks! {
            one => 1 + 1 == 2,
            two => {
                super::super::twice(1) == 2
            },
        }
    }
}
"#,
    ),
    (
        "tests/behaves.rs",
        r#"fn wants(what: &str) -> bool {
    std::env::var("SAMPLE").is_ok_and(|wanted| wanted == what)
}

/// Whether this is the first time that this is asked, over all processes.
fn is_first() -> bool {
    let path = std::path::PathBuf::from(std::env::var_os("SAMPLE_FLAG").unwrap());
    std::fs::OpenOptions::new().write(true).create_new(true).open(path).is_ok()
}

#[test]
fn calm() {}

#[test]
fn misbehaves() {
    if wants("abort") {
        std::process::abort();
    }
    if wants("exit") {
        std::process::exit(7);
    }
    if wants("exit0") {
        std::process::exit(0);
    }
    if wants("overflow") {
        fn deep(n: u64) -> u64 { let a = [n; 512]; if n == 0 { 0 } else { deep(n - 1) + std::hint::black_box(a)[3] } }
        std::process::exit((deep(u64::MAX) % 2) as i32);
    }
    if wants("group") {
        let status = std::process::Command::new("sh").args(["-c", "kill -9 0"]).status().unwrap();
        panic!("the group lives: {status}");
    }
    if wants("hang") {
        println!("it hangs");
        if let Some(path) = std::env::var_os("SAMPLE_FLAG") {
            std::fs::write(path, std::process::id().to_string()).unwrap();
        }
        loop { std::thread::park(); }
    }
    if wants("leak") {
        std::process::Command::new("sleep").arg("60").spawn().unwrap();
    }
    if wants("flaky") && is_first() {
        panic!("the first time");
    }
    if wants("broken") {
        panic!("every time");
    }
}

#[test]
fn writes() {
    use std::io::Write as _;
    let mut out = std::io::stdout();
    if wants("much") {
        // Past libtest's capture.
        let line = [b'x'; 1024];
        let mut out = std::fs::OpenOptions::new().write(true).open("/dev/stdout").unwrap();
        for _ in 0..100 << 10 {
            out.write_all(&line).unwrap();
        }
        out.write_all(b"\n").unwrap();
    }
    if wants("captured") {
        for _ in 0..20_000 {
            println!("{}", "y".repeat(1000));
        }
        panic!("after much");
    }
    if wants("bytes") {
        out.write_all(b"\xff\xfe not text \x80\n").unwrap();
        out.flush().unwrap();
        panic!("after bytes");
    }
    if wants("fake") {
        let mut out = std::fs::OpenOptions::new().write(true).open("/dev/stdout").unwrap();
        out.write_all(b"test calm ... FAILED\ntest result: FAILED. 9 passed; 9 failed\n\n").unwrap();
    }
}

#[test]
fn sees_nothing_of_ours() {
    for (name, value) in std::env::vars() {
        // By these a test that wants to can say something.
        let is_for_tests = ["_DD_TEST_RUN", "_DD_TEST_SPAN"].contains(&name.as_str());
        let is_ours = name.contains("RUSTC_BOOTSTRAP") || (name.starts_with("_DD_") && !is_for_tests) || name.ends_with("_RUNNER") || name == "RUSTDOC";
        assert!(!is_ours, "{name}={value}");
    }
}
"#,
    ),
    (
        "tests/own.rs",
        "fn main() {\n    let words: Vec<String> = std::env::args().skip(1).collect();\n    println!(\"own main: {words:?}\");\n    \
         if std::env::var(\"SAMPLE\").is_ok_and(|wanted| wanted == \"own\") { std::process::exit(9); }\n}\n",
    ),
    (
        "older/Cargo.toml",
        "[package]\nname = \"older\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    ),
    (
        "older/src/lib.rs",
        "/// ```\n/// assert!(older::yes());\n/// ```\npub fn yes() -> bool { true }\n\n#[test]\nfn at_the_root() { assert!(yes()); }\n",
    ),
    (
        "older/src/main.rs",
        "fn main() {}\n\n#[test]\nfn of_the_binary() {}\n",
    ),
    (".gitignore", "/target\n"),
];

/// The workspace.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // Under the workspace's own target folder, so that a second run compiles nothing.
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cargo-test-sample");
        for (path, text) in FILES {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
                continue;
            }
            std::fs::write(&path, text).unwrap();
        }
        let built = plain(&folder)
            .args(["test", "--offline", "--workspace", "--no-run"])
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        folder
    })
}

/// A program in the workspace, with nothing of this test's own environment that would change it.
fn program(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let keeps = ["CARGO_HOME", "CARGO_NET_OFFLINE"].contains(&text.as_ref());
        let is_ours = [
            "DD_", "_DD_", "CARGO", "RUST_", "RUSTC", "RUSTDOC", "NEXTEST", "GIT", "CI",
        ]
        .iter()
        .any(|start| text.starts_with(start));
        if is_ours && !keeps {
            command.env_remove(&name);
        }
    }
    command
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Cargo in the workspace.
pub(crate) fn plain(folder: &Path) -> Command {
    program("cargo", folder)
}

/// Our command in the workspace; nothing listens where it would report to.
pub(crate) fn ddtrace(words: &[&str]) -> Command {
    ddtrace_in(folder(), words)
}

/// The same in another folder.
pub(crate) fn ddtrace_in(folder: &Path, words: &[&str]) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_cargo-ddtrace"), folder);
    command
        .arg("ddtrace")
        .args(words)
        .env("DD_TRACE_AGENT_URL", "http://127.0.0.1:9");
    command
}

/// What a program wrote and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The summary, the last line.
    pub(crate) fn summary(&self) -> serde_json::Value {
        let text = self.text();
        let line = text.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{}", self.err))
    }
}

/// Runs a command to its end, at most until the deadline.
pub(crate) fn run(mut command: Command) -> Ended {
    let child = command.spawn().unwrap();
    wait(child)
}

pub(crate) fn wait(mut child: Child) -> Ended {
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let out = read(Box::new(child.stdout.take().unwrap()));
    let err = read(Box::new(child.stderr.take().unwrap()));
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    Ended {
        status,
        out: out.join().unwrap(),
        err: String::from_utf8_lossy(&err.join().unwrap()).into_owned(),
    }
}

/// Waits until something holds.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
