//! sqlx on a real MariaDB, both lines of it.

macro_rules! tests {
    ($line:ident, $sqlx:ident, $ours:ident) => {
        mod $line {
            use ddtrace::$ours::Traced;
            use ddtrace_core::test_support::Recorder;
            use ddtrace_tests::service;
            use futures_util::TryStreamExt as _;
            use $sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
            use $sqlx::{Connection as _, Executor as _, Statement as _};

            /// A pool of one connection, and where it leads to.
            async fn pool() -> Option<(Traced<MySqlPool>, MySqlConnectOptions)> {
                let url = service::named("DATABASE_URL_MYSQL")?;
                let options: MySqlConnectOptions = url.parse().unwrap();
                let one = MySqlPoolOptions::new().max_connections(1);
                let pool = one.connect_with(options.clone()).await.unwrap();
                Some((Traced::new(pool), options))
            }

            #[tokio::test]
            async fn a_query_is_described_as_the_table_says() {
                let Some((pool, options)) = pool().await else {
                    return;
                };
                let recorder = Recorder::new();
                let one: i64 = $sqlx::query_scalar("SELECT ? + 0")
                    .bind(1_i64)
                    .fetch_one(&pool)
                    .await
                    .unwrap();
                assert_eq!(one, 1);
                let span = recorder.take_only();
                assert_eq!(span.name, "mysql.query");
                assert_eq!(span.resource, "SELECT ? + 0");
                assert_eq!(span.span_type, "sql");
                assert_eq!(span.service, "mysql");
                assert_eq!(span.metric("_dd.measured"), Some(1.0));
                assert_eq!(span.metric("db.row_count"), Some(1.0));
                let port = f64::from(options.get_port());
                assert_eq!(span.metric("network.destination.port"), Some(port));
                let expected = [
                    ("db.system", Some("mysql")),
                    ("db.name", Some("ddtrace")),
                    ("db.user", Some("ddtrace")),
                    ("out.host", Some("127.0.0.1")),
                    ("server.address", Some("127.0.0.1")),
                    ("component", Some("sqlx")),
                    ("span.kind", Some("client")),
                ];
                for (tag, value) in expected {
                    assert_eq!(span.meta(tag), value, "{tag}");
                }
                assert!(
                    !format!("{span:?}").contains("no-secret"),
                    "the password stays where it is"
                );
            }

            #[tokio::test]
            async fn rows_are_counted_and_streams_end_their_spans() {
                let Some((pool, _)) = pool().await else {
                    return;
                };
                let recorder = Recorder::new();
                let three = "SELECT 1 UNION SELECT 2 UNION SELECT 3";
                assert_eq!($sqlx::query(three).fetch_all(&pool).await.unwrap().len(), 3);
                assert_eq!(recorder.take_only().metric("db.row_count"), Some(3.0));

                let mut stream = $sqlx::query(three).fetch(&pool);
                stream.try_next().await.unwrap();
                assert!(recorder.take().is_empty(), "the stream has more");
                drop(stream);
                assert_eq!(recorder.take_only().metric("db.row_count"), Some(1.0));

                let mut connection = pool.acquire().await.unwrap();
                connection
                    .execute("CREATE TEMPORARY TABLE cups (owner VARCHAR(20) UNIQUE)")
                    .await
                    .unwrap();
                let mut transaction = connection.begin().await.unwrap();
                $sqlx::query("INSERT INTO cups VALUES ('ada'), ('ben')")
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
                let changed = $sqlx::query("UPDATE cups SET owner = concat(owner, '!')")
                    .execute(&mut connection)
                    .await
                    .unwrap();
                assert_eq!(changed.rows_affected(), 2);
                let spans = recorder.take();
                let found: Vec<_> = spans
                    .iter()
                    .map(|span| (span.name.as_str(), span.metric("db.row_count")))
                    .collect();
                assert_eq!(
                    found,
                    [
                        ("mysql.query", Some(0.0)),
                        ("mysql.query", Some(2.0)),
                        ("mysql.connection.commit", None),
                        ("mysql.query", Some(2.0)),
                    ]
                );
            }

            #[tokio::test]
            async fn errors_carry_the_code_of_the_database() {
                let Some((pool, _)) = pool().await else {
                    return;
                };
                let recorder = Recorder::new();
                let error = $sqlx::query("SELECT nothing FROM nowhere")
                    .execute(&pool)
                    .await
                    .unwrap_err();
                let span = recorder.take_only();
                assert_eq!(span.meta("error.type"), Some("database"));
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
                assert_eq!(span.meta("db.response.status_code"), Some("42S02"));

                let mut connection = pool.acquire().await.unwrap();
                connection
                    .execute("CREATE TEMPORARY TABLE cups (owner VARCHAR(20) UNIQUE)")
                    .await
                    .unwrap();
                let mut transaction = connection.begin().await.unwrap();
                $sqlx::query("INSERT INTO cups VALUES ('ada'), ('ada')")
                    .execute(&mut *transaction)
                    .await
                    .unwrap_err();
                transaction.rollback().await.unwrap();
                let spans = recorder.take();
                let kind = spans[1].meta("error.type");
                assert_eq!(kind, Some("database.unique_violation"));
                assert_eq!(spans[1].meta("db.response.status_code"), Some("23000"));
                assert_eq!(spans[2].name, "mysql.connection.rollback");
            }

            #[tokio::test]
            async fn comments_arrive_at_the_database() {
                // I11, I12
                let service = "dddb='ddtrace',dddbs='mysql',dde='prod',ddh='127.0.0.1',ddps='test',ddpv='1.2'";
                for (mode, expected) in [("disabled", ""), ("service", service), ("full", service)] {
                    let Some((pool, _)) = pool().await else {
                        return;
                    };
                    let recorder = Recorder::with_variables(&[
                        ("DD_ENV", "prod"),
                        ("DD_VERSION", "1.2"),
                        ("DD_DBM_PROPAGATION_MODE", mode),
                    ]);
                    let mut connection = pool.acquire().await.unwrap();
                    let mut texts = Vec::new();
                    for _ in 0..2 {
                        let statement = "SELECT info FROM information_schema.processlist WHERE id = connection_id() AND ?";
                        let query = $sqlx::query_scalar(statement).bind(true);
                        let text: String = query.fetch_one(&mut connection).await.unwrap();
                        let span = recorder.take_only();
                        assert_eq!(span.resource, statement);
                        let is_full = mode == "full";
                        let injected = span.meta("_dd.dbm_trace_injected");
                        assert_eq!(injected, is_full.then_some("true"), "{mode}");
                        let traceparent = format!(
                            "traceparent='00-{}-{:016x}-01'",
                            span.trace_id, span.span_id
                        );
                        assert_eq!(text.contains(&traceparent), is_full, "{mode}: {text}");
                        assert!(text.contains(expected), "{mode}: {text}");
                        assert_eq!(text.starts_with("/*"), mode != "disabled", "{text}");
                        texts.push(text);
                    }
                    assert_eq!(texts[0] == texts[1], mode != "full");
                    // A text that is new with every call does not stay prepared.
                    let kept = connection.cached_statements_size();
                    assert_eq!(kept, usize::from(mode != "full"), "{mode}");

                    // Nor is what the program prepared itself changed.
                    let statement = "SELECT info FROM information_schema.processlist WHERE id = connection_id()";
                    let text: String = prepared(&mut connection, statement).await;
                    assert!(!text.contains("/*"), "{mode}: {text}");
                    recorder.take_only();
                }
            }

            async fn prepared(
                connection: &mut Traced<$sqlx::pool::PoolConnection<$sqlx::MySql>>,
                statement: &'static str,
            ) -> String {
                let statement = connection.prepare(super::$line::text(statement)).await.unwrap();
                let query = statement.query_scalar();
                query.fetch_one(connection).await.unwrap()
            }

            tests!(@text $line);
        }
    };
    (@text line_0_9) => {
        fn text(statement: &'static str) -> sqlx::SqlStr {
            sqlx::SqlSafeStr::into_sql_str(statement)
        }
    };
    (@text line_0_8) => {
        fn text(statement: &'static str) -> &'static str {
            statement
        }
    };
}

tests!(line_0_9, sqlx, sqlx);
tests!(line_0_8, sqlx_0_8, sqlx_0_8);
