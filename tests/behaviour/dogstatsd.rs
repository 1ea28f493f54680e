//! Metrics arrive at whoever listens where DogStatsD would, over each kind of socket.

use crate::program;
use ddtrace_tests::{process, wait};
use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::net::{UnixDatagram, UnixListener};

/// An agent that nobody listens at: metrics do not need one.
const NO_AGENT: &str = "http://127.0.0.1:9";

/// What the program sends, whatever order it arrives in.
const EACH_KIND: &[&str] = &[
    "_e{8,8}:deployed|one\\ntwo|t:success|#env:prod,service:tests|e:x",
    "_sc|database|0|#env:prod,service:tests|e:x",
    "depth:2.5|g|#env:prod,service:tests|e:x",
    "orders:-1|c|#env:prod,service:tests|e:x",
    "orders:2|c|#env:prod,service:tests,currency:eur|e:x",
    "rows:7|h|#env:prod,service:tests|e:x",
    "size:8|d|#env:prod,service:tests|e:x",
    "then:1|g|#env:prod,service:tests|e:x|T1700000000",
    "took:3|ms|#env:prod,service:tests|e:x",
    "users:alice_bob|s|#env:prod,service:tests|e:x",
];

fn run(program: &str, url: &str) {
    let mut command = program::command(&[program], NO_AGENT);
    command
        .env("DD_DOGSTATSD_URL", url)
        .env("DD_ENV", "prod")
        .env("DD_EXTERNAL_ENV", "x")
        .env("DD_ORIGIN_DETECTION_ENABLED", "false");
    process::run(&mut command).report();
}

/// Lines of datagrams that have arrived, sorted. The program has ended, so they are all there.
fn lines(mut receive: impl FnMut(&mut [u8]) -> std::io::Result<usize>) -> Vec<String> {
    let mut buffer = vec![0; 65_536];
    let mut lines = Vec::new();
    while let Ok(length) = receive(&mut buffer) {
        let text = std::str::from_utf8(&buffer[..length]).expect("it is text");
        lines.extend(text.lines().map(str::to_owned));
    }
    lines.sort();
    lines
}

#[test]
fn every_kind_of_metric_arrives_over_udp() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.set_nonblocking(true).expect("it can");
    let port = socket.local_addr().expect("it is bound").port();
    run("metrics", &format!("udp://127.0.0.1:{port}"));
    assert_eq!(lines(|buffer| socket.recv(buffer)), EACH_KIND);
}

#[test]
fn every_kind_of_metric_arrives_over_a_unix_socket() {
    let folder = Folder::new("datagram");
    let socket = UnixDatagram::bind(folder.socket()).expect("it is free");
    socket.set_nonblocking(true).expect("it can");
    run("metrics", &folder.url());
    assert_eq!(lines(|buffer| socket.recv(buffer)), EACH_KIND);
}

#[test]
fn every_kind_of_metric_arrives_over_a_stream() {
    let folder = Folder::new("stream");
    let listener = UnixListener::bind(folder.socket()).expect("it is free");
    run("metrics", &folder.url());
    let (mut stream, _) = listener.accept().expect("the program has connected");
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("it has ended");
    let mut rest = received.as_slice();
    let all = lines(|buffer| {
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        let (datagram, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        rest = after;
        buffer[..datagram.len()].copy_from_slice(datagram);
        Ok(datagram.len())
    });
    assert_eq!(all, EACH_KIND);
}

/// Many times: the fork comes right after `init()`, wherever the worker is then.
#[test]
fn a_forked_child_has_a_client_of_its_own() {
    for _ in 0..20 {
        fork_once();
    }
}

fn fork_once() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.set_nonblocking(true).expect("it can");
    let port = socket.local_addr().expect("it is bound").port();
    run("metrics-forked", &format!("udp://127.0.0.1:{port}"));
    let names: Vec<_> = lines(|buffer| socket.recv(buffer))
        .into_iter()
        .map(|line| line.split(':').next().unwrap_or_default().to_owned())
        .collect();
    // Each once: what waited when the process was forked is the parent's.
    assert_eq!(names, ["before.fork", "in.child", "in.parent"]);
}

#[test]
fn metrics_of_process_and_tracer_arrive() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.set_nonblocking(true).expect("it can");
    let port = socket.local_addr().expect("it is bound").port();
    let mut command = program::command(&["metrics-waiting"], NO_AGENT);
    command
        .env("DD_DOGSTATSD_URL", format!("udp://127.0.0.1:{port}"))
        .env("DD_ORIGIN_DETECTION_ENABLED", "false")
        .env("DD_RUNTIME_METRICS_ENABLED", "true")
        .env("DD_TRACE_HEALTH_METRICS_ENABLED", "true");
    let mut process = process::Process::start(&mut command);
    process.line("ready");
    let mut all = Vec::new();
    wait::until("metrics of the process", || {
        all.extend(lines(|buffer| socket.recv(buffer)));
        all.iter()
            .any(|line| line.starts_with("runtime.rust.cpu.time.sys:"))
            .then_some(())
    });
    process.end();
    all.extend(lines(|buffer| socket.recv(buffer)));
    for name in ["cpu.percent", "mem.rss", "thread_count"] {
        let prefix = format!("runtime.rust.{name}:");
        let found = all.iter().any(|line| line.starts_with(&prefix));
        assert!(found, "no {name} in {all:#?}");
    }
    // Counted over all reports, of which there are at least two.
    for (name, expected) in [
        ("writer.accepted.traces", 1),
        ("buffer.accepted.traces", 1),
        ("buffer.accepted.spans", 3),
        // Nobody listens there: three tries, and the trace is lost.
        ("http.requests", 3),
        ("http.errors", 3),
        ("http.dropped.traces", 1),
    ] {
        let prefix = format!("datadog.tracer.{name}:");
        let sum: u64 = all
            .iter()
            .filter_map(|line| {
                line.strip_prefix(&prefix)?
                    .split_once('|')?
                    .0
                    .parse::<u64>()
                    .ok()
            })
            .sum();
        assert_eq!(sum, expected, "{name} in {all:#?}");
    }
    let heartbeat = "datadog.tracer.heartbeat:1|d|#service:tests,lang:rust,lang_version:";
    let heartbeats = all.iter().filter(|line| line.starts_with(heartbeat));
    assert!(heartbeats.count() >= 2, "{all:#?}");
}

/// A folder for a socket, gone with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("dsd-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("it can be made");
        Folder(path)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.0.join("dsd.socket")
    }

    fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
