//! sqlx 0.9 and 0.8, each on PostgreSQL and on SQLite in memory, the latter to see the library without a server's part.

use super::{Subject, rooted, variable, variants};
use crate::POSTGRES;
use fastrace::future::FutureExt as _;

const ONE: &str = "SELECT 1";
const TEN_OF_POSTGRES: &str = "SELECT n, 'row ' || n FROM generate_series(1, 10) AS n";
const TEN_OF_SQLITE: &str =
    "SELECT value, 'row ' || value FROM json_each('[1,2,3,4,5,6,7,8,9,10]')";

/// A subject for a query that gives so many rows. A crate that traces one version of sqlx is `theirs`.
macro_rules! subject {
    (
        $name:literal, $needs:expr, $sqlx:ident, $system:literal, $sql:expr, $rows:literal,
        pool: $pool:expr, ours: $ours:ident, theirs: $theirs:path, by $with:literal as $($tracer:ident),+
    ) => {
        Subject {
            name: $name,
            needs: $needs,
            burst: 500,
            spans: 1,
            rooted: true,
            variants: variants! { tracer:
                Bare, "" => work!(tracer, $sqlx, $pool, $sql, $rows);
                Off, concat!("ddtrace::", stringify!($ours)) => work!(tracer, $sqlx, ddtrace::$ours::Traced::new($pool), $sql, $rows);
                Ddtrace, concat!("ddtrace::", stringify!($ours)) => work!(tracer, $sqlx, ddtrace::$ours::Traced::new($pool), $sql, $rows);
                $($tracer, $with => work!(tracer, $sqlx, <$theirs>::from($pool).build(), $sql, $rows);)+
                Fastrace, "by hand" => {
                    let pool = $pool;
                    rooted(tracer, pool, async |pool| {
                        let span = fastrace::Span::enter_with_local_parent("SELECT")
                            .with_properties(|| [("db.system.name", $system), ("db.query.text", $sql)]);
                        let rows = $sqlx::query($sql).fetch_all(&*pool).in_span(span).await;
                        assert_eq!(rows.expect("the query runs").len(), $rows);
                    })
                };
            },
        }
    };
}

macro_rules! work {
    ($tracer:expr, $sqlx:ident, $pool:expr, $sql:expr, $rows:literal) => {{
        let pool = $pool;
        rooted($tracer, pool, async |pool| {
            let rows = $sqlx::query($sql).fetch_all(&*pool).await;
            assert_eq!(rows.expect("the query runs").len(), $rows);
        })
    }};
}

/// A single connection: the pool is not what is measured.
macro_rules! postgres {
    ($sqlx:ident) => {{
        let options = $sqlx::postgres::PgPoolOptions::new().max_connections(1);
        let pool = options.connect(&variable(POSTGRES)).await;
        pool.expect("PostgreSQL is there")
    }};
}

macro_rules! sqlite {
    ($sqlx:ident) => {{
        let options = $sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
        let pool = options.connect("sqlite::memory:").await;
        pool.expect("a database in memory")
    }};
}

pub(crate) static SUBJECTS: &[Subject] = &[
    subject! {
        "sqlx 0.9, SQLite, 1 row", None, sqlx, "sqlite", ONE, 1,
        pool: sqlite!(sqlx), ours: sqlx, theirs: sqlx_otel::PoolBuilder<sqlx::Sqlite>, by "sqlx-otel" as Otel32
    },
    subject! {
        "sqlx 0.9, SQLite, 10 rows", None, sqlx, "sqlite", TEN_OF_SQLITE, 10,
        pool: sqlite!(sqlx), ours: sqlx, theirs: sqlx_otel::PoolBuilder<sqlx::Sqlite>, by "sqlx-otel" as Otel32
    },
    subject! {
        "sqlx 0.9, PostgreSQL, 1 row", Some(POSTGRES), sqlx, "postgresql", ONE, 1,
        pool: postgres!(sqlx), ours: sqlx, theirs: sqlx_otel::PoolBuilder<sqlx::Postgres>, by "sqlx-otel" as Otel32
    },
    subject! {
        "sqlx 0.9, PostgreSQL, 10 rows", Some(POSTGRES), sqlx, "postgresql", TEN_OF_POSTGRES, 10,
        pool: postgres!(sqlx), ours: sqlx, theirs: sqlx_otel::PoolBuilder<sqlx::Postgres>, by "sqlx-otel" as Otel32
    },
    subject! {
        "sqlx 0.8, SQLite, 1 row", None, sqlx_0_8, "sqlite", ONE, 1,
        pool: sqlite!(sqlx_0_8), ours: sqlx_0_8, theirs: sqlx_tracing::PoolBuilder<sqlx_0_8::Sqlite>, by "sqlx-tracing" as Otel, Datadog
    },
    subject! {
        "sqlx 0.8, PostgreSQL, 1 row", Some(POSTGRES), sqlx_0_8, "postgresql", ONE, 1,
        pool: postgres!(sqlx_0_8), ours: sqlx_0_8, theirs: sqlx_tracing::PoolBuilder<sqlx_0_8::Postgres>, by "sqlx-tracing" as Otel, Datadog
    },
    subject! {
        "sqlx 0.8, PostgreSQL, 10 rows", Some(POSTGRES), sqlx_0_8, "postgresql", TEN_OF_POSTGRES, 10,
        pool: postgres!(sqlx_0_8), ours: sqlx_0_8, theirs: sqlx_tracing::PoolBuilder<sqlx_0_8::Postgres>, by "sqlx-tracing" as Otel, Datadog
    },
];
