//! Bad weather over a real PostgreSQL: servers that go away, refuse or run out of patience, transactions that break, streams
//! that nobody reads to their end. The library's error arrives as it is, and every span ends once, with that error.

use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_tokio_postgres::{Client, connect_with};
use futures_util::TryStreamExt as _;
use tokio_postgres::{Config, Error, IsolationLevel, NoTls};

#[allow(dead_code, unreachable_pub, reason = "written for a crate of its own")]
#[path = "../../../tests/src/service.rs"]
mod service;

#[allow(dead_code, unreachable_pub, reason = "written for a crate of its own")]
#[path = "../../../tests/src/proxy.rs"]
mod proxy;

fn server() -> Option<Config> {
    let url = service::named("DATABASE_URL_POSTGRES")?;
    Some(url.parse().unwrap())
}

async fn client(config: &Config) -> Client {
    let (client, connection) = connect_with(config, NoTls).await.unwrap();
    // Ends with the client, or with the error that the tests look for.
    tokio::spawn(async move { connection.await.err() });
    client
}

/// The server behind a proxy.
fn behind(config: &Config) -> (proxy::Proxy, Config) {
    let proxy = proxy::Proxy::to(("127.0.0.1", config.get_ports()[0]));
    // One of its own: a port that is set is added to those of before.
    let mut behind = Config::new();
    behind
        .host("127.0.0.1")
        .port(proxy.address().port())
        .user(config.get_user().unwrap())
        .dbname(config.get_dbname().unwrap());
    (proxy, behind)
}

/// What an error says, with what caused it.
fn told(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[track_caller]
fn assert_failed(span: &SpanData, kind: &str, code: Option<&str>, message: &str) {
    assert!(span.error, "{span:#?}");
    assert_eq!(span.meta("error.type"), Some(kind));
    assert_eq!(span.meta("db.response.status_code"), code);
    assert_eq!(span.meta("error.message"), Some(message));
}

#[tokio::test]
async fn connecting_is_a_span_that_says_whether_it_worked() {
    let Some(config) = server() else {
        return;
    };
    let recorder = Recorder::new();
    let client = client(&config).await;
    let span = recorder.take_only();
    assert_eq!(span.name, "postgres.connect");
    assert_eq!(span.resource, "postgres.connect");
    assert_eq!(span.span_type, "sql");
    assert_eq!(span.service, "postgres");
    assert_eq!(span.metric("_dd.measured"), None);
    assert!(!span.error);
    let expected = [
        ("db.system", Some("postgresql")),
        ("db.name", Some("ddtrace")),
        ("db.user", Some("postgres")),
        ("out.host", Some("127.0.0.1")),
        ("component", Some("tokio_postgres")),
        ("span.kind", Some("client")),
    ];
    for (tag, value) in expected {
        assert_eq!(span.meta(tag), value, "{tag}");
    }
    client.query("SELECT 1", &[]).await.unwrap();
    assert_eq!(recorder.take_only().meta("db.name"), Some("ddtrace"));

    let closed = proxy::Closed::new();
    let mut away = Config::new();
    away.host("127.0.0.1").port(closed.port()).user("postgres");
    let bare = away.connect(NoTls).await.err().unwrap();
    let error = connect_with(&away, NoTls).await.err().unwrap();
    assert_eq!(told(&error), told(&bare));
    assert_failed(&recorder.take_only(), "io", None, &told(&bare));

    let mut nowhere = config.clone();
    nowhere.dbname("nowhere");
    let bare = nowhere.connect(NoTls).await.err().unwrap();
    let error = connect_with(&nowhere, NoTls).await.err().unwrap();
    assert_eq!(told(&error), told(&bare));
    let message = "FATAL: database \"nowhere\" does not exist";
    assert_failed(&recorder.take_only(), "database", Some("3D000"), message);
}

#[tokio::test]
async fn a_server_that_goes_away_in_mid_query_ends_the_span_with_the_librarys_error() {
    let Some(config) = server() else {
        return;
    };
    let other = client(&config).await;
    let (proxy, behind) = behind(&config);
    let client = client(&behind).await;
    let sleep = "SELECT pg_sleep(600)";
    let id: i32 = client
        .inner()
        .query_one_scalar("SELECT pg_backend_pid()", &[])
        .await
        .unwrap();
    let recorder = Recorder::new();
    let cut = async {
        let running = "SELECT 1 FROM pg_stat_activity \
            WHERE pid = $1 AND state = 'active' AND query LIKE '%pg_sleep%'";
        while other
            .inner()
            .query(running, &[&id])
            .await
            .unwrap()
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
        proxy.cut();
    };
    let (answer, ()) = tokio::join!(client.execute(sleep, &[]), cut);
    let error = answer.unwrap_err();
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.resource, sleep);
    assert_eq!(span.meta("error.message"), Some(&*told(&error)));
    // What comes later is told as the library tells it.
    let bare = client.inner().execute("SELECT 1", &[]).await.unwrap_err();
    let error = client.execute("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(told(&error), told(&bare));
    assert_failed(&recorder.take_only(), "closed", None, &told(&bare));
    // The server has not noticed.
    let end = "SELECT pg_terminate_backend($1)";
    other.inner().query(end, &[&id]).await.unwrap();
}

#[tokio::test]
async fn streams_that_break_or_are_left_end_their_spans_once() {
    let Some(config) = server() else {
        return;
    };
    let (proxy, behind) = behind(&config);
    let client = client(&behind).await;
    let recorder = Recorder::new();
    let none: [&str; 0] = [];
    let many = "SELECT n, repeat('x', 100) FROM generate_series(1, 300000) AS n";

    let mut left = Box::pin(client.query_raw(many, none).await.unwrap());
    for _ in 0..10 {
        assert!(left.try_next().await.unwrap().is_some());
    }
    drop(left);
    let span = recorder.take_only();
    assert!(!span.error);
    assert_eq!(span.metric("db.row_count"), Some(10.0));
    // The connection is as good as before.
    client.query("SELECT 1", &[]).await.unwrap();
    recorder.take_only();

    let mut broken = Box::pin(client.query_raw(many, none).await.unwrap());
    assert!(broken.try_next().await.unwrap().is_some());
    proxy.cut();
    let mut rows = 1;
    let error = loop {
        match broken.try_next().await {
            Ok(row) => assert!(row.is_some(), "{rows} rows came through"),
            Err(error) => break error,
        }
        rows += 1;
    };
    drop(broken);
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.metric("db.row_count"), Some(f64::from(rows)));
    assert_eq!(span.meta("error.message"), Some(&*told(&error)));
}

#[tokio::test]
async fn a_time_limit_of_the_server_is_the_error_of_the_span() {
    let Some(config) = server() else {
        return;
    };
    let client = client(&config).await;
    let limit = "SET statement_timeout = 20";
    client.inner().batch_execute(limit).await.unwrap();
    let sleep = "SELECT pg_sleep(600)";
    let bare = client.inner().execute(sleep, &[]).await.unwrap_err();
    let recorder = Recorder::new();
    let error = client.execute(sleep, &[]).await.unwrap_err();
    assert_eq!(told(&error), told(&bare));
    let message = "ERROR: canceling statement due to statement timeout";
    assert_failed(&recorder.take_only(), "database", Some("57014"), message);
}

#[tokio::test]
async fn a_transaction_that_cannot_be_serialized_says_so_and_is_rolled_back_when_dropped() {
    let Some(config) = server() else {
        return;
    };
    let (mut client, other) = (client(&config).await, client(&config).await);
    let table = format!("weather_{}", std::process::id());
    let schema =
        format!("CREATE UNLOGGED TABLE {table} (size INT); INSERT INTO {table} VALUES (1)");
    other.inner().batch_execute(&schema).await.unwrap();
    let recorder = Recorder::new();
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .start()
        .await
        .unwrap();
    let read = format!("SELECT size FROM {table}");
    transaction.query(&read, &[]).await.unwrap();
    let change = format!("UPDATE {table} SET size = size + 1");
    other.inner().batch_execute(&change).await.unwrap();
    recorder.take_only();
    let error = transaction.execute(&change, &[]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "40001");
    let message = "ERROR: could not serialize access due to concurrent update";
    assert_failed(&recorder.take_only(), "database", Some("40001"), message);
    // The library rolls back what is dropped, without telling anybody.
    drop(transaction);
    let size: i32 = client.query_one_scalar(&read, &[]).await.unwrap();
    assert_eq!(size, 2);
    assert_eq!(recorder.take_only().resource, read);
    let drop_table = format!("DROP TABLE {table}");
    other.inner().batch_execute(&drop_table).await.unwrap();
}
