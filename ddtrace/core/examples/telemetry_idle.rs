//! What telemetry costs a program that does nothing: `cargo run --release -p ddtrace-core --example telemetry_idle [seconds]`.
//!
//! Runs the tracer against an agent in the same process, without and with telemetry, and prints the time that the worker's
//! thread was on a processor and the bytes that were sent. Signs of life come every sixth of a second, so that a minute has
//! as many windows of metrics as an hour, and six times as many signs of life. Linux only.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ddtrace_core::worker::Builder;

/// Seconds between two signs of life, in this run.
const INTERVAL: f64 = 1.0 / 6.0;

/// Windows of metrics and signs of life in an hour of a usual program.
const PER_HOUR: (f64, f64) = (360.0, 60.0);

#[derive(Default)]
struct Received {
    requests: AtomicU64,
    bytes: AtomicU64,
    /// Of the largest request, which is the start.
    largest: AtomicU64,
}

/// Takes telemetry and nothing else.
fn serve(mut stream: TcpStream, received: &Received) -> std::io::Result<()> {
    let mut got = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        let Some(end) = got.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                count => got.extend_from_slice(&buffer[..count]),
            }
            continue;
        };
        let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let whole = end + 4 + length.and_then(|length| length.parse().ok()).unwrap_or(0);
        while got.len() < whole {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                count => got.extend_from_slice(&buffer[..count]),
            }
        }
        let is_telemetry = head.contains("/telemetry/");
        if is_telemetry {
            let size = whole as u64;
            received.requests.fetch_add(1, Ordering::Relaxed);
            received.bytes.fetch_add(size, Ordering::Relaxed);
            received.largest.fetch_max(size, Ordering::Relaxed);
        }
        got.drain(..whole);
        let status = if is_telemetry {
            "202 Accepted"
        } else {
            "404 Not Found"
        };
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes())?;
    }
}

/// Nanoseconds that the worker's thread was on a processor.
fn on_processor() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("a Linux system");
    let of_worker = threads.flatten().filter(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        name.trim() == "ddtrace"
    });
    let times = of_worker.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    times.sum()
}

/// Runs for a while, and gives the time in nanoseconds and what came.
fn run(telemetry: bool, seconds: u64) -> (u64, Arc<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let received = Arc::new(Received::default());
    let counting = Arc::clone(&received);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counting = Arc::clone(&counting);
            thread::spawn(move || serve(stream, &counting));
        }
    });
    let guard = Builder::new()
        .service("idle")
        .agent_url(format!("http://{address}"))
        .set("DD_REMOTE_CONFIGURATION_ENABLED", "false")
        .set(
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED",
            telemetry.to_string(),
        )
        .set("DD_TELEMETRY_HEARTBEAT_INTERVAL", INTERVAL.to_string())
        .init();
    // The start is over.
    thread::sleep(Duration::from_secs(2));
    let before = on_processor();
    let first = received.bytes.load(Ordering::Relaxed);
    thread::sleep(Duration::from_secs(seconds));
    let used = on_processor() - before;
    let beats = received.bytes.load(Ordering::Relaxed) - first;
    received.bytes.store(beats, Ordering::Relaxed);
    drop(guard);
    (used, received)
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let seconds: u64 = seconds.unwrap_or(60);
    let (without, _) = run(false, seconds);
    let (with, received) = run(true, seconds);
    let turns = seconds as f64 / INTERVAL;
    let own = with.saturating_sub(without) as f64;
    let bytes = received.bytes.load(Ordering::Relaxed) as f64;
    println!(
        "worker without telemetry: {:.3} ms in {seconds} s",
        without as f64 / 1e6
    );
    println!(
        "worker with telemetry:    {:.3} ms in {seconds} s, {turns:.0} signs of life",
        with as f64 / 1e6
    );
    let (windows, beats) = PER_HOUR;
    println!(
        "processor: at most {:.4} s per hour",
        own / turns * windows / 1e9
    );
    println!(
        "sent: {:.0} bytes per hour, and once {} at the start",
        bytes / turns * beats,
        received.largest.load(Ordering::Relaxed)
    );
}
