//! What this crate has to know about each database.

use std::sync::Arc;

use ddtrace_core::instrument::Settings;
use ddtrace_core::sql::{Sites, System, Target, run_acquire};
use ddtrace_core::trace::{Site, SpanKind};
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx_core::connection::Connection;
use sqlx_core::database::Database;
use sqlx_core::describe::Describe;
use sqlx_core::error::BoxDynError;
use sqlx_core::executor::{Execute, Executor as _};
use sqlx_core::ext::async_stream::TryAsyncStream;
use sqlx_core::pool::{Pool, PoolConnection};
use sqlx_core::{Either, Error};

use crate::execute::Commented;
use crate::failure::failure;

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
    Pool(Pool<DB>, Arc<Target>),
    Connection(&'c mut DB::Connection),
}

ddtrace_core::site! {
    static ACQUIRE: Site = Site::new("sqlx.pool.acquire", "acquire", module_path!(), file!(), line!())
        .with_span_type("sql")
        .with_kind(SpanKind::Client)
        .with_component("sqlx");
}

/// Whether waiting for a connection has a span of its own.
fn acquires_are_traced() -> bool {
    let settings = SETTINGS.get();
    settings.is_some_and(|settings| settings.config.pool_acquire_spans)
}

/// Takes a connection from the pool, in a span if the user wants to see that.
pub(crate) async fn acquire<DB: Driver>(
    pool: Pool<DB>,
    target: Arc<Target>,
) -> Result<PoolConnection<DB>, Error> {
    let settings = SETTINGS
        .get()
        .filter(|settings| settings.config.pool_acquire_spans);
    let connection = pool.acquire();
    match settings {
        Some(settings) => {
            let system = DB::system();
            run_acquire(&settings, &ACQUIRE, system, &target, connection, failure).await
        }
        None => connection.await,
    }
}

/// The next step of a query, none at its end.
async fn next<DB: Driver>(
    steps: &mut BoxStream<'_, Step<DB>>,
) -> Result<Option<Either<DB::QueryResult, DB::Row>>, Error> {
    let step = std::future::poll_fn(|cx| steps.as_mut().poll_next(cx)).await;
    step.transpose()
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

    /// The same under a text that lives no longer than the call.
    #[doc(hidden)]
    fn fetch_many_commented<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        text: String,
        arguments: Result<Option<Self::Arguments<'q>>, BoxDynError>,
        persistent: bool,
    ) -> BoxStream<'e, Step<Self>>;

    #[doc(hidden)]
    fn fetch_optional_commented<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        text: String,
        arguments: Result<Option<Self::Arguments<'q>>, BoxDynError>,
        persistent: bool,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, Error>>;

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
                // What sqlx does for a pool, in two steps of ours.
                Runner::Pool(pool, target) if acquires_are_traced() => {
                    Box::pin(TryAsyncStream::new(move |yielder| async move {
                        let mut connection = acquire(pool, target).await?;
                        let mut steps = (*connection).fetch_many(query);
                        while let Some(step) = next::<Self>(&mut steps).await? {
                            yielder.r#yield(step).await;
                        }
                        Ok(())
                    }))
                }
                Runner::Pool(pool, _) => (&pool).fetch_many(query),
                Runner::Connection(connection) => connection.fetch_many(query),
            }
        }

        fn fetch_many_commented<'e, 'q: 'e>(
            runner: Runner<'e, Self>,
            text: String,
            arguments: Result<Option<Self::Arguments<'q>>, BoxDynError>,
            persistent: bool,
        ) -> BoxStream<'e, Step<Self>> {
            // The text belongs to the future that borrows it. Arguments that were good for longer are good for that too,
            // which can be said of each driver, and not of all at once.
            Box::pin(TryAsyncStream::new(move |yielder| async move {
                let query = Commented::<Self> {
                    text: &text,
                    arguments,
                    persistent,
                };
                let mut steps = Self::fetch_many(runner, query);
                while let Some(step) = next::<Self>(&mut steps).await? {
                    yielder.r#yield(step).await;
                }
                Ok(())
            }))
        }

        fn fetch_optional_commented<'e, 'q: 'e>(
            runner: Runner<'e, Self>,
            text: String,
            arguments: Result<Option<Self::Arguments<'q>>, BoxDynError>,
            persistent: bool,
        ) -> BoxFuture<'e, Result<Option<Self::Row>, Error>> {
            Box::pin(async move {
                let query = Commented::<Self> {
                    text: &text,
                    arguments,
                    persistent,
                };
                Self::fetch_optional(runner, query).await
            })
        }

        fn fetch_optional<'e, 'q: 'e>(
            runner: Runner<'e, Self>,
            query: impl Execute<'q, Self> + 'q,
        ) -> BoxFuture<'e, Result<Option<Self::Row>, Error>> {
            match runner {
                Runner::Pool(pool, target) if acquires_are_traced() => Box::pin(async move {
                    let mut connection = acquire(pool, target).await?;
                    (*connection).fetch_optional(query).await
                }),
                Runner::Pool(pool, _) => (&pool).fetch_optional(query),
                Runner::Connection(connection) => connection.fetch_optional(query),
            }
        }

        fn prepare_with<'e, 'q: 'e>(
            runner: Runner<'e, Self>,
            sql: &'q str,
            parameters: &'e [Self::TypeInfo],
        ) -> BoxFuture<'e, Result<Self::Statement<'q>, Error>> {
            match runner {
                Runner::Pool(pool, _) => (&pool).prepare_with(sql, parameters),
                Runner::Connection(connection) => connection.prepare_with(sql, parameters),
            }
        }

        fn describe<'e, 'q: 'e>(
            runner: Runner<'e, Self>,
            sql: &'q str,
        ) -> BoxFuture<'e, Result<Describe<Self>, Error>> {
            match runner {
                Runner::Pool(pool, _) => (&pool).describe(sql),
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
impl Driver for sqlx_sqlite::Sqlite {
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

    fn target(options: &sqlx_sqlite::SqliteConnectOptions) -> Target {
        Target::file(options.get_filename())
    }

    run_by_sqlx!();
}

#[cfg(feature = "mysql")]
sites! {
    MYSQL_QUERY = "mysql.query" in "query",
    MYSQL_COMMIT = "mysql.connection.commit" in "commit",
    MYSQL_ROLLBACK = "mysql.connection.rollback" in "rollback"
}

#[cfg(feature = "mysql")]
impl Driver for sqlx_mysql::MySql {
    fn system() -> &'static System {
        static SYSTEM: System = System::mysql(Sites {
            query: &MYSQL_QUERY,
            commit: &MYSQL_COMMIT,
            rollback: &MYSQL_ROLLBACK,
        });
        &SYSTEM
    }

    fn rows_affected(result: &Self::QueryResult) -> u64 {
        result.rows_affected()
    }

    fn target(options: &sqlx_mysql::MySqlConnectOptions) -> Target {
        let user = options.get_username();
        let database = options.get_database().unwrap_or_default();
        match options.get_socket() {
            Some(socket) => Target::socket(socket, database, user),
            None => Target::server(options.get_host(), options.get_port(), database, user),
        }
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
impl Driver for sqlx_postgres::Postgres {
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

    fn target(options: &sqlx_postgres::PgConnectOptions) -> Target {
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
