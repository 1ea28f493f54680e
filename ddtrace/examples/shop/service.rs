//! What the services have in common: tracing, a port, a database, and an end.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use ddtrace::sqlx::Traced;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

/// What ends a service.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A database whose queries are traced.
pub(crate) type Database = Traced<SqlitePool>;

/// Serves until whoever started the process closes its standard input, or Ctrl-C; then sends what is left of the traces.
pub(crate) fn run(
    name: &str,
    router: impl Future<Output = Result<Router, Error>>,
) -> Result<(), Error> {
    // Dropped last, when the runtime is gone and every span has ended.
    let _ddtrace = ddtrace::builder()
        .service(name)
        .env("demo")
        .version("1.4.2")
        .data_streams(true)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(serve(router))
}

async fn serve(router: impl Future<Output = Result<Router, Error>>) -> Result<(), Error> {
    let app = router.await?.layer(ddtrace::axum::layer());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    // The process that started this one waits for the line.
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(told_to_end())
    .await?;
    Ok(())
}

/// Waits for the end of the standard input, or Ctrl-C.
pub(crate) async fn told_to_end() {
    let (closed, was_closed) = tokio::sync::oneshot::channel();
    // A thread of its own: the runtime would wait for a blocking task.
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        let _ = closed.send(());
    });
    tokio::select! {
        _ = was_closed => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Opens a database in a file of its own, which the process that started this one removes with its folder.
pub(crate) async fn database(
    folder: &Path,
    file: &str,
    schema: &'static str,
) -> Result<Database, Error> {
    let options = SqliteConnectOptions::new()
        .filename(folder.join(file))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options)
        .await?;
    // Not traced: it is no part of what the shop does.
    sqlx::raw_sql(schema).execute(&pool).await?;
    Ok(Traced::new(pool))
}
