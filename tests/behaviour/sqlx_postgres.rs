//! sqlx on a real PostgreSQL, both lines of it: the wrappers differ inside and must not differ in what they do.

macro_rules! tests {
    ($line:ident, $sqlx:ident, $ours:ident) => {
        mod $line {
            use ddtrace::$ours::Traced;
            use ddtrace_core::test_support::Recorder;
            use ddtrace_tests::service;
            use futures_util::TryStreamExt as _;
            use $sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

            /// A pool of one connection, and where it leads to.
            async fn pool() -> Option<(Traced<PgPool>, PgConnectOptions)> {
                let url = service::named("DATABASE_URL_POSTGRES")?;
                let options: PgConnectOptions = url.parse().unwrap();
                let one = PgPoolOptions::new().max_connections(1);
                let pool = one.connect_with(options.clone()).await.unwrap();
                Some((Traced::new(pool), options))
            }

            #[tokio::test]
            async fn a_query_is_described_as_the_table_says() {
                let Some((pool, options)) = pool().await else {
                    return;
                };
                let recorder = Recorder::new();
                // I9
                let one: i32 = $sqlx::query_scalar("SELECT $1")
                    .bind(1_i32)
                    .fetch_one(&pool)
                    .await
                    .unwrap();
                assert_eq!(one, 1);
                let span = recorder.take_only();
                assert_eq!(span.name, "postgres.query");
                assert_eq!(span.resource, "SELECT $1");
                assert_eq!(span.span_type, "sql");
                assert_eq!(span.service, "postgres");
                assert_eq!(span.metric("_dd.measured"), Some(1.0));
                assert_eq!(span.metric("db.row_count"), Some(1.0));
                let port = f64::from(options.get_port());
                assert_eq!(span.metric("network.destination.port"), Some(port));
                let expected = [
                    ("db.system", Some("postgresql")),
                    ("db.name", options.get_database()),
                    ("db.user", Some(options.get_username())),
                    ("out.host", Some(options.get_host())),
                    ("server.address", Some(options.get_host())),
                    ("component", Some("sqlx")),
                    ("span.kind", Some("client")),
                ];
                for (tag, value) in expected {
                    assert_eq!(span.meta(tag), value, "{tag}");
                }
            }

            #[tokio::test]
            async fn rows_are_counted_and_streams_end_their_spans() {
                let Some((pool, _)) = pool().await else {
                    return;
                };
                let recorder = Recorder::new();
                let three = "SELECT * FROM generate_series(1, 3)";
                // I10
                assert_eq!($sqlx::query(three).fetch_all(&pool).await.unwrap().len(), 3);
                assert_eq!(recorder.take_only().metric("db.row_count"), Some(3.0));

                let mut stream = $sqlx::query(three).fetch(&pool);
                stream.try_next().await.unwrap();
                assert!(recorder.take().is_empty(), "the stream has more");
                drop(stream);
                assert_eq!(recorder.take_only().metric("db.row_count"), Some(1.0));

                let mut transaction = pool.begin().await.unwrap();
                $sqlx::query("CREATE TEMPORARY TABLE cups (owner TEXT UNIQUE) ON COMMIT DROP")
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                let insert = "INSERT INTO cups VALUES ('ada'), ('ben')";
                $sqlx::query(insert)
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
                let spans = recorder.take();
                let counts: Vec<_> = spans
                    .iter()
                    .map(|span| span.metric("db.row_count"))
                    .collect();
                assert_eq!(counts, [Some(0.0), Some(2.0), None]);
                assert_eq!(spans[2].name, "postgres.connection.commit");
            }

            #[tokio::test]
            async fn errors_carry_the_code_of_the_database() {
                let Some((pool, _)) = pool().await else {
                    return;
                };
                let recorder = Recorder::new();
                $sqlx::query("SELECT nothing FROM nowhere")
                    .execute(&pool)
                    .await
                    .unwrap_err();
                let span = recorder.take_only();
                assert!(span.error);
                assert_eq!(span.meta("error.type"), Some("database"));
                assert_eq!(span.meta("db.response.status_code"), Some("42P01"));

                let mut transaction = pool.begin().await.unwrap();
                $sqlx::query("CREATE TEMPORARY TABLE cups (owner TEXT UNIQUE)")
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                let twice = "INSERT INTO cups VALUES ('ada'), ('ada')";
                $sqlx::query(twice)
                    .execute(&mut *transaction)
                    .await
                    .unwrap_err();
                transaction.rollback().await.unwrap();
                let spans = recorder.take();
                assert_eq!(
                    spans[1].meta("error.type"),
                    Some("database.unique_violation")
                );
                assert_eq!(spans[1].meta("db.response.status_code"), Some("23505"));
                assert_eq!(spans[2].name, "postgres.connection.rollback");
            }

            #[tokio::test]
            async fn time_limits_of_server_and_client_end_the_span_once() {
                let Some((pool, _)) = pool().await else {
                    return;
                };
                let recorder = Recorder::new();
                let mut transaction = pool.begin().await.unwrap();
                $sqlx::query("SET LOCAL statement_timeout = 20")
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                recorder.take();
                $sqlx::query("SELECT pg_sleep(600)")
                    .execute(&mut *transaction)
                    .await
                    .unwrap_err();
                let span = recorder.take_only();
                assert_eq!(span.meta("db.response.status_code"), Some("57014"));
                // The transaction is broken, and every further statement is an error of its own.
                $sqlx::query("SELECT 1")
                    .execute(&mut *transaction)
                    .await
                    .unwrap_err();
                let span = recorder.take_only();
                assert_eq!(span.meta("db.response.status_code"), Some("25P02"));
                transaction.rollback().await.unwrap();
                assert!(!recorder.take_only().error);

                let limit = std::time::Duration::from_millis(20);
                let query = $sqlx::query("SELECT pg_sleep(2)").execute(&pool);
                tokio::time::timeout(limit, query).await.unwrap_err();
                let span = recorder.take_only();
                assert_eq!(span.resource, "SELECT pg_sleep(2)");
                assert!(!span.error, "giving up is no error of the database");
            }

            #[tokio::test]
            async fn comments_arrive_at_the_database() {
                // I11, I12
                let service = "dddbs='postgres',dde='prod',ddh='127.0.0.1',ddps='test',ddpv='1.2'";
                let cases = [
                    ("disabled", "", false),
                    ("service", service, false),
                    ("full", service, true),
                ];
                for (mode, expected, has_traceparent) in cases {
                    let Some((pool, options)) = pool().await else {
                        return;
                    };
                    assert_eq!(options.get_host(), "127.0.0.1");
                    let recorder = Recorder::with_variables(&[
                        ("DD_ENV", "prod"),
                        ("DD_VERSION", "1.2"),
                        ("DD_DBM_PROPAGATION_MODE", mode),
                    ]);
                    let mut texts = Vec::new();
                    for _ in 0..2 {
                        let query = $sqlx::query_scalar("SELECT current_query() WHERE $1");
                        let text: String = query.bind(true).fetch_one(&pool).await.unwrap();
                        let span = recorder.take_only();
                        assert_eq!(span.resource, "SELECT current_query() WHERE $1");
                        let injected = span.meta("_dd.dbm_trace_injected");
                        assert_eq!(injected, has_traceparent.then_some("true"), "{mode}");
                        let traceparent = format!(
                            "traceparent='00-{}-{:016x}-01'",
                            span.trace_id, span.span_id
                        );
                        assert_eq!(
                            text.contains(&traceparent),
                            has_traceparent,
                            "{mode}: {text}"
                        );
                        assert!(text.contains(expected), "{mode}: {text}");
                        assert!(text.ends_with("SELECT current_query() WHERE $1"), "{text}");
                        assert_eq!(text.starts_with("/*"), mode != "disabled", "{text}");
                        texts.push(text);
                    }
                    assert_eq!(texts[0] == texts[1], !has_traceparent);
                    // A text that is new with every call does not stay prepared: only this statement does.
                    let prepared = "SELECT count(*) FROM pg_prepared_statements";
                    let prepared: i64 = $sqlx::query_scalar(prepared)
                        .fetch_one(pool.inner())
                        .await
                        .unwrap();
                    assert_eq!(prepared, if has_traceparent { 1 } else { 2 }, "{mode}");
                }
            }
        }
    };
}

tests!(line_0_9, sqlx, sqlx);
tests!(line_0_8, sqlx_0_8, sqlx_0_8);
