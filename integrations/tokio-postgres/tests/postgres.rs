//! Every way to run a statement, on a real PostgreSQL.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ddtrace_core::test_support::Recorder;
use ddtrace_tokio_postgres::{Client, connect};
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use tokio_postgres::types::Type;
use tokio_postgres::{Config, IsolationLevel, NoTls};

#[allow(dead_code, unreachable_pub, reason = "written for a crate of its own")]
#[path = "../../../tests/src/service.rs"]
mod service;

/// A client with three cups in a table of its own, and its configuration.
async fn client() -> Option<(Client, Config)> {
    let url = service::named("DATABASE_URL_POSTGRES")?;
    let (client, connection) = connect(&url, NoTls).await.unwrap();
    // Ends with the client, or with the error that the tests look for.
    tokio::spawn(async move { connection.await.err() });
    let schema = "CREATE TEMPORARY TABLE cups (owner TEXT UNIQUE); \
        INSERT INTO cups VALUES ('ada'), ('ben'), ('cleo')";
    client.inner().batch_execute(schema).await.unwrap();
    Some((client, url.parse().unwrap()))
}

#[tokio::test]
async fn a_query_is_described_as_the_table_says() {
    let Some((client, config)) = client().await else {
        return;
    };
    let recorder = Recorder::new();
    let rows = client
        .query("SELECT owner FROM cups WHERE owner <> $1", &[&"nobody"])
        .await
        .unwrap();
    assert_eq!(rows.len(), 3);
    let span = recorder.take_only();
    assert_eq!(span.name, "postgres.query");
    assert_eq!(span.resource, "SELECT owner FROM cups WHERE owner <> $1");
    assert_eq!(span.span_type, "sql");
    assert_eq!(span.service, "postgres");
    assert!(!span.error);
    assert_eq!(span.metric("db.row_count"), Some(3.0));
    assert_eq!(span.metric("_dd.measured"), Some(1.0));
    let port = f64::from(config.get_ports()[0]);
    assert_eq!(span.metric("network.destination.port"), Some(port));
    let expected = [
        ("db.system", Some("postgresql")),
        ("db.name", Some("ddtrace")),
        ("db.user", Some("postgres")),
        ("out.host", Some("127.0.0.1")),
        ("server.address", Some("127.0.0.1")),
        ("component", Some("tokio_postgres")),
        ("span.kind", Some("client")),
        ("_dd.svc_src", Some("tokio_postgres")),
    ];
    for (tag, value) in expected {
        assert_eq!(span.meta(tag), value, "{tag}");
    }
    assert!(
        !format!("{span:?}").contains("nobody"),
        "parameters are not recorded"
    );
}

#[tokio::test]
async fn rows_are_counted_in_every_way_to_run_a_statement() {
    let Some((mut client, _)) = client().await else {
        return;
    };
    let recorder = Recorder::new();
    let all = "SELECT owner FROM cups";
    let rows = |recorder: &Recorder| recorder.take_only().metric("db.row_count");

    let prepared = client
        .prepare("SELECT owner FROM cups WHERE owner = $1")
        .await
        .unwrap();
    assert!(recorder.take().is_empty(), "preparing makes no span");
    client.query_one(&prepared, &[&"ada"]).await.unwrap();
    let span = recorder.take_only();
    assert_eq!(span.resource, "SELECT owner FROM cups WHERE owner = $1");
    assert_eq!(span.metric("db.row_count"), Some(1.0));
    let row = client.query_opt(&prepared, &[&"nobody"]).await.unwrap();
    assert!(row.is_none());
    assert_eq!(rows(&recorder), Some(0.0));
    // The library's own statement does not say its text.
    client.query(&*prepared, &[&"ada"]).await.unwrap();
    assert_eq!(recorder.take_only().resource, "postgres.query");

    let owners: Vec<String> = client.query_scalar(all, &[]).await.unwrap();
    assert_eq!(owners.len(), 3);
    assert_eq!(rows(&recorder), Some(3.0));
    let count: i64 = client
        .query_one_scalar("SELECT count(*) FROM cups", &[])
        .await
        .unwrap();
    assert_eq!(count, 3);
    assert_eq!(rows(&recorder), Some(1.0));
    let owner: Option<String> = client
        .query_opt_scalar("SELECT owner FROM cups WHERE false", &[])
        .await
        .unwrap();
    assert_eq!(owner, None);
    assert_eq!(rows(&recorder), Some(0.0));

    let typed = "SELECT owner FROM cups WHERE owner = $1";
    let found = client
        .query_typed(typed, &[(&"ben", Type::TEXT)])
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(rows(&recorder), Some(1.0));
    client
        .query_typed_one(typed, &[(&"ben", Type::TEXT)])
        .await
        .unwrap();
    assert_eq!(rows(&recorder), Some(1.0));
    client
        .query_typed_opt(typed, &[(&"ben", Type::TEXT)])
        .await
        .unwrap();
    assert_eq!(rows(&recorder), Some(1.0));
    let stream = client
        .query_typed_raw(typed, [("ben", Type::TEXT)])
        .await
        .unwrap();
    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().len(), 1);
    assert_eq!(rows(&recorder), Some(1.0));

    let changed = client
        .execute("UPDATE cups SET owner = owner || '!'", &[])
        .await
        .unwrap();
    assert_eq!(changed, 3);
    assert_eq!(rows(&recorder), Some(3.0));
    client
        .execute_typed(
            "DELETE FROM cups WHERE owner = $1",
            &[(&"ada!", Type::TEXT)],
        )
        .await
        .unwrap();
    assert_eq!(rows(&recorder), Some(1.0));
    client
        .execute_raw("DELETE FROM cups WHERE owner = $1", ["ben!"])
        .await
        .unwrap();
    assert_eq!(rows(&recorder), Some(1.0));
    client.simple_query("SELECT 1; SELECT 2").await.unwrap();
    assert_eq!(rows(&recorder), Some(2.0));
    let stream = client
        .simple_query_raw("INSERT INTO cups VALUES ('dora'), ('emil')")
        .await
        .unwrap();
    stream.try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(rows(&recorder), Some(2.0));
    client.batch_execute("SELECT 1; SELECT 2").await.unwrap();
    let span = recorder.take_only();
    assert_eq!(span.resource, "SELECT 1; SELECT 2");
    assert_eq!(
        span.metric("db.row_count"),
        None,
        "the library does not say"
    );

    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind(all, &[]).await.unwrap();
    assert!(recorder.take().is_empty(), "binding makes no span");
    let some = transaction.query_portal(&portal, 2).await.unwrap();
    assert_eq!(some.len(), 2);
    let span = recorder.take_only();
    assert_eq!(span.resource, all);
    assert_eq!(span.metric("db.row_count"), Some(2.0));
    let rest = transaction.query_portal_raw(&portal, 2).await.unwrap();
    assert_eq!(rest.try_collect::<Vec<_>>().await.unwrap().len(), 1);
    assert_eq!(rows(&recorder), Some(1.0));
}

#[tokio::test]
async fn the_span_of_a_stream_ends_with_the_stream() {
    let Some((client, _)) = client().await else {
        return;
    };
    let recorder = Recorder::new();
    let none: [&str; 0] = [];
    let mut stream = pin!(
        client
            .query_raw("SELECT owner FROM cups", none)
            .await
            .unwrap()
    );
    assert!(stream.try_next().await.unwrap().is_some());
    assert!(recorder.take().is_empty(), "the stream has more");
    while stream.try_next().await.unwrap().is_some() {}
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(3.0));
    assert_eq!(stream.rows_affected(), Some(3));
    assert!(stream.next().await.is_none());

    let mut stream = Box::pin(
        client
            .query_raw("SELECT owner FROM cups", none)
            .await
            .unwrap(),
    );
    stream.try_next().await.unwrap();
    drop(stream);
    let span = recorder.take_only();
    assert_eq!(span.metric("db.row_count"), Some(1.0));
    assert!(!span.error);

    let insert = "INSERT INTO cups SELECT n::text FROM generate_series(1, 5) AS n";
    let mut stream = pin!(client.query_raw(insert, none).await.unwrap());
    assert!(stream.next().await.is_none());
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(5.0));

    // The error comes after rows that are sound.
    let late = "SELECT 1 / (3 - n) FROM generate_series(1, 3) AS n";
    let stream = client.query_raw(late, none).await.unwrap();
    stream.try_collect::<Vec<_>>().await.unwrap_err();
    let span = recorder.take_only();
    assert_eq!(span.meta("db.response.status_code"), Some("22012"));
}

#[tokio::test]
async fn copies_are_spans_until_they_are_finished_or_given_up() {
    let Some((client, _)) = client().await else {
        return;
    };
    let recorder = Recorder::new();
    let copy = "COPY cups FROM STDIN";
    let mut sink = pin!(client.copy_in(copy).await.unwrap());
    sink.send(Bytes::from_static(b"dora\nemil\n"))
        .await
        .unwrap();
    assert!(recorder.take().is_empty(), "the copy is not finished");
    assert_eq!(sink.finish().await.unwrap(), 2);
    let span = recorder.take_only();
    assert_eq!(span.resource, copy);
    assert_eq!(span.metric("db.row_count"), Some(2.0));
    assert!(!format!("{span:?}").contains("dora"));

    let mut sink = pin!(client.copy_in(copy).await.unwrap());
    sink.send(Bytes::from_static(b"ada\n")).await.unwrap();
    let error = sink.finish().await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23505");
    let span = recorder.take_only();
    assert_eq!(span.meta("error.type"), Some("database.unique_violation"));
    assert!(
        !format!("{span:?}").contains("ada"),
        "the details of the error have the value"
    );

    let mut given_up = Box::pin(client.copy_in(copy).await.unwrap());
    given_up.send(Bytes::from_static(b"frida\n")).await.unwrap();
    drop(given_up);
    let span = recorder.take_only();
    assert!(!span.error);
    assert_eq!(span.metric("db.row_count"), Some(0.0));

    let stream = client.copy_out("COPY cups TO STDOUT").await.unwrap();
    let parts: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(parts.concat(), b"ada\nben\ncleo\ndora\nemil\n");
    let span = recorder.take_only();
    assert_eq!(span.resource, "COPY cups TO STDOUT");
    assert_eq!(span.metric("db.row_count"), None);
}

#[tokio::test]
async fn transactions_are_traced_with_their_ends() {
    let Some((mut client, _)) = client().await else {
        return;
    };
    let recorder = Recorder::new();
    let mut transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::Serializable)
        .start()
        .await
        .unwrap();
    transaction
        .execute("DELETE FROM cups WHERE owner = 'ada'", &[])
        .await
        .unwrap();
    let savepoint = transaction.savepoint("here").await.unwrap();
    savepoint.execute("DELETE FROM cups", &[]).await.unwrap();
    savepoint.rollback().await.unwrap();
    let nested = transaction.transaction().await.unwrap();
    nested.query("SELECT owner FROM cups", &[]).await.unwrap();
    nested.commit().await.unwrap();
    transaction.commit().await.unwrap();
    let spans = recorder.take();
    let found: Vec<_> = spans
        .iter()
        .map(|span| (span.resource.as_str(), span.metric("db.row_count")))
        .collect();
    assert_eq!(
        found,
        [
            ("DELETE FROM cups WHERE owner = 'ada'", Some(1.0)),
            ("DELETE FROM cups", Some(2.0)),
            ("postgres.connection.rollback", None),
            ("SELECT owner FROM cups", Some(2.0)),
            ("postgres.connection.commit", None),
            ("postgres.connection.commit", None),
        ]
    );
    assert!(
        spans
            .iter()
            .all(|span| span.meta("db.name") == Some("ddtrace"))
    );

    // A broken transaction: what follows an error fails too, and the end makes it good.
    let transaction = client.transaction().await.unwrap();
    transaction
        .execute("SELECT nothing FROM nowhere", &[])
        .await
        .unwrap_err();
    transaction.execute("SELECT 1", &[]).await.unwrap_err();
    transaction.rollback().await.unwrap();
    let spans = recorder.take();
    let codes: Vec<_> = spans
        .iter()
        .map(|span| span.meta("db.response.status_code"))
        .collect();
    assert_eq!(codes, [Some("42P01"), Some("25P02"), None]);
}

#[tokio::test]
async fn errors_are_the_librarys_and_the_span_says_what_they_are() {
    let Some((client, _)) = client().await else {
        return;
    };
    let recorder = Recorder::new();
    let error = client
        .execute("INSERT INTO cups VALUES ($1)", &[&"ada"])
        .await
        .unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23505");
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.meta("error.type"), Some("database.unique_violation"));
    assert_eq!(span.meta("db.response.status_code"), Some("23505"));
    assert_eq!(
        span.meta("error.message"),
        Some("ERROR: duplicate key value violates unique constraint \"cups_owner_key\"")
    );
    assert!(!format!("{span:?}").contains("ada"));

    client
        .query_one("SELECT owner FROM cups", &[])
        .await
        .unwrap_err();
    let span = recorder.take_only();
    assert_eq!(span.meta("error.type"), Some("client"));
    assert_eq!(
        span.meta("error.message"),
        Some("query returned an unexpected number of rows")
    );
}

#[tokio::test]
async fn queries_that_are_cancelled_or_given_up_end_their_spans_once() {
    let Some((client, _)) = client().await else {
        return;
    };
    let recorder = Recorder::new();
    // By the server, on request.
    let token = client.cancel_token();
    let sleep = client.execute("SELECT pg_sleep(600)", &[]);
    let cancel = async {
        // A request that comes before the statement is ignored by the server.
        loop {
            token.cancel_query(NoTls).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let error = tokio::select! {
        error = sleep => error.unwrap_err(),
        () = cancel => unreachable!("it goes on for ever"),
    };
    assert_eq!(error.code().unwrap().code(), "57014");
    let span = recorder.take_only();
    assert_eq!(span.meta("db.response.status_code"), Some("57014"));

    // By the caller.
    let mut sleep = Box::pin(client.execute("SELECT pg_sleep(1)", &[]));
    assert!(futures_util::poll!(&mut sleep).is_pending());
    drop(sleep);
    let span = recorder.take_only();
    assert_eq!(span.resource, "SELECT pg_sleep(1)");
    assert!(!span.error);
}

#[tokio::test]
async fn a_connection_that_the_server_ends_in_mid_query_ends_the_span_with_that_error() {
    let (Some((client, _)), Some((other, _))) = (client().await, client().await) else {
        return;
    };
    let recorder = Recorder::new();
    let id: i32 = client
        .inner()
        .query_one_scalar("SELECT pg_backend_pid()", &[])
        .await
        .unwrap();
    let sleep = client.execute("SELECT pg_sleep(600)", &[]);
    let kill = async {
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE pid = $1 AND state = 'active' AND query LIKE '%pg_sleep%'";
        while other.inner().query(kill, &[&id]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let (error, ()) = tokio::join!(sleep, kill);
    let error = error.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57P01");
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.meta("db.response.status_code"), Some("57P01"));
    let error = client.execute("SELECT 1", &[]).await.unwrap_err();
    assert!(error.is_closed());
    let span = recorder.take_only();
    assert_eq!(span.meta("error.type"), Some("closed"));
    assert_eq!(span.meta("error.message"), Some("connection closed"));
}

#[tokio::test]
async fn comments_arrive_at_the_database() {
    let Some((client, _)) = client().await else {
        return;
    };
    // I11, I12
    let service =
        "dddb='ddtrace',dddbs='postgres',dde='prod',ddh='127.0.0.1',ddps='test',ddpv='1.2'";
    for (mode, expected) in [("disabled", ""), ("service", service), ("full", service)] {
        let recorder = Recorder::with_variables(&[
            ("DD_ENV", "prod"),
            ("DD_VERSION", "1.2"),
            ("DD_DBM_PROPAGATION_MODE", mode),
        ]);
        let statement = "SELECT current_query() WHERE $1";
        let text: String = client.query_one_scalar(statement, &[&true]).await.unwrap();
        let span = recorder.take_only();
        assert_eq!(span.resource, statement);
        let traceparent = format!(
            "traceparent='00-{}-{:016x}-01'",
            span.trace_id, span.span_id
        );
        let is_full = mode == "full";
        assert_eq!(text.contains(&traceparent), is_full, "{text}");
        assert!(text.contains(expected), "{text}");
        assert!(text.ends_with(statement), "{text}");
        assert_eq!(text.starts_with("/*"), mode != "disabled", "{text}");
        let injected = span.meta("_dd.dbm_trace_injected");
        assert_eq!(injected, is_full.then_some("true"));

        let messages = client.simple_query("SELECT current_query()").await.unwrap();
        assert_eq!(format!("{messages:?}").contains("/*"), mode != "disabled");

        let prepared = client.prepare("SELECT current_query()").await.unwrap();
        let text: String = client.query_one_scalar(&prepared, &[]).await.unwrap();
        assert_eq!(text, "SELECT current_query()", "what is prepared stays");
    }
}

#[tokio::test]
async fn settings_name_the_service_or_switch_it_off() {
    let Some((client, _)) = client().await else {
        return;
    };
    type Case = (
        &'static [(&'static str, &'static str)],
        Option<(&'static str, &'static str)>,
    );
    let cases: [Case; 4] = [
        (
            &[("DD_TOKIO_POSTGRES_SERVICE", "orders")],
            Some(("postgres.query", "orders")),
        ),
        (
            &[("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1")],
            Some(("postgresql.query", "test")),
        ),
        (&[("DD_TRACE_TOKIO_POSTGRES_ENABLED", "false")], None),
        (&[("DD_TRACE_ENABLED", "false")], None),
    ];
    for (variables, expected) in cases {
        let recorder = Recorder::with_variables(variables);
        client.query("SELECT 1", &[]).await.unwrap();
        let spans = recorder.take();
        let found = spans.first();
        let found = found.map(|span| (span.name.as_str(), span.service.as_str()));
        assert_eq!(found, expected, "{variables:?}");
    }
}

#[tokio::test]
async fn clients_of_others_are_wrapped_by_reference() {
    let Some((client, config)) = client().await else {
        return;
    };
    let recorder = Recorder::new();
    let shared = Arc::new(client.into_inner());
    let by_reference = Client::new(&*shared, &config);
    by_reference.query("SELECT 1", &[]).await.unwrap();
    let by_count = Client::new(Arc::clone(&shared), &config);
    // The future may move to another thread, as the library's own may.
    let task = tokio::spawn(async move { by_count.clone().query("SELECT 2", &[]).await.map(drop) });
    task.await.unwrap().unwrap();
    assert_eq!(recorder.take().len(), 2);
}
