//! tokio-postgres: a prepared statement on one connection. No crate traces it but ours.

use super::{Subject, Work, rooted, variable, variants};
use crate::POSTGRES;
use ddtrace_peers_integrations::tracers::Tracer;
use fastrace::future::FutureExt as _;
use tokio_postgres::{Client, Config, NoTls, Statement};
use tracing::Instrument as _;

const ONE: &str = "SELECT 1";
const TEN: &str = "SELECT n, 'row ' || n FROM generate_series(1, 10) AS n";

macro_rules! subject {
    ($name:literal, $sql:expr, $rows:literal) => {
        Subject {
            name: $name,
            needs: Some(POSTGRES),
            burst: 500,
            spans: 1,
            rooted: true,
            variants: variants! { tracer:
                Bare, "" => bare::<$rows>(tracer, $sql).await;
                Off, "ddtrace::tokio_postgres" => ours::<$rows>(tracer, $sql).await;
                Ddtrace, "ddtrace::tokio_postgres" => ours::<$rows>(tracer, $sql).await;
                Otel, "by hand" => otel::<$rows>(tracer, $sql).await;
                Datadog, "by hand" => otel::<$rows>(tracer, $sql).await;
                Fastrace, "by hand" => of_fastrace::<$rows>(tracer, $sql).await;
            },
        }
    };
}

pub(crate) static SUBJECTS: &[Subject] = &[
    subject!("tokio-postgres, 1 row", ONE, 1),
    subject!("tokio-postgres, 10 rows", TEN, 10),
];

async fn connect() -> Client {
    let connected = tokio_postgres::connect(&variable(POSTGRES), NoTls).await;
    let (client, connection) = connected.expect("PostgreSQL is there");
    tokio::spawn(connection);
    client
}

async fn prepared(sql: &str) -> (Client, Statement) {
    let client = connect().await;
    let statement = client.prepare(sql).await.expect("it is SQL");
    (client, statement)
}

async fn bare<const ROWS: usize>(tracer: Tracer, sql: &'static str) -> Box<dyn Work> {
    let client = prepared(sql).await;
    rooted(tracer, client, async |(client, statement)| {
        let rows = client.query(&*statement, &[]).await;
        assert_eq!(rows.expect("the query runs").len(), ROWS);
    })
}

async fn ours<const ROWS: usize>(tracer: Tracer, sql: &'static str) -> Box<dyn Work> {
    let config: Config = variable(POSTGRES).parse().expect("a URL of PostgreSQL");
    let client = ddtrace::tokio_postgres::Client::new(connect().await, &config);
    let statement = client.prepare(sql).await.expect("it is SQL");
    rooted(tracer, (client, statement), async |(client, statement)| {
        let rows = client.query(&*statement, &[]).await;
        assert_eq!(rows.expect("the query runs").len(), ROWS);
    })
}

async fn otel<const ROWS: usize>(tracer: Tracer, sql: &'static str) -> Box<dyn Work> {
    let (client, statement) = prepared(sql).await;
    rooted(
        tracer,
        (client, statement, sql),
        async |(client, statement, sql)| {
            let span = tracing::info_span!(
                "SELECT",
                otel.kind = "client",
                db.system.name = "postgresql",
                db.namespace = "ddtrace",
                db.operation.name = "SELECT",
                db.query.text = *sql,
                server.address = "127.0.0.1",
                server.port = 5432,
                db.response.returned_rows = tracing::field::Empty,
            );
            let rows = client
                .query(&*statement, &[])
                .instrument(span.clone())
                .await;
            let rows = rows.expect("the query runs");
            span.record("db.response.returned_rows", rows.len());
            assert_eq!(rows.len(), ROWS);
        },
    )
}

async fn of_fastrace<const ROWS: usize>(tracer: Tracer, sql: &'static str) -> Box<dyn Work> {
    let (client, statement) = prepared(sql).await;
    rooted(
        tracer,
        (client, statement, sql),
        async |(client, statement, sql)| {
            let span = fastrace::Span::enter_with_local_parent("SELECT").with_properties(|| {
                [
                    ("db.system.name", "postgresql"),
                    ("db.namespace", "ddtrace"),
                    ("db.operation.name", "SELECT"),
                    ("db.query.text", *sql),
                    ("server.address", "127.0.0.1"),
                ]
            });
            let rows = client.query(&*statement, &[]).in_span(span).await;
            assert_eq!(rows.expect("the query runs").len(), ROWS);
        },
    )
}
