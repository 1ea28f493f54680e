//! The checked macros of sqlx, whose queries are executed by whatever is handed to them: for both lines, which include this.
//!
//! What the macros know about the database while they are compiled is in the folder `.sqlx` of this crate, so that it compiles
//! without one. After a change of a statement:
//!
//! ```text
//! bash tests/run --exec bash -c 'touch tests/behaviour/main.rs tests/sqlx_0_8_macros.rs; \
//!     SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$PWD/tests/.sqlx DATABASE_URL=$DATABASE_URL_POSTGRES cargo check -p ddtrace-tests --tests'
//! ```

use ddtrace_core::test_support::Recorder;
use ddtrace_tests::service;
use futures_util::TryStreamExt as _;
use sqlx::postgres::PgPool;

use super::Traced;

struct Cup {
    owner: String,
    size: i64,
}

#[tokio::test]
async fn checked_queries_are_traced_like_others() {
    let Some(url) = service::named("DATABASE_URL_POSTGRES") else {
        return;
    };
    let pool = Traced::new(PgPool::connect(&url).await.unwrap());
    let recorder = Recorder::new();

    let sum = sqlx::query_scalar!("SELECT $1::int4 + 1 AS \"sum!\"", 41)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(sum, 42);
    let span = recorder.take_only();
    assert_eq!(span.resource, "SELECT $1::int4 + 1 AS \"sum!\"");
    assert_eq!(span.metric("db.row_count"), Some(1.0));

    let mut transaction = pool.begin().await.unwrap();
    let rows = sqlx::query!(
        "SELECT n AS \"n!\" FROM generate_series(1, $1::int4) AS n",
        3
    )
    .fetch_all(&mut *transaction)
    .await
    .unwrap();
    assert_eq!(rows.iter().map(|row| row.n).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(3.0));

    let cup = sqlx::query_as!(
        Cup,
        "SELECT $1::text AS \"owner!\", 2::int8 AS \"size!\"",
        "ada"
    )
    .fetch_one(&mut transaction)
    .await
    .unwrap();
    assert_eq!((&*cup.owner, cup.size), ("ada", 2));
    assert!(!format!("{:?}", recorder.take_only()).contains("ada"));

    let mut stream = sqlx::query!(
        "SELECT n AS \"n!\" FROM generate_series(1, $1::int4) AS n",
        3
    )
    .fetch(&mut *transaction);
    assert_eq!(stream.try_next().await.unwrap().unwrap().n, 1);
    drop(stream);
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(1.0));
    transaction.commit().await.unwrap();
    assert_eq!(recorder.take_only().name, "postgres.connection.commit");
}
