//! Exchanges that a product follows, with hyper's pooled client and with a client of tower's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ddtrace_core::events::{self, End, HttpClientExchange, Phase, Tap};
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::{Context, Site, Span};
use ddtrace_hyper::client::{ClientExt as _, Payload};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Channel, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};

ddtrace_core::site! {
    static AROUND: Site = Site::new("around", "around", module_path!(), file!(), line!());
}

/// What a tap saw, by the address of its request.
type Seen = Mutex<Vec<(String, Vec<String>)>>;

fn seen() -> &'static Seen {
    static SEEN: OnceLock<Seen> = OnceLock::new();
    SEEN.get_or_init(|| {
        events::on::<HttpClientExchange<'_>>(Phase::Product, "tests", |exchange| {
            if exchange.url.contains("/untapped") {
                return;
            }
            let body = exchange.body.map(String::from_utf8_lossy);
            let body = body.as_deref().unwrap_or("unknown").to_owned();
            exchange.tap(Box::new(Writer {
                url: exchange.url.to_owned(),
                log: vec![body],
                span: Span::start(&AROUND),
            }));
        });
        Mutex::default()
    })
}

struct Writer {
    url: String,
    log: Vec<String>,
    span: Span,
}

impl Tap for Writer {
    fn context(&self) -> Option<Context> {
        Some(self.span.context())
    }

    fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        let kind = headers["content-type"].to_str().unwrap();
        self.log.push(format!("{} {kind}", status.as_u16()));
    }

    fn chunk(&mut self, bytes: &[u8]) {
        self.log.push(String::from_utf8(bytes.to_vec()).unwrap());
    }

    fn end(self: Box<Self>, end: End<'_>) {
        let Self { url, mut log, span } = *self;
        log.push(match end {
            End::Failed { kind, .. } => format!("Failed {kind}"),
            other => format!("{other:?}"),
        });
        drop(span);
        seen().lock().unwrap().push((url, log));
    }
}

/// Waits for the tap of a request to be told the end, and takes what it wrote.
async fn log_of(url: &str) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = {
            let mut all = seen().lock().unwrap();
            let at = all.iter().position(|(of, _)| of == url);
            at.map(|at| all.remove(at).1)
        };
        if let Some(log) = found {
            return log;
        }
        assert!(Instant::now() < deadline, "no end of {url}");
        tokio::task::yield_now().await;
    }
}

/// Answers in two chunks: `/events` as events, `/cut` with the second one missing, `/held` with it never.
async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, std::io::Error>>, Infallible> {
    let path = request.uri().path().to_owned();
    let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(1);
    tokio::spawn(async move {
        let _ = sender.send_data(Bytes::from_static(b"[1,")).await;
        match path.as_str() {
            "/cut" => sender.abort(std::io::Error::other("no more tea")),
            "/held" => std::future::pending().await,
            _ => drop(sender.send_data(Bytes::from_static(b"2]")).await),
        }
    });
    let kind = if request.uri().path() == "/events" {
        "text/event-stream"
    } else {
        "application/json"
    };
    let mut response = Response::new(body.boxed());
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(kind));
    Ok(response)
}

async fn serve() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let http1 = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http1.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    address
}

type Pooled<B> = Client<hyper_util::client::legacy::connect::HttpConnector, B>;

fn pooled<B: http_body::Body + Send>() -> Pooled<B>
where
    B::Data: Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

fn post(url: &str) -> Request<Full<Bytes>> {
    Request::post(url).body(Full::from("question")).unwrap()
}

#[tokio::test]
async fn everything_passes_as_it_is_and_is_seen() {
    seen();
    let recorder = Recorder::new();
    let address = serve().await;
    let client = pooled();
    for (path, kind) in [
        ("/json", "application/json"),
        ("/events", "text/event-stream"),
    ] {
        let url = format!("http://{address}{path}?key=1");
        let mut response = client.request_traced(post(&url)).await.unwrap();
        let mut chunks = Vec::new();
        while let Some(frame) = response.frame().await {
            chunks.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(chunks.concat(), b"[1,2]");
        let log = log_of(&url).await;
        let head = format!("200 {kind}");
        assert_eq!(log[..2], ["question", head.as_str()]);
        assert_eq!(log[2..log.len() - 1].concat(), "[1,2]");
        assert_eq!(log.last().unwrap(), "Complete");
        let spans = recorder.spans(2).await;
        let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
        let (around, request) = (named("around"), named("hyper.request"));
        assert_eq!(request.parent_id, around.span_id);
        assert_eq!(request.trace_id, around.trace_id);
        assert!(!request.error);
        assert_eq!(request.meta("http.request.cancelled"), None);
        let end = |span: &ddtrace_core::export::SpanData| span.start + span.duration;
        assert!(end(around) >= end(request));
    }
}

#[tokio::test]
async fn ends_of_every_kind_are_told() {
    seen();
    let recorder = Recorder::new();
    let address = serve().await;
    let client = pooled();
    let url = |path: &str| format!("http://{address}{path}");

    let cut = client.request_traced(post(&url("/cut"))).await.unwrap();
    assert!(cut.into_body().collect().await.is_err());
    let log = log_of(&url("/cut")).await;
    let end = log.last().unwrap();
    assert!(
        ["Failed body", "Failed incomplete"].contains(&end.as_str()),
        "{end}"
    );

    let held = client.request_traced(post(&url("/held"))).await.unwrap();
    let mut body = held.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let log = log_of(&url("/held")).await;
    assert_eq!(log[2..], ["[1,", "Abandoned"]);

    // A port that nobody listens at: it was free a moment ago.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = format!("http://{nobody}/");
    client.request_traced(post(&nobody)).await.unwrap_err();
    assert_eq!(log_of(&nobody).await, ["question", "Failed connect"]);
    let spans = recorder.spans(6).await;
    assert_eq!(spans.iter().filter(|span| span.error).count(), 2);
}

#[tokio::test]
async fn a_body_that_is_hidden_is_told_by_an_extension() {
    seen();
    let _recorder = Recorder::new();
    let address = serve().await;
    let client = pooled::<BoxBody<Bytes, Infallible>>();
    for (payload, expected) in [(None, "unknown"), (Some("question"), "question")] {
        let url = format!("http://{address}/{expected}");
        let mut request = Request::post(&url)
            .body(Full::from("question").boxed())
            .unwrap();
        if let Some(payload) = payload {
            request
                .extensions_mut()
                .insert(Payload(Bytes::from_static(payload.as_bytes())));
        }
        let response = client.request_traced(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(log_of(&url).await[0], expected);
    }
}

#[tokio::test]
async fn an_exchange_that_nobody_follows_is_a_request_like_any_other() {
    seen();
    let recorder = Recorder::new();
    let address = serve().await;
    let request = post(&format!("http://{address}/untapped"));
    let response = pooled().request_traced(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(recorder.spans(1).await[0].parent_id, 0);
}
