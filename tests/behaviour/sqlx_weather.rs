//! Bad weather over sqlx: both lines of it, on a real PostgreSQL and a real MariaDB. Servers that go away, refuse or run out of
//! patience, transactions that break, streams that nobody reads to their end. The library's error arrives as it is, and every
//! span ends once, with that error.

/// How a database says what the cases need.
struct Dialect {
    /// The variable with the server's address.
    url: &'static str,
    /// The name of its spans begins with this.
    name: &'static str,
    /// The number of the connection.
    id: &'static str,
    sleep: &'static str,
    /// One if the connection of a number sleeps.
    sleeps: &'static str,
    /// Ends the connection of a number.
    end: &'static str,
    /// The code by which the server says so, if it says anything.
    ended: Option<&'static str>,
    /// Statements end after 20 ms.
    limit: &'static str,
    /// The code of a statement that took longer.
    over_limit: &'static str,
    /// The code of a database that is not there.
    no_database: &'static str,
    /// 200,000 rows.
    many: &'static str,
    /// Begins a transaction that sees what was there before it.
    begin: &'static str,
    /// Whether the other transaction has to be open for the conflict, or ended.
    conflicts_while_open: bool,
    /// The code of a conflict.
    conflicted: &'static str,
}

const POSTGRES: Dialect = Dialect {
    url: "DATABASE_URL_POSTGRES",
    name: "postgres",
    id: "SELECT pg_backend_pid()::int8",
    sleep: "SELECT pg_sleep(600)",
    sleeps: "SELECT count(*) FROM pg_stat_activity \
        WHERE pid = $1::int8 AND state = 'active' AND query LIKE '%pg_sleep(600)%'",
    end: "SELECT pg_terminate_backend($1::int8::int4)",
    ended: Some("57P01"),
    limit: "SET statement_timeout = 20",
    over_limit: "57014",
    no_database: "3D000",
    many: "SELECT n, repeat('x', 100) FROM generate_series(1, 200000) AS n",
    begin: "BEGIN ISOLATION LEVEL REPEATABLE READ",
    conflicts_while_open: false,
    conflicted: "40001",
};

const MARIADB: Dialect = Dialect {
    url: "DATABASE_URL_MYSQL",
    name: "mysql",
    id: "SELECT CAST(connection_id() AS SIGNED)",
    sleep: "SELECT sleep(600)",
    sleeps: "SELECT count(*) FROM information_schema.processlist \
        WHERE id = ? AND info LIKE '%sleep(600)%'",
    end: "KILL CONNECTION ?",
    ended: None,
    limit: "SET max_statement_time = 0.02",
    over_limit: "70100",
    no_database: "42000",
    many: "SELECT seq, repeat('x', 100) FROM seq_1_to_200000",
    begin: "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    conflicts_while_open: true,
    conflicted: "HY000",
};

macro_rules! tests {
    ($module:ident: $sqlx:ident, $ours:ident, $folder:ident, $Database:ident, $Connection:ident, $Options:ident, $DIALECT:ident,
        $conflict:literal table $rest:literal) => {
        mod $module {
            use ddtrace::$ours::Traced;
            use ddtrace_core::test_support::Recorder;
            use ddtrace_tests::proxy::{Closed, Proxy};
            use ddtrace_tests::service;
            use futures_util::TryStreamExt as _;
            use $sqlx::pool::PoolOptions;
            use $sqlx::$folder::$Options as Options;
            use $sqlx::{Connection as _, Error, Executor as _};

            use super::$DIALECT as DIALECT;

            type Pool = $sqlx::Pool<$sqlx::$Database>;
            type Connection = $sqlx::$Connection;

            fn server() -> Option<Options> {
                Some(service::named(DIALECT.url)?.parse().unwrap())
            }

            async fn open(options: &Options) -> Traced<Box<Connection>> {
                Traced::<Box<Connection>>::connect_with(options)
                    .await
                    .unwrap()
            }

            async fn number(connection: &mut Traced<Box<Connection>>) -> i64 {
                let id = $sqlx::query_scalar(DIALECT.id);
                id.fetch_one(&mut **connection.inner_mut()).await.unwrap()
            }

            /// Waits until the connection of this number sleeps.
            async fn sleeping(id: i64, other: &mut Connection) {
                loop {
                    let sleeps = $sqlx::query_scalar(DIALECT.sleeps).bind(id);
                    let sleeping: i64 = sleeps.fetch_one(&mut *other).await.unwrap();
                    if sleeping > 0 {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            }

            fn code(error: &Error) -> String {
                let code = error.as_database_error().and_then(|error| error.code());
                code.unwrap_or_else(|| panic!("no code: {error}"))
                    .into_owned()
            }

            #[tokio::test]
            async fn a_connection_that_is_refused_has_a_span_with_the_librarys_error() {
                let Some(options) = server() else {
                    return;
                };
                let recorder = Recorder::new();
                let closed = Closed::new();
                let away = options.clone().port(closed.port());
                let bare = Connection::connect_with(&away).await.map(drop);
                let bare = bare.unwrap_err().to_string();
                let error = Traced::<Box<Connection>>::connect_with(&away).await;
                assert_eq!(error.map(drop).unwrap_err().to_string(), bare);
                let span = recorder.take_only();
                assert_eq!(span.name, format!("{}.connect", DIALECT.name));
                assert_eq!(span.meta("error.type"), Some("io"));
                assert_eq!(span.meta("error.message"), Some(&*bare));
                let port = f64::from(closed.port());
                assert_eq!(span.metric("network.destination.port"), Some(port));

                let nowhere = options.clone().database("nowhere");
                let pool = Traced::<Pool>::connect_with(PoolOptions::new(), nowhere).await;
                let error = pool.map(drop).unwrap_err();
                let span = recorder.take_only();
                assert_eq!(span.name, format!("{}.connect", DIALECT.name));
                assert_eq!(code(&error), DIALECT.no_database);
                let told = span.meta("db.response.status_code");
                assert_eq!(told, Some(DIALECT.no_database));
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));

                let one = PoolOptions::new().max_connections(1);
                let pool = Traced::<Pool>::connect_with(one, options).await.unwrap();
                let span = recorder.take_only();
                assert!(!span.error);
                assert_eq!(span.meta("db.name"), Some("ddtrace"));
                pool.close().await;
            }

            #[tokio::test]
            async fn a_server_that_goes_away_in_mid_query_ends_the_span_with_the_librarys_error() {
                let Some(options) = server() else {
                    return;
                };
                let mut other = Connection::connect_with(&options).await.unwrap();
                let proxy = Proxy::to((options.get_host(), options.get_port()));
                let behind = options.clone().port(proxy.address().port());
                let mut connection = open(&behind).await;
                let id = number(&mut connection).await;
                let recorder = Recorder::new();
                let sleep = $sqlx::query(DIALECT.sleep).execute(&mut connection);
                let cut = async {
                    sleeping(id, &mut other).await;
                    proxy.cut();
                };
                let (answer, ()) = tokio::join!(sleep, cut);
                let error = answer.unwrap_err();
                assert!(matches!(error, Error::Io(_)), "{error:?}");
                let span = recorder.take_only();
                assert!(span.error);
                assert_eq!(span.resource, DIALECT.sleep);
                assert_eq!(span.meta("error.type"), Some("io"));
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
                // What comes later is an error of its own.
                let query = $sqlx::query("SELECT 1").execute(&mut connection);
                let error = query.await.unwrap_err();
                let span = recorder.take_only();
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
                // The server has not noticed.
                let end = $sqlx::query(DIALECT.end).bind(id);
                end.execute(&mut other).await.unwrap();
            }

            #[tokio::test]
            async fn a_connection_that_the_server_ends_in_mid_query_ends_the_span_with_that_error()
            {
                let Some(options) = server() else {
                    return;
                };
                let mut other = Connection::connect_with(&options).await.unwrap();
                let mut connection = open(&options).await;
                let id = number(&mut connection).await;
                let recorder = Recorder::new();
                let sleep = $sqlx::query(DIALECT.sleep).execute(&mut connection);
                let end = async {
                    sleeping(id, &mut other).await;
                    let end = $sqlx::query(DIALECT.end).bind(id);
                    end.execute(&mut other).await.unwrap();
                };
                let (answer, ()) = tokio::join!(sleep, end);
                let error = answer.unwrap_err();
                let span = recorder.take_only();
                assert!(span.error);
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
                if let Some(ended) = DIALECT.ended {
                    assert_eq!(code(&error), ended);
                    assert_eq!(span.meta("error.type"), Some("database"));
                    assert_eq!(span.meta("db.response.status_code"), Some(ended));
                }
                // The connection is gone for good, and says so.
                let query = $sqlx::query("SELECT 1").execute(&mut connection);
                let error = query.await.unwrap_err();
                let span = recorder.take_only();
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
            }

            #[tokio::test]
            async fn a_pool_without_a_free_connection_says_so_as_the_library_does() {
                let Some(options) = server() else {
                    return;
                };
                let pool = || {
                    let limit = std::time::Duration::from_millis(50);
                    let one = PoolOptions::new().max_connections(1).acquire_timeout(limit);
                    one.connect_lazy_with(options.clone())
                };
                // A loaded machine may need longer than that to open one.
                async fn held(pool: &Pool) -> $sqlx::pool::PoolConnection<$sqlx::$Database> {
                    loop {
                        if let Ok(connection) = pool.acquire().await {
                            return connection;
                        }
                    }
                }
                let bare: Pool = pool();
                let _held = held(&bare).await;
                let bare = $sqlx::query("SELECT 1").execute(&bare).await.unwrap_err();
                let pool = Traced::new(pool());
                let _held = held(pool.inner()).await;
                let recorder = Recorder::new();
                let error = $sqlx::query("SELECT 1").execute(&pool).await.unwrap_err();
                assert!(matches!(error, Error::PoolTimedOut), "{error:?}");
                assert_eq!(error.to_string(), bare.to_string());
                let span = recorder.take_only();
                assert_eq!(span.meta("error.type"), Some("pool_timed_out"));
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
                let acquired = pool.acquire().await.map(drop).unwrap_err();
                assert_eq!(acquired.to_string(), bare.to_string());
                assert!(recorder.take().is_empty(), "nobody asked for such spans");
            }

            #[tokio::test]
            async fn streams_that_break_or_are_left_end_their_spans_once() {
                let Some(options) = server() else {
                    return;
                };
                let proxy = Proxy::to((options.get_host(), options.get_port()));
                let mut connection = open(&options.port(proxy.address().port())).await;
                let recorder = Recorder::new();
                let mut left = $sqlx::query(DIALECT.many).fetch(&mut connection);
                for _ in 0..10 {
                    assert!(left.try_next().await.unwrap().is_some());
                }
                drop(left);
                let span = recorder.take_only();
                assert!(!span.error);
                assert_eq!(span.metric("db.row_count"), Some(10.0));
                // The connection is as good as before.
                let one = $sqlx::query("SELECT 1").fetch_one(&mut connection);
                one.await.unwrap();
                recorder.take_only();

                let mut broken = $sqlx::query(DIALECT.many).fetch(&mut connection);
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
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
            }

            #[tokio::test]
            async fn a_time_limit_of_the_server_is_the_error_of_the_span() {
                let Some(options) = server() else {
                    return;
                };
                let mut connection = open(&options).await;
                let bare = &mut **connection.inner_mut();
                bare.execute(DIALECT.limit).await.unwrap();
                let bare = bare.execute(DIALECT.sleep).await.unwrap_err();
                let recorder = Recorder::new();
                let sleep = $sqlx::query(DIALECT.sleep).execute(&mut connection);
                let error = sleep.await.unwrap_err();
                assert_eq!(code(&error), DIALECT.over_limit);
                assert_eq!(error.to_string(), bare.to_string());
                let span = recorder.take_only();
                assert_eq!(span.meta("error.type"), Some("database"));
                let told = span.meta("db.response.status_code");
                assert_eq!(told, Some(DIALECT.over_limit));
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
            }

            #[tokio::test]
            async fn a_query_that_is_dropped_while_it_runs_has_one_span_without_an_error() {
                let Some(options) = server() else {
                    return;
                };
                let mut other = Connection::connect_with(&options).await.unwrap();
                let mut connection = open(&options).await;
                let id = number(&mut connection).await;
                let recorder = Recorder::new();
                let sleep = $sqlx::query(DIALECT.sleep).execute(&mut connection);
                let mut sleep = Box::pin(sleep);
                tokio::select! {
                    answer = &mut sleep => panic!("it sleeps: {answer:?}"),
                    () = sleeping(id, &mut other) => {}
                }
                assert!(recorder.take().is_empty(), "it runs");
                drop(sleep);
                let span = recorder.take_only();
                assert_eq!(span.resource, DIALECT.sleep);
                assert!(!span.error, "giving up is no error of the database");
                let end = $sqlx::query(DIALECT.end).bind(id);
                end.execute(&mut other).await.unwrap();
            }

            #[tokio::test]
            async fn a_transaction_that_conflicts_says_so_and_is_rolled_back_when_dropped() {
                let Some(options) = server() else {
                    return;
                };
                let mut other = Connection::connect_with(&options).await.unwrap();
                for statement in [
                    concat!("DROP TABLE IF EXISTS weather_", stringify!($module)),
                    concat!("CREATE TABLE weather_", stringify!($module), " (size INT)"),
                    concat!("INSERT INTO weather_", stringify!($module), " VALUES (1)"),
                ] {
                    other.execute(statement).await.unwrap();
                }
                let read = concat!("SELECT size FROM weather_", stringify!($module));
                let change = concat!(
                    "UPDATE weather_",
                    stringify!($module),
                    " SET size = size + 1"
                );
                let conflict = concat!($conflict, "weather_", stringify!($module), $rest);

                let one = PoolOptions::new().max_connections(1);
                let pool = Traced::<Pool>::connect_with(one, options).await.unwrap();
                let recorder = Recorder::new();
                let mut transaction = pool.begin_with(DIALECT.begin).await.unwrap();
                let size: i32 = $sqlx::query_scalar(read)
                    .fetch_one(&mut *transaction)
                    .await
                    .unwrap();
                assert_eq!(size, 1);
                recorder.take_only();
                let mut changing = other.begin().await.unwrap();
                changing.execute(change).await.unwrap();
                let open = if DIALECT.conflicts_while_open {
                    Some(changing)
                } else {
                    changing.commit().await.unwrap();
                    None
                };
                let query = $sqlx::query(conflict).execute(&mut *transaction);
                let error = query.await.unwrap_err();
                assert_eq!(code(&error), DIALECT.conflicted, "{error}");
                let span = recorder.take_only();
                assert_eq!(span.resource, conflict);
                assert_eq!(span.meta("error.type"), Some("database"));
                let told = span.meta("db.response.status_code");
                assert_eq!(told, Some(DIALECT.conflicted));
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
                if let Some(open) = open {
                    open.commit().await.unwrap();
                }
                // sqlx rolls back what is dropped before the connection is used again, without telling anybody.
                drop(transaction);
                let size: i32 = $sqlx::query_scalar(read).fetch_one(&pool).await.unwrap();
                assert_eq!(size, 2);
                assert_eq!(recorder.take_only().resource, read);
                let gone = concat!("DROP TABLE weather_", stringify!($module));
                pool.execute(gone).await.unwrap();
            }
        }
    };
}

tests!(postgres: sqlx, sqlx, postgres, Postgres, PgConnection, PgConnectOptions, POSTGRES,
    "UPDATE " table " SET size = size + 1");
tests!(postgres_0_8: sqlx_0_8, sqlx_0_8, postgres, Postgres, PgConnection, PgConnectOptions, POSTGRES,
    "UPDATE " table " SET size = size + 1");
tests!(mariadb: sqlx, sqlx, mysql, MySql, MySqlConnection, MySqlConnectOptions, MARIADB,
    "SELECT size FROM " table " FOR UPDATE NOWAIT");
tests!(mariadb_0_8: sqlx_0_8, sqlx_0_8, mysql, MySql, MySqlConnection, MySqlConnectOptions, MARIADB,
    "SELECT size FROM " table " FOR UPDATE NOWAIT");
