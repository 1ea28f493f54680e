//! Every way to run a statement, on SQLite.
//!
//! Each line's crate includes this file in a test of its own; what the two spell differently they bring along.

use ddtrace_core::events::{self, Phase, SqlQueryFinished, SqlQueryStarted};
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{
    Connection as _, Executor as _, Row as _, SqliteConnection, SqlitePool, Statement as _,
};

use super::{Traced, text};

/// A pool with three cups in its only table.
async fn pool() -> Traced<SqlitePool> {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    let schema =
        "CREATE TABLE cups (owner TEXT UNIQUE); INSERT INTO cups VALUES ('ada'), ('ben'), ('cleo')";
    sqlx::raw_sql(schema).execute(&pool).await.unwrap();
    Traced::new(pool)
}

#[tokio::test]
async fn a_query_is_described_as_the_table_says() {
    let recorder = Recorder::new();
    let pool = pool().await;
    // I9, I10
    let rows = sqlx::query("SELECT owner FROM cups WHERE owner <> ?")
        .bind("nobody")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(rows.len(), 3);
    let span = recorder.take_only();
    assert_eq!(span.name, "sqlite.query");
    assert_eq!(span.resource, "SELECT owner FROM cups WHERE owner <> ?");
    assert_eq!(span.span_type, "sql");
    assert_eq!(span.service, "sqlite");
    assert!(!span.error);
    assert_eq!(span.metric("db.row_count"), Some(3.0));
    assert_eq!(span.metric("_dd.measured"), Some(1.0));
    let expected = [
        ("db.system", Some("sqlite")),
        ("db.name", Some(":memory:")),
        ("db.user", None),
        ("out.host", None),
        ("span.kind", Some("client")),
        ("component", Some("sqlx")),
        ("_dd.svc_src", Some("sqlx")),
        ("_dd.base_service", Some("test")),
    ];
    for (tag, value) in expected {
        assert_eq!(span.meta(tag), value, "{tag}");
    }
    assert!(
        !format!("{span:?}").contains("nobody"),
        "bound values are not recorded"
    );
}

#[tokio::test]
async fn rows_are_counted_in_every_way_to_run_a_statement() {
    let recorder = Recorder::new();
    let pool = pool().await;
    let all = "SELECT owner FROM cups ORDER BY owner";

    sqlx::query(all).fetch_one(&pool).await.unwrap();
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(1.0));

    assert!(
        sqlx::query("SELECT 1 WHERE false")
            .fetch_optional(&pool)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(0.0));

    let owners: Vec<String> = sqlx::query_scalar(all).fetch_all(&pool).await.unwrap();
    assert_eq!(owners, ["ada", "ben", "cleo"]);
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(3.0));

    let changed = sqlx::query("UPDATE cups SET owner = owner || '!'")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 3);
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(3.0));

    // SQLite says that this one changed three rows: those of the statement before.
    sqlx::query("SELECT 1 WHERE false")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(0.0));

    let returned = sqlx::query("DELETE FROM cups WHERE owner <> 'ada!' RETURNING owner")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(returned.len(), 2);
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(2.0));

    pool.execute("INSERT INTO cups VALUES ('dora')")
        .await
        .unwrap();
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(1.0));
}

#[tokio::test]
async fn the_span_of_a_stream_ends_with_the_stream() {
    let recorder = Recorder::new();
    let pool = pool().await;
    let mut stream = sqlx::query("SELECT owner FROM cups").fetch(&pool);
    assert!(stream.try_next().await.unwrap().is_some());
    assert!(recorder.take().is_empty(), "the stream has more");
    while stream.try_next().await.unwrap().is_some() {}
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(3.0));
    // Polled again, it is still at its end.
    assert!(stream.next().await.is_none());
    drop(stream);

    let mut stream = sqlx::query("SELECT owner FROM cups").fetch(&pool);
    assert!(stream.try_next().await.unwrap().is_some());
    drop(stream);
    let span = recorder.take_only();
    assert_eq!(span.metric("db.row_count"), Some(1.0));
    assert!(!span.error);

    // Never polled, never run.
    drop(sqlx::query("SELECT owner FROM cups").fetch(&pool));
    drop(sqlx::query("SELECT owner FROM cups").fetch_optional(&pool));
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn errors_say_what_they_are() {
    let recorder = Recorder::new();
    let pool = pool().await;

    let error = sqlx::query("INSERT INTO cups VALUES ('ada')")
        .execute(&pool)
        .await
        .unwrap_err();
    assert!(error.as_database_error().unwrap().is_unique_violation());
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.meta("error.type"), Some("database.unique_violation"));
    assert_eq!(span.meta("db.response.status_code"), Some("2067"));
    assert!(
        span.meta("error.message")
            .unwrap()
            .contains("UNIQUE constraint failed")
    );

    sqlx::query("SELECT nothing FROM nowhere")
        .fetch_optional(&pool)
        .await
        .map(drop)
        .unwrap_err();
    let span = recorder.take_only();
    assert_eq!(span.meta("error.type"), Some("database"));

    // Not a failure of the statement, but of what the caller expected of it.
    let error = sqlx::query("SELECT 1 WHERE false")
        .fetch_one(&pool)
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, sqlx::Error::RowNotFound));
    assert!(!recorder.take_only().error);
}

#[tokio::test]
async fn connections_and_transactions_are_traced_in_every_spelling() {
    let recorder = Recorder::new();
    let pool = pool().await;
    let count = "SELECT count(*) FROM cups";

    let mut connection = pool.acquire().await.unwrap();
    sqlx::query(count).fetch_one(&mut connection).await.unwrap();
    sqlx::query(count)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert_eq!(recorder.take().len(), 2);

    let mut nested = connection.begin().await.unwrap();
    sqlx::query("DELETE FROM cups")
        .execute(&mut *nested)
        .await
        .unwrap();
    nested.rollback().await.unwrap();
    let names: Vec<_> = recorder.take().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["sqlite.query", "sqlite.connection.rollback"]);

    let mut begun = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query(count).fetch_one(&mut *begun).await.unwrap();
    begun.commit().await.unwrap();
    drop(connection);
    let names: Vec<_> = recorder.take().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["sqlite.query", "sqlite.connection.commit"]);

    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("DELETE FROM cups WHERE owner = 'ada'")
        .execute(&mut transaction)
        .await
        .unwrap();
    sqlx::query("DELETE FROM cups WHERE owner = 'ben'")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let mut savepoint = transaction.begin().await.unwrap();
    sqlx::query("DELETE FROM cups WHERE owner = 'cleo'")
        .execute(&mut *savepoint)
        .await
        .unwrap();
    savepoint.rollback().await.unwrap();
    transaction.commit().await.unwrap();
    let spans = recorder.take();
    let resources: Vec<_> = spans.iter().map(|span| span.resource.as_str()).collect();
    assert_eq!(
        resources,
        [
            "DELETE FROM cups WHERE owner = 'ada'",
            "DELETE FROM cups WHERE owner = 'ben'",
            "DELETE FROM cups WHERE owner = 'cleo'",
            "sqlite.connection.rollback",
            "sqlite.connection.commit",
        ]
    );
    assert!(
        spans
            .iter()
            .all(|span| span.meta("db.name") == Some(":memory:"))
    );
    let left: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
    assert_eq!(left, 1);

    let mut single = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let mut single = Traced::new(&mut single);
    sqlx::query("SELECT 1")
        .fetch_one(&mut single)
        .await
        .unwrap();
    assert_eq!(recorder.take().len(), 2);
}

#[tokio::test]
async fn what_the_program_prepared_itself_runs_as_it_is() {
    let recorder = Recorder::with_variables(&[("DD_DBM_PROPAGATION_MODE", "service")]);
    let pool = pool().await;
    let statement = (&pool)
        .prepare(text("SELECT owner FROM cups WHERE owner = ?"))
        .await
        .unwrap();
    let row = statement
        .query()
        .bind("ben")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(row.get::<String, _>(0), "ben");
    assert_eq!(
        recorder.take_only().resource,
        "SELECT owner FROM cups WHERE owner = ?"
    );
}

#[tokio::test]
async fn commented_statements_run_with_their_values() {
    for mode in ["service", "full", "dynamic_service"] {
        let recorder = Recorder::with_variables(&[("DD_DBM_PROPAGATION_MODE", mode)]);
        let pool = pool().await;
        let query = sqlx::query_scalar("SELECT owner FROM cups WHERE owner = ?").bind("ben");
        let owner: String = query.fetch_one(&pool).await.unwrap();
        assert_eq!(owner, "ben");
        let span = recorder.take_only();
        assert_eq!(
            span.resource, "SELECT owner FROM cups WHERE owner = ?",
            "the comment is no part of the resource"
        );
        assert_eq!(
            span.meta("_dd.dbm_trace_injected"),
            (mode == "full").then_some("true")
        );
    }
}

#[tokio::test]
async fn settings_name_service_and_operation_or_switch_it_off() {
    type Case = (
        &'static [(&'static str, &'static str)],
        Option<(&'static str, &'static str)>,
    );
    let cases: [Case; 5] = [
        (
            &[("DD_SQLX_SERVICE", "orders")],
            Some(("sqlite.query", "orders")),
        ),
        (
            &[("DD_TRACE_REMOVE_INTEGRATION_SERVICE_NAMES_ENABLED", "true")],
            Some(("sqlite.query", "test")),
        ),
        (
            &[("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1")],
            Some(("sqlite.query", "test")),
        ),
        (&[("DD_TRACE_SQLX_ENABLED", "false")], None),
        (&[("DD_TRACE_ENABLED", "false")], None),
    ];
    for (variables, expected) in cases {
        let recorder = Recorder::with_variables(variables);
        let pool = pool().await;
        sqlx::query("SELECT 1").fetch_one(&pool).await.unwrap();
        let spans = recorder.take();
        let found = spans
            .first()
            .map(|span| (span.name.as_str(), span.service.as_str()));
        assert_eq!(found, expected, "{variables:?}");
    }
}

#[tokio::test]
async fn files_are_named_in_the_tags() {
    let recorder = Recorder::new();
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("orders.db"))
        .create_if_missing(true);
    let pool = Traced::new(SqlitePool::connect_with(options).await.unwrap());
    sqlx::query("SELECT 1").fetch_one(&pool).await.unwrap();
    assert_eq!(recorder.take_only().meta("db.name"), Some("orders.db"));
}

#[tokio::test]
async fn listeners_learn_of_statements() {
    events::on::<SqlQueryStarted<'_>>(Phase::Security, "test", |event| {
        if event.statement.contains("listened") {
            event
                .span
                .set_tag("statement.length", event.statement.len());
        }
    });
    events::on::<SqlQueryFinished<'_>>(Phase::Product, "test", |event| {
        event.span.set_tag("rows.seen", event.rows);
    });
    let recorder = Recorder::new();
    let pool = pool().await;
    sqlx::query("SELECT owner AS listened FROM cups")
        .fetch_all(&pool)
        .await
        .unwrap();
    let span = recorder.take_only();
    assert_eq!(span.metric("statement.length"), Some(34.0));
    assert_eq!(span.metric("rows.seen"), Some(3.0));
}

#[tokio::test]
async fn waiting_for_a_connection_is_a_span_if_the_user_wants_to_see_it() {
    // Off by default: the other tests would find it.
    let recorder = Recorder::with_variables(&[("DD_SQLX_TRACE_POOL_ACQUIRE", "true")]);
    let pool = pool().await;
    let name_and_parent = |spans: &[SpanData]| -> Vec<(String, u64)> {
        let named = spans.iter();
        named
            .map(|span| (span.name.clone(), span.parent_id))
            .collect()
    };

    let rows = sqlx::query("SELECT owner FROM cups")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(rows.len(), 3);
    let spans = recorder.take();
    let query = spans
        .iter()
        .find(|span| span.name == "sqlite.query")
        .unwrap();
    assert_eq!(query.metric("db.row_count"), Some(3.0));
    let acquire = spans
        .iter()
        .find(|span| span.name == "sqlx.pool.acquire")
        .unwrap();
    assert_eq!(acquire.parent_id, query.span_id);
    assert_eq!(acquire.metric("_dd.measured"), None);
    assert_eq!(acquire.service, "sqlite");
    assert_eq!(acquire.meta("db.name"), Some(":memory:"));
    assert_eq!(spans.len(), 2);

    let one = sqlx::query("SELECT 1").fetch_optional(&pool).await.unwrap();
    assert!(one.is_some());
    assert_eq!(recorder.take().len(), 2);

    let transaction = pool.begin().await.unwrap();
    assert_eq!(
        name_and_parent(&recorder.take()),
        [("sqlx.pool.acquire".to_owned(), 0)]
    );
    transaction.commit().await.unwrap();
    recorder.take();

    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("SELECT 1")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    let names: Vec<_> = recorder.take().into_iter().map(|span| span.name).collect();
    assert_eq!(
        names,
        [
            "sqlx.pool.acquire",
            "sqlite.query",
            "sqlite.connection.rollback"
        ]
    );
}

#[tokio::test]
async fn a_pool_without_a_free_connection_fails_the_query_and_says_so() {
    for acquire in ["false", "true"] {
        let recorder = Recorder::with_variables(&[("DD_SQLX_TRACE_POOL_ACQUIRE", acquire)]);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(std::time::Duration::from_millis(10))
            .connect_lazy("sqlite::memory:")
            .unwrap();
        let pool = Traced::new(pool);
        // A loaded machine may need longer than that to open one.
        let held = loop {
            if let Ok(connection) = pool.inner().acquire().await {
                break connection;
            }
        };
        let error = sqlx::query("SELECT 1").execute(&pool).await.unwrap_err();
        assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error}");
        let spans = recorder.take();
        assert_eq!(spans.len(), if acquire == "true" { 2 } else { 1 });
        for span in spans {
            assert!(span.error, "{}", span.name);
            assert_eq!(span.meta("error.type"), Some("pool_timed_out"));
        }
        drop(held);
        pool.close().await;
        let error = sqlx::query("SELECT 1").execute(&pool).await.unwrap_err();
        assert!(matches!(error, sqlx::Error::PoolClosed), "{error}");
        let span = recorder.take().pop().unwrap();
        assert_eq!(span.meta("error.type"), Some("pool_closed"));
    }
}

#[tokio::test]
async fn a_query_that_its_caller_gives_up_has_one_span_without_an_error() {
    let recorder = Recorder::new();
    let pool = pool().await;
    // Held, so that the query waits for a connection when it is dropped.
    let held = pool.acquire().await.unwrap();
    let mut query = Box::pin(sqlx::query("SELECT 1").fetch_optional(&pool));
    assert!(futures_util::poll!(&mut query).is_pending());
    drop(query);
    let span = recorder.take_only();
    assert_eq!(span.resource, "SELECT 1");
    assert!(!span.error);
    let mut stream = sqlx::query("SELECT 2").fetch(&pool);
    assert!(futures_util::poll!(stream.next()).is_pending());
    drop(stream);
    assert_eq!(recorder.take_only().resource, "SELECT 2");
    drop(held);
    // The pool is as good as before.
    sqlx::query("SELECT 3").fetch_one(&pool).await.unwrap();
}

#[tokio::test]
async fn a_broken_transaction_ends_its_spans_and_leaves_the_error_as_it_is() {
    let recorder = Recorder::new();
    let pool = pool().await;
    let mut transaction = pool.begin().await.unwrap();
    // The database ends the transaction itself, so there is nothing to commit.
    sqlx::query("ROLLBACK")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let error = transaction.commit().await.unwrap_err();
    let spans = recorder.take();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let commit = &spans[1];
    assert_eq!(commit.name, "sqlite.connection.commit");
    assert!(commit.error);
    assert_eq!(commit.meta("error.message"), Some(&*error.to_string()));
}

#[tokio::test]
async fn connections_that_are_opened_have_spans() {
    let recorder = Recorder::new();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("orders.db").display());

    let error = Traced::<SqlitePool>::connect(&url).await.map(drop);
    let bare = SqlitePool::connect(&url).await.map(drop);
    let error = error.unwrap_err().to_string();
    assert_eq!(error, bare.unwrap_err().to_string());
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.meta("error.message"), Some(&*error));

    let pool = Traced::<SqlitePool>::connect(&format!("{url}?mode=rwc")).await;
    let pool = pool.unwrap();
    let span = recorder.take_only();
    assert_eq!(span.name, "sqlite.connect");
    assert_eq!(span.resource, "sqlite.connect");
    assert_eq!(span.span_type, "sql");
    assert_eq!(span.service, "sqlite");
    assert_eq!(span.metric("_dd.measured"), None);
    assert!(!span.error);
    let expected = [
        ("db.system", "sqlite"),
        ("db.name", "orders.db"),
        ("span.kind", "client"),
        ("component", "sqlx"),
    ];
    for (tag, value) in expected {
        assert_eq!(span.meta(tag), Some(value), "{tag}");
    }
    sqlx::query("SELECT 1").fetch_one(&pool).await.unwrap();
    assert_eq!(recorder.take_only().meta("db.name"), Some("orders.db"));

    let connection = Traced::<Box<SqliteConnection>>::connect(&url).await;
    let mut connection = connection.unwrap();
    assert_eq!(recorder.take_only().name, "sqlite.connect");
    sqlx::query("SELECT 1")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(recorder.take_only().meta("db.name"), Some("orders.db"));
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query("SELECT 2")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    recorder.take_only();
    transaction.commit().await.unwrap();
    // What is no statement of its own has neither a type nor statistics.
    let span = recorder.take_only();
    assert_eq!(span.name, "sqlite.connection.commit");
    assert_eq!((&*span.span_type, span.metric("_dd.measured")), ("", None));
    assert_eq!(span.meta("span.kind"), Some("client"));
    connection.into_inner().close().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_rolled_back_without_a_span() {
    let recorder = Recorder::new();
    let pool = pool().await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("DELETE FROM cups")
        .execute(&mut *transaction)
        .await
        .unwrap();
    drop(transaction);
    let count = sqlx::query_scalar("SELECT count(*) FROM cups");
    let left: i64 = count.fetch_one(&pool).await.unwrap();
    assert_eq!(left, 3);
    let spans = recorder.take();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["sqlite.query", "sqlite.query"]);
}
