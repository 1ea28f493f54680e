//! The server's side: the service under one tracer.

use crate::store::{self, Store};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ddtrace_peers::meter;
use ddtrace_peers_integrations::process;
use ddtrace_peers_integrations::tracers::{Logs, Tracer};
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests that were answered from the cache, and others.
static HITS: AtomicU64 = AtomicU64::new(0);
static MISSES: AtomicU64 = AtomicU64::new(0);

/// An order by its number; one row stands for many orders.
async fn order<S: Store>(State(store): State<S>, Path(id): Path<u64>) -> Response {
    let text = match store.cached(id).await {
        Some(text) => {
            HITS.fetch_add(1, Ordering::Relaxed);
            tracing::info!(order = id, "from the cache");
            text
        }
        None => {
            let order = store.row(id).await;
            let text = serde_json::to_string(&order).expect("an order is JSON");
            store.keep(id, &text).await;
            MISSES.fetch_add(1, Ordering::Relaxed);
            tracing::info!(order = id, customer = order.customer, "from the database");
            text
        }
    };
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

fn router<S: Store>(store: S) -> Router {
    Router::new()
        .route("/orders/{id}", get(order::<S>))
        .with_state(store)
}

async fn traced(tracer: Tracer) -> Router {
    match tracer {
        Tracer::Bare => router(store::bare().await),
        Tracer::Off | Tracer::Ddtrace => router(store::ours().await).layer(ddtrace::axum::layer()),
        Tracer::Otel | Tracer::Otel32 | Tracer::Datadog => router(store::otel().await)
            .layer(axum_tracing_opentelemetry::middleware::OtelAxumLayer::default()),
        Tracer::Fastrace => {
            router(store::fastrace().await).layer(fastrace_axum::FastraceLayer::default())
        }
    }
}

/// Serves until the parent has no more questions.
pub(crate) fn serve(tracer: Tracer) {
    let flush = tracer.start(Logs::Json);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let router = runtime.block_on(traced(tracer));
    runtime.spawn(async { axum::serve(listener, router).await });
    process::answer(|question| match question {
        "port" => vec![("port", f64::from(port))],
        "state" => {
            flush();
            vec![
                ("cpu", meter::process_time().as_nanos() as f64),
                ("hits", HITS.load(Ordering::Relaxed) as f64),
                ("misses", MISSES.load(Ordering::Relaxed) as f64),
                ("peak", meter::peak_memory() as f64),
            ]
        }
        other => panic!("nobody asks {other}"),
    });
}
