//! An agent in this process, and the smallest HTTP client that can do what tests need.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use cargo_ddtrace::agent::{Agent, Options};
use serde_json::Value;

/// A running agent with a runtime of its own.
pub(crate) struct TestAgent {
    pub(crate) agent: Agent,
    _runtime: tokio::runtime::Runtime,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl TestAgent {
    pub(crate) fn start(options: Options) -> TestAgent {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let agent = runtime
            .block_on(Agent::start(Options {
                port: Some(0),
                ..options
            }))
            .unwrap();
        TestAgent {
            agent,
            _runtime: runtime,
        }
    }

    pub(crate) fn new() -> TestAgent {
        TestAgent::start(Options::default())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.agent.addresses()[0]
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        try_send(self.address(), method, path, headers, body).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// A JSON answer that must be 200.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(
            answer.status,
            200,
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()
    }

    /// A changing call with everything that it needs.
    pub(crate) fn change(&self, method: &str, path: &str, body: &Value) -> Answer {
        let token = self.agent.shared().token().to_owned();
        let headers = [
            ("content-type", "application/json"),
            ("x-ddtrace-token", &token),
        ];
        self.send(method, path, &headers, body.to_string().as_bytes())
    }

    /// The rules that found something, sorted.
    pub(crate) fn problems(&self) -> Vec<String> {
        let body = self.json("/api/problems");
        let mut rules: Vec<String> = body["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["rule"].as_str().unwrap().to_owned())
            .collect();
        rules.sort();
        rules
    }
}

/// One request on a connection of its own. `host` and `content-length` are added unless they are given; an empty
/// value leaves the header out.
pub(crate) fn try_send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(&head(method, path, headers, body.len()))?;
    stream.write_all(body)?;
    read_answer(&mut stream)
}

pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    let given = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !given("host") {
        text += "host: localhost:8126\r\n";
    }
    if !given("content-length") && (length > 0 || method != "GET") {
        text += &format!("content-length: {length}\r\n");
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "\r\n").into_bytes()
}

/// Reads to the end of the connection; a body that breaks off is an error.
pub(crate) fn read_answer(stream: &mut impl Read) -> std::io::Result<Answer> {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    let broken = |what: &str| {
        std::io::Error::other(format!("{what}: {:?}", String::from_utf8_lossy(&bytes)))
    };
    let split = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(|| broken("no headers"))?;
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| broken("no status"))?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let body = bytes[split + 4..].to_vec();
    let answer = Answer {
        status,
        headers,
        body,
    };
    end?;
    if let Some(length) = answer
        .header("content-length")
        .and_then(|length| length.parse::<usize>().ok())
    {
        if length != answer.body.len() {
            return Err(broken("the body breaks off"));
        }
    } else if answer.header("transfer-encoding") == Some("chunked") {
        let Some(body) = unchunk(&answer.body) else {
            return Err(broken("the chunks break off"));
        };
        return Ok(Answer { body, ..answer });
    }
    Ok(answer)
}

fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?, 16).ok()?;
        bytes = &bytes[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size + 2..)?;
    }
}

/// Polls until `done` holds.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}
