//! What this crate has to know about each database.

use ddtrace_core::instrument::Settings;
use ddtrace_core::sql::{Sites, System, Target};
use ddtrace_core::trace::{Site, SpanKind};
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx_core_0_8::connection::Connection;
use sqlx_core_0_8::database::Database;
use sqlx_core_0_8::describe::Describe;
use sqlx_core_0_8::executor::{Execute, Executor as _};
use sqlx_core_0_8::pool::Pool;
use sqlx_core_0_8::{Either, Error};

/// What the user has set for this integration.
pub(crate) static SETTINGS: Settings = Settings::of("sqlx");

/// Declares the sites of a database's spans.
macro_rules! sites {
    ($($site:ident = $name:literal in $function:literal),+) => {$(
        ddtrace_core::site! {
            static $site: Site = Site::new($name, $function, module_path!(), file!(), line!())
                .with_span_type("sql")
                .with_kind(SpanKind::Client)
                .with_component("sqlx");
        }
    )+};
}

/// What a stream of `fetch_many` yields: the result of a statement, or a row.
pub(crate) type Step<DB> =
    Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>, Error>;

/// What runs a query in the end.
#[doc(hidden)]
#[derive(Debug)]
pub enum Runner<'c, DB: Database> {
    Pool(Pool<DB>),
    Connection(&'c mut DB::Connection),
}

/// A database whose queries can be watched.
///
/// Implemented under the feature of its driver. sqlx has no common way to ask for rows affected or for the server's
/// address. That connections run queries cannot be said of all databases at once either: the bound that says it,
/// for every lifetime of a borrowed connection, has the compiler try our own executors without end.
pub trait Driver: Database {
    /// How the system is called in names and tags.
    #[doc(hidden)]
    fn system() -> &'static System;

    /// The rows that a finished statement changed.
    #[doc(hidden)]
    fn rows_affected(result: &Self::QueryResult) -> u64;

    /// Where the queries go, from the options of the pool.
    #[doc(hidden)]
    fn target(options: &<Self::Connection as Connection>::Options) -> Target;

    #[doc(hidden)]
    fn fetch_many<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        query: impl Execute<'q, Self> + 'q,
    ) -> BoxStream<'e, Step<Self>>;

    #[doc(hidden)]
    fn fetch_optional<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        query: impl Execute<'q, Self> + 'q,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, Error>>;

    #[doc(hidden)]
    fn prepare_with<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        sql: &'q str,
        parameters: &'e [Self::TypeInfo],
    ) -> BoxFuture<'e, Result<Self::Statement<'q>, Error>>;

    #[doc(hidden)]
    fn describe<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        sql: &'q str,
    ) -> BoxFuture<'e, Result<Describe<Self>, Error>>;
}

/// The methods that run something, which read the same for every database.
macro_rules! run_by_sqlx {
    () => {
        fn fetch_many<'e, 'q: 'e>(
            runner: Runner<'e, Self>,
            query: impl Execute<'q, Self> + 'q,
        ) -> BoxStream<'e, Step<Self>> {
            match runner {
                Runner::Pool(pool) => (&pool).fetch_many(query),
                Runner::Connection(connection) => connection.fetch_many(query),
            }
        }

        fn fetch_optional<'e, 'q: 'e>(
            runner: Runner<'e, Self>,
            query: impl Execute<'q, Self> + 'q,
        ) -> BoxFuture<'e, Result<Option<Self::Row>, Error>> {
            match runner {
                Runner::Pool(pool) => (&pool).fetch_optional(query),
                Runner::Connection(connection) => connection.fetch_optional(query),
            }
        }

        fn prepare_with<'e, 'q: 'e>(
            runner: Runner<'e, Self>,
            sql: &'q str,
            parameters: &'e [Self::TypeInfo],
        ) -> BoxFuture<'e, Result<Self::Statement<'q>, Error>> {
            match runner {
                Runner::Pool(pool) => (&pool).prepare_with(sql, parameters),
                Runner::Connection(connection) => connection.prepare_with(sql, parameters),
            }
        }

        fn describe<'e, 'q: 'e>(
            runner: Runner<'e, Self>,
            sql: &'q str,
        ) -> BoxFuture<'e, Result<Describe<Self>, Error>> {
            match runner {
                Runner::Pool(pool) => (&pool).describe(sql),
                Runner::Connection(connection) => connection.describe(sql),
            }
        }
    };
}

#[cfg(feature = "_sqlite")]
sites! {
    SQLITE_QUERY = "sqlite.query" in "query",
    SQLITE_COMMIT = "sqlite.connection.commit" in "commit",
    SQLITE_ROLLBACK = "sqlite.connection.rollback" in "rollback"
}

#[cfg(feature = "_sqlite")]
impl Driver for sqlx_sqlite_0_8::Sqlite {
    fn system() -> &'static System {
        static SYSTEM: System = System::sqlite(Sites {
            query: &SQLITE_QUERY,
            commit: &SQLITE_COMMIT,
            rollback: &SQLITE_ROLLBACK,
        });
        &SYSTEM
    }

    fn rows_affected(result: &Self::QueryResult) -> u64 {
        result.rows_affected()
    }

    fn target(options: &sqlx_sqlite_0_8::SqliteConnectOptions) -> Target {
        Target::file(options.get_filename())
    }

    run_by_sqlx!();
}

#[cfg(feature = "postgres")]
sites! {
    POSTGRES_QUERY = "postgres.query" in "query",
    POSTGRES_COMMIT = "postgres.connection.commit" in "commit",
    POSTGRES_ROLLBACK = "postgres.connection.rollback" in "rollback"
}

#[cfg(feature = "postgres")]
impl Driver for sqlx_postgres_0_8::Postgres {
    fn system() -> &'static System {
        static SYSTEM: System = System::postgres(Sites {
            query: &POSTGRES_QUERY,
            commit: &POSTGRES_COMMIT,
            rollback: &POSTGRES_ROLLBACK,
        });
        &SYSTEM
    }

    fn rows_affected(result: &Self::QueryResult) -> u64 {
        result.rows_affected()
    }

    fn target(options: &sqlx_postgres_0_8::PgConnectOptions) -> Target {
        let user = options.get_username();
        // PostgreSQL's own rule: the database of a user without one is called as the user.
        let database = options.get_database().unwrap_or(user);
        match options.get_socket() {
            Some(socket) => Target::socket(socket, database, user),
            None => Target::server(options.get_host(), options.get_port(), database, user),
        }
    }

    run_by_sqlx!();
}
