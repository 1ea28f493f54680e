//! Programs with logging of their own, by `tracing` and by `log`.

use ddtrace::trace;
use tracing_subscriber::prelude::*;

#[tracing::instrument(fields(otel.kind = "client"), err)]
async fn fetch(item: &str) -> Result<(), std::io::Error> {
    tokio::task::yield_now().await;
    price(item);
    Err(std::io::Error::other("out of stock"))
}

#[trace(name = "cart.price")]
fn price(item: &str) {
    tracing::info!(item, "priced");
}

#[trace(name = "web.request")]
async fn request() {
    let _ = fetch("kettle").await;
}

/// Records as JSON on standard output.
pub(crate) fn with_tracing() {
    tracing_subscriber::registry()
        .with(ddtrace::tracing::layer())
        .with(
            tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .map_event_format(ddtrace::tracing::correlated),
        )
        .init();
    let guard = ddtrace::init();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime can be made")
        .block_on(async { tokio::spawn(request()).await.expect("it does not panic") });
    drop(guard);
    crate::report(3);
}

/// Records as text on standard error.
pub(crate) fn with_log() {
    let logger = env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .format_timestamp(None)
        .build();
    ddtrace::log::init(logger, log::LevelFilter::Info).expect("it is the only one");
    let guard = ddtrace::init();
    log::info!("placed");
    drop(guard);
    crate::report(0);
}
