//! redis: commands and a pipeline on one multiplexed connection. What crate there is for OpenTelemetry goes with redis 0.32 only.

use super::{Subject, rooted, variable, variants};
use crate::REDIS;
use fastrace::future::FutureExt as _;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncCommands as _, Client, Pipeline};
use tracing::Instrument as _;

const VALUE: &str = "a value of some length, as sessions and fragments of pages have it";

macro_rules! subject {
    ($name:literal, $burst:literal, $operation:ident, $text:literal) => {
        Subject {
            name: $name,
            needs: Some(REDIS),
            burst: $burst,
            spans: 1,
            rooted: true,
            variants: variants! { tracer:
                Bare, "" => rooted(tracer, connect().await.1, async |connection| $operation(connection).await);
                Off, "ddtrace::redis" => rooted(tracer, traced().await, async |connection| $operation(connection).await);
                Ddtrace, "ddtrace::redis" => rooted(tracer, traced().await, async |connection| $operation(connection).await);
                Otel, "by hand" => rooted(tracer, connect().await.1, async |connection| {
                    $operation(connection).instrument(span(stringify!($operation), $text)).await;
                });
                Datadog, "by hand" => rooted(tracer, connect().await.1, async |connection| {
                    $operation(connection).instrument(span(stringify!($operation), $text)).await;
                });
                Fastrace, "by hand" => rooted(tracer, connect().await.1, async |connection| {
                    $operation(connection).in_span(span_of_fastrace(stringify!($operation), $text)).await;
                });
            },
        }
    };
}

pub(crate) static SUBJECTS: &[Subject] = &[
    subject!("redis, GET", 500, get, "GET ddtrace-bench"),
    subject!("redis, SET", 500, set, "SET ddtrace-bench ?"),
    subject!(
        "redis, pipeline of 10",
        300,
        pipeline,
        "SET ddtrace-bench ?; GET ddtrace-bench"
    ),
];

async fn connect() -> (Client, MultiplexedConnection) {
    let client = Client::open(variable(REDIS)).expect("a URL of Redis");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("Redis is there");
    set(&mut connection).await;
    (client, connection)
}

async fn traced() -> ddtrace::redis::Traced<MultiplexedConnection> {
    let (client, connection) = connect().await;
    ddtrace::redis::Traced::new(connection, client.get_connection_info())
}

async fn get(connection: &mut (impl ConnectionLike + Send + Sync)) {
    let value: String = connection.get("ddtrace-bench").await.expect("a value");
    assert_eq!(value.len(), VALUE.len());
}

async fn set(connection: &mut (impl ConnectionLike + Send + Sync)) {
    let set: Result<(), _> = connection.set("ddtrace-bench", VALUE).await;
    set.expect("room for a value");
}

async fn pipeline(connection: &mut (impl ConnectionLike + Send + Sync)) {
    let mut pipeline = Pipeline::with_capacity(10);
    for _ in 0..5 {
        pipeline.set("ddtrace-bench", VALUE).ignore();
        pipeline.get("ddtrace-bench");
    }
    let values: Vec<String> = pipeline.query_async(connection).await.expect("values");
    assert_eq!(values.len(), 5);
}

fn span(operation: &'static str, text: &'static str) -> tracing::Span {
    tracing::info_span!(
        "redis",
        otel.name = operation,
        otel.kind = "client",
        db.system.name = "redis",
        db.namespace = 0,
        db.operation.name = operation,
        db.query.text = text,
        server.address = "127.0.0.1",
        server.port = 6379,
    )
}

fn span_of_fastrace(operation: &'static str, text: &'static str) -> fastrace::Span {
    fastrace::Span::enter_with_local_parent(operation).with_properties(|| {
        [
            ("db.system.name", "redis"),
            ("db.namespace", "0"),
            ("db.operation.name", operation),
            ("db.query.text", text),
            ("server.address", "127.0.0.1"),
        ]
    })
}
