//! The agent and the collector of the benches: takes whatever a tracer sends to loopback, answers as they would, counts spans.
//!
//! It runs in the process that prints the tables, so that its work is in no tracer's bill.

use crate::spans;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

/// What an agent says of itself, as far as a tracer asks.
const INFO: &str = r#"{"version":"7.70.0","endpoints":["/v0.4/traces","/v0.5/traces","/v0.6/stats","/v0.7/config",
"/telemetry/proxy/"],"client_drop_p0s":true,"config":{"statsd_port":8125}}"#;
const RATES: &str = r#"{"rate_by_service":{"service:,env:":1}}"#;

/// One thread for all sinks: the machine is the tracers'.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
});

/// Where one tracer sends to, until it is dropped.
pub struct Sink {
    address: SocketAddr,
    counts: Arc<Counts>,
    server: AbortHandle,
}

#[derive(Default)]
struct Counts {
    spans: AtomicU64,
    unreadable: AtomicU64,
}

impl Sink {
    /// Listens on a free port of loopback.
    pub fn start() -> io::Result<Sink> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let taken = Arc::clone(&counts);
        let router = Router::new()
            .fallback(async move |OriginalUri(uri): OriginalUri, body: Bytes| {
                answer(&taken, uri.path(), &body)
            })
            .layer(DefaultBodyLimit::disable());
        let server = RUNTIME.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, router).await
        });
        Ok(Sink {
            address,
            counts,
            server: server.abort_handle(),
        })
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spans that have come in since the last call.
    ///
    /// # Panics
    ///
    /// If a payload came in that could not be read: then this file knows less than the tracer.
    pub fn take(&self) -> u64 {
        let unreadable = self.counts.unreadable.load(Ordering::Relaxed);
        assert_eq!(unreadable, 0, "payloads that could not be read");
        self.counts.spans.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn answer(counts: &Counts, path: &str, body: &[u8]) -> Response {
    let found = match path {
        "/v0.4/traces" => spans::in_v04(body),
        "/v0.5/traces" => spans::in_v05(body),
        "/v1/traces" => spans::in_otlp(body),
        _ => Some(0),
    };
    match found {
        Some(found) => counts.spans.fetch_add(found, Ordering::Relaxed),
        None => counts.unreadable.fetch_add(1, Ordering::Relaxed),
    };
    let json = |text: &'static str| ([(CONTENT_TYPE, "application/json")], text).into_response();
    match path {
        "/info" => json(INFO),
        "/v0.4/traces" | "/v0.5/traces" => json(RATES),
        // An `ExportTraceServiceResponse` without anything in it.
        "/v1/traces" => ([(CONTENT_TYPE, "application/x-protobuf")], "").into_response(),
        path if path.starts_with("/telemetry/") => StatusCode::ACCEPTED.into_response(),
        _ => json("{}"),
    }
}
