//! A backend for tests, which answers as it is told to and records what it got.
//!
//! Nobody publishes one for these endpoints. It is an agent, too: `/info` says what it can do, and
//! paths lose the prefix of the agent's proxy.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::transport::Subdomain;

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answer with this status, these headers and this body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Hang up.
    Close,
    /// Do nothing ever.
    Hang,
}

impl Reply {
    pub(crate) fn json(body: &Value) -> Reply {
        Reply::Answer(200, Vec::new(), body.to_string().into_bytes())
    }

    pub(crate) fn status(status: u16) -> Reply {
        Reply::Answer(status, Vec::new(), Vec::new())
    }
}

/// A request as it came, its body decompressed.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) was_compressed: bool,
}

impl Recorded {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body in JSON")
    }

    pub(crate) fn msgpack(&self) -> Value {
        rmp_serde::from_slice(&self.body).expect("a body in MessagePack")
    }
}

#[derive(Debug, Default)]
struct State {
    scripts: Mutex<BTreeMap<String, VecDeque<Reply>>>,
    requests: Mutex<Vec<Recorded>>,
    connections: Mutex<usize>,
}

/// Lives as long as it is held.
#[derive(Debug)]
pub(crate) struct Mock {
    pub(crate) port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) const SETTINGS: &str = "/api/v2/libraries/tests/services/setting";
pub(crate) const TESTS: &str = "/api/v2/citestcycle";

impl Mock {
    /// Listens on a free port. `/info` names both proxies; everything else is answered with `{}`.
    pub(crate) async fn start() -> Mock {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let accepting = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *accepting.connections.lock().expect("no panic") += 1;
                tokio::spawn(Arc::clone(&accepting).serve(stream));
            }
        });
        let mock = Mock { port, state, task };
        let info = json!({
            "endpoints": ["/evp_proxy/v2/", "/evp_proxy/v4/"],
            "config": {"default_env": "of-the-agent"},
        });
        mock.on("/info", [Reply::json(&info)]);
        mock
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers requests for a path so, the last one again and again.
    pub(crate) fn on(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut scripts = self.state.scripts.lock().expect("no panic");
        scripts.insert(path.to_owned(), replies.into_iter().collect());
    }

    pub(crate) fn requests(&self, path: &str) -> Vec<Recorded> {
        let requests = self.state.requests.lock().expect("no panic");
        let of_path = requests.iter().filter(|request| request.path == path);
        of_path.cloned().collect()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.lock().expect("no panic")
    }
}

impl State {
    fn next(&self, path: &str) -> Reply {
        let mut scripts = self.scripts.lock().expect("no panic");
        let Some(script) = scripts.get_mut(path) else {
            return Reply::json(&json!({}));
        };
        let reply = if script.len() > 1 {
            script.pop_front()
        } else {
            script.front().cloned()
        };
        reply.unwrap_or(Reply::Hang)
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        while let Some(request) = receive(&mut stream).await {
            let path = request.path.clone();
            self.requests.lock().expect("no panic").push(request);
            match self.next(&path) {
                Reply::Answer(status, headers, body) => {
                    let length = body.len();
                    let mut head = format!("HTTP/1.1 {status} S\r\nContent-Length: {length}\r\n");
                    for (name, value) in headers {
                        head.push_str(&format!("{name}: {value}\r\n"));
                    }
                    head.push_str("\r\n");
                    // A client that has gone does not matter.
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(&body).await;
                }
                Reply::Close => return,
                Reply::Hang => std::future::pending().await,
            }
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Option<Recorded> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8(bytes).ok()?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?;
    let path = ["/evp_proxy/v4", "/evp_proxy/v2"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))
        .unwrap_or(path);
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap_or(0));
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let was_compressed = headers
        .get("content-encoding")
        .is_some_and(|name| name == "gzip");
    if was_compressed {
        let mut plain = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&body[..]);
        decoder.read_to_end(&mut plain).expect("valid gzip");
        body = plain;
    }
    Some(Recorded {
        path: path.to_owned(),
        headers,
        body,
        was_compressed,
    })
}

/// Runs a test, and fails it if it hangs.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let limited = async { tokio::time::timeout(Duration::from_secs(120), test).await };
    let output = runtime.expect("a runtime").block_on(limited);
    output.expect("the test is not stuck")
}

/// All parts of the backend, for tables.
pub(crate) const SUBDOMAINS: [(Subdomain, &str); 6] = [
    (Subdomain::TestCycle, "citestcycle-intake"),
    (Subdomain::TestCoverage, "citestcov-intake"),
    (Subdomain::Api, "api"),
    (Subdomain::CiIntake, "ci-intake"),
    (Subdomain::Logs, "http-intake.logs"),
    (Subdomain::CiReport, "cireport-intake"),
];
