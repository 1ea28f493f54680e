//! A backend that answers as a test wants it to: well, slowly, wrongly, or not at all.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// How a request is answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// With this status and body.
    Status(u16, String),
    /// The connection stays open and silent.
    Silence,
    /// It is closed.
    Closed,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The body as a program of its own inflates it, or as it is.
    pub(crate) fn inflated(&self) -> Vec<u8> {
        if !self.body.starts_with(&[0x1f, 0x8b]) {
            return self.body.clone();
        }
        gunzip(&self.body)
    }
}

pub(crate) fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-dc")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// What a well-meaning backend answers.
pub(crate) fn good(path: &str) -> Answer {
    let body = match path {
        "/info" => json!({"endpoints": ["/evp_proxy/v4/"]}),
        path if path.ends_with("/setting") => {
            json!({"data": {"id": "x", "type": "x", "attributes": {
                "itr_enabled": true, "tests_skipping": true, "code_coverage": false, "known_tests_enabled": true,
                "early_flake_detection": {"enabled": true}, "test_management": {"enabled": true},
            }}})
        }
        path if path.ends_with("/ci/libraries/tests") => {
            json!({"data": {"id": "x", "type": "x", "attributes": {"tests": {"older": {"older": ["at_the_root"]}, "older::bin/older": {"older": ["of_the_binary"]}}}}})
        }
        path if path.ends_with("/test-management/tests") => {
            json!({"data": {"id": "x", "type": "x", "attributes": {"modules": {}}}})
        }
        path if path.ends_with("/skippable") => {
            json!({"data": [], "meta": {"correlation_id": "c"}})
        }
        path if path.ends_with("/search_commits") => json!({"data": []}),
        _ => json!({}),
    };
    Answer::Status(200, body.to_string())
}

/// A backend on loopback; it goes on until the test process ends.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Intake {
    /// Starts one that answers by this function of the path.
    pub(crate) fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Intake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let intake = Intake {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
        };
        let (requests, answer) = (intake.requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, answer) = (requests.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &requests, &*answer));
            }
        });
        intake
    }

    /// The requests on paths that end so.
    pub(crate) fn requests(&self, end: &str) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        let wanted = requests
            .iter()
            .filter(|request| request.path.ends_with(end));
        wanted.cloned().collect()
    }

    /// Lets a command send here without an agent.
    pub(crate) fn agentless<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env_remove("DD_TRACE_AGENT_URL")
            .env("DD_CIVISIBILITY_AGENTLESS_ENABLED", "true")
            .env(
                "DD_CIVISIBILITY_AGENTLESS_URL",
                format!("http://127.0.0.1:{}", self.port),
            )
            .env("DD_API_KEY", "0".repeat(32));
        self.commit(command)
    }

    /// Lets a command take this for its agent.
    pub(crate) fn agent<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env(
            "DD_TRACE_AGENT_URL",
            format!("http://127.0.0.1:{}", self.port),
        );
        self.commit(command)
    }

    fn commit<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("DD_GIT_REPOSITORY_URL", "https://example.test/sample.git")
            .env("DD_GIT_COMMIT_SHA", "0".repeat(40))
            .env("DD_GIT_BRANCH", "main")
            .env("DD_CIVISIBILITY_GIT_UPLOAD_ENABLED", "false")
    }
}

fn serve(
    stream: TcpStream,
    requests: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&str) -> Answer + Sync),
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.is_empty() {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        requests.lock().unwrap().push(Request {
            path: path.clone(),
            body,
        });
        match answer(&path) {
            Answer::Status(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                if writer
                    .write_all(head.as_bytes())
                    .and_then(|()| writer.write_all(body.as_bytes()))
                    .is_err()
                {
                    return;
                }
            }
            Answer::Silence => {
                // Until the other side has had enough.
                let _ = writer.set_read_timeout(Some(Duration::from_secs(120)));
                let _ = reader.read(&mut [0; 1]);
                return;
            }
            Answer::Closed => return,
        }
    }
}

/// The MessagePack of every test event, decoded by a reader of its own.
pub(crate) fn events(requests: &[Request]) -> Vec<Value> {
    let mut all = Vec::new();
    for request in requests {
        let bytes = request.inflated();
        let mut at = 0;
        let payload = value(&bytes, &mut at);
        assert_eq!(at, bytes.len(), "bytes behind the payload");
        all.extend(payload["events"].as_array().unwrap().iter().cloned());
    }
    all
}

/// Reads one value; what the payloads do not use is not read.
fn value(bytes: &[u8], at: &mut usize) -> Value {
    let mut take = |count: usize| {
        *at += count;
        &bytes[*at - count..*at]
    };
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let head = take(1)[0];
    let (kind, count) = match head {
        0x00..=0x7f => return json!(head),
        0xe0..=0xff => return json!(head as i8),
        0x80..=0x8f => ("map", usize::from(head & 0x0f)),
        0x90..=0x9f => ("array", usize::from(head & 0x0f)),
        0xa0..=0xbf => ("text", usize::from(head & 0x1f)),
        0xc0 => return Value::Null,
        0xc2 | 0xc3 => return json!(head == 0xc3),
        0xcb => return json!(f64::from_bits(number(take(8)))),
        0xcc..=0xcf => return json!(number(take(1 << (head - 0xcc)))),
        0xd0..=0xd3 => {
            let size = 1 << (head - 0xd0);
            let shift = 64 - 8 * size as u32;
            return json!(((number(take(size)) << shift) as i64) >> shift);
        }
        0xd9..=0xdb => ("text", number(take(1 << (head - 0xd9))) as usize),
        0xdc | 0xdd => ("array", number(take(2 << (head - 0xdc))) as usize),
        0xde | 0xdf => ("map", number(take(2 << (head - 0xde))) as usize),
        other => panic!("a byte that no payload has: {other:#x}"),
    };
    match kind {
        "text" => json!(std::str::from_utf8(take(count)).unwrap()),
        "array" => (0..count).map(|_| value(bytes, at)).collect(),
        _ => {
            let pairs = (0..count).map(|_| {
                let key = value(bytes, at).as_str().unwrap().to_owned();
                (key, value(bytes, at))
            });
            Value::Object(pairs.collect())
        }
    }
}
