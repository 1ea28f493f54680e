//! An agent for tests that behaves as badly as it is told to.
//!
//! It answers each request with the next [`Reply`] of its script, the last one again and again, and
//! records what it got. It runs on the runtime of the test.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::AgentUrl;

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Write these bytes and wait for the next request.
    Bytes(Vec<u8>),
    /// Write these bytes and hang up.
    BytesThenClose(Vec<u8>),
    /// Write these bytes one at a time with pauses, and wait for the next request.
    Slowly(Vec<u8>, Duration),
    /// Hang up.
    Close,
    /// Do nothing ever.
    Hang,
}

impl Reply {
    /// A correct answer.
    pub(crate) fn status(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
        Reply::Bytes(answer(status, headers, body))
    }

    pub(crate) fn ok(body: &str) -> Reply {
        Reply::status(200, &[], body)
    }
}

/// The text of a correct answer.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!(
        "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct State {
    script: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
}

/// Lives as long as it is held.
#[derive(Debug)]
pub(crate) struct FakeAgent {
    pub(crate) url: AgentUrl,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeAgent {
    /// Listens on a free port.
    pub(crate) async fn tcp(script: impl IntoIterator<Item = Reply>) -> FakeAgent {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = state(script);
        let accepting = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.begin(stream);
            }
        });
        FakeAgent {
            url: AgentUrl::http("127.0.0.1", port),
            state,
            task,
        }
    }

    /// Listens on a Unix socket.
    #[cfg(unix)]
    pub(crate) async fn unix(
        path: &std::path::Path,
        script: impl IntoIterator<Item = Reply>,
    ) -> FakeAgent {
        let listener = tokio::net::UnixListener::bind(path).expect("a free path");
        let state = state(script);
        let accepting = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.begin(stream);
            }
        });
        FakeAgent {
            url: AgentUrl::Unix(path.to_owned()),
            state,
            task,
        }
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state.requests.lock().expect("no panic").clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }
}

fn state(script: impl IntoIterator<Item = Reply>) -> Arc<State> {
    let script = Mutex::new(script.into_iter().collect());
    Arc::new(State {
        script,
        ..State::default()
    })
}

impl State {
    fn begin<S>(self: &Arc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(Arc::clone(self).serve(stream));
    }

    fn next(&self) -> Reply {
        let mut script = self.script.lock().expect("no panic");
        let reply = if script.len() > 1 {
            script.pop_front()
        } else {
            script.front().cloned()
        };
        reply.unwrap_or(Reply::Hang)
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(self: Arc<Self>, mut stream: S) {
        while let Some(request) = receive(&mut stream).await {
            self.requests.lock().expect("no panic").push(request);
            // A peer that has gone is the client's right: errors of writing don't matter.
            match self.next() {
                Reply::Bytes(bytes) => {
                    let _ = stream.write_all(&bytes).await;
                }
                Reply::BytesThenClose(bytes) => {
                    let _ = stream.write_all(&bytes).await;
                    let _ = stream.shutdown().await;
                    return;
                }
                Reply::Slowly(bytes, pause) => {
                    for byte in bytes {
                        let _ = stream.write_all(&[byte]).await;
                        tokio::time::sleep(pause).await;
                    }
                }
                Reply::Close => return,
                Reply::Hang => std::future::pending().await,
            }
        }
    }
}

/// Reads one request; `None` when the client hangs up.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Recorded> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let body = bytes.split_off(end);
    let mut recorded = Recorded {
        head: String::from_utf8(bytes).ok()?,
        body,
    };
    let length = recorded
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap_or(0));
    while recorded.body.len() < length {
        if stream.read_buf(&mut recorded.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(recorded)
}

/// Runs a test on a runtime like the worker's, and fails it if it hangs.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let limited = async { tokio::time::timeout(Duration::from_secs(60), test).await };
    let output = runtime.expect("a runtime").block_on(limited);
    output.expect("the test is not stuck")
}

/// A folder of its own, removed at the end.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) std::path::PathBuf);

#[cfg(unix)]
impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ddtrace-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Folder(path)
    }
}

#[cfg(unix)]
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
