//! The program itself: `run`, `exec`, `agent`.
//!
//! What it runs is this test binary, which takes the part of the traced program when [`PART`] says so.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::client::{TestAgent, eventually, head, read_answer, try_send};
use crate::payload::{HEADERS, trace, v04};

/// Names what [`program`] shall do.
const PART: &str = "DDTRACE_TEST_PART";

/// The traced program. Without a part it is an empty test.
#[test]
fn program() {
    let Ok(part) = std::env::var(PART) else {
        return;
    };
    let mut chunks = vec![trace(1), trace(2)];
    if part.contains("violate") {
        chunks[0][1].set_meta("span.kind", b"SERVER");
    }
    if part.contains("fail") {
        chunks[0][1].error = 1;
        chunks[0][1].set_meta("error.type", b"shop::Declined");
    }
    if part.contains("send") {
        let mut headers = HEADERS.to_vec();
        headers.push(("x-datadog-trace-count", "2"));
        let body = v04(&chunks);
        let mut request = head("PUT", "/v0.4/traces", &headers, body.len());
        request.extend(&body);
        let url = std::env::var("DD_TRACE_AGENT_URL").unwrap();
        let answer = match url.strip_prefix("unix://") {
            Some(path) => speak(UnixStream::connect(path).unwrap(), &request),
            None => speak(
                TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap(),
                &request,
            ),
        };
        assert_eq!(answer, if part.contains("strict") { 400 } else { 200 });
    }
    if part.contains("environment") {
        for name in [
            "DD_TRACE_AGENT_URL",
            "DD_DOGSTATSD_URL",
            "DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS",
            "NO_PROXY",
        ] {
            println!("{name}={}", std::env::var(name).unwrap_or_default());
        }
    }
    if part.contains("wait") {
        println!("waiting");
        // Until a signal comes, or nobody is left who would send one.
        let parent = std::os::unix::process::parent_id();
        while std::os::unix::process::parent_id() == parent {
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        return;
    }
    if let Some(code) = part.split("exit").nth(1) {
        std::process::exit(code.parse().unwrap());
    }
    if part.contains("abort") {
        std::process::abort();
    }
}

fn speak(mut stream: impl Read + Write, request: &[u8]) -> u16 {
    stream.write_all(request).unwrap();
    read_answer(&mut stream).unwrap().status
}

fn ddtrace(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-ddtrace"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars()
        .filter(|(name, _)| name.starts_with("DD_") || name.to_lowercase().ends_with("_proxy"))
    {
        command.env_remove(name);
    }
    command
}

/// `cargo ddtrace exec [ours] -- PROGRAM`, on any port.
fn exec(part: &str, ours: &[&str]) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut arguments = vec!["exec", "--port", "0"];
    arguments.extend(ours);
    arguments.extend([
        "--",
        this.to_str().unwrap(),
        "--exact",
        "run::program",
        "--nocapture",
    ]);
    let mut command = ddtrace(&arguments);
    command.env(PART, part);
    command
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The last line of standard output.
fn summary(output: &Output) -> Value {
    let lines = lines(&output.stdout);
    let last = lines
        .last()
        .unwrap_or_else(|| panic!("no output: {}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
}

#[test]
fn once_ends_with_a_summary_and_the_status_of_the_program() {
    let output = exec("send fail exit5", &["--once", "--summary", "json"])
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(5),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let summary = summary(&output);
    for (key, value) in [
        ("traces", json!(2)),
        ("spans", json!(4)),
        ("services", json!(["shop"])),
        ("errors", json!(1)),
        ("rejected_payloads", json!(0)),
        ("dropped_chunks", json!(0)),
        ("dropped", json!(0)),
        ("problems", json!({})),
        ("evicted", json!(0)),
        ("requests", json!({"/v0.4/traces": 1})),
        ("products", json!(["tracing"])),
        ("exit", json!(5)),
        ("signal", json!(null)),
    ] {
        assert_eq!(summary[key], value, "{key}");
    }
    assert!(summary["duration_ms"].is_u64());
    for line in lines(&output.stderr)
        .iter()
        .filter(|line| line.contains("viewer"))
    {
        assert!(
            line.starts_with("ddtrace: viewer http://localhost:"),
            "{line}"
        );
    }
}

#[test]
fn the_summary_in_words_goes_to_standard_error() {
    let output = exec("send fail", &["--once"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("ddtrace: 2 traces, 4 spans, 1 errors from shop"),
        "{words}"
    );
    assert!(
        words.contains("most frequent error: shop::Declined, 1 times"),
        "{words}"
    );
    assert!(words.contains("slowest: shop GET /cart/{id}"), "{words}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("ddtrace:"));
    let silent = exec("send", &["--once", "--summary", "none"])
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&silent.stderr).contains("traces,"));
}

#[test]
fn statuses_are_those_of_the_program_or_say_what_happened() {
    let cases: [(&str, &[&str], i32); 6] = [
        ("exit0", &["--once"], 0),
        ("exit9", &["--once"], 9),
        ("abort", &["--once"], 128 + 6),
        ("wait", &["--once", "--timeout", "300ms"], 124),
        ("send violate strict", &["--once", "--strict"], 3),
        ("send violate strict exit4", &["--once", "--strict"], 4),
    ];
    for (part, ours, status) in cases {
        let output = exec(part, ours).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(status),
            "{part}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let violation = exec("send violate", &["--once", "--summary", "json"])
        .output()
        .unwrap();
    assert_eq!(violation.status.code(), Some(0));
    assert_eq!(summary(&violation)["problems"], json!({"values.kind": 1}));
    let signalled = exec("abort", &["--once", "--summary", "json"])
        .output()
        .unwrap();
    let summary = summary(&signalled);
    assert_eq!(
        (&summary["exit"], &summary["signal"]),
        (&json!(null), &json!(6))
    );
}

#[test]
fn our_own_errors_end_with_2() {
    for arguments in [
        &["exec", "--once"][..],
        &["exec", "--port", "many", "--", "true"],
        &["run", "--summary", "yaml"],
        &["agent", "--listen", "0.0.0.0", "--port", "0"],
        &["no-such-command"],
        &[
            "exec",
            "--forward",
            "https://x",
            "--port",
            "0",
            "--",
            "true",
        ],
    ] {
        let output = ddtrace(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let missing = ddtrace(&["exec", "--port", "0", "--once", "--", "/no/such/program"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot start /no/such/program"));
}

#[test]
fn the_program_is_led_to_us() {
    let output = exec("environment", &["--once", "--summary", "json"])
        .env("DD_TRACE_AGENT_URL", "http://elsewhere:1")
        .env("HTTP_PROXY", "http://proxy:3128")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |name: &str| {
        let line = out
            .lines()
            .find_map(|line| line.split(&format!("{name}=")).nth(1));
        line.unwrap_or_else(|| panic!("{name} in {out}")).to_owned()
    };
    let port = value("DD_TRACE_AGENT_URL")
        .strip_prefix("http://127.0.0.1:")
        .unwrap()
        .to_owned();
    assert_eq!(value("DD_DOGSTATSD_URL"), format!("udp://127.0.0.1:{port}"));
    assert_eq!(value("DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS"), "1");
    assert_eq!(value("NO_PROXY"), "localhost,127.0.0.1,::1");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains(
            "ddtrace: DD_TRACE_AGENT_URL=http://elsewhere:1 is replaced by http://127.0.0.1:"
        ),
        "{words}"
    );
}

#[test]
fn the_program_may_send_over_a_socket() {
    let folder = std::env::temp_dir().join(format!("ddtrace-run-{}", std::process::id()));
    let path = folder.join("s");
    let output = exec(
        "send",
        &[
            "--once",
            "--summary",
            "json",
            "--socket",
            path.to_str().unwrap(),
        ],
    )
    .output()
    .unwrap();
    assert_eq!(
        summary(&output)["spans"],
        4,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!folder.exists());
    let output = exec("send", &["--summary", "json", "--socket", "--once"])
        .output()
        .unwrap();
    assert_eq!(
        summary(&output)["spans"],
        4,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Both ways of calling, with cargo's arguments passed on as they are.
#[test]
fn run_builds_and_runs_a_package_outside_of_this_workspace() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hello");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hello");
    for first in [&["ddtrace", "run"][..], &["run"]] {
        let mut arguments = first.to_vec();
        arguments.extend([
            "--port",
            "0",
            "--once",
            "--summary",
            "json",
            "--quiet",
            "--offline",
            "--",
            "--port",
            "x",
        ]);
        let output = ddtrace(&arguments)
            .current_dir(&fixture)
            .env("CARGO_TARGET_DIR", &target)
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(7),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = lines(&output.stdout);
        assert!(lines[0].starts_with("url=http://127.0.0.1:"), "{lines:?}");
        assert_eq!(lines[1], "arguments=--port,x");
        assert_eq!(summary(&output)["exit"], 7);
    }
    // A build error is cargo's own, and nothing is summed up.
    let output = ddtrace(&[
        "run",
        "--port",
        "0",
        "--once",
        "--summary",
        "json",
        "--quiet",
        "--offline",
        "--bin",
        "nothing",
    ])
    .current_dir(&fixture)
    .env("CARGO_TARGET_DIR", &target)
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(101));
    assert_eq!(output.stdout, b"");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no bin target named"));
}

/// A program that is ended when the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.0.id())])
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn status(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the end", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    /// Reads standard error up to a line that holds `text`.
    fn hears(&mut self, text: &str) -> String {
        let mut reader = BufReader::new(self.0.stderr.as_mut().unwrap());
        loop {
            let mut line = String::new();
            assert!(
                reader.read_line(&mut line).unwrap() > 0,
                "it never said {text:?}"
            );
            if line.contains(text) {
                return line;
            }
        }
    }

    fn waits(&mut self) {
        let mut reader = BufReader::new(self.0.stdout.as_mut().unwrap());
        let mut line = String::new();
        while !line.contains("waiting") {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "it never waited");
        }
    }
}

#[test]
fn signals_are_passed_on() {
    for (signal, status) in [("TERM", 128 + 15), ("HUP", 128 + 1)] {
        let mut running = Running(exec("wait", &["--once"]).spawn().unwrap());
        running.waits();
        running.signal(signal);
        assert_eq!(running.status(), Some(status), "{signal}");
    }
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let mut running = Running(exec("wait", &["--once"]).spawn().unwrap());
    running.waits();
    // The program does not see these: they go to us alone, not to a terminal's group.
    // Two that come together may count as one, hence as often as it takes.
    eventually("the end", || {
        running.signal("INT");
        running.0.try_wait().unwrap().is_some()
    });
    assert_eq!(running.status(), Some(130));
    let mut words = String::new();
    running
        .0
        .stderr
        .as_mut()
        .unwrap()
        .read_to_string(&mut words)
        .unwrap();
    assert!(!words.contains("did not end within"), "{words}");
}

#[test]
fn without_once_the_viewer_stays() {
    let mut running = Running(exec("send exit6", &[]).spawn().unwrap());
    let line = running.hears("stays until Ctrl-C");
    let port: u16 = line
        .split("localhost:")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let address = ([127, 0, 0, 1], port).into();
    let list = try_send(address, "GET", "/api/traces", &[], b"")
        .unwrap()
        .json();
    assert_eq!(list["total"], 2);
    running.signal("INT");
    assert_eq!(running.status(), Some(6));
}

#[test]
fn a_taken_port_is_told_and_another_one_found() {
    // On a machine where 8126 is free somebody takes it; where it is not, somebody has.
    let _holder = TcpListener::bind(("127.0.0.1", 8126));
    let this = std::env::current_exe().unwrap();
    let arguments = [
        "exec",
        "--once",
        "--",
        this.to_str().unwrap(),
        "--exact",
        "run::program",
    ];
    let output = ddtrace(&arguments).env(PART, "exit0").output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("ddtrace: port 8126 is held by "), "{words}");
    assert!(words.contains("; listening on "), "{words}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn another_of_us_can_be_attached_to() {
    let agent = TestAgent::new();
    let port = agent.address().port().to_string();
    let this = std::env::current_exe().unwrap();
    let arguments = [
        "exec",
        "--attach",
        "--port",
        &port,
        "--",
        this.to_str().unwrap(),
        "--exact",
        "run::program",
    ];
    let output = ddtrace(&arguments)
        .env(PART, "send exit3")
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(agent.json("/api/traces")["total"], 2);
    let nobody = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let output = ddtrace(&["exec", "--attach", "--port", &nobody, "--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_agent_announces_itself() {
    let mut running = Running(
        ddtrace(&["ddtrace", "agent", "--port", "0", "--announce", "json"])
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(running.0.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let announced: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(announced["pid"], running.0.id());
    let address = announced["addresses"][0].as_str().unwrap().parse().unwrap();
    let token = announced["token"].as_str().unwrap();
    let headers = [
        ("content-type", "application/json"),
        ("x-ddtrace-token", token),
    ];
    assert_eq!(
        try_send(address, "POST", "/api/clear", &headers, b"{}")
            .unwrap()
            .status,
        200
    );
    running.signal("TERM");
    assert_eq!(running.status(), Some(0));
}
