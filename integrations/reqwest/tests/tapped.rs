//! Responses that a product follows, read in every way there is.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use ddtrace_core::events::{self, End, HttpClientExchange, Phase, Tap};
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::{Context, Site, Span};
use ddtrace_reqwest::RequestBuilderExt as _;
use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use reqwest::{Client, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

ddtrace_core::site! {
    static AROUND: Site = Site::new("around", "around", module_path!(), file!(), line!());
}

/// What a tap saw, by the path of its request.
type Seen = Mutex<Vec<(String, Vec<String>)>>;

fn seen() -> &'static Seen {
    static SEEN: OnceLock<Seen> = OnceLock::new();
    SEEN.get_or_init(|| {
        events::on::<HttpClientExchange<'_>>(Phase::Product, "tests", |exchange| {
            if exchange.url.contains("/untapped") {
                return;
            }
            let path = exchange.url.rsplit('/').next().unwrap_or_default();
            let body = String::from_utf8_lossy(exchange.body.unwrap_or(b"none")).into_owned();
            exchange.tap(Box::new(Writer {
                path: path.to_owned(),
                log: vec![body],
                span: Span::start(&AROUND),
            }));
        });
        Mutex::default()
    })
}

/// Waits for the tap of a request to be told the end, which may be on another thread.
async fn log_of(path: &str) -> Vec<String> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let found = seen()
            .lock()
            .unwrap()
            .iter()
            .find(|(of, _)| of == path)
            .cloned();
        if let Some((_, log)) = found {
            return log;
        }
        assert!(tokio::time::Instant::now() < deadline, "no end of {path}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Writer {
    path: String,
    log: Vec<String>,
    span: Span,
}

impl Tap for Writer {
    fn context(&self) -> Option<Context> {
        Some(self.span.context())
    }

    fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        let marked = headers.contains_key("x-marked");
        self.log.push(format!("{} {marked}", status.as_u16()));
    }

    fn chunk(&mut self, bytes: &[u8]) {
        self.log.push(String::from_utf8(bytes.to_vec()).unwrap());
    }

    fn end(self: Box<Self>, end: End<'_>) {
        let Self {
            path,
            mut log,
            span,
        } = *self;
        log.push(match end {
            End::Failed { kind, .. } => format!("Failed {kind}"),
            other => format!("{other:?}"),
        });
        drop(span);
        seen().lock().unwrap().push((path, log));
    }
}

/// A server that answers with two chunks, and cuts the connection after them at `/cut…`. At `/sized…` the length is known.
async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let head = "HTTP/1.1 200 Fine\r\nx-marked: 1\r\ncontent-type: application/json\r\n";
                let rest = if request.contains("/sized") {
                    "content-length: 5\r\n\r\n[1,2]"
                } else if request.contains("/cut") {
                    "transfer-encoding: chunked\r\n\r\n3\r\n[1,\r\n9\r\n2"
                } else {
                    "transfer-encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n"
                };
                let _ = socket.write_all(format!("{head}{rest}").as_bytes()).await;
                if request.contains("hanging") {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn every_way_to_read_gives_the_same_and_is_seen() {
    seen();
    let _recorder = Recorder::new();
    let server = serve().await;
    for path in ["chunked", "sized"] {
        let get = async |way: &str| -> Response {
            let request = Client::new()
                .post(format!("{server}/{path}-{way}"))
                .body("q");
            request.send_traced().await.unwrap()
        };
        assert_eq!(get("bytes").await.bytes().await.unwrap(), "[1,2]");
        assert_eq!(get("text").await.text().await.unwrap(), "[1,2]");
        assert_eq!(get("json").await.json::<Vec<u8>>().await.unwrap(), [1, 2]);
        let mut response = get("chunk").await;
        let mut chunks = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            chunks.extend_from_slice(&chunk);
        }
        assert_eq!(chunks, b"[1,2]");
        let stream = get("stream").await.bytes_stream();
        let chunks: Vec<_> = stream.map(Result::unwrap).collect().await;
        assert_eq!(chunks.concat(), b"[1,2]");
        for way in ["bytes", "text", "json", "chunk", "stream"] {
            let log = log_of(&format!("{path}-{way}")).await;
            assert_eq!(log[..2], ["q", "200 true"], "{path} {way}");
            assert_eq!(log[2..log.len() - 1].concat(), "[1,2]", "{path} {way}");
            assert_eq!(log.last().unwrap(), "Complete", "{path} {way}");
        }
    }
}

#[tokio::test]
async fn a_response_is_what_it_would_have_been() {
    seen();
    let _recorder = Recorder::new();
    let server = serve().await;
    for path in ["sized", "chunked"] {
        let send = async |which: &str| {
            let url = format!("{server}/{which}/{path}-same");
            Client::new().get(url).send_traced().await.unwrap()
        };
        let (plain, tapped) = (send("untapped").await, send("tapped").await);
        assert_eq!(tapped.url().path(), format!("/tapped/{path}-same"));
        assert_eq!(tapped.status(), plain.status());
        assert_eq!(tapped.version(), plain.version());
        assert_eq!(tapped.headers(), plain.headers());
        assert_eq!(tapped.content_length(), plain.content_length());
        assert_eq!(tapped.remote_addr(), plain.remote_addr());
        assert!(tapped.remote_addr().is_some());
        let failed = tapped.error_for_status_ref().map(|_| ());
        assert!(failed.is_ok());
    }
}

#[tokio::test]
async fn a_body_that_breaks_gives_the_same_error_and_is_told_of() {
    seen();
    let _recorder = Recorder::new();
    let server = serve().await;
    // Long enough to get an answer on a busy machine.
    let client = Client::builder()
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    for path in ["cut", "cut-hanging"] {
        let get = async |which: &str| {
            let url = format!("{server}/{which}/{path}");
            let response = client.get(&url).send_traced().await.unwrap();
            let error = response.bytes().await.unwrap_err();
            (
                error.to_string().replace(which, ""),
                error.is_timeout(),
                error.is_decode(),
                error.is_body(),
                error.is_connect(),
                error.url().map(|url| url.path().replace(which, "")),
            )
        };
        let errors: (_, _) = futures_util::future::join(get("untapped"), get("tapped")).await;
        assert_eq!(errors.0, errors.1);
        let log = log_of(path).await;
        let kind = if path == "cut" { "body" } else { "timeout" };
        assert_eq!(log.last().unwrap(), &format!("Failed {kind}"));
        assert!(log.concat().contains("[1,"), "{log:?}");
    }
}

#[tokio::test]
async fn whoever_gives_up_abandons_the_exchange() {
    seen();
    let _recorder = Recorder::new();
    let server = serve().await;
    let mut response = Client::new()
        .get(format!("{server}/given-up"))
        .send_traced()
        .await
        .unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    assert_eq!(log_of("given-up").await.last().unwrap(), "Abandoned");
    // No server listens at a port that was free a moment ago.
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{nobody}/nobody");
    assert!(Client::new().get(url).send_traced().await.is_err());
    assert_eq!(log_of("nobody").await.last().unwrap(), "Failed connect");
}

#[tokio::test]
async fn the_span_of_a_tap_is_around_that_of_the_client() {
    seen();
    let recorder = Recorder::new();
    let server = serve().await;
    let url = format!("{server}/around");
    let response = Client::new().get(url).send_traced().await.unwrap();
    response.bytes().await.unwrap();
    log_of("around").await;
    let spans = recorder.take();
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (around, client) = (find("around"), find("reqwest.request"));
    assert_eq!(client.parent_id, around.span_id);
    assert_eq!(client.trace_id, around.trace_id);
    assert!(around.duration >= client.duration);
}
