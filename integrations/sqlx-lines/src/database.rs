//! What is known about each database, and how a connection comes out of a pool.

/// Declares the sites of spans. What is no statement of its own has no type, as in the reference.
#[doc(hidden)]
#[macro_export]
macro_rules! sites {
    ($($site:ident = $name:literal in $function:literal $(as $type:literal)?),+) => {$(
        ddtrace_core::site! {
            static $site: Site = Site::new($name, $function, module_path!(), file!(), line!())
                $(.with_span_type($type))?
                .with_kind(SpanKind::Client)
                .with_component("sqlx");
        }
    )+};
}

/// The module `database` of a line.
#[macro_export]
macro_rules! database {
    () => {
        use std::sync::Arc;

        use ddtrace_core::instrument::Settings;
        use ddtrace_core::sql::{Sites, System, Target, run_acquire};
        use ddtrace_core::trace::{Site, SpanKind};
        use futures_core::stream::BoxStream;
        use sqlx_core::connection::Connection;
        use sqlx_core::database::Database;
        use sqlx_core::pool::{Pool, PoolConnection};
        use sqlx_core::{Either, Error};

        use crate::failure::failure;

        /// What the user has set for this integration.
        pub(crate) static SETTINGS: Settings = Settings::of("sqlx");

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

        $crate::sites! {
            ACQUIRE = "sqlx.pool.acquire" in "acquire" as "sql"
        }

        /// Whether waiting for a connection has a span of its own.
        pub(crate) fn acquires_are_traced() -> bool {
            let settings = SETTINGS.get();
            settings.is_some_and(|settings| settings.config.pool_acquire_spans)
        }

        /// Takes a connection from the pool, in a span if the user wants to see that.
        pub(crate) async fn acquire<DB: Described>(
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
        pub(crate) async fn next<DB: Database>(
            steps: &mut BoxStream<'_, Step<DB>>,
        ) -> Result<Option<Either<DB::QueryResult, DB::Row>>, Error> {
            let step = std::future::poll_fn(|cx| steps.as_mut().poll_next(cx)).await;
            step.transpose()
        }

        /// A database that spans can describe. Implemented under the feature of its driver.
        ///
        /// sqlx has no common way to ask for rows affected or for the server's address.
        pub trait Described: Database {
            /// How the system is called in names and tags.
            #[doc(hidden)]
            fn system() -> &'static System;

            /// The rows that a finished statement changed.
            #[doc(hidden)]
            fn rows_affected(result: &Self::QueryResult) -> u64;

            /// Where the queries go, from the options of the pool.
            #[doc(hidden)]
            fn target(options: &<Self::Connection as Connection>::Options) -> Target;
        }

        #[cfg(feature = "_sqlite")]
        $crate::sites! {
            SQLITE_QUERY = "sqlite.query" in "query" as "sql",
            SQLITE_CONNECT = "sqlite.connect" in "connect" as "sql",
            SQLITE_COMMIT = "sqlite.connection.commit" in "commit",
            SQLITE_ROLLBACK = "sqlite.connection.rollback" in "rollback"
        }

        #[cfg(feature = "_sqlite")]
        impl Described for sqlx_sqlite::Sqlite {
            fn system() -> &'static System {
                static SYSTEM: System = System::sqlite(Sites {
                    query: &SQLITE_QUERY,
                    commit: &SQLITE_COMMIT,
                    rollback: &SQLITE_ROLLBACK,
                    connect: &SQLITE_CONNECT,
                });
                &SYSTEM
            }

            fn rows_affected(result: &Self::QueryResult) -> u64 {
                result.rows_affected()
            }

            fn target(options: &sqlx_sqlite::SqliteConnectOptions) -> Target {
                Target::file(options.get_filename())
            }
        }

        #[cfg(feature = "mysql")]
        $crate::sites! {
            MYSQL_QUERY = "mysql.query" in "query" as "sql",
            MYSQL_CONNECT = "mysql.connect" in "connect" as "sql",
            MYSQL_COMMIT = "mysql.connection.commit" in "commit",
            MYSQL_ROLLBACK = "mysql.connection.rollback" in "rollback"
        }

        #[cfg(feature = "mysql")]
        impl Described for sqlx_mysql::MySql {
            fn system() -> &'static System {
                static SYSTEM: System = System::mysql(Sites {
                    query: &MYSQL_QUERY,
                    commit: &MYSQL_COMMIT,
                    rollback: &MYSQL_ROLLBACK,
                    connect: &MYSQL_CONNECT,
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
        }

        #[cfg(feature = "postgres")]
        $crate::sites! {
            POSTGRES_QUERY = "postgres.query" in "query" as "sql",
            POSTGRES_CONNECT = "postgres.connect" in "connect" as "sql",
            POSTGRES_COMMIT = "postgres.connection.commit" in "commit",
            POSTGRES_ROLLBACK = "postgres.connection.rollback" in "rollback"
        }

        #[cfg(feature = "postgres")]
        impl Described for sqlx_postgres::Postgres {
            fn system() -> &'static System {
                static SYSTEM: System = System::postgres(Sites {
                    query: &POSTGRES_QUERY,
                    commit: &POSTGRES_COMMIT,
                    rollback: &POSTGRES_ROLLBACK,
                    connect: &POSTGRES_CONNECT,
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
        }
    };
}
