//! Redis and PostgreSQL, by way of each tracer.

use crate::load::ORDERS;
use crate::{POSTGRES, REDIS};
use ::fastrace::future::FutureExt as _;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use serde::Serialize;
use sqlx_0_8 as sqlx;
use std::env;
use std::future::Future;
use tracing::Instrument as _;

const SELECT: &str = "SELECT id, customer, cents, items FROM ddtrace_bench_orders WHERE id = $1";

/// A row.
#[derive(Serialize)]
pub(crate) struct Order {
    id: i64,
    pub(crate) customer: String,
    cents: i64,
    items: String,
}

/// A cache and what is behind it.
pub(crate) trait Store: Clone + Send + Sync + 'static {
    /// What the cache has.
    fn cached(&self, id: u64) -> impl Future<Output = Option<String>> + Send;
    /// What the database has.
    fn row(&self, id: u64) -> impl Future<Output = Order> + Send;
    /// Puts it into the cache.
    fn keep(&self, id: u64, text: &str) -> impl Future<Output = ()> + Send;
}

/// Servers with the same data do not share a cache. What is in it is forgotten after a minute.
fn key(id: u64) -> String {
    format!("ddtrace-bench:{}:{id}", std::process::id())
}

/// A store of these types. The tracer's way to put a span around a call is the last two.
macro_rules! store {
    (
        $name:ident, $redis:ty, $pool:ty,
        redis: |$call:ident, $operation:ident| $traced:expr,
        sql: |$query:ident| $traced_query:expr
    ) => {
        #[derive(Clone)]
        struct $name {
            redis: $redis,
            pool: $pool,
        }

        impl Store for $name {
            async fn cached(&self, id: u64) -> Option<String> {
                let mut redis = self.redis.clone();
                let $operation = "GET";
                let $call = async move { redis.get(key(id)).await };
                let text: redis::RedisResult<Option<String>> = $traced.await;
                text.expect("Redis answers")
            }

            async fn row(&self, id: u64) -> Order {
                let id = (id % ORDERS) as i64;
                let query = sqlx::query_as::<_, (i64, String, i64, String)>(SELECT).bind(id);
                let $query = query.fetch_one(&self.pool);
                let row = $traced_query.await;
                let (id, customer, cents, items) = row.expect("PostgreSQL answers");
                Order {
                    id,
                    customer,
                    cents,
                    items,
                }
            }

            async fn keep(&self, id: u64, text: &str) {
                let mut redis = self.redis.clone();
                let $operation = "SETEX";
                let $call = async move { redis.set_ex(key(id), text, 60).await };
                let kept: redis::RedisResult<()> = $traced.await;
                kept.expect("Redis answers");
            }
        }
    };
}

store!(
    Bare, MultiplexedConnection, sqlx::PgPool,
    redis: |call, _operation| call,
    sql: |query| query
);
store!(
    Ours, ddtrace::redis::Traced<MultiplexedConnection>, ddtrace::sqlx_0_8::Traced<sqlx::PgPool>,
    redis: |call, _operation| call,
    sql: |query| query
);
store!(
    Otel, MultiplexedConnection, sqlx_tracing::Pool<sqlx::Postgres>,
    redis: |call, operation| call.instrument(span(operation)),
    sql: |query| query
);
store!(
    Fastrace, MultiplexedConnection, sqlx::PgPool,
    redis: |call, operation| call.in_span(span_of_fastrace(operation)),
    sql: |query| {
        let span = ::fastrace::Span::enter_with_local_parent("SELECT")
            .with_properties(|| [("db.system.name", "postgresql"), ("db.query.text", SELECT)]);
        query.in_span(span)
    }
);

/// By hand, with the attributes that OpenTelemetry's semantic conventions ask for.
fn span(operation: &'static str) -> tracing::Span {
    tracing::info_span!(
        "redis",
        otel.name = operation,
        otel.kind = "client",
        db.system.name = "redis",
        db.namespace = 0,
        db.operation.name = operation,
        db.query.text = operation,
        server.address = "127.0.0.1",
        server.port = 6379,
    )
}

fn span_of_fastrace(operation: &'static str) -> ::fastrace::Span {
    ::fastrace::Span::enter_with_local_parent(operation).with_properties(|| {
        [
            ("db.system.name", "redis"),
            ("db.namespace", "0"),
            ("db.operation.name", operation),
            ("db.query.text", operation),
            ("server.address", "127.0.0.1"),
        ]
    })
}

async fn connect() -> (redis::Client, MultiplexedConnection, sqlx::PgPool) {
    let url = env::var(REDIS).expect("the parent has looked for it");
    let client = redis::Client::open(url).expect("a URL of Redis");
    let connection = client.get_multiplexed_async_connection().await;
    let url = env::var(POSTGRES).expect("the parent has looked for it");
    let options = sqlx::postgres::PgPoolOptions::new()
        .min_connections(8)
        .max_connections(8);
    let pool = options.connect(&url).await;
    (
        client,
        connection.expect("Redis is there"),
        pool.expect("PostgreSQL is there"),
    )
}

pub(crate) async fn bare() -> impl Store {
    let (_, redis, pool) = connect().await;
    Bare { redis, pool }
}

pub(crate) async fn ours() -> impl Store {
    let (client, redis, pool) = connect().await;
    Ours {
        redis: ddtrace::redis::Traced::new(redis, client.get_connection_info()),
        pool: ddtrace::sqlx_0_8::Traced::new(pool),
    }
}

pub(crate) async fn otel() -> impl Store {
    let (_, redis, pool) = connect().await;
    Otel {
        redis,
        pool: sqlx_tracing::Pool::from(pool),
    }
}

pub(crate) async fn fastrace() -> impl Store {
    let (_, redis, pool) = connect().await;
    Fastrace { redis, pool }
}
