//! What the agent takes in, what it costs, and how fast it is searched: the figures of `local-agent.md` §7.
//!
//! `taskset -c 0 cargo bench -p cargo-ddtrace` measures one core: the client that sends runs on it, too, so its cost (a copy of
//! ready bytes) is within the figure. With `--test` it only shows that everything runs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use cargo_ddtrace::agent::{Agent, Options};
use cargo_ddtrace::store::Limits;

const SPANS_PER_TRACE: usize = 20;
const TRACES: usize = 50;

fn now() -> i64 {
    std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_nanos() as i64)
}

/// A payload of v0.4 of spans with 8 text tags and 3 numbers; returns it with the places of its trace ids, which are counted
/// up before each sending, and of the values that are to be unique.
fn payload(unique: usize) -> (Vec<u8>, Vec<usize>, Vec<usize>) {
    let (mut body, mut ids, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let text = |body: &mut Vec<u8>, text: &str| rmp::encode::write_str(body, text).unwrap();
    let start = now();
    rmp::encode::write_array_len(&mut body, TRACES as u32).unwrap();
    for trace in 0..TRACES {
        rmp::encode::write_array_len(&mut body, SPANS_PER_TRACE as u32).unwrap();
        for span in 0..SPANS_PER_TRACE {
            rmp::encode::write_map_len(&mut body, 11).unwrap();
            for (key, value) in [
                ("service", "storefront"),
                (
                    "name",
                    if span == 0 {
                        "web.request"
                    } else {
                        "cart.price"
                    },
                ),
                (
                    "resource",
                    if span == 0 {
                        "GET /cart/{id}"
                    } else {
                        "select * from items where cart = ?"
                    },
                ),
                ("type", if span == 0 { "web" } else { "sql" }),
            ] {
                text(&mut body, key);
                text(&mut body, value);
            }
            text(&mut body, "trace_id");
            ids.push(body.len() + 1);
            rmp::encode::write_u64(&mut body, trace as u64 + 1).unwrap();
            text(&mut body, "span_id");
            rmp::encode::write_u64(&mut body, (trace * 1000 + span) as u64 + 1).unwrap();
            text(&mut body, "parent_id");
            rmp::encode::write_u64(
                &mut body,
                if span == 0 {
                    0
                } else {
                    (trace * 1000) as u64 + 1
                },
            )
            .unwrap();
            text(&mut body, "start");
            rmp::encode::write_i64(&mut body, start + span as i64 * 1000).unwrap();
            text(&mut body, "duration");
            rmp::encode::write_i64(&mut body, 1_000_000).unwrap();
            text(&mut body, "meta");
            let tags: [(&str, &str); 8] = [
                ("env", "prod"),
                ("version", "1.2.3"),
                ("component", if span == 0 { "axum" } else { "sqlx" }),
                ("db.system", "postgresql"),
                ("out.host", "db-1.internal"),
                ("language", "rust"),
                ("runtime-id", "6f0c9bd3-0000-4000-8000-0123456789ab"),
                ("_dd.p.dm", "-1"),
            ];
            let own = if span == 0 { 8 } else { 5 };
            rmp::encode::write_map_len(&mut body, 8).unwrap();
            for (key, value) in &tags[..own] {
                text(&mut body, key);
                text(&mut body, value);
            }
            for n in own..8 {
                text(
                    &mut body,
                    ["db.user", "db.name", "code.function"][8 - n - 1],
                );
                if 8 - n <= unique {
                    values.push(body.len() + 1);
                    text(&mut body, "value-0000000000000000");
                } else {
                    text(&mut body, "shop::cart::price_of_all");
                }
            }
            text(&mut body, "metrics");
            let numbers: [(&str, f64); 3] = if span == 0 {
                [
                    ("_sampling_priority_v1", 1.0),
                    ("_dd.top_level", 1.0),
                    ("process_id", 42.0),
                ]
            } else {
                [("db.rows", 3.0), ("items", 7.0), ("retries", 0.0)]
            };
            rmp::encode::write_map_len(&mut body, 3).unwrap();
            for (key, value) in numbers {
                text(&mut body, key);
                rmp::encode::write_f64(&mut body, value).unwrap();
            }
        }
    }
    (body, ids, values)
}

struct Client {
    stream: TcpStream,
}

impl Client {
    fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream }
    }

    fn request(&mut self, head: &str, body: &[u8]) -> Vec<u8> {
        self.stream.write_all(head.as_bytes()).unwrap();
        self.stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 64 << 10];
        loop {
            let n = self.stream.read(&mut buffer).unwrap();
            assert!(n > 0, "the connection ended");
            answer.extend_from_slice(&buffer[..n]);
            let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap();
            if answer.len() == end + 4 + length {
                assert!(
                    head.starts_with("http/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(&answer)
                );
                return answer.split_off(end + 4);
            }
        }
    }

    fn get(&mut self, path: &str) -> serde_json::Value {
        let body = self.request(
            &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            b"",
        );
        serde_json::from_slice(&body).unwrap()
    }
}

/// Resident memory of this process.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok())
        .unwrap_or(0)
        << 10
}

fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = [11, 12]
        .iter()
        .filter_map(|at| fields.get(*at)?.parse::<u64>().ok())
        .sum();
    ticks as f64 / 100.0
}

fn measure(name: &str, unique: usize, spans: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    // Room for everything, so that the figure is that of keeping.
    let limits = Limits {
        memory: 2 << 30,
        ..Limits::default()
    };
    let options = Options {
        port: Some(0),
        limits,
        ..Options::default()
    };
    let agent = runtime.block_on(Agent::start(options)).unwrap();
    let (mut body, ids, values) = payload(unique);
    let mut client = Client::new(agent.addresses()[0]);
    let head = format!(
        "PUT /v0.4/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/msgpack\r\ndatadog-meta-lang: rust\r\n\
         datadog-meta-lang-version: 1\r\ndatadog-meta-tracer-version: 1\r\nx-datadog-trace-count: {TRACES}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let before = resident();
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let mut best = Duration::MAX;
    let rounds = spans.div_ceil(TRACES * SPANS_PER_TRACE);
    for round in 0..rounds {
        for (n, at) in ids.iter().enumerate() {
            let id = (round * TRACES + n / SPANS_PER_TRACE + 1) as u64;
            body[*at..*at + 8].copy_from_slice(&id.to_be_bytes());
        }
        for (n, at) in values.iter().enumerate() {
            let value = format!("{:016x}", round * values.len() + n);
            body[*at + 6..*at + 22].copy_from_slice(value.as_bytes());
        }
        let sent = Instant::now();
        client.request(&head, &body);
        best = best.min(sent.elapsed());
    }
    let (took, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let made = (rounds * TRACES * SPANS_PER_TRACE) as f64;
    let status = client.get("/api/status");
    assert_eq!(status["counts"]["spans"], made as u64);
    println!(
        "{name}: {} B per span on the wire",
        body.len() / (TRACES * SPANS_PER_TRACE)
    );
    println!(
        "  taken with all checks: {:.0} spans/s, {:.0} per CPU s, best payload {:.0} spans/s",
        made / took,
        made / cpu.max(0.01),
        (TRACES * SPANS_PER_TRACE) as f64 / best.as_secs_f64()
    );
    println!(
        "  memory: {:.0} B per span by its own count, {:.0} MB of bodies, {:.0} MB resident in all; problems {}",
        status["memory"]["spans"].as_f64().unwrap() / made,
        status["memory"]["requests"].as_f64().unwrap() / 1e6,
        (resident().saturating_sub(before)) as f64 / 1e6,
        status["counts"]["problems"],
    );
    for (what, path) in [
        (
            "tag substring, not there",
            "/api/traces?limit=10&q=internal.nowhere",
        ),
        (
            "tag substring, everywhere",
            "/api/traces?limit=10&q=internal",
        ),
        ("duration", "/api/traces?limit=10&q=%40duration%3A%3E2ms"),
        (
            "service and tag",
            "/api/traces?limit=10&q=service%3Astorefront%20%40retries%3A%3E5",
        ),
        ("list without a query", "/api/traces?limit=100"),
        ("services", "/api/services?window=all"),
        ("map", "/api/map?window=all"),
    ] {
        let took = (0..3)
            .map(|_| {
                let begun = Instant::now();
                client.get(path);
                begun.elapsed()
            })
            .min()
            .unwrap();
        println!("  {what}: {:.1} ms", took.as_secs_f64() * 1e3);
    }
}

fn main() {
    let only_shown = std::env::args().any(|argument| argument == "--test");
    let spans = if only_shown { 2_000 } else { 1_000_000 };
    measure("usual values", 0, spans);
    measure("two unique values per span", 2, spans);
}
